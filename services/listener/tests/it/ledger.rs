//! Whatever breaks between Telegram and the listener: the ids that were posted are the ids that
//! are accounted for, and every address is in the stream once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::Deserialize;
use tgmesh_stream::kv::Bucket;
use tgmesh_telegram_sim::{ChatKind, Config, Fault, FaultKind, Garbage, Kind, LoadSpec, LoadState, Refusal};
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

/// The ids of a channel that are accounted for.
pub async fn done(bucket: &Bucket, chat_id: i64) -> BTreeSet<i32> {
    let entry = bucket.get(&format!("sim-1.{chat_id}")).await.unwrap().unwrap();
    ids(&rmp_serde::from_slice::<Chapter>(&entry.value).unwrap().done)
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
    let expected = to_be_told(world);
    let events = world.wait_for(expected.values().sum(), listener).await;
    assert_same(&addresses(&events), &expected, listener);
    let ids: BTreeSet<_> = events.iter().map(|event| event.id.to_string()).collect();
    assert_eq!(ids.len(), events.len(), "{what}: an event is in the stream twice");
}

/// Addresses with the number of events each must give. What was deleted was so before anybody was
/// shown it.
fn to_be_told(world: &World) -> BTreeMap<String, usize> {
    let mut addresses = world.posted();
    for item in world.sim().posted(0, usize::MAX).items {
        if item.kind == Kind::Delete {
            for address in item.addresses {
                addresses.remove(&address);
            }
        }
    }
    addresses
}

/// Plays a load run with these faults, and looks for every id after it. Gives how often each struck.
pub async fn under_load(world: &World, faults: Vec<Fault>, what: &str, listener: &Listener) -> Vec<u64> {
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
    let hits = || -> Vec<u64> { world.sim().faults().iter().map(|fault| fault.hits).collect() };
    // Some strike only when the listener does something, which it does seldom when all is well.
    until(LIMIT / 4, async || !hits().contains(&0)).await;
    let (hits, began) = (hits(), Instant::now());
    println!("{what}: hits {hits:?}");
    world.sim().heal_all();
    all_accounted(world, listener, what).await;
    println!("{what}: made up for in {} ms", began.elapsed().as_millis());
    hits
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
        (
            "cut containers",
            some(
                FaultKind::Garbage {
                    shape: Garbage::Container,
                },
                0.02,
            ),
        ),
        (
            "damaged packets",
            vec![
                Fault::new(FaultKind::Garbage { shape: Garbage::Packet })
                    .probability(0.05)
                    .count(2),
            ],
        ),
        ("closed", vec![Fault::new(FaultKind::Close)]),
        (
            "closed, and refused",
            vec![
                Fault::new(FaultKind::Refuse { how: Refusal::Close }).count(2),
                Fault::new(FaultKind::Close),
            ],
        ),
        (
            "closed, and left alone",
            vec![
                Fault::new(FaultKind::Refuse { how: Refusal::Ignore }).count(1),
                Fault::new(FaultKind::Close),
            ],
        ),
        (
            "lost, and closed in the answer's place",
            vec![
                Fault::new(FaultKind::Lost).probability(0.2),
                Fault::new(FaultKind::Cut {
                    method: method("updates.getChannelDifference"),
                })
                .count(2),
            ],
        ),
        (
            "lost, and slow answers",
            vec![
                Fault::new(FaultKind::Lost).probability(0.2),
                Fault::new(FaultKind::Delay { ms: 700, method: None }).probability(0.5),
            ],
        ),
        (
            "lost, and the account's difference too long",
            vec![
                Fault::new(FaultKind::Lost).probability(0.3),
                Fault::new(FaultKind::DifferenceTooLong { behind: None }).count(3),
            ],
        ),
        (
            "an invalid channel",
            vec![
                Fault::new(FaultKind::ChannelLost {
                    message: "CHANNEL_INVALID".into(),
                })
                .chat(channel)
                .lasts(Duration::from_secs(1)),
            ],
        ),
        ("late", some(FaultKind::Late { after_ms: 1_500 }, 0.1)),
        ("vanished", some(FaultKind::Vanished, 0.05)),
        ("bad salts", vec![Fault::new(FaultKind::BadSalt).count(3)]),
        ("unknown peers", some(FaultKind::MinPeers { absent: true }, 0.5)),
    ]
}

/// Links that say nothing.
pub fn silences() -> Vec<(&'static str, Vec<Fault>)> {
    let mute = Fault::new(FaultKind::Mute).lasts(Duration::from_secs(3));
    vec![
        ("half-open", vec![Fault::new(FaultKind::HalfOpen)]),
        ("mute", vec![mute]),
    ]
}

/// Every second fault of the matrix, beginning with the first or the second.
async fn each_alone(begin: usize) {
    let world = World::start(config()).await;
    let listener = world.listener().await;
    let only = std::env::var("TGMESH_FAULT").unwrap_or_default();
    let faults = matrix(&world).into_iter().skip(begin).step_by(2);
    for (what, faults) in faults.filter(|(what, _)| what.contains(&only)) {
        let hits = under_load(&world, faults, what, &listener).await;
        assert!(!hits.contains(&0), "{what} did not happen: {hits:?}");
    }
    assert!(listener.metric("unreachable_total").await < 1.0);
}

#[tokio::test]
async fn every_id_is_accounted_for_under_each_fault() {
    each_alone(0).await;
}

#[tokio::test]
async fn every_id_is_accounted_for_under_each_other_fault() {
    each_alone(1).await;
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
        if is_soak() {
            // Each costs the time in which a dead link is noticed.
            matrix.extend(silences());
        }
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
