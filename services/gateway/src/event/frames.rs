//! Encoded forms of an event, each made once.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use tgmesh_lifecycle::trace::TraceParent;

use super::View;
use crate::wire::Format;

/// Frames that are kept beside an event. Clients of one kind use one subscription id, so that few
/// forms serve nearly all of them; others are put together anew.
pub(super) const MAX_KEPT: usize = 4;

/// The forms of one event.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bodies: [OnceLock<Bytes>; 4],
    pub(super) kept: Mutex<Vec<Kept>>,
}

/// What a frame says besides the event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    /// Its type.
    pub kind: &'static str,
    /// Sequence of the event.
    pub seq: u64,
    /// Trace context, for detections.
    pub trace: Option<TraceParent>,
}

#[derive(Debug)]
pub(super) struct Kept {
    format: Format,
    view: View,
    id: Arc<str>,
    frame: Bytes,
}

impl Frames {
    /// The frame for a subscription, shared by all clients that use the same words.
    pub fn frame(
        &self,
        head: Head,
        (format, view): (Format, View),
        id: &Arc<str>,
        body: impl FnOnce() -> Bytes,
    ) -> Bytes {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |kept: &&Kept| kept.format == format && kept.view == view && kept.id == *id;
        if let Some(kept) = kept.iter().find(same) {
            return kept.frame.clone();
        }
        let frame = head.build(format, id, &body());
        if kept.len() < MAX_KEPT {
            kept.push(Kept {
                format,
                view,
                id: Arc::clone(id),
                frame: frame.clone(),
            });
        }
        frame
    }

    /// The encoded event.
    pub fn body(&self, format: Format, view: View, encode: impl FnOnce() -> Bytes) -> Bytes {
        let slot = usize::from(format == Format::Msgpack) * 2 + usize::from(view == View::Full);
        self.bodies[slot].get_or_init(encode).clone()
    }
}

impl Head {
    /// The same bytes as an encoded `ServerFrame`; a test holds the two together.
    fn build(self, format: Format, id: &str, body: &Bytes) -> Bytes {
        let Self { kind, seq, trace } = self;
        let trace = trace.map(|trace| trace.to_string());
        match format {
            Format::Json => {
                let mut frame = String::with_capacity(body.len() + id.len() + 160);
                // Writing to a string cannot fail.
                let _ = write!(
                    frame,
                    r#"{{"type":"{kind}","id":{},"seq":{seq},"data":"#,
                    serde_json::Value::from(id),
                );
                // The body is JSON that this process wrote.
                frame.push_str(&String::from_utf8_lossy(body));
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
                for text in ["type", kind, "id", id, "seq"] {
                    put(&mut frame, text);
                }
                put(&mut frame, &seq);
                put(&mut frame, "data");
                frame.extend_from_slice(body);
                if let Some(trace) = trace {
                    put(&mut frame, "traceparent");
                    put(&mut frame, &trace);
                }
                Bytes::from(frame)
            }
        }
    }
}

/// Encodes an event.
pub(super) fn encode<T: Serialize>(format: Format, event: &T) -> Bytes {
    match format {
        // Neither can fail: the event came out of MessagePack, it has string keys and finite numbers.
        Format::Json => serde_json::to_vec(event).unwrap_or_default().into(),
        Format::Msgpack => rmp_serde::to_vec_named(event).unwrap_or_default().into(),
    }
}

fn put<T: Serialize + ?Sized>(frame: &mut Vec<u8>, value: &T) {
    // Writing to memory cannot fail.
    let _ = rmp_serde::encode::write_named(frame, value);
}
