//! What the memory needs of an event: read from the stream without taking the rest over.

use std::borrow::Cow;

use serde::Deserialize;
use tgmesh_proto::codec::{self, MAX_NAME_BYTES, MAX_PAYLOAD_BYTES};
use tgmesh_proto::detection::{ChatKind, Detection, EventKind, Family};
use tgmesh_proto::id;

/// An event of the stream, as far as the memory of addresses looks at it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Told<'a> {
    #[serde(borrow)]
    schema_version: Cow<'a, str>,
    event: EventKind,
    family: Family,
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(borrow, default)]
    coin_type: Option<Cow<'a, str>>,
    pub(super) chat: Chat,
    #[serde(borrow)]
    message: Message<'a>,
    #[serde(default)]
    sender: Option<Sender>,
    #[serde(borrow)]
    listener: Listener<'a>,
    times: Times,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(super) struct Chat {
    pub id: i64,
    kind: ChatKind,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Message<'a> {
    id: i64,
    date_ms: i64,
    #[serde(default)]
    edit_date_ms: Option<i64>,
    #[serde(borrow)]
    revision: Cow<'a, str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
struct Sender {
    id: i64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Listener<'a> {
    #[serde(borrow)]
    instance: Cow<'a, str>,
    #[serde(borrow)]
    account: Cow<'a, str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
struct Times {
    received_us: i64,
}

/// Names a message, the same for every account that sees it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum MessageKey<'a> {
    /// A channel or supergroup numbers its messages itself.
    Numbered { chat: i64, message: i64 },
    /// In a basic group every account has numbers of its own: one person's message of one second.
    Group {
        chat: i64,
        date_ms: i64,
        sender: Option<i64>,
    },
    /// A private chat is one account's alone.
    Private { chat: i64, account: &'a str, message: i64 },
}

impl<'a> Told<'a> {
    /// Reads an event; nothing when it is none, or has no use here.
    #[must_use]
    pub fn read(payload: &'a [u8]) -> Option<Self> {
        if payload.len() > MAX_PAYLOAD_BYTES {
            return None;
        }
        let told: Self = rmp_serde::from_slice(payload).ok()?;
        let bounded = |text: &str| !text.is_empty() && text.len() <= MAX_NAME_BYTES;
        (codec::is_readable(&told.schema_version) && bounded(&told.address)).then_some(told)
    }

    /// The same of an event that is about to be published.
    #[must_use]
    pub fn of(event: &'a Detection) -> Self {
        Self {
            schema_version: Cow::Borrowed(&event.schema_version),
            event: event.event,
            family: event.family,
            address: Cow::Borrowed(&event.address),
            coin_type: event.coin_type.as_deref().map(Cow::Borrowed),
            chat: Chat {
                id: event.chat.id,
                kind: event.chat.kind,
            },
            message: Message {
                id: event.message.id,
                date_ms: event.message.date_ms,
                edit_date_ms: event.message.edit_date_ms,
                revision: Cow::Borrowed(&event.message.revision),
            },
            sender: event.sender.as_ref().map(|sender| Sender { id: sender.id }),
            listener: Listener {
                instance: Cow::Borrowed(&event.listener.instance),
                account: Cow::Borrowed(&event.listener.account),
            },
            times: Times {
                received_us: event.times.received_us,
            },
        }
    }

    /// The process that told it.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.listener.instance
    }

    /// Chat, message, account and time of a message that was received as it was posted; nothing for
    /// what happened to one later.
    #[must_use]
    pub fn first_sight(&self) -> Option<(i64, i64, &str, i64)> {
        let is_first = self.event == EventKind::Called && self.message.edit_date_ms.is_none();
        is_first.then_some((
            self.chat.id,
            self.message.id,
            &self.listener.account,
            self.times.received_us,
        ))
    }

    /// Whether it is a sighting.
    pub(super) fn counts(&self) -> bool {
        self.event != EventKind::Retracted
    }

    /// When the address came into the message, or was taken away.
    pub(super) fn at_ms(&self) -> i64 {
        let edited_ms = self.message.edit_date_ms.unwrap_or(0).max(self.message.date_ms);
        match self.event {
            EventKind::Called => self.message.date_ms,
            // Telegram gives no date of a deletion.
            EventKind::Retracted if self.message.revision == id::DELETED => self.times.received_us / 1000,
            EventKind::AddedByEdit | EventKind::Retracted => edited_ms,
        }
    }

    /// From then until the listener received it, in microseconds as far as they fit.
    pub(super) fn lag_us(&self) -> u32 {
        let lag_us = self.times.received_us.saturating_sub(self.at_ms().saturating_mul(1000));
        u32::try_from(lag_us.max(0)).unwrap_or(u32::MAX)
    }

    pub(super) fn address_key(&self) -> (Family, &str, Option<&str>) {
        (self.family, &self.address, self.coin_type.as_deref())
    }

    pub(super) fn message_key(&self) -> MessageKey<'_> {
        let chat = self.chat.id;
        match self.chat.kind {
            ChatKind::Channel | ChatKind::Supergroup => MessageKey::Numbered {
                chat,
                message: self.message.id,
            },
            ChatKind::Group => MessageKey::Group {
                chat,
                date_ms: self.message.date_ms,
                sender: self.sender.map(|sender| sender.id),
            },
            ChatKind::User => MessageKey::Private {
                chat,
                account: &self.listener.account,
                message: self.message.id,
            },
        }
    }
}
