//! Wall-clock time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since the epoch; 0 on a clock set before it.
pub(crate) fn now_us() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as u64)
}
