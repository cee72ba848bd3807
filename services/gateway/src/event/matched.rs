//! A match on its way to many clients.

use std::sync::Arc;

use bytes::Bytes;
use tgmesh_proto::codec::{self, DecodeError};
use tgmesh_proto::matched::Match;

use super::View;
use super::frames::{self, Frames, Head};
use crate::wire::Format;

/// A match of the stream MATCHES.
#[derive(Debug)]
pub struct MatchEvent {
    /// Sequence in MATCHES.
    pub seq: u64,
    /// When the stream stored it, µs since the epoch, on the server's clock.
    pub published_us: u64,
    /// The match.
    pub data: Match,
    /// Bytes of the payload in the stream.
    pub size: usize,
    frames: Frames,
}

impl MatchEvent {
    /// Reads a match of the stream.
    ///
    /// # Errors
    /// When the payload is none.
    pub fn read(seq: u64, published_us: u64, payload: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self {
            seq,
            published_us,
            data: codec::decode_match(payload)?,
            size: payload.len(),
            frames: Frames::default(),
        })
    }

    /// The `match` frame for a subscription, shared by all clients that use the same words.
    #[must_use]
    pub fn frame(&self, format: Format, view: View, id: &Arc<str>) -> Bytes {
        let head = Head {
            kind: "match",
            seq: self.seq,
            trace: None,
        };
        self.frames.frame(head, (format, view), id, || self.body(format, view))
    }

    fn body(&self, format: Format, view: View) -> Bytes {
        let view = if self.data.sender.is_some() { view } else { View::Full };
        self.frames.body(format, view, || match view {
            View::Full => frames::encode(format, &self.data),
            View::Reduced => frames::encode(
                format,
                &Match {
                    sender: None,
                    ..self.data.clone()
                },
            ),
        })
    }
}
