//! The fan-out: every event of the stream to every subscription that wants it.
//!
//! One task follows DETECTIONS. An event is decoded once, kept in a [`ring`] for those who come
//! back soon, looked up in an [`index`] of subscriptions, and put into the mailboxes of the clients
//! that it concerns, where it waits as a shared pointer.
//!
//! A subscription is *live* (in the index) or *behind*: then it has a cursor, and [`crate::resume`]
//! brings it forward, from the stream or the ring, until [`Hub::advance`] finds it at the head and
//! makes it live under the same lock. That lock is why nothing is sent twice or left out between
//! the two. A mailbox that is full puts its subscription behind, too: so a slow client costs the
//! fan-out nothing but the attempt.

mod beat;
mod feed;
mod index;
mod matches;
mod ring;
mod seen;

pub use feed::follow;
pub use matches::{Matches, follow_matches};
pub(crate) use seen::Seen;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tgmesh_proto::id::EventId;
use tokio::sync::{Notify, watch};

use crate::event::Event;
use crate::figures::Figures;
use crate::filter::Matcher;
use crate::mailbox::{Item, Mailbox, Put};
use beat::Beat;
use index::Index;
use ring::Ring;

/// A place in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Epoch of the stream.
    pub epoch: Arc<str>,
    /// Sequence.
    pub seq: u64,
}

/// One subscription of one client.
#[derive(Debug)]
pub struct Sub {
    /// Unique in this process.
    pub key: u64,
    /// The client's name for it.
    pub id: Arc<str>,
    /// Where its events go.
    pub mailbox: Arc<Mailbox>,
    /// The epoch it belongs to, compared by identity: the same name after a reset is another one.
    epoch: Arc<str>,
    gone: AtomicBool,
    matcher: Mutex<Arc<Matcher>>,
    /// Everything up to here was handed over or not wanted. Written under the hub's lock.
    cursor: AtomicU64,
}

impl Sub {
    /// A new subscription in the epoch of [`Hub::place`].
    #[must_use]
    pub fn new(id: Arc<str>, epoch: Arc<str>, mailbox: Arc<Mailbox>, matcher: Arc<Matcher>) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self {
            key: NEXT.fetch_add(1, Ordering::Relaxed),
            id,
            mailbox,
            epoch,
            gone: AtomicBool::new(false),
            matcher: Mutex::new(matcher),
            cursor: AtomicU64::new(0),
        })
    }

    /// Its filter.
    #[must_use]
    pub fn matcher(&self) -> Arc<Matcher> {
        Arc::clone(&self.matcher.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where it stood when it was put behind.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor.load(Ordering::Relaxed)
    }
}

/// What [`Hub::advance`] found.
#[derive(Debug)]
pub enum Advance {
    /// At the head: it is live now.
    Live,
    /// The next events of the ring.
    Events {
        /// In order.
        events: Vec<Arc<Event>>,
        /// Sequences between them that the stream had lost before they could be read, inclusive.
        holes: Vec<(u64, u64)>,
        /// The sequence through which this is complete.
        through: u64,
    },
    /// Older than the ring, which is complete after this sequence.
    Behind(u64),
    /// The subscription or its epoch has ended.
    Over,
}

/// The fan-out's state. Shared by the feed, the clients and the resumes.
#[derive(Debug)]
pub struct Hub {
    state: Mutex<State>,
    place: watch::Sender<Option<Arc<str>>>,
    /// Somebody waits for it.
    beat: Notify,
    figures: Figures,
}

#[derive(Debug)]
struct State {
    epoch: Arc<str>,
    head: u64,
    ring: Ring,
    seen: Seen,
    index: Index,
    beat: Beat,
}

