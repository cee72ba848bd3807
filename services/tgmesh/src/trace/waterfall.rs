//! A trace as a waterfall: one row a span, below the span above it, with its time on a common scale.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;

use serde_json::Value;

use super::shelf::Span;
use crate::detect::sheet::{fitted, visible};
use crate::terminal::Style;

/// Columns of the offset and of the duration.
const TIME: usize = 11;
/// The fewest columns in which a bar says anything.
const FEWEST: usize = 10;
/// The attributes that a row's second line tells, and what it calls them.
const TOLD: [(&str, &str); 7] = [
    ("messaging.message.id", "message"),
    ("messaging.destination.name", "subject"),
    ("tgmesh.stream.sequence", "seq"),
    ("tgmesh.deliveries", "delivery"),
    ("tgmesh.duplicate", "duplicate"),
    ("db.operation.batch.size", "rows"),
    ("tgmesh.finds", "finds"),
];

/// The rows of a trace.
pub(super) fn draw(trace_id: &str, spans: &[Span], style: Style) -> String {
    let start = spans.iter().map(|span| span.start_ns).min().unwrap_or_default();
    let end = spans.iter().map(|span| span.end_ns).max().unwrap_or_default();
    let services: BTreeSet<&str> = spans.iter().map(|span| span.service.as_str()).collect();
    let mut out = String::new();
    // Writing to a string never fails.
    let _ = writeln!(
        out,
        "trace {}  {} spans, {} services, {}",
        style.bold(&visible(trace_id)),
        spans.len(),
        services.len(),
        duration(end - start)
    );
    let service = services.iter().map(|name| short(name).len()).max().unwrap_or(0).min(16);
    let fixed = service + 2 * TIME + 4;
    let name = (style.columns.saturating_sub(fixed + FEWEST)).clamp(12, 34);
    let scale = Scale {
        start,
        end,
        name,
        service,
        bar: style.columns.saturating_sub(fixed + name).max(FEWEST),
    };
    for (depth, span) in in_order(spans) {
        scale.row(&mut out, depth, span, spans, style);
    }
    out
}

struct Scale {
    start: u64,
    end: u64,
    name: usize,
    service: usize,
    bar: usize,
}

impl Scale {
    fn row(&self, out: &mut String, depth: usize, span: &Span, spans: &[Span], style: Style) {
        let indent = "  ".repeat(depth.min(5));
        let name = fitted(&format!("{indent}{}", visible(&span.name)), self.name);
        let service = fitted(&visible(short(&span.service)), self.service);
        let took = duration(span.end_ns - span.start_ns);
        let since = format!("+{}", duration(span.start_ns - self.start));
        let _ = writeln!(
            out,
            "{name} {} {since:>TIME$} {took:>TIME$} {}",
            style.dim(&service),
            self.bar(span)
        );
        let mut said: Vec<String> = TOLD
            .iter()
            .filter_map(|(key, word)| {
                let value = match span.attributes.get(*key)? {
                    Value::String(text) => visible(text),
                    other => other.to_string(),
                };
                Some(format!("{word} {value}"))
            })
            .collect();
        if !span.parent_id.is_empty() && !spans.iter().any(|other| other.id == span.parent_id) {
            said.push("the span above it is missing".to_owned());
        }
        let under = |out: &mut String, text: &str| {
            let room = style.columns.saturating_sub(indent.len() + 4).max(1);
            let _ = writeln!(out, "{indent}    {}", style.dim(fitted(text, room).trim_end()));
        };
        if !said.is_empty() {
            under(out, &said.join("  "));
        }
        if let Some(error) = &span.error {
            under(out, &format!("failed: {}", visible(error)));
        }
        for event in &span.events {
            let at = duration(event.at_ns.saturating_sub(span.start_ns));
            under(out, &format!("after {at}: {}", visible(&event.name)));
        }
        let shown = 3;
        for link in span.links.iter().take(shown) {
            under(out, &format!("linked to trace {}", visible(&link.trace_id)));
        }
        let more = span.links.len().saturating_sub(shown) + span.more_links;
        if more > 0 {
            under(out, &format!("linked to {more} more"));
        }
    }

    fn bar(&self, span: &Span) -> String {
        let whole = (self.end - self.start).max(1) as f64;
        let place = |at: u64| ((at - self.start) as f64 / whole * self.bar as f64) as usize;
        let from = place(span.start_ns).min(self.bar - 1);
        let to = place(span.end_ns).clamp(from + 1, self.bar);
        format!("{}{}", " ".repeat(from), "█".repeat(to - from))
    }
}

