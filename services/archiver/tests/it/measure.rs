//! Figures, printed; by hand, best alone on a quiet machine:
//!
//! `cargo test --release -p tgmesh-archiver --test it measure -- --nocapture --ignored --test-threads 1`
//!
//! Next to each rate stands the CPU time of every process, per row where that means something: it
//! is what stays comparable on a machine that others use too. `TGMESH_MEASURE_ROWS` sets how many
//! rows a run takes (400,000).

use std::time::{Duration, Instant};

use tgmesh_stream::publish::{Limits, Publisher};
use tgmesh_testkit::eventually;

use crate::poison::peak_mb;
use crate::{Archiver, LONG, Place, event, outgoing};

/// Longer than the other tests': a slow machine shall give figures too.
const PATIENCE: Duration = Duration::from_mins(10);
const ROWS: &str = "tgmesh_archiver_rows_total";

fn rows_to_take() -> u64 {
    let given = std::env::var("TGMESH_MEASURE_ROWS").ok();
    given.and_then(|rows| rows.parse().ok()).unwrap_or(400_000)
}

/// CPU time so far, in seconds: archiver, NATS, Postgres, and this process, which publishes.
#[derive(Clone, Copy)]
struct Cpu([f64; 4]);

impl Cpu {
    fn of(place: &Place, archiver: Option<&Archiver>) -> Self {
        let archiver = archiver.map_or(0, |archiver| archiver.process.pid());
        let nats = place.nats.process().map_or(0, tgmesh_testkit::process::Process::pid);
        let postgres = place
            .postgres
            .process()
            .map_or(0, tgmesh_testkit::process::Process::pid);
        let own = std::process::id();
        Self([seconds(archiver), seconds(nats), with_children(postgres), seconds(own)])
    }

    fn since(self, before: Self) -> Self {
        let mut spent = self.0;
        spent.iter_mut().zip(before.0).for_each(|(now, before)| *now -= before);
        Self(spent)
    }

    /// Per row, in µs.
    fn per(self, rows: u64) -> String {
        let [archiver, nats, postgres, publisher] = self.0.map(|seconds| seconds * 1e6 / rows as f64);
        format!(
            "CPU µs a row: archiver {archiver:.1}, NATS {nats:.1}, Postgres {postgres:.1}, publisher {publisher:.1}"
        )
    }

    /// Of one core, in percent.
    fn share(self, took: Duration) -> String {
        let [archiver, nats, postgres, publisher] = self.0.map(|seconds| seconds * 100.0 / took.as_secs_f64());
        format!(
            "CPU % of a core: archiver {archiver:.0}, NATS {nats:.0}, Postgres {postgres:.0}, publisher {publisher:.0}"
        )
    }
}

/// User and system time of a process; 0 when it is gone.
fn seconds(pid: u32) -> f64 {
    times(pid)[..2].iter().sum()
}

/// With its living children and those that have ended.
fn with_children(pid: u32) -> f64 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let living = children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .map(seconds);
    times(pid).iter().sum::<f64>() + living.sum::<f64>()
}

/// User, system, and the same of ended children (proc(5), fields 14 to 17), by 100 ticks a second.
fn times(pid: u32) -> [f64; 4] {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let field = |n: usize| fields.get(n).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0) / 100.0;
    [field(11), field(12), field(13), field(14)]
}

async fn publish(place: &Place, events: std::ops::Range<u64>) {
    let publisher = Publisher::new(&place.mesh, Limits::default());
    for n in events {
        drop(publisher.publish(outgoing(&event(n))).await);
    }
    assert_eq!(publisher.drain(PATIENCE).await, 0);
}

