//! The listener is killed in the middle of its work, again and again: what it had not finished is
//! fetched by the next one, and nothing is told twice.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tgmesh_stream::kv::Bucket;
use tgmesh_telegram_sim::{Config, LoadSpec, LoadState};
use tgmesh_testkit::until;

use crate::ledger::{all_accounted, config, followed};
use crate::world::{LIMIT, Listener, World, is_soak, seed};

#[tokio::test]
async fn kills_at_random_moments_under_load_lose_nothing() {
    let mut random = StdRng::seed_from_u64(seed(9));
    let kills = if is_soak() { 100 } else { 10 };
    let world = World::start(Config {
        chats: 20,
        // A long run, all of which differences and histories can give.
        history: 500_000,
        ..config()
    })
    .await;
    let mut listener = world.listener().await;
    // A first start follows from then on; it is over when that place is stored.
    let bucket = Bucket::open(&world.mesh, "tgmesh_ledger").await.unwrap();
    let begun = async || {
        for chat in followed(&world) {
            let key = format!("sim-1.{chat}");
            if chat < -1_000_000_000_000 && bucket.get(&key).await.unwrap().is_none() {
                return false;
            }
        }
        true
    };
    assert!(until(LIMIT, begun).await, "the ledger is not begun");
    let load = LoadSpec {
        messages: None,
        rate: Some(600.0),
        chats: None,
        address_share: 0.3,
        seed: random.random(),
    };
    world.sim().start_load(load).unwrap();
    for kill in 1..=kills {
        // Some are killed while they still start.
        if random.random_bool(0.7) {
            listener.ready().await;
        }
        // The randomness is the test's: any moment may be the bad one.
        let after = Duration::from_millis(random.random_range(0..1_500));
        tokio::time::sleep(after).await;
        listener.process.kill();
        listener.process.ended().await;
        println!(
            "kill {kill} of {kills}: after {after:?}, {} messages posted",
            world.sim().load().sent
        );
        listener = Listener::start(world.spec());
    }
    world.sim().stop_load();
    let done = async || world.sim().load().state == LoadState::Done;
    assert!(until(LIMIT, done).await, "the load run does not end");
    all_accounted(&world, &listener, "killed").await;
    assert!(listener.metric("unreachable_total").await < 1.0);
}
