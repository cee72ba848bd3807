//! Stats reports: each process's counters and histograms, every 5 s on core NATS.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Payload (MessagePack) of `tgmesh.v1.stats.<service>.<instance>`. Counters and histograms are
/// cumulative since the process's start, so a lost report loses nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatsReport {
    /// `listener`, `archiver`, `gateway`, …
    pub service: String,
    /// Instance name of the process.
    pub instance: String,
    /// Start of the process, milliseconds since the epoch; another value means a restart.
    pub started_ms: i64,
    /// When this report was made, milliseconds since the epoch.
    pub at_ms: i64,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
    /// Allocated heap, bytes.
    pub heap_bytes: u64,
    /// Counters by name, without the `tgmesh_<service>_` prefix.
    #[serde(default)]
    pub counters: BTreeMap<String, u64>,
    /// Gauges by name.
    #[serde(default)]
    pub gauges: BTreeMap<String, f64>,
    /// Histograms by name.
    #[serde(default)]
    pub histograms: BTreeMap<String, HistogramSnapshot>,
}

/// Counts per bucket. All processes use the same bounds, so snapshots merge by adding.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistogramSnapshot {
    /// Number of observations.
    pub count: u64,
    /// Sum of the observations, µs.
    pub sum_us: u64,
    /// Pairs of bucket upper bound in µs (`u64::MAX` = no bound) and observations in that bucket
    /// alone; empty buckets are left out; bounds rise.
    pub buckets: Vec<(u64, u64)>,
}

impl HistogramSnapshot {
    /// Adds another snapshot.
    pub fn merge(&mut self, other: &Self) {
        self.combine(other, u64::saturating_add);
    }

    /// What was observed since an earlier snapshot of the same histogram.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut rest = self.clone();
        rest.combine(earlier, u64::saturating_sub);
        rest.buckets.retain(|&(_, n)| n > 0);
        rest
    }

    /// Upper bound of the bucket that holds the quantile, in µs; nothing when it is empty.
    #[must_use]
    pub fn quantile_us(&self, quantile: f64) -> Option<u64> {
        let total: u64 = self.buckets.iter().map(|&(_, n)| n).sum();
        let rank = ((quantile.clamp(0.0, 1.0) * total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        self.buckets.iter().find_map(|&(bound, n)| {
            seen += n;
            (seen >= rank).then_some(bound)
        })
    }

    /// Mean in µs; nothing when it is empty.
    #[must_use]
    pub fn mean_us(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum_us as f64 / self.count as f64)
    }

    fn combine(&mut self, other: &Self, with: fn(u64, u64) -> u64) {
        self.count = with(self.count, other.count);
        self.sum_us = with(self.sum_us, other.sum_us);
        let mut buckets: BTreeMap<u64, u64> = self.buckets.iter().copied().collect();
        for &(bound, n) in &other.buckets {
            let slot = buckets.entry(bound).or_default();
            *slot = with(*slot, n);
        }
        self.buckets = buckets.into_iter().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(buckets: &[(u64, u64)]) -> HistogramSnapshot {
        HistogramSnapshot {
            count: buckets.iter().map(|b| b.1).sum(),
            sum_us: buckets.iter().map(|b| b.0 * b.1).sum(),
            buckets: buckets.to_vec(),
        }
    }

    #[test]
    fn quantiles_of_merged_histograms() {
        let mut a = histogram(&[(10, 90), (100, 9)]);
        a.merge(&histogram(&[(1000, 1)]));
        assert_eq!(a.quantile_us(0.5), Some(10));
        assert_eq!(a.quantile_us(0.99), Some(100));
        assert_eq!(a.quantile_us(0.999), Some(1000));
        assert_eq!(histogram(&[]).quantile_us(0.5), None);
    }

    #[test]
    fn since_takes_the_earlier_part_away() {
        let late = histogram(&[(10, 5), (20, 3)]);
        assert_eq!(late.since(&histogram(&[(10, 5), (20, 1)])).buckets, vec![(20, 2)]);
    }
}
