//! What a stream still holds, and how far a consumer has come in it.

use std::time::Duration;

use crate::mesh::Mesh;
use crate::state::{self, StreamError};
use crate::topology::EPOCH_KEY;

/// A stream at one moment, and a durable consumer a moment earlier: what lies between the two was
/// thrown out before it was acked, at the latest by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Epoch of the stream.
    pub epoch: String,
    /// Oldest sequence that the stream holds; one more than `last_seq` when it is empty.
    pub first_seq: u64,
    /// Newest sequence.
    pub last_seq: u64,
    /// Within it the stream takes a message id that it knew for a repeat, though the message is
    /// gone.
    pub duplicate_window: Duration,
    /// Everything up to this sequence is acked; nothing when there is no such consumer.
    pub acked: Option<u64>,
    /// The last sequence that it delivered, and how many deliveries there were, repeats included:
    /// each delivery moves both by one, and what the first moved more was skipped.
    pub delivered: u64,
    /// See [`Retention::delivered`].
    pub deliveries: u64,
}

/// Asks for it.
///
/// # Errors
/// When the stream does not exist or `JetStream` does not answer.
pub async fn retention(mesh: &Mesh, stream: &str, durable: &str) -> Result<Retention, StreamError> {
    // The consumer first: the other way round its floor may have passed what was just thrown out.
    let consumer = state::consumer(mesh, stream, durable).await?;
    let info = state::info(mesh, stream).await?;
    Ok(Retention {
        epoch: info.config.metadata.get(EPOCH_KEY).cloned().unwrap_or_default(),
        first_seq: info.state.first_sequence,
        last_seq: info.state.last_sequence,
        duplicate_window: info.config.duplicate_window,
        acked: consumer.as_ref().map(|info| info.ack_floor.stream_sequence),
        delivered: consumer.as_ref().map_or(0, |info| info.delivered.stream_sequence),
        deliveries: consumer.as_ref().map_or(0, |info| info.delivered.consumer_sequence),
    })
}
