//! From `MONITORED_CHATS` to chats: finds names, folders and invitations, and joins what an account
//! is not in yet.
//!
//! Telegram watches how often an account looks names up and joins, and its waits are long. So
//! what was found is kept with the session, one account at a time tries to join a chat, and each
//! waits between two requests, longer after the first few.

mod entry;
pub mod folder;
mod join;
pub mod joins;
mod turns;

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::account::Shared;
use crate::connection::{CallError, Calls};
use crate::peers::Peers;
use crate::plain::span;
use crate::session::{MAX_ENTRIES, MemorySession, SavedEntry};
use crate::slots::Slots;
use crate::stats::Stats;
use crate::watch::Watch;
pub use entry::Entry;
use folder::chats_in;
pub use joins::Joins;
pub use turns::Turns;

/// Folders are read again so often, in case the update that tells of a change was lost.
const FOLDERS_EVERY: Duration = Duration::from_mins(5);
/// What could not be joined is tried again.
const AGAIN: Duration = Duration::from_hours(6);
/// Between two requests: the first few of a start, and the others.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1500), Duration::from_secs(30));
const QUICK: u32 = 5;
/// Between two looks at what became due.
const TICK: Duration = Duration::from_secs(5);

/// What the pump and the seeker of an account tell each other.
#[derive(Debug, Default)]
pub struct Hints {
    look: Notify,
    dialogs: Notify,
    folders: AtomicBool,
}

impl Hints {
    /// The dialogs were read: the seeker can compare.
    pub fn look(&self) {
        self.look.notify_one();
    }

    /// Telegram says that folders were changed.
    pub fn folders_changed(&self) {
        self.folders.store(true, Ordering::Relaxed);
        self.look.notify_one();
    }

    /// Waits until other chats are watched than before: their places are in the dialogs.
    pub async fn dialogs_are_due(&self) {
        self.dialogs.notified().await;
    }
}

/// Looks for the chats of one account.
pub struct Seeker {
    account: Arc<str>,
    session: Arc<MemorySession>,
    watch: Arc<Watch>,
    hints: Arc<Hints>,
    turns: Turns,
    slots: Slots,
    stats: Stats,
    entries: Vec<Entry>,
    saved: BTreeMap<String, SavedEntry>,
    /// Entries that are known to be seen, so that looking again costs nothing.
    seen: HashSet<String>,
    not_before: BTreeMap<String, Instant>,
    folders_at: Option<Instant>,
    /// No request before then, and how many there were.
    pace: (Option<Instant>, u32),
}

/// What became of an entry.
pub(crate) enum Outcome {
    /// The account is in it.
    In(Vec<i64>, Option<i64>),
    /// It is not, for this reason, and tries again after a while.
    Not(String, Duration),
    /// The same of a chat that was found: its id and hash, so that it need not be looked up again.
    Found(i64, i64, String, Duration),
    /// The connection is over.
    Lost,
}

impl Seeker {
    /// Goes on with what the session knows.
    pub fn restore(
        (shared, slots): (&Shared, &Slots),
        account: &Arc<str>,
        session: &Arc<MemorySession>,
        watch: &Arc<Watch>,
        hints: &Arc<Hints>,
    ) -> Self {
        let entries = Entry::all(&shared.wanted);
        let mut saved = session.entries();
        saved.retain(|key, _| entries.iter().any(|entry| entry.key() == *key));
        for entry in &entries {
            let Some(found) = saved.get(&entry.key()) else { continue };
            match entry {
                Entry::Name(name) => {
                    if let Some(&id) = found.chats.first() {
                        watch.named(name, id);
                    }
                }
                Entry::Id(_) => {}
                Entry::Invite(_) | Entry::Folder(_) => {
                    watch.found(&entry.key(), found.chats.clone());
                }
            }
        }
        // Bots join nothing by themselves.
        if session.is_bot() {
            shared.turns.without(account);
        } else {
            shared.turns.enter(account);
        }
        Self {
            account: Arc::clone(account),
            session: Arc::clone(session),
            watch: Arc::clone(watch),
            hints: Arc::clone(hints),
            turns: shared.turns.clone(),
            slots: slots.clone(),
            stats: shared.stats.clone(),
            entries,
            saved,
            seen: HashSet::new(),
            not_before: BTreeMap::new(),
            folders_at: None,
            pace: (None, 0),
        }
    }

