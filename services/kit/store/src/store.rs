//! The pool, migrations, and the patience with a server that is away.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use refinery::Migration;

use crate::addresses::Addresses;
use crate::audit::AuditLog;
use crate::config::DbConfig;
use crate::detections::Detections;
use crate::error::StoreError;
use crate::matches::Matches;
use crate::month::Month;
use crate::partitions::Partitioned;
use crate::retention::Retention;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Longest wait between two tries to reach the server.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The advisory lock of migrations: the bytes of `tgmesh_m`.
const MIGRATION_LOCK: i64 = i64::from_be_bytes(*b"tgmesh_m");
/// A statement that takes longer has lost its server.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A database of tgmesh. Clones share its pool.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    /// Months whose partition is known to be there.
    months: Arc<Mutex<HashSet<(Partitioned, Month)>>>,
    pub(crate) retention: Retention,
}

/// What a batch did. Each of its rows is one of these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inserted {
    /// Rows that are new.
    pub rows: u64,
    /// Rows that were there already, or are known to have been erased.
    pub duplicates: u64,
    /// Rows that were not written because their messages are older than what is kept.
    pub expired: u64,
}

impl Inserted {
    pub(crate) fn of(rows: usize, kept: usize, written: u64) -> Self {
        Self {
            rows: written,
            duplicates: (kept as u64).saturating_sub(written),
            expired: rows.saturating_sub(kept) as u64,
        }
    }
}

impl Store {
    /// A pool of at most `connections`. Nothing is connected yet.
    ///
    /// # Errors
    /// When the pool cannot be built, which depends on the arguments alone.
    pub fn new(config: &DbConfig, connections: usize) -> Result<Self, StoreError> {
        // Asking each connection before its use would cost a round trip per batch; a dead one is
        // found by its first statement, which is tried again on a fresh one.
        let manager = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let pool = Pool::builder(Manager::from_config(config.pg.clone(), config.tls.clone(), manager))
            .max_size(connections.max(1))
            .runtime(Runtime::Tokio1)
            .create_timeout(Some(Duration::from_secs(10)))
            .wait_timeout(Some(Duration::from_secs(10)))
            .build()
            .map_err(|error| StoreError::Connection(error.to_string()))?;
        Ok(Self {
            pool,
            months: Arc::default(),
            retention: Retention::default(),
        })
    }

    /// A pool for somebody who only reads: no statement of it may write, or take longer than
    /// `patience`; what takes longer is cancelled by the server. Nothing is connected yet.
    ///
    /// # Errors
    /// As [`Store::new`].
    pub fn reader(config: &DbConfig, connections: usize, patience: Duration) -> Result<Self, StoreError> {
        let mut config = config.clone();
        let given = config.pg.get_options().unwrap_or_default();
        // Compiling a statement takes longer than any of these may run. Statistics never know the
        // newest partition, and whoever takes it for empty reads it from end to end.
        let options = format!(
            "{given} -c default_transaction_read_only=on -c statement_timeout={} -c jit=off -c enable_seqscan=off",
            patience.as_millis()
        );
        config.pg.options(options.trim_start());
        Self::new(&config, connections)
    }

    /// Connects, and waits with growing pauses while the server is away.
    ///
    /// # Errors
    /// When the pool cannot be built.
    pub async fn connect(config: &DbConfig, connections: usize) -> Result<Self, StoreError> {
        let store = Self::new(config, connections)?;
        let mut wait = Duration::from_millis(100);
        while let Err(error) = store.ping().await {
            tracing::warn!(
                database = %config,
                %error,
                retry_ms = wait.as_millis() as u64,
                "Postgres is away, waiting for it"
            );
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        Ok(store)
    }

    /// One round trip.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.carry_out(&Ping).await
    }

