//! An event on its way into the table.

use std::sync::Arc;

use serde::Serialize;
use tgmesh_proto::detection::{ChatKind, Detection, Forward, Listener, SeenBefore, SenderKind};

use crate::month::{FIRST, Month};

const DAY_US: i64 = 86_400_000_000;

/// Where an event lies in the stream.
#[derive(Debug, Clone)]
pub struct Place {
    /// Epoch of the stream.
    pub epoch: Arc<str>,
    /// Sequence in it.
    pub seq: u64,
    /// When the stream stored it, µs since the epoch.
    pub stored_us: u64,
}

/// An event that fits the table.
#[derive(Debug, Clone)]
pub struct Row {
    pub(super) event: Detection,
    pub(super) place: Place,
    pub(super) message_date_us: i64,
    pub(super) edit_date_us: Option<i64>,
    /// JSON of what has no column.
    pub(super) detail: String,
}

/// Why an event can never be a row.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum RowError {
    /// The message's date lies before August 2013 or more than a day ahead.
    #[error("message date {date_ms} ms is outside August 2013 to tomorrow")]
    DateOutOfRange {
        /// The date, milliseconds since the epoch.
        date_ms: i64,
    },
    /// Postgres' text cannot hold the NUL character.
    #[error("{field} holds a NUL character, which Postgres cannot store")]
    Nul {
        /// Name of the field.
        field: &'static str,
    },
    /// A time or number that Postgres cannot hold.
    #[error("{field} is out of Postgres' range")]
    OutOfRange {
        /// Name of the field.
        field: &'static str,
    },
}

impl Row {
    /// Takes an event; `now_us` is the time, µs since the epoch.
    ///
    /// # Errors
    /// See [`RowError`]: nothing of it goes away by trying again.
    pub fn new(event: Detection, place: Place, now_us: u64) -> Result<Self, RowError> {
        let message_date_us = date(event.message.date_ms, now_us)?;
        let edit_date_us = event
            .message
            .edit_date_ms
            .map(|ms| time("message.edit_date_ms", ms, 1000))
            .transpose()?;
        let times = [
            ("times.received_us", event.times.received_us),
            ("times.detected_us", event.times.detected_us),
            ("times.published_us", event.times.published_us),
        ];
        for (field, us) in times {
            time(field, us, 1)?;
        }
        if i64::try_from(place.seq).is_err() {
            return Err(RowError::OutOfRange { field: "seq" });
        }
        if let Some(field) = field_with_nul(&event) {
            return Err(RowError::Nul { field });
        }
        // Strings, numbers, lists and maps with string keys: JSON has a form for each, and
        // confidence, which might be NaN, has a column of its own.
        let detail = serde_json::to_string(&Detail::of(&event)).expect("an event always has a JSON form");
        Ok(Self {
            event,
            place,
            message_date_us,
            edit_date_us,
            detail,
        })
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &Detection {
        &self.event
    }
}

fn date(date_ms: i64, now_us: u64) -> Result<i64, RowError> {
    let out = RowError::DateOutOfRange { date_ms };
    let us = date_ms.checked_mul(1000).ok_or(out.clone())?;
    let latest = i64::try_from(now_us).unwrap_or(i64::MAX).saturating_add(DAY_US);
    // The comparison with `latest` bounds the year before the calendar is asked.
    if us < 0 || us > latest || Month::of_ms(date_ms) < FIRST {
        Err(out)
    } else {
        Ok(us)
    }
}

/// A time from outside in microseconds, where Postgres can hold it (years 1 to 9999 are plenty).
fn time(field: &'static str, value: i64, factor: i64) -> Result<i64, RowError> {
    const YEAR_1_US: i64 = -62_135_596_800_000_000;
    const YEAR_10000_US: i64 = 253_402_300_800_000_000;
    value
        .checked_mul(factor)
        .filter(|us| (YEAR_1_US..YEAR_10000_US).contains(us))
        .ok_or(RowError::OutOfRange { field })
}

fn field_with_nul(event: &Detection) -> Option<&'static str> {
    let message = &event.message;
    let forward = message.forward_from.as_ref();
    let sender = event.sender.as_ref();
    let fields = [
        ("schema_version", Some(event.schema_version.as_str())),
        ("chain", event.chain.as_deref()),
        ("address", Some(&event.address)),
        ("coin_type", event.coin_type.as_deref()),
        ("raw", Some(&event.raw)),
        ("chat.title", Some(&event.chat.title)),
        ("chat.username", event.chat.username.as_deref()),
        ("message.text", Some(&message.text)),
        ("message.revision", Some(&message.revision)),
        ("message.link", message.link.as_deref()),
        (
            "message.forward_from.name",
            forward.and_then(|forward| forward.name.as_deref()),
        ),
        ("sender.username", sender.and_then(|sender| sender.username.as_deref())),
        ("sender.name", sender.map(|sender| sender.name.as_str())),
        ("listener.instance", Some(&event.listener.instance)),
        ("listener.account", Some(&event.listener.account)),
        ("listener.detector", Some(&event.listener.detector)),
    ];
    let has_nul = |text: &str| text.as_bytes().contains(&0);
    let lists = [("evidence", &event.evidence), ("rules", &event.rules)];
    let in_fields = fields
        .into_iter()
        .find(|(_, value)| value.is_some_and(has_nul))
        .map(|(field, _)| field);
    in_fields.or_else(|| {
        lists
            .into_iter()
            .find(|(_, list)| list.iter().any(|text| has_nul(text)))
            .map(|(field, _)| field)
    })
}

