//! What becomes of a batch of messages.

use std::marker::PhantomData;
use std::ops::Range;

use tgmesh_lifecycle::{clock, trace};
use tgmesh_proto::headers;
use tgmesh_store::{Store, StoreError};
use tgmesh_stream::Delivery;
use tgmesh_stream::consume::{Handler, Outcome};
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use crate::database::Writes;
use crate::meters::Meters;
use crate::table::Table;

/// Turns messages into rows of a table.
pub(crate) struct Archive<T> {
    store: Store,
    meters: Meters,
    writes: Writes,
    table: PhantomData<T>,
}

impl<T: Table> Handler for Archive<T> {
    async fn handle(&self, batch: &[Delivery]) -> Vec<Outcome> {
        let began = Instant::now();
        let (spans, insert) = spans::<T>(batch);
        let mut outcomes = vec![Outcome::Done; batch.len()];
        let mut messages = Vec::with_capacity(batch.len());
        let mut rows = Vec::with_capacity(batch.len());
        let now_us = clock::now_us().unsigned_abs();
        for (message, delivery) in batch.iter().enumerate() {
            match T::row(delivery, now_us) {
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

impl<T: Table> Archive<T> {
    pub(crate) fn new(store: Store, meters: Meters, writes: Writes) -> Self {
        Self {
            store,
            meters,
            writes,
            table: PhantomData,
        }
    }

    /// Writes rows; where the database refuses one for its content, halves the batch until that
    /// row stands alone.
    async fn insert(&self, messages: &[usize], rows: &[T::Row], outcomes: &mut [Outcome]) {
        let mut open: Vec<Range<usize>> = Vec::new();
        open.push(0..rows.len());
        while let Some(range) = open.pop() {
            if range.is_empty() {
                continue;
            }
            match T::insert(&self.store, &rows[range.clone()]).await {
                Ok(inserted) => {
                    self.meters.rows.add(inserted.rows);
                    self.meters.duplicates.add(inserted.duplicates);
                    self.meters.too_old.add(inserted.expired);
                    self.meters.batches.inc();
                    self.writes.worked();
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
                    let outcome = self.hold(&error);
                    // The rest would fare no better.
                    open.push(range);
                    for message in open.drain(..).flat_map(|range| messages[range].iter()) {
                        outcomes[*message] = outcome.clone();
                    }
                }
            }
        }
    }

    fn hold(&self, error: &StoreError) -> Outcome {
        self.meters.batch_errors.inc();
        Outcome::RetryAfter(self.writes.failed(error))
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

/// Spans for the messages that are sampled: one `process` each, in the message's own trace, and
/// one `insert` for the batch, linked to all of them. None costs anything for the others.
fn spans<T: Table>(batch: &[Delivery]) -> (Vec<Span>, Span) {
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
                otel.name = format!("process {}", T::SUBJECT),
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
            otel.name = format!("INSERT {}", T::NAME),
            otel.kind = "client",
            db.system.name = "postgresql",
            db.collection.name = T::NAME,
            db.operation.batch.size = batch.len(),
        )
    });
    for context in &contexts[1..] {
        trace::link(&insert, context);
    }
    (processes, insert)
}
