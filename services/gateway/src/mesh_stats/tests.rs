use super::*;

fn report(instance: &str, started_ms: i64, deliveries: u64, latencies: &[(u64, u64)]) -> StatsReport {
    let histogram = HistogramSnapshot {
        count: latencies.iter().map(|bucket| bucket.1).sum(),
        sum_us: latencies.iter().map(|bucket| bucket.0 * bucket.1).sum(),
        buckets: latencies.to_vec(),
    };
    StatsReport {
        service: "gateway".to_owned(),
        instance: instance.to_owned(),
        started_ms,
        at_ms: 0,
        rss_bytes: 100,
        heap_bytes: 10,
        counters: [
            ("deliveries_total".to_owned(), deliveries),
            ("closes_total{code=\"4401\"}".to_owned(), 1),
            ("batch_errors_total{kind=\"x\"}".to_owned(), 2),
        ]
        .into(),
        gauges: [("clients".to_owned(), 1.5)].into(),
        histograms: [("h_seconds".to_owned(), histogram)].into(),
    }
}

#[test]
fn counters_and_memory_are_summed_and_the_oldest_is_the_uptime() {
    let (stats, now) = (MeshStats::default(), Instant::now());
    stats.take(report("a", 1_000, 5, &[]), now);
    stats.take(report("a", 1_000, 7, &[]), now);
    stats.take(report("b", 3_000, 10, &[]), now);
    let view = stats.view(now, 11_000);
    assert_eq!(view.counter("gateway", "deliveries_total"), 17);
    assert_eq!(view.counter("gateway", "batch_errors_total"), 4, "labels are summed");
    assert!((view.gauge("gateway", "clients") - 3.0).abs() < f64::EPSILON);
    assert!((view.largest("gateway", "clients") - 1.5).abs() < f64::EPSILON);
    assert_eq!(view.memory(), (200, 20));
    assert_eq!(view.uptime_ms(), 10_000);
    assert_eq!(view.instances().len(), 2);
}

#[test]
fn latencies_are_of_the_last_minute() {
    let (stats, start) = (MeshStats::default(), Instant::now());
    let at = |s: u64| start + Duration::from_secs(s);
    // Long ago it was slow, now it is fast.
    for s in (0_u64..=120).step_by(5) {
        let fast = s.saturating_sub(30);
        stats.take(report("a", -1_000_000, 0, &[(10, fast), (5_000, s.min(30))]), at(s));
    }
    let merged = stats.view(at(120), 0).histogram("gateway", "h_seconds");
    assert_eq!(merged.buckets, vec![(10, 60)]);
    assert_eq!(merged.quantile_us(0.999), Some(10));
}

#[test]
fn a_young_process_counts_from_its_start_and_a_dead_one_not_at_all() {
    let (stats, now) = (MeshStats::default(), Instant::now());
    stats.take(report("a", 0, 1, &[(10, 4)]), now);
    assert_eq!(stats.view(now, 30_000).histogram("gateway", "h_seconds").count, 4);
    // The same name, started anew: the old process's figures mean nothing.
    stats.take(report("a", 20_000, 1, &[(10, 1)]), now);
    assert_eq!(stats.view(now, 30_000).histogram("gateway", "h_seconds").count, 1);
    assert!(stats.view(now + GONE, 30_000).instances().is_empty());
}

#[test]
fn the_number_of_processes_is_bounded() {
    let (stats, now) = (MeshStats::default(), Instant::now());
    for n in 0..(MAX_INSTANCES + 10) {
        stats.take(report(&n.to_string(), 0, 1, &[]), now);
    }
    assert_eq!(stats.view(now, 0).instances().len(), MAX_INSTANCES);
}
