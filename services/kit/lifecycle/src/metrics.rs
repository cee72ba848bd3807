//! Counters, gauges and histograms: one set, read by `/metrics` and by the stats reports, so that
//! both always tell the same.

mod histogram;
mod page;
mod process;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

pub(crate) use histogram::Counts;
pub use histogram::Histogram;
pub(crate) use page::Form;
use page::Page;

use crate::{clock, memory};

/// The metrics of a process. Clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    service: Arc<str>,
    instance: Arc<str>,
    started_ms: i64,
    families: Arc<Mutex<BTreeMap<String, Series>>>,
}

/// A number that only rises.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

/// A number that goes up and down.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicU64>);

/// Everything at one moment. Its fields are those of `tgmesh_proto::stats::StatsReport`, so its
/// MessagePack form is a stats report; a test holds the two together.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// Name of the service.
    pub service: String,
    /// Name of the process.
    pub instance: String,
    /// Start of the process, milliseconds since the epoch.
    pub started_ms: i64,
    /// Now, milliseconds since the epoch.
    pub at_ms: i64,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
    /// Allocated heap, bytes.
    pub heap_bytes: u64,
    /// By name; a labelled one as `name{key="value"}`.
    pub counters: BTreeMap<String, u64>,
    /// By name.
    pub gauges: BTreeMap<String, f64>,
    /// By name.
    pub histograms: BTreeMap<String, Counts>,
}

#[derive(Debug)]
struct Series {
    help: &'static str,
    metrics: BTreeMap<Labels, Metric>,
}

type Labels = Vec<(String, String)>;

#[derive(Debug, Clone)]
enum Metric {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// The value.
    #[must_use]
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

impl Metrics {
    pub(crate) fn new(service: &str, instance: &str) -> Self {
        Self {
            service: service.into(),
            instance: instance.into(),
            started_ms: clock::now_ms(),
            families: Arc::default(),
        }
    }

    /// A counter; its name ends in `_total`. The same name gives the same counter.
    #[must_use]
    pub fn counter(&self, name: &str, help: &'static str) -> Counter {
        self.counter_with(name, help, &[])
    }

    /// A counter with fixed labels.
    #[must_use]
    pub fn counter_with(&self, name: &str, help: &'static str, labels: &[(&str, &str)]) -> Counter {
        let wanted = || Metric::Counter(Counter::default());
        match self.register(name, help, labels, wanted) {
            Metric::Counter(counter) => counter,
            _ => Counter::default(),
        }
    }

    /// A gauge. The same name gives the same gauge.
    #[must_use]
    pub fn gauge(&self, name: &str, help: &'static str) -> Gauge {
        self.gauge_with(name, help, &[])
    }

    /// A gauge with fixed labels.
    #[must_use]
    pub fn gauge_with(&self, name: &str, help: &'static str, labels: &[(&str, &str)]) -> Gauge {
        match self.register(name, help, labels, || Metric::Gauge(Gauge::default())) {
            Metric::Gauge(gauge) => gauge,
            _ => Gauge::default(),
        }
    }

    /// A histogram of durations; its name ends in `_seconds`. The same name gives the same one.
    #[must_use]
    pub fn histogram(&self, name: &str, help: &'static str) -> Histogram {
        self.histogram_with(name, help, &[])
    }

    /// A histogram of durations with fixed labels.
    #[must_use]
    pub fn histogram_with(&self, name: &str, help: &'static str, labels: &[(&str, &str)]) -> Histogram {
        match self.register(name, help, labels, || Metric::Histogram(Histogram::default())) {
            Metric::Histogram(histogram) => histogram,
            _ => Histogram::default(),
        }
    }

