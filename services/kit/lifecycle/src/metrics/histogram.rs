//! A histogram of durations with fixed bounds, so that those of all processes merge by adding.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::clock;
use crate::trace::TraceParent;

/// Octaves from 16 µs to 64 s.
const FIRST_OCTAVE: u32 = 4;
const LAST_OCTAVE: u32 = 26;
/// Linear steps within an octave: a quantile is at most an eighth too high.
const STEPS: usize = 8;
/// Bounds that the service level objectives name: whether they are kept is counted, not estimated.
const OBJECTIVES: [u64; 2] = [20_000, 1_000_000];
/// One bucket below the first octave, one above the last.
const BUCKETS: usize = (LAST_OCTAVE - FIRST_OCTAVE) as usize * STEPS + 2 + OBJECTIVES.len();
/// `/metrics` has one bucket per half octave, and the objectives: a fifth of the lines.
const PAGE_BUCKETS: usize = (LAST_OCTAVE - FIRST_OCTAVE) as usize * 2 + 2 + OBJECTIVES.len();

/// Upper bounds in µs, inclusive.
static BOUNDS: [u64; BUCKETS] = bounds(STEPS);
/// Those of them that are on the page.
static PAGE_BOUNDS: [u64; PAGE_BUCKETS] = bounds(2);

/// Observed durations. Clones share their counts.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Cells>);

#[derive(Debug)]
struct Cells {
    sum_us: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
    /// The last sampled observation of each bucket on the page.
    examples: [Mutex<Option<Example>>; PAGE_BUCKETS],
}

/// An observation whose trace can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Example {
    pub(super) trace_id: u128,
    pub(super) us: u64,
    /// When it was observed, milliseconds since the epoch.
    pub(super) at_ms: i64,
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

/// What a scrape needs.
#[derive(Debug)]
pub(super) struct ForPage {
    pub(super) sum_s: f64,
    pub(super) count: u64,
    /// Upper bound (nothing for the last one), observations up to it, and the last sampled one.
    pub(super) buckets: Vec<(Option<f64>, u64, Option<Example>)>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self(Arc::new(Cells {
            sum_us: AtomicU64::new(0),
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
            examples: [const { Mutex::new(None) }; PAGE_BUCKETS],
        }))
    }
}

impl Histogram {
    /// Adds a duration in microseconds.
    pub fn observe_us(&self, us: u64) {
        self.0.sum_us.fetch_add(us, Ordering::Relaxed);
        self.0.buckets[bucket_of(&BOUNDS, us)].fetch_add(1, Ordering::Relaxed);
    }

    /// Adds a duration of a message, which is shown as an example where its trace is recorded.
    pub fn observe_traced(&self, us: u64, trace: Option<TraceParent>) {
        self.observe_us(us);
        let Some(trace) = trace.filter(TraceParent::is_sampled) else {
            return;
        };
        let example = Example {
            trace_id: trace.trace_id(),
            us,
            at_ms: clock::now_ms(),
        };
        let slot = &self.0.examples[bucket_of(&PAGE_BOUNDS, us)];
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(example);
    }

    pub(crate) fn counts(&self) -> Counts {
        let counts = self.0.buckets.iter().map(|cell| cell.load(Ordering::Relaxed));
        let buckets: Vec<_> = BOUNDS.iter().copied().zip(counts).filter(|&(_, n)| n > 0).collect();
        let count = buckets.iter().map(|&(_, n)| n).sum();
        Counts {
            count,
            sum_us: self.0.sum_us.load(Ordering::Relaxed),
            buckets,
        }
    }

    pub(super) fn for_page(&self) -> ForPage {
        let mut cells = BOUNDS.iter().zip(&self.0.buckets).peekable();
        let mut count = 0;
        let buckets = PAGE_BOUNDS
            .iter()
            .zip(&self.0.examples)
            .map(|(&bound, example)| {
                while let Some((_, cell)) = cells.next_if(|(own, _)| **own <= bound) {
                    count += cell.load(Ordering::Relaxed);
                }
                let seconds = (bound != u64::MAX).then_some(bound as f64 / 1e6);
                let example = *example.lock().unwrap_or_else(PoisonError::into_inner);
                (seconds, count, example)
            })
            .collect();
        ForPage {
            sum_s: self.0.sum_us.load(Ordering::Relaxed) as f64 / 1e6,
            count,
            buckets,
        }
    }
}

