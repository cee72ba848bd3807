//! The table `audit_log`: who did or watched what, and when.

use deadpool_postgres::Object;
use tgmesh_proto::SCHEMA_VERSION;
use tgmesh_proto::audit::AuditEvent;
use tgmesh_proto::id::EventId;
use tokio_postgres::types::{self, ToSql, Type};

use crate::error::StoreError;
use crate::fit::{self, Place, RowError};
use crate::pg::{Json, Time, Uuid};
use crate::store::{Inserted, Store, Task, column};

/// The columns in the order of [`Columns`].
const INSERT: &str = "INSERT INTO audit_log (\
    id, at, stream_epoch, stream_seq, service, event, instance, actor, target, detail, stored_at) \
    SELECT UNNEST($1::uuid[]), UNNEST($2::timestamptz[]), UNNEST($3::text[]), UNNEST($4::bigint[]), \
    UNNEST($5::text[]), UNNEST($6::text[]), UNNEST($7::text[]), UNNEST($8::text[]), UNNEST($9::text[]), \
    UNNEST($10::jsonb[]), UNNEST($11::timestamptz[]) \
    ON CONFLICT DO NOTHING";

/// Access to the table.
pub struct AuditLog<'a> {
    store: &'a Store,
}

/// An audit event that fits the table.
#[derive(Debug, Clone)]
pub struct Row {
    event: AuditEvent,
    place: Place,
    at_us: i64,
    detail: String,
}

impl Row {
    /// Takes an audit event.
    ///
    /// # Errors
    /// See [`RowError`]: nothing of it goes away by trying again.
    pub fn new(event: AuditEvent, place: Place) -> Result<Self, RowError> {
        let at_us = fit::time("at_us", event.at_us, 1)?;
        fit::seq(&place)?;
        fit::no_nul([
            ("service", Some(event.service.as_str())),
            ("event", Some(&event.event)),
            ("instance", Some(&event.instance)),
            ("actor", event.actor.as_deref()),
            ("target", event.target.as_deref()),
        ])?;
        let detail = event.detail.iter().flat_map(|(key, value)| [key, value]);
        fit::no_nul(detail.map(|text| ("detail", Some(text.as_str()))))?;
        // A map of strings.
        let detail = serde_json::to_string(&event.detail).expect("a map of strings has a JSON form");
        Ok(Self {
            event,
            place,
            at_us,
            detail,
        })
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &AuditEvent {
        &self.event
    }
}

impl<'a> AuditLog<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// As [`crate::detections::Detections::insert_batch`].
    ///
    /// # Errors
    /// See [`StoreError`]. Nothing of the batch is written then, or (after a broken connection) all
    /// of it may be: the same call again is right in both cases.
    pub async fn insert_batch(&self, rows: &[Row]) -> Result<Inserted, StoreError> {
        if rows.is_empty() {
            return Ok(Inserted::default());
        }
        let written = self.store.carry_out(&Columns::of(rows)).await?;
        Ok(Inserted::of(rows.len(), rows.len(), written))
    }

    /// Number of rows.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn count(&self) -> Result<u64, StoreError> {
        self.store.count("audit_log").await
    }
}

/// Which entries are wanted; fields are AND.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Name of the service.
    pub service: Option<String>,
    /// What happened.
    pub event: Option<String>,
    /// Who did it.
    pub actor: Option<String>,
    /// To what.
    pub target: Option<String>,
    /// From here on, µs since the epoch.
    pub since_us: Option<i64>,
    /// Before this, µs since the epoch.
    pub until_us: Option<i64>,
    /// Below this place in the order of time and id.
    pub before: Option<(i64, EventId)>,
}

impl AuditLog<'_> {
    /// At most `limit` entries, newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn read(&self, wanted: &Wanted, limit: u32) -> Result<Vec<AuditEvent>, StoreError> {
        let limit = limit.into();
        self.store.carry_out(&Read { wanted, limit }).await
    }
}

struct Read<'a> {
    wanted: &'a Wanted,
    limit: i64,
}

