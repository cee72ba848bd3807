//! Whose turn it is to join a chat: one account is enough, and the accounts share the work, on
//! whatever process they are.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tgmesh_lifecycle::clock;
use tgmesh_lifecycle::metrics::Gauge;

use super::joins::Joins;

/// How long an account is waited for that nobody has. Some process may take it and join with it at
/// any moment; one that nobody gets back must not keep the next one from trying.
const AWAY: Duration = Duration::from_mins(10);

/// What the accounts know of each other. Clones share it.
#[derive(Clone)]
pub struct Turns {
    inner: Arc<Mutex<Inner>>,
    missing: Gauge,
    /// What those of other processes tell; nothing in tests of one.
    joins: Option<Joins>,
}

#[derive(Default)]
struct Inner {
    /// Those that may join, and since when nobody has one.
    accounts: BTreeMap<Arc<str>, Option<Instant>>,
    /// Those of this process.
    here: BTreeSet<Arc<str>>,
    /// Whether an account sees what an entry stands for, once it has looked.
    entries: BTreeMap<String, BTreeMap<Arc<str>, bool>>,
    /// What of that others were not told yet.
    untold: BTreeMap<Arc<str>, BTreeMap<String, bool>>,
}

impl Turns {
    /// `missing` shows the entries that no account sees. The accounts are all that there are, on
    /// whatever process.
    #[must_use]
    pub fn new(missing: Gauge, accounts: &[Arc<str>], joins: Option<Joins>, now: Instant) -> Self {
        let accounts = accounts.iter().map(|account| (Arc::clone(account), Some(now)));
        let inner = Inner {
            accounts: accounts.collect(),
            ..Inner::default()
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            missing,
            joins,
        }
    }

    /// An account is here.
    pub fn enter(&self, account: &Arc<str>) {
        let mut inner = self.lock();
        inner.accounts.insert(Arc::clone(account), None);
        inner.here.insert(Arc::clone(account));
    }

    /// These accounts are with some process.
    pub fn living(&self, living: &HashSet<String>, now: Instant) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        for (name, away) in &mut inner.accounts {
            if inner.here.contains(name) || living.contains(&**name) {
                *away = None;
            } else {
                away.get_or_insert(now);
            }
        }
        // Others may have joined what was missing.
        self.count_missing(inner);
    }

    /// An account is not here any more.
    pub fn leave(&self, account: &Arc<str>, now: Instant) {
        let mut inner = self.lock();
        if let Some(away) = inner.accounts.get_mut(account) {
            away.get_or_insert(now);
        }
        inner.here.remove(account);
        inner.untold.remove(account);
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
        let told = self.joins.as_ref().map(|joins| joins.of(entry)).unwrap_or_default();
        let now_ms = clock::now_ms();
        if told
            .trying
            .is_some_and(|trying| trying.account != **account && trying.is_on(now_ms))
        {
            return false;
        }
        let inner = self.lock();
        let known = inner.entries.get(entry);
        let is_away = |since: Instant| now.saturating_duration_since(since) >= AWAY;
        let state = |name: &Arc<str>| -> Option<bool> {
            let here = known.and_then(|known| known.get(name)).copied();
            let told = || told.states.get(&**name).copied();
            // What one saw that is long gone is of no use.
            let away = inner.accounts.get(name).copied().flatten();
            here.or_else(|| told().filter(|sees| !sees || !away.is_some_and(is_away)))
        };
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
        before.all(|(other, away)| state(other) == Some(false) || away.is_some_and(is_away))
    }

    /// Notes whether the account sees what an entry stands for.
    pub fn sees(&self, entry: &str, account: &Arc<str>, sees: bool) {
        let mut inner = self.lock();
        let known = inner.entries.entry(entry.to_owned()).or_default();
        known.insert(Arc::clone(account), sees);
        if is_joined(entry) {
            let untold = inner.untold.entry(Arc::clone(account)).or_default();
            untold.insert(entry.to_owned(), sees);
        }
        self.count_missing(&inner);
    }

    fn count_missing(&self, inner: &Inner) {
        let elsewhere = |entry: &str| {
            let told = self.joins.as_ref().map(|joins| joins.of(entry)).unwrap_or_default();
            told.states.values().any(|sees| *sees)
        };
        let seen = |(entry, known): &(&String, &BTreeMap<Arc<str>, bool>)| {
            known.values().any(|sees| *sees) || elsewhere(entry)
        };
        let missing = inner.entries.iter().filter(|entry| !seen(entry));
        self.missing.set(missing.count() as f64);
    }

    /// Says that the account tries to join now; whether it is the only one.
    pub async fn claim(&self, entry: &str, account: &Arc<str>) -> bool {
        let Some(joins) = &self.joins else { return true };
        match joins.claim(entry, account).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::warn!(%account, %error, "couldn't ask whether another account joins a chat, trying later");
                false
            }
        }
    }

    /// Tells other processes what the account has found.
    pub async fn tell(&self, account: &Arc<str>) {
        let Some(joins) = &self.joins else { return };
        let untold = self.lock().untold.remove(account).unwrap_or_default();
        for (entry, sees) in untold {
            if let Err(error) = joins.tell(&entry, account, sees).await {
                tracing::debug!(%account, %error, "couldn't tell whether a chat was joined, trying later");
                let mut inner = self.lock();
                let untold = inner.untold.entry(Arc::clone(account)).or_default();
                untold.entry(entry).or_insert(sees);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an entry is one that is joined: a name or an invitation.
fn is_joined(entry: &str) -> bool {
    entry.starts_with(['@', '+'])
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
        let turns = Turns::new(process.metrics.gauge("x", "x"), &accounts, None, start);
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
