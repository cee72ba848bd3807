use std::collections::BTreeMap;
use std::time::Duration;

use tgmesh_telegram_sim::{ChatKind, Config, LoadSpec, LoadState};
use tgmesh_testkit::eventually;
use tgmesh_testkit::proxy::Proxy;

use crate::world::{LIMIT, Listener, World, address, addresses, assert_same};

fn load(messages: u64, rate: Option<f64>) -> LoadSpec {
    LoadSpec {
        messages: Some(messages),
        rate,
        chats: None,
        address_share: 1.0,
        seed: 7,
    }
}

fn config() -> Config {
    Config {
        accounts: 2,
        chats: 20,
        ..Config::default()
    }
}

/// Waits until the load run is over and everything it posted is in the stream: each address once.
async fn all_there(world: &World, listener: &Listener) {
    eventually(LIMIT, "the load run ends", || async {
        world.sim().load().state == LoadState::Done
    })
    .await;
    let expected = world.posted();
    let total: usize = expected.values().sum();
    let events = world.wait_for(total, listener).await;
    assert_same(&addresses(&events), &expected, listener);
}

#[tokio::test]
async fn a_burst_arrives_whole() {
    let world = World::start(config()).await;
    let listener = world.listener().await;
    world.sim().start_load(load(20_000, None)).unwrap();
    all_there(&world, &listener).await;
}

#[tokio::test]
async fn a_cut_connection_loses_nothing() {
    let world = World::start(config()).await;
    let proxy = Proxy::start(world.data_centre.mtproto_addr.to_string()).await.unwrap();
    world.import(world.spec()).await;
    let listener = world
        .listen(world.spec().env("TELEGRAM_DC", proxy.addr().to_string()))
        .await;
    let chat = world.chat(ChatKind::Channel);
    world.sim().start_load(load(3_000, Some(1_000.0))).unwrap();
    eventually(LIMIT, "it flows", || async { world.sim().load().sent > 500 }).await;
    proxy.cut();
    eventually(LIMIT, "it is missed", || async { world.sim().load().sent > 1_500 }).await;
    listener.not_ready("the connection is lost").await;
    proxy.heal();
    eventually(LIMIT, "it flows again", || async { world.sim().load().sent > 2_000 }).await;
    proxy.drop_connections();
    all_there(&world, &listener).await;
    assert!(listener.metric("reconnects_total").await >= 1.0);
    assert!(listener.metric("recovered_total").await >= 1.0);
    // A quiet chat that changed while nobody was connected, and nothing after it.
    proxy.cut();
    listener.not_ready("the connection is lost").await;
    let before = world.events().await.len();
    world.post(chat, format!("call {}", address(200)));
    proxy.heal();
    let events = world.wait_for(before + 1, &listener).await;
    assert_eq!(events.last().unwrap().address, address(200));
}

#[tokio::test]
async fn a_mute_link_is_noticed() {
    let world = World::start(Config::default()).await;
    let proxy = Proxy::start(world.data_centre.mtproto_addr.to_string()).await.unwrap();
    world.import(world.spec()).await;
    let listener = world
        .listen(world.spec().env("TELEGRAM_DC", proxy.addr().to_string()))
        .await;
    let chat = world.chat(ChatKind::Supergroup);
    proxy.mute();
    world.post(chat, format!("call {}", address(210)));
    listener.not_ready("no pong came").await;
    proxy.cut();
    proxy.heal();
    let events = world.wait_for(1, &listener).await;
    assert_eq!(events[0].address, address(210));
}

#[tokio::test]
async fn a_kill_under_load_loses_nothing() {
    let world = World::start(config()).await;
    let mut listener = world.listener().await;
    world.sim().start_load(load(6_000, Some(2_000.0))).unwrap();
    for sent in [1_500, 3_000, 4_500] {
        eventually(LIMIT, "it flows", || async { world.sim().load().sent > sent }).await;
        listener.process.kill();
        listener.process.ended().await;
        listener = world.listen(world.spec()).await;
    }
    all_there(&world, &listener).await;
}

