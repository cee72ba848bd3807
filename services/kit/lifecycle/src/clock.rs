//! The wall clock, in the units of the wire.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since the epoch; 0 for a clock that stands before it.
#[must_use]
pub fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Milliseconds since the epoch; 0 for a clock that stands before it.
#[must_use]
pub fn now_ms() -> i64 {
    now_us() / 1000
}
