//! What waits for one client to be written to its socket.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Context;

use futures_util::task::AtomicWaker;
use tgmesh_proto::frame::{CloseCode, ServerFrame};
use tokio::sync::Notify;

use crate::event::{Event, MatchEvent};
use crate::filter::Unique;
use crate::hub::Sub;

/// Bytes of events that may wait. Beyond it the fan-out puts the subscription behind.
pub const MAX_BYTES: usize = 1 << 20;
/// Bytes below which a resume goes on putting events in.
const ROOM_BYTES: usize = MAX_BYTES / 4;
/// What an event counts besides its payload: the frame around it and the names that JSON adds.
const FRAME_BYTES: usize = 512;

/// One thing for a client, in order.
#[derive(Debug)]
pub enum Item {
    /// An event for the subscription of this key.
    Event(u64, Arc<Event>),
    /// A match for the subscription of this key.
    Match(u64, Arc<MatchEvent>),
    /// A frame about the subscription of this key.
    Frame(u64, Box<ServerFrame>),
    /// Sequences that will not come.
    Gap {
        /// Key of the subscription.
        key: u64,
        /// First sequence.
        from: u64,
        /// Last sequence.
        to: u64,
    },
    /// Everything up to here was put in or is not wanted.
    Through(u64, u64),
    /// What `unique_within` remembers of the time before what comes next.
    Told(u64, Box<Unique>),
    /// The subscription is live.
    Live(u64),
    /// The subscription was put behind: this client is too slow.
    Behind(u64),
}

/// The queue between the fan-out and one client's task.
#[derive(Debug, Default)]
pub struct Mailbox {
    state: Mutex<State>,
    owner: AtomicWaker,
    room: Notify,
    /// What the client's task is told to end with.
    order: OnceLock<CloseCode>,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    bytes: usize,
    closed: bool,
}

impl Mailbox {
    /// Puts an event in, unless the mailbox is full: then it returns false.
    pub fn offer(&self, sub: &Sub, event: &Arc<Event>) -> bool {
        let mut state = self.lock();
        if state.bytes >= MAX_BYTES {
            return false;
        }
        state.put(Item::Event(sub.key, Arc::clone(event)));
        drop(state);
        self.owner.wake();
        true
    }

    /// As [`Mailbox::offer`], for a match.
    pub fn offer_match(&self, sub: &Sub, event: &Arc<MatchEvent>) -> bool {
        let mut state = self.lock();
        if state.bytes >= MAX_BYTES {
            return false;
        }
        state.put(Item::Match(sub.key, Arc::clone(event)));
        drop(state);
        self.owner.wake();
        true
    }

    /// As [`Mailbox::offer`], for an event of the past: it leaves room for what is live.
    pub fn fill(&self, sub: &Sub, event: Arc<Event>) -> bool {
        let mut state = self.lock();
        if state.bytes >= ROOM_BYTES || state.closed {
            return false;
        }
        state.put(Item::Event(sub.key, event));
        drop(state);
        self.owner.wake();
        true
    }

    /// Puts something in that is small and has to arrive, full or not.
    pub fn put(&self, item: Item) {
        self.lock().put(item);
        self.owner.wake();
    }

    /// Waits until there is room for more. Returns false once the client is gone.
    pub async fn room(&self) -> bool {
        loop {
            let notified = self.room.notified();
            {
                let state = self.lock();
                if state.closed {
                    return false;
                }
                if state.bytes < ROOM_BYTES {
                    return true;
                }
            }
            notified.await;
        }
    }

    /// Tells the client's task to end with this close code. The first order stands.
    pub fn order(&self, code: CloseCode) {
        let _ = self.order.set(code);
        self.owner.wake();
    }

    /// The order, if there is one.
    #[must_use]
    pub fn ordered(&self) -> Option<CloseCode> {
        self.order.get().copied()
    }

    /// Wakes this task when something is put in or ordered.
    pub fn watch(&self, context: &Context<'_>) {
        self.owner.register(context.waker());
    }

    /// Takes out the next items, at most `most`.
    pub fn take(&self, most: usize, into: &mut VecDeque<Item>) {
        let mut state = self.lock();
        let count = state.items.len().min(most);
        let mut bytes = 0;
        into.extend(state.items.drain(..count).inspect(|item| bytes += item.bytes()));
        let was_roomy = state.bytes < ROOM_BYTES;
        state.bytes -= bytes;
        if state.items.is_empty() {
            // An idle client keeps no memory of its busy times.
            state.items.shrink_to(8);
        }
        let is_roomy = state.bytes < ROOM_BYTES;
        drop(state);
        if is_roomy && !was_roomy {
            self.room.notify_waiters();
        }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().items.is_empty()
    }

    /// The client is gone: drops what waits, and takes nothing more.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.items = VecDeque::new();
        state.bytes = 0;
        drop(state);
        self.room.notify_waiters();
        self.owner.wake();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, item: Item) {
        if !self.closed {
            self.bytes += item.bytes();
            self.items.push_back(item);
        }
    }
}

impl Item {
    /// Key of the subscription that it is about.
    #[must_use]
    pub fn key(&self) -> u64 {
        let (Self::Event(key, _)
        | Self::Match(key, _)
        | Self::Frame(key, _)
        | Self::Gap { key, .. }
        | Self::Through(key, _)
        | Self::Told(key, _)
        | Self::Live(key)
        | Self::Behind(key)) = self;
        *key
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Event(_, event) => event.size + FRAME_BYTES,
            Self::Match(_, event) => event.size + FRAME_BYTES,
            _ => 64,
        }
    }
}
