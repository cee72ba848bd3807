//! OTLP's protobuf, written straight from borrowed data: a span costs no allocation.
//!
//! Field numbers are those of opentelemetry-proto's `trace.proto`; a test reads what is written
//! with the types generated from it.

use std::cell::RefCell;

use super::TraceParent;
use super::span::{Event, Kind, Span, Value};

/// `Span.flags`: whether the parent is remote is known, and whether it is.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;
/// Longest text of an attribute or an error, in bytes.
const MAX_TEXT: usize = 256;

/// Wire types.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

thread_local! {
    static SCRATCH: RefCell<(Vec<u8>, Vec<u8>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// Gives the span's bytes as an entry of `ScopeSpans.spans`.
pub(super) fn with_span<T>(span: &Span<'_>, then: impl FnOnce(&[u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|(body, entry)| {
        body.clear();
        entry.clear();
        put_span(body, span);
        put_bytes(entry, 2, body);
        then(entry)
    })
}

/// A whole `ExportTraceServiceRequest` around entries of `ScopeSpans.spans`.
pub(super) fn request(resource: &[u8], spans: &[u8]) -> Vec<u8> {
    let mut scope = Vec::new();
    put_bytes(&mut scope, 1, b"tgmesh");
    let mut scope_head = Vec::new();
    put_bytes(&mut scope_head, 1, &scope);
    let scope_len = scope_head.len() + spans.len();
    let mut resource_head = Vec::with_capacity(resource.len() + 16);
    put_bytes(&mut resource_head, 1, resource);
    put_key(&mut resource_head, 2, BYTES);
    put_varint(&mut resource_head, scope_len as u64);
    let mut out = Vec::with_capacity(scope_len + resource_head.len() + 16);
    put_key(&mut out, 1, BYTES);
    put_varint(&mut out, (resource_head.len() + scope_len) as u64);
    out.extend_from_slice(&resource_head);
    out.extend_from_slice(&scope_head);
    out.extend_from_slice(spans);
    out
}

