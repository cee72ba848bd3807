//! Figures, printed with `--nocapture`; the bounds are far below what a quiet machine does.

use std::time::Duration;

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
    let page = listener.metrics().await;
    let sum: f64 = page
        .lines()
        .find_map(|line| line.strip_prefix("tgmesh_listener_received_to_published_seconds_sum "))
        .unwrap()
        .parse()
        .unwrap();
    println!(
        "1,000/s: received to handed over p50 {} µs, p99 {} µs; received to acked mean {:.0} µs",
        quantile(&handled, 0.5),
        quantile(&handled, 0.99),
        sum / 3_000.0 * 1e6
    );
    assert!(Duration::from_micros(quantile(&handled, 0.5) as u64) < Duration::from_millis(100));
}
