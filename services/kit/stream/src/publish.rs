//! Publishing that keeps every message until the stream has it.
//!
//! One task owns everything that is under way: it sends in the order of the calls, matches acks
//! by the token in their subject, and publishes again with the same `Nats-Msg-Id` after a
//! reconnect, a timeout, or a refusal that may pass. While the stream refuses, only the oldest
//! message is tried, with growing pauses; when it is taken, all others follow in their order.
//! The client's own publish would cost a channel and a timer per message, and cannot say which
//! messages a reconnect put in doubt.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::{HeaderMap, HeaderValue, StatusCode, Subject};
use bytes::Bytes;
use futures_util::StreamExt;
use tgmesh_proto::id::EventId;
use tgmesh_proto::{SCHEMA_VERSION, headers};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::mesh::{Link, Mesh};
use crate::state::StreamError;

/// An ack that takes longer is lost, or the stream has no leader.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

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

/// What the stream said of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Sequence in the stream; of the first copy, for a repeat.
    pub seq: u64,
    /// Whether the stream had this id already. Also so when only the first ack was lost.
    pub duplicate: bool,
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
        tokio::spawn(Pipe::new(mesh, items, Arc::clone(&tally)).run());
        let shared = Shared {
            slots: Arc::new(Semaphore::new(limits.max_in_flight)),
            bytes: Arc::new(Semaphore::new(limits.max_bytes)),
            limits,
            queue,
            tally,
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

struct Item {
    message: Outgoing,
    result: oneshot::Sender<Result<Stored, PublishError>>,
    /// When it was last handed to the client; nothing before the first time.
    sent: Option<Instant>,
    _permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

/// How the stream is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Every message is sent as it comes.
    Flowing,
    /// The stream refused or did not answer: the oldest message is tried at this time.
    Probing { at: Instant },
    /// No connection: nothing is sent.
    Down,
}

struct Pipe {
    client: async_nats::Client,
    inbox: String,
    queue: mpsc::UnboundedReceiver<Item>,
    tally: Arc<Tally>,
    link: watch::Receiver<Link>,
    connects: watch::Receiver<u64>,
    /// What has no ack, by token; tokens rise in the order of the calls.
    pending: BTreeMap<u64, Item>,
    next_token: u64,
    mode: Mode,
    pause: Duration,
}

impl Pipe {
    fn new(mesh: &Mesh, queue: mpsc::UnboundedReceiver<Item>, tally: Arc<Tally>) -> Self {
        let client = mesh.client().clone();
        let mut link = mesh.link();
        let mut connects = mesh.connects();
        connects.mark_unchanged();
        let mode = if *link.borrow_and_update() == Link::Up {
            Mode::Flowing
        } else {
            Mode::Down
        };
        Self {
            inbox: client.new_inbox(),
            client,
            queue,
            tally,
            link,
            connects,
            pending: BTreeMap::new(),
            next_token: 0,
            mode,
            pause: FIRST_PAUSE,
        }
    }

    async fn run(mut self) {
        let acks = loop {
            match self.client.subscribe(format!("{}.*", self.inbox)).await {
                Ok(acks) => break acks,
                // The client is closed for good only when the process ends.
                Err(error) => {
                    tracing::error!(%error, "couldn't subscribe for acks");
                    tokio::time::sleep(LONGEST_PAUSE).await;
                }
            }
        };
        let mut acks = acks.ready_chunks(256);
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut open = true;
        let mut batch = Vec::with_capacity(64);
        while open || !self.pending.is_empty() {
            tokio::select! {
                biased;
                Some(acks) = acks.next() => {
                    for ack in acks {
                        self.on_ack(ack).await;
                    }
                }
                Ok(()) = self.connects.changed() => self.resend_all("reconnected").await,
                Ok(()) = self.link.changed() => {
                    if *self.link.borrow_and_update() == Link::Down {
                        self.mode = Mode::Down;
                    } else if self.mode == Mode::Down {
                        self.resend_all("reconnected").await;
                    }
                }
                _ = ticks.tick() => self.on_tick().await,
                received = self.queue.recv_many(&mut batch, 64), if open => {
                    open = received > 0;
                    for item in batch.drain(..) {
                        let token = self.next_token;
                        self.next_token += 1;
                        self.pending.insert(token, item);
                        if self.mode == Mode::Flowing {
                            self.send(token).await;
                        }
                    }
                }
            }
        }
    }

    async fn send(&mut self, token: u64) {
        let Some(item) = self.pending.get_mut(&token) else {
            return;
        };
        if item.sent.replace(Instant::now()).is_some() {
            self.tally.retries.fetch_add(1, Ordering::Relaxed);
        }
        let message = &item.message;
        let sent = self
            .client
            .publish_with_reply_and_headers(
                Subject::from(message.subject.as_str()),
                Subject::from(format!("{}.{token}", self.inbox)),
                head(message),
                message.payload.clone(),
            )
            .await;
        if let Err(error) = sent {
            use async_nats::client::PublishErrorKind as Kind;
            match error.kind() {
                Kind::MaxPayloadExceeded | Kind::InvalidSubject => self.fail(token, error.to_string()),
                Kind::Send => self.probe("the client is closed"),
            }
        }
    }

    async fn on_ack(&mut self, ack: async_nats::Message) {
        let token = ack
            .subject
            .rsplit('.')
            .next()
            .and_then(|token| token.parse::<u64>().ok());
        // An ack without a message is the second of one that was sent twice.
        let Some(token) = token.filter(|token| self.pending.contains_key(token)) else {
            return;
        };
        if ack.status == Some(StatusCode::NO_RESPONDERS) {
            return self.probe("no stream takes the subject");
        }
        match serde_json::from_slice::<Response<PublishAck>>(&ack.payload) {
            Ok(Response::Ok(ack)) => {
                self.tally.acked.fetch_add(1, Ordering::Relaxed);
                if ack.duplicate {
                    self.tally.duplicates.fetch_add(1, Ordering::Relaxed);
                }
                if let Some(item) = self.pending.remove(&token) {
                    let _ = item.result.send(Ok(Stored {
                        seq: ack.sequence,
                        duplicate: ack.duplicate,
                    }));
                }
                if matches!(self.mode, Mode::Probing { .. }) {
                    self.resend_all("the stream takes messages again").await;
                }
            }
            Ok(Response::Err { error }) if is_permanent(error.error_code()) => self.fail(token, error.to_string()),
            Ok(Response::Err { error }) => {
                tracing::debug!(%error, "the stream refused a message for now");
                self.probe("the stream refuses messages");
            }
            Err(error) => {
                tracing::debug!(%error, "an ack could not be read");
                self.probe("the stream answers with something else than an ack");
            }
        }
    }

    async fn on_tick(&mut self) {
        let Some((&oldest, item)) = self.pending.first_key_value() else {
            return;
        };
        match self.mode {
            Mode::Down => {}
            Mode::Flowing => {
                if item.sent.is_some_and(|sent| sent.elapsed() > ACK_TIMEOUT) {
                    self.probe("no ack came in time");
                }
            }
            Mode::Probing { at } => {
                if Instant::now() >= at {
                    self.mode = Mode::Probing {
                        at: Instant::now() + self.pause,
                    };
                    self.send(oldest).await;
                }
            }
        }
    }

    /// Goes on with the oldest message alone.
    fn probe(&mut self, why: &'static str) {
        match self.mode {
            Mode::Down => {}
            // Refusals of what was sent before the first one tell nothing new; a refused probe does.
            Mode::Probing { .. } => self.pause = (self.pause * 2).min(LONGEST_PAUSE),
            Mode::Flowing => {
                tracing::warn!(
                    why,
                    in_flight = self.pending.len(),
                    "publishing is held up, trying again"
                );
                self.pause = FIRST_PAUSE;
                self.mode = Mode::Probing {
                    at: Instant::now() + self.pause,
                };
            }
        }
    }

    async fn resend_all(&mut self, why: &'static str) {
        self.mode = Mode::Flowing;
        self.pause = FIRST_PAUSE;
        if self.pending.is_empty() {
            return;
        }
        tracing::info!(why, messages = self.pending.len(), "publishing again what has no ack");
        let tokens: Vec<u64> = self.pending.keys().copied().collect();
        for token in tokens {
            if self.mode == Mode::Flowing {
                self.send(token).await;
            }
        }
    }

    fn fail(&mut self, token: u64, why: String) {
        if let Some(item) = self.pending.remove(&token) {
            self.tally.failures.fetch_add(1, Ordering::Relaxed);
            tracing::error!(subject = item.message.subject, id = %item.message.id, why, "a message was refused and is lost");
            let _ = item.result.send(Err(PublishError::Refused(why)));
        }
    }
}

fn head(message: &Outgoing) -> HeaderMap {
    let mut head = HeaderMap::new();
    head.insert(headers::MSG_ID, message.id.to_string().as_str());
    head.insert(headers::TRACEPARENT, message.traceparent.as_str());
    // The mesh has no vendor state of its own; the header is there for those who add theirs.
    head.insert(headers::TRACESTATE, HeaderValue::new());
    head.insert(headers::SCHEMA, SCHEMA_VERSION);
    head.insert(headers::CONTENT_TYPE, headers::CONTENT_TYPE_MSGPACK);
    head
}

/// Refusals that have to do with this message alone.
fn is_permanent(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM
    )
}

/// Publishes one event that need not be fast and waits until it is stored: an audit event.
///
/// # Errors
/// When no stream confirms it within five seconds.
pub async fn publish_one(mesh: &Mesh, message: &Outgoing) -> Result<Stored, StreamError> {
    let unavailable = |error: &dyn std::error::Error| StreamError::Unavailable(crate::state::describe(error));
    let ack = mesh
        .jetstream()
        .publish_with_headers(message.subject.clone(), head(message), message.payload.clone())
        .await
        .map_err(|error| unavailable(&error))?;
    let ack = ack.await.map_err(|error| unavailable(&error))?;
    Ok(Stored {
        seq: ack.sequence,
        duplicate: ack.duplicate,
    })
}
