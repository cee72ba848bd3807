//! Whose turn it is to join a chat: one account is enough, and the accounts of a process share
//! the work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tgmesh_lifecycle::metrics::Gauge;

/// How long an account is waited for that is not here. Another process may have it and join with it
/// at any moment; one that nobody gets back must not keep the next one from trying.
const AWAY: Duration = Duration::from_mins(10);

/// What the accounts of a process know of each other. Clones share it.
#[derive(Clone)]
pub struct Turns {
    inner: Arc<Mutex<Inner>>,
    missing: Gauge,
}

#[derive(Default)]
struct Inner {
    /// Those that may join, and since when one is not here: it waits for its lease, or another
    /// process has it.
    accounts: BTreeMap<Arc<str>, Option<Instant>>,
    /// Whether an account sees what an entry stands for, once it has looked.
    entries: BTreeMap<String, BTreeMap<Arc<str>, bool>>,
}

impl Turns {
    /// `missing` shows the entries that no account sees. The accounts are all that there are, on
    /// whatever process.
    #[must_use]
    pub fn new(missing: Gauge, accounts: &[Arc<str>], now: Instant) -> Self {
        let accounts = accounts.iter().map(|account| (Arc::clone(account), Some(now)));
        let inner = Inner {
            accounts: accounts.collect(),
            ..Inner::default()
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            missing,
        }
    }

    /// An account is here.
    pub fn enter(&self, account: &Arc<str>) {
        self.lock().accounts.insert(Arc::clone(account), None);
    }

    /// An account is not here any more.
    pub fn leave(&self, account: &Arc<str>, now: Instant) {
        let mut inner = self.lock();
        if let Some(away) = inner.accounts.get_mut(account) {
            away.get_or_insert(now);
        }
        for accounts in inner.entries.values_mut() {
            accounts.remove(account);
        }
    }

    /// An account joins nothing.
    pub fn without(&self, account: &Arc<str>) {
        self.lock().accounts.remove(account);
    }

    /// Whether the account is the one to join: no other sees the chat, and those before it have
    /// tried in vain, or were not here for [`AWAY`]. The order differs from entry to entry.
    pub fn is_mine(&self, entry: &str, account: &Arc<str>, now: Instant) -> bool {
        let inner = self.lock();
        let known = inner.entries.get(entry);
        let state = |name: &Arc<str>| known.and_then(|known| known.get(name)).copied();
        if inner
            .accounts
            .keys()
            .any(|other| other != account && state(other) == Some(true))
        {
            return false;
        }
        let mine = weight(entry, account);
        let others = inner.accounts.iter().filter(|(other, _)| *other != account);
        let mut before = others.filter(|(other, _)| weight(entry, other) > mine);
        before.all(|(other, away)| {
            state(other) == Some(false) || away.is_some_and(|since| now.saturating_duration_since(since) >= AWAY)
        })
    }

    /// Notes whether the account sees what an entry stands for.
    pub fn sees(&self, entry: &str, account: &Arc<str>, sees: bool) {
        let mut inner = self.lock();
        let known = inner.entries.entry(entry.to_owned()).or_default();
        known.insert(Arc::clone(account), sees);
        let missing = inner.entries.values().filter(|known| !known.values().any(|sees| *sees));
        self.missing.set(missing.count() as f64);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rendezvous hashing: an account that comes or goes changes the turns of few entries.
fn weight(entry: &str, account: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(entry)
        .chain_update([0])
        .chain_update(account)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use tgmesh_lifecycle::Process;

    use super::*;

    #[test]
    fn one_account_joins_and_the_next_one_when_it_cannot() {
        let process = Process::detached("listener", "test");
        let accounts: Vec<Arc<str>> = vec!["a".into(), "b".into(), "c".into()];
        let start = Instant::now();
        let turns = Turns::new(process.metrics.gauge("x", "x"), &accounts, start);
        let whose = |now| -> Vec<_> {
            let mine = accounts.iter().filter(|account| turns.is_mine("@x", account, now));
            mine.cloned().collect()
        };
        let first = whose(start);
        assert_eq!(first.len(), 1, "whoever is here already");
        assert_eq!(whose(start + AWAY).len(), 3, "none was heard of");
        for account in &accounts {
            turns.enter(account);
        }
        assert_eq!(whose(start + AWAY), first);
        turns.sees("@x", &first[0], false);
        // It may try again itself, after its wait; so may the next one.
        let second: Vec<_> = whose(start).into_iter().filter(|name| *name != first[0]).collect();
        assert_eq!(second.len(), 1);
        turns.sees("@x", &second[0], true);
        assert_eq!(whose(start), second);
        turns.leave(&second[0], start);
        let two = whose(start);
        assert!(
            two.len() == 2 && two.contains(&first[0]) && two.contains(&second[0]),
            "{two:?}"
        );
        assert_eq!(whose(start + AWAY).len(), 3, "it does not come back");
        turns.without(&second[0]);
        turns.without(&first[0]);
        assert!(whose(start).len() == 3, "those do not count any more");
    }
}
