//! Orders as people and programs see them.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant, UNIX_EPOCH};

use tgmesh_lifecycle::clock;

use crate::backfill::{Kept, Order, State};
use crate::plain::{plain, span};

/// Parts of the bar.
const BAR: usize = 24;
/// Between two lines where nobody sees them being written over.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// Before a rate is told.
const RATE_AFTER: Duration = Duration::from_secs(2);

/// Where an order was when it was first looked at.
#[derive(Debug, Clone, Copy)]
struct Start {
    at: Instant,
    messages: u64,
    part: f64,
}

/// How fast an order is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Speed {
    /// Messages a second.
    rate: f64,
    left: Option<Duration>,
}

/// Shows orders on standard output: a line each that is written over on a terminal, and a new line
/// after each change elsewhere.
pub(super) struct Show {
    json: bool,
    on_terminal: bool,
    starts: HashMap<String, Start>,
    /// What was shown last of each, and when.
    shown: HashMap<String, (u64, State, Instant)>,
    /// Lines on the terminal that are to be written over.
    lines: usize,
}

impl Show {
    pub(super) fn new(json: bool) -> Self {
        Self {
            json,
            on_terminal: !json && io::stdout().is_terminal(),
            starts: HashMap::new(),
            shown: HashMap::new(),
            lines: 0,
        }
    }

    /// Shows what changed; everything at the end.
    pub(super) fn orders(&mut self, orders: &BTreeMap<String, Kept>, is_over: bool) -> io::Result<()> {
        let now = Instant::now();
        let mut out = io::stdout().lock();
        if self.on_terminal {
            let mut text = self.back();
            for (id, kept) in orders {
                let speed = self.speed(id, &kept.order, now);
                let _ = writeln!(text, "{}\x1b[K", fitting(&line(id, &kept.order, speed)));
            }
            self.lines = if is_over { 0 } else { orders.len() };
            out.write_all(text.as_bytes())?;
            return out.flush();
        }
        for (id, kept) in orders {
            let order = &kept.order;
            let is_news = self.shown.get(id).is_none_or(|&(revision, state, at)| {
                let is_due = at.elapsed() >= LINE_EVERY || state != order.state;
                revision != kept.revision && is_due
            });
            if is_news {
                self.shown.insert(id.clone(), (kept.revision, order.state, now));
                if self.json {
                    writeln!(out, "{}", json(id, order))?;
                } else {
                    let speed = self.speed(id, order, now);
                    writeln!(out, "{}", line(id, order, speed))?;
                }
            }
        }
        out.flush()
    }

    /// Says something below the orders, or on standard error for programs.
    pub(super) fn note(&mut self, text: &str) -> io::Result<()> {
        if self.json {
            writeln!(io::stderr(), "{text}")
        } else {
            // What stands above stays, and is shown anew below.
            self.lines = 0;
            writeln!(io::stdout(), "{text}")
        }
    }

    fn back(&self) -> String {
        match self.lines {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\r"),
        }
    }

    fn speed(&mut self, id: &str, order: &Order, now: Instant) -> Option<Speed> {
        let part = order.part()?;
        let start = *self.starts.entry(id.to_owned()).or_insert(Start {
            at: now,
            messages: order.messages,
            part,
        });
        speed(start, order, part, now.duration_since(start.at))
    }
}

fn speed(start: Start, order: &Order, part: f64, took: Duration) -> Option<Speed> {
    if order.state != State::Running || took < RATE_AFTER {
        return None;
    }
    let seconds = took.as_secs_f64();
    let rate = order.messages.saturating_sub(start.messages) as f64 / seconds;
    let gained = part - start.part;
    let left = (gained > 0.0).then(|| (1.0 - part) / gained * seconds);
    Some(Speed {
        rate,
        left: left.and_then(|left| Duration::try_from_secs_f64(left).ok()),
    })
}

