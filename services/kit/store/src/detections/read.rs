//! Reading and counting rows.

use deadpool_postgres::Object;
use tgmesh_proto::id::EventId;

use super::{Detections, uuids};
use crate::error::StoreError;
use crate::pg::{Time, Uuid};
use crate::store::Task;

/// A row's key, place and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The event's id.
    pub id: EventId,
    /// Epoch of the stream it came from.
    pub stream_epoch: String,
    /// Sequence in that epoch.
    pub stream_seq: u64,
    /// Chat, Bot API id.
    pub chat_id: i64,
    /// Telegram's message id.
    pub message_id: i64,
    /// Canonical address.
    pub address: String,
    /// When the stream stored it, µs since the epoch, on the stream's clock.
    pub stored_us: i64,
    /// When the row was written, µs since the epoch, on the database's clock; the commit follows
    /// within the batch's time.
    pub archived_us: i64,
}

const COLUMNS: &str =
    "SELECT id, stream_epoch, stream_seq, chat_id, message_id, address, stored_at, archived_at FROM detections";

impl Detections<'_> {
    /// Number of rows.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn count(&self) -> Result<u64, StoreError> {
        self.store.count("detections").await
    }

    /// The rows with these ids, in no order; ids without a row are left out. Reads every
    /// partition: for tests and load runs.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn by_ids(&self, ids: &[EventId]) -> Result<Vec<Stored>, StoreError> {
        self.store.carry_out(&ByIds(uuids(ids))).await
    }

    /// At most `limit` rows of an epoch with sequences after `seq`, rising. Reads every partition:
    /// for tests and load runs.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn after(&self, epoch: &str, seq: u64, limit: u32) -> Result<Vec<Stored>, StoreError> {
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        self.store
            .carry_out(&After {
                epoch,
                seq,
                limit: limit.into(),
            })
            .await
    }
}

struct ByIds(Vec<Uuid>);

impl Task for ByIds {
    type Output = Vec<Stored>;

    async fn run(&self, client: &mut Object) -> Result<Vec<Stored>, StoreError> {
        let rows = client
            .query(&format!("{COLUMNS} WHERE id = ANY($1)"), &[&self.0])
            .await?;
        rows.iter().map(stored).collect()
    }
}

struct After<'a> {
    epoch: &'a str,
    seq: i64,
    limit: i64,
}

impl Task for After<'_> {
    type Output = Vec<Stored>;

    async fn run(&self, client: &mut Object) -> Result<Vec<Stored>, StoreError> {
        let query = format!("{COLUMNS} WHERE stream_epoch = $1 AND stream_seq > $2 ORDER BY stream_seq LIMIT $3");
        let rows = client.query(&query, &[&self.epoch, &self.seq, &self.limit]).await?;
        rows.iter().map(stored).collect()
    }
}

fn stored(row: &tokio_postgres::Row) -> Result<Stored, StoreError> {
    Ok(Stored {
        id: EventId::from_bytes(row.try_get::<_, Uuid>(0)?.0),
        stream_epoch: row.try_get(1)?,
        stream_seq: row.try_get::<_, i64>(2)? as u64,
        chat_id: row.try_get(3)?,
        message_id: row.try_get(4)?,
        address: row.try_get(5)?,
        stored_us: row.try_get::<_, Time>(6)?.0,
        archived_us: row.try_get::<_, Time>(7)?.0,
    })
}
