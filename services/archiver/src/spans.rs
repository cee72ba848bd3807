//! A message's way through this process, as spans of its trace: `process`, from its arrival to its
//! end, with the statement that stored it under it. A batch has a span of its own that is linked to
//! its messages' and back, because a batch belongs to many traces.
//!
//! An attempt that is to be repeated ends nothing: it shows as the batch's error, and in the length
//! of `process`.

use std::sync::Arc;

use tgmesh_lifecycle::trace::late::{self, Recent};
use tgmesh_lifecycle::trace::{self, Kind, Span, TraceParent, Value};
use tgmesh_lifecycle::{Process, clock};
use tgmesh_proto::headers;
use tgmesh_stream::consume::Outcome;
use tgmesh_stream::{Delivery, Mesh, traces};
use tracing::field::Empty;

use crate::table::{Names, Table};

/// Hops of unsampled messages that are remembered: some seconds of full load.
const REMEMBERED: usize = 32_768;

/// Where spans of messages go. Clones share it.
#[derive(Clone)]
pub(crate) struct Spans {
    hops: Arc<Recent<Hop>>,
}

/// A statement that stored rows.
pub(crate) struct Statement {
    pub(crate) rows: usize,
    pub(crate) began_us: i64,
    pub(crate) ended_us: i64,
}

/// A batch that is being handled.
pub(crate) struct Batch {
    names: Option<Names>,
    /// The trace contexts of its messages; empty where spans go nowhere.
    parents: Vec<Option<TraceParent>>,
    /// The statement that stored each message.
    stored: Vec<Option<usize>>,
    statements: Vec<Statement>,
    /// None where no message is sampled.
    pub(crate) span: tracing::Span,
}

/// What is remembered of an unsampled message.
pub(crate) struct Hop {
    names: Names,
    parent: TraceParent,
    seq: u64,
    delivered: u64,
    arrived_us: i64,
    ended_us: i64,
    /// Rows, begin, end.
    insert: Option<(usize, i64, i64)>,
    batch: Option<TraceParent>,
    error: Option<Box<str>>,
}

impl Spans {
    /// Begins to answer when other processes ask for the spans of a message.
    pub(crate) fn new(process: &Process, mesh: &Mesh) -> Self {
        let (hops, asked) = Recent::new(REMEMBERED, &process.metrics);
        let hops = Arc::new(hops);
        if trace::exports() {
            let (hearing, mesh) = (Arc::clone(&hops), mesh.clone());
            hops.answer(process, async move {
                traces::relay(&mesh, asked, |id| hearing.want(id)).await;
            });
        }
        Self { hops }
    }

    /// A batch that was taken up.
    pub(crate) fn begin<T: Table>(batch: &[Delivery]) -> Batch {
        let names = T::SPANS.filter(|_| trace::exports());
        let read = |delivery: &Delivery| delivery.header(headers::TRACEPARENT).and_then(TraceParent::parse);
        let parents: Vec<_> = names.iter().flat_map(|_| batch.iter().map(read)).collect();
        let is_sampled = parents.iter().flatten().any(TraceParent::is_recorded);
        let span = match names.filter(|_| is_sampled) {
            Some(names) => tracing::info_span!(
                "batch",
                otel.name = names.batch,
                otel.kind = "consumer",
                otel.status_code = Empty,
                otel.status_description = Empty,
                messaging.system = "nats",
                messaging.operation.name = "process",
                messaging.batch.message_count = batch.len() as i64,
            ),
            None => tracing::Span::none(),
        };
        Batch {
            names,
            stored: vec![None; parents.len()],
            parents,
            statements: Vec::new(),
            span,
        }
    }

