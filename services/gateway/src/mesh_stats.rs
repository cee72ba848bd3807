//! The stats reports of every process of the mesh, put together.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tgmesh_proto::stats::{HistogramSnapshot, StatsReport};
use tgmesh_stream::{Mesh, stats};
use tokio_util::sync::CancellationToken;

/// What rates and latencies are about.
const WINDOW: Duration = Duration::from_mins(1);
/// A process that has missed four reports is gone: its figures are no longer counted.
const GONE: Duration = Duration::from_secs(20);
/// Most processes that are kept apart.
const MAX_INSTANCES: usize = 1_000;

/// The latest reports. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MeshStats {
    instances: Arc<Mutex<HashMap<(String, String), History>>>,
}

/// Reports of one process since its start, at most a window's worth.
#[derive(Debug, Default)]
struct History {
    reports: VecDeque<(Instant, StatsReport)>,
}

/// The living processes at one moment.
#[derive(Debug)]
pub struct View {
    now_ms: i64,
    instances: Vec<Living>,
}

/// A living process.
#[derive(Debug)]
pub struct Living {
    /// Its last report.
    pub last: StatsReport,
    /// Its histograms at the beginning of the window; nothing when it started within.
    before: Option<StatsReport>,
}

impl MeshStats {
    /// Takes in reports until the token is cancelled.
    pub async fn collect(self, mesh: Mesh, until: CancellationToken) {
        let collecting = async {
            loop {
                match stats::subscribe(&mesh).await {
                    Ok(mut feed) => {
                        while let Some(report) = feed.next().await {
                            self.take(report, Instant::now());
                        }
                    }
                    Err(error) => tracing::debug!(%error, "couldn't follow the stats reports"),
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            () = collecting => {}
            () = until.cancelled() => {}
        }
    }

    /// The processes that live now.
    #[must_use]
    pub fn view(&self, now: Instant, now_ms: i64) -> View {
        let instances = self.lock();
        let living = instances.values().filter_map(|history| {
            let (at, last) = history.reports.back()?;
            (now.saturating_duration_since(*at) < GONE).then(|| {
                let is_old = |(at, _): &&(Instant, StatsReport)| now.saturating_duration_since(*at) >= WINDOW;
                // The newest that is a whole window old, else the oldest there is; a process that
                // started within the window began at zero.
                let before = history
                    .reports
                    .iter()
                    .rev()
                    .find(is_old)
                    .or_else(|| history.reports.front());
                let started_within = now_ms.saturating_sub(last.started_ms) < WINDOW.as_millis() as i64;
                let before = before.filter(|_| !started_within).map(|(_, report)| report.clone());
                Living {
                    last: last.clone(),
                    before,
                }
            })
        });
        View {
            now_ms,
            instances: living.collect(),
        }
    }

    fn take(&self, report: StatsReport, now: Instant) {
        let mut instances = self.lock();
        instances.retain(|_, history| {
            history
                .reports
                .back()
                .is_some_and(|(at, _)| now.saturating_duration_since(*at) < WINDOW)
        });
        let key = (report.service.clone(), report.instance.clone());
        if instances.len() >= MAX_INSTANCES && !instances.contains_key(&key) {
            return;
        }
        let history = instances.entry(key).or_default();
        if history
            .reports
            .back()
            .is_some_and(|(_, last)| last.started_ms != report.started_ms)
        {
            history.reports.clear();
        }
        // One older than the window stays, as what the window is measured against.
        while let Some((at, _)) = history.reports.get(1)
            && now.saturating_duration_since(*at) >= WINDOW
        {
            history.reports.pop_front();
        }
        history.reports.push_back((now, report));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), History>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    /// Living processes, by service and name.
    #[must_use]
    pub fn instances(&self) -> Vec<&Living> {
        let mut instances: Vec<_> = self.instances.iter().collect();
        instances.sort_by_key(|living| (living.last.service.clone(), living.last.instance.clone()));
        instances
    }

    /// Sum of a counter, with whatever labels, over the processes of a service.
    #[must_use]
    pub fn counter(&self, service: &str, name: &str) -> u64 {
        let all = self.of(service).flat_map(|living| &living.last.counters);
        all.filter(|(key, _)| key.split('{').next() == Some(name))
            .map(|(_, value)| value)
            .sum()
    }

    /// Sum of a gauge over the processes of a service.
    #[must_use]
    pub fn gauge(&self, service: &str, name: &str) -> f64 {
        self.of(service).filter_map(|living| living.last.gauges.get(name)).sum()
    }

    /// Largest value of a gauge, for what all processes of a service see alike.
    #[must_use]
    pub fn largest(&self, service: &str, name: &str) -> f64 {
        self.of(service)
            .filter_map(|living| living.last.gauges.get(name))
            .copied()
            .fold(0.0, f64::max)
    }

    /// What a histogram of a service observed within the window, over all its processes.
    #[must_use]
    pub fn histogram(&self, service: &str, name: &str) -> HistogramSnapshot {
        let mut merged = HistogramSnapshot::default();
        for living in self.of(service) {
            let Some(last) = living.last.histograms.get(name) else {
                continue;
            };
            let before = living.before.as_ref().and_then(|report| report.histograms.get(name));
            merged.merge(&before.map_or_else(|| last.clone(), |before| last.since(before)));
        }
        merged
    }

    /// Resident memory and heap of all processes, bytes.
    #[must_use]
    pub fn memory(&self) -> (u64, u64) {
        let all = self.instances.iter();
        all.fold((0, 0), |(rss, heap), living| {
            (rss + living.last.rss_bytes, heap + living.last.heap_bytes)
        })
    }

    /// Milliseconds since the start of the oldest process.
    #[must_use]
    pub fn uptime_ms(&self) -> i64 {
        self.instances
            .iter()
            .map(|living| self.age_ms(living))
            .max()
            .unwrap_or(0)
    }

    /// Milliseconds since the start of a process.
    #[must_use]
    pub fn age_ms(&self, living: &Living) -> i64 {
        self.now_ms.saturating_sub(living.last.started_ms).max(0)
    }

    fn of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Living> {
        self.instances
            .iter()
            .filter(move |living| living.last.service == service)
    }
}

#[cfg(test)]
mod tests;
