//! Between the socket and the worker: what was received, bounded in bytes.
//!
//! The pump never waits for the worker, because waiting would fill the library's queue, which
//! drops in silence. When the bytes are used up the pump refuses what comes and fetches it later
//! by the difference; nothing that was taken is ever dropped.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::mpsc;

use crate::ledger::{self, Account, Outcome};
use crate::message::Record;
use crate::session::{AccountPosition, ChannelPosition};

/// Bytes of one account's queue.
const LIMIT_BYTES: usize = 16 << 20;

/// One thing to do, and how far it brings the account.
#[derive(Debug)]
pub struct Entry {
    /// What happened.
    pub change: Option<Change>,
    /// Place up to which everything has been seen once this is done.
    pub reached: Option<Reached>,
    /// When it came off the socket, µs since the epoch.
    pub received_us: i64,
}

/// What happened to messages.
#[derive(Debug)]
pub enum Change {
    /// A message in some state.
    Message(Box<Seen>),
    /// Messages are gone.
    Deleted {
        /// Bot API id of the channel; nothing for private chats and basic groups, where Telegram
        /// names no chat.
        chat_id: Option<i64>,
        /// Their ids.
        ids: Vec<i32>,
    },
    /// A message that holds nothing of ours: it counts as seen.
    Passed(Account),
}

/// A message, and how it was seen.
#[derive(Debug)]
pub struct Seen {
    /// The message.
    pub record: Record,
    /// It came as an edit.
    pub is_edit: bool,
    /// Place of the update in its sequence; 0 when it came without one.
    pub pts: i32,
    /// Where it came from.
    pub source: Source,
}

impl Change {
    /// What becomes of the messages it is about, once it is in the stream.
    pub fn accounts(&self) -> impl Iterator<Item = Account> + '_ {
        let (one, chat, ids): (_, _, &[i32]) = match self {
            Self::Message(seen) => {
                let outcome = match seen.source {
                    Source::Live => Outcome::Received,
                    Source::Difference | Source::History => Outcome::Recovered,
                };
                let chat = ledger::chapter_of(seen.record.chat_id, seen.record.kind);
                let id = seen.record.id;
                (Some(Account { chat, id, outcome }), chat, &[])
            }
            Self::Deleted { chat_id, ids } => (None, chat_id.unwrap_or(ledger::OWN), ids),
            Self::Passed(account) => (Some(*account), account.chat, &[]),
        };
        let deleted = ids.iter().map(move |&id| Account {
            chat,
            id,
            outcome: Outcome::Deleted,
        });
        one.into_iter().chain(deleted)
    }
}

/// Where a message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The socket.
    Live,
    /// A difference: it was missed for a while.
    Difference,
    /// History: it was fetched from the past.
    History,
}

/// A place in a sequence of updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// The account's own.
    Account(AccountPosition),
    /// A channel's.
    Channel(i64, ChannelPosition),
}

/// Bytes in the queue of one account.
#[derive(Debug, Clone, Default)]
pub struct Budget {
    used: Arc<AtomicUsize>,
}

/// The budgets of all accounts of the process, for the figures.
#[derive(Debug, Clone, Default)]
pub struct Budgets {
    all: Arc<Mutex<Vec<Weak<AtomicUsize>>>>,
}

impl Budgets {
    /// A budget for one more account.
    #[must_use]
    pub fn add(&self) -> Budget {
        let budget = Budget::default();
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        // Accounts come and go.
        all.retain(|budget| budget.strong_count() > 0);
        all.push(Arc::downgrade(&budget.used));
        budget
    }

    /// Bytes that are queued now, in all of them.
    #[must_use]
    pub fn used(&self) -> usize {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let used = all.iter().filter_map(Weak::upgrade);
        used.map(|used| used.load(Ordering::Relaxed)).sum()
    }
}

/// The pump's end.
pub struct Sender {
    entries: mpsc::UnboundedSender<Entry>,
    budget: Budget,
}

/// The worker's end.
pub struct Receiver {
    entries: mpsc::UnboundedReceiver<Entry>,
    budget: Budget,
}

impl Budget {
    /// Bytes that are queued now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// A queue within the budget.
#[must_use]
pub fn queue(budget: &Budget) -> (Sender, Receiver) {
    // Bounded by the budget, which counts bytes instead of entries.
    let (sender, receiver) = mpsc::unbounded_channel();
    let sender = Sender {
        entries: sender,
        budget: budget.clone(),
    };
    let receiver = Receiver {
        entries: receiver,
        budget: budget.clone(),
    };
    (sender, receiver)
}

impl Sender {
    /// Whether updates from the socket are still taken.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.budget.used() < LIMIT_BYTES
    }

    /// Whether there is room to fetch what was missed: differences come in large pieces, and what
    /// is live goes first.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.budget.used() < LIMIT_BYTES / 2
    }

    /// Hands an entry over, whatever the budget says: callers ask first.
    pub fn push(&self, entry: Entry) {
        self.budget.used.fetch_add(entry.size(), Ordering::Relaxed);
        // It is closed only when the worker has ended, and then nothing counts any more.
        let _ = self.entries.send(entry);
    }
}

impl Receiver {
    /// Waits for entries and appends up to `limit` of them; 0 when the pump has ended and nothing
    /// is left. Safe to cancel. Bytes stay counted until [`Receiver::done`].
    pub async fn receive(&mut self, batch: &mut Vec<Entry>, limit: usize) -> usize {
        self.entries.recv_many(batch, limit).await
    }

    /// Gives the bytes of an entry back.
    pub fn done(&self, size: usize) {
        self.budget.used.fetch_sub(size, Ordering::Relaxed);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.entries.close();
        while let Ok(entry) = self.entries.try_recv() {
            self.budget.used.fetch_sub(entry.size(), Ordering::Relaxed);
        }
    }
}

impl Entry {
    /// Bytes it occupies, about.
    #[must_use]
    pub fn size(&self) -> usize {
        size_of::<Self>()
            + match &self.change {
                Some(Change::Message(seen)) => size_of::<Seen>() + seen.record.size(),
                Some(Change::Deleted { ids, .. }) => ids.len() * size_of::<i32>(),
                Some(Change::Passed(_)) | None => 0,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(ids: usize) -> Entry {
        Entry {
            change: Some(Change::Deleted {
                chat_id: None,
                ids: vec![0; ids],
            }),
            reached: None,
            received_us: 0,
        }
    }

    #[tokio::test]
    async fn bytes_are_counted_until_done() {
        let budget = Budget::default();
        let (sender, mut receiver) = queue(&budget);
        let (other, _other_receiver) = queue(&budget);
        sender.push(entry(LIMIT_BYTES / 8));
        assert!(!other.has_room() && other.is_open());
        sender.push(entry(LIMIT_BYTES / 8));
        assert!(!other.is_open());
        let mut batch = Vec::new();
        assert_eq!(receiver.receive(&mut batch, 16).await, 2);
        assert!(!other.is_open());
        for entry in batch {
            receiver.done(entry.size());
        }
        assert_eq!(budget.used(), 0);
        sender.push(entry(100));
        drop(receiver);
        assert_eq!(budget.used(), 0);
    }
}
