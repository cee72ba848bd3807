//! How the database is doing, for figures and for whoever looks after it. Reads what any user may
//! see; of other users' transactions that is nothing but their number.

use deadpool_postgres::Object;

use crate::error::StoreError;
use crate::month::Month;
use crate::partitions::Partitioned;
use crate::store::{self, Store, Task};

/// A database at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Version of the server, as `180006`.
    pub server_version: i32,
    /// Last migration that was carried out; nothing in an empty database.
    pub migration: Option<i32>,
    /// Last migration that this program knows.
    pub latest_migration: i32,
    /// The server's clock, seconds since the epoch.
    pub clock_s: f64,
    /// Whether the server takes no writes.
    pub is_read_only: bool,
    /// Bytes on disk.
    pub size_bytes: u64,
    /// Connections to the whole server, and how many it takes.
    pub connections: u64,
    /// Connections that the server takes.
    pub max_connections: u64,
    /// Age of the oldest transaction that this user can see, seconds.
    pub longest_transaction_s: f64,
    /// Transactions that were committed since the statistics began.
    pub commits: u64,
    /// Transactions that were rolled back.
    pub rollbacks: u64,
    /// Transactions that the server ended because each waited for the other.
    pub deadlocks: u64,
    /// Blocks that were found in the server's own memory.
    pub blocks_hit: u64,
    /// Blocks that were not.
    pub blocks_read: u64,
    /// Bytes of temporary files.
    pub temp_bytes: u64,
    /// Rows that were deleted or replaced and still occupy room.
    pub dead_rows: u64,
    /// Partitions by month, of all tables.
    pub months: u64,
    /// Tables without a partition for the month of now.
    pub without_this_month: Vec<&'static str>,
}

impl Store {
    /// How the database is doing at `now_us` (µs since the epoch).
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn standing(&self, now_us: u64) -> Result<Standing, StoreError> {
        let this_month = Month::of_ms(i64::try_from(now_us / 1000).unwrap_or(i64::MAX));
        self.carry_out(&Look(this_month)).await
    }
}

struct Look(Month);

impl Task for Look {
    type Output = Standing;

    async fn run(&self, client: &mut Object) -> Result<Standing, StoreError> {
        let migration = store::applied(client).await?;
        let query = "SELECT current_setting('server_version_num')::int, \
             pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool, \
             pg_database_size(current_database()), \
             (SELECT sum(numbackends) FROM pg_stat_database)::int8, \
             current_setting('max_connections')::int8, \
             (SELECT coalesce(max(extract(epoch FROM now() - xact_start)), 0)::float8 \
              FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()), \
             xact_commit, xact_rollback, deadlocks, blks_hit, blks_read, temp_bytes, \
             (SELECT coalesce(sum(n_dead_tup), 0)::int8 FROM pg_stat_user_tables), \
             (SELECT count(*) FROM pg_class WHERE relispartition AND relkind = 'r' \
              AND relnamespace = current_schema()::regnamespace), \
             extract(epoch FROM clock_timestamp())::float8 \
             FROM pg_stat_database WHERE datname = current_database()";
        let row = client.query_one(query, &[]).await?;
        let number = |at: usize| row.try_get::<_, Option<i64>>(at).map(|n| n.unwrap_or(0).unsigned_abs());
        let mut without_this_month = Vec::new();
        for table in Partitioned::ALL {
            let name = format!("{}_{}", table.name(), self.0.suffix());
            let found = client.query_one("SELECT to_regclass($1) IS NULL", &[&name]).await?;
            if found.try_get(0)? {
                without_this_month.push(table.name());
            }
        }
        Ok(Standing {
            server_version: row.try_get(0)?,
            migration,
            latest_migration: store::latest_migration(),
            clock_s: row.try_get(14)?,
            is_read_only: row.try_get(1)?,
            size_bytes: number(2)?,
            connections: number(3)?,
            max_connections: number(4)?,
            longest_transaction_s: row.try_get(5)?,
            commits: number(6)?,
            rollbacks: number(7)?,
            deadlocks: number(8)?,
            blocks_hit: number(9)?,
            blocks_read: number(10)?,
            temp_bytes: number(11)?,
            dead_rows: number(12)?,
            months: number(13)?,
            without_this_month,
        })
    }
}
