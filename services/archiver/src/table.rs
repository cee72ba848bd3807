//! Which stream fills which table, and how a message becomes a row.

use std::future::Future;

use tgmesh_proto::{codec, subject};
use tgmesh_store::detections::{Inserted, Place};
use tgmesh_store::{Store, StoreError, audit, detections, matches};
use tgmesh_stream::Delivery;

/// A table and the stream that fills it.
pub(crate) trait Table: Send + Sync + 'static {
    type Row: Send + Sync;

    const NAME: &'static str;
    const STREAM: &'static str;
    /// Before the names of this table's figures; nothing for the one that everybody asks about.
    const PREFIX: &'static str;
    /// Names of its messages' spans; nothing for messages that belong to no trace.
    const SPANS: Option<Names>;

    /// The row of a message, or why it can never be one.
    fn row(delivery: &Delivery, now_us: u64) -> Result<Self::Row, String>;

    /// When the listener received a row's message, µs since the epoch; nothing where nobody waits
    /// for it.
    fn received_us(row: &Self::Row) -> Option<u64>;

    /// Writes rows in one transaction; those that are there already stay as they are.
    fn insert(store: &Store, rows: &[Self::Row]) -> impl Future<Output = Result<Inserted, StoreError>> + Send;
}

/// Names of spans, each one of few.
#[derive(Clone, Copy)]
pub(crate) struct Names {
    pub(crate) subject: &'static str,
    pub(crate) process: &'static str,
    pub(crate) batch: &'static str,
    pub(crate) insert: &'static str,
    pub(crate) table: &'static str,
}

/// DETECTIONS.
pub(crate) struct Detections;

impl Table for Detections {
    type Row = detections::Row;

    const NAME: &'static str = "detections";
    const STREAM: &'static str = subject::DETECTIONS;
    const PREFIX: &'static str = "";
    const SPANS: Option<Names> = Some(Names {
        subject: "tgmesh.v1.detections.{chat}.{family}",
        process: "process tgmesh.v1.detections.{chat}.{family}",
        batch: "batch tgmesh.v1.detections.{chat}.{family}",
        insert: "INSERT detections",
        table: "detections",
    });

    fn row(delivery: &Delivery, now_us: u64) -> Result<Self::Row, String> {
        let event = codec::decode(&delivery.payload).map_err(|error| error.to_string())?;
        detections::Row::new(event, place(delivery), now_us).map_err(|error| error.to_string())
    }

    fn received_us(row: &Self::Row) -> Option<u64> {
        let event = row.event();
        let received_us = u64::try_from(event.times.received_us).ok();
        received_us.filter(|_| !event.listener.backfill)
    }

    async fn insert(store: &Store, rows: &[Self::Row]) -> Result<Inserted, StoreError> {
        store.detections().insert_batch(rows).await
    }
}

/// MATCHES.
pub(crate) struct Matches;

impl Table for Matches {
    type Row = matches::Row;

    const NAME: &'static str = "matches";
    const STREAM: &'static str = subject::MATCHES;
    const PREFIX: &'static str = "matches_";
    const SPANS: Option<Names> = Some(Names {
        subject: "tgmesh.v1.matches.{chat}",
        process: "process tgmesh.v1.matches.{chat}",
        batch: "batch tgmesh.v1.matches.{chat}",
        insert: "INSERT matches",
        table: "matches",
    });

    fn row(delivery: &Delivery, now_us: u64) -> Result<Self::Row, String> {
        let event = codec::decode_match(&delivery.payload).map_err(|error| error.to_string())?;
        matches::Row::new(event, place(delivery), now_us).map_err(|error| error.to_string())
    }

    fn received_us(row: &Self::Row) -> Option<u64> {
        let event = row.event();
        let received_us = u64::try_from(event.times.received_us).ok();
        received_us.filter(|_| !event.listener.backfill)
    }

    async fn insert(store: &Store, rows: &[Self::Row]) -> Result<Inserted, StoreError> {
        store.matches().insert_batch(rows).await
    }
}

/// AUDIT.
pub(crate) struct Audit;

impl Table for Audit {
    type Row = audit::Row;

    const NAME: &'static str = "audit_log";
    const STREAM: &'static str = subject::AUDIT;
    const PREFIX: &'static str = "audit_";
    const SPANS: Option<Names> = None;

    fn row(delivery: &Delivery, _: u64) -> Result<Self::Row, String> {
        let event = codec::decode_audit(&delivery.payload).map_err(|error| error.to_string())?;
        audit::Row::new(event, place(delivery)).map_err(|error| error.to_string())
    }

    fn received_us(_: &Self::Row) -> Option<u64> {
        None
    }

    async fn insert(store: &Store, rows: &[Self::Row]) -> Result<Inserted, StoreError> {
        store.audit().insert_batch(rows).await
    }
}

fn place(delivery: &Delivery) -> Place {
    Place {
        epoch: delivery.epoch.clone(),
        seq: delivery.seq,
        stored_us: delivery.published_us,
    }
}