    /// Brings the tables up to date. Processes that start together take turns by an advisory lock.
    /// A user who may not change tables finds them up to date, or an error.
    ///
    /// # Errors
    /// When the server is away, a migration fails, or one is missing and this user may not make up
    /// for it.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let mut client = self.pool.get().await?;
        client
            .execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK])
            .await?;
        let result = migrate(&mut client).await;
        // A lock ends with its session: dropping the connection would release it too.
        client
            .execute("SELECT pg_advisory_unlock($1)", &[&MIGRATION_LOCK])
            .await?;
        result
    }

    /// The table of detections.
    #[must_use]
    pub fn detections(&self) -> Detections<'_> {
        Detections::new(self)
    }

    /// The table of matches.
    #[must_use]
    pub fn matches(&self) -> Matches<'_> {
        Matches::new(self)
    }

    /// What is known of addresses.
    #[must_use]
    pub fn addresses(&self) -> Addresses<'_> {
        Addresses::new(self)
    }

    /// The table of audit events.
    #[must_use]
    pub fn audit(&self) -> AuditLog<'_> {
        AuditLog::new(self)
    }

    /// Number of a table's rows.
    pub(crate) async fn count(&self, table: &'static str) -> Result<u64, StoreError> {
        self.carry_out(&Count(table)).await
    }

    /// Carries out a task on one connection; once more on a fresh one if the connection was dead.
    pub(crate) async fn carry_out<T: Task>(&self, task: &T) -> Result<T::Output, StoreError> {
        match self.carry_out_once(task).await {
            Err(error) if error.is_connection() => {
                tracing::debug!(%error, "a pooled connection was dead, trying a fresh one");
                // Its neighbours broke at the same moment.
                self.pool.retain(|_, _| false);
                self.carry_out_once(task).await
            }
            result => result,
        }
    }

    async fn carry_out_once<T: Task>(&self, task: &T) -> Result<T::Output, StoreError> {
        let mut client = self.pool.get().await?;
        let Ok(result) = tokio::time::timeout(ANSWER_WITHIN, task.run(&mut client)).await else {
            // What comes after the late answer must not wait for it.
            drop(Object::take(client));
            return Err(StoreError::Timeout(ANSWER_WITHIN.as_secs()));
        };
        if result.as_ref().is_err_and(StoreError::is_connection) {
            drop(Object::take(client));
        }
        result
    }

    pub(crate) fn knows_month(&self, table: Partitioned, month: Month) -> bool {
        self.months
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&(table, month))
    }

    pub(crate) fn learn_month(&self, table: Partitioned, month: Month) {
        self.months
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((table, month));
    }

    pub(crate) fn forget_months(&self) {
        self.months.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Statements that may be carried out twice. (A trait and not a closure: an `AsyncFn` over a
/// borrowed connection cannot yet be shown to be `Send`.)
pub(crate) trait Task: Sync {
    type Output: Send;

    fn run(&self, client: &mut Object) -> impl Future<Output = Result<Self::Output, StoreError>> + Send;
}

struct Ping;

impl Task for Ping {
    type Output = ();

    async fn run(&self, client: &mut Object) -> Result<(), StoreError> {
        Ok(client.batch_execute("SELECT 1").await?)
    }
}

struct Count(&'static str);

impl Task for Count {
    type Output = u64;

    async fn run(&self, client: &mut Object) -> Result<u64, StoreError> {
        let Self(table) = self;
        let row = client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await?;
        Ok(row.try_get::<_, i64>(0)? as u64)
    }
}

/// One column of a batch.
pub(crate) fn column<'a, R, T>(rows: &[&'a R], value: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(|row| value(row)).collect()
}

/// The last migration that this program knows.
pub(crate) fn latest_migration() -> i32 {
    let runner = embedded::migrations::runner();
    runner
        .get_migrations()
        .iter()
        .map(Migration::version)
        .max()
        .unwrap_or(0)
}

/// Migrates, under the lock.
async fn migrate(client: &mut Object) -> Result<(), StoreError> {
    // A newer process may have migrated further: its schema still takes what this one writes.
    let runner = embedded::migrations::runner().set_abort_missing(false);
    let latest = latest_migration();
    let may = client
        .query_one("SELECT has_schema_privilege(current_schema(), 'CREATE')", &[])
        .await?;
    if !may.try_get::<_, bool>(0)? {
        let found = applied(client).await?;
        return if found >= Some(latest) {
            Ok(())
        } else {
            Err(StoreError::Outdated {
                found: found.unwrap_or_default(),
                needed: latest,
            })
        };
    }
    let report = runner.run_async(&mut ***client).await;
    let report = report.map_err(|error| StoreError::of_migration(&error))?;
    for migration in report.applied_migrations() {
        tracing::info!(migration = %migration, "migrated the database");
    }
    if !report.applied_migrations().is_empty() {
        client.execute("SELECT settle_roles()", &[]).await?;
    }
    Ok(())
}

/// The version that the schema has.
pub(crate) async fn applied(client: &Object) -> Result<Option<i32>, StoreError> {
    let table = client
        .query_one("SELECT to_regclass('refinery_schema_history') IS NOT NULL", &[])
        .await?;
    if !table.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let row = client
        .query_one("SELECT max(version) FROM refinery_schema_history", &[])
        .await?;
    Ok(row.try_get(0)?)
}
