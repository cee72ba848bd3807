//! Trace contexts that travel with messages, and spans for those that are sampled.
//!
//! Every message carries a W3C `traceparent`. Whether it is sampled is decided once, at its root;
//! an unsampled message costs a random number here and never a span object.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Share of roots that are sampled, as a threshold on 63 random bits; 0 until telemetry exports.
static THRESHOLD: AtomicU64 = AtomicU64::new(0);
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

    /// Whether spans are recorded for it.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.sampled
    }

    fn random(sampled: bool) -> Self {
        // W3C forbids zero; the lowest bit costs nothing.
        Self {
            trace_id: rand::random::<u128>() | 1,
            span_id: rand::random::<u64>() | 1,
            sampled,
        }
    }

    fn of(span: &Span) -> Option<Self> {
        let context = span.context();
        let context = context.span().span_context().clone();
        context.is_valid().then(|| Self {
            trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
            span_id: u64::from_be_bytes(context.span_id().to_bytes()),
            sampled: context.is_sampled(),
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

/// Begins a trace: decides whether it is sampled, and makes its first span if it is.
pub fn root(span: impl FnOnce() -> Span) -> (Span, TraceParent) {
    let threshold = THRESHOLD.load(Ordering::Relaxed);
    if threshold == 0 || rand::random::<u64>() >> 1 >= threshold {
        return (Span::none(), TraceParent::random(false));
    }
    let span = span();
    let context = TraceParent::of(&span).unwrap_or_else(|| TraceParent::random(false));
    (span, context)
}

/// Goes on with a trace: makes a span under `parent` if it is sampled. The context is the new
/// span's, or the parent's where there is none.
pub fn child(parent: &TraceParent, span: impl FnOnce() -> Span) -> (Span, TraceParent) {
    if !parent.sampled {
        return (Span::none(), *parent);
    }
    let span = span();
    let remote = opentelemetry::Context::new().with_remote_span_context(parent.span_context());
    // It fails where no exporter is set or the span is filtered out: the parent's context stands.
    let context = span.set_parent(remote).ok().and_then(|()| TraceParent::of(&span));
    (span, context.unwrap_or(*parent))
}

/// Links a span to another trace, as a batch to its messages.
pub fn link(span: &Span, to: &TraceParent) {
    if to.sampled {
        span.add_link(to.span_context());
    }
}

/// Sets the share of roots that are sampled, 0 to 1.
pub(crate) fn sample(ratio: f64) {
    let threshold = (ratio.clamp(0.0, 1.0) * ALL as f64) as u64;
    THRESHOLD.store(threshold.min(ALL), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unsampled_roots_make_no_span() {
        let (span, context) = root(|| panic!("no span was asked for"));
        assert!(span.is_none() && !context.is_sampled());
        let (span, same) = child(&context, || panic!("no span was asked for"));
        assert!(span.is_none() && same == context);
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