impl Hub {
    /// A hub that does not follow a stream yet.
    #[must_use]
    pub fn new(figures: Figures) -> Arc<Self> {
        let state = State {
            epoch: "".into(),
            head: 0,
            ring: Ring::default(),
            seen: Seen::default(),
            index: Index::default(),
            beat: Beat::new(Instant::now()),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            place: watch::Sender::new(None),
            beat: Notify::new(),
            figures,
        })
    }

    /// The stream's place, as far as this process has read; nothing before it has caught up.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        let epoch = self.place.borrow().clone()?;
        Some(Place {
            epoch,
            seq: self.lock().head,
        })
    }

    /// Follows the epoch that is served; nothing while the process catches up.
    #[must_use]
    pub fn epoch(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.place.subscribe()
    }

    /// Makes a subscription live from now on. Returns the head.
    pub fn join(&self, sub: &Arc<Sub>) -> u64 {
        let mut state = self.lock();
        let head = state.head;
        state.join(sub, head);
        head
    }

    /// Brings a subscription forward that is complete up to `cursor`: at most `most` events.
    pub fn advance(&self, sub: &Arc<Sub>, cursor: u64, most: usize) -> Advance {
        let mut state = self.lock();
        if !state.belongs(sub) {
            return Advance::Over;
        }
        if cursor >= state.head {
            state.join(sub, cursor);
            return Advance::Live;
        }
        match state.ring.after(cursor, most, state.head) {
            Some((events, through)) => Advance::Events {
                events,
                holes: state.ring.holes(cursor, through),
                through,
            },
            None => Advance::Behind(state.ring.floor()),
        }
    }

    /// The ring's events, the sequence after which they are complete, and the head.
    #[must_use]
    pub fn recent(&self) -> (Vec<Arc<Event>>, u64, u64) {
        let state = self.lock();
        (state.ring.all(), state.ring.floor(), state.head)
    }

    /// The sequence after which the ring is complete.
    #[must_use]
    pub fn recent_floor(&self) -> u64 {
        self.lock().ring.floor()
    }

    /// An event that is still in the ring.
    #[must_use]
    pub fn find(&self, seq: u64) -> Option<Arc<Event>> {
        self.lock().ring.find(seq)
    }

    /// Those of the events that are repeats: their id was seen at a smaller sequence.
    #[must_use]
    pub fn repeats(&self, events: &[(u64, EventId)]) -> HashSet<u64> {
        let state = self.lock();
        let is_repeat = |&&(seq, ref id): &&(u64, EventId)| state.seen.first(id).is_some_and(|first| first < seq);
        events.iter().filter(is_repeat).map(|&(seq, _)| seq).collect()
    }

    /// The head, if `idle` holds at a moment at which nothing is handed over.
    pub fn head_if(&self, idle: impl FnOnce() -> bool) -> Option<u64> {
        let state = self.lock();
        idle().then_some(state.head)
    }

    /// Changes a subscription's filter.
    pub fn refilter(&self, sub: &Arc<Sub>, matcher: Arc<Matcher>) {
        let mut state = self.lock();
        *sub.matcher.lock().unwrap_or_else(PoisonError::into_inner) = matcher;
        if state.index.remove(sub.key) {
            state.index.insert(sub);
        }
    }

    /// Ends a subscription.
    pub fn leave(&self, sub: &Sub) {
        let mut state = self.lock();
        // A resume may be about to make it live: it must not come back.
        sub.gone.store(true, Ordering::Relaxed);
        state.index.remove(sub.key);
    }

    /// Number of live subscriptions.
    #[must_use]
    pub fn live(&self) -> usize {
        self.lock().index.len()
    }

    /// Takes over an epoch; everything before it is forgotten. The ring is complete after `floor`.
    fn reset(&self, epoch: &str, floor: u64) {
        let mut state = self.lock();
        state.epoch = epoch.into();
        state.head = floor;
        state.ring = Ring::starting_after(floor);
        state.seen = Seen::default();
        // Sequences of another epoch must not reach them; their clients are sent away.
        state.index = Index::default();
        self.place.send_replace(None);
    }

    /// Clients may come: the ring holds the recent past.
    fn open(&self) {
        let epoch = Arc::clone(&self.lock().epoch);
        self.place.send_replace(Some(epoch));
    }

    /// Wakes in beats those who were left asleep.
    async fn keep_beat(&self) {
        let mut rest = Duration::ZERO;
        loop {
            let rested = tokio::time::Instant::now() + rest;
            self.beat.notified().await;
            tokio::time::sleep(beat::BEAT).await;
            tokio::time::sleep_until(rested).await;
            let waiting = self.lock().beat.take();
            rest = beat::rest_after(waiting.len());
            for mailbox in waiting {
                mailbox.ring();
            }
        }
    }

    /// A message that is no readable event.
    fn pass_over(&self, seq: u64) {
        self.lock().head_to(seq);
    }

    /// Hands an event to every live subscription that wants it.
    fn accept(&self, event: &Arc<Event>) {
        let mut state = self.lock();
        if event.seq <= state.head {
            // The reader's order is broken; sending it would break the clients'.
            self.figures.out_of_order.inc();
            return;
        }
        state.head_to(event.seq);
        if !state.seen.insert(event.detection.id, event.seq, event.published_us) {
            self.figures.repeats.inc();
            return;
        }
        self.figures.events.inc();
        state.ring.push(Arc::clone(event));
        let mut full = Vec::new();
        let State { index, beat, .. } = &mut *state;
        let quietly = beat.is_busy(Instant::now());
        index.candidates(event, |entry| {
            let sub = &entry.sub;
            if event.seq <= sub.cursor() || !entry.matcher.wants(&event.detection, &event.address_key) {
                return;
            }
            beat.delivered();
            match sub.mailbox.offer(sub, event, quietly) {
                Put::In | Put::Closed => {}
                Put::Asleep => beat.wait(&sub.mailbox),
                Put::Full => full.push(Arc::clone(sub)),
            }
        });
        if quietly {
            self.beat.notify_one();
        }
        for sub in full {
            self.figures.slowed.inc();
            state.index.remove(sub.key);
            sub.cursor.store(event.seq - 1, Ordering::Relaxed);
            // In its turn, after everything that waits there already.
            sub.mailbox.put(Item::Behind(sub.key));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn belongs(&self, sub: &Sub) -> bool {
        Arc::ptr_eq(&sub.epoch, &self.epoch) && !sub.gone.load(Ordering::Relaxed)
    }

    fn join(&mut self, sub: &Arc<Sub>, cursor: u64) {
        if !self.belongs(sub) {
            return;
        }
        sub.cursor.store(cursor, Ordering::Relaxed);
        self.index.insert(sub);
    }

    /// Moves the head, and tells the live subscriptions what was skipped: the stream had lost it
    /// before it could be read.
    fn head_to(&mut self, seq: u64) {
        if seq > self.head + 1 {
            let (from, to) = (self.head + 1, seq - 1);
            self.ring.lost(from, to);
            self.index.each(|entry| {
                let from = from.max(entry.sub.cursor() + 1);
                if from <= to {
                    entry.sub.mailbox.put(Item::Gap {
                        key: entry.sub.key,
                        from,
                        to,
                    });
                }
            });
        }
        self.head = self.head.max(seq);
    }
}

#[cfg(test)]
mod tests;