impl Task for Read<'_> {
    type Output = Vec<AuditEvent>;

    async fn run(&self, client: &mut Object) -> Result<Self::Output, StoreError> {
        let query = "SELECT id, service, event, at, instance, actor, target, detail FROM audit_log \
                     WHERE ($1::text IS NULL OR service = $1) AND ($2::text IS NULL OR event = $2) \
                     AND ($3::text IS NULL OR actor = $3) AND ($4::text IS NULL OR target = $4) \
                     AND ($5::timestamptz IS NULL OR at >= $5) AND ($6::timestamptz IS NULL OR at < $6) \
                     AND ($7::timestamptz IS NULL OR at <= $7 AND (at, id) < ($7, $8::uuid)) \
                     ORDER BY at DESC, id DESC LIMIT $9";
        let wanted = self.wanted;
        let (since, until) = (wanted.since_us.map(Time), wanted.until_us.map(Time));
        let (at, id) = wanted.before.map_or((None, None), |(at_us, id)| {
            (Some(Time(at_us)), Some(Uuid(*id.as_bytes())))
        });
        // With the types given there is one round trip, and the plan is made for these values: what
        // is not asked for is not compared.
        let params: [(&(dyn ToSql + Sync), Type); 9] = [
            (&wanted.service, Type::TEXT),
            (&wanted.event, Type::TEXT),
            (&wanted.actor, Type::TEXT),
            (&wanted.target, Type::TEXT),
            (&since, Type::TIMESTAMPTZ),
            (&until, Type::TIMESTAMPTZ),
            (&at, Type::TIMESTAMPTZ),
            (&id, Type::UUID),
            (&self.limit, Type::INT8),
        ];
        let rows = client.query_typed(query, &params).await?;
        let entry = |row: &tokio_postgres::Row| {
            Ok(AuditEvent {
                schema_version: SCHEMA_VERSION.to_owned(),
                id: EventId::from_bytes(row.try_get::<_, Uuid>(0)?.0),
                service: row.try_get(1)?,
                event: row.try_get(2)?,
                at_us: row.try_get::<_, Time>(3)?.0,
                instance: row.try_get(4)?,
                actor: row.try_get(5)?,
                target: row.try_get(6)?,
                detail: row.try_get::<_, types::Json<_>>(7)?.0,
            })
        };
        rows.iter().map(entry).collect()
    }
}

/// Rows turned into columns, as `UNNEST` takes them.
struct Columns<'a> {
    id: Vec<Uuid>,
    at: Vec<Time>,
    stream_epoch: Vec<&'a str>,
    stream_seq: Vec<i64>,
    service: Vec<&'a str>,
    event: Vec<&'a str>,
    instance: Vec<&'a str>,
    actor: Vec<Option<&'a str>>,
    target: Vec<Option<&'a str>>,
    detail: Vec<Json<'a>>,
    stored_at: Vec<Time>,
}

impl<'a> Columns<'a> {
    fn of(rows: &'a [Row]) -> Self {
        let mut rows: Vec<&Row> = rows.iter().collect();
        // In one order everywhere, as with detections.
        rows.sort_unstable_by_key(|row| row.event.id);
        Self {
            id: column(&rows, |row| Uuid(*row.event.id.as_bytes())),
            at: column(&rows, |row| Time(row.at_us)),
            stream_epoch: column(&rows, |row| row.place.epoch.as_ref()),
            stream_seq: column(&rows, |row| row.place.seq as i64),
            service: column(&rows, |row| row.event.service.as_str()),
            event: column(&rows, |row| row.event.event.as_str()),
            instance: column(&rows, |row| row.event.instance.as_str()),
            actor: column(&rows, |row| row.event.actor.as_deref()),
            target: column(&rows, |row| row.event.target.as_deref()),
            detail: column(&rows, |row| Json(&row.detail)),
            stored_at: column(&rows, |row| Time(row.place.stored_us as i64)),
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
                    &self.id,
                    &self.at,
                    &self.stream_epoch,
                    &self.stream_seq,
                    &self.service,
                    &self.event,
                    &self.instance,
                    &self.actor,
                    &self.target,
                    &self.detail,
                    &self.stored_at,
                ],
            )
            .await?;
        Ok(written)
    }
}
