//! What this process occupies: memory, file descriptors, processor time.

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

/// Open file descriptors; 0 where `/proc` does not tell.
pub(crate) fn open_fds() -> u64 {
    // The folder is one of them while it is read.
    std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count().saturating_sub(1) as u64)
}

/// Most file descriptors that may be open; 0 where `/proc` does not tell.
pub(crate) fn max_fds() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Processor time in user and kernel mode, seconds; 0 where `/proc` does not tell.
pub(crate) fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name may hold spaces and brackets; utime and stime are the 12th and 13th
    // fields behind it, in hundredths of a second on every Linux (`USER_HZ`).
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ');
    let ticks: f64 = fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    ticks / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_occupies_something() {
        assert!(rss_bytes() > 0 && heap_bytes() > 0);
        assert!(open_fds() >= 3 && max_fds() >= open_fds());
        let before = cpu_seconds();
        let mut sum = 0_u64;
        while cpu_seconds() <= before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
    }
}
