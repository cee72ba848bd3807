//! What waits for one client to be written to its socket.

mod budget;

pub use budget::Budget;
#[cfg(test)]
pub(crate) use budget::MAX_SHARE;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Context;

use futures_util::task::AtomicWaker;
use tgmesh_proto::frame::{CloseCode, ServerFrame};
use tokio::sync::Notify;

use crate::event::{Event, MatchEvent};
use crate::filter::Unique;
use crate::hub::Sub;

/// The part of a client's share below which a resume goes on putting events in.
const ROOM: usize = 4;
/// Items that an idle mailbox keeps room for.
const IDLE_ITEMS: usize = 8;
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
    budget: Arc<Budget>,
    owner: AtomicWaker,
    room: Notify,
    /// What the client's task is told to end with.
    order: OnceLock<CloseCode>,
    /// Of the alarm that counts.
    generation: AtomicU32,
    alarmed: AtomicBool,
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is in, and the client's task is or will be woken.
    In,
    /// It is in, and the caller has to [`ring`](Mailbox::ring).
    Asleep,
    /// There is no room.
    Full,
    /// It was dropped: the client is gone.
    Closed,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    /// Of the items, and of what was taken out and is not in the kernel's hands yet.
    bytes: usize,
    /// The latter alone.
    taken: usize,
    closed: bool,
    /// Whether somebody has promised to.
    is_to_be_woken: bool,
}

impl Mailbox {
    /// A mailbox whose bytes count against a budget.
    #[must_use]
    pub fn new(budget: &Arc<Budget>) -> Self {
        Self {
            budget: Arc::clone(budget),
            ..Self::default()
        }
    }

    /// Puts an event in, unless the mailbox is full. With `quietly`, nobody is woken: see
    /// [`Put::Asleep`].
    pub fn offer(&self, sub: &Sub, event: &Arc<Event>, quietly: bool) -> Put {
        self.put_within(self.budget.share(), quietly, || Item::Event(sub.key, Arc::clone(event)))
    }

    /// As [`Mailbox::offer`], for a match.
    pub fn offer_match(&self, sub: &Sub, event: &Arc<MatchEvent>) -> bool {
        self.put_within(self.budget.share(), false, || Item::Match(sub.key, Arc::clone(event))) != Put::Full
    }

    /// As [`Mailbox::offer`], for an event of the past: it leaves room for what is live.
    pub fn fill(&self, sub: &Sub, event: Arc<Event>) -> bool {
        self.put_within(self.budget.share() / ROOM, false, || Item::Event(sub.key, event)) == Put::In
    }

    /// Puts something in that is small and has to arrive, full or not.
    pub fn put(&self, item: Item) {
        self.put_within(usize::MAX, false, || item);
    }

    /// Wakes who was left asleep.
    pub fn ring(&self) {
        self.lock().is_to_be_woken = false;
        self.owner.wake();
    }

    fn put_within(&self, most: usize, quietly: bool, item: impl FnOnce() -> Item) -> Put {
        let mut state = self.lock();
        if state.closed {
            return Put::Closed;
        }
        if state.bytes >= most {
            return Put::Full;
        }
        let item = item();
        let bytes = item.bytes();
        state.bytes += bytes;
        state.items.push_back(item);
        self.budget.take(bytes);
        if quietly {
            let was_to_be = std::mem::replace(&mut state.is_to_be_woken, true);
            return if was_to_be { Put::In } else { Put::Asleep };
        }
        drop(state);
        self.owner.wake();
        Put::In
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
                if state.bytes < self.budget.share() / ROOM {
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

    /// Begins another alarm, in place of the one before. Returns its generation.
    pub fn expect_alarm(&self) -> u32 {
        let generation = self.generation.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        self.alarmed.store(false, Ordering::Relaxed);
        generation
    }

    /// The time of an alarm has come.
    pub fn alarm(&self, generation: u32) {
        if self.generation.load(Ordering::Relaxed) == generation {
            self.alarmed.store(true, Ordering::Release);
            self.owner.wake();
        }
    }

    /// Whether the time has come, told once.
    pub fn take_alarm(&self) -> bool {
        self.alarmed.load(Ordering::Relaxed) && self.alarmed.swap(false, Ordering::Acquire)
    }

    /// Takes out the next items: at most `most`, and none behind the one that reaches `bytes`.
    pub fn take(&self, most: usize, bytes: usize, into: &mut VecDeque<Item>) {
        let mut state = self.lock();
        let mut taken = 0;
        for _ in 0..most {
            if taken >= bytes {
                break;
            }
            let Some(item) = state.items.pop_front() else { break };
            taken += item.bytes();
            into.push_back(item);
        }
        state.taken += taken;
        if state.items.is_empty() && state.items.capacity() > IDLE_ITEMS {
            // An idle client keeps no memory of its busy times.
            state.items.shrink_to(IDLE_ITEMS);
        }
    }

    /// What was taken out is in the kernel's hands, or was not wanted.
    pub fn flushed(&self) {
        let mut state = self.lock();
        let taken = std::mem::take(&mut state.taken);
        if taken == 0 {
            return;
        }
        state.bytes -= taken;
        self.budget.give_back(taken);
        let is_roomy = state.bytes < self.budget.share() / ROOM;
        drop(state);
        if is_roomy {
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
        state.taken = 0;
        self.budget.give_back(std::mem::take(&mut state.bytes));
        drop(state);
        self.room.notify_waiters();
        self.owner.wake();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use futures_util::task::{ArcWake, waker};

    use super::*;

    #[derive(Default)]
    struct Bell(AtomicU32);

    impl ArcWake for Bell {
        fn wake_by_ref(bell: &Arc<Self>) {
            bell.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn items(count: usize) -> impl Iterator<Item = Item> {
        (0..count).map(|n| Item::Through(1, n as u64))
    }

    #[test]
    fn who_is_left_asleep_is_rung_once() {
        let (mailbox, bell) = (Mailbox::default(), Arc::<Bell>::default());
        let ringer: Waker = waker(Arc::clone(&bell));
        let rings = || bell.0.load(Ordering::Relaxed);
        mailbox.watch(&Context::from_waker(&ringer));
        let mut quietly = items(3).map(|item| mailbox.put_within(usize::MAX, true, || item));
        assert_eq!(quietly.next(), Some(Put::Asleep));
        assert!(quietly.all(|put| put == Put::In));
        assert_eq!(rings(), 0);
        mailbox.ring();
        assert_eq!(rings(), 1);
        mailbox.watch(&Context::from_waker(&ringer));
        assert_eq!(mailbox.put_within(usize::MAX, true, || Item::Live(1)), Put::Asleep);
        mailbox.put(Item::Live(1));
        assert_eq!(rings(), 2, "what is not quiet wakes at once");
    }

    #[test]
    fn what_was_taken_counts_until_it_is_flushed() {
        let budget = Arc::new(Budget::new(1 << 20));
        let mailbox = Mailbox::new(&budget);
        items(4).for_each(|item| mailbox.put(item));
        let all = budget.used();
        assert!(all > 0);
        let mut taken = VecDeque::new();
        mailbox.take(usize::MAX, all / 2, &mut taken);
        assert_eq!((taken.len(), budget.used()), (2, all));
        mailbox.flushed();
        assert_eq!(budget.used(), all / 2);
        mailbox.take(1, usize::MAX, &mut taken);
        mailbox.close();
        assert_eq!(budget.used(), 0);
        mailbox.put(Item::Live(1));
        mailbox.flushed();
        assert_eq!(budget.used(), 0, "nothing is taken in any more");
    }
}