/// What has no column, under the names of the event.
#[derive(Serialize)]
struct Detail<'a> {
    schema_version: &'a str,
    evidence: &'a [String],
    raw: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seen_before: Option<&'a SeenBefore>,
    chat: ChatDetail<'a>,
    message: MessageDetail<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<SenderDetail<'a>>,
    rules: &'a [String],
    listener: &'a Listener,
}

#[derive(Serialize)]
struct ChatDetail<'a> {
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    kind: ChatKind,
}

#[derive(Serialize)]
struct MessageDetail<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forward_from: Option<&'a Forward>,
}

#[derive(Serialize)]
struct SenderDetail<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    name: &'a str,
    kind: SenderKind,
}

impl<'a> Detail<'a> {
    fn of(event: &'a Detection) -> Self {
        let chat = &event.chat;
        let message = &event.message;
        Self {
            schema_version: &event.schema_version,
            evidence: &event.evidence,
            raw: &event.raw,
            seen_before: event.seen_before.as_ref(),
            chat: ChatDetail {
                title: &chat.title,
                username: chat.username.as_deref(),
                kind: chat.kind,
            },
            message: MessageDetail {
                link: message.link.as_deref(),
                reply_to: message.reply_to,
                forward_from: message.forward_from.as_ref(),
            },
            sender: event.sender.as_ref().map(|sender| SenderDetail {
                username: sender.username.as_deref(),
                name: &sender.name,
                kind: sender.kind,
            }),
            rules: &event.rules,
            listener: &event.listener,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23T12:00:00Z.
    const NOW_US: u64 = 1_795_435_200_000_000;

    #[test]
    fn dates_from_the_first_month_to_tomorrow() {
        assert!(date(1_375_315_200_000, NOW_US).is_ok());
        assert!(date(1_375_315_199_999, NOW_US).is_err());
        let now_ms = (NOW_US / 1000) as i64;
        assert!(date(now_ms + 86_400_000, NOW_US).is_ok());
        assert!(date(now_ms + 86_400_001, NOW_US).is_err());
        for absurd in [i64::MIN, -1, 0, i64::MAX / 1000, i64::MAX] {
            assert_eq!(date(absurd, NOW_US), Err(RowError::DateOutOfRange { date_ms: absurd }));
        }
    }

    #[test]
    fn times_that_postgres_can_hold() {
        assert!(time("t", 0, 1000).is_ok());
        assert!(time("t", -1_000_000, 1).is_ok());
        for absurd in [i64::MIN, i64::MAX] {
            assert_eq!(time("t", absurd, 1), Err(RowError::OutOfRange { field: "t" }));
            assert_eq!(time("t", absurd, 1000), Err(RowError::OutOfRange { field: "t" }));
        }
    }
}
