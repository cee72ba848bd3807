//! The table `matches`: one row per event without an address, partitioned as `detections` is.

use deadpool_postgres::Object;
use serde::Serialize;
use tgmesh_proto::detection::Listener;
use tgmesh_proto::matched::Match;

use crate::detail::{Chat, Message, Sender};
use crate::error::StoreError;
use crate::fit::{self, Place, RowError};
use crate::partitions::Partitioned;
use crate::pg::{Json, Time, Uuid};
use crate::retention::Retention;
use crate::store::{Inserted, Store, Task, column};

/// The columns in the order of [`Columns`].
const INSERT: &str = "INSERT INTO matches (\
    message_date, id, stream_epoch, stream_seq, event, chain, site, raw, link, chat_id, message_id, revision, \
    edit_date, sender_id, received_at, detected_at, published_at, stored_at, text, detail) \
    SELECT * FROM (SELECT \
    UNNEST($1::timestamptz[]) AS message_date, UNNEST($2::uuid[]) AS id, UNNEST($3::text[]) AS stream_epoch, \
    UNNEST($4::bigint[]) AS stream_seq, UNNEST($5::text[]) AS event, UNNEST($6::text[]) AS chain, \
    UNNEST($7::text[]) AS site, UNNEST($8::text[]) AS raw, UNNEST($9::text[]) AS link, \
    UNNEST($10::bigint[]) AS chat_id, UNNEST($11::bigint[]) AS message_id, UNNEST($12::text[]) AS revision, \
    UNNEST($13::timestamptz[]) AS edit_date, UNNEST($14::bigint[]) AS sender_id, \
    UNNEST($15::timestamptz[]) AS received_at, UNNEST($16::timestamptz[]) AS detected_at, \
    UNNEST($17::timestamptz[]) AS published_at, UNNEST($18::timestamptz[]) AS stored_at, \
    UNNEST($19::text[]) AS text, UNNEST($20::jsonb[]) AS detail) AS row \
    WHERE NOT EXISTS (SELECT FROM erasures WHERE kind = 'chat' AND subject = chat_id AND message_until >= message_date) \
    AND NOT EXISTS (SELECT FROM erasures WHERE kind = 'sender' AND subject = sender_id AND message_until >= message_date) \
    ON CONFLICT DO NOTHING";

/// Access to the table.
pub struct Matches<'a> {
    store: &'a Store,
}

/// A match that fits the table.
#[derive(Debug, Clone)]
pub struct Row {
    event: Match,
    place: Place,
    message_date_us: i64,
    edit_date_us: Option<i64>,
    /// When it was taken for a row: its age is counted from there.
    now_us: u64,
    detail: String,
}

impl Row {
    /// Takes a match; `now_us` is the time, µs since the epoch.
    ///
    /// # Errors
    /// See [`RowError`]: nothing of it goes away by trying again.
    pub fn new(event: Match, place: Place, now_us: u64) -> Result<Self, RowError> {
        let message_date_us = fit::date(event.message.date_ms, now_us)?;
        let edit_date_us = fit::origin(&event.message, &event.times, &place)?;
        let own = [
            ("schema_version", Some(event.schema_version.as_str())),
            ("chain", event.chain.as_deref()),
            ("site", event.site.as_deref()),
            ("raw", event.raw.as_deref()),
            ("link", event.link.as_deref()),
        ];
        fit::no_nul(own)?;
        fit::no_nul(fit::texts(
            &event.chat,
            &event.message,
            event.sender.as_ref(),
            &event.listener,
        ))?;
        fit::no_nul(fit::list("rules", &event.rules))?;
        // Strings, numbers, lists and maps with string keys: JSON has a form for each.
        let detail = serde_json::to_string(&Detail::of(&event)).expect("an event always has a JSON form");
        Ok(Self {
            event,
            place,
            message_date_us,
            edit_date_us,
            now_us,
            detail,
        })
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &Match {
        &self.event
    }
}

impl<'a> Matches<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// As [`crate::detections::Detections::insert_batch`].
    ///
    /// # Errors
    /// See [`StoreError`]. Nothing of the batch is written then, or (after a broken connection) all
    /// of it may be: the same call again is right in both cases.
    pub async fn insert_batch(&self, rows: &[Row]) -> Result<Inserted, StoreError> {
        let times = |row: &Row| (row.message_date_us, row.now_us);
        self.store.insert(Partitioned::Matches, rows, times, Columns::of).await
    }

    /// Number of rows.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn count(&self) -> Result<u64, StoreError> {
        self.store.count("matches").await
    }
}

/// What has no column, under the names of the event.
#[derive(Serialize)]
struct Detail<'a> {
    schema_version: &'a str,
    chat: Chat<'a>,
    message: Message<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<Sender<'a>>,
    rules: &'a [String],
    listener: &'a Listener,
}

impl<'a> Detail<'a> {
    fn of(event: &'a Match) -> Self {
        Self {
            schema_version: &event.schema_version,
            chat: Chat::of(&event.chat),
            message: Message::of(&event.message),
            sender: event.sender.as_ref().map(Sender::of),
            rules: &event.rules,
            listener: &event.listener,
        }
    }
}

/// Rows turned into columns, as `UNNEST` takes them.
struct Columns<'a> {
    message_date: Vec<Time>,
    id: Vec<Uuid>,
    stream_epoch: Vec<&'a str>,
    stream_seq: Vec<i64>,
    event: Vec<&'static str>,
    chain: Vec<Option<&'a str>>,
    site: Vec<Option<&'a str>>,
    raw: Vec<Option<&'a str>>,
    link: Vec<Option<&'a str>>,
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
            chain: column(&rows, |row| row.event.chain.as_deref()),
            site: column(&rows, |row| row.event.site.as_deref()),
            raw: column(&rows, |row| row.event.raw.as_deref()),
            link: column(&rows, |row| row.event.link.as_deref()),
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
                    &self.chain,
                    &self.site,
                    &self.raw,
                    &self.link,
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