    /// Everything at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            service: self.service.to_string(),
            instance: self.instance.to_string(),
            started_ms: self.started_ms,
            at_ms: clock::now_ms(),
            rss_bytes: memory::rss_bytes(),
            heap_bytes: memory::heap_bytes(),
            counters: BTreeMap::new(),
            gauges: BTreeMap::new(),
            histograms: BTreeMap::new(),
        };
        for (name, series) in self.lock().iter() {
            for (labels, metric) in &series.metrics {
                let key = labelled(name, labels);
                match metric {
                    Metric::Counter(counter) => drop(snapshot.counters.insert(key, counter.get())),
                    Metric::Gauge(gauge) => drop(snapshot.gauges.insert(key, gauge.get())),
                    Metric::Histogram(histogram) => drop(snapshot.histograms.insert(key, histogram.counts())),
                }
            }
        }
        snapshot
    }

    /// Text for `/metrics`; every name gets the prefix `tgmesh_<service>_`.
    pub(crate) fn page(&self, form: Form, is_ready: bool) -> String {
        let mut page = Page::new(form, format!("tgmesh_{}_", self.service.replace('-', "_")));
        for (name, series) in self.lock().iter() {
            let Some(first) = series.metrics.values().next() else {
                continue;
            };
            page.family(name, first.kind(), series.help);
            for (labels, metric) in &series.metrics {
                match metric {
                    Metric::Counter(counter) => page.sample(name, labels, counter.get()),
                    Metric::Gauge(gauge) => page.sample(name, labels, gauge.get()),
                    Metric::Histogram(histogram) => page.histogram(name, labels, &histogram.for_page()),
                }
            }
        }
        process::write(&mut page, self.started_ms, is_ready);
        page.end()
    }

    fn register(
        &self,
        name: &str,
        help: &'static str,
        labels: &[(&str, &str)],
        metric: impl FnOnce() -> Metric,
    ) -> Metric {
        let labels: Labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let mut families = self.lock();
        let series = families.entry(name.to_owned()).or_insert_with(|| Series {
            help,
            metrics: BTreeMap::new(),
        });
        series.metrics.entry(labels).or_insert_with(metric).clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Series>> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metric {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Counter(_) => "counter",
            Self::Gauge(_) => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

fn labelled(name: &str, labels: &Labels) -> String {
    let mut key = name.to_owned();
    for (n, (label, value)) in labels.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(key, "{}{label}={value:?}", if n == 0 { '{' } else { ',' });
    }
    if !labels.is_empty() {
        key.push('}');
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_page_and_snapshot_tell_the_same() {
        let metrics = Metrics::new("archiver", "pod-1");
        metrics.counter("rows_total", "Rows").add(3);
        metrics
            .counter_with("errors_total", "Errors", &[("kind", "bad \"x\"")])
            .inc();
        metrics.gauge("lag", "Lag").set(1.5);
        metrics.histogram("commit_seconds", "Commit").observe_us(1_000);
        metrics.counter("rows_total", "Rows").inc();

        let page = metrics.page(Form::Open, true);
        for line in [
            "# TYPE tgmesh_archiver_rows counter",
            "tgmesh_archiver_rows_total 4",
            "tgmesh_archiver_errors_total{kind=\"bad \\\"x\\\"\"} 1",
            "tgmesh_archiver_lag 1.5",
            "# UNIT tgmesh_archiver_commit_seconds seconds",
            "tgmesh_archiver_commit_seconds_bucket{le=\"0.000768\"} 0",
            "tgmesh_archiver_commit_seconds_bucket{le=\"0.001024\"} 1",
            "tgmesh_archiver_commit_seconds_bucket{le=\"+Inf\"} 1",
            "tgmesh_archiver_commit_seconds_count 1",
            "tgmesh_archiver_ready 1",
        ] {
            assert!(page.lines().any(|other| other == line), "{line} is missing in\n{page}");
        }
        assert!(page.ends_with("# EOF\n"));
        let classic = metrics.page(Form::Classic, false);
        for line in ["# TYPE tgmesh_archiver_rows_total counter", "tgmesh_archiver_ready 0"] {
            assert!(
                classic.lines().any(|other| other == line),
                "{line} is missing in\n{classic}"
            );
        }
        assert!(!classic.contains("# EOF") && !classic.contains("# UNIT"));

        let snapshot = metrics.snapshot();
        assert_eq!(snapshot.counters["rows_total"], 4);
        assert_eq!(snapshot.counters["errors_total{kind=\"bad \\\"x\\\"\"}"], 1);
        assert_eq!(snapshot.histograms["commit_seconds"].count, 1);
        assert!(snapshot.rss_bytes > 0 && snapshot.heap_bytes > 0);
    }

    #[test]
    fn a_snapshot_is_a_stats_report() {
        let metrics = Metrics::new("gateway", "pod-2");
        metrics.counter("deliveries_total", "Deliveries").add(7);
        metrics.gauge("clients", "Clients").set(2.0);
        metrics.histogram("write_seconds", "Write").observe_us(50);
        let bytes = rmp_serde::to_vec_named(&metrics.snapshot()).expect("encodes");
        let report: tgmesh_proto::stats::StatsReport = rmp_serde::from_slice(&bytes).expect("decodes");
        assert_eq!(
            (report.service.as_str(), report.instance.as_str()),
            ("gateway", "pod-2")
        );
        assert_eq!(report.counters["deliveries_total"], 7);
        assert!((report.gauges["clients"] - 2.0).abs() < f64::EPSILON);
        assert_eq!(report.histograms["write_seconds"].quantile_us(0.5), Some(52));
    }
}
