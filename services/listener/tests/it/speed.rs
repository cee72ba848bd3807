//! Figures, printed with `--nocapture`; the bounds are far below what a quiet machine does.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tgmesh_proto::detection::Detection;
use tgmesh_telegram_sim::{Config, LoadSpec, LoadState};
use tgmesh_testkit::eventually;

use crate::world::{LIMIT, World, addresses, assert_same};

fn quantile(sorted: &[i64], q: f64) -> i64 {
    sorted[((sorted.len() - 1) as f64 * q) as usize]
}

#[tokio::test]
async fn a_thousand_messages_a_second() {
    let world = World::start(Config {
        chats: 20,
        ..Config::default()
    })
    .await;
    let listener = world.listener().await;
    let mut reports = tgmesh_stream::stats::subscribe(&world.mesh).await.unwrap();
    let spec = LoadSpec {
        messages: Some(3_000),
        rate: Some(1_000.0),
        chats: None,
        address_share: 1.0,
        seed: 3,
    };
    world.sim().start_load(spec).unwrap();
    eventually(LIMIT, "the load run ends", || async {
        world.sim().load().state == LoadState::Done
    })
    .await;
    let expected = world.posted();
    let events: Vec<Detection> = world.wait_for(3_000, &listener).await;
    assert_same(&addresses(&events), &expected, &listener);
    let mut handled: Vec<_> = events
        .iter()
        .map(|event| event.times.published_us - event.times.received_us)
        .collect();
    handled.sort_unstable();
    let acked = loop {
        let report = tokio::time::timeout(LIMIT, reports.next()).await.unwrap().unwrap();
        assert_eq!(report.service, "listener");
        if report.counters["published_total"] >= 3_000 {
            break report.histograms["received_to_published_seconds"].clone();
        }
    };
    println!(
        "1,000/s: received to handed over p50 {} µs, p99 {} µs; received to acked p50 {} µs, p99 {} µs, mean {:.0} µs",
        quantile(&handled, 0.5),
        quantile(&handled, 0.99),
        acked.quantile_us(0.5).unwrap(),
        acked.quantile_us(0.99).unwrap(),
        acked.mean_us().unwrap(),
    );
    assert!(Duration::from_micros(quantile(&handled, 0.5) as u64) < Duration::from_millis(100));
}

/// CPU time of a process, user and system. The kernel counts it in hundredths of a second.
fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11..=12].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

#[tokio::test]
async fn as_fast_as_it_goes() {
    const MESSAGES: u64 = 40_000;
    // At a rate that it keeps up with, nothing is fetched twice: then CPU a message means something.
    let runs = [
        (
            1.0,
            None,
            "as fast as the simulator goes, every message with an address",
        ),
        (1.0, Some(10_000.0), "10,000/s, every message with an address"),
        (0.0, Some(20_000.0), "20,000/s, no message with an address"),
    ];
    for (share, rate, what) in runs {
        let world = World::start(Config {
            chats: 20,
            ..Config::default()
        })
        .await;
        let listener = world.listener().await;
        let pid = listener.process.pid();
        let (began, before) = (Instant::now(), cpu(pid));
        let spec = LoadSpec {
            messages: Some(MESSAGES),
            rate,
            chats: None,
            address_share: share,
            seed: 5,
        };
        world.sim().start_load(spec).unwrap();
        let name = if share > 0.0 {
            "published_total"
        } else {
            "messages_total"
        };
        eventually(LIMIT, "all is handled", || async {
            listener.metric(name).await >= MESSAGES as f64
        })
        .await;
        let (took, used) = (began.elapsed(), cpu(pid).saturating_sub(before));
        let per_message_us = used.as_secs_f64() * 1e6 / MESSAGES as f64;
        println!(
            "{what}: {:.0}/s, simulator and nats-server beside it; {per_message_us:.1} µs CPU a message = {:.0}/s a core; \
             overflows {}, refused {}, recovered {}",
            MESSAGES as f64 / took.as_secs_f64(),
            1e6 / per_message_us,
            listener.metric("overflows_total").await,
            listener.metric("refused_total").await,
            listener.metric("recovered_total").await,
        );
        assert!(per_message_us < 1_000.0, "{per_message_us} µs");
        let expected = if share > 0.0 { world.posted() } else { BTreeMap::new() };
        assert_same(&addresses(&world.events().await), &expected, &listener);
    }
}
