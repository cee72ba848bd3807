//! The roll-ups and "first seen" against a model, whatever comes late, twice or from the past.

mod model;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use tgmesh_proto::detection::{Chat, ChatKind, Detection, EventKind, Family, Forward, Sender, SenderKind};
use tgmesh_proto::matched::Match;
use tgmesh_store::detections::Row;
use tgmesh_store::{DbConfig, RolledUp, Store, matches};
use tgmesh_testkit::eventually;
use tgmesh_testkit::postgres::Database;

use crate::{NOW_US, event, matched, place, start};
use model::{Model, OTHER_CHAT};

/// The model's addresses: one in two families, one with coin types.
const ADDRESSES: [(Family, &str, Option<&str>); 5] = [
    (Family::Evm, "0x01", None),
    (Family::Sui, "0x02", None),
    (Family::Aptos, "0x02", None),
    (Family::Sui, "0x03", Some("0x03::a::A")),
    (Family::Sui, "0x03", Some("0x03::b::B")),
];
const CHATS: [i64; 4] = [-1_001, -1_002, -1_003, 900];
const SENDERS: [i64; 3] = [41, 42, 43];

fn seed() -> u64 {
    let is_soak = std::env::var_os("TGMESH_SOAK").is_some_and(|soak| soak == "1");
    let seed = if is_soak { rand::random() } else { 7 };
    println!("seed {seed}");
    seed
}

fn steps() -> usize {
    let is_soak = std::env::var_os("TGMESH_SOAK").is_some_and(|soak| soak == "1");
    if is_soak { 3000 } else { 120 }
}

/// An event as they come: live or old, edited, forwarded, retracted.
fn random_event(n: u64, random: &mut StdRng) -> Detection {
    let (family, address, coin_type) = ADDRESSES[random.random_range(0..ADDRESSES.len())];
    let now_ms = (NOW_US / 1000) as i64;
    let mut event = event(n);
    event.family = family;
    address.clone_into(&mut event.address);
    event.coin_type = coin_type.map(str::to_owned);
    event.event = match random.random_range(0..10) {
        0..6 => EventKind::Called,
        6..8 => EventKind::AddedByEdit,
        _ => EventKind::Retracted,
    };
    let chat = CHATS[random.random_range(0..CHATS.len())];
    event.chat = Chat {
        id: chat,
        title: format!("title {n}"),
        username: random.random_bool(0.5).then(|| format!("name{n}")),
        kind: ChatKind::Supergroup,
    };
    event.message.id = random.random_range(1..500);
    // Few distinct times, so that ties are decided too.
    let hours = random.random_range(0..1500);
    event.message.date_ms = now_ms - hours * 3_600_000;
    event.message.edit_date_ms = random
        .random_bool(0.4)
        .then(|| event.message.date_ms + random.random_range(-2..30) * 3_600_000);
    event.sender = random.random_bool(0.8).then(|| Sender {
        id: SENDERS[random.random_range(0..SENDERS.len())],
        username: random.random_bool(0.5).then(|| format!("user{n}")),
        name: format!("person {n}"),
        kind: SenderKind::User,
    });
    event.message.forward_from = random.random_bool(0.4).then(|| Forward {
        id: match random.random_range(0..4) {
            0 => Some(CHATS[random.random_range(0..CHATS.len())]),
            1 => Some(OTHER_CHAT),
            2 => Some(77),
            _ => None,
        },
        name: Some("origin".to_owned()),
        message_id: random.random_bool(0.5).then_some(5),
        date_ms: event.message.date_ms - random.random_range(-3..40) * 3_600_000,
    });
    event.times.received_us = NOW_US as i64 + n as i64;
    event
}

fn random_match(n: u64, random: &mut StdRng) -> Match {
    matched(random_event(n, random))
}

async fn insert(store: &Store, events: &[Detection]) {
    let row = |event: &Detection| {
        let n = u64::from_be_bytes(event.id.as_bytes()[8..].try_into().unwrap());
        Row::new(event.clone(), place(n), NOW_US).expect("fits")
    };
    let rows: Vec<Row> = events.iter().map(row).collect();
    store.detections().insert_batch(&rows).await.expect("inserted");
}

