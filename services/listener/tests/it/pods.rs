//! Several listeners share accounts: each account is with one of them at a time, whatever happens
//! to its owner, and nothing that is posted is missed or told twice.

pub mod fleet;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tgmesh_stream::NatsConfig;
use tgmesh_telegram_sim::{Config, Fault, FaultKind};
use tgmesh_testkit::process::Process;
use tgmesh_testkit::{Scratch, eventually, nats, until};

use crate::pods::fleet::Fleet;
use crate::world::{LIMIT, World, address, is_soak, seed, streams};

fn config() -> Config {
    Config {
        accounts: 3,
        chats: 30,
        // A long run, all of which differences and histories can give.
        history: 500_000,
        ..Config::default()
    }
}

/// Two pods and a standby on three accounts, under load.
#[tokio::test]
async fn whatever_happens_to_a_pod_its_accounts_go_on_elsewhere() {
    let mut random = StdRng::seed_from_u64(seed(71));
    let rounds = if is_soak() { 40 } else { 1 };
    let mut fleet = Fleet::start(config()).await;
    fleet.add(2).await;
    fleet.add(2).await;
    fleet.every_account_is_held().await;
    fleet.add(3).await;
    eventually(LIMIT, "it stands by", async || {
        fleet.pods[2]
            .listener
            .readiness()
            .await
            .contains("standing by for 3 accounts")
    })
    .await;
    fleet.load(120.0, random.random());
    for round in 0..rounds {
        println!("round {round}: {} messages posted", fleet.world.sim().load().sent);
        fleet.pause_and_resume(&mut random).await;
        fleet.kill_and_replace(&mut random).await;
        fleet.stop_and_replace(&mut random).await;
        fleet.each_key_had_one_user_at_a_time();
    }
    fleet.end_load().await;
    fleet.all_accounted("pods").await;
    fleet.each_key_had_one_user_at_a_time();
}

/// The lease would last for longer than the test.
#[tokio::test]
async fn a_pod_that_stops_in_order_hands_over_at_once() {
    let nats = nats::Server::start().await.unwrap();
    let streams = NatsConfig {
        lease_time: Duration::from_hours(1),
        ..streams(&nats)
    };
    let world = World::start_on(nats, streams, config()).await;
    let mut fleet = Fleet::on(world).await;
    fleet.add(3).await;
    fleet.every_account_is_held().await;
    fleet.add(3).await;
    fleet.load(50.0, 1);
    let first = fleet.pods.remove(0);
    assert!(first.listener.process.stop(LIMIT).await.success());
    fleet.every_account_is_held().await;
    fleet.pods[0].listener.ready().await;
    fleet.end_load().await;
    fleet.all_accounted("handed over").await;
    fleet.each_key_had_one_user_at_a_time();
}

#[tokio::test]
async fn accounts_are_let_go_while_nats_is_away_for_longer_than_the_lease() {
    let mut fleet = Fleet::start(config()).await;
    fleet.add(3).await;
    fleet.every_account_is_held().await;
    fleet.load(50.0, 2);
    let open = |fleet: &Fleet| fleet.uses().any(|uses| uses.iter().any(|one| one.ended.is_none()));
    assert!(open(&fleet));
    fleet.world.nats.stop().await;
    eventually(LIMIT, "every connection is closed", async || !open(&fleet)).await;
    let says = async || fleet.pods[0].listener.process.log_tail().contains("its lease is lost");
    eventually(LIMIT, "it says so", says).await;
    fleet.pods[0].listener.not_ready("NATS is away").await;
    fleet.world.nats.start_again().await.unwrap();
    fleet.pods[0].listener.ready().await;
    fleet.end_load().await;
    fleet.all_accounted("NATS was away").await;
    fleet.each_key_had_one_user_at_a_time();
}

/// Where Telegram ends a session, nobody tries it again; its chats are watched by others.
#[tokio::test]
async fn a_dead_session_is_tried_once_and_its_successor_is_taken() {
    let mut fleet = Fleet::start(config()).await;
    // A key that the data centre does not know is what is left of one that was ended.
    let mut accounts = serde_json::to_value(fleet.world.sim().accounts()).unwrap();
    let good = accounts.to_string();
    accounts[0]["auth_key"] = "ab".repeat(256).into();
    let scratch = Scratch::new().unwrap();
    let file = scratch.path().join("accounts.json");
    let spec = fleet.world.spec().arg("sessions").arg("import").arg(&file);
    let import = async |accounts: String| {
        std::fs::write(&file, accounts).unwrap();
        let import = Process::spawn(spec.clone()).unwrap();
        assert!(import.wait(LIMIT).await.unwrap().success(), "{}", import.log_tail());
    };
    import(accounts.to_string()).await;
    fleet.spawn(3);
    fleet.spawn(3);
    let stops = |fleet: &Fleet| -> usize {
        let logs = fleet.pods.iter().map(|pod| pod.listener.process.log_tail());
        logs.map(|log| log.matches("Telegram ended its session").count()).sum()
    };
    eventually(LIMIT, "it is told", async || stops(&fleet) > 0).await;
    eventually(LIMIT, "the others are held", async || fleet.held().await.len() == 2).await;
    // Nobody else tries, although both have a slot for it.
    let tried = async || stops(&fleet) > 1 || fleet.held().await.contains_key("sim-1");
    assert!(!until(Duration::from_secs(3), tried).await);
    assert_eq!(fleet.audited("account_stopped").await, ["sim-1"]);
    import(good).await;
    fleet.every_account_is_held().await;
    for pod in &fleet.pods {
        pod.listener.ready().await;
    }
}

