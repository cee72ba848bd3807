//! Waiting for a condition instead of sleeping for luck.

use std::panic::Location;
use std::time::{Duration, Instant};

/// How often a condition is asked at first; it doubles up to [`SLOWEST`].
const QUICKEST: Duration = Duration::from_millis(2);
const SLOWEST: Duration = Duration::from_millis(50);

/// Asks `condition` until it says yes or `limit` is over; the answer is whether it said yes.
///
/// The condition is asked at least once, and once more after the limit.
pub async fn until<F, Fut>(limit: Duration, mut condition: F) -> bool
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let end = Instant::now() + limit;
    let mut pause = QUICKEST;
    loop {
        let last = Instant::now() >= end;
        if condition().await {
            return true;
        }
        if last {
            return false;
        }
        tokio::time::sleep(pause.min(end.saturating_duration_since(Instant::now()))).await;
        pause = (pause * 2).min(SLOWEST);
    }
}

/// Waits until `condition` holds, for a test.
///
/// # Panics
/// When it does not hold within `limit`: the message names `what` and the caller's line.
#[track_caller]
pub fn eventually<F, Fut>(limit: Duration, what: &str, condition: F) -> impl Future<Output = ()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let caller = Location::caller();
    async move {
        assert!(until(limit, condition).await, "{caller}: not within {limit:?}: {what}");
    }
}