/// Each span with its depth: below the one above it, in the order of time. Each once, whatever
/// circle hostile ids make.
fn in_order(spans: &[Span]) -> Vec<(usize, &Span)> {
    let known: HashSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    let mut below: HashMap<&str, Vec<&Span>> = HashMap::new();
    let mut roots = Vec::new();
    for span in spans {
        if known.contains(span.parent_id.as_str()) && span.parent_id != span.id {
            below.entry(&span.parent_id).or_default().push(span);
        } else {
            roots.push(span);
        }
    }
    let by_time = |spans: &mut Vec<&Span>| spans.sort_by_key(|span| std::cmp::Reverse((span.start_ns, span.end_ns)));
    by_time(&mut roots);
    below.values_mut().for_each(by_time);
    let mut rows = Vec::with_capacity(spans.len());
    let mut open: Vec<(usize, &Span)> = roots.into_iter().map(|span| (0, span)).collect();
    while let Some((depth, span)) = open.pop() {
        rows.push((depth, span));
        let under = below.remove(span.id.as_str()).unwrap_or_default();
        open.extend(under.into_iter().map(|span| (depth + 1, span)));
    }
    // What is left goes in circles.
    rows.extend(below.into_values().flatten().map(|span| (0, span)));
    rows
}

fn short(service: &str) -> &str {
    service.strip_prefix("tgmesh-").unwrap_or(service)
}

fn duration(ns: u64) -> String {
    let ms = ns as f64 / 1e6;
    if ms < 1_000.0 {
        format!("{ms:.3} ms")
    } else {
        format!("{:.3} s", ms / 1_000.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use unicode_width::UnicodeWidthStr;

    use super::*;
    use crate::trace::shelf::Event;

    fn span(id: &str, parent: &str, name: &str, times: (u64, u64)) -> Span {
        Span {
            service: "tgmesh-listener".to_owned(),
            instance: String::new(),
            name: name.to_owned(),
            kind: "internal".to_owned(),
            id: id.to_owned(),
            parent_id: parent.to_owned(),
            start_ns: times.0,
            end_ns: times.1,
            attributes: BTreeMap::new(),
            events: Vec::new(),
            links: Vec::new(),
            more_links: 0,
            error: None,
        }
    }

    #[test]
    fn rows_stand_below_the_span_above_them_and_fit() {
        let mut publish = span(
            "c",
            "a",
            "publish tgmesh.v1.detections.{chat}.{family}",
            (4_000_000, 10_000_000),
        );
        publish.error = Some("full".to_owned());
        publish.events.push(Event {
            at_ns: 6_000_000,
            name: "retry".to_owned(),
            attributes: BTreeMap::new(),
        });
        let spans = [
            publish,
            span("b", "a", "detect", (1_000_000, 2_000_000)),
            span("a", "", "receive", (0, 10_000_000)),
        ];
        let drawn = draw("0af7", &spans, Style::PLAIN);
        let lines: Vec<_> = drawn.lines().collect();
        assert!(lines[0].contains("3 spans, 1 services, 10.000 ms"), "{drawn}");
        assert!(
            lines[1].starts_with("receive ") && lines[2].starts_with("  detect "),
            "{drawn}"
        );
        assert!(
            lines[3].starts_with("  publish tgmesh") && lines[3].contains("+4.000 ms"),
            "{drawn}"
        );
        assert!(
            lines[4].contains("failed: full") && lines[5].contains("after 2.000 ms: retry"),
            "{drawn}"
        );
        for columns in [20, 60, 100, 300] {
            let drawn = draw(
                "0af7",
                &spans,
                Style {
                    columns,
                    ..Style::PLAIN
                },
            );
            let bars: Vec<_> = drawn
                .lines()
                .filter(|line| line.contains('█'))
                .map(UnicodeWidthStr::width)
                .collect();
            assert!(
                bars.len() == 3 && (columns < 60 || bars.iter().all(|width| *width <= columns)),
                "{columns}: {drawn}"
            );
        }
    }

    #[test]
    fn hostile_spans_are_shown_once_and_obeyed_never() {
        let evil = "\u{1b}[2J\u{202e}";
        let mut spans = vec![
            span("a", "b", evil, (0, 1)),
            span("b", "a", evil, (5, 3)),
            span("s", "s", "self", (0, 0)),
        ];
        spans[1].end_ns = 5;
        spans[0].error = Some(evil.to_owned());
        spans[0]
            .attributes
            .insert("messaging.message.id".to_owned(), evil.into());
        let drawn = draw(evil, &spans, Style::PLAIN);
        assert!(!drawn.contains(['\u{1b}', '\u{202e}']), "{drawn}");
        assert_eq!(drawn.matches("self").count(), 1, "{drawn}");
        assert_eq!(in_order(&spans).len(), 3);
    }
}
