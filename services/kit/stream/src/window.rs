//! Reading a range of a stream again, for resume and replay.

use std::time::Duration;

use crate::delivery::Delivery;
use crate::mesh::Mesh;
use crate::ordered::{self, Ordered};
use crate::state::{State, StreamError, stream_state};

/// Messages under way to a window: enough to keep the wire busy, little enough that a replay
/// leaves room for live readers.
const PREFETCH: usize = 512;

/// When nothing came for this time, the rest of the range may be gone: limits discard while a
/// window is read.
const QUIET: Duration = Duration::from_secs(1);

/// How often another consumer is made where the range ends early, and how long is waited before: on
/// one of three servers that is behind, this many consumers come to lie in one of 250 cases.
const LOOKS: usize = 5;
const LOOK_AGAIN: Duration = Duration::from_millis(150);

/// A bounded range of a stream. Ends by itself.
pub struct Window {
    ordered: Ordered,
    to: u64,
    ended: bool,
    /// It ended, and that was looked at twice where it needs to be.
    over: bool,
    state: State,
}

/// Opens the range `from..=to` (`None` = to the stream's end as it is now). `filters` are
/// subjects with wildcards, which must not overlap; none = everything.
///
/// # Errors
/// When the stream does not exist or `JetStream` does not answer.
pub async fn read(
    mesh: &Mesh,
    stream: &str,
    from: u64,
    to: Option<u64>,
    filters: &[&str],
) -> Result<Window, StreamError> {
    let state = stream_state(mesh, stream).await?;
    let to = to.map_or(state.last_seq, |to| to.min(state.last_seq));
    let from = from.max(state.first_seq).max(1);
    let filters = filters.iter().map(|&filter| filter.to_owned()).collect();
    let mut ordered = Ordered::new(mesh, stream, filters, PREFETCH, &state, from - 1);
    let ended = from > to || ordered.ready().await? == 0;
    Ok(Window {
        ordered,
        to,
        ended,
        over: false,
        state,
    })
}

/// The sequence of the first message that the stream stored at or after `since_us`, µs since the
/// epoch on the server's clock; one more than the last sequence when there is none.
///
/// # Errors
/// When the stream does not exist or `JetStream` does not answer.
pub async fn start_at(mesh: &Mesh, stream: &str, since_us: u64) -> Result<u64, StreamError> {
    ordered::start_at(mesh, stream, since_us).await
}

impl Window {
    /// The next message of the range; nothing at its end.
    ///
    /// # Errors
    /// [`StreamError::Epoch`] when the stream changed under the reader: what was read belongs to
    /// the old epoch, and the rest is gone. Otherwise when the stream is gone.
    pub async fn next(&mut self) -> Result<Option<Delivery>, StreamError> {
        if self.ended && self.is_over().await? {
            self.over = true;
            self.ordered.close().await;
            return Ok(None);
        }
        let delivery = loop {
            match tokio::time::timeout(QUIET, self.ordered.next()).await {
                Ok(next) => break next.inspect_err(|_| self.ended = true)?,
                Err(_) if self.ordered.is_drained().await => {
                    self.ended = true;
                    if self.is_over().await? {
                        self.over = true;
                        self.ordered.close().await;
                        return Ok(None);
                    }
                }
                Err(_) => {}
            }
        };
        self.ended = delivery.pending == 0 || delivery.seq >= self.to;
        if delivery.seq > self.to {
            self.over = true;
            self.ordered.close().await;
            return Ok(None);
        }
        Ok(Some(delivery))
    }

    /// Whether nothing of the range is left. A consumer may have come to lie on a server that is behind
    /// the others, whose end is not the stream's: it is made again then.
    async fn is_over(&mut self) -> Result<bool, StreamError> {
        if self.over || self.ordered.last() >= self.to || !self.ordered.is_in_cluster() {
            return Ok(true);
        }
        for _ in 0..LOOKS {
            tokio::time::sleep(LOOK_AGAIN).await;
            if self.ordered.open_again().await? > 0 {
                self.ended = false;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The stream's state when the window was opened.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Last sequence of the range.
    #[must_use]
    pub fn to(&self) -> u64 {
        self.to
    }
}
