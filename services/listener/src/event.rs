//! Detection events.

use std::sync::Arc;

use tgmesh_proto::SCHEMA_VERSION;
use tgmesh_proto::codec::{self, MAX_TEXT_CHARS};
use tgmesh_proto::detection::{Chat, Detection, EventKind, Forward, Listener, Message, Sender, Times};
use tgmesh_proto::id::{self, IdParts};

use crate::edits::Known;
use crate::finding::Finding;
use crate::masking;
use crate::message::Record;
use crate::peers::{self, Peers};

/// What all events of one account have in common.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Name of the process.
    pub instance: Arc<str>,
    /// Name of the account.
    pub account: Arc<str>,
    /// Its place in `TELEGRAM_ACCOUNTS`, from 0.
    pub shard: u32,
    /// Epoch of the lease under which it is read.
    pub lease_epoch: u64,
}

/// What all events of one message have in common.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Where it was posted.
    pub chat: Chat,
    /// The message.
    pub message: Message,
    /// Who posted it.
    pub sender: Option<Sender>,
    /// It was fetched from history.
    pub backfill: bool,
    /// It was fetched because somebody ordered it: the ledger does not know it, and nobody waits.
    pub is_ordered: bool,
}

impl Subject {
    /// A message that was seen.
    #[must_use]
    pub fn of(record: &Record, sender: Option<Sender>, backfill: bool, peers: &Peers) -> Self {
        let chat = peers.chat(record.chat_id, record.kind);
        let mut text = record.text.clone();
        codec::truncate(&mut text, MAX_TEXT_CHARS);
        let forward_from = record.forward.as_ref().map(|forward| Forward {
            id: forward.id,
            name: forward
                .name
                .clone()
                .or_else(|| forward.id.and_then(|id| peers.name(id)))
                .map(bounded),
            message_id: forward.message_id.map(i64::from),
            date_ms: i64::from(forward.date_s) * 1000,
        });
        let message = Message {
            id: i64::from(record.id),
            date_ms: i64::from(record.date_s) * 1000,
            edit_date_ms: (record.edit_date_s > 0).then(|| i64::from(record.edit_date_s) * 1000),
            revision: record.revision(),
            text,
            link: peers::link(&chat, i64::from(record.id)),
            reply_to: record.reply_to.map(i64::from),
            forward_from,
        };
        Self {
            chat,
            message,
            sender,
            backfill,
            is_ordered: false,
        }
    }

    /// A message that is gone: without its text, which its author took back.
    #[must_use]
    pub fn gone(known: &Known, message_id: i64, peers: &Peers) -> Self {
        let chat = peers.chat(known.chat_id, known.kind);
        let message = Message {
            id: message_id,
            date_ms: known.date_s * 1000,
            edit_date_ms: (known.edit_date_s > 0).then(|| known.edit_date_s * 1000),
            revision: id::DELETED.to_owned(),
            text: String::new(),
            link: peers::link(&chat, message_id),
            reply_to: None,
            forward_from: None,
        };
        Self {
            chat,
            message,
            sender: known.sender.clone(),
            backfill: false,
            is_ordered: false,
        }
    }
}

/// What stands in an event in place of a character that Postgres cannot store. Telegram lets NUL
/// through, and a message that has one must not stay out of the history for it.
const REPLACEMENT: &str = "\u{fffd}";

/// Replaces NUL.
pub fn make_storable(text: &mut String) {
    if text.contains('\0') {
        *text = text.replace('\0', REPLACEMENT);
    }
}

impl Subject {
    /// Replaces NUL in every text from outside.
    pub fn make_storable(&mut self) {
        let forward = self.message.forward_from.as_mut();
        let texts = [
            Some(&mut self.chat.title),
            Some(&mut self.message.text),
            self.sender.as_mut().map(|sender| &mut sender.name),
            forward.and_then(|forward| forward.name.as_mut()),
        ];
        texts.into_iter().flatten().for_each(make_storable);
    }
}

/// Makes an event; what was seen before is for the memory to tell.
#[must_use]
pub fn detection(
    origin: &Origin,
    mut subject: Subject,
    event: EventKind,
    mut find: Finding,
    rules: Vec<String>,
    times: Times,
) -> Detection {
    masking::hide_in_names(&mut subject);
    let id = IdParts {
        chat_id: subject.chat.id,
        chat_kind: subject.chat.kind,
        account: &origin.account,
        message_id: subject.message.id,
        revision: &subject.message.revision,
        event,
        family: find.family,
        address: &find.address,
        coin_type: find.coin_type.as_deref(),
    }
    .id();
    // Behind the id, which is made of what Telegram has.
    subject.make_storable();
    make_storable(&mut find.raw);
    find.evidence.iter_mut().for_each(make_storable);
    Detection {
        schema_version: SCHEMA_VERSION.to_owned(),
        id,
        event,
        family: find.family,
        chain: find.chain,
        address: find.address,
        coin_type: find.coin_type,
        role: find.role,
        method: find.method,
        evidence: find.evidence,
        confidence: find.confidence,
        raw: find.raw,
        seen_before: None,
        chat: subject.chat,
        message: subject.message,
        sender: subject.sender,
        rules,
        listener: listener(origin, subject.backfill),
        times,
    }
}

/// What every event says of the process that found it.
#[must_use]
pub fn listener(origin: &Origin, backfill: bool) -> Listener {
    Listener {
        instance: origin.instance.to_string(),
        account: origin.account.to_string(),
        shard: origin.shard,
        lease_epoch: origin.lease_epoch,
        backfill,
        detector: tgmesh_detect::VERSION.to_owned(),
        layer: grammers_tl_types::LAYER,
    }
}

/// Names come from outside.
fn bounded(mut name: String) -> String {
    codec::truncate(&mut name, 256);
    name
}

#[cfg(test)]
mod tests {
    use tgmesh_proto::detection::{Chat, ChatKind, Message, Sender, SenderKind};

    use super::*;

    #[test]
    fn no_text_from_outside_keeps_an_event_out_of_the_history() {
        let bad = || "a\0b".to_owned();
        let mut subject = Subject {
            chat: Chat {
                id: -1,
                title: bad(),
                username: None,
                kind: ChatKind::Channel,
            },
            message: Message {
                id: 1,
                date_ms: 0,
                edit_date_ms: None,
                revision: String::new(),
                text: bad(),
                link: None,
                reply_to: None,
                forward_from: None,
            },
            sender: Some(Sender {
                id: 1,
                username: None,
                name: bad(),
                kind: SenderKind::User,
            }),
            backfill: false,
            is_ordered: false,
        };
        subject.make_storable();
        let name = subject.sender.map(|sender| sender.name);
        for text in [subject.chat.title, subject.message.text, name.unwrap_or_default()] {
            assert_eq!(text, "a\u{fffd}b");
        }
    }
}
