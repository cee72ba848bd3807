//! Faults that last: a link that says nothing, a long wait, a session that is ended, a channel that
//! is closed to the account, a history that is too short.

use std::collections::BTreeSet;

use tgmesh_proto::subject;
use tgmesh_stream::kv::Bucket;
use tgmesh_telegram_sim::{ChatKind, Config, Fault, FaultKind, LoadSpec, LoadState};
use tgmesh_testkit::{eventually, until};

use crate::ledger::{all_accounted, config, followed, silences, unaccounted, under_load};
use crate::world::{LIMIT, World, is_soak};

async fn load(world: &World, messages: u64, rate: f64) {
    let load = LoadSpec {
        messages: Some(messages),
        rate: Some(rate),
        chats: None,
        address_share: 0.5,
        seed: 19,
    };
    world.sim().start_load(load).unwrap();
    let done = async || world.sim().load().state == LoadState::Done;
    eventually(LIMIT, "the load run ends", done).await;
}

#[tokio::test]
async fn a_link_that_says_nothing_is_made_up_for() {
    // Most of the time is waiting: each in a world of its own, at once.
    let each = silences().into_iter().map(async |(what, faults)| {
        let world = World::start(config()).await;
        let listener = world.listener().await;
        let hits = under_load(&world, faults, what, &listener).await;
        assert!(!hits.contains(&0), "{what} did not happen: {hits:?}");
    });
    futures_util::future::join_all(each).await;
}

/// What is flooded is left alone for as long as Telegram says. Meanwhile what is live goes on, and
/// what is missing is asked for in another way.
#[tokio::test]
async fn a_long_flood_wait_stops_nothing_but_itself() {
    const LONG_S: u32 = 65;
    // When there is no other way, the test has to wait as well.
    let last_s = if is_soak() { LONG_S } else { 10 };
    let world = World::start(config()).await;
    let listener = world.listener().await;
    let flood = |seconds: u32, method: &str| FaultKind::FloodWait {
        seconds,
        method: Some(method.to_owned()),
    };
    let differences = world
        .sim()
        .inject(Fault::new(flood(LONG_S, "updates.getChannelDifference")))
        .unwrap();
    let lost = world
        .sim()
        .inject(Fault::new(FaultKind::Lost).probability(0.2))
        .unwrap();
    load(&world, 600, 400.0).await;
    world.sim().heal(&lost);
    all_accounted(&world, &listener, "while differences are flooded").await;
    let hits = |id: &str| {
        let faults = world.sim().faults();
        faults.iter().find(|fault| fault.id == id).map_or(0, |fault| fault.hits)
    };
    // Once for each channel.
    let channels = world
        .sim()
        .chats()
        .iter()
        .filter(|chat| chat.kind.has_own_numbers())
        .count();
    assert!(hits(&differences) <= channels as u64, "{} requests", hits(&differences));

    // And when there is no other way, it is waited for.
    let messages = world
        .sim()
        .inject(Fault::new(flood(last_s, "channels.getMessages")).count(1))
        .unwrap();
    let channel = world.chat(ChatKind::Channel);
    let lost = world
        .sim()
        .inject(Fault::new(FaultKind::Lost).chat(channel).count(1))
        .unwrap();
    world.post(channel, "this one is lost");
    let later = world.post(channel, "this one is not").message_id;
    let bucket = Bucket::open(&world.mesh, subject::LEDGER).await.unwrap();
    let flooded = async || hits(&messages) == 1;
    eventually(LIMIT, "it was asked for", flooded).await;
    assert_eq!(hits(&lost), 1);
    let missing = unaccounted(&world, &bucket, channel).await;
    assert!(missing.contains(&(later - 1)), "{missing:?}");
    world.sim().heal_all();
    all_accounted(&world, &listener, "after the wait").await;
}