async fn archived(archiver: &Archiver, rows: u64) {
    eventually(PATIENCE, "all rows are written", async || {
        archiver.metric(ROWS).await >= rows
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, best alone on a quiet machine"]
async fn a_full_stream() {
    let rows = rows_to_take();
    let place = Place::durable(4 << 30).await;
    let began = Instant::now();
    publish(&place, 0..rows).await;
    let rate = rows as f64 / began.elapsed().as_secs_f64();
    println!("publish: {rate:.0} msg/s");

    let archiver = place.archiver();
    eventually(LONG, "the first rows", async || archiver.metric(ROWS).await > 0).await;
    let (at, before, cpu) = (
        Instant::now(),
        archiver.metric(ROWS).await,
        Cpu::of(&place, Some(&archiver)),
    );
    archived(&archiver, rows).await;
    let (took, spent) = (at.elapsed(), Cpu::of(&place, Some(&archiver)).since(cpu));
    println!(
        "full stream: {:.0} rows/s; {}; {}",
        (rows - before) as f64 / took.as_secs_f64(),
        spent.per(rows - before),
        spent.share(took)
    );
    let batches = archiver.metric("tgmesh_archiver_batches_total").await;
    println!("rows a batch: {:.0}", rows as f64 / batches as f64);
    println!("peak memory: {} MB", peak_mb(archiver.process.pid()));
    assert_eq!(place.rows().await, Some(rows));
    let sizes = "SELECT sum(pg_relation_size(c.oid)) FILTER (WHERE c.relkind IN ('r', 't')) / max(n.n), \
                 sum(pg_relation_size(c.oid)) FILTER (WHERE c.relkind = 'i') / max(n.n) \
                 FROM pg_class c, (SELECT count(*) AS n FROM detections) n \
                 WHERE c.relname LIKE 'detections%' OR c.oid IN \
                 (SELECT reltoastrelid FROM pg_class WHERE relname LIKE 'detections%')";
    println!("bytes a row, table|indexes: {}", place.ask(sizes).await);
    let stream = tgmesh_stream::stream_state(&place.mesh, "DETECTIONS").await.unwrap();
    println!("bytes a message in the stream: {}", stream.bytes / stream.messages);
    assert!(archiver.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, best alone on a quiet machine"]
async fn while_as_much_is_published() {
    let rows = rows_to_take();
    let place = Place::durable(4 << 30).await;
    let archiver = place.archiver();
    archiver.ready().await;
    let (began, cpu) = (Instant::now(), Cpu::of(&place, Some(&archiver)));
    // As fast as the archiver: never more than a second's worth ahead of it.
    let publisher = Publisher::new(&place.mesh, Limits::default());
    let mut sent = 0;
    while sent < rows {
        let behind = sent - archiver.metric(ROWS).await.min(sent);
        if behind > 20_000 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        for n in sent..(sent + 5000).min(rows) {
            drop(publisher.publish(outgoing(&event(n))).await);
        }
        sent = (sent + 5000).min(rows);
    }
    assert_eq!(publisher.drain(PATIENCE).await, 0);
    archived(&archiver, rows).await;
    let (took, used) = (began.elapsed(), Cpu::of(&place, Some(&archiver)).since(cpu));
    println!(
        "published and archived at once: {:.0} rows/s; {}; {}",
        rows as f64 / took.as_secs_f64(),
        used.per(rows),
        used.share(took)
    );
    println!("peak memory: {} MB", peak_mb(archiver.process.pid()));
    assert!(archiver.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, best alone on a quiet machine"]
async fn latency_at_a_steady_rate() {
    let place = Place::durable(4 << 30).await;
    let archiver = place.archiver();
    archiver.ready().await;
    for rate in [1000_u64, 5000] {
        let first = rate * 1_000_000;
        // The first second warms up.
        steady(&place, rate, first..first + rate).await;
        let (began, cpu) = (Instant::now(), Cpu::of(&place, Some(&archiver)));
        let batches = archiver.metric("tgmesh_archiver_batches_total").await;
        let buckets = buckets(&archiver).await;
        let events = rate * 15;
        steady(&place, rate, first + rate..first + rate + events).await;
        let took = began.elapsed();
        let until = first + rate + events;
        let newest = format!("SELECT max(message_id) FROM detections WHERE message_id <= {until}");
        eventually(LONG, "the last row", async || {
            place.ask(&newest).await == until.to_string()
        })
        .await;
        let spent = Cpu::of(&place, Some(&archiver)).since(cpu);
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let batches = archiver.metric("tgmesh_archiver_batches_total").await - batches;
        // From the publisher's clock to the commit's record; its way to the disk and the answer to
        // the archiver are in the second figure, which begins with the stream's timestamp.
        let quantiles = format!(
            "SELECT percentile_disc(ARRAY[0.5, 0.99, 0.999]) WITHIN GROUP (ORDER BY \
             (extract(epoch FROM pg_xact_commit_timestamp(xmin) - published_at) * 1000)::numeric(10, 2)) \
             FROM detections WHERE message_id > {} AND message_id <= {until}",
            first + rate
        );
        let now = self::buckets(&archiver).await;
        println!(
            "publish -> commit at {rate}/s, p50, p99, p99.9 in ms: {}; stream -> commit told: {:?}; rows a batch: {:.1}; {}",
            place.ask(&quantiles).await,
            [0.5, 0.99, 0.999].map(|share| quantile(&buckets, &now, share)),
            events as f64 / batches as f64,
            spent.share(took)
        );
    }
    println!("peak memory: {} MB", peak_mb(archiver.process.pid()));
    assert!(archiver.stop().await.success());
}

/// Publishes at a rate; each event carries the time at which it is handed in.
async fn steady(place: &Place, rate: u64, events: std::ops::Range<u64>) {
    let publisher = Publisher::new(&place.mesh, Limits::default());
    let (began, first) = (Instant::now(), events.start);
    for n in events {
        let due = began + Duration::from_micros((n - first) * 1_000_000 / rate);
        let wait = due.saturating_duration_since(Instant::now());
        if wait.as_micros() > 1000 {
            tokio::time::sleep(wait).await;
        }
        drop(publisher.publish(outgoing(&event(n))).await);
    }
    assert_eq!(publisher.drain(LONG).await, 0);
}

/// Upper bounds in ms and cumulative counts of `stream_to_commit_seconds`.
async fn buckets(archiver: &Archiver) -> Vec<(f64, f64)> {
    let page = archiver.get("/metrics").await.unwrap();
    let lines = page
        .lines()
        .filter_map(|line| line.strip_prefix("tgmesh_archiver_stream_to_commit_seconds_bucket{le=\""));
    lines
        .filter_map(|line| {
            let (bound, count) = line.split_once("\"} ")?;
            Some((bound.parse::<f64>().ok()? * 1000.0, count.parse().ok()?))
        })
        .collect()
}

/// In ms, to a tenth, straight between two bounds.
fn quantile(before: &[(f64, f64)], now: &[(f64, f64)], share: f64) -> f64 {
    let counts: Vec<(f64, f64)> = now
        .iter()
        .zip(before)
        .map(|((bound, now), (_, before))| (*bound, now - before))
        .collect();
    let wanted = counts.last().map_or(0.0, |(_, all)| all * share);
    let (mut low, mut below) = (0.0, 0.0);
    for (bound, count) in counts {
        if count >= wanted {
            let within = (wanted - below) / (count - below).max(1.0);
            return ((low + (bound - low) * within) * 10.0).round() / 10.0;
        }
        (low, below) = (bound, count);
    }
    low
}
