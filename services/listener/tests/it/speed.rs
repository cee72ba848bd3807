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

/// CPU time of all threads of a process.
fn cpu(pid: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanos = tasks.filter_map(|task| {
        // A thread may end while it is looked at.
        let schedstat = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        schedstat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// The most memory that a process has had, MiB.
fn peak_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB").parse::<f64>().unwrap();
    kib / 1024.0
}

fn load(messages: u64, rate: Option<f64>, address_share: f64) -> LoadSpec {
    LoadSpec {
        messages: Some(messages),
        rate,
        chats: None,
        address_share,
        seed: 5,
    }
}

async fn load_ends(world: &World) {
    let done = async || world.sim().load().state == LoadState::Done;
    eventually(LIMIT, "the load run ends", done).await;
}

#[tokio::test]
async fn as_fast_as_it_goes() {
    const MESSAGES: u64 = 40_000;
    let world = World::start(Config {
        chats: 20,
        ..Config::default()
    })
    .await;
    let listener = world.listener().await;
    world.sim().start_load(load(MESSAGES, None, 0.3)).unwrap();
    load_ends(&world).await;
    let expected = world.posted();
    let events = world.wait_for(expected.values().sum(), &listener).await;
    assert_same(&addresses(&events), &expected, &listener);
}

/// Waits until the listener has nothing to do, and gives its CPU time.
async fn at_rest(pid: u32) -> Duration {
    let mut before = cpu(pid);
    loop {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let now = cpu(pid);
        if now.saturating_sub(before) < Duration::from_millis(8) {
            return now;
        }
        before = now;
    }
}

/// CPU µs of the listener for each message, all of which came by the socket.
async fn per_message_us(share: f64, is_watched: bool) -> f64 {
    const MESSAGES: u64 = 100_000;
    let world = World::start(Config {
        chats: 20,
        ..Config::default()
    })
    .await;
    world.import(world.spec()).await;
    let spec = world.spec();
    let spec = if is_watched {
        spec
    } else {
        spec.env("MONITORED_CHATS", "-1")
    };
    let listener = world.listen(spec).await;
    let pid = listener.process.pid();
    let before = at_rest(pid).await;
    world.sim().start_load(load(MESSAGES, Some(10_000.0), share)).unwrap();
    load_ends(&world).await;
    let used = at_rest(pid).await.saturating_sub(before);
    let expected = if is_watched { world.posted() } else { BTreeMap::new() };
    assert_same(&addresses(&world.events().await), &expected, &listener);
    let again = listener.metric("recovered_total").await;
    if again > 0.01 * MESSAGES as f64 {
        println!("{again} messages were fetched again: the machine is too busy for this figure");
    }
    used.as_secs_f64() * 1e6 / MESSAGES as f64
}

/// What a process does when nothing happens, in a thousand parts of a core.
async fn idle_parts(chats: usize) -> f64 {
    const FOR: Duration = Duration::from_secs(10);
    let world = World::start(Config {
        chats,
        ..Config::default()
    })
    .await;
    let listener = world.listener().await;
    let before = at_rest(listener.process.pid()).await;
    tokio::time::sleep(FOR).await;
    let used = cpu(listener.process.pid()).saturating_sub(before);
    used.as_secs_f64() * 1e3 / FOR.as_secs_f64()
}

/// The figures of `deploy/bench/RESULTS.md`.
#[tokio::test]
#[ignore = "it measures for a minute, alone: cargo test --release -p tgmesh-listener --test it figures -- --ignored --nocapture"]
async fn figures() {
    let decode = per_message_us(0.0, false).await;
    let nothing = per_message_us(0.0, true).await;
    let tenth = per_message_us(0.1, true).await;
    println!("| messages, one account, 20 chats, 10,000/s | µs CPU each | per core-second |");
    println!("|---|---|---|");
    let row = |what: &str, us: f64| println!("| {what} | {us:.1} | {:.0} |", 1e6 / us);
    row("10 % with an address: decode, detect, publish", tenth);
    row("none with an address: decode, detect", nothing);
    row("of chats that are not watched: decode alone", decode);
    println!("| *of it* decoding | {decode:.1} | |");
    println!("| *of it* detecting and accounting | {:.1} | |", nothing - decode);
    println!(
        "| *of it* an event: told apart, published, confirmed, noted | {:.1} each | |",
        (tenth - nothing) / 0.1
    );

    let world = World::start(Config {
        chats: 20,
        ..Config::default()
    })
    .await;
    let listener = world.listener().await;
    let mut reports = tgmesh_stream::stats::subscribe(&world.mesh).await.unwrap();
    world.sim().start_load(load(20_000, Some(1_000.0), 1.0)).unwrap();
    load_ends(&world).await;
    let acked = loop {
        let report = tokio::time::timeout(LIMIT, reports.next()).await.unwrap().unwrap();
        if report.counters["published_total"] >= 20_000 {
            break report.histograms["received_to_published_seconds"].clone();
        }
    };
    let ms = |q| acked.quantile_us(q).unwrap() as f64 / 1e3;
    println!("\n| 1,000 messages/s, each with an address, 20 s | |\n|---|---|");
    println!(
        "| received → published p50 / p99 / p99.9 | {:.2} / {:.2} / {:.2} ms |",
        ms(0.5),
        ms(0.99),
        ms(0.999)
    );
    println!("| peak memory | {:.1} MiB |", peak_mib(listener.process.pid()));

    let world = World::start(Config {
        chats: 20,
        ..Config::default()
    })
    .await;
    let listener = world.listener().await;
    let began = Instant::now();
    world.sim().start_load(load(50_000, None, 0.1)).unwrap();
    let all = async || listener.metric("messages_total").await >= 50_000.0;
    eventually(LIMIT, "all is handled", all).await;
    let took = began.elapsed();
    println!("\n| a burst of 50,000 messages, 10 % with an address | |\n|---|---|");
    println!(
        "| from the first posted to the last handled | {:.2} s |",
        took.as_secs_f64()
    );
    println!("| peak memory | {:.1} MiB |", peak_mib(listener.process.pid()));
    let expected = world.posted();
    let events = world.wait_for(expected.values().sum(), &listener).await;
    assert_same(&addresses(&events), &expected, &listener);

    println!("\n| nothing happens | ms CPU a second |\n|---|---|");
    for chats in [20, 500] {
        println!("| {chats} chats | {:.1} |", idle_parts(chats).await);
    }
}
