//! Trace contexts that travel with messages, and spans for those that are sampled.
//!
//! Every message carries a W3C `traceparent`. Whether it is sampled is decided once, at its root;
//! an unsampled message costs random numbers here and never a span object. Spans of messages are
//! written down where they end, by [`record`]: they are bytes on their way to the receiver from
//! then on, so that tracing everything costs no more than it has to. What is not a message's hop
//! (a batch, upkeep) uses `tracing`'s spans, which log lines name.
//!
//! Messages that turn out slow or faulty after nobody sampled them get their spans afterwards, see
//! [`late`].

mod bridge;
mod encode;
pub(crate) mod export;
pub mod late;
mod span;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

pub(crate) use bridge::Bridge;
pub use span::{Event, Kind, Span, Value, record};

/// Share of traces that are sampled, as a threshold on 63 bits of their id; 0 until telemetry
/// exports.
static THRESHOLD: AtomicU64 = AtomicU64::new(0);
/// What the settings say, for when nothing else is asked for at run time.
static CONFIGURED: AtomicU64 = AtomicU64::new(0);
/// Whether a parent's decision counts.
static FOLLOWS_PARENT: AtomicBool = AtomicBool::new(true);
/// Whether spans go anywhere.
static EXPORTS: AtomicBool = AtomicBool::new(false);
const ALL: u64 = 1 << 63;

/// A W3C trace context: who the parent is, and whether the trace is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: u128,
    span_id: u64,
    sampled: bool,
}

impl TraceParent {
    /// Reads `00-<32 hex>-<16 hex>-<2 hex>`; nothing for anything else, all-zero ids included.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let lower_hex = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let sizes = (version.len(), trace.len(), span.len(), flags.len()) == (2, 32, 16, 2);
        // Version 00 has just these four parts; later ones may append to them.
        let ends = parts.next().is_none() || version != "00";
        if !sizes || !ends || version == "ff" || ![version, trace, span, flags].into_iter().all(lower_hex) {
            return None;
        }
        let context = Self {
            trace_id: u128::from_str_radix(trace, 16).ok()?,
            span_id: u64::from_str_radix(span, 16).ok()?,
            sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1,
        };
        (context.trace_id != 0 && context.span_id != 0).then_some(context)
    }

    /// Whether its root was sampled.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// Whether this process records spans for it: as its root was sampled, or as this process's
    /// own sampler says where that does not follow parents.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        if FOLLOWS_PARENT.load(Ordering::Relaxed) {
            self.sampled && exports()
        } else {
            is_chosen(self.trace_id)
        }
    }

    /// The trace's id.
    #[must_use]
    pub const fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// The span's id.
    #[must_use]
    pub const fn span_id(&self) -> u64 {
        self.span_id
    }

    /// A new span of the same trace.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            // W3C forbids zero; the lowest bit costs nothing.
            span_id: rand::random::<u64>() | 1,
            ..*self
        }
    }

    /// A context that belongs to no trace, for messages that nobody follows.
    #[must_use]
    pub fn unrelated() -> Self {
        Self {
            trace_id: rand::random::<u128>() | 1,
            span_id: rand::random::<u64>() | 1,
            sampled: false,
        }
    }

    /// The context of a `tracing` span; nothing where it is not exported.
    #[must_use]
    pub fn of(span: &tracing::Span) -> Option<Self> {
        let context = span.context();
        let context = context.span().span_context().clone();
        (context.is_valid() && context.is_sampled()).then(|| Self {
            trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
            span_id: u64::from_be_bytes(context.span_id().to_bytes()),
            sampled: true,
        })
    }

    fn span_context(&self) -> SpanContext {
        let flags = if self.sampled {
            TraceFlags::SAMPLED
        } else {
            TraceFlags::default()
        };
        let trace_id = TraceId::from_bytes(self.trace_id.to_be_bytes());
        let span_id = SpanId::from_bytes(self.span_id.to_be_bytes());
        SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace_id,
            self.span_id,
            u8::from(self.sampled)
        )
    }
}

/// Begins a trace, and decides whether it is sampled.
#[must_use]
pub fn root() -> TraceParent {
    let context = TraceParent::unrelated();
    TraceParent {
        sampled: is_chosen(context.trace_id),
        ..context
    }
}

/// Links a `tracing` span to another trace, as a batch to its messages.
pub fn link(span: &tracing::Span, to: &TraceParent) {
    span.add_link(to.span_context());
}

/// Whether spans go anywhere. Where they do not, nothing has to be remembered for them.
#[must_use]
pub fn exports() -> bool {
    EXPORTS.load(Ordering::Relaxed)
}

/// Changes the share of roots that are sampled, 0 to 1, until the process ends; nothing for what
/// the settings say. Without a receiver it has no effect.
pub fn resample(ratio: Option<f64>) {
    let threshold = ratio.map_or_else(|| CONFIGURED.load(Ordering::Relaxed), threshold);
    if exports() {
        THRESHOLD.store(threshold, Ordering::Relaxed);
    }
}

/// Which traces are sampled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sampler {
    pub(crate) ratio: f64,
    pub(crate) follows_parent: bool,
}

/// Spans go somewhere from now on.
pub(crate) fn start(sampler: Sampler) {
    FOLLOWS_PARENT.store(sampler.follows_parent, Ordering::Relaxed);
    CONFIGURED.store(threshold(sampler.ratio), Ordering::Relaxed);
    EXPORTS.store(true, Ordering::Relaxed);
    resample(None);
}

fn threshold(ratio: f64) -> u64 {
    ((ratio.clamp(0.0, 1.0) * ALL as f64) as u64).min(ALL)
}

/// The specification's `TraceIdRatioBased`: every process comes to the same answer.
fn is_chosen(trace_id: u128) -> bool {
    (trace_id as u64) >> 1 < THRESHOLD.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_is_sampled_without_a_receiver() {
        assert!(!exports());
        resample(Some(1.0));
        let root = root();
        assert!(!root.is_sampled() && !root.is_recorded());
        let child = root.child();
        assert!(child.trace_id() == root.trace_id() && child.span_id() != root.span_id());
    }

    #[test]
    fn ratios_are_thresholds_on_the_trace_s_id() {
        assert_eq!((threshold(0.0), threshold(1.0), threshold(7.0)), (0, ALL, ALL));
        assert_eq!(threshold(0.25), ALL / 4);
    }

    #[test]
    fn only_well_formed_contexts_are_read() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let parsed = TraceParent::parse(good).expect("well-formed");
        assert!(parsed.is_sampled() && parsed.to_string() == good);
        for bad in [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,60}") {
            let _ = TraceParent::parse(&text);
        }

        #[test]
        fn written_contexts_are_read(trace_id in 1u128.., span_id in 1u64.., sampled: bool) {
            let context = TraceParent { trace_id, span_id, sampled };
            prop_assert_eq!(TraceParent::parse(&context.to_string()), Some(context));
        }
    }
}
