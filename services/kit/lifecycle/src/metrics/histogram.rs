//! A histogram of durations with fixed bounds, so that those of all processes merge by adding.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Octaves from 16 µs to 64 s.
const FIRST_OCTAVE: u32 = 4;
const LAST_OCTAVE: u32 = 26;
/// Linear steps within an octave: a quantile is at most an eighth too high.
const STEPS: usize = 8;
/// One bucket below the first octave, one above the last.
const BUCKETS: usize = (LAST_OCTAVE - FIRST_OCTAVE) as usize * STEPS + 2;

/// Observed durations. Clones share their counts.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Cells>);

#[derive(Debug)]
struct Cells {
    sum_us: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

/// The counts at one moment; the fields are those of `tgmesh_proto::stats::HistogramSnapshot`.
#[derive(Debug, Clone, Serialize)]
pub struct Counts {
    /// Number of observations.
    pub count: u64,
    /// Their sum, µs.
    pub sum_us: u64,
    /// Upper bound (µs) and observations of each bucket that is not empty.
    pub buckets: Vec<(u64, u64)>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self(Arc::new(Cells {
            sum_us: AtomicU64::new(0),
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
        }))
    }
}

impl Histogram {
    /// Adds a duration in microseconds.
    pub fn observe_us(&self, us: u64) {
        self.0.sum_us.fetch_add(us, Ordering::Relaxed);
        self.0.buckets[bucket_of(us)].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> Counts {
        let counts = self
            .0
            .buckets
            .iter()
            .map(|cell| cell.load(Ordering::Relaxed))
            .enumerate();
        let buckets: Vec<_> = counts
            .filter(|&(_, n)| n > 0)
            .map(|(bucket, n)| (bound_of(bucket), n))
            .collect();
        let count = buckets.iter().map(|&(_, n)| n).sum();
        Counts {
            count,
            sum_us: self.0.sum_us.load(Ordering::Relaxed),
            buckets,
        }
    }

    /// Sum in seconds, count, and one bucket per half octave: what a scrape needs, at a fifth of
    /// the lines.
    pub(super) fn for_prometheus(&self) -> (f64, u64, Vec<(f64, u64)>) {
        let mut page = Vec::with_capacity(BUCKETS / 4 + 2);
        let (mut waiting, mut count) = (0, 0);
        for (bucket, cell) in self.0.buckets.iter().enumerate() {
            waiting += cell.load(Ordering::Relaxed);
            if bucket == BUCKETS - 1 || bucket % (STEPS / 2) == 0 {
                let bound = if bucket == BUCKETS - 1 {
                    f64::MAX
                } else {
                    bound_of(bucket) as f64 / 1e6
                };
                page.push((bound, waiting));
                count += waiting;
                waiting = 0;
            }
        }
        (self.0.sum_us.load(Ordering::Relaxed) as f64 / 1e6, count, page)
    }
}

fn bucket_of(us: u64) -> usize {
    if us <= 1 << FIRST_OCTAVE {
        return 0;
    }
    // Bounds are inclusive, so the octave is that of the number below.
    let below = us - 1;
    let octave = below.ilog2();
    if octave >= LAST_OCTAVE {
        return BUCKETS - 1;
    }
    let step = ((below - (1 << octave)) * STEPS as u64) >> octave;
    1 + (octave - FIRST_OCTAVE) as usize * STEPS + step as usize
}

fn bound_of(bucket: usize) -> u64 {
    if bucket == 0 {
        return 1 << FIRST_OCTAVE;
    }
    if bucket == BUCKETS - 1 {
        return u64::MAX;
    }
    let (octave, step) = ((bucket - 1) / STEPS, (bucket - 1) % STEPS);
    let base = 1u64 << (octave as u32 + FIRST_OCTAVE);
    base + base * (step as u64 + 1) / STEPS as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bounds_rise() {
        let bounds: Vec<_> = (0..BUCKETS).map(bound_of).collect();
        assert!(bounds.is_sorted_by(|a, b| a < b), "{bounds:?}");
    }

    #[test]
    fn the_page_counts_every_observation_once() {
        let histogram = Histogram::default();
        for us in [0, 16, 17, 1_000, 1_000_000, u64::MAX / 4] {
            histogram.observe_us(us);
        }
        let (_, count, page) = histogram.for_prometheus();
        assert_eq!((count, page.iter().map(|b| b.1).sum::<u64>()), (6, 6));
        assert!(page.is_sorted_by(|a, b| a.0 < b.0));
    }

    proptest! {
        #[test]
        fn a_bound_is_at_most_an_eighth_above(us in 1u64..=1 << 26) {
            let bound = bound_of(bucket_of(us));
            prop_assert!(bound >= us);
            prop_assert!(bound <= 16 || bound as f64 <= us as f64 * 1.126 + 1.0, "{us} in bucket to {bound}");
        }
    }
}
