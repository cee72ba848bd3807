//! How each account does, and what that means for the process's health.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tgmesh_lifecycle::health::Part;
use tokio::sync::watch;

/// All accounts of the process. Clones share it.
#[derive(Clone)]
pub struct Roster {
    states: Arc<Mutex<BTreeMap<Arc<str>, State>>>,
    part: Part,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Followed.
    Up,
    /// Another process has it, or there is no slot for it: nothing is to be done here.
    Elsewhere(String),
    /// Not now.
    Down(String),
    /// Not until an operator acts.
    Stopped(String),
    /// Its session cannot be opened.
    Unusable(String),
}

impl Roster {
    /// All accounts, none of them followed yet.
    #[must_use]
    pub fn new(accounts: &[Arc<str>], part: Part) -> Self {
        let starting = State::Down("starting".to_owned());
        let states = accounts.iter().map(|name| (Arc::clone(name), starting.clone()));
        let roster = Self {
            states: Arc::new(Mutex::new(states.collect())),
            part,
            changes: watch::Sender::new(0),
        };
        roster.tell();
        roster
    }

    /// An account is followed.
    pub fn up(&self, account: &Arc<str>) {
        self.set(account, State::Up);
    }

    /// An account is not followed now.
    pub fn down(&self, account: &Arc<str>, why: &str) {
        self.set(account, State::Down(why.to_owned()));
    }

    /// An account is not this process's to follow.
    pub fn elsewhere(&self, account: &Arc<str>, where_: &str) {
        self.set(account, State::Elsewhere(where_.to_owned()));
    }

    /// An account is stopped until it is signed in anew.
    pub fn stopped(&self, account: &Arc<str>, why: &str) {
        self.set(account, State::Stopped(why.to_owned()));
    }

    /// An account's session cannot be opened with the keys that are there.
    pub fn unusable(&self, account: &Arc<str>, why: &str) {
        self.set(account, State::Unusable(why.to_owned()));
    }

    /// Waits until no account has a session that can be opened; says why the last one has none.
    pub async fn all_unusable(&self) -> String {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            let states = self.states.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let mut last = None;
            if states.values().all(|state| match state {
                State::Unusable(why) => {
                    last = Some(why.clone());
                    true
                }
                _ => false,
            }) && let Some(why) = last
            {
                return why;
            }
            // The sender is in `self`.
            let _ = changes.changed().await;
        }
    }

    fn set(&self, account: &Arc<str>, state: State) {
        let before = self
            .states
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(Arc::clone(account), state.clone());
        if before != Some(state) {
            self.tell();
            self.changes.send_modify(|n| *n += 1);
        }
    }

    fn tell(&self) {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wrong = states.iter().filter_map(|(name, state)| match state {
            State::Up | State::Elsewhere(_) => None,
            State::Down(why) | State::Stopped(why) | State::Unusable(why) => Some(format!("{name}: {why}")),
        });
        match wrong.next() {
            None => match states.values().filter(|state| **state == State::Up).count() {
                0 => self.part.up_but(format!("standing by for {} accounts", states.len())),
                all if all == states.len() => self.part.up(),
                some => self.part.up_but(format!("{some} of {} accounts", states.len())),
            },
            Some(first) => {
                let more = wrong.count();
                let rest = if more > 0 {
                    format!(" (and {more} more)")
                } else {
                    String::new()
                };
                self.part.down(format!("{first}{rest}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tgmesh_lifecycle::Process;

    use super::*;

    #[tokio::test]
    async fn health_is_that_of_the_worst() {
        let process = Process::detached("listener", "test");
        let accounts: Vec<Arc<str>> = vec!["a".into(), "b".into()];
        let roster = Roster::new(&accounts, process.health.part("telegram"));
        roster.up(&accounts[0]);
        assert!(!process.health.is_ready());
        roster.up(&accounts[1]);
        assert!(process.health.is_ready());
        roster.elsewhere(&accounts[1], "with b");
        assert!(process.health.is_ready());
        assert!(process.health.report().to_string().contains("up: 1 of 2 accounts"));
        roster.elsewhere(&accounts[0], "with b");
        assert!(process.health.is_ready());
        assert!(
            process
                .health
                .report()
                .to_string()
                .contains("standing by for 2 accounts")
        );
        roster.stopped(&accounts[0], "AUTH_KEY_DUPLICATED");
        let report = process.health.report().to_string();
        assert!(report.contains("a: AUTH_KEY_DUPLICATED"), "{report}");
        roster.unusable(&accounts[0], "wrong key");
        roster.unusable(&accounts[1], "wrong key");
        assert_eq!(roster.all_unusable().await, "wrong key");
    }
}
