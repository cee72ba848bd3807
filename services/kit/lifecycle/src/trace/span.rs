//! A span as it is written down: borrowed, because it is encoded at once.

use super::{TraceParent, encode, export};

/// What part a span plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Within the process.
    Internal,
    /// Asks another process and waits.
    Client,
    /// Hands a message over.
    Producer,
    /// Handles a message.
    Consumer,
}

/// An attribute's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// A text.
    Str(&'a str),
    /// A whole number.
    Int(i64),
    /// Yes or no.
    Bool(bool),
}

/// Something that happened within a span.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// When, µs since the epoch.
    pub at_us: i64,
    /// What.
    pub name: &'a str,
    /// Details.
    pub attributes: &'a [(&'a str, Value<'a>)],
}

/// A span that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Span<'a> {
    /// One of few: what differs from message to message is an attribute.
    pub name: &'a str,
    /// Its part.
    pub kind: Kind,
    /// Its trace and its own id.
    pub context: TraceParent,
    /// The id of the span above it; nothing for a root.
    pub parent: Option<u64>,
    /// Whether the span above it was made by another process.
    pub is_parent_remote: bool,
    /// µs since the epoch.
    pub start_us: i64,
    /// µs since the epoch; one before `start_us` counts as that: a clock was set.
    pub end_us: i64,
    /// Details.
    pub attributes: &'a [(&'a str, Value<'a>)],
    /// What happened within it.
    pub events: &'a [Event<'a>],
    /// Spans that it has to do with and that are not above it.
    pub links: &'a [TraceParent],
    /// Why it failed, in words for an operator.
    pub error: Option<&'a str>,
}

impl Span<'_> {
    /// A span without anything but its place and time.
    #[must_use]
    pub const fn new(context: TraceParent, name: &'static str, kind: Kind, (start_us, end_us): (i64, i64)) -> Self {
        Self {
            name,
            kind,
            context,
            parent: None,
            is_parent_remote: false,
            start_us,
            end_us,
            attributes: &[],
            events: &[],
            links: &[],
            error: None,
        }
    }
}

/// Sends a span on its way; does nothing where spans go nowhere. Never waits: what finds the queue
/// full is dropped and counted.
pub fn record(span: &Span<'_>) {
    if let Some(queue) = export::queue() {
        encode::with_span(span, |bytes| queue.push(bytes));
    }
}