    /// Looks for chats as long as the connection lives; its end is for others to notice.
    pub async fn seek(&mut self, calls: &Calls) -> Infallible {
        self.folders_at = None;
        if self.entries.is_empty() {
            return std::future::pending().await;
        }
        loop {
            let _ = timeout(TICK, self.hints.look.notified()).await;
            // Before the account's own chats are known, each would be one to join.
            if self.watch.dialogs().is_none() {
                continue;
            }
            if self.look(calls).await.is_none() {
                return std::future::pending().await;
            }
        }
    }

    /// Nothing when the connection is over.
    async fn look(&mut self, calls: &Calls) -> Option<()> {
        let folders_due =
            self.hints.folders.swap(false, Ordering::Relaxed) || self.folders_at.is_none_or(|at| at <= Instant::now());
        if folders_due && self.entries.iter().any(|entry| matches!(entry, Entry::Folder(_))) {
            self.read_folders(calls).await?;
        }
        self.turns.living(&self.slots.living(Instant::now()), Instant::now());
        let dialogs = self.watch.dialogs().unwrap_or_default();
        for entry in self.entries.clone() {
            if matches!(entry, Entry::Folder(_)) {
                continue;
            }
            let key = entry.key();
            if let Some(id) = self.known_id(&entry)
                && (dialogs.contains(&id) || (id > 0 && !matches!(entry, Entry::Id(_))))
            {
                let hash = self.saved.get(&key).and_then(|saved| saved.access_hash);
                self.settle(&entry, Outcome::In(vec![id], hash));
                continue;
            }
            if self.session.is_bot() {
                self.turns.sees(&key, &self.account, false);
            }
            let is_due = self.not_before.get(&key).is_none_or(|at| *at <= Instant::now());
            if !is_due || !self.turns.is_mine(&key, &self.account, Instant::now()) {
                continue;
            }
            if matches!(entry, Entry::Name(_) | Entry::Invite(_)) {
                self.rest().await;
                // Another one may have been faster meanwhile.
                if !self.turns.is_mine(&key, &self.account, Instant::now())
                    || !self.turns.claim(&key, &self.account).await
                {
                    continue;
                }
            }
            let known = self.saved.get(&key).cloned().unwrap_or_default();
            let outcome = match &entry {
                Entry::Name(name) => join::by_name(calls, name, &known, &self.watch).await,
                Entry::Invite(hash) => join::by_invite(calls, hash).await,
                _ => Outcome::Not(
                    "the account is in no such chat, and an id alone opens none: give its @name or an invite link"
                        .to_owned(),
                    AGAIN,
                ),
            };
            let is_joined = matches!(outcome, Outcome::In(..));
            if is_joined {
                self.stats.joined.inc();
                tracing::info!(account = %self.account, entry = %entry, "joined a chat of MONITORED_CHATS");
                self.hints.dialogs.notify_one();
            }
            if matches!(outcome, Outcome::Lost) {
                return None;
            }
            self.settle(&entry, outcome);
            // The next one has its turn, or none, without waiting for the others.
            self.turns.tell(&self.account).await;
            if is_joined {
                // Whether or not it shows among the account's chats, which an empty one does not.
                self.not_before.insert(key, Instant::now() + AGAIN);
            }
        }
        self.save();
        self.turns.tell(&self.account).await;
        Some(())
    }

    fn known_id(&self, entry: &Entry) -> Option<i64> {
        match entry {
            Entry::Id(id) => Some(*id),
            Entry::Name(name) => self.watch.id_of_name(name),
            Entry::Invite(_) | Entry::Folder(_) => self.saved.get(&entry.key())?.chats.first().copied(),
        }
    }

