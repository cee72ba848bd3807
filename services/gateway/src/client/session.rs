//! An authenticated client: its frames, its subscriptions, its deadlines.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tgmesh_lifecycle::{clock, trace};
use tgmesh_proto::frame::{ClientFrame, CloseCode, ErrorCode, Filter, Resume, ServerFrame};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::Message;

use super::bucket::Bucket;
use super::socket::{Socket, Turn};
use super::subscription::Subscription;
use super::{DEFAULT_RATE, Gone, end, meaning, until_expiry};
use crate::auth::Grant;
use crate::event::{Event, View};
use crate::filter::Matcher;
use crate::gateway::Gateway;
use crate::hub::Sub;
use crate::mailbox::Item;
use crate::registry::Seat;
use crate::resume::From;
use crate::wire::Unreadable;

/// Subscriptions of one connection at a time.
const MAX_SUBSCRIPTIONS: usize = 32;
/// Ids that one connection may use over its life; each is remembered.
const MAX_IDS: usize = 1_000;
/// Longest id, in bytes.
const MAX_ID_BYTES: usize = 64;
/// Positions are told, and the client's pace is looked at, this often.
const TICK: Duration = Duration::from_secs(4);
/// The contract's ten seconds between positions, with a tick to spare.
const POSITION_EVERY: Duration = Duration::from_secs(5);
/// A client that takes nothing for so long is too slow.
const STALL_LIMIT: Duration = Duration::from_secs(20);
/// A client that fell behind and does not reach the head again for so long is too slow.
const SLOW_LIMIT: Duration = Duration::from_secs(60);
/// A client that says nothing for half of this is pinged; after all of it, it is gone.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);
/// `rendered` frames a second: a page that paints all that it is sent says so for each, which is
/// not what the token's `rate` is meant to bound.
const RENDERED_RATE: f64 = 2_000.0;
/// Items that are rendered before the socket is looked at again.
const BATCH: usize = 64;

pub(super) struct Session {
    gateway: Arc<Gateway>,
    seat: Seat,
    grant: Grant,
    bucket: Bucket,
    rendered_bucket: Bucket,
    name: String,
    subscriptions: Vec<Subscription>,
    used: HashSet<Arc<str>>,
    items: VecDeque<Item>,
    /// Stream timestamps of the detections that are not flushed yet.
    unflushed: Vec<u64>,
    expires: Instant,
    heard: Instant,
}

impl Session {
    pub fn new(gateway: &Arc<Gateway>, seat: Seat, grant: Grant, bucket: Bucket) -> Self {
        let now = Instant::now();
        Self {
            gateway: Arc::clone(gateway),
            seat,
            expires: now + until_expiry(&grant).min(Duration::from_hours(24 * 365)),
            grant,
            bucket,
            rendered_bucket: Bucket::new(RENDERED_RATE, now),
            name: format!("{:016x}", rand::random::<u64>()),
            subscriptions: Vec::new(),
            used: HashSet::new(),
            items: VecDeque::new(),
            unflushed: Vec::new(),
            heard: now,
        }
    }

    /// Serves the client. Returns why it ends.
    pub async fn run<S: AsyncRead + AsyncWrite + Unpin>(&mut self, socket: &mut Socket<S>) -> Gone {
        if let Err(gone) = self.welcome(socket) {
            return gone;
        }
        // Spread out, so that connections that were made together do not tick together.
        let first = TICK.mul_f64(rand::random_range(0.25..1.0));
        socket
            .timer
            .as_mut()
            .reset((Instant::now() + first).min(self.expires).into());
        loop {
            let turn = socket.turn(self.seat.mailbox()).await;
            let step = match turn {
                Turn::Mail => {
                    self.render(socket);
                    Ok(())
                }
                Turn::Flushed => {
                    self.flushed();
                    Ok(())
                }
                Turn::Inbound(message) => self.inbound(socket, &message),
                Turn::Tick => self.tick(socket),
                Turn::Ordered(code) => Err(end(code, "going away")),
                Turn::Ended(error) => Err(meaning(error.as_ref())),
            };
            if let Err(gone) = step {
                return gone;
            }
        }
    }

    /// Takes its subscriptions out of the hub.
    pub fn leave(&mut self) {
        for subscription in self.subscriptions.drain(..) {
            self.gateway.hub.leave(&subscription.sub);
        }
        self.seat.mailbox().close();
        tracing::debug!(session = self.name, "a client left");
    }