/// One order in one line.
pub(super) fn line(id: &str, order: &Order, speed: Option<Speed>) -> String {
    let mut line = format!("{id}  {}", name(order));
    if let Some(part) = order.part() {
        let full = (part * BAR as f64) as usize;
        let _ = write!(
            line,
            "  [{}{}] {:>3.0} %",
            "#".repeat(full),
            "-".repeat(BAR - full),
            (part * 100.0).floor()
        );
    }
    let _ = write!(
        line,
        "  {}  {} messages, {} finds, {} new events",
        order.state.as_str(),
        order.messages,
        order.finds,
        order.events
    );
    if order.unreadable > 0 {
        let _ = write!(line, ", {} unreadable", order.unreadable);
    }
    if let Some(speed) = speed {
        let _ = write!(line, ", {:.0}/s", speed.rate);
        if let Some(left) = speed.left {
            let _ = write!(line, ", {} left", span(left.as_secs()));
        }
    }
    let waits = order.waits_until_ms.map(|until| until - clock::now_us() / 1_000);
    if let (Some(waits_ms @ 1..), false) = (waits, order.state.is_over()) {
        let _ = write!(
            line,
            "; Telegram asks to wait {}",
            span(waits_ms.unsigned_abs().div_ceil(1_000))
        );
    }
    if let (State::Failed, Some(why)) = (order.state, &order.why) {
        let _ = write!(line, "; {}", plain(why));
    }
    line
}

/// The chat and the time of an order.
pub(super) fn what(order: &Order) -> String {
    format!(
        "{} from {} to {}",
        name(order),
        date(order.since_s),
        date(order.until_s)
    )
}

/// A time in UTC.
pub(super) fn date(at_s: i64) -> String {
    // Year 10000 is as far as it goes.
    let at_s = u64::try_from(at_s).unwrap_or(0).min(253_402_300_799);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(at_s)).to_string()
}

/// Prints an order for programs.
pub(super) fn json_line(id: &str, order: &Order) -> io::Result<()> {
    writeln!(io::stdout(), "{}", json(id, order))
}

fn json(id: &str, order: &Order) -> serde_json::Value {
    // Names and numbers can always be written.
    let mut value = serde_json::to_value(order).unwrap_or_default();
    value["id"] = id.into();
    value["part"] = order.part().into();
    value
}

fn name(order: &Order) -> String {
    let title = order
        .place
        .as_ref()
        .map(|place| plain(&place.title))
        .filter(|title| !title.is_empty());
    match title {
        Some(title) => format!("{} ({title})", order.chat),
        None => order.chat.clone(),
    }
}

/// As much of a line as one row has: a second row would not be written over.
fn fitting(line: &str) -> String {
    let columns = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_col));
    // Characters may be two columns wide.
    let columns = if columns == 0 { 200 } else { columns.max(20) };
    let mut used = 0;
    line.chars()
        .take_while(|c| {
            used += if c.is_ascii() { 1 } else { 2 };
            used < columns
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use tgmesh_proto::detection::ChatKind;

    use super::*;
    use crate::backfill::Place;

    fn order() -> Order {
        let mut order = Order::new("-1001".to_owned(), (0, 86_400), None, 0);
        order.state = State::Running;
        order.messages = 500;
        order.place = Some(Place {
            chat_id: -1001,
            kind: ChatKind::Channel,
            title: "Alpha\x1b[2J\u{202e}".to_owned(),
            account: "a".to_owned(),
            from: 0,
            to: 1_000,
            at: 500,
            at_s: 50,
        });
        order
    }

    #[test]
    fn a_line_says_how_far_and_how_fast() {
        let order = order();
        let start = Start {
            at: Instant::now(),
            messages: 300,
            part: 0.3,
        };
        let speed = speed(start, &order, 0.5, Duration::from_secs(4)).unwrap();
        assert_eq!((speed.rate, speed.left.unwrap().as_secs()), (50.0, 10));
        let line = line("id", &order, Some(speed));
        assert!(line.contains("[############------------]  50 %"), "{line}");
        assert!(
            line.contains("500 messages") && line.contains("50/s, 10 s left"),
            "{line}"
        );
        assert!(!line.contains('\x1b') && !line.contains('\u{202e}'), "{line:?}");
        assert_eq!(
            what(&order),
            "-1001 (Alpha[2J) from 1970-01-01T00:00:00Z to 1970-01-02T00:00:00Z"
        );
    }

    #[test]
    fn waits_and_failures_are_told() {
        let mut order = order();
        order.waits_until_ms = Some(clock::now_us() / 1_000 + 60_000);
        assert!(line("id", &order, None).contains("Telegram asks to wait 1 min 0 s"));
        order.state = State::Failed;
        order.why = Some("a: CHANNEL_PRIVATE (400)".to_owned());
        let line = line("id", &order, None);
        assert!(
            line.ends_with("; a: CHANNEL_PRIVATE (400)") && !line.contains("wait"),
            "{line}"
        );
    }
}
