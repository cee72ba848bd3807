//! What becomes of a batch of messages.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tgmesh_lifecycle::health::Part;
use tgmesh_lifecycle::{clock, trace};
use tgmesh_proto::{codec, headers};
use tgmesh_store::detections::{Place, Row};
use tgmesh_store::{Store, StoreError};
use tgmesh_stream::Delivery;
use tgmesh_stream::consume::{Handler, Outcome};
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use crate::meters::Meters;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Turns messages into rows.
pub(crate) struct Archive {
    store: Store,
    meters: Meters,
    postgres: Part,
    /// Batches in a row that the database did not take.
    failures: AtomicU32,
}

impl Handler for Archive {
    async fn handle(&self, batch: &[Delivery]) -> Vec<Outcome> {
        let began = Instant::now();
        let (spans, insert) = spans(batch);
        let mut outcomes = vec![Outcome::Done; batch.len()];
        let mut messages = Vec::with_capacity(batch.len());
        let mut rows = Vec::with_capacity(batch.len());
        let now_us = clock::now_us().unsigned_abs();
        for (message, delivery) in batch.iter().enumerate() {
            match row(delivery, now_us) {
                Ok(row) => {
                    messages.push(message);
                    rows.push(row);
                }
                Err(reason) => outcomes[message] = Outcome::Reject { reason },
            }
        }
        self.insert(&messages, &rows, &mut outcomes).instrument(insert).await;
        self.measure(batch, &outcomes, began);
        drop(spans);
        outcomes
    }
}

impl Archive {
    pub(crate) fn new(store: Store, meters: Meters, postgres: Part) -> Self {
        Self {
            store,
            meters,
            postgres,
            failures: AtomicU32::new(0),
        }
    }

    /// Writes rows; where the database refuses one for its content, halves the batch until that
    /// row stands alone.
    async fn insert(&self, messages: &[usize], rows: &[Row], outcomes: &mut [Outcome]) {
        let mut open: Vec<Range<usize>> = Vec::new();
        open.push(0..rows.len());
        while let Some(range) = open.pop() {
            if range.is_empty() {
                continue;
            }
            match self.store.detections().insert_batch(&rows[range.clone()]).await {
                Ok(inserted) => {
                    self.meters.rows.add(inserted.rows);
                    self.meters.duplicates.add(inserted.duplicates);
                    self.meters.batches.inc();
                    if self.failures.swap(0, Ordering::Relaxed) > 0 {
                        self.postgres.up();
                    }
                }
                Err(error) if error.is_row_fault() && range.len() == 1 => {
                    outcomes[messages[range.start]] = Outcome::Reject {
                        reason: error.to_string(),
                    };
                }
                Err(error) if error.is_row_fault() => {
                    let middle = range.start + range.len() / 2;
                    open.push(middle..range.end);
                    open.push(range.start..middle);
                }
                Err(error) => {
                    let wait = self.failed(&error);
                    // The rest would fare no better.
                    open.push(range);
                    for message in open.drain(..).flat_map(|range| messages[range].iter()) {
                        outcomes[*message] = Outcome::RetryAfter(wait);
                    }
                }
            }
        }
    }

    /// How long to wait after a failure that is not the rows'.
    fn failed(&self, error: &StoreError) -> Duration {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed);
        self.meters.batch_errors.inc();
        self.postgres.down(error.to_string());
        if failures == 0 {
            if error.is_transient() {
                tracing::warn!(%error, "the database takes no rows, holding them");
            } else {
                tracing::error!(%error, "the database takes no rows until an operator mends it, holding them");
            }
        }
        (FIRST_WAIT * 2_u32.pow(failures.min(6))).min(LONGEST_WAIT)
    }

    fn measure(&self, batch: &[Delivery], outcomes: &[Outcome], began: Instant) {
        if !outcomes.contains(&Outcome::Done) {
            return;
        }
        self.meters.batch.observe_us(began.elapsed().as_micros() as u64);
        let now_us = clock::now_us().unsigned_abs();
        for (delivery, _) in batch
            .iter()
            .zip(outcomes)
            .filter(|(_, outcome)| **outcome == Outcome::Done)
        {
            match now_us.checked_sub(delivery.published_us) {
                Some(us) => self.meters.stream_to_commit.observe_us(us),
                None => self.meters.clock_skew.inc(),
            }
        }
    }
}

/// The row of a message, or why it can never be one.
fn row(delivery: &Delivery, now_us: u64) -> Result<Row, String> {
    let event = codec::decode(&delivery.payload).map_err(|error| error.to_string())?;
    let place = Place {
        epoch: delivery.epoch.clone(),
        seq: delivery.seq,
        stored_us: delivery.published_us,
    };
    Row::new(event, place, now_us).map_err(|error| error.to_string())
}

/// Spans for the messages that are sampled: one `process` each, in the message's own trace, and
/// one `insert` for the batch, linked to all of them. None costs anything for the others.
fn spans(batch: &[Delivery]) -> (Vec<Span>, Span) {
    let mut processes = Vec::new();
    let mut contexts = Vec::new();
    for delivery in batch {
        let parent = delivery
            .header(headers::TRACEPARENT)
            .and_then(trace::TraceParent::parse);
        let Some(parent) = parent.filter(trace::TraceParent::is_sampled) else {
            continue;
        };
        let (span, context) = trace::child(&parent, || {
            tracing::info_span!(
                "process",
                otel.name = "process tgmesh.v1.detections.{chat}.{family}",
                otel.kind = "consumer",
                messaging.system = "nats",
                messaging.operation.name = "process",
                messaging.destination.name = delivery.subject,
                messaging.message.id = delivery.header(headers::MSG_ID),
                tgmesh.seq = delivery.seq,
            )
        });
        processes.push(span);
        contexts.push(context);
    }
    let Some(first) = contexts.first() else {
        return (processes, Span::none());
    };
    let (insert, _) = trace::child(first, || {
        tracing::info_span!(
            "insert",
            otel.name = "INSERT detections",
            otel.kind = "client",
            db.system.name = "postgresql",
            db.collection.name = "detections",
            db.operation.batch.size = batch.len(),
        )
    });
    for context in &contexts[1..] {
        trace::link(&insert, context);
    }
    (processes, insert)
}
