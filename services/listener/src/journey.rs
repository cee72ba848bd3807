//! A message's way through this process, as the spans of its trace: `receive`, which ends when all
//! of its events have their acks, with `detect` and one `publish` an event under it.
//!
//! A message of which nothing is told has no trace. For the others the spans are written down when
//! they end: at once where the message is sampled, and otherwise only if it is asked for, see
//! [`tgmesh_lifecycle::trace::late`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tgmesh_lifecycle::clock;
use tgmesh_lifecycle::trace::late::{self, Recent};
use tgmesh_lifecycle::trace::{self, Event, Kind, Span, TraceParent, Value};
use tgmesh_proto::detection::Family;
use tgmesh_proto::id::EventId;
use tgmesh_proto::subject;
use tgmesh_stream::publish::{PublishError, Resent, Stored};

/// Hops of unsampled messages that are remembered: some seconds of full load.
pub const REMEMBERED: usize = 32_768;

const DETECTIONS: &str = "tgmesh.v1.detections.{chat}.{family}";
const MATCHES: &str = "tgmesh.v1.matches.{chat}";
const PUBLISH_DETECTION: &str = "publish tgmesh.v1.detections.{chat}.{family}";
const PUBLISH_MATCH: &str = "publish tgmesh.v1.matches.{chat}";

/// When a message was where, µs since the epoch.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "every time in the mesh ends in its unit")]
pub struct Stages {
    /// It came off the socket.
    pub received_us: i64,
    /// The worker took it up.
    pub taken_us: i64,
    /// The search was done.
    pub detected_us: i64,
}

/// A message under way; what is left of it when the last of its events has an end is its trace.
#[derive(Debug)]
pub struct Journey {
    hops: Arc<Recent<Hop>>,
    message: Message,
    is_remarkable: AtomicBool,
}

/// One event under way. Ends with [`Departure::stored`] or [`Departure::lost`]; one that is dropped
/// was left behind at the end of the process, and has none.
#[derive(Debug)]
pub struct Departure {
    journey: Arc<Journey>,
    publish: Publish,
}

/// What is remembered of a message.
#[derive(Debug)]
pub enum Hop {
    /// `receive` and `detect`.
    Message(Message),
    /// `publish`.
    Publish(Publish),
}

/// See [`Hop::Message`].
#[derive(Debug, Clone, Copy)]
pub struct Message {
    context: TraceParent,
    chat_id: i64,
    number: i64,
    stages: Stages,
    finds: usize,
    ended_us: i64,
}

/// See [`Hop::Publish`].
#[derive(Debug, Clone)]
pub struct Publish {
    context: TraceParent,
    parent: u64,
    id: EventId,
    chat_id: i64,
    /// Nothing for a match.
    family: Option<Family>,
    event: &'static str,
    began_us: i64,
    ended_us: i64,
    seq: u64,
    is_duplicate: bool,
    resent: Option<Resent>,
    error: Option<Box<str>>,
}

impl Journey {
    /// A message of which something is told; nothing where spans go nowhere.
    pub fn begin(
        hops: &Arc<Recent<Hop>>,
        context: &TraceParent,
        (chat_id, number): (i64, i64),
        stages: Stages,
        finds: usize,
    ) -> Option<Arc<Self>> {
        trace::exports().then(|| {
            Arc::new(Self {
                hops: Arc::clone(hops),
                message: Message {
                    context: *context,
                    chat_id,
                    number,
                    stages,
                    finds,
                    ended_us: 0,
                },
                is_remarkable: AtomicBool::new(false),
            })
        })
    }

    /// An event of it that is on its way with this context; without a family it is a match.
    pub fn depart(
        self: &Arc<Self>,
        context: &TraceParent,
        id: EventId,
        family: Option<Family>,
        event: &'static str,
        began_us: i64,
    ) -> Departure {
        Departure {
            publish: Publish {
                context: *context,
                parent: self.message.context.span_id(),
                id,
                chat_id: self.message.chat_id,
                family,
                event,
                began_us,
                ended_us: 0,
                seq: 0,
                is_duplicate: false,
                resent: None,
                error: None,
            },
            journey: Arc::clone(self),
        }
    }
}

impl Drop for Journey {
    fn drop(&mut self) {
        self.message.ended_us = clock::now_us();
        if self.message.context.is_recorded() {
            self.message.record();
        } else {
            let is_remarkable = self.is_remarkable.load(Ordering::Relaxed);
            self.hops.note(Hop::Message(self.message), is_remarkable);
        }
    }
}

impl Departure {
    /// Its trace context.
    pub const fn context(&self) -> TraceParent {
        self.publish.context
    }

