//! Publishing that keeps every message until the stream has it.
//!
//! One task owns everything that is under way: it sends in the order of the calls, matches acks
//! by the token in their subject, and publishes again with the same `Nats-Msg-Id` after a
//! reconnect, a timeout, or a refusal that may pass. While the stream refuses, only one message is
//! tried at a time, the oldest first, with growing pauses; when one is taken, all others follow in
//! their order.
//! The client's own publish would cost a channel and a timer per message, and cannot say which
//! messages a reconnect put in doubt.

mod pipe;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use bytes::Bytes;
use tgmesh_proto::audit::AuditEvent;
use tgmesh_proto::codec::{self, EncodeError};
use tgmesh_proto::id::EventId;
use tgmesh_proto::subject;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::mesh::Mesh;
use crate::state::StreamError;
use pipe::{Item, Pipe};

/// How much may be under way at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Messages without an ack. More than about a thousand only starve the stream's readers.
    pub max_in_flight: usize,
    /// Bytes of messages without an ack, or waiting to be sent.
    pub max_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_in_flight: 1024,
            max_bytes: 32 << 20,
        }
    }
}

/// A message to publish.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Subject of a stream.
    pub subject: String,
    /// Becomes `Nats-Msg-Id`: within the duplicate window the stream takes it once.
    pub id: EventId,
    /// W3C Trace Context of the span that publishes it.
    pub traceparent: String,
    /// `MessagePack` bytes.
    pub payload: Bytes,
}

impl Outgoing {
    /// An entry of the audit log. `traceparent` as for every message; entries belong to no trace of
    /// their own.
    ///
    /// # Errors
    /// When the entry is larger than a message may be.
    pub fn audit(event: &AuditEvent, traceparent: String) -> Result<Self, EncodeError> {
        Ok(Self {
            subject: subject::audit(&event.service, &event.event),
            id: event.id,
            traceparent,
            payload: codec::encode_audit(event)?.into(),
        })
    }
}

/// What the stream said of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Sequence in the stream; of the first copy, for a repeat.
    pub seq: u64,
    /// Whether the stream had this id already. Also so when only the first ack was lost.
    pub duplicate: bool,
    /// That it was sent more than once.
    pub resent: Option<Resent>,
}

/// How a message was sent again: after a reconnect, a refusal that passed, or without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resent {
    /// How often, besides the first time.
    pub times: u32,
    /// When it was sent for the second time, µs since the epoch.
    pub first_us: i64,
    /// When it was sent for the last time, µs since the epoch.
    pub last_us: i64,
}

/// Why a message will not be stored.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum PublishError {
    /// No stream will ever take this message.
    #[error("the stream refuses the message: {0}")]
    Refused(String),
    /// The publisher was drained or dropped before the stream confirmed it: it may be stored or not.
    #[error("the publisher was closed before the stream confirmed the message")]
    Closed,
}

/// Whether messages get through. A lost connection is told by [`Mesh::link`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flow {
    /// Each is sent as it comes.
    Free,
    /// A stream refuses them, or does not answer, for this reason: full, read-only, without a
    /// leader, or missing. They are kept and tried again.
    Held(String),
}

/// Counts since the start, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages handed in.
    pub published: u64,
    /// Messages that the stream confirmed.
    pub acked: u64,
    /// Confirmed messages that the stream had already.
    pub duplicates: u64,
    /// Messages sent again.
    pub retries: u64,
    /// Messages that the stream refused for good.
    pub failures: u64,
    /// Messages without an ack right now.
    pub in_flight: u64,
}

#[derive(Default)]
struct Tally {
    published: AtomicU64,
    acked: AtomicU64,
    duplicates: AtomicU64,
    retries: AtomicU64,
    failures: AtomicU64,
}

/// Publishes to streams. Clones share one order and one bound.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
}

struct Shared {
    slots: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    limits: Limits,
    queue: mpsc::UnboundedSender<Item>,
    tally: Arc<Tally>,
    flow: watch::Receiver<Flow>,
}

/// The promise that a message is stored. Dropping it does not take the message back.
pub struct Receipt {
    result: oneshot::Receiver<Result<Stored, PublishError>>,
}

impl Future for Receipt {
    type Output = Result<Stored, PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.result)
            .poll(cx)
            .map(|result| result.unwrap_or(Err(PublishError::Closed)))
    }
}

