//! The roll-ups: `addresses`, `address_chats`, `chats` and `senders`, counted from the events.
//!
//! The SQL is in `migrations/V3__roll_ups.sql`, so that processes of different versions count
//! alike.

use deadpool_postgres::Object;

use crate::error::StoreError;
use crate::store::{Store, Task};

/// What one step of the roll-ups did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolledUp {
    /// Events that were counted.
    pub rows: u64,
    /// Whether more wait to be counted.
    pub is_behind: bool,
}

impl Store {
    /// Counts about `max_rows` events that were not counted yet; each is counted once, whenever
    /// a process is killed. Nothing where another process is at it.
    ///
    /// Events of transactions that began before the oldest one still running are counted, so a
    /// long transaction anywhere on the server holds the rest back.
    ///
    /// # Errors
    /// See [`StoreError`]. Nothing was counted then, or (after a broken connection) it may be: the
    /// next call goes on in both cases.
    pub async fn roll_up(&self, max_rows: u32) -> Result<Option<RolledUp>, StoreError> {
        self.carry_out(&RollUp(max_rows.into())).await
    }

    /// Number of events that were not counted yet.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn uncounted(&self) -> Result<u64, StoreError> {
        self.carry_out(&Uncounted).await
    }

    /// Sets the roll-ups right after the database was restored into another server, whose
    /// transactions have other numbers. Does nothing otherwise, and is cheap; tells whether it
    /// did something.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn rebase_roll_up(&self) -> Result<bool, StoreError> {
        self.carry_out(&Rebase).await
    }
}

struct RollUp(i64);

impl Task for RollUp {
    type Output = Option<RolledUp>;

    async fn run(&self, client: &mut Object) -> Result<Self::Output, StoreError> {
        let row = client
            .query_one("SELECT counted, is_behind FROM roll_up($1)", &[&self.0])
            .await?;
        let Some(rows) = row.try_get::<_, Option<i64>>(0)? else {
            return Ok(None);
        };
        Ok(Some(RolledUp {
            rows: rows.unsigned_abs(),
            is_behind: row.try_get(1)?,
        }))
    }
}

struct Uncounted;

impl Task for Uncounted {
    type Output = u64;

    async fn run(&self, client: &mut Object) -> Result<u64, StoreError> {
        let query = "SELECT (SELECT count(*) FROM detections WHERE archived_xid >= next_xid) \
                     + (SELECT count(*) FROM matches WHERE archived_xid >= next_xid) FROM roll_up_state";
        let row = client.query_one(query, &[]).await?;
        Ok(row.try_get::<_, i64>(0)?.unsigned_abs())
    }
}

struct Rebase;

impl Task for Rebase {
    type Output = bool;

    async fn run(&self, client: &mut Object) -> Result<bool, StoreError> {
        let row = client.query_one("SELECT rebase_roll_up()", &[]).await?;
        Ok(row.try_get(0)?)
    }
}
