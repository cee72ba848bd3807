//! Wall-clock time, in the unit of the posted log.

/// Microseconds since the epoch; 0 on a clock set before it.
pub(crate) fn now_us() -> u64 {
    u64::try_from(tgmesh_lifecycle::clock::now_us()).unwrap_or(0)
}