/// A `Resource`.
pub(super) fn resource(attributes: &[(&str, Value<'_>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in attributes {
        put_attribute(&mut out, 1, key, value);
    }
    out
}

/// How many spans a receiver refused, out of its `ExportTraceServiceResponse`; 0 for what is none.
pub(super) fn rejected(response: &[u8]) -> u64 {
    // partial_success = 1 { rejected_spans = 1, error_message = 2 }
    let field = |bytes: &[u8], kind: u32| -> Option<(u64, usize)> {
        let (key, used) = varint(bytes)?;
        let (value, more) = varint(&bytes[used..])?;
        (key == u64::from(1 << 3 | kind)).then_some((value, used + more))
    };
    let Some((len, at)) = field(response, BYTES) else {
        return 0;
    };
    let end = usize::try_from(len).ok().and_then(|len| at.checked_add(len));
    let inner = end.and_then(|end| response.get(at..end)).unwrap_or_default();
    field(inner, VARINT).map_or(0, |(rejected, _)| rejected)
}

fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * at as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

fn put_span(out: &mut Vec<u8>, span: &Span<'_>) {
    put_ids(out, &span.context);
    if let Some(parent) = span.parent {
        put_bytes(out, 4, &parent.to_be_bytes());
    }
    put_bytes(out, 5, span.name.as_bytes());
    put_key(out, 6, VARINT);
    put_varint(
        out,
        match span.kind {
            Kind::Internal => 1,
            Kind::Client => 3,
            Kind::Producer => 4,
            Kind::Consumer => 5,
        },
    );
    put_time(out, 7, span.start_us);
    put_time(out, 8, span.end_us.max(span.start_us));
    for (key, value) in span.attributes {
        put_attribute(out, 9, key, value);
    }
    for event in span.events {
        put_event(out, event);
    }
    for link in span.links {
        put_link(out, link);
    }
    if let Some(error) = span.error {
        let error = cut(error);
        put_key(out, 15, BYTES);
        put_varint(out, (bytes_len(error.len()) + 2) as u64);
        put_bytes(out, 2, error.as_bytes());
        put_key(out, 3, VARINT);
        put_varint(out, 2);
    }
    let remote = if span.is_parent_remote { IS_REMOTE } else { 0 };
    put_key(out, 16, FIXED32);
    // Late spans of unsampled traces are recorded all the same, so that receivers keep them.
    out.extend_from_slice(&(1 | HAS_IS_REMOTE | remote).to_le_bytes());
}

fn put_ids(out: &mut Vec<u8>, context: &TraceParent) {
    put_bytes(out, 1, &context.trace_id().to_be_bytes());
    put_bytes(out, 2, &context.span_id().to_be_bytes());
}

fn put_event(out: &mut Vec<u8>, event: &Event<'_>) {
    let attributes: usize = event
        .attributes
        .iter()
        .map(|(key, value)| bytes_len(attribute_len(key, value)))
        .sum();
    put_key(out, 11, BYTES);
    put_varint(out, (9 + bytes_len(event.name.len()) + attributes) as u64);
    put_time(out, 1, event.at_us);
    put_bytes(out, 2, event.name.as_bytes());
    for (key, value) in event.attributes {
        put_attribute(out, 3, key, value);
    }
}

fn put_link(out: &mut Vec<u8>, link: &TraceParent) {
    // Ids of 16 and 8 bytes with their heads, and the flags.
    put_key(out, 13, BYTES);
    put_varint(out, 18 + 10 + 5);
    put_ids(out, link);
    put_key(out, 6, FIXED32);
    out.extend_from_slice(&(u32::from(link.is_sampled()) | HAS_IS_REMOTE | IS_REMOTE).to_le_bytes());
}

fn put_attribute(out: &mut Vec<u8>, field: u32, key: &str, value: &Value<'_>) {
    put_key(out, field, BYTES);
    put_varint(out, attribute_len(key, value) as u64);
    put_bytes(out, 1, key.as_bytes());
    put_key(out, 2, BYTES);
    put_varint(out, value_len(value) as u64);
    match value {
        Value::Str(text) => put_bytes(out, 1, cut(text).as_bytes()),
        Value::Bool(flag) => {
            put_key(out, 2, VARINT);
            put_varint(out, u64::from(*flag));
        }
        Value::Int(number) => {
            put_key(out, 3, VARINT);
            put_varint(out, number.cast_unsigned());
        }
    }
}

fn attribute_len(key: &str, value: &Value<'_>) -> usize {
    bytes_len(key.len()) + bytes_len(value_len(value))
}

fn value_len(value: &Value<'_>) -> usize {
    match value {
        Value::Str(text) => bytes_len(cut(text).len()),
        Value::Bool(_) => 2,
        Value::Int(number) => 1 + varint_len(number.cast_unsigned()),
    }
}

/// A field of bytes with its head, for field numbers below 16.
fn bytes_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

fn put_time(out: &mut Vec<u8>, field: u32, us: i64) {
    put_key(out, field, FIXED64);
    let ns = us.max(0).unsigned_abs().saturating_mul(1000);
    out.extend_from_slice(&ns.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_key(out, field, BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_key(out: &mut Vec<u8>, field: u32, kind: u32) {
    put_varint(out, u64::from(field << 3 | kind));
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    };
    use opentelemetry_proto::tonic::common::v1::any_value;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn read(span: &Span<'_>) -> ExportTraceServiceRequest {
        let resource = resource(&[("service.name", Value::Str("tgmesh-x"))]);
        let bytes = with_span(span, |entry| request(&resource, &[entry, entry].concat()));
        ExportTraceServiceRequest::decode(&bytes[..]).expect("protobuf")
    }

    fn attribute(pair: &KeyValue) -> (String, any_value::Value) {
        let Some(AnyValue { value: Some(value) }) = pair.value.clone() else {
            panic!("an attribute without a value")
        };
        (pair.key.clone(), value)
    }

    proptest! {
        #[test]
        fn generated_types_read_what_is_written(
            (trace_id, span_id, parent) in (1u128.., 1u64.., proptest::option::of(1u64..)),
            (start, took) in (0i64..1 << 50, -5i64..1 << 40),
            text in ".{0,300}",
            number: i64,
            flag: bool,
            error in proptest::option::of(".{0,300}"),
            links in 0usize..300,
        ) {
            let context = TraceParent { trace_id, span_id, sampled: true };
            let links: Vec<_> = (0..links).map(|_| context.child()).collect();
            let attributes = [("a", Value::Str(&text)), ("b", Value::Int(number)), ("c", Value::Bool(flag))];
            let events = [Event { at_us: start, name: &text, attributes: &attributes }];
            let span = Span {
                parent,
                is_parent_remote: flag,
                attributes: &attributes,
                events: &events,
                links: &links,
                error: error.as_deref(),
                ..Span::new(context, "publish x", Kind::Producer, (start, start + took))
            };
            let request = read(&span);
            let resource = &request.resource_spans[0];
            prop_assert_eq!(attribute(&resource.resource.as_ref().unwrap().attributes[0]).0, "service.name");
            let scope = &resource.scope_spans[0];
            prop_assert_eq!(&scope.scope.as_ref().unwrap().name, "tgmesh");
            prop_assert_eq!(scope.spans.len(), 2);
            let read = &scope.spans[1];
            prop_assert_eq!(&read.trace_id[..], &trace_id.to_be_bytes()[..]);
            prop_assert_eq!(&read.span_id[..], &span_id.to_be_bytes()[..]);
            let above = parent.map(|parent| parent.to_be_bytes().to_vec()).unwrap_or_default();
            prop_assert_eq!(&read.parent_span_id, &above);
            prop_assert_eq!((read.name.as_str(), read.kind), ("publish x", 4));
            prop_assert_eq!(read.start_time_unix_nano, start as u64 * 1000);
            prop_assert_eq!(read.end_time_unix_nano, (start + took.max(0)) as u64 * 1000);
            let told: Vec<_> = read.attributes.iter().map(attribute).collect();
            prop_assert_eq!(&told, &[
                ("a".to_owned(), any_value::Value::StringValue(cut(&text).to_owned())),
                ("b".to_owned(), any_value::Value::IntValue(number)),
                ("c".to_owned(), any_value::Value::BoolValue(flag)),
            ]);
            prop_assert_eq!(&read.events[0].name, &text);
            prop_assert_eq!(read.events[0].attributes.len(), 3);
            prop_assert_eq!(read.links.len(), links.len());
            for (read, link) in read.links.iter().zip(&links) {
                prop_assert_eq!(&read.span_id[..], &link.span_id().to_be_bytes()[..]);
            }
            let status = read.status.clone().unwrap_or_default();
            prop_assert_eq!(status.code, if error.is_some() { 2 } else { 0 });
            prop_assert_eq!(&status.message, cut(error.as_deref().unwrap_or_default()));
            prop_assert_eq!(read.flags, 0x101 | if flag { 0x200 } else { 0 });
        }

        #[test]
        fn any_answer_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..40), refused in 1i64.., why in ".{0,9}") {
            let _ = rejected(&bytes);
            let partial = ExportTracePartialSuccess { rejected_spans: refused, error_message: why };
            let answer = ExportTraceServiceResponse { partial_success: Some(partial) };
            prop_assert_eq!(rejected(&answer.encode_to_vec()), refused as u64);
        }
    }
}
