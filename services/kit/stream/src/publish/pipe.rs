//! The task that owns what is under way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::{HeaderMap, HeaderValue, StatusCode, Subject};
use futures_util::StreamExt;
use tgmesh_proto::{SCHEMA_VERSION, headers};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::{Flow, Outgoing, PublishError, Resent, Stored, Tally};
use crate::delivery::now_us;
use crate::mesh::{Link, Mesh};

/// An ack that takes longer is lost, or the stream has no leader.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// One message a second asks nothing of a server, and what waits goes on at once when it answers.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A message that is under way.
pub(super) struct Item {
    pub(super) message: Outgoing,
    pub(super) result: oneshot::Sender<Result<Stored, PublishError>>,
    /// When it was last handed to the client; nothing before the first time.
    pub(super) sent: Option<Instant>,
    pub(super) resent: Option<Resent>,
    pub(super) _permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

/// How the stream is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Every message is sent as it comes.
    Flowing,
    /// The stream refused or did not answer: one message is tried at this time.
    Probing { at: Instant },
    /// No connection: nothing is sent.
    Down,
}

pub(super) struct Pipe {
    /// Held, because the link is watched only as long as there is a `Mesh`.
    _mesh: Mesh,
    client: async_nats::Client,
    inbox: String,
    queue: mpsc::UnboundedReceiver<Item>,
    tally: Arc<Tally>,
    link: watch::Receiver<Link>,
    connects: watch::Receiver<u64>,
    /// What has no ack, by token; tokens rise in the order of the calls.
    pending: BTreeMap<u64, Item>,
    next_token: u64,
    /// The oldest message that a probe may be; older ones are under way in the stream itself.
    probe_from: u64,
    mode: Mode,
    pause: Duration,
    flow: watch::Sender<Flow>,
}

impl Pipe {
    pub(super) fn new(
        mesh: &Mesh,
        queue: mpsc::UnboundedReceiver<Item>,
        tally: Arc<Tally>,
        flow: watch::Sender<Flow>,
    ) -> Self {
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
            _mesh: mesh.clone(),
            client,
            queue,
            tally,
            link,
            connects,
            pending: BTreeMap::new(),
            next_token: 0,
            probe_from: 0,
            mode,
            pause: FIRST_PAUSE,
            flow,
        }
    }

    pub(super) async fn run(mut self) {
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
            let now_us = now_us();
            let resent = item.resent.get_or_insert(Resent {
                times: 0,
                first_us: now_us,
                last_us: now_us,
            });
            resent.times += 1;
            resent.last_us = now_us;
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
                Kind::Send => self.probe("the client is closed".to_owned()),
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
            return self.probe("no stream takes the subject".to_owned());
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
                        resent: item.resent,
                    }));
                }
                if matches!(self.mode, Mode::Probing { .. }) {
                    self.resend_all("the stream takes messages again").await;
                }
            }
            Ok(Response::Err { error }) if is_permanent(error.error_code()) => self.fail(token, error.to_string()),
            // Its leader has the message and waits for a majority: the ack may still come, or never,
            // if the leader changes. It says nothing of other messages, so the next probe is one.
            Ok(Response::Err { error }) if error.error_code() == ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT => {
                self.probe_from = self.probe_from.max(token + 1);
            }
            Ok(Response::Err { error }) => self.probe(format!("the stream refuses messages: {error}")),
            Err(error) => self.probe(format!("the stream answers with something else than an ack: {error}")),
        }
    }

    async fn on_tick(&mut self) {
        let Some((_, oldest)) = self.pending.first_key_value() else {
            return;
        };
        match self.mode {
            Mode::Down => {}
            Mode::Flowing => {
                if oldest.sent.is_some_and(|sent| sent.elapsed() > ACK_TIMEOUT) {
                    self.probe("no ack came in time".to_owned());
                }
            }
            Mode::Probing { at } => {
                if Instant::now() >= at {
                    self.mode = Mode::Probing {
                        at: Instant::now() + self.pause,
                    };
                    let next = self.pending.range(self.probe_from..).next();
                    if let Some(&token) = next.or_else(|| self.pending.first_key_value()).map(|(token, _)| token) {
                        self.send(token).await;
                    }
                }
            }
        }
    }

    /// Goes on with one message alone, the oldest if it can be.
    fn probe(&mut self, why: String) {
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
                self.flow.send_replace(Flow::Held(why));
            }
        }
    }

    async fn resend_all(&mut self, why: &'static str) {
        self.mode = Mode::Flowing;
        self.pause = FIRST_PAUSE;
        self.probe_from = 0;
        self.flow
            .send_if_modified(|flow| std::mem::replace(flow, Flow::Free) != Flow::Free);
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

/// The headers of the contract.
pub(super) fn head(message: &Outgoing) -> HeaderMap {
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
