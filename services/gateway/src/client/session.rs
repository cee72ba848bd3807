//! An authenticated client: its frames, its subscriptions, its deadlines.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tgmesh_lifecycle::clock;
use tgmesh_lifecycle::trace::TraceParent;
use tgmesh_proto::frame::{CloseCode, ServerFrame};

use super::bucket::Bucket;
use super::socket::{Socket, Turn};
use super::subscription::Subscription;
use super::transport::Transport;
use super::{Gone, Request, end, meaning, ordered, until_expiry};
use crate::auth::Grant;
use crate::event::{Event, View};
use crate::gateway::Gateway;
use crate::mailbox::Item;
use crate::registry::{Limit, Seat};
use crate::resume::From;

/// Positions are told, and the client's pace is looked at, this often.
pub(super) const TICK: Duration = Duration::from_secs(4);
/// The contract's ten seconds between positions, with a tick to spare.
const POSITION_EVERY: Duration = Duration::from_secs(5);
/// A client that takes nothing for so long is too slow.
const STALL_LIMIT: Duration = Duration::from_secs(20);
/// A client that fell behind and does not reach the head again for so long is too slow.
const SLOW_LIMIT: Duration = Duration::from_mins(1);
/// A client that says nothing for half of this is pinged; after all of it, it is gone.
const SILENCE_LIMIT: Duration = Duration::from_mins(1);
/// `rendered` frames a second: a page that paints all that it is sent says so for each, which is
/// not what the token's `rate` is meant to bound.
const RENDERED_RATE: f64 = 2_000.0;
/// Items that are rendered before the socket is looked at again.
const BATCH: usize = 64;
/// The same in bytes: what a client that takes nothing has waiting behind its mailbox.
const BATCH_BYTES: usize = 64 << 10;

pub(super) struct Session {
    pub(super) gateway: Arc<Gateway>,
    pub(super) seat: Seat,
    pub(super) grant: Grant,
    pub(super) bucket: Bucket,
    pub(super) rendered_bucket: Bucket,
    /// The last sequence that was painted.
    pub(super) rendered: u64,
    pub(super) name: String,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) used: HashSet<Arc<str>>,
    items: VecDeque<Item>,
    /// The detections that are not flushed yet; nothing for the past, whose age says nothing of this
    /// gateway's latency.
    unflushed: Vec<Option<Began>>,
    pub(super) expires: Instant,
    pub(super) heard: Instant,
}

/// When a detection's way began, µs since the epoch, and its trace.
struct Began {
    stored_us: u64,
    /// Nothing for what comes from history: nobody waited for it.
    received_us: Option<u64>,
    trace: Option<TraceParent>,
}

