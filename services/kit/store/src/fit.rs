//! What of an event Postgres can hold.

use std::sync::Arc;

use tgmesh_proto::detection::{Chat, Listener, Message, Sender, Times};

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

/// A message's date in microseconds, between Telegram's beginning and tomorrow.
pub(crate) fn date(date_ms: i64, now_us: u64) -> Result<i64, RowError> {
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
pub(crate) fn time(field: &'static str, value: i64, factor: i64) -> Result<i64, RowError> {
    const YEAR_1_US: i64 = -62_135_596_800_000_000;
    const YEAR_10000_US: i64 = 253_402_300_800_000_000;
    value
        .checked_mul(factor)
        .filter(|us| (YEAR_1_US..YEAR_10000_US).contains(us))
        .ok_or(RowError::OutOfRange { field })
}

/// What detections and matches share: times and place in range. Gives the edit date.
pub(crate) fn origin(message: &Message, times: &Times, place: &Place) -> Result<Option<i64>, RowError> {
    let edit_date_us = message
        .edit_date_ms
        .map(|ms| time("message.edit_date_ms", ms, 1000))
        .transpose()?;
    time("times.received_us", times.received_us, 1)?;
    time("times.detected_us", times.detected_us, 1)?;
    time("times.published_us", times.published_us, 1)?;
    seq(place)?;
    Ok(edit_date_us)
}

pub(crate) fn seq(place: &Place) -> Result<(), RowError> {
    match i64::try_from(place.seq) {
        Ok(_) => Ok(()),
        Err(_) => Err(RowError::OutOfRange { field: "seq" }),
    }
}

/// Refuses a text with a NUL character.
pub(crate) fn no_nul<'a>(fields: impl IntoIterator<Item = (&'static str, Option<&'a str>)>) -> Result<(), RowError> {
    let found = fields
        .into_iter()
        .find(|(_, value)| value.is_some_and(|text| text.as_bytes().contains(&0)));
    found.map_or(Ok(()), |(field, _)| Err(RowError::Nul { field }))
}

/// The texts that detections and matches share.
pub(crate) fn texts<'a>(
    chat: &'a Chat,
    message: &'a Message,
    sender: Option<&'a Sender>,
    listener: &'a Listener,
) -> [(&'static str, Option<&'a str>); 11] {
    let forward = message.forward_from.as_ref();
    [
        ("chat.title", Some(chat.title.as_str())),
        ("chat.username", chat.username.as_deref()),
        ("message.text", Some(&message.text)),
        ("message.revision", Some(&message.revision)),
        ("message.link", message.link.as_deref()),
        (
            "message.forward_from.name",
            forward.and_then(|forward| forward.name.as_deref()),
        ),
        ("sender.username", sender.and_then(|sender| sender.username.as_deref())),
        ("sender.name", sender.map(|sender| sender.name.as_str())),
        ("listener.instance", Some(&listener.instance)),
        ("listener.account", Some(&listener.account)),
        ("listener.detector", Some(&listener.detector)),
    ]
}

/// A list as fields, for [`no_nul`].
pub(crate) fn list<'a>(
    field: &'static str,
    texts: &'a [String],
) -> impl Iterator<Item = (&'static str, Option<&'a str>)> {
    texts.iter().map(move |text| (field, Some(text.as_str())))
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
