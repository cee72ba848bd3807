//! The traces that are kept: the latest ones, in bounded memory.

use std::collections::{BTreeMap, HashMap, VecDeque};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Bytes of spans that are kept, about.
const MAX_BYTES: usize = 64 << 20;
/// Spans of one trace; a message has about ten.
const MAX_SPANS: usize = 1_000;
/// Attributes, events and links of one span.
const MAX_ATTRIBUTES: usize = 32;
const MAX_EVENTS: usize = 32;
const MAX_LINKS: usize = 32;
/// Longest text, in bytes.
const MAX_TEXT: usize = 256;
/// The attribute that holds an event's id.
const MESSAGE_ID: &str = "messaging.message.id";

/// A span, as it is kept and told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Span {
    pub(super) service: String,
    pub(super) instance: String,
    pub(super) name: String,
    pub(super) kind: String,
    #[serde(rename = "span_id")]
    pub(super) id: String,
    /// Empty for a root.
    pub(super) parent_id: String,
    /// Nanoseconds since the epoch.
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    pub(super) attributes: BTreeMap<String, Value>,
    pub(super) events: Vec<Event>,
    pub(super) links: Vec<Link>,
    /// Links that there is no room for.
    pub(super) more_links: usize,
    /// Why it failed.
    pub(super) error: Option<String>,
}

/// Something that happened within a span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Event {
    pub(super) at_ns: u64,
    pub(super) name: String,
    pub(super) attributes: BTreeMap<String, Value>,
}

/// Another span that a span has to do with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Link {
    pub(super) trace_id: String,
    pub(super) span_id: String,
}

/// What the shelf holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Standing {
    pub(super) traces: usize,
    pub(super) spans: usize,
    pub(super) bytes: usize,
    /// Traces that had to make room.
    pub(super) aged_out: u64,
    /// Spans of traces that had too many.
    pub(super) left_out: u64,
}

#[derive(Debug, Default)]
struct Trace {
    spans: Vec<Span>,
    bytes: usize,
}

/// Traces by id, the oldest first to go.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    traces: HashMap<u128, Trace>,
    order: VecDeque<u128>,
    standing: Standing,
}

impl Shelf {
    /// Takes spans over, and makes room for them.
    pub(super) fn put(&mut self, request: ExportTraceServiceRequest) {
        for resource in request.resource_spans {
            let of = |name: &str| {
                let attributes = resource.resource.as_ref().map(|resource| &resource.attributes[..]);
                let found = attributes.unwrap_or_default().iter().find(|pair| pair.key == name);
                found.and_then(|pair| text(pair.value.as_ref())).unwrap_or_default()
            };
            let (service, instance) = (of("service.name"), of("service.instance.id"));
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                // One without an id belongs nowhere.
                let Ok(id) = <[u8; 16]>::try_from(&span.trace_id[..]) else {
                    continue;
                };
                self.keep(u128::from_be_bytes(id), kept(span, &service, &instance));
            }
        }
        while self.standing.bytes > MAX_BYTES
            && let Some(oldest) = self.order.pop_front()
        {
            if let Some(trace) = self.traces.remove(&oldest) {
                self.standing.bytes -= trace.bytes;
                self.standing.spans -= trace.spans.len();
                self.standing.aged_out += 1;
            }
        }
        self.standing.traces = self.traces.len();
    }

    /// The spans of a trace.
    pub(super) fn trace(&self, id: u128) -> Option<&[Span]> {
        self.traces.get(&id).map(|trace| &trace.spans[..])
    }

    /// The trace of an event.
    pub(super) fn of_event(&self, event: &str) -> Option<u128> {
        let is_of = |span: &Span| span.attributes.get(MESSAGE_ID).is_some_and(|id| id == event);
        // A batch names no message; the latest one is most likely what is asked for.
        let mut ids = self.order.iter().rev();
        ids.find(|id| self.traces.get(id).is_some_and(|trace| trace.spans.iter().any(is_of)))
            .copied()
    }

    /// What it holds.
    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    fn keep(&mut self, id: u128, span: Span) {
        let trace = self.traces.entry(id).or_insert_with(|| {
            self.order.push_back(id);
            Trace::default()
        });
        if trace.spans.len() >= MAX_SPANS {
            self.standing.left_out += 1;
            return;
        }
        let bytes = weight(&span);
        trace.spans.push(span);
        trace.bytes += bytes;
        self.standing.bytes += bytes;
        self.standing.spans += 1;
    }
}

