//! What this process occupies.

/// Resident set size in bytes; 0 where `/proc` does not tell.
pub(crate) fn rss_bytes() -> u64 {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        return 0;
    };
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

/// Bytes that the program holds from the allocator.
pub(crate) fn heap_bytes() -> u64 {
    // jemalloc refreshes its figures when the epoch advances.
    let advanced = tikv_jemalloc_ctl::epoch::advance();
    advanced
        .and_then(|_| tikv_jemalloc_ctl::stats::allocated::read())
        .map_or(0, |bytes| bytes as u64)
}
