//! Drops the months and takes away the texts that are no longer to be kept.

use std::time::Duration;

use tgmesh_lifecycle::clock;
use tgmesh_lifecycle::metrics::{Counter, Metrics};
use tgmesh_store::{Store, StoreError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const INTERVAL: Duration = Duration::from_mins(10);
/// After a fault that passes: a reader in the way, events that are not counted yet.
const AGAIN: Duration = Duration::from_secs(5);
/// Texts in one step: a step takes a fraction of a second.
const ROWS: u32 = 5_000;

struct Meters {
    months: Counter,
    texts: Counter,
}

/// Keeps to the store's retention until the process is told to stop.
pub(crate) async fn run(store: Store, metrics: Metrics, soft: CancellationToken) {
    let meters = Meters {
        months: metrics.counter("months_dropped_total", "Months that were dropped because of their age"),
        texts: metrics.counter(
            "texts_cleared_total",
            "Messages' texts that were taken away because of their age",
        ),
    };
    let mut wait = Duration::ZERO;
    while soft.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
        wait = match step(&store, &meters).await {
            Ok(wait) => wait,
            Err(error) if error.is_transient() => {
                tracing::debug!(%error, "couldn't remove what is too old, trying again");
                AGAIN
            }
            Err(error) => {
                tracing::error!(%error, "couldn't remove what is too old");
                INTERVAL
            }
        };
    }
}

/// Removes a little, and gives how long to wait.
async fn step(store: &Store, meters: &Meters) -> Result<Duration, StoreError> {
    let began = Instant::now();
    let now_us = clock::now_us().unsigned_abs();
    let month = store.drop_expired_month(now_us).await?;
    if let Some(month) = &month {
        tracing::info!(
            partition = month,
            "dropped a month, its messages are too old to be kept"
        );
        meters.months.inc();
    }
    let texts = store.clear_expired_texts(now_us, ROWS).await?;
    meters.texts.add(texts);
    if month.is_none() && texts == 0 {
        return Ok(INTERVAL);
    }
    // As long as it took is left to the archive.
    Ok(began.elapsed())
}