fn kept(span: otlp::Span, service: &str, instance: &str) -> Span {
    let links = span.links.iter().take(MAX_LINKS).map(|link| Link {
        trace_id: hex(&link.trace_id),
        span_id: hex(&link.span_id),
    });
    let events = span.events.into_iter().take(MAX_EVENTS).map(|event| Event {
        at_ns: event.time_unix_nano,
        name: cut(event.name),
        attributes: attributes(event.attributes),
    });
    let status = span.status.unwrap_or_default();
    Span {
        service: service.to_owned(),
        instance: instance.to_owned(),
        name: cut(span.name),
        kind: match span.kind {
            2 => "server",
            3 => "client",
            4 => "producer",
            5 => "consumer",
            _ => "internal",
        }
        .to_owned(),
        id: hex(&span.span_id),
        parent_id: hex(&span.parent_span_id),
        start_ns: span.start_time_unix_nano,
        end_ns: span.end_time_unix_nano.max(span.start_time_unix_nano),
        attributes: attributes(span.attributes),
        events: events.collect(),
        more_links: span.links.len().saturating_sub(MAX_LINKS),
        links: links.collect(),
        error: (status.code == otlp::status::StatusCode::Error as i32).then(|| cut(status.message)),
    }
}

fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, Value> {
    let pairs = pairs.into_iter().take(MAX_ATTRIBUTES);
    pairs.map(|pair| (cut(pair.key), value(pair.value))).collect()
}

fn value(value: Option<AnyValue>) -> Value {
    match value.and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => Value::String(cut(text)),
        Some(any_value::Value::BoolValue(flag)) => Value::Bool(flag),
        Some(any_value::Value::IntValue(number)) => number.into(),
        Some(any_value::Value::DoubleValue(number)) => number.into(),
        // The mesh has no others.
        Some(_) | None => Value::Null,
    }
}

fn text(value: Option<&AnyValue>) -> Option<String> {
    match value?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(cut(text.clone())),
        _ => None,
    }
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text.shrink_to_fit();
    text
}

/// Ids have 16 and 8 bytes; what is longer is none.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().take(16).fold(String::new(), |mut out, byte| {
        // Writing to a string never fails.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Bytes in memory, about: texts, and what holds them.
fn weight(span: &Span) -> usize {
    let attributes = |attributes: &BTreeMap<String, Value>| -> usize {
        let pairs = attributes.iter();
        pairs
            .map(|(key, value)| 120 + key.len() + value.as_str().map_or(0, str::len))
            .sum()
    };
    let events: usize = span
        .events
        .iter()
        .map(|event| 100 + event.name.len() + attributes(&event.attributes))
        .sum();
    let texts = span.name.len() + span.service.len() + span.instance.len() + span.error.as_ref().map_or(0, String::len);
    512 + texts + attributes(&span.attributes) + events + span.links.len() * 128
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(traces: std::ops::Range<u64>, text: &str) -> ExportTraceServiceRequest {
        let attribute = |key: &str, text: String| KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue {
                value: Some(any_value::Value::StringValue(text)),
            }),
            ..KeyValue::default()
        };
        let spans = traces.map(|trace| otlp::Span {
            trace_id: u128::from(trace).to_be_bytes().to_vec(),
            span_id: trace.to_be_bytes().to_vec(),
            name: text.to_owned(),
            attributes: vec![attribute(MESSAGE_ID, format!("event-{trace}"))],
            ..otlp::Span::default()
        });
        let scope = otlp::ScopeSpans {
            spans: spans.collect(),
            ..otlp::ScopeSpans::default()
        };
        ExportTraceServiceRequest {
            resource_spans: vec![otlp::ResourceSpans {
                scope_spans: vec![scope],
                ..otlp::ResourceSpans::default()
            }],
        }
    }

    #[test]
    fn the_oldest_make_room() {
        let mut shelf = Shelf::default();
        let long = "x".repeat(10_000);
        let mut sent = 0;
        while shelf.standing().aged_out == 0 {
            shelf.put(request(sent..sent + 1_000, &long));
            sent += 1_000;
            assert!(sent < 1_000_000);
        }
        let standing = shelf.standing().clone();
        assert!(
            standing.bytes <= MAX_BYTES && standing.traces as u64 + standing.aged_out == sent,
            "{standing:?}"
        );
        assert_eq!(shelf.trace(0), None);
        assert_eq!(shelf.of_event("event-0"), None);
        let last = sent - 1;
        assert_eq!(shelf.of_event(&format!("event-{last}")), Some(u128::from(last)));
        assert_eq!(shelf.trace(u128::from(last)).unwrap()[0].name.len(), MAX_TEXT);
    }

    #[test]
    fn one_trace_may_not_take_all() {
        let mut shelf = Shelf::default();
        for _ in 0..=MAX_SPANS {
            shelf.put(request(7..8, "a"));
        }
        assert_eq!(shelf.trace(7).unwrap().len(), MAX_SPANS);
        assert_eq!(shelf.standing().left_out, 1);
    }
}
