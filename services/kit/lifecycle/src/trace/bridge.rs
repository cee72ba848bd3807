//! The way of `tracing`'s own spans (batches, upkeep) into the same queue.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{Context, Value as Given};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span as Live, SpanData, SpanProcessor};

use super::span::{Kind, Span, Value, record};
use super::{SpanContext, TraceParent};

/// Hands ended spans over. The SDK's own processor drops in silence.
#[derive(Debug)]
pub(crate) struct Bridge;

impl SpanProcessor for Bridge {
    fn on_start(&self, _span: &mut Live, _cx: &Context) {}

    fn on_end(&self, span: SpanData) {
        let links: Vec<_> = span.links.iter().map(|link| context(&link.span_context)).collect();
        let texts: Vec<_> = span
            .attributes
            .iter()
            .map(|pair| (pair.key.as_str(), pair.value.as_str()))
            .collect();
        let attributes: Vec<_> = span
            .attributes
            .iter()
            .zip(&texts)
            .map(|(pair, (key, text))| match pair.value {
                Given::I64(number) => (*key, Value::Int(number)),
                Given::Bool(flag) => (*key, Value::Bool(flag)),
                _ => (*key, Value::Str(text)),
            })
            .collect();
        let parent = u64::from_be_bytes(span.parent_span_id.to_bytes());
        record(&Span {
            name: &span.name,
            kind: match span.span_kind {
                SpanKind::Client => Kind::Client,
                SpanKind::Producer => Kind::Producer,
                SpanKind::Consumer => Kind::Consumer,
                SpanKind::Internal | SpanKind::Server => Kind::Internal,
            },
            context: context(&span.span_context),
            parent: (parent != 0).then_some(parent),
            is_parent_remote: span.parent_span_is_remote,
            start_us: us(span.start_time),
            end_us: us(span.end_time),
            attributes: &attributes,
            events: &[],
            links: &links,
            error: match &span.status {
                Status::Error { description } => Some(description),
                Status::Unset | Status::Ok => None,
            },
        });
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn context(of: &SpanContext) -> TraceParent {
    TraceParent {
        trace_id: u128::from_be_bytes(of.trace_id().to_bytes()),
        span_id: u64::from_be_bytes(of.span_id().to_bytes()),
        sampled: of.is_sampled(),
    }
}

fn us(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
