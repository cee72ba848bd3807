//! Looking dead letters through, sending them back, throwing them away.

use async_nats::jetstream::response::Response;
use async_nats::{HeaderMap, header};
use bytes::Bytes;
use serde_json::json;
use tgmesh_proto::{headers, subject};

use super::{ATTEMPTS, CONSUMER, CUT, ORIGINAL_ID, REASON, SEQ, STREAM, SUBJECT, publish};
use crate::delivery::Delivery;
use crate::mesh::Mesh;
use crate::publish::Stored;
use crate::state::{self, StreamError};
use crate::window::{self, Window};

const OURS: &str = "tgmesh-deadletter-";

/// A message in DEADLETTERS. Every text of it may be hostile: escape it before showing it.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Sequence in DEADLETTERS, by which it is named.
    pub seq: u64,
    /// When it was put there, µs since the epoch, on the server's clock.
    pub at_us: u64,
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
    /// Its full length in bytes, where the payload had to be cut.
    pub cut_from: Option<u64>,
    /// Its original headers, without those that are orders to the server.
    pub headers: Vec<(String, String)>,
    /// Its bytes.
    pub payload: Bytes,
}

/// Why a letter cannot be sent back.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// Only a part of the message is left.
    #[error("its payload of {0} bytes was cut to fit, so the whole is gone")]
    Cut(u64),
    /// It does not say which subject it came from, or it is none of the mesh's.
    #[error("its subject {0:?} is none that can be published to")]
    Subject(String),
    /// The stream did not confirm it. The letter is still there.
    #[error(transparent)]
    Stream(#[from] StreamError),
}

/// The letters, oldest first.
pub struct Shelf {
    window: Window,
}

/// Opens the letters that are there now.
///
/// # Errors
/// When DEADLETTERS does not exist or `JetStream` does not answer.
pub async fn open(mesh: &Mesh) -> Result<Shelf, StreamError> {
    open_from(mesh, 1).await
}

/// As [`open`], from a letter's number on.
///
/// # Errors
/// As [`open`].
pub async fn open_from(mesh: &Mesh, seq: u64) -> Result<Shelf, StreamError> {
    let window = window::read(mesh, subject::DEADLETTERS, seq, None, &[]).await?;
    Ok(Shelf { window })
}

impl Shelf {
    /// The next letter; nothing after the last.
    ///
    /// # Errors
    /// As [`open`].
    pub async fn next(&mut self) -> Result<Option<Letter>, StreamError> {
        Ok(self.window.next().await?.map(|delivery| Letter::of(&delivery)))
    }
}

/// One letter; nothing where there is none (any more).
///
/// # Errors
/// When DEADLETTERS does not exist or `JetStream` does not answer.
pub async fn find(mesh: &Mesh, seq: u64) -> Result<Option<Letter>, StreamError> {
    let mut window = window::read(mesh, subject::DEADLETTERS, seq, Some(seq), &[]).await?;
    let found = window.next().await?.filter(|delivery| delivery.seq == seq);
    Ok(found.map(|delivery| Letter::of(&delivery)))
}

/// Publishes the original message again, to its stream alone, waits until it is stored, and
/// removes the letter. Its consumers get it as a new message; what they did before with an event
/// of this id stays done once.
///
/// # Errors
/// See [`RetryError`].
pub async fn retry(mesh: &Mesh, letter: &Letter) -> Result<Stored, RetryError> {
    if let Some(bytes) = letter.cut_from {
        return Err(RetryError::Cut(bytes));
    }
    if !is_publishable(&letter.subject) {
        return Err(RetryError::Subject(letter.subject.clone()));
    }
    let mut head = HeaderMap::new();
    for (name, value) in &letter.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<header::HeaderName>(), value.parse::<header::HeaderValue>()) {
            head.append(name, value);
        }
    }
    head.insert(header::NATS_EXPECTED_STREAM, letter.stream.as_str());
    if let Some(id) = &letter.id {
        head.insert(headers::MSG_ID, id.as_str());
    }
    let mut stored = publish(mesh, &letter.subject, head.clone(), letter.payload.clone()).await?;
    if stored.duplicate
        && let Some(id) = &letter.id
    {
        // The duplicate window still knows the first one, which nobody will deliver again.
        head.insert(headers::MSG_ID, format!("{id}.retry.{}", letter.seq).as_str());
        stored = publish(mesh, &letter.subject, head, letter.payload.clone()).await?;
    }
    remove(mesh, letter.seq).await?;
    Ok(stored)
}

/// Removes a letter; false where there was none.
///
/// # Errors
/// When `JetStream` does not answer or refuses.
pub async fn remove(mesh: &Mesh, seq: u64) -> Result<bool, StreamError> {
    #[derive(serde::Deserialize)]
    struct Removed {
        success: bool,
    }
    let path = format!("STREAM.MSG.DELETE.{}", subject::DEADLETTERS);
    match state::request::<_, Removed>(mesh, &path, &json!({ "seq": seq })).await? {
        Response::Ok(removed) => Ok(removed.success),
        // The server has one answer for whatever it cannot remove.
        Response::Err { .. } if find(mesh, seq).await?.is_none() => Ok(false),
        Response::Err { error } => Err(state::refusal(subject::DEADLETTERS, &error)),
    }
}

impl Letter {
    fn of(delivery: &Delivery) -> Self {
        let text = |name: &str| delivery.header(name).map(str::to_owned);
        let number = |name: &str| delivery.header(name).and_then(|value| value.parse::<u64>().ok());
        let originals = delivery.headers.iter().flat_map(HeaderMap::iter).filter(|(name, _)| {
            let name = AsRef::<str>::as_ref(*name).to_ascii_lowercase();
            !name.starts_with(OURS) && !name.starts_with("nats-")
        });
        let headers = originals.flat_map(|(name, values)| {
            let name: &str = name.as_ref();
            values
                .iter()
                .map(move |value| (name.to_owned(), value.as_str().to_owned()))
        });
        Self {
            seq: delivery.seq,
            at_us: delivery.published_us,
            consumer: text(CONSUMER).unwrap_or_default(),
            stream: text(STREAM).unwrap_or_default(),
            stream_seq: number(SEQ).unwrap_or(0),
            subject: text(SUBJECT).unwrap_or_default(),
            id: text(ORIGINAL_ID),
            reason: text(REASON).unwrap_or_default(),
            attempts: number(ATTEMPTS).unwrap_or(0),
            cut_from: number(CUT),
            headers: headers.collect(),
            payload: delivery.payload.clone(),
        }
    }
}

/// Whether this is a subject of the mesh's streams, and no pattern.
fn is_publishable(subject: &str) -> bool {
    subject.starts_with("tgmesh.v1.")
        && !subject.starts_with("tgmesh.v1.deadletters.")
        && subject.split('.').all(|token| {
            !token.is_empty()
                && !token.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '>'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_foreign_subjects_are_not_published_to() {
        assert!(is_publishable("tgmesh.v1.detections.-1001.evm"));
        for subject in [
            "",
            "tgmesh.v1.",
            "tgmesh.v1.detections.>",
            "tgmesh.v1.detections.*.evm",
            "tgmesh.v1.detections..evm",
            "tgmesh.v1.detections.1 2.evm",
            "tgmesh.v1.detections.1\r\nPUB x.evm",
            "tgmesh.v1.deadletters.archiver",
            "$JS.API.STREAM.DELETE.DETECTIONS",
        ] {
            assert!(!is_publishable(subject), "{subject}");
        }
    }
}