impl Began {
    fn of(event: &Event) -> Self {
        let detection = &event.detection;
        Self {
            stored_us: event.published_us,
            received_us: u64::try_from(detection.times.received_us)
                .ok()
                .filter(|_| !detection.listener.backfill),
            trace: event.trace,
        }
    }
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
            rendered: 0,
            name: format!("{:016x}", rand::random::<u64>()),
            subscriptions: Vec::new(),
            used: HashSet::new(),
            items: VecDeque::new(),
            unflushed: Vec::new(),
            heard: now,
        }
    }

    /// Serves the client; `first` is what it subscribed to by coming. Returns why it ends.
    pub async fn run<T: Transport>(&mut self, socket: &mut Socket<T>, first: Option<Box<Request>>) -> Gone {
        if let Err(gone) = self.welcome(socket) {
            return gone;
        }
        self.gateway.audit.note(
            "login",
            Some(&self.grant.subject),
            None,
            [
                ("session", self.name.clone()),
                ("token_id", self.grant.token_id.clone()),
                ("role", self.grant.rights.role.as_str().to_owned()),
            ],
        );
        if let Some(first) = first {
            let Request { id, filter, resume } = *first;
            if let Err((code, text)) = self.subscribe(socket, &id, filter, resume) {
                self.refuse(socket, Some(id), code, text);
            }
        }
        // Spread out, so that connections that were made together do not tick together.
        let first = TICK.mul_f64(rand::random_range(0.25..1.0));
        self.seat.wake_at((Instant::now() + first).min(self.expires));
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
                Turn::Inbound(message) => match self.inbound(socket, &message) {
                    Ok(None) => Ok(()),
                    // Rare, and large: it has a box of its own.
                    Ok(Some(token)) => Box::pin(self.renew(socket, &token)).await,
                    Err(gone) => Err(gone),
                },
                Turn::Tick => self.tick(socket),
                Turn::Ordered(code) => {
                    if code == CloseCode::GoingAway {
                        self.render_all(socket);
                    }
                    Err(ordered(code))
                }
                Turn::Ended(error) => Err(meaning(error.as_ref())),
            };
            if let Err(gone) = step {
                return gone;
            }
        }
    }

    /// Takes its subscriptions out of the hub, and gives back its seat. Returns whose it was.
    pub fn leave(mut self: Box<Self>) -> String {
        for subscription in self.subscriptions.drain(..) {
            self.gateway.hub.leave(&subscription.sub);
            self.gateway.matches.leave(&subscription.sub);
        }
        self.seat.mailbox().close();
        tracing::debug!(session = self.name, "a client left");
        std::mem::take(&mut self.grant.subject)
    }

    pub(super) fn welcome<T: Transport>(&self, socket: &mut Socket<T>) -> Result<(), Gone> {
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

    fn render<T: Transport>(&mut self, socket: &mut Socket<T>) {
        let mut items = std::mem::take(&mut self.items);
        self.seat.mailbox().take(BATCH, BATCH_BYTES, &mut items);
        for item in items.drain(..) {
            self.render_one(socket, item);
        }
        self.items = items;
        if socket.is_idle() {
            // None of it was wanted.
            self.seat.mailbox().flushed();
        }
    }

    /// What waits goes out before the gateway does: all of it is less than a mailbox holds.
    fn render_all<T: Transport>(&mut self, socket: &mut Socket<T>) {
        while !self.seat.mailbox().is_empty() {
            self.render(socket);
        }
    }

    fn render_one<T: Transport>(&mut self, socket: &mut Socket<T>, item: Item) {
        let key = item.key();
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
                    let began = (event.published_us >= subscription.began_us).then(|| Began::of(&event));
                    self.deliver(socket, &event, &id);
                    self.unflushed.push(began);
                }
            }
            Item::Match(_, event) => {
                if self.grant.rights.permit_match(&event.data) && subscription.passes_match(&event) {
                    let id = Arc::clone(&subscription.sub.id);
                    socket.send_encoded(event.frame(socket.format(), self.view(), &id), None);
                    self.gateway.figures.match_deliveries.inc();
                }
            }
            Item::Frame(_, frame) => {
                if let ServerFrame::Subscribed { .. } = &*frame {
                    subscription.told = Some((0, Instant::now()));
                    self.gateway.matches.join(&subscription.sub);
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
            Item::Told(_, unique) => subscription.remembers(*unique),
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

    fn deliver<T: Transport>(&self, socket: &mut Socket<T>, event: &Event, id: &Arc<str>) {
        socket.send_encoded(event.frame(socket.format(), self.view(), id), Some(event.seq));
    }

    fn view(&self) -> View {
        if self.grant.rights.role.sees_everything() {
            View::Full
        } else {
            View::Reduced
        }
    }

    fn flushed(&mut self) {
        self.seat.mailbox().flushed();
        if self.unflushed.is_empty() {
            return;
        }
        let figures = &self.gateway.figures;
        figures.deliveries.add(self.unflushed.len() as u64);
        let now_us = u64::try_from(clock::now_us()).unwrap_or(0);
        for began in self.unflushed.drain(..).flatten() {
            let hops = [
                (Some(began.stored_us), &figures.stream_to_client),
                (began.received_us, &figures.received_to_client),
            ];
            for (from_us, histogram) in hops {
                match from_us.map(|from_us| now_us.checked_sub(from_us)) {
                    Some(Some(latency_us)) => histogram.observe_traced(latency_us, began.trace),
                    Some(None) => figures.negative_latency.inc(),
                    None => {}
                }
            }
        }
        if self.unflushed.capacity() > 256 {
            self.unflushed.shrink_to(32);
        }
    }

    fn tick<T: Transport>(&mut self, socket: &mut Socket<T>) -> Result<(), Gone> {
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
            return Err(end(CloseCode::TooSlow, Limit::Pace.reason()));
        }
        let silence = now.saturating_duration_since(self.heard);
        if Socket::<T>::hears() && silence >= SILENCE_LIMIT {
            tracing::debug!(
                session = self.name,
                silence_s = silence.as_secs(),
                "a client is gone without a word"
            );
            return Err(Gone::Left);
        }
        // What is told now goes out behind what waits; to a blocked socket it would only pile up.
        if socket.blocked_for(now).is_zero() {
            if silence >= SILENCE_LIMIT / 2 {
                socket.ping();
            }
            self.positions(socket, now);
        }
        self.seat.wake_at((now + TICK).min(self.expires));
        Ok(())
    }

    /// Tells every subscription's position that is due.
    fn positions<T: Transport>(&mut self, socket: &mut Socket<T>, now: Instant) {
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
                let position = ServerFrame::Position {
                    id: subscription.sub.id.to_string(),
                    epoch: place.epoch.to_string(),
                    seq: subscription.position,
                };
                socket.send_at(&position, subscription.position);
            }
        }
    }
}
