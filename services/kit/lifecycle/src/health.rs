//! Liveness and readiness: what this process depends on, and whether it answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::shutdown::Shutdown;

/// The parts that must be up before the process is ready. Clones share them.
#[derive(Debug, Clone)]
pub struct Health {
    parts: Arc<Mutex<BTreeMap<&'static str, State>>>,
    shutdown: Shutdown,
}

/// Why a part is down, or what an operator may want to know of one that is up.
type State = Result<Option<String>, String>;

impl Health {
    pub(crate) fn new(shutdown: Shutdown) -> Self {
        Self {
            parts: Arc::default(),
            shutdown,
        }
    }

    /// Adds a part; it is down until it says otherwise.
    #[must_use]
    pub fn part(&self, name: &'static str) -> Part {
        self.lock().entry(name).or_insert_with(|| Err("not yet up".to_owned()));
        Part {
            health: self.clone(),
            name,
        }
    }

    /// Whether the process takes work: every part is up and no shutdown has begun. The admin port
    /// answers before the service has named its parts, so without any it is not ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let parts = self.lock();
        !self.shutdown.soft().is_cancelled() && !parts.is_empty() && parts.values().all(Result::is_ok)
    }

    /// The body of `/readyz`: `{"ready", "stopping", "parts": {"nats": "up", "telegram": "up: …", "postgres":
    /// "down: …"}}`.
    #[must_use]
    pub fn report(&self) -> Value {
        let parts: serde_json::Map<_, _> = self
            .lock()
            .iter()
            .map(|(name, state)| {
                let word = match state {
                    Ok(None) => "up".to_owned(),
                    Ok(Some(note)) => format!("up: {note}"),
                    Err(why) => format!("down: {why}"),
                };
                ((*name).to_owned(), Value::String(word))
            })
            .collect();
        json!({"ready": self.is_ready(), "stopping": self.shutdown.soft().is_cancelled(), "parts": parts})
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, State>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One part of a process's health.
#[derive(Debug, Clone)]
pub struct Part {
    health: Health,
    name: &'static str,
}

impl Part {
    /// It answers.
    pub fn up(&self) {
        self.set_up(None);
    }

    /// It is as it should be, in a way that is worth a word, as a process that stands by.
    pub fn up_but(&self, note: impl Into<String>) {
        self.set_up(Some(note.into()));
    }

    fn set_up(&self, note: Option<String>) {
        let state = Ok(note);
        let before = self.health.lock().insert(self.name, state.clone());
        if before.as_ref() != Some(&state) {
            let note = state.ok().flatten();
            tracing::info!(part = self.name, note, "up");
        }
    }

    /// It does not; say why, without secrets.
    pub fn down(&self, why: impl Into<String>) {
        let why = why.into();
        let before = self.health.lock().insert(self.name, Err(why.clone()));
        if before.is_none_or(|state| state.is_ok()) {
            tracing::warn!(part = self.name, why, "down");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_all_parts_are_up_and_nothing_stops() {
        let shutdown = Shutdown::default();
        let health = Health::new(shutdown.clone());
        assert!(!health.is_ready(), "the service has not named its parts yet");
        let (nats, postgres) = (health.part("nats"), health.part("postgres"));
        nats.up();
        assert!(!health.is_ready());
        postgres.up();
        assert!(health.is_ready());
        postgres.down("refused");
        assert_eq!(health.report()["parts"]["postgres"], "down: refused");
        postgres.up_but("standing by");
        assert_eq!(health.report()["parts"]["postgres"], "up: standing by");
        assert!(health.is_ready());
        shutdown.trigger();
        assert!(!health.is_ready());
    }
}
