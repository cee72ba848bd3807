//! Whose turn it is to join a chat: one account is enough, and the accounts of a process share
//! the work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};
use tgmesh_lifecycle::metrics::Gauge;

/// What the accounts of a process know of each other. Clones share it.
#[derive(Clone)]
pub struct Turns {
    inner: Arc<Mutex<Inner>>,
    missing: Gauge,
}

#[derive(Default)]
struct Inner {
    accounts: BTreeSet<Arc<str>>,
    /// Whether an account sees what an entry stands for, once it has looked.
    entries: BTreeMap<String, BTreeMap<Arc<str>, bool>>,
}

impl Turns {
    /// `missing` shows the entries that no account sees.
    #[must_use]
    pub fn new(missing: Gauge) -> Self {
        Self {
            inner: Arc::default(),
            missing,
        }
    }

    /// An account takes part.
    pub fn enter(&self, account: &Arc<str>) {
        self.lock().accounts.insert(Arc::clone(account));
    }

    /// An account is gone.
    pub fn leave(&self, account: &Arc<str>) {
        let mut inner = self.lock();
        inner.accounts.remove(account);
        for accounts in inner.entries.values_mut() {
            accounts.remove(account);
        }
    }

    /// Whether the account is the one to join: no other sees the chat, and those before it have
    /// tried in vain. The order differs from entry to entry.
    pub fn is_mine(&self, entry: &str, account: &Arc<str>) -> bool {
        let inner = self.lock();
        let known = inner.entries.get(entry);
        let state = |name: &Arc<str>| known.and_then(|known| known.get(name)).copied();
        if inner
            .accounts
            .iter()
            .any(|other| other != account && state(other) == Some(true))
        {
            return false;
        }
        let mine = weight(entry, account);
        let before = |other: &&Arc<str>| *other != account && weight(entry, other) > mine;
        inner
            .accounts
            .iter()
            .filter(before)
            .all(|other| state(other) == Some(false))
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
        let turns = Turns::new(process.metrics.gauge("x", "x"));
        let accounts: Vec<Arc<str>> = vec!["a".into(), "b".into(), "c".into()];
        for account in &accounts {
            turns.enter(account);
        }
        let whose = || -> Vec<_> {
            let mine = accounts.iter().filter(|account| turns.is_mine("@x", account));
            mine.cloned().collect()
        };
        let first = whose();
        assert_eq!(first.len(), 1);
        turns.sees("@x", &first[0], false);
        // It may try again itself, after its wait; so may the next one.
        let second: Vec<_> = whose().into_iter().filter(|name| *name != first[0]).collect();
        assert_eq!(second.len(), 1);
        turns.sees("@x", &second[0], true);
        assert_eq!(whose(), second);
        turns.leave(&second[0]);
        assert!(whose().len() == 2);
    }
}
