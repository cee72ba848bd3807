//! Long waits: the account leaves what it cannot do to another one, and takes it back.

use std::time::{Duration, Instant};

use tgmesh_stream::kv::Bucket;
use tgmesh_telegram_sim::{Config, Fault, FaultKind};
use tgmesh_testkit::until;

use crate::pods::fleet::Fleet;
use crate::world::{LIMIT, is_soak};

#[tokio::test]
async fn while_telegram_asks_an_account_to_wait_another_one_takes_its_channel() {
    let seconds = if is_soak() { 65 } else { 35 };
    let mut fleet = Fleet::start(Config {
        accounts: 2,
        chats: 16,
        ..Config::default()
    })
    .await;
    fleet.add(1).await;
    fleet.add(1).await;
    fleet.every_account_is_held().await;
    let shared = fleet.shared_chats();
    let before = fleet.settled(&shared).await;
    let (&channel, flooded) = before.iter().next().unwrap();
    // It has to be asked for, and the account that watches it must not.
    let sim = fleet.world.sim().clone();
    let unpushed = sim.inject(Fault::new(FaultKind::PollOnly).chat(channel)).unwrap();
    let flood = FaultKind::FloodWait {
        seconds,
        method: Some("updates.getChannelDifference".to_owned()),
    };
    let flood = Fault::new(flood)
        .account(flooded)
        .lasts(Duration::from_secs(seconds.into()));
    let began = Instant::now();
    let flood = sim.inject(flood).unwrap();
    fleet.load(20.0, 5);
    let bucket = Bucket::open(&fleet.world.mesh, "tgmesh_assignments").await.unwrap();
    let watcher = async |chat: i64| {
        let entry = bucket.get(&chat.to_string()).await.unwrap().unwrap();
        let assigned: serde_json::Value = serde_json::from_slice(&entry.value).unwrap();
        assigned["account"].as_str().unwrap().to_owned()
    };
    let logs = || {
        fleet
            .pods
            .iter()
            .map(|pod| pod.listener.process.log_tail())
            .collect::<String>()
    };
    let is_taken = until(LIMIT, async || watcher(channel).await != *flooded).await;
    assert!(is_taken, "{}", logs());
    assert!(logs().contains("Telegram asks to wait long"), "{}", logs());
    println!("taken over after {} ms", began.elapsed().as_millis());
    // What the account can do without, it keeps.
    let kept = before
        .iter()
        .filter(|(chat, account)| **chat != channel && *account == flooded);
    let mut others = 0;
    for (&chat, _) in kept {
        others += u32::from(watcher(chat).await == *flooded);
    }
    let had = before.values().filter(|account| *account == flooded).count();
    assert!(had == 1 || others > 0, "every channel went away");
    let is_back = until(2 * LIMIT, async || watcher(channel).await == *flooded).await;
    assert!(is_back, "{}", logs());
    println!("taken back after {} ms", began.elapsed().as_millis());
    // Differences that were under way together, and none after that.
    let hits = sim.faults().iter().find(|fault| fault.id == flood).unwrap().hits;
    assert!((1..=8).contains(&hits), "{hits} requests were made into the wait");
    sim.heal(&unpushed);
    fleet.end_load().await;
    fleet.shared_are_accounted(&shared).await;
}
