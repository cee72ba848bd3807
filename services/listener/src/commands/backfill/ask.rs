//! What the command line asks for.

use std::time::{Duration, UNIX_EPOCH};

use tgmesh_lifecycle::settings::{Faults, positive_duration};

use crate::backfill::Order;
use crate::session::is_account_name;
use crate::settings::BackfillArgs;
use crate::watch::Wanted;

/// Before Telegram there was nothing to fetch (2013-08-01).
const TELEGRAM_BEGAN_S: i64 = 1_375_315_200;

/// One thing to do.
#[derive(Debug)]
pub(in crate::commands) enum Ask {
    List {
        json: bool,
    },
    Cancel {
        id: String,
    },
    Watch {
        id: String,
        json: bool,
    },
    Give {
        orders: Vec<Order>,
        detach: bool,
        json: bool,
        /// Before this, the archiver stores nothing.
        kept_from_s: Option<i64>,
    },
}

impl Ask {
    pub(super) fn read(args: &BackfillArgs, now_s: i64, faults: &mut Faults) -> Option<Self> {
        let json = args.json;
        if args.list {
            return Some(Self::List { json });
        }
        if let Some(id) = &args.cancel {
            return Some(Self::Cancel { id: id.clone() });
        }
        if let Some(id) = &args.watch {
            return Some(Self::Watch { id: id.clone(), json });
        }
        let when = |name: &str, raw: &str, faults: &mut Faults| faults.value(name, raw, |raw| when(raw, now_s));
        let since_s = args.since.as_deref().and_then(|raw| when("--since", raw, faults));
        let until_s = match args.until.as_deref() {
            Some(raw) => when("--until", raw, faults),
            // Seconds are whole: what is posted in this one may come yet.
            None => Some(now_s),
        };
        let chats = args.chats.iter().map(|raw| faults.value("--chat", raw, chat));
        let chats: Vec<_> = chats.collect();
        let only = faults.optional("--account", args.account.as_deref(), |name| {
            if is_account_name(name) {
                Ok(name.to_owned())
            } else {
                Err("is no account name: 1 to 32 of a-z, 0-9 and -".to_owned())
            }
        });
        let retention = std::env::var("DETECTION_RETENTION").ok().filter(|raw| !raw.is_empty());
        let retention = faults.optional("DETECTION_RETENTION", retention.as_deref(), positive_duration);
        let (since_s, until_s) = (since_s?.max(TELEGRAM_BEGAN_S), until_s?.min(now_s));
        if since_s > now_s {
            faults.add(
                "--since",
                "is in the future: the past is fetched, what comes is told live",
            );
            return None;
        }
        if since_s >= until_s {
            faults.add("--until", "is not after --since: there is nothing between them");
            return None;
        }
        let only = only?;
        let mut orders: Vec<Order> = Vec::new();
        for chat in chats {
            let chat = chat?;
            if !orders.iter().any(|order| order.chat == chat) {
                orders.push(Order::new(chat, (since_s, until_s), only.clone(), now_s * 1_000));
            }
        }
        let kept_from_s = retention?.map(|kept: Duration| now_s - i64::try_from(kept.as_secs()).unwrap_or(i64::MAX));
        Some(Self::Give {
            orders,
            detach: args.detach,
            json,
            kept_from_s,
        })
    }
}

/// An id, or a public name as orders have it.
fn chat(raw: &str) -> Result<String, String> {
    let problem = || "is no chat id and no @name".to_owned();
    let wanted = Wanted::parse(raw).map_err(|_| problem())?;
    if wanted.all || !wanted.folders.is_empty() || !wanted.invites.is_empty() {
        return Err(problem());
    }
    let mut chats = wanted.ids.iter().map(ToString::to_string);
    let chats = chats.by_ref().chain(wanted.names.iter().map(|name| format!("@{name}")));
    let chats: Vec<_> = chats.collect();
    match <[String; 1]>::try_from(chats) {
        Ok([chat]) => Ok(chat),
        Err(_) => Err("names more than one chat: give --chat for each".to_owned()),
    }
}

