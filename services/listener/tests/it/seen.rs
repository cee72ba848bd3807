use std::time::Duration;

use bytes::Bytes;
use tgmesh_proto::detection::{Detection, EventKind};
use tgmesh_proto::id::EventId;
use tgmesh_proto::{codec, subject};
use tgmesh_stream::publish::{Limits, Outgoing, Publisher};
use tgmesh_telegram_sim::{ChatKind, Config};
use tgmesh_testkit::eventually;

use crate::world::{LIMIT, Listener, World, address};

/// Count, first time and first chat.
fn before(event: &Detection) -> Option<(u64, i64, i64)> {
    let before = event.seen_before.as_ref()?;
    Some((before.count, before.first_ms, before.first_chat))
}

/// What `seen_before` has to say when this event was the first of `count`.
fn first(event: &Detection, count: u64) -> (u64, i64, i64) {
    (count, event.message.date_ms, event.chat.id)
}

async fn knows(listener: &Listener, sightings: usize) {
    eventually(LIMIT, "what is in the stream is remembered", || async {
        listener.metric("seen_sightings").await >= sightings as f64
    })
    .await;
}

#[tokio::test]
async fn an_address_is_known_again_in_other_messages() {
    let world = World::start(Config::default()).await;
    let listener = world.listener().await;
    let (channel, group) = (world.chat(ChatKind::Channel), world.chat(ChatKind::Supergroup));
    let (a, b) = (address(700), address(701));
    world.post(channel, format!("call {a}"));
    world.wait_for(1, &listener).await;
    let message = world.post(group, format!("look at {a}")).message_id;
    world.wait_for(2, &listener).await;
    // An edit of the same message: what it adds is new, what it takes away was elsewhere before.
    world.edit(group, message, format!("look at {b}"));
    world.wait_for(4, &listener).await;
    world.post(channel, format!("{a} again"));
    world.wait_for(5, &listener).await;
    world.sim().delete(group, &[message]).unwrap();
    let events = world.wait_for(6, &listener).await;
    let one = |kind, address: &str| {
        let mut found = events
            .iter()
            .filter(|event| event.event == kind && event.address == address);
        (found.next().expect("it was told"), found.next())
    };
    let (called, again) = (&events[0], &events[1]);
    assert_eq!(before(called), None);
    assert_eq!(before(again), Some(first(called, 1)));
    assert_eq!(before(one(EventKind::AddedByEdit, &b).0), None);
    assert_eq!(before(one(EventKind::Retracted, &a).0), Some(first(called, 1)));
    // The retracted call was a call.
    assert_eq!(before(&events[4]), Some(first(called, 2)));
    assert_eq!(before(one(EventKind::Retracted, &b).0), None, "it was its own");
}

#[tokio::test]
async fn what_was_seen_is_known_after_a_kill() {
    let world = World::start(Config::default()).await;
    let listener = world.listener().await;
    let (channel, group) = (world.chat(ChatKind::Channel), world.chat(ChatKind::Supergroup));
    for n in 710..713 {
        world.post(channel, format!("call {}", address(n)));
    }
    world.wait_for(3, &listener).await;
    world.post(group, format!("call {}", address(710)));
    world.wait_for(4, &listener).await;
    listener.process.kill();
    listener.process.ended().await;
    let listener = world.listen(world.spec()).await;
    for n in 710..713 {
        world.post(group, format!("and {}", address(n)));
    }
    let events = world.wait_for(7, &listener).await;
    for event in &events[4..] {
        let called = events.iter().find(|other| other.address == event.address).unwrap();
        let count = if event.address == address(710) { 2 } else { 1 };
        assert_eq!(
            before(event),
            Some(first(called, count)),
            "{}",
            listener.process.log_tail()
        );
    }
    // A window that is over in a moment.
    assert!(listener.process.stop(LIMIT).await.success());
    let listener = world.listen(world.spec().env("SEEN_WINDOW", "1ms")).await;
    world.post(group, format!("then {}", address(710)));
    let events = world.wait_for(8, &listener).await;
    assert_eq!(before(&events[7]), None);
}

