//! The archiver's figures.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tgmesh_lifecycle::metrics::{Counter, Gauge, Histogram, Metrics};
use tgmesh_lifecycle::summary::Plan;
use tgmesh_stream::{Mesh, consume};
use tokio_util::sync::CancellationToken;

/// The line in the log.
pub(crate) const SUMMARY: Plan = Plan {
    counts: &[("rows", "rows_total"), ("batches", "batches_total")],
    successes: "acks_total",
    failures: &["deadletters_total"],
    queue: ("queue", "lag_messages"),
    latencies: &[("stream → row", "stream_to_commit_seconds"), ("batch", "batch_seconds")],
    errors: &[
        "batch_errors_total",
        "deadletters_total",
        "matches_batch_errors_total",
        "matches_deadletters_total",
        "audit_batch_errors_total",
        "audit_deadletters_total",
    ],
};

/// The archiver's metrics. Clones share them.
#[derive(Clone)]
pub(crate) struct Meters {
    /// Rows that are new.
    pub(crate) rows: Counter,
    /// Rows that were there already.
    pub(crate) duplicates: Counter,
    /// Rows that were not written, because their messages are older than what is kept.
    pub(crate) too_old: Counter,
    /// Batches that were committed.
    pub(crate) batches: Counter,
    /// Batches that the database did not take, each time.
    pub(crate) batch_errors: Counter,
    /// From the first row's decoding to the commit.
    pub(crate) batch: Histogram,
    /// From the stream's timestamp to the commit.
    pub(crate) stream_to_commit: Histogram,
    /// From the listener's socket to the commit, for live messages.
    pub(crate) received_to_commit: Histogram,
    /// Commits that lie before the stream's timestamp or the receipt: the hosts' clocks differ.
    pub(crate) clock_skew: Counter,
    /// 1 while the database takes no rows.
    pub(crate) held_up: Gauge,
    taken_over: Arc<TakenOver>,
}

/// What the consume loop counts, taken over into metrics from time to time.
struct TakenOver {
    counts: Arc<consume::Counts>,
    mesh: Mesh,
    received: Counter,
    redelivered: Counter,
    acked: Counter,
    retried: Counter,
    dead_lettered: Counter,
    returned: Counter,
    lost_pulls: Counter,
    /// Counted once for the whole process.
    slow: Option<Counter>,
    lag: Gauge,
    held: Gauge,
    rows_per_batch: Gauge,
    /// Rows and batches when the average was last taken.
    averaged: Mutex<(u64, u64)>,
    /// Two takers at once would add the same difference twice.
    turn: Mutex<()>,
}

impl Meters {
    /// Figures whose names begin with `prefix`.
    pub(crate) fn new(
        metrics: &Metrics,
        (stream, prefix): (&str, &str),
        counts: Arc<consume::Counts>,
        mesh: Mesh,
    ) -> Self {
        let counter = |name: &str, help| metrics.counter(&format!("{prefix}{name}"), help);
        let gauge = |name: &str, help| metrics.gauge(&format!("{prefix}{name}"), help);
        let histogram = |name: &str, help| metrics.histogram(&format!("{prefix}{name}"), help);
        let taken_over = TakenOver {
            counts,
            mesh,
            received: counter("messages_total", "Messages that came, each time they came"),
            redelivered: counter("redeliveries_total", "Messages that came again"),
            acked: counter("acks_total", "Messages that were acked"),
            retried: counter("retries_total", "Messages that were held and tried again"),
            dead_lettered: counter("deadletters_total", "Messages that went to the dead letters"),
            returned: counter("returned_total", "Messages that were handed back at a stop"),
            lost_pulls: counter("lost_pulls_total", "Pull requests that were lost and made again"),
            slow: prefix.is_empty().then(|| {
                let help = "Messages that the NATS client dropped, to come again";
                counter("slow_consumer_total", help)
            }),
            lag: gauge("lag_messages", "Messages in the stream that were not delivered yet"),
            held: gauge("held_messages", "Messages that are held without an ack"),
            rows_per_batch: gauge(
                "rows_per_batch",
                "Rows in a batch, the average of about the last second",
            ),
            averaged: Mutex::default(),
            turn: Mutex::new(()),
        };
        let info = "1, with the stream and the name of the durable consumer that all archivers share";
        let labels = [("stream", stream), ("consumer", crate::CONSUMER)];
        metrics.gauge_with("consumer_info", info, &labels).set(1.0);
        Self {
            rows: counter("rows_total", "Rows that were written"),
            duplicates: counter("duplicates_total", "Rows that were there already"),
            too_old: counter("too_old_total", "Rows older than the retention, which were not written"),
            batches: counter("batches_total", "Batches that were committed"),
            batch_errors: counter("batch_errors_total", "Batches that the database did not take"),
            batch: histogram("batch_seconds", "From a batch's decoding to its commit"),
            stream_to_commit: histogram(
                "stream_to_commit_seconds",
                "From the stream's timestamp to the row's commit",
            ),
            received_to_commit: histogram(
                "received_to_commit_seconds",
                "From the listener's socket to the row's commit, for live messages",
            ),
            clock_skew: counter(
                "clock_skew_total",
                "Commits that lie before the stream's timestamp or the receipt, by two hosts' clocks",
            ),
            held_up: gauge("held_up", "1 while the database takes no rows"),
            taken_over: Arc::new(taken_over),
        }
    }

    /// Brings the metrics up to the consume loop's counts.
    pub(crate) fn take_over(&self) {
        let over = &*self.taken_over;
        let _turn = over.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let raise = |counter: &Counter, to: u64| counter.add(to.saturating_sub(counter.get()));
        raise(&over.received, over.counts.delivered());
        raise(&over.redelivered, over.counts.redelivered());
        raise(&over.acked, over.counts.acked());
        raise(&over.retried, over.counts.retried());
        raise(&over.dead_lettered, over.counts.dead_lettered());
        raise(&over.returned, over.counts.returned());
        raise(&over.lost_pulls, over.counts.lost_pulls());
        if let Some(slow) = &over.slow {
            raise(slow, over.mesh.slow_consumer_events());
        }
        over.lag.set(over.counts.pending() as f64);
        over.held.set(over.counts.held() as f64);
    }

    /// Notes how large batches were since the last time.
    fn average(&self) {
        let rows = self.rows.get() + self.duplicates.get() + self.too_old.get();
        let batches = self.batches.get();
        let over = &*self.taken_over;
        let mut averaged = over.averaged.lock().unwrap_or_else(PoisonError::into_inner);
        let (before_rows, before_batches) = *averaged;
        if batches > before_batches {
            over.rows_per_batch
                .set((rows - before_rows) as f64 / (batches - before_batches) as f64);
        }
        *averaged = (rows, batches);
    }

    /// Takes over once a second, for whoever reads `/metrics`.
    pub(crate) async fn keep_up(self, soft: CancellationToken) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        while soft.run_until_cancelled(ticks.tick()).await.is_some() {
            self.take_over();
            self.average();
        }
    }
}