#[tokio::test]
async fn a_refused_account_is_let_go() {
    let mut fleet = Fleet::start(config()).await;
    fleet.add(3).await;
    fleet.every_account_is_held().await;
    for (code, message, account) in [
        (401, "USER_DEACTIVATED_BAN", "sim-2"),
        (406, "AUTH_KEY_DUPLICATED", "sim-3"),
    ] {
        let fault = Fault::new(FaultKind::RpcError {
            code,
            message: message.to_owned(),
            method: None,
        });
        fleet.world.sim().inject(fault.account(account)).unwrap();
        fleet.world.sim().close_connections_of(Some(account)).unwrap();
        eventually(LIMIT, "it is let go", async || {
            !fleet.held().await.contains_key(account)
        })
        .await;
        let marked = async || fleet.audited("account_stopped").await.contains(&account.to_owned());
        eventually(LIMIT, "it is told", marked).await;
    }
    let readiness = fleet.pods[0].listener.readiness().await;
    assert!(
        readiness.contains("sim-2") || readiness.contains("sim-3"),
        "{readiness}"
    );
}

/// The account that comes first for a channel, computed apart from the listener's own code.
fn first(chat: i64, accounts: &[String]) -> String {
    use sha2::Digest as _;
    let weight = |account: &&String| -> [u8; 8] {
        let digest = sha2::Sha256::new()
            .chain_update(chat.to_be_bytes())
            .chain_update(account.as_bytes());
        digest.finalize()[..8].try_into().unwrap()
    };
    accounts.iter().max_by_key(weight).unwrap().clone()
}

/// One pod with one slot, then three, then two: from one account that watches everything to three
/// that share it, and back to two.
#[tokio::test]
async fn scaling_moves_the_chats_that_it_must_and_no_other() {
    let mut fleet = Fleet::start(Config { chats: 120, ..config() }).await;
    fleet.add(1).await;
    let shared = fleet.shared_chats();
    fleet.load(100.0, 3);
    let one = fleet.settled(&shared).await;
    fleet.add(1).await;
    fleet.add(1).await;
    fleet.every_account_is_held().await;
    let three = fleet.settled(&shared).await;
    println!(
        "1 to 3 pods: {} of {} shared channels moved",
        Fleet::moved(&one, &three),
        shared.len()
    );
    let accounts: Vec<String> = fleet.held().await.into_keys().collect();
    let expected = |accounts: &[String]| -> BTreeMap<i64, String> {
        let first = |&chat: &i64| (chat, first(chat, accounts));
        shared.iter().map(first).collect()
    };
    assert_eq!(three, expected(&accounts));
    assert!(three.values().collect::<BTreeSet<_>>().len() > 1, "nothing is divided");
    // The one that goes leaves its channels to the others; theirs stay.
    let gone = fleet.pods.pop().unwrap();
    let left = fleet.held().await;
    let (lost, _) = left.iter().find(|(_, pod)| **pod == gone.name).unwrap();
    assert!(gone.listener.process.stop(LIMIT).await.success());
    let two = fleet.settled(&shared).await;
    let had = three.values().filter(|account| *account == lost).count();
    println!(
        "3 to 2 pods: {} of {} shared channels moved",
        Fleet::moved(&three, &two),
        shared.len()
    );
    assert_eq!(Fleet::moved(&three, &two), had);
    let left: Vec<String> = accounts.iter().filter(|account| *account != lost).cloned().collect();
    assert_eq!(two, expected(&left));
    fleet.end_load().await;
    fleet.shared_are_accounted(&shared).await;
    fleet.each_key_had_one_user_at_a_time();
}

#[tokio::test]
async fn a_hot_channel_is_watched_by_two_and_told_once() {
    let mut fleet = Fleet::start(config()).await;
    let hot = fleet.shared_chats()[0];
    for slots in [1, 2] {
        fleet.spawn_with(slots, |spec| spec.env("HOT_CHATS", hot.to_string()));
    }
    fleet.every_account_is_held().await;
    for pod in &fleet.pods {
        pod.listener.ready().await;
    }
    // Whoever was first, by how much is told once the other one was heard of.
    let wins = async || -> f64 {
        let mut wins = 0.0;
        for pod in &fleet.pods {
            let page = pod.listener.metrics().await;
            let lines = page
                .lines()
                .filter(|line| line.starts_with("tgmesh_listener_race_wins_total{"));
            wins += lines
                .filter_map(|line| line.split(' ').nth(1)?.parse::<f64>().ok())
                .sum::<f64>();
        }
        wins
    };
    let posted = AtomicU64::new(0);
    let raced = async || {
        let n = posted.fetch_add(1, Ordering::Relaxed);
        fleet.world.post(hot, format!("call {}", address(9_000 + n)));
        wins().await >= 20.0
    };
    assert!(until(LIMIT, raced).await, "both see it: {}", wins().await);
    let count = posted.load(Ordering::Relaxed);
    let events = fleet
        .world
        .wait_for(usize::try_from(count).unwrap(), &fleet.pods[0].listener)
        .await;
    let told: BTreeSet<_> = events.iter().map(|event| event.address.clone()).collect();
    assert_eq!(
        (told.len(), events.len()),
        (count as usize, count as usize),
        "each is told once"
    );
}
