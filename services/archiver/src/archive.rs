//! What becomes of a batch of messages.

use std::marker::PhantomData;
use std::ops::Range;

use tgmesh_lifecycle::clock;
use tgmesh_lifecycle::trace::TraceParent;
use tgmesh_proto::headers;
use tgmesh_store::{Store, StoreError};
use tgmesh_stream::Delivery;
use tgmesh_stream::consume::{Handler, Outcome};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::database::Writes;
use crate::meters::Meters;
use crate::spans::{Batch, Spans, Statement};
use crate::table::Table;

/// Turns messages into rows of a table.
pub(crate) struct Archive<T> {
    store: Store,
    meters: Meters,
    writes: Writes,
    spans: Spans,
    table: PhantomData<T>,
}

impl<T: Table> Handler for Archive<T> {
    async fn handle(&self, batch: &[Delivery]) -> Vec<Outcome> {
        let began = Instant::now();
        let mut spans = Spans::begin::<T>(batch);
        let span = spans.span.clone();
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
        self.insert(&messages, &rows, &mut outcomes, &mut spans)
            .instrument(span)
            .await;
        self.measure(batch, (&messages, &rows), &outcomes, began);
        self.spans.end(spans, batch, &outcomes);
        outcomes
    }
}

impl<T: Table> Archive<T> {
    pub(crate) fn new(store: Store, meters: Meters, writes: Writes, spans: Spans) -> Self {
        Self {
            store,
            meters,
            writes,
            spans,
            table: PhantomData,
        }
    }

    /// Writes rows; where the database refuses one for its content, halves the batch until that
    /// row stands alone.
    async fn insert(&self, messages: &[usize], rows: &[T::Row], outcomes: &mut [Outcome], spans: &mut Batch) {
        let mut open: Vec<Range<usize>> = Vec::new();
        open.push(0..rows.len());
        while let Some(range) = open.pop() {
            if range.is_empty() {
                continue;
            }
            let began_us = clock::now_us();
            match T::insert(&self.store, &rows[range.clone()]).await {
                Ok(inserted) => {
                    let statement = Statement {
                        rows: range.len(),
                        began_us,
                        ended_us: clock::now_us(),
                    };
                    spans.stored(&messages[range], statement);
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
                    spans.failed(&error);
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

    fn measure(&self, batch: &[Delivery], rows: (&[usize], &[T::Row]), outcomes: &[Outcome], began: Instant) {
        if !outcomes.contains(&Outcome::Done) {
            return;
        }
        let now_us = clock::now_us().unsigned_abs();
        let mut traced = None;
        for (&message, row) in rows.0.iter().zip(rows.1) {
            if outcomes[message] != Outcome::Done {
                continue;
            }
            let delivery = &batch[message];
            let trace = context(delivery);
            traced = traced.or(trace);
            let hops = [
                (Some(delivery.published_us), &self.meters.stream_to_commit),
                (T::received_us(row), &self.meters.received_to_commit),
            ];
            for (from_us, histogram) in hops {
                match from_us.map(|from_us| now_us.checked_sub(from_us)) {
                    Some(Some(us)) => histogram.observe_traced(us, trace),
                    Some(None) => self.meters.clock_skew.inc(),
                    None => {}
                }
            }
        }
        self.meters
            .batch
            .observe_traced(began.elapsed().as_micros() as u64, traced);
    }
}

/// The message's trace, if it is sampled.
fn context(delivery: &Delivery) -> Option<TraceParent> {
    let parent = delivery.header(headers::TRACEPARENT).and_then(TraceParent::parse);
    parent.filter(TraceParent::is_sampled)
}
