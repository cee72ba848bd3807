//! Rows as the events that they were.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::de::value::{Error as WordError, StrDeserializer};
use tgmesh_proto::detection::{
    Chat, ChatKind, Detection, Forward, Listener, Message, SeenBefore, Sender, SenderKind, Times,
};
use tgmesh_proto::id::EventId;
use tgmesh_proto::matched::Match;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::Key;
use crate::error::StoreError;
use crate::pg::{Time, Uuid};

/// What has no column; written by `detections::Row` and `matches::Row`.
#[derive(Debug, Deserialize)]
struct Detail {
    schema_version: String,
    #[serde(default)]
    evidence: Vec<String>,
    #[serde(default)]
    raw: String,
    #[serde(default)]
    seen_before: Option<SeenBefore>,
    chat: ChatDetail,
    #[serde(default)]
    message: MessageDetail,
    #[serde(default)]
    sender: Option<SenderDetail>,
    #[serde(default)]
    rules: Vec<String>,
    listener: Listener,
}

#[derive(Debug, Deserialize)]
struct ChatDetail {
    #[serde(default)]
    title: String,
    #[serde(default)]
    username: Option<String>,
    kind: ChatKind,
}

#[derive(Debug, Default, Deserialize)]
struct MessageDetail {
    #[serde(default)]
    link: Option<String>,
    #[serde(default)]
    reply_to: Option<i64>,
    #[serde(default)]
    forward_from: Option<Forward>,
}

#[derive(Debug, Deserialize)]
struct SenderDetail {
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    name: String,
    kind: SenderKind,
}

/// The columns that both tables have, from `chat_id` on.
struct Common {
    chat: Chat,
    message: Message,
    sender: Option<Sender>,
    times: Times,
}

pub(super) fn detection(row: &Row) -> Result<(Key, Detection), StoreError> {
    let Json(mut detail) = row.try_get::<_, Json<Detail>>(19)?;
    let key = key(row)?;
    let common = common(row, 10, key, &mut detail)?;
    let detection = Detection {
        schema_version: detail.schema_version,
        id: key.id,
        event: word(row, 2)?,
        family: word(row, 3)?,
        chain: row.try_get(4)?,
        address: row.try_get(5)?,
        coin_type: row.try_get(6)?,
        role: word(row, 7)?,
        method: word(row, 8)?,
        evidence: detail.evidence,
        confidence: row.try_get(9)?,
        raw: detail.raw,
        seen_before: detail.seen_before,
        chat: common.chat,
        message: common.message,
        sender: common.sender,
        rules: detail.rules,
        listener: detail.listener,
        times: common.times,
    };
    Ok((key, detection))
}

pub(super) fn matched(row: &Row) -> Result<(Key, Match), StoreError> {
    let Json(mut detail) = row.try_get::<_, Json<Detail>>(16)?;
    let key = key(row)?;
    let common = common(row, 7, key, &mut detail)?;
    let matched = Match {
        schema_version: detail.schema_version,
        id: key.id,
        event: word(row, 2)?,
        chain: row.try_get(3)?,
        site: row.try_get(4)?,
        raw: row.try_get(5)?,
        link: row.try_get(6)?,
        chat: common.chat,
        message: common.message,
        sender: common.sender,
        rules: detail.rules,
        listener: detail.listener,
        times: common.times,
    };
    Ok((key, matched))
}

fn key(row: &Row) -> Result<Key, StoreError> {
    Ok(Key {
        date_us: row.try_get::<_, Time>(0)?.0,
        id: EventId::from_bytes(row.try_get::<_, Uuid>(1)?.0),
    })
}

fn common(row: &Row, first: usize, key: Key, detail: &mut Detail) -> Result<Common, StoreError> {
    let time = |column: usize| Ok::<_, StoreError>(row.try_get::<_, Time>(column)?.0);
    let edited: Option<Time> = row.try_get(first + 3)?;
    let sender_id: Option<i64> = row.try_get(first + 4)?;
    let about = std::mem::take(&mut detail.message);
    let sender = detail.sender.take();
    Ok(Common {
        chat: Chat {
            id: row.try_get(first)?,
            title: std::mem::take(&mut detail.chat.title),
            username: detail.chat.username.take(),
            kind: detail.chat.kind,
        },
        message: Message {
            id: row.try_get(first + 1)?,
            date_ms: key.date_us / 1000,
            edit_date_ms: edited.map(|Time(us)| us / 1000),
            revision: row.try_get(first + 2)?,
            // Texts are kept for a shorter time than events.
            text: row.try_get::<_, Option<String>>(first + 8)?.unwrap_or_default(),
            link: about.link,
            reply_to: about.reply_to,
            forward_from: about.forward_from,
        },
        sender: sender_id.zip(sender).map(|(id, sender)| Sender {
            id,
            username: sender.username,
            name: sender.name,
            kind: sender.kind,
        }),
        times: Times {
            received_us: time(first + 5)?,
            detected_us: time(first + 6)?,
            published_us: time(first + 7)?,
        },
    })
}

/// A column that holds one of a few words.
fn word<T: DeserializeOwned>(row: &Row, column: usize) -> Result<T, StoreError> {
    let text: &str = row.try_get(column)?;
    T::deserialize(StrDeserializer::<WordError>::new(text))
        .map_err(|error| StoreError::Unreadable(format!("column {}: {error}", row.columns()[column].name())))
}
