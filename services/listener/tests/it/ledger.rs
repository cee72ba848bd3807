//! Whatever breaks between Telegram and the listener: the ids that were posted are the ids that
//! are accounted for, and every address is in the stream once.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::Deserialize;
use tgmesh_stream::kv::Bucket;
use tgmesh_telegram_sim::{ChatKind, Config, Fault, FaultKind, Garbage, LoadSpec, LoadState};
use tgmesh_testkit::until;

use crate::world::{LIMIT, Listener, World, addresses, assert_same, is_soak, seed};

/// What the bucket holds of a chat, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Chapter {
    first: i32,
    done: Vec<(i32, i32)>,
}

pub fn config() -> Config {
    Config {
        accounts: 1,
        chats: 8,
        ..Config::default()
    }
}

fn ids(ranges: &[(i32, i32)]) -> BTreeSet<i32> {
    ranges.iter().flat_map(|&(start, end)| start..=end).collect()
}

/// The ids of a chat that were posted since it is followed and are in no range of the ledger.
/// Basic groups share the chapter of the account.
pub async fn unaccounted(world: &World, bucket: &Bucket, chat_id: i64) -> BTreeSet<i32> {
    let chats = world.sim().chats();
    let is_own = chats
        .iter()
        .any(|chat| chat.id == chat_id && chat.kind.has_own_numbers());
    let chapter = if is_own { chat_id } else { 0 };
    let posted = world.sim().ids(chat_id, Some("sim-1")).unwrap();
    let posted = ids(&posted.exists).into_iter().chain(ids(&posted.deleted));
    let Some(entry) = bucket.get(&format!("sim-1.{chapter}")).await.unwrap() else {
        // The account's own chapter begins with its first message.
        return if is_own { posted.collect() } else { BTreeSet::new() };
    };
    let chapter: Chapter = rmp_serde::from_slice(&entry.value).unwrap();
    let done = ids(&chapter.done);
    posted.filter(|id| *id >= chapter.first && !done.contains(id)).collect()
}

pub fn followed(world: &World) -> Vec<i64> {
    let chats = world.sim().chats().into_iter();
    let followed = chats.filter(|chat| !chat.accounts.is_empty());
    followed.map(|chat| chat.id).collect()
}

/// Waits until every id of every chat is accounted for, and compares what was posted with what
/// is in the stream.
pub async fn all_accounted(world: &World, listener: &Listener, what: &str) {
    let bucket = Bucket::open(&world.mesh, "tgmesh_ledger").await.unwrap();
    let chats = followed(world);
    let whole = async || {
        for &chat in &chats {
            if !unaccounted(world, &bucket, chat).await.is_empty() {
                return false;
            }
        }
        true
    };
    if !until(2 * LIMIT, whole).await {
        let mut left = Vec::new();
        for &chat in &chats {
            left.push((chat, unaccounted(world, &bucket, chat).await));
        }
        left.retain(|(_, ids)| !ids.is_empty());
        let own = bucket
            .get("sim-1.0")
            .await
            .unwrap()
            .map(|entry| rmp_serde::from_slice::<Chapter>(&entry.value));
        panic!(
            "{what}: not accounted for: {left:?} {own:?}\n{}",
            listener.process.log_tail()
        );
    }
    // Messages that nobody can have, because they were deleted before they were shown, are posted
    // without an address by these tests.
    let expected = world.posted();
    let events = world.wait_for(expected.values().sum(), listener).await;
    assert_same(&addresses(&events), &expected, listener);
    let ids: BTreeSet<_> = events.iter().map(|event| event.id.to_string()).collect();
    assert_eq!(ids.len(), events.len(), "{what}: an event is in the stream twice");
}

async fn under_load(world: &World, faults: Vec<Fault>, what: &str, listener: &Listener) {
    let load = LoadSpec {
        messages: Some(600),
        rate: Some(400.0),
        chats: None,
        address_share: 0.5,
        seed: 11,
    };
    for fault in faults {
        world.sim().inject(fault).unwrap();
    }
    world.sim().start_load(load).unwrap();
    assert!(
        until(LIMIT, async || world.sim().load().state == LoadState::Done).await,
        "{what}: the load run does not end"
    );
    let hits: Vec<_> = world.sim().faults().iter().map(|fault| fault.hits).collect();
    println!("{what}: hits {hits:?}");
    world.sim().heal_all();
    all_accounted(world, listener, what).await;
}

