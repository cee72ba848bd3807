//! What one account is to watch now, between the assigner and the pump.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use tokio::sync::Notify;

use crate::session::ChannelPosition;

/// Where a chat is followed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// From the account's own place, or where it saw the chat first.
    Own,
    /// From the place of the account that watched it before.
    After(ChannelPosition),
}

/// The duties of one account.
#[derive(Debug, Default)]
pub struct Duties {
    chats: RwLock<HashMap<i64, Start>>,
    generation: AtomicU64,
    /// Channels that the account sees and is asked to watch.
    sees: RwLock<HashSet<i64>>,
    /// Those of them that an earlier owner of the account saw, and this one not yet.
    heard_of: RwLock<HashSet<i64>>,
    /// Whether these are all.
    complete: AtomicBool,
    /// Channels that the account is no longer in.
    gone: RwLock<HashSet<i64>>,
    /// Channels that the account cannot do all for, and until when, ms since the epoch.
    passes: RwLock<HashMap<i64, i64>>,
    seen: Notify,
    /// Whether everything that is seen was looked at once.
    settled: AtomicBool,
}

impl Duties {
    /// Whether the account watches a channel.
    #[must_use]
    pub fn has(&self, chat_id: i64) -> bool {
        read(&self.chats).contains_key(&chat_id)
    }

    /// Changes with the duties.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<(i64, Start)> {
        read(&self.chats).iter().map(|(&chat, &start)| (chat, start)).collect()
    }

    /// Whether a channel is known to be seen.
    #[must_use]
    pub fn sees(&self, chat_id: i64) -> bool {
        read(&self.sees).contains(&chat_id)
    }

    /// Tells of one more channel that is seen.
    pub fn saw(&self, chat_id: i64) {
        if write(&self.sees).insert(chat_id) {
            self.settled.store(false, Ordering::Release);
            self.seen.notify_one();
        }
    }

    /// Tells of channels that an earlier owner of the account saw.
    pub fn heard_of(&self, chats: impl IntoIterator<Item = i64>) {
        let mut heard_of = write(&self.heard_of);
        for chat in chats {
            heard_of.insert(chat);
            self.saw(chat);
        }
    }

    /// Tells of all dialogs. What is known of a channel from its updates stands, but what was only
    /// heard of and is not among the dialogs was left.
    pub fn saw_all(&self, chats: &HashSet<i64>) {
        let heard_of = std::mem::take(&mut *write(&self.heard_of));
        let mut sees = write(&self.sees);
        sees.retain(|chat| chats.contains(chat) || !heard_of.contains(chat));
        sees.extend(chats);
        drop(sees);
        self.complete.store(true, Ordering::Release);
        self.settled.store(false, Ordering::Release);
        self.seen.notify_one();
    }

    /// Forgets channels that are wanted no more.
    pub fn keep_wanted(&self, is_wanted: impl Fn(i64) -> bool) {
        write(&self.sees).retain(|&chat| is_wanted(chat));
    }

    /// The account is no longer in a channel.
    pub fn lost(&self, chat_id: i64) {
        if write(&self.sees).remove(&chat_id) {
            write(&self.gone).insert(chat_id);
            self.seen.notify_one();
        }
    }

    /// Until then the account cannot do all for a channel: others may.
    pub fn pass(&self, chat_id: i64, until_ms: i64) {
        if write(&self.passes).insert(chat_id, until_ms) != Some(until_ms) {
            self.seen.notify_one();
        }
    }

    /// Until when the account cannot do all for a channel, if that is so.
    pub(super) fn passed(&self, chat_id: i64, now_ms: i64) -> Option<i64> {
        let until = read(&self.passes).get(&chat_id).copied()?;
        (until > now_ms).then_some(until)
    }

    /// Forgets what is over.
    pub(super) fn end_passes(&self, now_ms: i64) {
        write(&self.passes).retain(|_, until| *until > now_ms);
    }

    /// Whether somebody was found for every channel that is seen.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    /// Whether the account has told of everything that it sees.
    pub(super) fn knows_all(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// Whether the account is no longer in a channel; asked once.
    pub(super) fn take_gone(&self, chat_id: i64) -> bool {
        write(&self.gone).remove(&chat_id)
    }

    pub(super) fn all_seen(&self) -> HashSet<i64> {
        read(&self.sees).clone()
    }

    /// Waits for a change of what is seen.
    pub(super) async fn news(&self) {
        self.seen.notified().await;
    }

    /// Everything of this was looked at.
    pub(super) fn settle(&self, seen: &HashSet<i64>) {
        // What was seen meanwhile has its turn.
        if *read(&self.sees) == *seen {
            self.settled.store(true, Ordering::Release);
        }
    }

    pub(super) fn begin(&self, chat_id: i64, start: Start) {
        if write(&self.chats).insert(chat_id, start).is_none() {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(super) fn end(&self, chat_id: i64) {
        if write(&self.chats).remove(&chat_id).is_some() {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
    }
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
impl Duties {
    /// Watches everything that is seen, as an account does that is alone.
    pub async fn accept_all(self: std::sync::Arc<Self>) {
        loop {
            let seen = self.all_seen();
            for &chat in &seen {
                self.begin(chat, Start::Own);
            }
            self.settle(&seen);
            self.news().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_settled_once_everything_was_looked_at() {
        let duties = Duties::default();
        duties.heard_of([-1, -9]);
        duties.saw_all(&HashSet::from([-1, -2]));
        assert!(duties.sees(-1) && !duties.sees(-9));
        let first = duties.all_seen();
        duties.saw(-3);
        duties.settle(&first);
        assert!(!duties.is_settled());
        duties.settle(&duties.all_seen());
        assert!(duties.is_settled());
        let generation = duties.generation();
        duties.begin(-1, Start::Own);
        duties.begin(-1, Start::Own);
        assert_eq!(duties.generation(), generation + 1);
        assert!(duties.has(-1) && !duties.has(-2));
        duties.end(-1);
        assert!(!duties.has(-1) && duties.generation() == generation + 2);
    }
}
