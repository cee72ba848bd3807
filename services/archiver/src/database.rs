//! How the database is doing, as everyone who writes to it finds: for `/readyz`, the log and the
//! pauses between two tries.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::RngExt as _;
use tgmesh_lifecycle::health::Part;
use tgmesh_lifecycle::metrics::Gauge;
use tgmesh_store::StoreError;
use tokio::time::Instant;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// An outage is told again after this time.
const REMIND: Duration = Duration::from_mins(1);

/// The database's health. It is well when it answers and takes every table's rows: one that
/// answers but is read-only, or has no room left, is not. Clones share it.
#[derive(Clone)]
pub(crate) struct Database {
    part: Part,
    faults: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

impl Database {
    pub(crate) fn new(part: Part) -> Self {
        Self {
            part,
            faults: Arc::default(),
        }
    }

    /// What `who` found: nothing, or a fault.
    pub(crate) fn found(&self, who: &'static str, fault: Option<String>) {
        let mut faults = lock(&self.faults);
        match fault {
            Some(fault) => drop(faults.insert(who, fault)),
            None => drop(faults.remove(who)),
        }
        // Under the lock, so that what is told last is what was found last.
        match faults.values().next() {
            Some(fault) => self.part.down(fault.clone()),
            None => self.part.up(),
        }
    }
}

/// Whether one table takes rows, and how long to wait when it does not.
pub(crate) struct Writes {
    table: &'static str,
    database: Database,
    held_up: Gauge,
    outage: Mutex<Option<Outage>>,
}

struct Outage {
    since: Instant,
    failures: u32,
    kind: String,
    told: Instant,
}

impl Writes {
    pub(crate) fn new(table: &'static str, database: Database, held_up: Gauge) -> Self {
        Self {
            table,
            database,
            held_up,
            outage: Mutex::new(None),
        }
    }

    /// Rows were taken.
    pub(crate) fn worked(&self) {
        let Some(outage) = lock(&self.outage).take() else {
            return;
        };
        tracing::info!(
            table = self.table,
            outage_s = outage.since.elapsed().as_secs_f64(),
            failures = outage.failures,
            "the database takes rows again"
        );
        self.held_up.set(0.0);
        self.database.found(self.table, None);
    }

    /// Rows were not taken, through no fault of theirs: how long to wait before the next try.
    pub(crate) fn failed(&self, error: &StoreError) -> Duration {
        let mut slot = lock(&self.outage);
        let now = Instant::now();
        let kind = kind(error);
        let news = slot
            .as_ref()
            .is_none_or(|outage| outage.kind != kind || now - outage.told > REMIND);
        let outage = slot.get_or_insert_with(|| Outage {
            since: now,
            failures: 0,
            kind: String::new(),
            told: now,
        });
        outage.failures = outage.failures.saturating_add(1);
        if news {
            (outage.kind, outage.told) = (kind, now);
            self.tell(error, outage.since.elapsed());
        }
        let doublings = (outage.failures - 1).min(6);
        drop(slot);
        self.held_up.set(1.0);
        self.database.found(self.table, Some(error.to_string()));
        let wait = (FIRST_WAIT * 2_u32.pow(doublings)).min(LONGEST_WAIT);
        // Several processes were held up by the same fault: they come back one by one.
        wait.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    fn tell(&self, error: &StoreError, since: Duration) {
        let (table, outage_s) = (self.table, since.as_secs_f64());
        if needs_operator(error) {
            tracing::error!(table, outage_s, %error, "the database takes no rows until an operator mends it, holding them");
        } else {
            tracing::warn!(table, outage_s, %error, "the database takes no rows, holding them");
        }
    }
}

/// What tells one fault from another: the words of the same one may differ.
fn kind(error: &StoreError) -> String {
    match error {
        StoreError::Database { code, .. } => code.clone(),
        StoreError::Connection(_) => "connection".to_owned(),
        StoreError::Timeout(_) => "timeout".to_owned(),
        StoreError::Migration(_) | StoreError::Outdated { .. } => "migration".to_owned(),
        StoreError::NoPartition(_) => "partition".to_owned(),
        StoreError::Unreadable(_) => "row".to_owned(),
    }
}

/// Whether it is no use to wait for this one alone. A disk that is full (53100) and a server that
/// is read-only (25006) pass once somebody has seen to them.
fn needs_operator(error: &StoreError) -> bool {
    let seen_to = |code: &str| matches!(code, "53100" | "25006");
    !error.is_transient() || matches!(error, StoreError::Database { code, .. } if seen_to(code))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
