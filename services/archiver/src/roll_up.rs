//! Counts addresses, chats and senders, a little at a time beside the archive itself.

use std::time::Duration;

use tgmesh_lifecycle::metrics::{Counter, Gauge, Metrics};
use tgmesh_store::Store;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often new events are counted. Answers are exact in between, they only cost more.
const INTERVAL: Duration = Duration::from_secs(5);
/// Events in one step: a step takes a fraction of a second.
const ROWS: u32 = 10_000;
/// While events wait, this many times as long as a step took is left to the archive, which
/// matters more.
const REST: u32 = 3;

struct Meters {
    rows: Counter,
    errors: Counter,
    behind: Gauge,
}

/// Counts until the process is told to stop. Of several processes one counts at a time.
pub(crate) async fn run(store: Store, metrics: Metrics, soft: CancellationToken) {
    let meters = Meters {
        rows: metrics.counter("rolled_up_total", "Events that this process counted into the roll-ups"),
        errors: metrics.counter("roll_up_errors_total", "Steps of the roll-ups that failed"),
        behind: metrics.gauge(
            "roll_up_behind",
            "1 while more events wait for the roll-ups than one step counts",
        ),
    };
    let mut wait = INTERVAL;
    while soft.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
        wait = step(&store, &meters).await;
    }
}

/// Counts once, and gives how long to wait.
async fn step(store: &Store, meters: &Meters) -> Duration {
    let began = Instant::now();
    let counted = match store.roll_up(ROWS).await {
        Ok(Some(counted)) => counted,
        Ok(None) => return INTERVAL,
        Err(error) => {
            meters.errors.inc();
            if error.is_transient() {
                tracing::debug!(%error, "couldn't count events, trying again");
            } else {
                tracing::error!(%error, "couldn't count events");
            }
            return INTERVAL;
        }
    };
    meters.rows.add(counted.rows);
    meters.behind.set(f64::from(u8::from(counted.is_behind)));
    if counted.is_behind {
        return began.elapsed() * REST;
    }
    if counted.rows == 0 {
        // Cheap, and needed only where nothing new can be seen.
        match store.rebase_roll_up().await {
            Ok(true) => tracing::warn!("the database comes from another server: the roll-ups go on from its numbers"),
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "couldn't look whether the database comes from another server"),
        }
    }
    INTERVAL
}