    fn welcome<S: AsyncRead + AsyncWrite + Unpin>(&self, socket: &mut Socket<S>) -> Result<(), Gone> {
        let Some(place) = self.gateway.hub.place() else {
            return Err(end(CloseCode::GoingAway, "not ready yet"));
        };
        socket.send(&ServerFrame::Welcome {
            session: self.name.clone(),
            epoch: place.epoch.to_string(),
            seq: place.seq,
            subject: self.grant.subject.clone(),
            expires_at: self.grant.expires_at,
        });
        Ok(())
    }

    fn inbound<S>(&mut self, socket: &mut Socket<S>, message: &Message) -> Result<(), Gone>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let now = Instant::now();
        self.heard = now;
        if matches!(message, Message::Pong(_) | Message::Close(_) | Message::Frame(_)) {
            return Ok(());
        }
        let frame = match message {
            Message::Ping(_) => None,
            message => Some(socket.format().decode(message)),
        };
        let bucket = if let Some(Ok(ClientFrame::Rendered { .. })) = &frame {
            &mut self.rendered_bucket
        } else {
            &mut self.bucket
        };
        if !bucket.take(now) {
            return Err(end(CloseCode::RateLimited, "too many frames"));
        }
        let Some(frame) = frame else {
            socket.owes_flush();
            return Ok(());
        };
        match frame {
            Ok(ClientFrame::Subscribe { id, filter, resume }) => {
                if let Err((code, text)) = self.subscribe(socket, &id, filter, resume) {
                    self.refuse(socket, Some(id), code, text);
                }
            }
            Ok(ClientFrame::Unsubscribe { id }) => self.unsubscribe(socket, id),
            Ok(ClientFrame::Auth { token }) => self.renew(socket, &token)?,
            Ok(ClientFrame::Rendered { seq, at_ms }) => self.rendered(seq, at_ms),
            Ok(ClientFrame::Ping { t_ms }) => {
                let server_ms = clock::now_us() as f64 / 1000.0;
                socket.send(&ServerFrame::Pong { t_ms, server_ms });
            }
            Err(Unreadable::Refused { id, code, message }) => self.refuse(socket, Some(id), code, message),
            Err(Unreadable::Malformed) => return Err(end(CloseCode::Malformed, "malformed frame")),
        }
        Ok(())
    }

    fn subscribe<S>(
        &mut self,
        socket: &mut Socket<S>,
        id: &str,
        asked: Filter,
        resume: Option<Resume>,
    ) -> Result<(), (ErrorCode, String)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            return Err((ErrorCode::BadId, format!("an id has 1 to {MAX_ID_BYTES} bytes")));
        }
        if self.used.contains(id) {
            return Err((ErrorCode::DuplicateId, "this id was used on this connection".to_owned()));
        }
        if self.subscriptions.len() >= MAX_SUBSCRIPTIONS || self.used.len() >= MAX_IDS {
            let text =
                format!("a connection has at most {MAX_SUBSCRIPTIONS} subscriptions at a time, {MAX_IDS} in all");
            return Err((ErrorCode::TooManySubscriptions, text));
        }
        let filter = self.grant.rights.cut(asked.clone());
        let matcher = Matcher::compile(&filter).map_err(|bad| (ErrorCode::BadFilter, bad.to_string()))?;
        let place = self.gateway.hub.place();
        let (Some(place), Some(past)) = (place, self.gateway.past.get()) else {
            return Err((ErrorCode::Unavailable, "the stream is not there".to_owned()));
        };
        let id: Arc<str> = id.into();
        self.used.insert(Arc::clone(&id));
        let sub = Sub::new(
            id,
            Arc::clone(&place.epoch),
            Arc::clone(self.seat.mailbox()),
            Arc::new(matcher),
        );
        let mut subscription = Subscription::new(Arc::clone(&sub), asked);
        self.gateway.figures.subscriptions.inc();
        if let Some(resume) = resume {
            self.gateway.figures.resumes.inc();
            let bring = past.clone().bring(sub, From::Client(resume, Box::new(filter)));
            subscription.brought_by(tokio::spawn(bring).abort_handle());
        } else {
            let seq = self.gateway.hub.join(&sub);
            subscription.position = seq;
            subscription.told = Some((seq, Instant::now()));
            subscription.is_live_now();
            let epoch = place.epoch.to_string();
            let id = sub.id.to_string();
            socket.send(&ServerFrame::Subscribed {
                id,
                epoch,
                seq,
                filter,
                recovered: false,
                oldest: None,
            });
        }
        self.subscriptions.push(subscription);
        Ok(())
    }

    fn unsubscribe<S: AsyncRead + AsyncWrite + Unpin>(&mut self, socket: &mut Socket<S>, id: String) {
        match self
            .subscriptions
            .iter()
            .position(|subscription| *subscription.sub.id == *id)
        {
            Some(at) => {
                let subscription = self.subscriptions.swap_remove(at);
                self.gateway.hub.leave(&subscription.sub);
            }
            None => self.refuse(
                socket,
                Some(id),
                ErrorCode::UnknownId,
                "there is no such subscription".to_owned(),
            ),
        }
    }

    /// Renewal: another token of the same subject. Its rights apply at once, to what waits as well.
    fn renew<S: AsyncRead + AsyncWrite + Unpin>(&mut self, socket: &mut Socket<S>, token: &str) -> Result<(), Gone> {
        let grant = self
            .gateway
            .verify(token)
            .map_err(|reason| end(CloseCode::Unauthorized, reason))?;
        if grant.subject != self.grant.subject {
            return Err(end(CloseCode::Forbidden, "a renewal has to be for the same subject"));
        }
        if !self.seat.belongs_to(&grant.subject, grant.max_connections) {
            return Err(end(CloseCode::RateLimited, "too many connections of this subject"));
        }
        self.bucket.set_rate(grant.rate.unwrap_or(DEFAULT_RATE));
        self.expires = Instant::now() + until_expiry(&grant).min(Duration::from_hours(24 * 365));
        self.grant = grant;
        for subscription in &mut self.subscriptions {
            let filter = self.grant.rights.cut(subscription.asked.clone());
            // It was compiled before; rights only take entries away or put shorter lists in.
            if let Ok(matcher) = Matcher::compile(&filter) {
                self.gateway.hub.refilter(&subscription.sub, Arc::new(matcher));
                subscription.refiltered();
            }
        }
        socket
            .timer
            .as_mut()
            .reset((Instant::now() + TICK).min(self.expires).into());
        self.welcome(socket)
    }

    /// Closes the trace of a detection: a span under the fan-out's, where that was sampled.
    fn rendered(&self, seq: u64, at_ms: f64) {
        self.gateway.figures.rendered.inc();
        let Some(event) = self.gateway.hub.find(seq) else {
            return;
        };
        if let Some(parent) = event.trace
            && self.grant.rights.permit(&event.detection)
        {
            let (span, _) = trace::child(&parent, || {
                tracing::info_span!("rendered", otel.kind = "client", seq, at_ms)
            });
            drop(span);
        }
    }

    fn refuse<S>(&self, socket: &mut Socket<S>, id: Option<String>, code: ErrorCode, message: String)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.gateway.figures.errors.inc();
        socket.send(&ServerFrame::Error { id, code, message });
    }

    fn render<S: AsyncRead + AsyncWrite + Unpin>(&mut self, socket: &mut Socket<S>) {
        let mut items = std::mem::take(&mut self.items);
        self.seat.mailbox().take(BATCH, &mut items);
        for item in items.drain(..) {
            self.render_one(socket, item);
        }
        self.items = items;
    }

    fn render_one<S: AsyncRead + AsyncWrite + Unpin>(&mut self, socket: &mut Socket<S>, item: Item) {
        let key = match &item {
            Item::Event(key, _) | Item::Frame(key, _) | Item::Gap { key, .. } => *key,
            Item::Through(key, _) | Item::Live(key) | Item::Behind(key) => *key,
        };
        // What is left of a subscription that ended is dropped.
        let Some(subscription) = self.subscriptions.iter_mut().find(|one| one.sub.key == key) else {
            return;
        };
        match item {
            Item::Event(_, event) => {
                if event.seq <= subscription.position {
                    self.gateway.figures.out_of_order.inc();
                    return;
                }
                subscription.position = event.seq;
                // The filter was cut to the rights already. They are looked at again because they
                // may have been narrowed since this event was put in.
                if self.grant.rights.permit(&event.detection) && subscription.passes(&event) {
                    let id = Arc::clone(&subscription.sub.id);
                    self.deliver(socket, &event, &id);
                }
            }
            Item::Frame(_, frame) => {
                if let ServerFrame::Subscribed { .. } = &*frame {
                    subscription.told = Some((0, Instant::now()));
                }
                socket.send(&frame);
            }
            Item::Gap { from, to, .. } => {
                let from = from.max(subscription.position + 1);
                if from <= to {
                    subscription.position = to;
                    self.gateway.figures.gaps.inc();
                    socket.send(&ServerFrame::Gap {
                        id: subscription.sub.id.to_string(),
                        from,
                        to,
                    });
                }
            }
            Item::Through(_, seq) => subscription.position = subscription.position.max(seq),
            Item::Live(_) => subscription.is_live_now(),
            Item::Behind(_) => {
                let Some(past) = self.gateway.past.get() else { return };
                subscription.slow_since.get_or_insert_with(Instant::now);
                let sub = Arc::clone(&subscription.sub);
                let from = From::Cursor(sub.cursor());
                subscription.brought_by(tokio::spawn(past.clone().bring(sub, from)).abort_handle());
            }
        }
    }

    fn deliver<S: AsyncRead + AsyncWrite + Unpin>(&mut self, socket: &mut Socket<S>, event: &Event, id: &Arc<str>) {
        let view = if self.grant.rights.role.sees_everything() {
            View::Full
        } else {
            View::Reduced
        };
        socket.send_encoded(event.frame(socket.format(), view, id));
        self.unflushed.push(event.published_us);
    }

    fn flushed(&mut self) {
        if self.unflushed.is_empty() {
            return;
        }
        let figures = &self.gateway.figures;
        figures.deliveries.add(self.unflushed.len() as u64);
        let now_us = u64::try_from(clock::now_us()).unwrap_or(0);
        for published_us in self.unflushed.drain(..) {
            match now_us.checked_sub(published_us) {
                Some(latency_us) => figures.stream_to_client.observe_us(latency_us),
                None => figures.negative_latency.inc(),
            }
        }
        if self.unflushed.capacity() > 256 {
            self.unflushed.shrink_to(32);
        }
    }

    fn tick<S: AsyncRead + AsyncWrite + Unpin>(&mut self, socket: &mut Socket<S>) -> Result<(), Gone> {
        let now = Instant::now();
        if now >= self.expires {
            return Err(end(CloseCode::Expired, "the token has expired"));
        }
        if socket.blocked_for(now) >= STALL_LIMIT
            || self
                .subscriptions
                .iter()
                .any(|subscription| subscription.slow_for(now) >= SLOW_LIMIT)
        {
            return Err(end(CloseCode::TooSlow, "too slow"));
        }
        let silence = now.saturating_duration_since(self.heard);
        if silence >= SILENCE_LIMIT {
            tracing::debug!(
                session = self.name,
                silence_s = silence.as_secs(),
                "a client is gone without a word"
            );
            return Err(None);
        }
        if socket.is_idle() {
            if silence >= SILENCE_LIMIT / 2 {
                socket.ping();
            }
            self.positions(socket, now);
        }
        socket.timer.as_mut().reset((now + TICK).min(self.expires).into());
        Ok(())
    }

    /// Tells every subscription's position that is due.
    fn positions<S: AsyncRead + AsyncWrite + Unpin>(&mut self, socket: &mut Socket<S>, now: Instant) {
        let Some(place) = self.gateway.hub.place() else { return };
        let mailbox = self.seat.mailbox();
        // At a moment at which nothing waits, a live subscription has everything up to the head.
        let head = self.gateway.hub.head_if(|| mailbox.is_empty());
        for subscription in &mut self.subscriptions {
            // Before `subscribed` was sent there is no position to tell.
            let Some((told, at)) = subscription.told else { continue };
            if let (true, Some(head)) = (subscription.live, head) {
                subscription.position = subscription.position.max(head);
            }
            if subscription.position != told || now.saturating_duration_since(at) >= POSITION_EVERY {
                subscription.told = Some((subscription.position, now));
                socket.send(&ServerFrame::Position {
                    id: subscription.sub.id.to_string(),
                    epoch: place.epoch.to_string(),
                    seq: subscription.position,
                });
            }
        }
    }
}
