//! Names and fixed values of the headers that every stream message carries.

/// The event id; JetStream removes repeats of it within the duplicate window.
pub const MSG_ID: &str = "Nats-Msg-Id";
/// W3C Trace Context of the publisher's span.
pub const TRACEPARENT: &str = "traceparent";
/// W3C Trace Context vendor state.
pub const TRACESTATE: &str = "tracestate";
/// Schema version of the payload, see [`crate::SCHEMA_VERSION`].
pub const SCHEMA: &str = "Tgmesh-Schema";
/// Media type of the payload.
pub const CONTENT_TYPE: &str = "Content-Type";
/// The value of [`CONTENT_TYPE`] on every stream.
pub const CONTENT_TYPE_MSGPACK: &str = "application/msgpack";
