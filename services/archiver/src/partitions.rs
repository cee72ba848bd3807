//! Makes the partitions of today and tomorrow before anybody needs them.

use std::time::Duration;

use tgmesh_lifecycle::clock;
use tgmesh_store::Store;
use tokio_util::sync::CancellationToken;

const INTERVAL: Duration = Duration::from_hours(1);

/// Looks after them until the process is told to stop.
pub(crate) async fn run(store: Store, soft: CancellationToken) {
    let mut ticks = tokio::time::interval(INTERVAL);
    while soft.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = store.make_months_ahead(clock::now_us().unsigned_abs()).await {
            // They are made when the first row needs them.
            tracing::debug!(%error, "couldn't make partitions ahead");
        }
    }
}
