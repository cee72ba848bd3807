//! A message's way through this process, as spans of its trace: `fan-out`, from its arrival to the
//! last mailbox, and `rendered`, until a client has painted it.

use std::sync::Arc;

use tgmesh_lifecycle::trace::late::{self, Recent};
use tgmesh_lifecycle::trace::{self, Kind, Span, TraceParent, Value};
use tgmesh_lifecycle::{Process, clock};
use tgmesh_stream::{Delivery, Mesh, traces};
use tokio::sync::mpsc;

/// Hops of unsampled messages that are remembered: some seconds of full load.
const REMEMBERED: usize = 32_768;
/// How far a client's clock may be beside ours, once it is corrected, and still be believed.
const SKEW_US: i64 = 1_000_000;
/// Clients whose `rendered` is told of one message: a thousand would say nothing more.
pub(crate) const MAX_RENDERED: u8 = 8;

/// Where spans of messages go. Clones share it.
#[derive(Clone)]
pub struct Spans {
    hops: Arc<Recent<Hop>>,
}

/// A message that is being handed to the clients' mailboxes.
#[derive(Debug, Clone, Copy)]
pub struct FanOut {
    parent: TraceParent,
    context: TraceParent,
    began_us: i64,
}

/// What is remembered of an unsampled message.
#[derive(Debug)]
struct Hop {
    fan_out: FanOut,
    seq: u64,
    ended_us: i64,
    error: Option<Box<str>>,
}

impl Spans {
    /// A place for spans, and the ids of traces that are to be told to other processes.
    pub fn new(process: &Process) -> (Self, mpsc::Receiver<u128>) {
        let (hops, asked) = Recent::new(REMEMBERED, &process.metrics);
        (Self { hops: Arc::new(hops) }, asked)
    }

    /// Answers when other processes ask for the spans of a message, until the process ends.
    pub fn follow(&self, process: &Process, mesh: &Mesh, asked: mpsc::Receiver<u128>) {
        if !trace::exports() {
            return;
        }
        let (hearing, mesh) = (Arc::clone(&self.hops), mesh.clone());
        self.hops.answer(process, async move {
            traces::relay(&mesh, asked, |id| hearing.want(id)).await;
        });
    }

    /// Every mailbox that wants the message has it.
    pub(crate) fn end(&self, fan_out: FanOut, delivery: &Delivery, error: Option<String>) {
        if !trace::exports() {
            return;
        }
        let ended_us = clock::now_us();
        let is_remarkable = error.is_some() || late::is_slow(ended_us - delivery.published_us.cast_signed());
        let hop = Hop {
            fan_out,
            seq: delivery.seq,
            ended_us,
            error: error.map(Into::into),
        };
        if fan_out.parent.is_recorded() {
            hop.write(Some(&delivery.subject));
        } else {
            self.hops.note(hop, is_remarkable);
        }
    }
}

impl FanOut {
    /// A message that came just now.
    #[must_use]
    pub fn begin(parent: TraceParent, delivery: &Delivery) -> Self {
        let context = if parent.is_recorded() { parent.child() } else { parent };
        Self {
            parent,
            context,
            began_us: delivery.arrived_us,
        }
    }

    /// The context that clients are given: the span of the fan-out where there is one.
    #[must_use]
    pub const fn context(&self) -> TraceParent {
        self.context
    }

    /// A client says that it has painted the message at `at_ms` by its clock, corrected by what
    /// `pong` told it. A time that cannot be is not believed: then this moment counts.
    pub(crate) fn rendered(&self, seq: u64, at_ms: f64) {
        if !self.parent.is_recorded() {
            return;
        }
        let now_us = clock::now_us();
        let (painted_us, is_believed) = painted(at_ms, self.began_us, now_us);
        let attributes = [
            ("tgmesh.stream.sequence", Value::Int(seq.cast_signed())),
            (
                "tgmesh.clock",
                Value::Str(if is_believed { "client" } else { "gateway" }),
            ),
        ];
        trace::record(&Span {
            parent: Some(self.context.span_id()),
            attributes: &attributes,
            ..Span::new(
                self.context.child(),
                "rendered",
                Kind::Client,
                (self.began_us, painted_us),
            )
        });
    }
}

/// When a message was painted, and whether the client's word was taken for it. It cannot have been
/// before it came here, nor after the client said so; small differences are those of clocks.
fn painted(at_ms: f64, began_us: i64, now_us: i64) -> (i64, bool) {
    if !at_ms.is_finite() {
        return (now_us, false);
    }
    // Saturates.
    let painted_us = (at_ms * 1000.0) as i64;
    let is_believable = (began_us - SKEW_US..=now_us + SKEW_US).contains(&painted_us);
    if is_believable {
        (painted_us.clamp(began_us, now_us.max(began_us)), true)
    } else {
        (now_us, false)
    }
}

impl late::Hop for Hop {
    fn trace_id(&self) -> u128 {
        self.fan_out.parent.trace_id()
    }

    fn record(&self) {
        self.write(None);
    }
}

impl Hop {
    fn write(&self, subject: Option<&str>) {
        let FanOut {
            parent,
            context,
            began_us,
        } = self.fan_out;
        // Nobody was told of a span that there was none of.
        let context = if context == parent { parent.child() } else { context };
        let attributes = [
            ("messaging.system", Value::Str("nats")),
            ("messaging.operation.name", Value::Str("fan-out")),
            ("messaging.operation.type", Value::Str("process")),
            (
                "messaging.destination.template",
                Value::Str("tgmesh.v1.detections.{chat}.{family}"),
            ),
            ("tgmesh.stream.sequence", Value::Int(self.seq.cast_signed())),
            ("messaging.destination.name", Value::Str(subject.unwrap_or_default())),
        ];
        trace::record(&Span {
            parent: Some(parent.span_id()),
            is_parent_remote: true,
            attributes: if subject.is_some() {
                &attributes
            } else {
                &attributes[..5]
            },
            error: self.error.as_deref(),
            ..Span::new(context, "fan-out", Kind::Consumer, (began_us, self.ended_us))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_s_clock_is_believed_within_reason() {
        let (began, now) = (1_000_000_000, 1_000_500_000);
        assert_eq!(painted(1_000_200.5, began, now), (1_000_200_500, true));
        // A little beside ours: neither before it came nor after it was said.
        assert_eq!(painted(999_900.0, began, now), (began, true));
        assert_eq!(painted(1_000_900.0, began, now), (now, true));
        for lie in [
            0.0,
            -5.0,
            998_000.0,
            1_002_000.0,
            1e300,
            -1e300,
            f64::NAN,
            f64::INFINITY,
        ] {
            assert_eq!(painted(lie, began, now), (now, false), "{lie}");
        }
    }
}
