//! The archiver's figures.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tgmesh_lifecycle::metrics::{Counter, Gauge, Histogram, Metrics};
use tgmesh_stream::{Mesh, consume};
use tokio_util::sync::CancellationToken;

/// The archiver's metrics. Clones share them.
#[derive(Clone)]
pub(crate) struct Meters {
    /// Rows that are new.
    pub(crate) rows: Counter,
    /// Rows that were there already.
    pub(crate) duplicates: Counter,
    /// Batches that were committed.
    pub(crate) batches: Counter,
    /// Batches that the database did not take, each time.
    pub(crate) batch_errors: Counter,
    /// From the first row's decoding to the commit.
    pub(crate) batch: Histogram,
    /// From the stream's timestamp to the commit.
    pub(crate) stream_to_commit: Histogram,
    /// Commits that lie before the stream's timestamp: the hosts' clocks differ.
    pub(crate) clock_skew: Counter,
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
    slow: Counter,
    lag: Gauge,
    held: Gauge,
    /// Two takers at once would add the same difference twice.
    turn: Mutex<()>,
}

impl Meters {
    pub(crate) fn new(metrics: &Metrics, counts: Arc<consume::Counts>, mesh: Mesh) -> Self {
        let taken_over = TakenOver {
            counts,
            mesh,
            received: metrics.counter("messages_total", "Messages that came, each time they came"),
            redelivered: metrics.counter("redeliveries_total", "Messages that came again"),
            acked: metrics.counter("acks_total", "Messages that were acked"),
            retried: metrics.counter("retries_total", "Messages that were held and tried again"),
            dead_lettered: metrics.counter("deadletters_total", "Messages that went to the dead letters"),
            returned: metrics.counter("returned_total", "Messages that were handed back at a stop"),
            lost_pulls: metrics.counter("lost_pulls_total", "Pull requests that were lost and made again"),
            slow: metrics.counter(
                "slow_consumer_total",
                "Messages that the NATS client dropped, to come again",
            ),
            lag: metrics.gauge("lag_messages", "Messages in the stream that were not delivered yet"),
            held: metrics.gauge("held_messages", "Messages that are held without an ack"),
            turn: Mutex::new(()),
        };
        Self {
            rows: metrics.counter("rows_total", "Rows that were written"),
            duplicates: metrics.counter("duplicates_total", "Rows that were there already"),
            batches: metrics.counter("batches_total", "Batches that were committed"),
            batch_errors: metrics.counter("batch_errors_total", "Batches that the database did not take"),
            batch: metrics.histogram("batch_seconds", "From a batch's decoding to its commit"),
            stream_to_commit: metrics.histogram(
                "stream_to_commit_seconds",
                "From the stream's timestamp to the row's commit",
            ),
            clock_skew: metrics.counter("clock_skew_total", "Commits that lie before the stream's timestamp"),
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
        raise(&over.slow, over.mesh.slow_consumer_events());
        over.lag.set(over.counts.pending() as f64);
        over.held.set(over.counts.held() as f64);
    }

    /// Takes over once a second, for whoever reads `/metrics`.
    pub(crate) async fn keep_up(self, soft: CancellationToken) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        while soft.run_until_cancelled(ticks.tick()).await.is_some() {
            self.take_over();
        }
    }
}