/// Faults of pushes, answers and connections that a listener gets over while they last.
fn matrix(world: &World) -> Vec<(&'static str, Vec<Fault>)> {
    let channel = world.chat(ChatKind::Channel);
    let group = world.chat(ChatKind::Supergroup);
    let some = |kind: FaultKind, share: f64| vec![Fault::new(kind).probability(share)];
    let method = |name: &str| Some(name.to_owned());
    vec![
        ("lost", some(FaultKind::Lost, 0.3)),
        ("doubled", some(FaultKind::Duplicated { copies: 2 }, 0.3)),
        (
            "reordered",
            some(
                FaultKind::Reordered {
                    window: 8,
                    hold_ms: 100,
                },
                1.0,
            ),
        ),
        ("burst", vec![Fault::new(FaultKind::Burst { size: Some(200) })]),
        ("poll only", vec![Fault::new(FaultKind::PollOnly).chat(channel)]),
        ("updates too long", some(FaultKind::UpdatesTooLong, 0.1)),
        (
            "channel too long",
            vec![
                Fault::new(FaultKind::ChannelTooLong { pts: false })
                    .chat(channel)
                    .probability(0.2),
            ],
        ),
        (
            "channel too long, with a place",
            vec![
                Fault::new(FaultKind::ChannelTooLong { pts: true })
                    .chat(group)
                    .probability(0.2),
            ],
        ),
        (
            "lost, and differences too long",
            vec![
                Fault::new(FaultKind::Lost).probability(0.3),
                Fault::new(FaultKind::ChannelDifferenceTooLong { behind: None }).count(20),
            ],
        ),
        (
            "lost, and floods in differences",
            vec![
                Fault::new(FaultKind::Lost).probability(0.2),
                Fault::new(FaultKind::FloodWait {
                    seconds: 1,
                    method: method("updates.getChannelDifference"),
                })
                .count(5),
            ],
        ),
        (
            "lost, and errors",
            vec![
                Fault::new(FaultKind::Lost).probability(0.2),
                Fault::new(FaultKind::RpcError {
                    code: 500,
                    message: "INTERNAL".into(),
                    method: method("updates.getChannelDifference"),
                })
                .count(3),
            ],
        ),
        ("unreadable beside it", some(FaultKind::UnknownUpdate, 0.05)),
        (
            "lost, and unreadable in differences",
            vec![
                Fault::new(FaultKind::Lost).probability(0.2),
                Fault::new(FaultKind::UnknownInDifference).count(6),
            ],
        ),
        (
            "garbage",
            some(
                FaultKind::Garbage {
                    shape: Garbage::Updates,
                },
                0.05,
            ),
        ),
        (
            "panics",
            vec![
                Fault::new(FaultKind::Garbage {
                    shape: Garbage::MsgCopy,
                })
                .count(2),
            ],
        ),
        ("closed", vec![Fault::new(FaultKind::Close)]),
        ("bad salts", vec![Fault::new(FaultKind::BadSalt).count(3)]),
        ("unknown peers", some(FaultKind::MinPeers { absent: true }, 0.5)),
    ]
}

#[tokio::test]
async fn every_id_is_accounted_for_under_each_fault() {
    let world = World::start(config()).await;
    let listener = world.listener().await;
    let only = std::env::var("TGMESH_FAULT").unwrap_or_default();
    for (what, faults) in matrix(&world).into_iter().filter(|(what, _)| what.contains(&only)) {
        under_load(&world, faults, what, &listener).await;
    }
    assert_eq!(listener.metric("unreachable_total").await, 0.0);
}

#[tokio::test]
async fn every_id_is_accounted_for_under_several_faults_at_once() {
    let seed = seed(4);
    let rounds = if is_soak() { 300 } else { 3 };
    let mut random = StdRng::seed_from_u64(seed);
    let world = World::start(config()).await;
    let listener = world.listener().await;
    for round in 0..rounds {
        let mut matrix = matrix(&world);
        let mut faults = Vec::new();
        let mut what = format!("seed {seed}, round {round}:");
        for _ in 0..3 {
            let (name, some) = matrix.swap_remove(random.random_range(0..matrix.len()));
            what = format!("{what} {name};");
            faults.extend(some.into_iter().map(|fault| fault.seed(random.random())));
        }
        under_load(&world, faults, &what, &listener).await;
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_read_stays_open_and_hides_no_other() {
    let world = World::start(config()).await;
    let listener = world.listener().await;
    let channel = world.chat(ChatKind::Channel);
    world.post(channel, "before");
    let fault = Fault::new(FaultKind::UnknownMedia).chat(channel).count(1);
    let fault = world.sim().inject(fault).unwrap();
    let unreadable = world.post(channel, "with something new").message_id;
    world.post(channel, "after");
    let bucket = Bucket::open(&world.mesh, "tgmesh_ledger").await.unwrap();
    let only_it = async || unaccounted(&world, &bucket, channel).await == BTreeSet::from([unreadable]);
    assert!(until(LIMIT, only_it).await, "{}", listener.process.log_tail());
    assert!(until(LIMIT, async || listener.metric("ledger_unreadable").await > 0.0).await);
    // A client that can read it would be a newer one: it is started again.
    world.sim().heal(&fault);
    assert!(listener.process.stop(Duration::from_secs(30)).await.success());
    let listener = world.listen(world.spec()).await;
    all_accounted(&world, &listener, "readable again").await;
}
