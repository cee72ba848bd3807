//! What the API answers with. `proto/openapi.json` is made from these types.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use tgmesh_proto::audit::AuditEvent;
use tgmesh_proto::detection::{ChatKind, Detection, Family, SenderKind};
use tgmesh_proto::matched::Match;

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, JsonSchema)]
pub struct Problem {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What is wrong, for people.
    pub detail: String,
    /// The parameter that is wrong, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
}

/// An event: `event` tells which of the two it is.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Event {
    /// `called`, `added_by_edit`, `retracted`.
    Detection(Box<Detection>),
    /// `rule_matched`, `unresolved_link`.
    Match(Box<Match>),
}

/// Events, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Events {
    /// May be fewer than asked for, even none, although there are more: `next_cursor` tells.
    pub items: Vec<Event>,
    /// Where the next page begins; nil after the last.
    pub next_cursor: Option<String>,
}

/// What is known of an address within the chats that may be seen.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Address {
    /// The address in its canonical form.
    pub address: String,
    /// One for each family and coin type, the earliest first.
    pub found: Vec<Found>,
}

/// An address of one family and coin type.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Found {
    /// Address family.
    pub family: Family,
    /// Sui and Aptos.
    pub coin_type: Option<String>,
    /// Who was first; nil while only retractions are known.
    pub first: Option<First>,
    /// The next other chat.
    pub next: Option<Next>,
    /// Chats that had it, those known from forwards included.
    pub chats: u64,
    /// When it last came into a message, milliseconds since the epoch.
    pub last_seen_ms: Option<i64>,
    /// Events.
    pub counts: Counts,
    /// The chats that had it first, at most 100, in that order.
    pub spread: Vec<InChat>,
}

/// The earliest that is known.
#[derive(Debug, Serialize, JsonSchema)]
pub struct First {
    /// When it came into the message, milliseconds since the epoch.
    pub at_ms: i64,
    /// Whether it is known from a forward only: then the time is the original's.
    pub credited: bool,
    /// Bot API id of the chat; nil where a forward hides it.
    pub chat_id: Option<i64>,
    /// Telegram's message id.
    pub message_id: Option<i64>,
    /// Bot API id of the sender; nil for channel posts, and for viewers.
    pub sender_id: Option<i64>,
}

/// The second to have an address.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Next {
    /// Bot API id of the chat.
    pub chat_id: i64,
    /// How much later, in milliseconds.
    pub lead_ms: u64,
}

/// Events by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    /// `called`.
    pub called: u64,
    /// `added_by_edit`.
    pub added_by_edit: u64,
    /// `retracted`.
    pub retracted: u64,
}

/// An address in one chat.
#[derive(Debug, Serialize, JsonSchema)]
pub struct InChat {
    /// Bot API id.
    pub chat_id: i64,
    /// The first in this chat.
    pub first: First,
    /// How much later than the first of all, in milliseconds.
    pub behind_ms: u64,
    /// When it last came into a message there, milliseconds since the epoch.
    pub last_seen_ms: Option<i64>,
    /// Events of this chat.
    pub counts: Counts,
}

/// Chats by id, rising.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Chats {
    /// The chats that may be seen and have had an event.
    pub items: Vec<Chat>,
    /// Where the next page begins; nil after the last.
    pub next_cursor: Option<String>,
}

/// A chat, as it was last told.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Chat {
    /// Bot API id.
    pub id: i64,
    /// Title.
    pub title: String,
    /// Public name without `@`.
    pub username: Option<String>,
    /// Kind.
    pub kind: Option<ChatKind>,
    /// Nil for viewers, and for tokens that may not see every event of the chat.
    pub statistics: Option<Statistics>,
}

/// Events in figures.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Statistics {
    /// Date of the first message with an event, milliseconds since the epoch.
    pub first_seen_ms: i64,
    /// Date of the last one.
    pub last_seen_ms: i64,
    /// `called`.
    pub called: u64,
    /// `added_by_edit`.
    pub added_by_edit: u64,
    /// `retracted`.
    pub retracted: u64,
    /// Events without an address; nil for tokens that may see none.
    pub matched: Option<u64>,
}

/// A sender, as the events that may be seen tell.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Sender {
    /// Bot API id.
    pub id: i64,
    /// Display name.
    pub name: String,
    /// Public name without `@`.
    pub username: Option<String>,
    /// Kind.
    pub kind: Option<SenderKind>,
    /// Nil where a token may see more than 10,000 events of this sender, but not all.
    pub statistics: Option<Statistics>,
}

/// Dead letters, the oldest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DeadLetters {
    /// The letters.
    pub items: Vec<DeadLetter>,
    /// Where the next page begins; nil after the last.
    pub next_cursor: Option<String>,
}

/// What could not be handled. Its bytes are shown by `tgmesh deadletters show`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DeadLetter {
    /// Number, by which `tgmesh deadletters` names it.
    pub seq: u64,
    /// When it was put there, milliseconds since the epoch.
    pub at_ms: u64,
    /// Consumer that gave it up.
    pub consumer: String,
    /// Stream it comes from.
    pub stream: String,
    /// Its sequence there.
    pub stream_seq: u64,
    /// Its subject there.
    pub subject: String,
    /// Its `Nats-Msg-Id` there.
    pub id: Option<String>,
    /// Why it was given up.
    pub reason: String,
    /// How often it had been delivered.
    pub attempts: u64,
    /// Bytes of its payload.
    pub bytes: u64,
    /// Its original headers.
    pub headers: BTreeMap<String, Vec<String>>,
}

/// Entries of the audit log, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditEntries {
    /// The entries.
    pub items: Vec<AuditEvent>,
    /// Where the next page begins; nil after the last.
    pub next_cursor: Option<String>,
}
