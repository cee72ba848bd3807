//! The table `detections`: one row per event, partitioned by the month of the message's date.

mod read;
mod row;

use deadpool_postgres::Object;
use tgmesh_proto::id::EventId;

use crate::error::StoreError;
use crate::partitions::Partitioned;
use crate::pg::{Json, Time, Uuid};
use crate::retention::Retention;
use crate::store::{Store, Task, column};

pub use crate::fit::{Place, RowError};
pub use crate::store::Inserted;
pub use read::Stored;
pub use row::Row;

/// The columns in the order of [`Columns`]; `archived_at` is the server's.
const INSERT: &str = "INSERT INTO detections (\
    message_date, id, stream_epoch, stream_seq, event, family, chain, address, coin_type, role, method, \
    confidence, chat_id, message_id, revision, edit_date, sender_id, received_at, detected_at, published_at, \
    stored_at, text, detail, forward_at, forward_id, forward_message_id) \
    SELECT * FROM (SELECT \
    UNNEST($1::timestamptz[]) AS message_date, UNNEST($2::uuid[]) AS id, UNNEST($3::text[]) AS stream_epoch, \
    UNNEST($4::bigint[]) AS stream_seq, UNNEST($5::text[]) AS event, UNNEST($6::text[]) AS family, \
    UNNEST($7::text[]) AS chain, UNNEST($8::text[]) AS address, UNNEST($9::text[]) AS coin_type, \
    UNNEST($10::text[]) AS role, UNNEST($11::text[]) AS method, UNNEST($12::float8[]) AS confidence, \
    UNNEST($13::bigint[]) AS chat_id, UNNEST($14::bigint[]) AS message_id, UNNEST($15::text[]) AS revision, \
    UNNEST($16::timestamptz[]) AS edit_date, UNNEST($17::bigint[]) AS sender_id, \
    UNNEST($18::timestamptz[]) AS received_at, UNNEST($19::timestamptz[]) AS detected_at, \
    UNNEST($20::timestamptz[]) AS published_at, UNNEST($21::timestamptz[]) AS stored_at, \
    UNNEST($22::text[]) AS text, UNNEST($23::jsonb[]) AS detail, UNNEST($24::timestamptz[]) AS forward_at, \
    UNNEST($25::bigint[]) AS forward_id, UNNEST($26::bigint[]) AS forward_message_id) AS row \
    WHERE NOT EXISTS (SELECT FROM erasures WHERE kind = 'chat' AND subject = chat_id AND message_until >= message_date) \
    AND NOT EXISTS (SELECT FROM erasures WHERE kind = 'sender' AND subject = sender_id AND message_until >= message_date) \
    ON CONFLICT DO NOTHING";

/// Access to the table.
pub struct Detections<'a> {
    store: &'a Store,
}

impl<'a> Detections<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// Writes rows in one transaction; those that are there already stay as they are. Makes the
    /// partitions they need.
    ///
    /// # Errors
    /// See [`StoreError`]. Nothing of the batch is written then, or (after a broken connection) all
    /// of it may be: the same call again is right in both cases.
    pub async fn insert_batch(&self, rows: &[Row]) -> Result<Inserted, StoreError> {
        let times = |row: &Row| (row.message_date_us, row.now_us);
        self.store
            .insert(Partitioned::Detections, rows, times, Columns::of)
            .await
    }
}

/// Rows turned into columns, as `UNNEST` takes them.
struct Columns<'a> {
    message_date: Vec<Time>,
    id: Vec<Uuid>,
    stream_epoch: Vec<&'a str>,
    stream_seq: Vec<i64>,
    event: Vec<&'static str>,
    family: Vec<&'static str>,
    chain: Vec<Option<&'a str>>,
    address: Vec<&'a str>,
    coin_type: Vec<Option<&'a str>>,
    role: Vec<&'static str>,
    method: Vec<&'static str>,
    confidence: Vec<f64>,
    chat_id: Vec<i64>,
    message_id: Vec<i64>,
    revision: Vec<&'a str>,
    edit_date: Vec<Option<Time>>,
    sender_id: Vec<Option<i64>>,
    received_at: Vec<Time>,
    detected_at: Vec<Time>,
    published_at: Vec<Time>,
    stored_at: Vec<Time>,
    text: Vec<Option<&'a str>>,
    detail: Vec<Json<'a>>,
    forward_at: Vec<Option<Time>>,
    forward_id: Vec<Option<i64>>,
    forward_message_id: Vec<Option<i64>>,
}