#[tokio::test]
async fn a_stopped_nats_server_loses_nothing() {
    let mut world = World::start(config()).await;
    let listener = world.listener().await;
    world.sim().start_load(load(6_000, Some(1_000.0))).unwrap();
    eventually(LIMIT, "it flows", || async { world.sim().load().sent > 1_000 }).await;
    world.nats.stop().await;
    listener.not_ready("NATS is away").await;
    eventually(LIMIT, "it goes on", || async { world.sim().load().sent > 4_000 }).await;
    world.nats.start_again().await.unwrap();
    all_there(&world, &listener).await;
    listener.ready().await;
}

/// What was received and not confirmed must lie behind the stored place: the session is on disk
/// and could have been written all the while.
#[tokio::test]
async fn a_kill_while_nats_is_away_loses_nothing() {
    let mut world = World::start(config()).await;
    let sessions = world.sessions();
    world.import(world.spec().env("SESSION_STORE", &sessions)).await;
    let listener = world.listen(world.spec().env("SESSION_STORE", &sessions)).await;
    world.sim().start_load(load(4_000, Some(1_000.0))).unwrap();
    eventually(LIMIT, "it flows", || async { world.sim().load().sent > 500 }).await;
    world.nats.stop().await;
    let done = || async { world.sim().load().state == LoadState::Done };
    eventually(LIMIT, "the load run ends", done).await;
    listener.process.kill();
    listener.process.ended().await;
    world.nats.start_again().await.unwrap();
    let listener = world.listen(world.spec().env("SESSION_STORE", &sessions)).await;
    all_there(&world, &listener).await;
}

#[tokio::test]
async fn a_difference_that_is_too_long_is_made_up_for() {
    let world = World::start(Config {
        chats: 12,
        history: 300,
        ..Config::default()
    })
    .await;
    let listener = world.listener().await;
    let channel = world.chat(ChatKind::Channel);
    let group = world.chat(ChatKind::Group);
    for (n, chat) in [(300, channel), (301, group)] {
        world.post(chat, format!("call {}", address(n)));
    }
    world.wait_for(2, &listener).await;
    assert!(listener.process.stop(LIMIT).await.success());
    let mut expected: BTreeMap<_, _> = [(address(300), 1), (address(301), 1)].into();
    for n in 310..460 {
        for (chat, n) in [(channel, n), (group, n + 1000)] {
            world.post(chat, format!("call {}", address(n)));
            expected.insert(address(n), 1);
        }
    }
    // Edits push the messages out of what differences reach, not out of history.
    for chat in [channel, group] {
        let idle = world.post(chat, "gm").message_id;
        for n in 0..400 {
            world.edit(chat, idle, format!("gm {n}"));
        }
    }
    let listener = world.listen(world.spec()).await;
    let events = world.wait_for(expected.len(), &listener).await;
    assert_same(&addresses(&events), &expected, &listener);
    // The group's from its history, the channel's by their ids.
    let backfill = events.iter().filter(|event| event.listener.backfill).count();
    assert!(backfill >= 120, "{backfill}");
    assert!(listener.metric("backfilled_total").await >= 120.0);
    assert!(listener.metric("recovered_total").await >= 120.0);
    // And it is live again.
    world.post(channel, format!("call {}", address(500)));
    world.wait_for(expected.len() + 1, &listener).await;
}

#[tokio::test]
async fn a_stop_in_order_loses_nothing() {
    let world = World::start(config()).await;
    let mut listener = world.listener().await;
    world.sim().start_load(load(4_000, Some(2_000.0))).unwrap();
    eventually(LIMIT, "it flows", || async { world.sim().load().sent > 1_000 }).await;
    let began = std::time::Instant::now();
    let status = listener.process.stop(LIMIT).await;
    assert_eq!(status.code(), Some(0), "{}", listener.process.log_tail());
    assert!(began.elapsed() < Duration::from_secs(10));
    listener = world.listen(world.spec()).await;
    all_there(&world, &listener).await;
}
