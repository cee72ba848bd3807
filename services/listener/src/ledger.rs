//! The continuity ledger: which message ids of each chat are accounted for.
//!
//! In a channel ids are one dense sequence, so an id that is missing below one that exists is a
//! message that was missed, or was deleted. Every such hole is asked for until it has an outcome.
//! Private chats and basic groups share the account's own sequence, which has a chapter of its own.
//! An id is done only when what the message held is in the stream; so after a crash the holes say
//! exactly what is to be fetched again.

mod chapter;
mod marks;
mod ranges;
mod store;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tgmesh_proto::detection::ChatKind;
use tokio::sync::Notify;

pub use chapter::{Chapter, Order, Outcome};
pub use marks::Look;
pub use store::{Bookkeeper, LedgerError, Predecessors};

use crate::session::ChannelPosition;
use crate::stats::Stats;

/// The chapter of private chats and basic groups, whose ids are the account's: no chat has this
/// id.
pub const OWN: i64 = 0;

/// The ledgers of all accounts of the process.
#[derive(Clone, Default)]
pub struct Ledgers {
    all: Arc<Mutex<Vec<Named>>>,
}

/// A ledger and whose it is.
#[derive(Clone)]
pub struct Named {
    /// Name of the account.
    pub account: Arc<str>,
    /// Its number in this process.
    pub account_no: u32,
    /// The ledger.
    pub ledger: Arc<Ledger>,
}

/// A ledger among the others, until it is dropped.
pub struct Listed {
    ledgers: Ledgers,
    ledger: Arc<Ledger>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut all = self.ledgers.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|named| !Arc::ptr_eq(&named.ledger, &self.ledger));
    }
}

impl Ledgers {
    /// Adds one.
    #[must_use]
    pub fn add(&self, named: Named) -> Listed {
        let listed = Listed {
            ledgers: self.clone(),
            ledger: Arc::clone(&named.ledger),
        };
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(named);
        listed
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Named> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ids that are missing in all of them, and how many of those cannot be read.
    #[must_use]
    pub fn open_ids(&self) -> (u64, u64) {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .map(|named| named.ledger.open_ids())
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// See [`chapter_of`].
    pub chat: i64,
    /// Message id.
    pub id: i32,
    /// What became of it.
    pub outcome: Outcome,
}

/// Where in DETECTIONS an event of a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredEvent {
    /// See [`chapter_of`].
    pub chat: i64,
    /// Message id.
    pub id: i32,
    /// Sequence in the stream.
    pub seq: u64,
}

/// Messages that are to be fetched again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reopened {
    /// See [`chapter_of`].
    pub chat: i64,
    /// Lowest and highest id.
    pub ids: (i32, i32),
    /// How many of them had been accounted for.
    pub count: u64,
    /// First and last sequence of their events.
    pub seqs: (u64, u64),
}

/// The ledger of one account.
pub struct Ledger {
    inner: Mutex<Inner>,
    stats: Stats,
    /// Something is to be stored.
    changed: Notify,
    /// Something was stored.
    flushed: Notify,
}

#[derive(Default)]
struct Inner {
    chapters: HashMap<i64, Chapter>,
    /// Chapters that differ from what is stored.
    dirty: HashSet<i64>,
    /// Chats that were stored since they were taken over, or at all.
    stored: HashSet<i64>,
}