/// A day, a time of RFC 3339, or how long ago; in seconds since the epoch.
fn when(raw: &str, now_s: i64) -> Result<i64, String> {
    let raw = raw.trim();
    if let Some(at_s) = rfc3339(raw) {
        return Ok(at_s);
    }
    match positive_duration(raw) {
        Ok(ago) => Ok(now_s.saturating_sub(i64::try_from(ago.as_secs()).unwrap_or(i64::MAX))),
        Err(_) => Err(
            "is no day (2026-11-01, in UTC), no time (2026-11-01T12:00:00Z) and no duration (7d: so long ago)"
                .to_owned(),
        ),
    }
}

fn rfc3339(raw: &str) -> Option<i64> {
    if !raw.is_ascii() {
        return None;
    }
    let (time, ahead_s) = match raw.len() {
        10 => (format!("{raw}T00:00:00Z"), 0),
        _ if raw.ends_with(['Z', 'z']) => (raw.to_uppercase(), 0),
        length @ 25.. => {
            let (time, offset) = raw.split_at(length - 6);
            (format!("{}Z", time.to_uppercase()), offset_s(offset)?)
        }
        _ => return None,
    };
    let at = humantime::parse_rfc3339(&time).ok()?;
    let at_s = i64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()?;
    Some(at_s - ahead_s)
}

/// `+02:00` in seconds.
fn offset_s(raw: &str) -> Option<i64> {
    let (sign, rest) = match raw.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes) = (hours.parse::<u8>().ok()?, minutes.parse::<u8>().ok()?);
    (hours < 24 && minutes < 60).then(|| sign * (i64::from(hours) * 3_600 + i64::from(minutes) * 60))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::settings::{Args, Command};

    const NOW: i64 = 1_780_000_000;

    fn read(line: &str) -> Result<Ask, String> {
        let args = Args::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())?;
        let Some(Command::Backfill(args)) = args.command else {
            panic!("a backfill")
        };
        let mut faults = Faults::default();
        let ask = Ask::read(&args, NOW, &mut faults);
        ask.ok_or_else(|| faults.lines().collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn times_are_read() {
        for (raw, at_s) in [
            ("1970-01-02", 86_400),
            ("1970-01-01T00:01:00Z", 60),
            ("1970-01-01t02:00:30+02:00", 30),
            ("1970-01-01T00:00:00-00:30", 1_800),
            ("7d", NOW - 7 * 86_400),
            ("90m", NOW - 5_400),
        ] {
            assert_eq!(when(raw, NOW), Ok(at_s), "{raw}");
        }
        for bad in [
            "",
            "yesterday",
            "7",
            "-1d",
            "2026-13-01",
            "2026-02-30",
            "2026-01-01T25:00:00Z",
            "1970-01-01T00:00:00+ü0",
        ] {
            assert!(when(bad, NOW).is_err(), "{bad}");
        }
    }

    #[test]
    fn orders_are_read() {
        let line = "l backfill --chat -1001234 --chat @Alpha --chat https://t.me/alpha --since 7d --account a";
        let Ok(Ask::Give { orders, .. }) = read(line) else {
            panic!("orders")
        };
        let chats: Vec<_> = orders.iter().map(|order| order.chat.as_str()).collect();
        assert_eq!(chats, ["-1001234", "@alpha"]);
        for order in &orders {
            assert_eq!((order.since_s, order.until_s), (NOW - 7 * 86_400, NOW));
            assert_eq!(order.only.as_deref(), Some("a"));
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (line, problem) in [
            ("l backfill", "--chat"),
            ("l backfill --chat @alpha", "--since"),
            ("l backfill --chat * --since 1d", "--chat"),
            ("l backfill --chat folder:x --since 1d", "--chat"),
            ("l backfill --chat @alpha --since 2999-01-01", "future"),
            ("l backfill --chat @alpha --since 1d --until 2d", "--until"),
            ("l backfill --chat @alpha --since 1d --account A_b", "--account"),
            ("l backfill --list --cancel x", "--cancel"),
            ("l backfill --cancel x --chat @alpha", "--chat"),
        ] {
            let told = read(line).expect_err(line);
            assert!(told.contains(problem), "{line}: {told}");
        }
    }
}
