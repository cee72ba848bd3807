//! An event on its way to many clients: decoded once, encoded once for each form it is sent in.

mod frames;
mod matched;

pub use matched::MatchEvent;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use tgmesh_lifecycle::trace::TraceParent;
use tgmesh_proto::codec::{self, DecodeError};
use tgmesh_proto::detection::Detection;

use crate::filter::address_key;
use crate::spans::{FanOut, MAX_RENDERED};
use crate::wire::Format;
use frames::{Frames, Head};

/// What a client of a role is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Without `sender` and `seen_before`.
    Reduced,
    /// All of it.
    Full,
}

/// A detection of the stream.
#[derive(Debug)]
pub struct Event {
    /// Sequence in DETECTIONS.
    pub seq: u64,
    /// When the stream stored it, µs since the epoch, on the server's clock.
    pub published_us: u64,
    /// The event.
    pub detection: Detection,
    /// Its address as filters compare it.
    pub address_key: String,
    /// Trace context for the client: that of the fan-out's span where it is sampled.
    pub trace: Option<TraceParent>,
    /// Bytes of the payload in the stream.
    pub size: usize,
    /// Its way to the clients, where it came live.
    pub fan_out: Option<FanOut>,
    rendered: AtomicU8,
    frames: Frames,
}

impl Event {
    /// Reads an event of the stream.
    ///
    /// # Errors
    /// When the payload is none.
    pub fn read(seq: u64, published_us: u64, payload: &[u8], trace: Option<TraceParent>) -> Result<Self, DecodeError> {
        let detection = codec::decode(payload)?;
        Ok(Self {
            seq,
            published_us,
            address_key: address_key(&detection.address),
            detection,
            trace,
            size: payload.len(),
            fan_out: None,
            rendered: AtomicU8::new(0),
            frames: Frames::default(),
        })
    }

    /// The same, which came live.
    #[must_use]
    pub fn with_fan_out(self, fan_out: Option<FanOut>) -> Self {
        Self { fan_out, ..self }
    }

    /// A client has painted it. Few of them are told of: the rest says nothing new.
    pub fn rendered(&self, at_ms: f64) {
        if let Some(fan_out) = &self.fan_out
            && self.rendered.load(Ordering::Relaxed) < MAX_RENDERED
            && self.rendered.fetch_add(1, Ordering::Relaxed) < MAX_RENDERED
        {
            fan_out.rendered(self.seq, at_ms);
        }
    }

    /// Bytes that it occupies in memory with all that is kept beside it, about.
    #[must_use]
    pub fn weight(&self) -> usize {
        // Decoded once, four bodies at most, and some frames.
        512 + self.size * (2 + frames::MAX_KEPT)
    }

    /// The `detection` frame for a subscription, shared by all clients that use the same words.
    #[must_use]
    pub fn frame(&self, format: Format, view: View, id: &Arc<str>) -> Bytes {
        let head = Head {
            kind: "detection",
            seq: self.seq,
            trace: self.trace,
        };
        self.frames.frame(head, (format, view), id, || self.body(format, view))
    }

    fn body(&self, format: Format, view: View) -> Bytes {
        let reduces = self.detection.sender.is_some() || self.detection.seen_before.is_some();
        let view = if reduces { view } else { View::Full };
        self.frames.body(format, view, || match view {
            View::Full => frames::encode(format, &self.detection),
            View::Reduced => frames::encode(
                format,
                &Detection {
                    sender: None,
                    seen_before: None,
                    ..self.detection.clone()
                },
            ),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