/// Counts until nothing is left.
pub async fn roll_up(store: &Store) -> u64 {
    let rows = AtomicU64::new(0);
    // Another database's transaction may hold it back for a moment.
    eventually(Duration::from_mins(1), "everything is counted", async || {
        let step = store.roll_up(1000).await.expect("it counts");
        rows.fetch_add(step.map_or(0, |step| step.rows), Ordering::Relaxed);
        store.uncounted().await.expect("an answer") == 0
    })
    .await;
    rows.into_inner()
}

async fn assert_answers(store: &Store, model: &Model) {
    for address in ["0x01", "0x02", "0x03", "0x04"] {
        let chats = [CHATS[0], CHATS[2], OTHER_CHAT];
        for permitted in [None, Some(&chats[..]), Some(&[][..])] {
            let found = store.addresses().first_seen(address, permitted).await.unwrap();
            assert_eq!(found, model.first_seen(address, permitted), "{address} {permitted:?}");
            let found = store.addresses().spread(address, permitted, 100).await.unwrap();
            assert_eq!(found, model.spread(address, permitted), "{address} {permitted:?}");
        }
    }
}

async fn assert_tables(database: &Database, model: &Model) {
    let addresses = "SELECT family, address, coin_type, extract(epoch FROM first_seen)::bigint, first_credited, \
         first_chat_id, first_message_id, first_sender_id, extract(epoch FROM last_seen)::bigint, called, \
         added_by_edit, retracted FROM addresses ORDER BY family, address, coin_type";
    assert_eq!(database.query(addresses).await.unwrap(), model.addresses());
    let chats = "SELECT chat_id, title, username, kind, extract(epoch FROM first_seen)::bigint, \
         extract(epoch FROM last_seen)::bigint, called, added_by_edit, retracted, matched FROM chats ORDER BY 1";
    assert_eq!(database.query(chats).await.unwrap(), model.chats());
    let senders = "SELECT sender_id, name, username, kind, extract(epoch FROM first_seen)::bigint, \
         extract(epoch FROM last_seen)::bigint, called, added_by_edit, retracted, matched FROM senders ORDER BY 1";
    assert_eq!(database.query(senders).await.unwrap(), model.senders());
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_and_firsts_equal_the_model() {
    let (database, store) = start().await;
    let other = Store::connect(&DbConfig::parse(database.url()).unwrap(), 3)
        .await
        .unwrap();
    let mut random = StdRng::seed_from_u64(seed());
    let mut model = Model::default();
    let mut known: Vec<Detection> = Vec::new();
    for step in 0..steps() {
        let fresh: Vec<Detection> = (0..random.random_range(1..20))
            .map(|n| random_event((step * 100 + n) as u64, &mut random))
            .collect();
        // Some come again: in this batch, or long after they were counted.
        let mut batch = fresh.clone();
        batch.extend((0..3).filter_map(|_| known.get(random.random_range(0..known.len().max(1))).cloned()));
        batch.shuffle(&mut random);
        let also = batch[..batch.len() / 2].to_vec();
        let matched: Vec<Match> = (0..random.random_range(0..3))
            .map(|n| random_match((step * 100 + 50 + n) as u64, &mut random))
            .collect();
        let rows: Vec<_> = matched
            .iter()
            .map(|event| matches::Row::new(event.clone(), place(1), NOW_US).unwrap())
            .collect();
        let table = store.matches();
        let most = random.random_range(1..40);
        // Two processes write and count at the same time.
        let ((), (), inserted, one, two) = tokio::join!(
            insert(&store, &batch),
            insert(&other, &also),
            table.insert_batch(&rows),
            other.roll_up(most),
            store.roll_up(most)
        );
        inserted.unwrap();
        one.unwrap();
        two.unwrap();
        for event in &fresh {
            model.take(event);
        }
        for event in &matched {
            model.take_match(event);
        }
        known.extend(fresh);
        if step % 10 == 0 {
            assert_answers(&other, &model).await;
        }
        if random.next_u32() % 40 == 0 {
            roll_up(&store).await;
            assert_tables(&database, &model).await;
        }
    }
    roll_up(&store).await;
    assert_tables(&database, &model).await;
    assert_answers(&store, &model).await;
    // Counting starts nothing anew.
    assert_eq!(
        store.roll_up(1000).await.unwrap(),
        Some(RolledUp {
            rows: 0,
            is_behind: false
        })
    );
    assert_tables(&database, &model).await;
}

#[tokio::test]
async fn one_process_counts_at_a_time_and_a_kill_counts_nothing_twice() {
    let (database, store) = start().await;
    let events: Vec<Detection> = (0..100).map(event).collect();
    insert(&store, &events).await;
    let psql = {
        // Counts, and dies before its commit.
        let url = database.url().to_owned();
        tokio::spawn(async move {
            tgmesh_testkit::postgres::query(&url, "BEGIN; SELECT roll_up(1000); SELECT pg_sleep(60); COMMIT").await
        })
    };
    let sleeper = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    eventually(Duration::from_secs(20), "the other one counts", async || {
        !database.query(sleeper).await.unwrap().is_empty()
    })
    .await;
    assert_eq!(store.roll_up(1000).await.unwrap(), None);
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    database.query(kill).await.unwrap();
    assert!(psql.await.unwrap().is_err());
    assert_eq!(roll_up(&store).await, 100);
    assert_eq!(
        database.query("SELECT sum(called) FROM addresses").await.unwrap(),
        "100"
    );
}

#[tokio::test]
async fn what_commits_late_is_counted_late_but_counted() {
    let (database, store) = start().await;
    insert(&store, &[event(1)]).await;
    let session = |sql: &'static str| {
        let url = database.url().to_owned();
        tokio::spawn(async move { tgmesh_testkit::postgres::query(&url, sql).await })
    };
    let waits = async |event: &str| {
        let waiting = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = '{event}'"
        );
        eventually(Duration::from_mins(1), "the session waits", async || {
            database.query(&waiting).await.unwrap() == "1"
        })
        .await;
    };
    let gate = session("SELECT pg_advisory_lock(1); SELECT pg_sleep(600)");
    waits("PgSleep").await;
    // Writes its row before the others, and commits after they were counted.
    let slow = session(
        "BEGIN; INSERT INTO detections SELECT (jsonb_populate_record(d, \
         '{\"id\": \"00000000-0000-0000-0000-0000000000ff\"}')).* FROM detections AS d; \
         UPDATE detections SET archived_xid = pg_current_xact_id()::text::bigint \
         WHERE id = '00000000-0000-0000-0000-0000000000ff'; \
         SELECT pg_advisory_lock(1); COMMIT",
    );
    waits("advisory").await;
    insert(&store, &[event(2), event(3)]).await;
    let before = store.roll_up(1000).await.unwrap().unwrap();
    assert!(before.rows <= 1, "what is not ended is not counted: {before:?}");
    let open = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    database.query(open).await.unwrap();
    assert!(gate.await.unwrap().is_err());
    slow.await.unwrap().unwrap();
    assert_eq!(before.rows + roll_up(&store).await, 4);
    assert_eq!(database.query("SELECT called FROM addresses").await.unwrap(), "4");
}

#[tokio::test]
async fn a_database_from_another_server_counts_on() {
    let (database, store) = start().await;
    insert(&store, &(0..50).map(event).collect::<Vec<_>>()).await;
    assert_eq!(roll_up(&store).await, 50);
    insert(&store, &(50..60).map(event).collect::<Vec<_>>()).await;
    assert!(!store.rebase_roll_up().await.unwrap(), "nothing is wrong here");
    // As after a restore from a dump: that server had given out far more numbers.
    let lift = "UPDATE detections SET archived_xid = archived_xid + 1000000000; \
                UPDATE roll_up_state SET next_xid = next_xid + 1000000000";
    database.query(lift).await.unwrap();
    assert_eq!(store.roll_up(1000).await.unwrap().map(|step| step.rows), Some(0));
    assert!(store.rebase_roll_up().await.unwrap());
    assert!(!store.rebase_roll_up().await.unwrap());
    insert(&store, &(60..75).map(event).collect::<Vec<_>>()).await;
    assert_eq!(roll_up(&store).await, 25);
    assert_eq!(database.query("SELECT called FROM addresses").await.unwrap(), "75");
    assert!(!store.rebase_roll_up().await.unwrap());
}