impl<'a> Columns<'a> {
    fn of(mut rows: Vec<&'a Row>, retention: Retention) -> Self {
        // In one order everywhere: two processes with the same rows wait for each other instead
        // of locking each other out.
        rows.sort_unstable_by_key(|row| (row.message_date_us, row.event.id));
        Self {
            message_date: column(&rows, |row| Time(row.message_date_us)),
            id: column(&rows, |row| Uuid(*row.event.id.as_bytes())),
            stream_epoch: column(&rows, |row| row.place.epoch.as_ref()),
            stream_seq: column(&rows, |row| row.place.seq as i64),
            event: column(&rows, |row| row.event.event.as_str()),
            family: column(&rows, |row| row.event.family.as_str()),
            chain: column(&rows, |row| row.event.chain.as_deref()),
            address: column(&rows, |row| row.event.address.as_str()),
            coin_type: column(&rows, |row| row.event.coin_type.as_deref()),
            role: column(&rows, |row| row.event.role.as_str()),
            method: column(&rows, |row| row.event.method.as_str()),
            confidence: column(&rows, |row| row.event.confidence),
            chat_id: column(&rows, |row| row.event.chat.id),
            message_id: column(&rows, |row| row.event.message.id),
            revision: column(&rows, |row| row.event.message.revision.as_str()),
            edit_date: column(&rows, |row| row.edit_date_us.map(Time)),
            sender_id: column(&rows, |row| row.event.sender.as_ref().map(|sender| sender.id)),
            received_at: column(&rows, |row| Time(row.event.times.received_us)),
            detected_at: column(&rows, |row| Time(row.event.times.detected_us)),
            published_at: column(&rows, |row| Time(row.event.times.published_us)),
            stored_at: column(&rows, |row| Time(row.place.stored_us as i64)),
            text: column(&rows, |row| {
                let is_kept = retention.keeps_text(row.message_date_us, row.now_us);
                is_kept.then_some(row.event.message.text.as_str())
            }),
            detail: column(&rows, |row| Json(&row.detail)),
            forward_at: column(&rows, |row| row.forward_us.map(Time)),
            forward_id: column(&rows, |row| row.forward()?.id),
            forward_message_id: column(&rows, |row| row.forward()?.message_id),
        }
    }
}

impl Task for Columns<'_> {
    /// Rows that are new.
    type Output = u64;

    async fn run(&self, client: &mut Object) -> Result<u64, StoreError> {
        let statement = client.prepare_cached(INSERT).await?;
        let written = client
            .execute(
                &statement,
                &[
                    &self.message_date,
                    &self.id,
                    &self.stream_epoch,
                    &self.stream_seq,
                    &self.event,
                    &self.family,
                    &self.chain,
                    &self.address,
                    &self.coin_type,
                    &self.role,
                    &self.method,
                    &self.confidence,
                    &self.chat_id,
                    &self.message_id,
                    &self.revision,
                    &self.edit_date,
                    &self.sender_id,
                    &self.received_at,
                    &self.detected_at,
                    &self.published_at,
                    &self.stored_at,
                    &self.text,
                    &self.detail,
                    &self.forward_at,
                    &self.forward_id,
                    &self.forward_message_id,
                ],
            )
            .await?;
        Ok(written)
    }
}

/// Ids as `ANY` takes them.
fn uuids(ids: &[EventId]) -> Vec<Uuid> {
    ids.iter().map(|id| Uuid(*id.as_bytes())).collect()
}
