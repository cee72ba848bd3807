//! An event on its way to many clients: decoded once, encoded once for each form it is sent in.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use tgmesh_lifecycle::trace::TraceParent;
use tgmesh_proto::codec::{self, DecodeError};
use tgmesh_proto::detection::Detection;

use crate::filter::address_key;
use crate::wire::Format;

/// Frames that are kept beside an event. Clients of one kind use one subscription id, so that few
/// forms serve nearly all of them; others are put together anew.
const MAX_KEPT_FRAMES: usize = 4;

/// What a client of a role is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Without `sender` and `seen_before`.
    Reduced,
    /// All of it.
    Full,
}

/// An event of the stream.
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
    bodies: [OnceLock<Bytes>; 4],
    frames: Mutex<Vec<Kept>>,
}

#[derive(Debug)]
struct Kept {
    format: Format,
    view: View,
    id: Arc<str>,
    frame: Bytes,
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
            bodies: Default::default(),
            frames: Mutex::default(),
        })
    }

    /// Bytes that it occupies in memory with all that is kept beside it, about.
    #[must_use]
    pub fn weight(&self) -> usize {
        // Decoded once, four bodies at most, and some frames.
        512 + self.size * (2 + MAX_KEPT_FRAMES)
    }

    /// The `detection` frame for a subscription, shared by all clients that use the same words.
    #[must_use]
    pub fn frame(&self, format: Format, view: View, id: &Arc<str>) -> Bytes {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |kept: &&Kept| kept.format == format && kept.view == view && kept.id == *id;
        if let Some(kept) = frames.iter().find(same) {
            return kept.frame.clone();
        }
        let frame = self.build(format, view, id);
        if frames.len() < MAX_KEPT_FRAMES {
            frames.push(Kept {
                format,
                view,
                id: Arc::clone(id),
                frame: frame.clone(),
            });
        }
        frame
    }

    /// The same bytes as an encoded `ServerFrame::Detection`; a test holds the two together.
    fn build(&self, format: Format, view: View, id: &str) -> Bytes {
        let body = self.body(format, view);
        let trace = self.trace.map(|trace| trace.to_string());
        match format {
            Format::Json => {
                let mut frame = String::with_capacity(body.len() + id.len() + 160);
                // Writing to a string cannot fail.
                let _ = write!(
                    frame,
                    r#"{{"type":"detection","id":{},"seq":{},"data":"#,
                    serde_json::Value::from(id),
                    self.seq
                );
                // The body is JSON that this process wrote.
                frame.push_str(&String::from_utf8_lossy(&body));
                if let Some(trace) = trace {
                    let _ = write!(frame, r#","traceparent":"{trace}""#);
                }
                frame.push('}');
                Bytes::from(frame)
            }
            Format::Msgpack => {
                let mut frame = Vec::with_capacity(body.len() + id.len() + 128);
                // A map of four or five pairs.
                frame.push(if trace.is_some() { 0x85 } else { 0x84 });
                for text in ["type", "detection", "id", id, "seq"] {
                    put(&mut frame, text);
                }
                put(&mut frame, &self.seq);
                put(&mut frame, "data");
                frame.extend_from_slice(&body);
                if let Some(trace) = trace {
                    put(&mut frame, "traceparent");
                    put(&mut frame, &trace);
                }
                Bytes::from(frame)
            }
        }
    }

    fn body(&self, format: Format, view: View) -> Bytes {
        let reduces = self.detection.sender.is_some() || self.detection.seen_before.is_some();
        let view = if reduces { view } else { View::Full };
        let slot = usize::from(format == Format::Msgpack) * 2 + usize::from(view == View::Full);
        self.bodies[slot]
            .get_or_init(|| match view {
                View::Full => encode(format, &self.detection),
                View::Reduced => encode(
                    format,
                    &Detection {
                        sender: None,
                        seen_before: None,
                        ..self.detection.clone()
                    },
                ),
            })
            .clone()
    }
}

fn encode(format: Format, detection: &Detection) -> Bytes {
    match format {
        // Neither can fail: the event came out of MessagePack, it has string keys and finite numbers.
        Format::Json => serde_json::to_vec(detection).unwrap_or_default().into(),
        Format::Msgpack => rmp_serde::to_vec_named(detection).unwrap_or_default().into(),
    }
}

fn put<T: serde::Serialize + ?Sized>(frame: &mut Vec<u8>, value: &T) {
    // Writing to memory cannot fail.
    let _ = rmp_serde::encode::write_named(frame, value);
}

#[cfg(test)]
pub(crate) mod tests;