#[tokio::test]
async fn a_session_that_is_ended_stops_the_account_and_loses_nothing() {
    let world = World::start(config()).await;
    let listener = world.listener().await;
    load(&world, 200, 400.0).await;
    let signed_out = FaultKind::SignedOut {
        message: "AUTH_KEY_UNREGISTERED".to_owned(),
    };
    let fault = world.sim().inject(Fault::new(signed_out)).unwrap();
    // Whatever it asks next tells it.
    world.sim().inject(Fault::new(FaultKind::Close)).unwrap();
    listener.not_ready("the session is ended").await;
    let stopped = async || listener.process.log_tail().contains("the account is stopped");
    assert!(until(LIMIT, stopped).await, "{}", listener.process.log_tail());
    assert!(
        listener.readiness().await.contains("AUTH_KEY_UNREGISTERED"),
        "{}",
        listener.readiness().await
    );
    load(&world, 200, 400.0).await;
    let hits: u64 = world.sim().faults().iter().map(|fault| fault.hits).sum();
    world.sim().heal(&fault);
    // An operator signs it in again, which the simulator does by itself: it did not loop meanwhile.
    assert!(hits < 1_000, "{hits} requests and pushes");
    assert!(listener.process.stop(LIMIT).await.success());
    // With the same key, which the mark of the account names.
    let sessions = Bucket::open(&world.mesh, subject::SESSIONS).await.unwrap();
    assert!(sessions.get("stopped.sim-1").await.unwrap().is_some());
    sessions.delete("stopped.sim-1", None).await.unwrap();
    let listener = world.listen(world.spec()).await;
    all_accounted(&world, &listener, "signed in again").await;
}

#[tokio::test]
async fn a_channel_that_is_closed_to_the_account_is_taken_up_again() {
    let world = World::start(config()).await;
    let listener = world.listener().await;
    let channel = world.chat(ChatKind::Channel);
    let private = FaultKind::ChannelLost {
        message: "CHANNEL_PRIVATE".to_owned(),
    };
    let fault = world.sim().inject(Fault::new(private).chat(channel)).unwrap();
    load(&world, 400, 400.0).await;
    // The others do not mind.
    let bucket = Bucket::open(&world.mesh, subject::LEDGER).await.unwrap();
    let others: Vec<i64> = followed(&world).into_iter().filter(|chat| *chat != channel).collect();
    let others_are_whole = async || {
        for &chat in &others {
            if !unaccounted(&world, &bucket, chat).await.is_empty() {
                return false;
            }
        }
        true
    };
    assert!(until(LIMIT, others_are_whole).await, "{}", listener.process.log_tail());
    world.sim().heal(&fault);
    // The first that it hears of the channel says how much it missed.
    world.post(channel, "we are back");
    all_accounted(&world, &listener, "open again").await;
}

#[tokio::test]
async fn what_no_history_holds_any_more_is_accounted_for() {
    const HELD: usize = 100;
    let world = World::start(Config {
        history: HELD,
        ..config()
    })
    .await;
    let listener = world.listener().await;
    let channel = world.chat(ChatKind::Channel);
    let first = world.post(channel, "before").message_id;
    let bucket = Bucket::open(&world.mesh, subject::LEDGER).await.unwrap();
    let is_done = async || unaccounted(&world, &bucket, channel).await.is_empty();
    eventually(LIMIT, "it is accounted for", is_done).await;
    assert!(listener.process.stop(LIMIT).await.success());
    for n in 0..600 {
        world.post(channel, format!("gm {n}"));
    }
    let listener = world.listen(world.spec()).await;
    all_accounted(&world, &listener, "a short history").await;
    // What is gone as well: deleted, as far as anybody can tell.
    let dropped = world.sim().ids(channel, Some("sim-1")).unwrap().dropped;
    let dropped: BTreeSet<i32> = dropped
        .iter()
        .flat_map(|&(start, end)| start..=end)
        .filter(|id| *id > first)
        .collect();
    assert!(dropped.len() >= 400, "{}", dropped.len());
    let all_dropped = async || {
        let done = crate::ledger::done(&bucket, channel).await;
        dropped.is_subset(&done)
    };
    assert!(until(LIMIT, all_dropped).await, "{}", listener.process.log_tail());
}
