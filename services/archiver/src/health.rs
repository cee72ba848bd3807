//! Postgres' own figures, told beside the archiver's: who watches the mesh needs no exporter more.

use std::time::Duration;

use tgmesh_lifecycle::clock;
use tgmesh_lifecycle::metrics::{Counter, Gauge, Metrics};
use tgmesh_store::{Standing, Store};
use tokio_util::sync::CancellationToken;

/// The size of a database is found by looking at each of its files.
const EVERY: Duration = Duration::from_secs(10);

/// What a counter follows.
type Value = fn(&Standing) -> u64;

struct Meters {
    size: Gauge,
    connections: Gauge,
    max_connections: Gauge,
    longest_transaction: Gauge,
    dead_rows: Gauge,
    months: Gauge,
    migration: Gauge,
    counters: [(Counter, Value); 6],
}

/// Looks until the process is told to stop.
pub(crate) async fn run(store: Store, metrics: Metrics, soft: CancellationToken) {
    let meters = Meters::new(&metrics);
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while soft.run_until_cancelled(ticks.tick()).await.is_some() {
        match soft
            .run_until_cancelled(store.standing(clock::now_us().unsigned_abs()))
            .await
        {
            None => return,
            Some(Ok(standing)) => meters.take(&standing),
            Some(Err(error)) => tracing::debug!(%error, "couldn't ask Postgres how it is doing"),
        }
    }
}

impl Meters {
    fn new(metrics: &Metrics) -> Self {
        let gauge = |name, help| metrics.gauge(name, help);
        let counter = |name, help, value: Value| (metrics.counter(name, help), value);
        Self {
            size: gauge("postgres_size_bytes", "Room on disk that the database takes"),
            connections: gauge("postgres_connections", "Connections to the whole server"),
            max_connections: gauge("postgres_max_connections", "Connections that the server takes"),
            longest_transaction: gauge(
                "postgres_longest_transaction_seconds",
                "Age of the oldest transaction that this user can see",
            ),
            dead_rows: gauge(
                "postgres_dead_rows",
                "Rows that were deleted or replaced and still take room",
            ),
            months: gauge("postgres_partitions", "Partitions by month, of all tables"),
            migration: gauge("postgres_migration_version", "Last migration that was carried out"),
            counters: [
                counter("postgres_commits_total", "Transactions that were committed", |s| {
                    s.commits
                }),
                counter("postgres_rollbacks_total", "Transactions that were rolled back", |s| {
                    s.rollbacks
                }),
                counter(
                    "postgres_deadlocks_total",
                    "Transactions that were ended because each waited for the other",
                    |s| s.deadlocks,
                ),
                counter(
                    "postgres_blocks_hit_total",
                    "Blocks that were found in the server's memory",
                    |s| s.blocks_hit,
                ),
                counter(
                    "postgres_blocks_read_total",
                    "Blocks that were not found in the server's memory",
                    |s| s.blocks_read,
                ),
                counter("postgres_temporary_bytes_total", "Bytes of temporary files", |s| {
                    s.temp_bytes
                }),
            ],
        }
    }

    fn take(&self, standing: &Standing) {
        self.size.set(standing.size_bytes as f64);
        self.connections.set(standing.connections as f64);
        self.max_connections.set(standing.max_connections as f64);
        self.longest_transaction.set(standing.longest_transaction_s);
        self.dead_rows.set(standing.dead_rows as f64);
        self.months.set(standing.months as f64);
        self.migration.set(f64::from(standing.migration.unwrap_or(0)));
        for (counter, value) in &self.counters {
            counter.add(value(standing).saturating_sub(counter.get()));
        }
    }
}