    async fn read_folders(&mut self, calls: &Calls) -> Option<()> {
        let filters = match folder::read(calls).await {
            Ok(filters) => filters,
            Err(CallError::Flood(wait)) => {
                self.folders_at = Some(Instant::now() + wait);
                return Some(());
            }
            Err(CallError::Dead(_) | CallError::Lost(_)) => return None,
            Err(error) => {
                tracing::warn!(account = %self.account, %error, "couldn't read the folders");
                self.folders_at = Some(Instant::now() + FOLDERS_EVERY);
                return Some(());
            }
        };
        self.folders_at = Some(Instant::now() + FOLDERS_EVERY);
        let dialogs = self.watch.dialogs().unwrap_or_default();
        let peers = Peers::restore(&self.session.channels(), &self.watch);
        for entry in self.entries.clone() {
            let Entry::Folder(title) = &entry else { continue };
            let outcome = match chats_in(&filters, title, self.session.user_id(), &dialogs, &peers) {
                Some(chats) => Outcome::In(chats, None),
                None => Outcome::Not("the account has no folder with this name".to_owned(), FOLDERS_EVERY),
            };
            self.settle(&entry, outcome);
        }
        self.save();
        Some(())
    }

    /// Notes what an entry came to, and tells it where that is new.
    fn settle(&mut self, entry: &Entry, outcome: Outcome) {
        let key = entry.key();
        let before = self.saved.get(&key).cloned().unwrap_or_default();
        let mut now = before.clone();
        match outcome {
            Outcome::In(chats, access_hash) => {
                if before.chats == chats && before.problem.is_none() && !self.seen.insert(key.clone()) {
                    return;
                }
                self.seen.insert(key.clone());
                self.turns.sees(&key, &self.account, true);
                self.not_before.remove(&key);
                now = SavedEntry {
                    chats,
                    access_hash,
                    problem: None,
                };
            }
            Outcome::Not(..) | Outcome::Found(..) => {
                let (problem, wait) = match outcome {
                    Outcome::Found(id, hash, problem, wait) => {
                        (now.chats, now.access_hash) = (vec![id], Some(hash));
                        (problem, wait)
                    }
                    Outcome::Not(problem, wait) => (problem, wait),
                    _ => return,
                };
                self.seen.remove(&key);
                self.turns.sees(&key, &self.account, false);
                self.not_before.insert(key.clone(), Instant::now() + wait);
                if before.problem.as_deref() != Some(problem.as_str()) {
                    self.stats.join_failures.inc();
                    tracing::warn!(account = %self.account, entry = %entry, problem, again = span(wait.as_secs()),
                        "a chat of MONITORED_CHATS is not watched");
                }
                now.problem = Some(problem);
            }
            Outcome::Lost => return,
        }
        match entry {
            Entry::Name(name) => {
                if let Some(&id) = now.chats.first() {
                    self.watch.named(name, id);
                }
            }
            Entry::Id(_) => {}
            Entry::Invite(_) | Entry::Folder(_) => {
                if now.problem.is_none() && self.watch.found(&key, now.chats.clone()) {
                    tracing::info!(account = %self.account, entry = %entry, chats = now.chats.len(), "watched");
                    self.hints.dialogs.notify_one();
                }
            }
        }
        if self.saved.len() < MAX_ENTRIES || self.saved.contains_key(&key) {
            self.saved.insert(key, now);
        }
    }

    fn save(&self) {
        self.session.save_entries(&self.saved);
    }

    /// Waits until the next request is polite.
    async fn rest(&mut self) {
        if let Some(at) = self.pace.0 {
            sleep(at.saturating_duration_since(Instant::now())).await;
        }
        self.pace.1 = self.pace.1.saturating_add(1);
        let pause = if self.pace.1 < QUICK { PAUSES.0 } else { PAUSES.1 };
        self.pace.0 = Some(Instant::now() + pause.mul_f64(rand::random_range(1.0..1.5)));
    }
}

impl Drop for Seeker {
    fn drop(&mut self) {
        self.turns.leave(&self.account, Instant::now());
    }
}