/// The chapter of a chat's messages.
#[must_use]
pub const fn chapter_of(chat_id: i64, kind: ChatKind) -> i64 {
    if kind.numbers_per_account() { OWN } else { chat_id }
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new(stats: Stats) -> Self {
        Self {
            inner: Mutex::default(),
            stats,
            changed: Notify::new(),
            flushed: Notify::new(),
        }
    }

    /// Follows a chat from behind `last` on; does nothing when it is followed already. `top` is the
    /// newest message that the server names.
    pub fn open(&self, chat: i64, last: i32, top: i32) {
        let mut inner = self.lock();
        let now = Instant::now();
        let inner = &mut *inner;
        let chapter = inner.chapters.entry(chat).or_insert_with(|| {
            inner.dirty.insert(chat);
            Chapter::begin(last.saturating_add(1), now)
        });
        chapter.raise(top);
    }

    /// Takes over what another account knows of a chat. Gives the place up to which that is whole.
    #[must_use]
    pub fn adopt(&self, chat: i64, theirs: Chapter) -> Option<ChannelPosition> {
        let mut inner = self.lock();
        let place = theirs.place;
        match inner.chapters.entry(chat) {
            Entry::Occupied(mut ours) => ours.get_mut().merge(theirs),
            Entry::Vacant(none) => drop(none.insert(theirs)),
        }
        inner.stored.remove(&chat);
        inner.dirty.insert(chat);
        self.changed.notify_one();
        (place.pts > 0).then_some(place)
    }

    /// Waits until these chapters are stored.
    pub async fn stored(&self, chats: &[i64]) {
        loop {
            let flushed = self.flushed.notified();
            tokio::pin!(flushed);
            flushed.as_mut().enable();
            if chats.iter().all(|chat| self.lock().stored.contains(chat)) {
                return;
            }
            flushed.await;
        }
    }

    /// Notes that everything of a channel up to this place is in the stream.
    pub fn reached(&self, chat: i64, place: ChannelPosition) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        if let Some(chapter) = inner.chapters.get_mut(&chat)
            && chapter.place != place
        {
            chapter.place = place;
            inner.dirty.insert(chat);
            self.changed.notify_one();
        }
    }

    /// Forgets a chat that is no longer the account's to watch. What is stored of it stays.
    pub fn forget(&self, chat: i64) {
        self.lock().chapters.remove(&chat);
    }

    /// Forgets all chats but these, and the account's own sequence.
    pub fn keep_only(&self, keep: impl Fn(i64) -> bool) {
        self.lock().chapters.retain(|&chat, _| chat == OWN || keep(chat));
    }

    /// Notes that a message exists.
    pub fn raise(&self, chat: i64, top: i32) {
        if let Some(chapter) = self.lock().chapters.get_mut(&chat) {
            chapter.raise(top);
        }
    }

    /// Begins a chat anew whose numbering began anew.
    pub fn restart(&self, chat: i64, last: i32) {
        let mut inner = self.lock();
        inner
            .chapters
            .insert(chat, Chapter::begin(last.saturating_add(1), Instant::now()));
        inner.dirty.insert(chat);
    }

    /// Notes that a message is under way to the stream. A chat that is not known is followed from
    /// it on.
    pub fn take(&self, chat: i64, id: i32) {
        let mut inner = self.lock();
        let chapter = inner.chapters.entry(chat);
        chapter.or_insert_with(|| Chapter::begin(id, Instant::now())).take(id);
    }

    /// Notes what became of messages. To be called when what they held is in the stream.
    pub fn settle(&self, accounts: impl IntoIterator<Item = Account>, stored: &[StoredEvent], now_s: i64) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let mut any = false;
        for event in stored {
            if let Some(chapter) = inner.chapters.get_mut(&event.chat) {
                chapter.stored(event.id, event.seq, now_s);
                inner.dirty.insert(event.chat);
                any = true;
            }
        }
        for Account { chat, id, outcome } in accounts {
            let Some(chapter) = inner.chapters.get_mut(&chat) else {
                continue;
            };
            if chapter.account(id, outcome) {
                self.stats.account(outcome, 1);
                inner.dirty.insert(chat);
                any = true;
            }
        }
        if any {
            self.changed.notify_one();
        }
    }

    /// What is to be asked for in a chat now; at most `limit` ids.
    #[must_use]
    pub fn order(&self, chat: i64, limit: usize) -> Option<Order> {
        let mut inner = self.lock();
        inner.chapters.get_mut(&chat)?.order(limit, Instant::now())
    }

    /// Notes that history was read between these ids, and what it held taken.
    pub fn swept(&self, chat: i64, from: i32, to: i32) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let Some(chapter) = inner.chapters.get_mut(&chat) else {
            return;
        };
        let closed = chapter.swept(from, to);
        if closed > 0 {
            self.stats.account(Outcome::Deleted, closed);
            inner.dirty.insert(chat);
            self.changed.notify_one();
        }
    }

    /// Notes that a chat's history cannot be read.
    pub fn cannot_be_swept(&self, chat: i64) {
        if let Some(chapter) = self.lock().chapters.get_mut(&chat) {
            chapter.cannot_be_swept();
        }
    }

    /// Notes ids that the server says are empty.
    pub fn empty(&self, chat: i64, ids: &[i32]) {
        self.each(chat, ids, Chapter::was_empty);
    }

    /// Notes ids that the server refuses to give.
    pub fn refused(&self, chat: i64, ids: &[i32]) {
        self.each(chat, ids, Chapter::was_refused);
    }

    /// Notes ids whose answer cannot be read.
    pub fn unreadable(&self, chat: i64, ids: &[i32]) {
        if let Some(chapter) = self.lock().chapters.get_mut(&chat) {
            chapter.was_unreadable(ids, Instant::now());
        }
    }

    /// Gives up what is missing of a chat that the account can no longer read.
    pub fn give_up(&self, chat: i64) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let Some(chapter) = inner.chapters.get_mut(&chat) else {
            return;
        };
        let given_up = chapter.give_up();
        if given_up > 0 {
            self.stats.account(Outcome::Unreachable, given_up);
            inner.dirty.insert(chat);
            self.changed.notify_one();
        }
    }

    /// Looks at what became of the events in the stream, and opens messages again whose events were
    /// thrown out before they were archived: about `limit` ids. They are asked for as other missing
    /// ones are, but not before `prepare` has returned.
    #[must_use]
    pub fn review(&self, look: &Look, limit: u64, prepare: impl Fn(&Reopened)) -> Vec<Reopened> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let mut reopened: Vec<Reopened> = Vec::new();
        let mut left = limit;
        for (&chat, chapter) in &mut inner.chapters {
            let has_room = look.has_room && left > 0;
            let (changed, opened) = chapter.review(&Look {
                has_room,
                ..look.clone()
            });
            if changed {
                inner.dirty.insert(chat);
                self.changed.notify_one();
            }
            if let Some((mark, count)) = opened {
                left = left.saturating_sub(count);
                self.stats.reopened.add(count);
                let opened = Reopened {
                    chat,
                    ids: mark.ids,
                    count,
                    seqs: mark.seqs,
                };
                prepare(&opened);
                reopened.push(opened);
            }
        }
        reopened
    }

    /// Ids that are missing in all chats, and how many of them cannot be read.
    #[must_use]
    pub fn open_ids(&self) -> (u64, u64) {
        let inner = self.lock();
        let chapters = inner.chapters.values();
        chapters.fold((0, 0), |(open, unreadable), chapter| {
            (open + chapter.open(), unreadable + chapter.unreadable())
        })
    }

    /// Whether ids of a chat are missing.
    #[must_use]
    pub fn has_open(&self, chat: i64) -> bool {
        self.lock()
            .chapters
            .get(&chat)
            .is_some_and(|chapter| chapter.open() > 0)
    }

    fn each(&self, chat: i64, ids: &[i32], note: impl Fn(&mut Chapter, i32, Instant) -> Option<Outcome>) {
        let now = Instant::now();
        let mut inner = self.lock();
        let inner = &mut *inner;
        let Some(chapter) = inner.chapters.get_mut(&chat) else {
            return;
        };
        for &id in ids {
            if let Some(outcome) = note(chapter, id, now) {
                self.stats.account(outcome, 1);
                inner.dirty.insert(chat);
                self.changed.notify_one();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that runs under the lock can panic half-way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
