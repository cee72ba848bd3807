//! Dead letters: what a consumer could not handle, kept with its bytes, headers and the reason.

mod shelf;

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::context::PublishErrorKind;
use bytes::Bytes;
use tgmesh_proto::{headers, subject};

use crate::delivery::Delivery;
use crate::mesh::Mesh;
use crate::publish::Stored;
use crate::state::{StreamError, describe};
pub use shelf::{Letter, RetryError, Shelf, find, open, open_from, remove, retry};

/// Why the message is here.
pub const REASON: &str = "Tgmesh-Deadletter-Reason";
/// How often it was delivered.
pub const ATTEMPTS: &str = "Tgmesh-Deadletter-Attempts";
/// Consumer that gave it up.
pub const CONSUMER: &str = "Tgmesh-Deadletter-Consumer";
/// Stream it comes from.
pub const STREAM: &str = "Tgmesh-Deadletter-Stream";
/// Its sequence there.
pub const SEQ: &str = "Tgmesh-Deadletter-Seq";
/// Its subject there.
pub const SUBJECT: &str = "Tgmesh-Deadletter-Subject";
/// Its `Nats-Msg-Id` there. The copy has one of its own, because the dead letters of two
/// consumers for one event must not count as repeats of each other.
pub const ORIGINAL_ID: &str = "Tgmesh-Deadletter-Msg-Id";
/// Set when the payload had to be cut to fit beside these headers: its full length in bytes.
pub const CUT: &str = "Tgmesh-Deadletter-Cut";

/// Longest reason, in characters; what is longer is cut.
pub const MAX_REASON_CHARS: usize = 500;
/// Most headers that are copied from the original, and the longest of them in bytes.
const MAX_HEADERS: usize = 32;
const MAX_HEADER_BYTES: usize = 1024;

/// Copies a message to `tgmesh.v1.deadletters.<consumer>` and waits until it is stored.
///
/// # Errors
/// When the stream did not confirm it; then the original must not be given up yet.
pub async fn copy(
    mesh: &Mesh,
    stream: &str,
    consumer: &str,
    delivery: &Delivery,
    reason: &str,
) -> Result<(), StreamError> {
    let mut head = head(stream, consumer, delivery, reason);
    let mut payload = delivery.payload.clone();
    // A message of nearly the server's limit does not fit beside more headers.
    let room = mesh.client().max_payload().saturating_sub(wire_size(&head) + 64);
    if payload.len() > room {
        head.insert(CUT, payload.len().to_string().as_str());
        payload = payload.slice(..room);
    }
    publish(mesh, &subject::deadletter(consumer), head, payload).await?;
    Ok(())
}

/// Publishes and waits until a stream has it.
async fn publish(mesh: &Mesh, subject: &str, head: HeaderMap, payload: Bytes) -> Result<Stored, StreamError> {
    let ack = mesh
        .jetstream()
        .publish_with_headers(subject.to_owned(), head, payload)
        .await
        .map_err(|error| StreamError::Unavailable(describe(&error)))?;
    match tokio::time::timeout(Duration::from_secs(5), ack.into_future()).await {
        Ok(Ok(ack)) => Ok(Stored {
            seq: ack.sequence,
            duplicate: ack.duplicate,
            resent: None,
        }),
        Ok(Err(error)) if error.kind() == PublishErrorKind::StreamNotFound => {
            Err(StreamError::Unavailable(format!("no stream takes {subject}")))
        }
        Ok(Err(error)) => Err(StreamError::Unavailable(describe(&error))),
        Err(_) => Err(StreamError::Unavailable(
            "the stream did not confirm it in time".to_owned(),
        )),
    }
}

fn head(stream: &str, consumer: &str, delivery: &Delivery, reason: &str) -> HeaderMap {
    let mut head = HeaderMap::new();
    let original = delivery.headers.iter().flat_map(HeaderMap::iter);
    // `Nats-` headers are orders to the server (roll-up, expected sequence, time to live).
    let harmless = original.filter(|(name, _)| {
        let name: &str = name.as_ref();
        !name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("nats-")) && name.len() <= MAX_HEADER_BYTES
    });
    for (name, values) in harmless.take(MAX_HEADERS) {
        for value in values
            .iter()
            .take(4)
            .filter(|value| value.as_str().len() <= MAX_HEADER_BYTES)
        {
            head.append(name.clone(), value.clone());
        }
    }
    let mut set = |name: &'static str, value: &str| head.insert(name, printable(value).as_str());
    set(REASON, reason);
    set(ATTEMPTS, &delivery.delivered.to_string());
    set(CONSUMER, consumer);
    set(STREAM, stream);
    set(SEQ, &delivery.seq.to_string());
    set(SUBJECT, &delivery.subject);
    if let Some(id) = delivery.header(headers::MSG_ID) {
        set(ORIGINAL_ID, id);
    }
    // A crash between copy and Term copies again: same id, so the stream keeps one. The stream's
    // time tells sequences of two epochs from each other.
    set(
        headers::MSG_ID,
        &format!("{consumer}.{stream}.{}.{}", delivery.seq, delivery.published_us),
    );
    head
}

/// One line without control characters, at most [`MAX_REASON_CHARS`] characters.
fn printable(text: &str) -> String {
    text.chars()
        .take(MAX_REASON_CHARS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Upper bound of the headers' size on the wire.
fn wire_size(head: &HeaderMap) -> usize {
    head.iter()
        .map(|(name, values)| {
            let name: &str = name.as_ref();
            values
                .iter()
                .map(|value| name.len() + value.as_str().len() + 4)
                .sum::<usize>()
        })
        .sum::<usize>()
        + 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_to_the_server_are_not_copied() {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Rollup", "all");
        headers.insert("nats-expected-stream", "OTHER");
        headers.insert("Nats-Msg-Id", "abc");
        headers.insert("traceparent", "00-1-2-01");
        let delivery = Delivery {
            subject: "tgmesh.v1.detections.1.evm".into(),
            payload: Bytes::from_static(b"x"),
            epoch: "e".into(),
            seq: 7,
            delivered: 3,
            pending: 0,
            arrived_us: 0,
            published_us: 9,
            headers: Some(headers),
            reply: "r".into(),
            consumer_seq: 1,
        };
        let head = head("DETECTIONS", "archiver", &delivery, "bad\r\nbytes");
        let get = |name: &str| head.get(name).map(|value| value.as_str().to_owned());
        assert_eq!(get("Nats-Rollup"), None);
        assert_eq!(get("nats-expected-stream"), None);
        assert_eq!(get("traceparent").as_deref(), Some("00-1-2-01"));
        assert_eq!(get(ORIGINAL_ID).as_deref(), Some("abc"));
        assert_eq!(get(headers::MSG_ID).as_deref(), Some("archiver.DETECTIONS.7.9"));
        assert_eq!(get(REASON).as_deref(), Some("bad  bytes"));
        assert_eq!(get(ATTEMPTS).as_deref(), Some("3"));
    }
}
