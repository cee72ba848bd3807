//! Copying a range of DETECTIONS into a stream of its own, for whoever wants to read it again
//! without touching what is live.

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{Compression, Config, DiscardPolicy, Info, StorageType};
use tgmesh_proto::headers;

use crate::mesh::Mesh;
use crate::settings::NatsConfig;
use crate::state::{self, StreamError, describe};
use crate::window::Window;

/// Sequence of the original in its stream.
pub const SEQ: &str = "Tgmesh-Replay-Seq";
/// Epoch of that stream.
pub const EPOCH: &str = "Tgmesh-Replay-Epoch";

/// Messages without an ack.
const IN_FLIGHT: usize = 256;
const LONGEST_NAME: usize = 32;

/// Whether this can be the name of a replay: it becomes part of a stream's name and of subjects.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(fits)
}

/// `REPLAY_<name>`
#[must_use]
pub fn stream_name(name: &str) -> String {
    format!("REPLAY_{name}")
}

/// Copies a window into the stream `REPLAY_<name>`, which is made if it is missing: bytes, headers
/// and ids as they are, the subject `tgmesh.v1.<rest>` as `tgmesh.v1.replay.<name>.<rest>`.
/// Copying the same range again within the duplicate window adds nothing. Returns how many
/// messages were stored.
///
/// # Errors
/// When `JetStream` does not answer or refuses, as when the stream is full.
pub async fn copy(mesh: &Mesh, config: &NatsConfig, name: &str, window: &mut Window) -> Result<u64, StreamError> {
    make(mesh, config, name).await?;
    let epoch = window.state().epoch.clone();
    let mut under_way: VecDeque<PublishAckFuture> = VecDeque::with_capacity(IN_FLIGHT);
    let mut stored = 0;
    while let Some(delivery) = window.next().await? {
        if under_way.len() == IN_FLIGHT {
            stored += settle(under_way.pop_front()).await?;
        }
        let rest = delivery.subject.strip_prefix("tgmesh.v1.").unwrap_or(&delivery.subject);
        let mut head = HeaderMap::new();
        for (name, values) in delivery.headers.iter().flat_map(HeaderMap::iter) {
            let is_order = AsRef::<str>::as_ref(name).to_ascii_lowercase().starts_with("nats-");
            for value in values.iter().filter(|_| !is_order) {
                head.append(name.clone(), value.clone());
            }
        }
        if let Some(id) = delivery.header(headers::MSG_ID) {
            head.insert(headers::MSG_ID, id);
        }
        head.insert(SEQ, delivery.seq.to_string().as_str());
        head.insert(EPOCH, epoch.as_str());
        let subject = format!("tgmesh.v1.replay.{name}.{rest}");
        let ack = mesh
            .jetstream()
            .publish_with_headers(subject, head, delivery.payload)
            .await;
        under_way.push_back(ack.map_err(|error| StreamError::Unavailable(describe(&error)))?);
    }
    while !under_way.is_empty() {
        stored += settle(under_way.pop_front()).await?;
    }
    Ok(stored)
}

/// Waits for an ack; 1 when the message is new.
async fn settle(ack: Option<PublishAckFuture>) -> Result<u64, StreamError> {
    let Some(ack) = ack else { return Ok(0) };
    match tokio::time::timeout(Duration::from_secs(10), ack.into_future()).await {
        Ok(Ok(ack)) => Ok(u64::from(!ack.duplicate)),
        Ok(Err(error)) => Err(StreamError::Refused(describe(&error))),
        Err(_) => Err(StreamError::Unavailable(
            "the stream did not confirm a message".to_owned(),
        )),
    }
}

async fn make(mesh: &Mesh, config: &NatsConfig, name: &str) -> Result<(), StreamError> {
    let stream = Config {
        name: stream_name(name),
        subjects: vec![format!("tgmesh.v1.replay.{name}.>")],
        storage: StorageType::File,
        // A copy that is not whole must not look like one.
        discard: DiscardPolicy::New,
        compression: Some(Compression::S2),
        max_age: config.max_age,
        max_bytes: i64::try_from(config.max_bytes).unwrap_or(i64::MAX),
        duplicate_window: config.duplicate_window,
        num_replicas: config.replicas,
        allow_direct: true,
        ..Config::default()
    };
    match state::request::<_, Info>(mesh, &format!("STREAM.CREATE.{}", stream.name), &stream).await? {
        Response::Ok(_) => Ok(()),
        Response::Err { error } => Err(state::refusal(&stream.name, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_token() {
        for name in ["x", "incident-7", "A_b", &"n".repeat(32)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "a.b", "a b", "*", ">", "ü", &"n".repeat(33)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