    /// The stream has it.
    pub fn stored(self, stored: &Stored) {
        let is_slow = late::is_slow(clock::now_us() - self.journey.message.stages.received_us);
        let publish = Publish {
            seq: stored.seq,
            is_duplicate: stored.duplicate,
            resent: stored.resent,
            ..self.publish
        };
        publish.end(&self.journey, is_slow || stored.resent.is_some());
    }

    /// The stream will never have it. One whose publisher was closed may be there all the same, and
    /// comes again from the account's place.
    pub fn lost(self, error: &PublishError) {
        let publish = Publish {
            error: Some(error.to_string().into()),
            ..self.publish
        };
        publish.end(&self.journey, true);
    }
}

impl late::Hop for Hop {
    fn trace_id(&self) -> u128 {
        match self {
            Self::Message(message) => message.context.trace_id(),
            Self::Publish(publish) => publish.context.trace_id(),
        }
    }

    fn record(&self) {
        match self {
            Self::Message(message) => message.record(),
            Self::Publish(publish) => publish.record(),
        }
    }
}

impl Message {
    fn record(&self) {
        let Stages {
            received_us,
            taken_us,
            detected_us,
        } = self.stages;
        let mut digits = Digits::default();
        let receive = [
            ("messaging.system", Value::Str("telegram")),
            ("messaging.operation.name", Value::Str("receive")),
            ("messaging.operation.type", Value::Str("receive")),
            ("messaging.message.id", Value::Str(digits.write(self.number))),
            ("tgmesh.chat.id", Value::Int(self.chat_id)),
        ];
        trace::record(&Span {
            attributes: &receive,
            ..Span::new(self.context, "receive", Kind::Client, (received_us, self.ended_us))
        });
        let finds = i64::try_from(self.finds).unwrap_or(i64::MAX);
        trace::record(&Span {
            parent: Some(self.context.span_id()),
            attributes: &[("tgmesh.finds", Value::Int(finds))],
            ..Span::new(self.context.child(), "detect", Kind::Internal, (taken_us, detected_us))
        });
    }
}

impl Publish {
    fn end(mut self, journey: &Journey, is_remarkable: bool) {
        self.ended_us = clock::now_us();
        if self.context.is_recorded() {
            self.record();
            return;
        }
        if is_remarkable {
            journey.is_remarkable.store(true, Ordering::Relaxed);
        }
        // The message asks for both.
        journey.hops.note(Hop::Publish(self), false);
    }

    fn record(&self) {
        let (name, template, subject) = match self.family {
            Some(family) => (PUBLISH_DETECTION, DETECTIONS, subject::detection(self.chat_id, family)),
            None => (PUBLISH_MATCH, MATCHES, subject::matches(self.chat_id)),
        };
        let id = self.id.to_string();
        let attributes = [
            ("messaging.system", Value::Str("nats")),
            ("messaging.operation.name", Value::Str("publish")),
            ("messaging.operation.type", Value::Str("send")),
            ("messaging.destination.template", Value::Str(template)),
            ("messaging.destination.name", Value::Str(&subject)),
            ("messaging.message.id", Value::Str(&id)),
            ("tgmesh.event", Value::Str(self.event)),
            ("tgmesh.stream.sequence", Value::Int(self.seq.cast_signed())),
            ("tgmesh.duplicate", Value::Bool(true)),
        ];
        // The last ones are there where they say something.
        let told = match (self.error.is_some(), self.is_duplicate) {
            (true, _) => &attributes[..7],
            (false, false) => &attributes[..8],
            (false, true) => &attributes[..],
        };
        let times = [(
            "tgmesh.retries",
            Value::Int(self.resent.map_or(0, |resent| resent.times.into())),
        )];
        let events = self.resent.map(|Resent { first_us, last_us, .. }| {
            [first_us, last_us].map(|at_us| Event {
                at_us,
                name: "retry",
                attributes: &times,
            })
        });
        let events = match (&events, self.resent) {
            (Some(events), Some(Resent { times: 1, .. })) => &events[..1],
            (Some(events), _) => &events[..],
            (None, _) => &[],
        };
        trace::record(&Span {
            parent: Some(self.parent),
            attributes: told,
            events,
            error: self.error.as_deref(),
            ..Span::new(self.context, name, Kind::Producer, (self.began_us, self.ended_us))
        });
    }
}

/// A number as text, without an allocation.
#[derive(Default)]
struct Digits {
    text: [u8; 20],
}

impl Digits {
    fn write(&mut self, number: i64) -> &str {
        use std::io::Write as _;
        let mut rest = &mut self.text[..];
        // The longest is 20 bytes: it always fits.
        let _ = write!(rest, "{number}");
        let used = 20 - rest.len();
        std::str::from_utf8(&self.text[..used]).unwrap_or_default()
    }
}
