//! Following a stream from a place on: every message once, in order, over reconnects.

use crate::delivery::Delivery;
use crate::mesh::Mesh;
use crate::ordered::Ordered;
use crate::state::{StreamError, stream_state};

/// Messages under way to a tail: about a millisecond of a busy stream, and a few hundred
/// kilobytes of memory.
const PREFETCH: usize = 1000;

/// Where a tail starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what is stored from now on.
    New,
    /// With the first message after this sequence.
    After(u64),
    /// With the last so many sequences (fewer messages, where some are gone or do not match).
    Last(u64),
}

/// Why a tail's next message is not there.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The stream was made anew, restored or lost its end. The next call goes on with the first
    /// message of the new epoch.
    #[error("the stream has a new epoch {epoch}")]
    Epoch {
        /// The new epoch.
        epoch: String,
    },
    /// The stream cannot be read, and trying again at once will not help.
    #[error(transparent)]
    Stream(StreamError),
}

/// A reader that follows a stream.
pub struct Tail {
    ordered: Ordered,
}

impl Tail {
    /// Starts to follow a stream.
    ///
    /// # Errors
    /// When the stream does not exist or `JetStream` does not answer.
    pub async fn open(
        mesh: &Mesh,
        stream: &str,
        start: Start,
        filter_subject: Option<&str>,
    ) -> Result<Self, StreamError> {
        let state = stream_state(mesh, stream).await?;
        let last = match start {
            Start::New => state.last_seq,
            // A place behind the end is none of this epoch: taking it for one would look like a
            // stream that lost its end.
            Start::After(seq) => seq.min(state.last_seq),
            Start::Last(n) => state.last_seq.saturating_sub(n),
        };
        let filters = filter_subject.map(str::to_owned).into_iter().collect();
        Ok(Self {
            ordered: Ordered::new(mesh, stream, filters, PREFETCH, &state, last),
        })
    }

    /// The next message; waits for it, through outages too. Safe to cancel.
    ///
    /// # Errors
    /// [`TailError::Epoch`] once per change; otherwise when the stream is gone.
    pub async fn next(&mut self) -> Result<Delivery, TailError> {
        self.ordered.next().await.map_err(|error| match error {
            StreamError::Epoch(epoch) => TailError::Epoch { epoch },
            error => TailError::Stream(error),
        })
    }

    /// A range before the next message that the stream lost while this reader was cut off from it,
    /// inclusive; messages of other subjects may be among them. Each is told once.
    pub fn take_missed(&mut self) -> Option<(u64, u64)> {
        self.ordered.take_missed()
    }

    /// Epoch of the stream that is followed.
    #[must_use]
    pub fn epoch(&self) -> &str {
        self.ordered.epoch()
    }

    /// Sequence of the last message that was handed out, or the place it started after.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.ordered.last()
    }
}