impl Counts {
    /// What was observed since an earlier moment.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let before = |bound: u64| earlier.buckets.iter().find(|other| other.0 == bound).map_or(0, |b| b.1);
        let rest = |&(bound, n): &(u64, u64)| (bound, n.saturating_sub(before(bound)));
        Self {
            count: self.count.saturating_sub(earlier.count),
            sum_us: self.sum_us.saturating_sub(earlier.sum_us),
            buckets: self.buckets.iter().map(rest).filter(|b| b.1 > 0).collect(),
        }
    }

    /// Upper bound of the bucket that holds the quantile, in µs; nothing when it is empty.
    pub(crate) fn quantile_us(&self, quantile: f64) -> Option<u64> {
        let total: u64 = self.buckets.iter().map(|bucket| bucket.1).sum();
        let rank = ((quantile * total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        self.buckets.iter().find_map(|&(bound, n)| {
            seen += n;
            (seen >= rank).then_some(bound)
        })
    }
}

fn bucket_of(bounds: &[u64], us: u64) -> usize {
    // The last bound has no end, so there always is one.
    bounds.partition_point(|bound| *bound < us)
}

/// Bounds at `steps` linear steps to the octave, with the objectives among them.
const fn bounds<const N: usize>(steps: usize) -> [u64; N] {
    let mut bounds = [u64::MAX; N];
    bounds[0] = 1 << FIRST_OCTAVE;
    let mut at = 1;
    let mut objective = 0;
    let mut octave = FIRST_OCTAVE;
    while octave < LAST_OCTAVE {
        let base = 1u64 << octave;
        let mut step = 1;
        while step <= steps as u64 {
            let bound = base + base * step / steps as u64;
            if objective < OBJECTIVES.len() && OBJECTIVES[objective] < bound {
                bounds[at] = OBJECTIVES[objective];
                objective += 1;
                at += 1;
            }
            bounds[at] = bound;
            at += 1;
            step += 1;
        }
        octave += 1;
    }
    bounds
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bounds_rise_and_hold_the_objectives() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b), "{BOUNDS:?}");
        assert!(PAGE_BOUNDS.is_sorted_by(|a, b| a < b), "{PAGE_BOUNDS:?}");
        // A page's bucket is made of whole ones.
        assert!(PAGE_BOUNDS.iter().all(|bound| BOUNDS.contains(bound)));
        assert!(OBJECTIVES.iter().all(|bound| PAGE_BOUNDS.contains(bound)));
        assert_eq!(
            (BOUNDS[BUCKETS - 1], PAGE_BOUNDS[PAGE_BUCKETS - 1]),
            (u64::MAX, u64::MAX)
        );
    }

    #[test]
    fn the_page_counts_every_observation_once() {
        let histogram = Histogram::default();
        for us in [0, 16, 17, 1_000, 20_000, 20_001, 1_000_000, u64::MAX / 4] {
            histogram.observe_us(us);
        }
        let page = histogram.for_page();
        assert_eq!((page.count, page.buckets.last().map(|bucket| bucket.1)), (8, Some(8)));
        let up_to = |seconds| {
            page.buckets
                .iter()
                .find(|bucket| bucket.0 == Some(seconds))
                .map(|b| b.1)
        };
        assert_eq!((up_to(0.02), up_to(1.0)), (Some(5), Some(7)));
    }

    #[test]
    fn only_sampled_observations_become_examples() {
        let histogram = Histogram::default();
        let trace = |flags: &str| TraceParent::parse(&format!("00-{:032x}-{:016x}-{flags}", 7, 8));
        histogram.observe_traced(900, trace("00"));
        histogram.observe_traced(900, None);
        assert!(histogram.for_page().buckets.iter().all(|bucket| bucket.2.is_none()));
        histogram.observe_traced(19_999, trace("01"));
        let page = histogram.for_page();
        let examples: Vec<_> = page.buckets.iter().filter(|bucket| bucket.2.is_some()).collect();
        assert_eq!(examples.len(), 1);
        let (bound, _, example) = examples[0];
        assert_eq!(
            (*bound, example.map(|e| (e.trace_id, e.us))),
            (Some(0.02), Some((7, 19_999)))
        );
    }

    #[test]
    fn what_was_seen_since_an_earlier_moment() {
        let histogram = Histogram::default();
        histogram.observe_us(1_000);
        let earlier = histogram.counts();
        for _ in 0..99 {
            histogram.observe_us(100);
        }
        histogram.observe_us(1_000);
        let since = histogram.counts().since(&earlier);
        assert_eq!(
            (since.count, since.quantile_us(0.5), since.quantile_us(1.0)),
            (100, Some(104), Some(1_024))
        );
        assert_eq!(earlier.since(&earlier).quantile_us(0.5), None);
    }

    proptest! {
        #[test]
        fn a_bound_is_at_most_an_eighth_above(us in 1u64..=1 << 26) {
            let bound = BOUNDS[bucket_of(&BOUNDS, us)];
            prop_assert!(bound >= us);
            prop_assert!(bound <= 16 || bound as f64 <= us as f64 * 1.126 + 1.0, "{us} in bucket to {bound}");
        }
    }
}