    /// A batch that was handled: its messages have these outcomes.
    pub(crate) fn end(&self, batch: Batch, messages: &[Delivery], outcomes: &[Outcome]) {
        let Batch {
            names: Some(names),
            parents,
            stored,
            statements,
            span,
        } = batch
        else {
            return;
        };
        let ended_us = clock::now_us();
        let of_batch = TraceParent::of(&span);
        for (number, (delivery, outcome)) in messages.iter().zip(outcomes).enumerate() {
            let Some(parent) = parents[number] else { continue };
            let error = match outcome {
                Outcome::RetryAfter(_) => continue,
                Outcome::Done => None,
                Outcome::Reject { reason } => Some(reason.as_str()),
            };
            let statement = stored[number].and_then(|statement| statements.get(statement));
            let hop = Hop {
                names,
                parent,
                seq: delivery.seq,
                delivered: delivery.delivered,
                arrived_us: delivery.arrived_us,
                ended_us,
                insert: statement.map(|statement| (statement.rows, statement.began_us, statement.ended_us)),
                batch: of_batch,
                error: error.map(Into::into),
            };
            if parent.is_recorded() {
                let context = hop.write(Some(delivery));
                trace::link(&span, &context);
            } else {
                let waited = clock::now_us() - delivery.published_us.cast_signed();
                let is_remarkable = error.is_some() || delivery.delivered > 1 || late::is_slow(waited);
                self.hops.note(hop, is_remarkable);
            }
        }
    }
}

impl Batch {
    /// These messages were stored by one statement.
    pub(crate) fn stored(&mut self, messages: &[usize], statement: Statement) {
        if self.names.is_none() {
            return;
        }
        for &message in messages {
            self.stored[message] = Some(self.statements.len());
        }
        self.statements.push(statement);
    }

    /// The database took nothing.
    pub(crate) fn failed(&self, error: &dyn std::fmt::Display) {
        self.span.record("otel.status_code", "error");
        self.span
            .record("otel.status_description", tracing::field::display(error));
    }
}

impl late::Hop for Hop {
    fn trace_id(&self) -> u128 {
        self.parent.trace_id()
    }

    fn record(&self) {
        self.write(None);
    }
}

impl Hop {
    /// Writes `process` and the statement down; returns the context of `process`.
    fn write(&self, delivery: Option<&Delivery>) -> TraceParent {
        let context = self.parent.child();
        let links = self.batch.as_slice();
        let mut attributes = vec![
            ("messaging.system", Value::Str("nats")),
            ("messaging.operation.name", Value::Str("process")),
            ("messaging.operation.type", Value::Str("process")),
            ("messaging.destination.template", Value::Str(self.names.subject)),
            ("messaging.consumer.group.name", Value::Str(crate::CONSUMER)),
            ("tgmesh.stream.sequence", Value::Int(self.seq.cast_signed())),
        ];
        if let Some(delivery) = delivery {
            attributes.push(("messaging.destination.name", Value::Str(&delivery.subject)));
            let id = delivery.header(headers::MSG_ID);
            attributes.extend(id.map(|id| ("messaging.message.id", Value::Str(id))));
        }
        if self.delivered > 1 {
            attributes.push(("tgmesh.deliveries", Value::Int(self.delivered.cast_signed())));
        }
        trace::record(&Span {
            parent: Some(self.parent.span_id()),
            is_parent_remote: true,
            attributes: &attributes,
            links,
            error: self.error.as_deref(),
            ..Span::new(
                context,
                self.names.process,
                Kind::Consumer,
                (self.arrived_us, self.ended_us),
            )
        });
        if let Some((rows, began_us, ended_us)) = self.insert {
            let rows = i64::try_from(rows).unwrap_or(i64::MAX);
            let attributes = [
                ("db.system.name", Value::Str("postgresql")),
                ("db.operation.name", Value::Str("INSERT")),
                ("db.collection.name", Value::Str(self.names.table)),
                ("db.operation.batch.size", Value::Int(rows)),
            ];
            trace::record(&Span {
                parent: Some(context.span_id()),
                // By the conventions one row is no batch.
                attributes: if rows > 1 { &attributes } else { &attributes[..3] },
                links,
                ..Span::new(context.child(), self.names.insert, Kind::Client, (began_us, ended_us))
            });
        }
        context
    }
}