impl Publisher {
    /// Starts a publisher. Must be called on a Tokio runtime.
    #[must_use]
    pub fn new(mesh: &Mesh, limits: Limits) -> Self {
        let limits = Limits {
            max_in_flight: limits.max_in_flight.max(1),
            // Tokio's semaphores count at most 2^29 in one acquisition's u32 on every platform.
            max_bytes: limits.max_bytes.clamp(1 << 20, 1 << 29),
        };
        let (queue, items) = mpsc::unbounded_channel();
        let tally = Arc::new(Tally::default());
        let (held, flow) = watch::channel(Flow::Free);
        tokio::spawn(Pipe::new(mesh, items, Arc::clone(&tally), held).run());
        let shared = Shared {
            slots: Arc::new(Semaphore::new(limits.max_in_flight)),
            bytes: Arc::new(Semaphore::new(limits.max_bytes)),
            limits,
            queue,
            tally,
            flow,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Hands a message in; waits only while too many are under way. The receipt tells when it is
    /// stored.
    pub async fn publish(&self, message: Outgoing) -> Receipt {
        let (sender, result) = oneshot::channel();
        let receipt = Receipt { result };
        let shared = &self.shared;
        let size = (message.payload.len() + 256).min(shared.limits.max_bytes);
        // The semaphores are closed by `drain` alone; a dropped sender then says `Closed`.
        let Ok(slot) = Arc::clone(&shared.slots).acquire_owned().await else {
            return receipt;
        };
        let Ok(bytes) = Arc::clone(&shared.bytes).acquire_many_owned(size as u32).await else {
            return receipt;
        };
        shared.tally.published.fetch_add(1, Ordering::Relaxed);
        let item = Item {
            message,
            result: sender,
            sent: None,
            resent: None,
            _permits: (slot, bytes),
        };
        // The queue is bounded by the permits. It is closed only when the runtime ends.
        let _ = shared.queue.send(item);
        receipt
    }

    /// Takes no more messages and waits until all are stored. Returns how many are not when the
    /// time is over.
    pub async fn drain(&self, deadline: Duration) -> usize {
        let all = self.shared.limits.max_in_flight;
        // Taking every slot is the drain: nobody else can be under way then.
        let drained = tokio::time::timeout(deadline, self.shared.slots.acquire_many(all as u32)).await;
        let left = if drained.is_ok() {
            0
        } else {
            self.counts().in_flight as usize
        };
        self.shared.slots.close();
        self.shared.bytes.close();
        left
    }

    /// Follows whether messages get through.
    #[must_use]
    pub fn flow(&self) -> watch::Receiver<Flow> {
        self.shared.flow.clone()
    }

    /// Counts since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let tally = &self.shared.tally;
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (acked, failures) = (load(&tally.acked), load(&tally.failures));
        let published = load(&tally.published);
        Counts {
            published,
            acked,
            duplicates: load(&tally.duplicates),
            retries: load(&tally.retries),
            failures,
            in_flight: published.saturating_sub(acked + failures),
        }
    }
}

/// Publishes one event that need not be fast and waits until it is stored: an audit event.
///
/// # Errors
/// When no stream confirms it within five seconds.
pub async fn publish_one(mesh: &Mesh, message: &Outgoing) -> Result<Stored, StreamError> {
    let unavailable = |error: &dyn std::error::Error| StreamError::Unavailable(crate::state::describe(error));
    let ack = mesh
        .jetstream()
        .publish_with_headers(message.subject.clone(), pipe::head(message), message.payload.clone())
        .await
        .map_err(|error| unavailable(&error))?;
    let ack = ack.await.map_err(|error| unavailable(&error))?;
    Ok(Stored {
        seq: ack.sequence,
        duplicate: ack.duplicate,
        resent: None,
    })
}

/// Publishes one event only if the last one on its subject has this sequence (0 = there is none):
/// of several processes that want to tell the same, one does. Nothing when another one was first.
///
/// # Errors
/// When no stream confirms it within five seconds.
pub async fn publish_after(mesh: &Mesh, message: &Outgoing, last_seq: u64) -> Result<Option<Stored>, StreamError> {
    let unavailable = |error: &dyn std::error::Error| StreamError::Unavailable(crate::state::describe(error));
    let mut head = pipe::head(message);
    head.insert(
        async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
        last_seq.to_string().as_str(),
    );
    let ack = mesh
        .jetstream()
        .publish_with_headers(message.subject.clone(), head, message.payload.clone())
        .await
        .map_err(|error| unavailable(&error))?;
    match ack.await {
        Ok(ack) => Ok(Some(Stored {
            seq: ack.sequence,
            duplicate: ack.duplicate,
            resent: None,
        })),
        Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(None),
        Err(error) => Err(unavailable(&error)),
    }
}

/// The last message on a subject of a stream: its sequence and bytes.
///
/// # Errors
/// When the stream does not exist or `JetStream` does not answer.
pub async fn last_on(mesh: &Mesh, stream: &str, subject: &str) -> Result<Option<(u64, Bytes)>, StreamError> {
    let unavailable = |error: &dyn std::error::Error| StreamError::Unavailable(crate::state::describe(error));
    let handle = mesh
        .jetstream()
        .get_stream_no_info(stream)
        .await
        .map_err(|error| unavailable(&error))?;
    match handle.get_last_raw_message_by_subject(subject).await {
        Ok(message) => Ok(Some((message.sequence, message.payload))),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(unavailable(&error)),
    }
}
