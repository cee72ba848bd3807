//! Where a durable consumer stands in its stream, for figures and for noticing loss.

use std::time::Duration;

use async_nats::jetstream::response::Response;
use serde_json::json;

use crate::mesh::Mesh;
use crate::state::{self, StreamError};
use crate::topology::EPOCH_KEY;

/// A consumer and its stream at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Epoch of the stream.
    pub epoch: String,
    /// Oldest sequence that the stream still holds.
    pub first_seq: u64,
    /// Newest sequence.
    pub last_seq: u64,
    /// Bytes that the stream holds, and may hold.
    pub bytes: u64,
    /// Most bytes that the stream holds; nothing = no limit.
    pub max_bytes: Option<u64>,
    /// Longest that the stream holds a message; nothing = no limit.
    pub max_age: Option<Duration>,
    /// Highest sequence that was delivered to any process.
    pub delivered: u64,
    /// Deliveries so far, repeats included.
    pub deliveries: u64,
    /// Everything up to this sequence is acked.
    pub acked: u64,
    /// Messages that were not delivered yet.
    pub pending: u64,
    /// Whether nothing was delivered between two looks at the consumer, with the look at the
    /// stream between them: then what lies behind `delivered` and before `first_seq` was never
    /// delivered, and never will be.
    pub still: bool,
}

impl Standing {
    /// Sequences in the stream that are not known to be acked.
    #[must_use]
    pub fn unacked(&self) -> u64 {
        self.last_seq
            .saturating_sub(self.acked.max(self.first_seq.saturating_sub(1)))
    }
}

/// Asks for a consumer's standing; nothing when there is no such consumer.
///
/// # Errors
/// When the stream does not exist or `JetStream` does not answer.
pub async fn standing(mesh: &Mesh, stream: &str, durable: &str) -> Result<Option<Standing>, StreamError> {
    let Some(before) = state::consumer(mesh, stream, durable).await? else {
        return Ok(None);
    };
    let mut info = state::info(mesh, stream).await?;
    let Some(consumer) = state::consumer(mesh, stream, durable).await? else {
        return Ok(None);
    };
    let still = before.delivered.consumer_sequence == consumer.delivered.consumer_sequence;
    if !still {
        // The stream must be seen behind the consumer: what the consumer skipped was discarded
        // before it went on.
        info = state::info(mesh, stream).await?;
    }
    let limit = |limit: i64| u64::try_from(limit).ok().filter(|limit| *limit > 0);
    Ok(Some(Standing {
        epoch: info.config.metadata.get(EPOCH_KEY).cloned().unwrap_or_default(),
        first_seq: info.state.first_sequence,
        last_seq: info.state.last_sequence,
        bytes: info.state.bytes,
        max_bytes: limit(info.config.max_bytes),
        max_age: Some(info.config.max_age).filter(|age| !age.is_zero()),
        delivered: consumer.delivered.stream_sequence,
        deliveries: consumer.delivered.consumer_sequence,
        acked: consumer.ack_floor.stream_sequence,
        pending: consumer.num_pending,
        still,
    }))
}

/// When the first message at or behind this sequence was stored, µs since the epoch on the
/// server's clock; nothing when there is none.
///
/// # Errors
/// When `JetStream` does not answer or refuses.
pub async fn stored_at(mesh: &Mesh, stream: &str, seq: u64) -> Result<Option<u64>, StreamError> {
    // Only the time is wanted, and the whole message comes: whoever asks does so seldom.
    #[derive(serde::Deserialize)]
    struct Found {
        message: Raw,
    }
    #[derive(serde::Deserialize)]
    struct Raw {
        time: String,
    }
    let path = format!("STREAM.MSG.GET.{stream}");
    let question = json!({ "seq": seq.max(1), "next_by_subj": ">" });
    match state::request::<_, Found>(mesh, &path, &question).await? {
        Response::Ok(found) => Ok(humantime::parse_rfc3339(&found.message.time)
            .ok()
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
            .and_then(|since| u64::try_from(since.as_micros()).ok())),
        Response::Err { error } if error.code() == 404 => Ok(None),
        Response::Err { error } => Err(state::refusal(stream, &error)),
    }
}
