//! The table `detections`: one row per event, partitioned by the month of the message's date.

mod read;
mod row;

use std::collections::BTreeSet;

use deadpool_postgres::Object;
use tgmesh_proto::id::EventId;

use crate::error::StoreError;
use crate::month::Month;
use crate::pg::{Json, Time, Uuid};
use crate::store::{PARTITION_LOCK, Store, Task};

pub use read::Stored;
pub use row::{Place, Row, RowError};

/// The columns in the order of [`Columns`]; `archived_at` is the server's.
const INSERT: &str = "INSERT INTO detections (\
    message_date, id, stream_epoch, stream_seq, event, family, chain, address, coin_type, role, method, \
    confidence, chat_id, message_id, revision, edit_date, sender_id, received_at, detected_at, published_at, \
    stored_at, text, detail) \
    SELECT * FROM UNNEST(\
    $1::timestamptz[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], \
    $9::text[], $10::text[], $11::text[], $12::float8[], $13::bigint[], $14::bigint[], $15::text[], \
    $16::timestamptz[], $17::bigint[], $18::timestamptz[], $19::timestamptz[], $20::timestamptz[], \
    $21::timestamptz[], $22::text[], $23::jsonb[]) \
    ON CONFLICT DO NOTHING";

/// Access to the table.
pub struct Detections<'a> {
    store: &'a Store,
}

/// What a batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inserted {
    /// Rows that are new.
    pub rows: u64,
    /// Rows that were there already.
    pub duplicates: u64,
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
        if rows.is_empty() {
            return Ok(Inserted { rows: 0, duplicates: 0 });
        }
        let columns = Columns::of(rows);
        self.make_months(rows).await?;
        let result = self.store.carry_out(&columns).await;
        let written = match result {
            Err(error) if error.is_missing_partition() => {
                // Somebody dropped a month that was here: make it again, for messages of that month
                // still come.
                self.store.forget_months();
                self.make_months(rows).await?;
                self.store.carry_out(&columns).await?
            }
            result => result?,
        };
        Ok(Inserted {
            rows: written,
            duplicates: (rows.len() as u64).saturating_sub(written),
        })
    }

    async fn make_months(&self, rows: &[Row]) -> Result<(), StoreError> {
        let months: BTreeSet<Month> = rows
            .iter()
            .map(|row| Month::of_ms(row.message_date_us / 1000))
            .collect();
        for month in months {
            if !self.store.knows_month(month) {
                self.store.carry_out(&MakeMonth(month)).await?;
                self.store.learn_month(month);
            }
        }
        Ok(())
    }
}

/// Makes a month's partition if it is missing.
struct MakeMonth(Month);

impl Task for MakeMonth {
    type Output = ();

    async fn run(&self, client: &mut Object) -> Result<(), StoreError> {
        let Self(month) = *self;
        let name = format!("detections_{}", month.suffix());
        // A look first: making a partition locks the whole table, even where it turns out to exist.
        let found = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&name]).await?;
        if found.get(0) {
            return Ok(());
        }
        let next = month.next();
        let transaction = client.transaction().await?;
        // IF NOT EXISTS fails where two processes come at once; the lock lets one wait for the other.
        transaction
            .execute("SELECT pg_advisory_xact_lock($1)", &[&PARTITION_LOCK])
            .await?;
        transaction
            .batch_execute(&format!(
                "CREATE TABLE IF NOT EXISTS {name} PARTITION OF detections FOR VALUES FROM ('{month}') TO ('{next}')"
            ))
            .await?;
        transaction.commit().await?;
        tracing::info!(partition = name, "made a partition");
        Ok(())
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
    text: Vec<&'a str>,
    detail: Vec<Json<'a>>,
}

impl<'a> Columns<'a> {
    fn of(rows: &'a [Row]) -> Self {
        let mut rows: Vec<&Row> = rows.iter().collect();
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
            text: column(&rows, |row| row.event.message.text.as_str()),
            detail: column(&rows, |row| Json(&row.detail)),
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
                ],
            )
            .await?;
        Ok(written)
    }
}

fn column<'a, T>(rows: &[&'a Row], value: impl Fn(&'a Row) -> T) -> Vec<T> {
    rows.iter().map(|row| value(row)).collect()
}

/// Ids as `ANY` takes them.
fn uuids(ids: &[EventId]) -> Vec<Uuid> {
    ids.iter().map(|id| Uuid(*id.as_bytes())).collect()
}