#[tokio::test]
async fn processes_know_of_each_others_finds() {
    let world = World::start(Config {
        accounts: 2,
        chats: 20,
        ..Config::default()
    })
    .await;
    world.import(world.spec()).await;
    let chats = world.sim().chats();
    let chat_of = |account: &str, but: i64| {
        let mut of_kind = chats.iter().filter(|chat| chat.kind == ChatKind::Channel);
        let chat = of_kind.find(|chat| chat.id != but && chat.accounts.iter().any(|name| name == account));
        chat.expect("every account has channels").id
    };
    let here = chat_of("sim-1", 0);
    let there = chat_of("sim-2", here);
    let spec = |account: &str, chat: i64| {
        world
            .spec()
            .env("TELEGRAM_ACCOUNTS", account)
            .env("MONITORED_CHATS", chat.to_string())
    };
    let one = world.listen(spec("sim-1", here)).await;
    let other = world.listen(spec("sim-2", there)).await;
    let a = address(720);
    world.post(here, format!("call {a}"));
    world.wait_for(1, &one).await;
    knows(&other, 1).await;
    world.post(there, format!("call {a}"));
    world.wait_for(2, &other).await;
    knows(&one, 2).await;
    world.post(here, format!("call {a} once more"));
    let events = world.wait_for(3, &one).await;
    assert_ne!(events[0].listener.account, events[1].listener.account);
    assert_eq!(before(&events[0]), None);
    assert_eq!(before(&events[1]), Some(first(&events[0], 1)));
    assert_eq!(before(&events[2]), Some(first(&events[0], 2)));
    // Own events come by in the stream as well, and count once.
    knows(&one, 3).await;
    knows(&other, 3).await;
    assert_eq!(
        (one.metric("seen_addresses").await, one.metric("seen_sightings").await),
        (1.0, 3.0)
    );
}

/// Prints how long a start takes that has so many events to read.
#[tokio::test]
#[ignore = "writes a million events to print a figure"]
async fn a_start_with_a_full_memory() {
    let world = World::start(Config::default()).await;
    let listener = world.listener().await;
    world.post(world.chat(ChatKind::Channel), format!("call {}", address(730)));
    let mut event = world.wait_for(1, &listener).await.remove(0);
    assert!(listener.process.stop(LIMIT).await.success());
    event.message.text = "x".repeat(200);
    let publisher = Publisher::new(&world.mesh, Limits::default());
    let mut stored = 1_u64;
    for goal in [100_000_u64, 1_000_000] {
        let mut last = None;
        while stored < goal {
            event.id = EventId::from_bytes(u128::from(stored).to_be_bytes());
            event.address = address(1_000 + stored);
            event.message.id += 1;
            let outgoing = Outgoing {
                subject: subject::detection(event.chat.id, event.family),
                id: event.id,
                traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00".to_owned(),
                payload: Bytes::from(codec::encode(&event).unwrap()),
            };
            last = Some(publisher.publish(outgoing).await);
            stored += 1;
        }
        last.unwrap().await.unwrap();
        let began = std::time::Instant::now();
        let listener = Listener::start(world.spec().env("RUST_LOG", "info"));
        listener.ready().await;
        let log = listener.process.log_tail();
        let line = log.lines().find(|line| line.contains("read what was found before"));
        println!(
            "{goal} events, ready after {:?}: {}",
            began.elapsed(),
            line.unwrap_or_default()
        );
        let status = std::fs::read_to_string(format!("/proc/{}/status", listener.process.pid())).unwrap();
        println!(
            "{}",
            status
                .lines()
                .find(|line| line.starts_with("VmRSS"))
                .unwrap_or_default()
        );
        assert!(line.is_some_and(|line| line.contains("addresses=")), "{log}");
        assert!(listener.process.stop(Duration::from_secs(20)).await.success());
    }
}
