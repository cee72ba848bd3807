//! One line every half minute that says how a process is doing, for whoever reads its log and has
//! nothing else.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::metrics::{Counts, Metrics, Snapshot};

/// Between two lines.
const EVERY: Duration = Duration::from_secs(30);

/// What a service's line tells, by the names of its metrics.
#[derive(Debug)]
pub struct Plan {
    /// Words and counter of what it works off; the line has total and rate.
    pub counts: &'static [(&'static str, &'static str)],
    /// The counter of what went well.
    pub successes: &'static str,
    /// Counters of what did not, within the success rate.
    pub failures: &'static [&'static str],
    /// Words and gauge of what waits.
    pub queue: (&'static str, &'static str),
    /// Words and histogram of how long it takes.
    pub latencies: &'static [(&'static str, &'static str)],
    /// Counters of what an operator should look at.
    pub errors: &'static [&'static str],
}

/// The lines of a process. Clones share them.
#[derive(Debug, Clone)]
pub struct Summary {
    metrics: Metrics,
    plan: Arc<OnceLock<&'static Plan>>,
}

impl Summary {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            plan: Arc::default(),
        }
    }

    /// Says what the lines tell; before that, there are none.
    pub fn tell(&self, plan: &'static Plan) {
        // The first one stands.
        let _ = self.plan.set(plan);
    }

    /// Writes a line now and then, until the token is cancelled; that is when the last one is
    /// written, behind everything that the process did.
    pub(crate) async fn run(self, until: CancellationToken) {
        let mut before = self.metrics.snapshot();
        loop {
            let ended = tokio::time::timeout(EVERY, until.cancelled()).await.is_ok();
            let Some(plan) = self.plan.get().copied() else {
                if ended {
                    return;
                }
                continue;
            };
            let now = self.metrics.snapshot();
            tracing::info!("{}", line(plan, &before, &now));
            if ended {
                return;
            }
            before = now;
        }
    }
}

fn line(plan: &Plan, before: &Snapshot, now: &Snapshot) -> String {
    let seconds = (now.at_ms - before.at_ms).max(1) as f64 / 1000.0;
    let mut line = "summary: ".to_owned();
    // Writing to a string cannot fail, here and below.
    for (words, name) in plan.counts {
        let total = sum(&now.counters, name);
        let rate = total.saturating_sub(sum(&before.counters, name)) as f64 / seconds;
        let _ = write!(line, "{total} {words} ({rate:.1}/s), ");
    }
    let since = |name: &str| sum(&now.counters, name).saturating_sub(sum(&before.counters, name));
    let good = since(plan.successes);
    let bad: u64 = plan.failures.iter().map(|name| since(name)).sum();
    let success = if good + bad == 0 {
        "–".to_owned()
    } else {
        format!("{:.2} %", 100.0 * good as f64 / (good + bad) as f64)
    };
    let (words, name) = plan.queue;
    let queue = now.gauges.get(name).copied().unwrap_or(0.0);
    let _ = write!(line, "success {success}, {words} {queue:.0}, ");
    for (words, name) in plan.latencies {
        let histogram = recent(name, before, now);
        let at = |quantile| {
            let us = histogram.as_ref().and_then(|counts| counts.quantile_us(quantile));
            us.map_or_else(|| "–".to_owned(), |us| format!("{:.2} ms", us as f64 / 1000.0))
        };
        let _ = write!(line, "{words} p50 {} p99 {}, ", at(0.5), at(0.99));
    }
    let errors: u64 = plan.errors.iter().map(|name| sum(&now.counters, name)).sum();
    let _ = write!(line, "{errors} errors");
    line
}

/// The observations between two moments.
fn recent(name: &str, before: &Snapshot, now: &Snapshot) -> Option<Counts> {
    let counts = now.histograms.get(name)?;
    Some(match before.histograms.get(name) {
        Some(earlier) => counts.since(earlier),
        None => counts.clone(),
    })
}

/// A counter, with whatever labels.
fn sum(counters: &BTreeMap<String, u64>, name: &str) -> u64 {
    let own = counters.iter().filter(|(key, _)| key.split('{').next() == Some(name));
    own.map(|(_, value)| value).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan {
        counts: &[("messages", "messages_total"), ("detections", "detections_total")],
        successes: "detections_total",
        failures: &["failures_total"],
        queue: ("queue", "queue_bytes"),
        latencies: &[("received → stored", "stored_seconds")],
        errors: &["failures_total", "panics_total"],
    };

    #[test]
    fn totals_are_since_the_start_and_the_rest_since_the_last_line() {
        let metrics = Metrics::new("listener", "x");
        let family = |name| metrics.counter_with("detections_total", "x", &[("family", name)]);
        metrics.counter("messages_total", "x").add(100);
        family("evm").add(10);
        metrics.counter("panics_total", "x").inc();
        metrics.histogram("stored_seconds", "x").observe_us(5_000_000);
        let mut before = metrics.snapshot();
        metrics.counter("messages_total", "x").add(50);
        family("evm").add(6);
        family("ton").add(3);
        metrics.counter("failures_total", "x").inc();
        metrics.gauge("queue_bytes", "x").set(12.0);
        metrics.histogram("stored_seconds", "x").observe_us(1_000);
        let mut now = metrics.snapshot();
        (before.at_ms, now.at_ms) = (0, 10_000);
        assert_eq!(
            line(&PLAN, &before, &now),
            "summary: 150 messages (5.0/s), 19 detections (0.9/s), success 90.00 %, queue 12, \
             received → stored p50 1.02 ms p99 1.02 ms, 2 errors"
        );
        assert!(line(&PLAN, &now, &now).contains("success –, queue 12, received → stored p50 – p99 –, 2 errors"));
    }
}
