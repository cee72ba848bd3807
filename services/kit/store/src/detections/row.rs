//! An event on its way into the table.

use serde::Serialize;
use tgmesh_proto::detection::{Detection, Forward, Listener, SeenBefore};

use crate::detail::{Chat, Message, Sender};
use crate::fit::{self, Place, RowError};

/// An event that fits the table.
#[derive(Debug, Clone)]
pub struct Row {
    pub(super) event: Detection,
    pub(super) place: Place,
    pub(super) message_date_us: i64,
    pub(super) edit_date_us: Option<i64>,
    /// When the original of a forwarded message was posted.
    pub(super) forward_us: Option<i64>,
    /// When it was taken for a row: its age is counted from there.
    pub(super) now_us: u64,
    /// JSON of what has no column.
    pub(super) detail: String,
}

impl Row {
    /// Takes an event; `now_us` is the time, µs since the epoch.
    ///
    /// # Errors
    /// See [`RowError`]: nothing of it goes away by trying again.
    pub fn new(event: Detection, place: Place, now_us: u64) -> Result<Self, RowError> {
        let message_date_us = fit::date(event.message.date_ms, now_us)?;
        let edit_date_us = fit::origin(&event.message, &event.times, &place)?;
        let own = [
            ("schema_version", Some(event.schema_version.as_str())),
            ("chain", event.chain.as_deref()),
            ("address", Some(&event.address)),
            ("coin_type", event.coin_type.as_deref()),
            ("raw", Some(&event.raw)),
        ];
        fit::no_nul(own)?;
        fit::no_nul(fit::texts(
            &event.chat,
            &event.message,
            event.sender.as_ref(),
            &event.listener,
        ))?;
        fit::no_nul(fit::list("evidence", &event.evidence))?;
        fit::no_nul(fit::list("rules", &event.rules))?;
        let forward_us = forward_us(&event, message_date_us);
        // Strings, numbers, lists and maps with string keys: JSON has a form for each, and
        // confidence, which might be NaN, has a column of its own.
        let detail = serde_json::to_string(&Detail::of(&event)).expect("an event always has a JSON form");
        Ok(Self {
            event,
            place,
            message_date_us,
            edit_date_us,
            forward_us,
            now_us,
            detail,
        })
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &Detection {
        &self.event
    }

    /// The origin of a forwarded message.
    pub(super) fn forward(&self) -> Option<&Forward> {
        self.event.message.forward_from.as_ref()
    }
}

/// When the original was posted, if that can be: not before Telegram, nor after its copy.
fn forward_us(event: &Detection, message_date_us: i64) -> Option<i64> {
    let forward = event.message.forward_from.as_ref()?;
    let us = fit::date(forward.date_ms, message_date_us.unsigned_abs()).ok()?;
    (us <= message_date_us).then_some(us)
}

/// What has no column, under the names of the event.
#[derive(Serialize)]
struct Detail<'a> {
    schema_version: &'a str,
    evidence: &'a [String],
    raw: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seen_before: Option<&'a SeenBefore>,
    chat: Chat<'a>,
    message: Message<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<Sender<'a>>,
    rules: &'a [String],
    listener: &'a Listener,
}

impl<'a> Detail<'a> {
    fn of(event: &'a Detection) -> Self {
        Self {
            schema_version: &event.schema_version,
            evidence: &event.evidence,
            raw: &event.raw,
            seen_before: event.seen_before.as_ref(),
            chat: Chat::of(&event.chat),
            message: Message::of(&event.message),
            sender: event.sender.as_ref().map(Sender::of),
            rules: &event.rules,
            listener: &event.listener,
        }
    }
}
