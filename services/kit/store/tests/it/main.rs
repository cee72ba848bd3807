//! Tests against a real Postgres.

mod erase;
mod measure;
mod retention;
mod roles;
mod roll_ups;
mod tables;

use std::time::Duration;

use tgmesh_proto::SCHEMA_VERSION;
use tgmesh_proto::detection::{
    Chat, ChatKind, Detection, EventKind, Family, Forward, Listener, Message, Method, Role, SeenBefore, Sender,
    SenderKind, Times,
};
use tgmesh_proto::id::EventId;
use tgmesh_proto::matched::{Match, MatchKind};
use tgmesh_store::detections::{Inserted, Place, Row, RowError};
use tgmesh_store::{DbConfig, Store};
use tgmesh_testkit::postgres::{Database, Server};
use tgmesh_testkit::{eventually, proxy::Proxy};

/// 2026-11-23T12:00:00Z.
const NOW_US: u64 = 1_795_435_200_000_000;

async fn start() -> (Database, Store) {
    let (database, store) = unmigrated().await;
    store.migrate().await.unwrap();
    (database, store)
}

async fn unmigrated() -> (Database, Store) {
    let database = Server::shared()
        .await
        .expect("Postgres")
        .database()
        .await
        .expect("database");
    let store = Store::connect(&DbConfig::parse(database.url()).unwrap(), 3)
        .await
        .unwrap();
    (database, store)
}

fn event(n: u64) -> Detection {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    Detection {
        schema_version: SCHEMA_VERSION.to_owned(),
        id: EventId::from_bytes(id),
        event: EventKind::Called,
        family: Family::Evm,
        chain: Some("base".to_owned()),
        address: "0x60a3E35Cc302bFA44Cb288Bc5a4F316Fdb1adb42".to_owned(),
        coin_type: None,
        role: Role::Token,
        method: Method::Plain,
        evidence: vec!["eip55".to_owned(), "word:base".to_owned()],
        confidence: 0.875,
        raw: "0x60a3E35Cc302bFA44Cb288Bc5a4F316Fdb1adb42".to_owned(),
        seen_before: Some(SeenBefore {
            count: 2,
            first_ms: 5,
            first_chat: -7,
        }),
        chat: Chat {
            id: -1_001_234_567_890,
            title: "Gems \"daily\" 🚀\u{202e}".to_owned(),
            username: Some("gems".to_owned()),
            kind: ChatKind::Channel,
        },
        message: Message {
            id: 40 + n as i64,
            date_ms: (NOW_US / 1000) as i64,
            edit_date_ms: Some((NOW_US / 1000) as i64 + 1000),
            revision: "0-01020304".to_owned(),
            text: "CA: 0x60a3… \\u0000 is six characters here".to_owned(),
            link: Some("https://t.me/gems/41".to_owned()),
            reply_to: Some(3),
            forward_from: Some(Forward {
                id: None,
                name: Some("x".to_owned()),
                message_id: None,
                date_ms: 9,
            }),
        },
        sender: Some(Sender {
            id: 77,
            username: None,
            name: "Ann".to_owned(),
            kind: SenderKind::User,
        }),
        rules: vec!["all".to_owned()],
        listener: Listener {
            instance: "l-1".to_owned(),
            account: "sim-1".to_owned(),
            shard: 1,
            lease_epoch: 2,
            backfill: false,
            detector: "1".to_owned(),
            layer: 230,
        },
        times: Times {
            received_us: NOW_US as i64 + 1,
            detected_us: NOW_US as i64 + 2,
            published_us: NOW_US as i64 + 3,
        },
    }
}

/// A match of this event's message.
fn matched(of: Detection) -> Match {
    Match {
        schema_version: of.schema_version,
        id: of.id,
        event: MatchKind::RuleMatched,
        chain: None,
        site: None,
        raw: None,
        link: None,
        chat: of.chat,
        message: of.message,
        sender: of.sender,
        rules: of.rules,
        listener: of.listener,
        times: of.times,
    }
}

/// What a batch did of which nothing is too old.
fn inserted(rows: u64, duplicates: u64) -> Inserted {
    Inserted {
        rows,
        duplicates,
        expired: 0,
    }
}

fn place(seq: u64) -> Place {
    Place {
        epoch: "e1".into(),
        seq,
        stored_us: NOW_US + 4,
    }
}

fn row(n: u64) -> Row {
    Row::new(event(n), place(n), NOW_US).expect("fits")
}

#[tokio::test]
async fn nothing_of_an_event_is_lost() {
    let (database, store) = start().await;
    assert_eq!(
        store.detections().insert_batch(&[row(1)]).await.unwrap(),
        inserted(1, 0)
    );
    let columns = database
        .query(
            "SELECT id, extract(epoch FROM message_date)::bigint, stream_epoch, stream_seq, event, family, chain, \
             address, coin_type IS NULL, role, method, confidence, chat_id, message_id, revision, \
             extract(epoch FROM edit_date)::bigint, sender_id, (extract(epoch FROM received_at) * 1000000)::bigint, \
             (extract(epoch FROM stored_at) * 1000000)::bigint, archived_at > now() - interval '1 minute' \
             FROM detections",
        )
        .await
        .unwrap();
    assert_eq!(
        columns.trim(),
        "00000000-0000-0000-0000-000000000001|1795435200|e1|1|called|evm|base|\
         0x60a3E35Cc302bFA44Cb288Bc5a4F316Fdb1adb42|t|token|plain|0.875|-1001234567890|41|0-01020304|1795435201|77|\
         1795435200000001|1795435200000004|t"
    );
    let text = database.query("SELECT text FROM detections").await.unwrap();
    assert_eq!(text.trim(), event(1).message.text);
    let detail = database.query("SELECT detail FROM detections").await.unwrap();
    let detail: serde_json::Value = serde_json::from_str(detail.trim()).unwrap();
    let whole = serde_json::to_value(event(1)).unwrap();
    for path in [
        "/schema_version",
        "/evidence",
        "/raw",
        "/seen_before",
        "/chat/title",
        "/chat/username",
        "/chat/kind",
        "/message/link",
        "/message/reply_to",
        "/message/forward_from",
        "/sender/name",
        "/sender/kind",
        "/rules",
        "/listener",
    ] {
        assert_eq!(detail.pointer(path), whole.pointer(path), "{path}");
    }
    let stored = &store.detections().by_ids(&[event(1).id, event(2).id]).await.unwrap()[..];
    assert!(
        matches!(stored, [one] if one.id == event(1).id && one.stream_seq == 1 && one.stored_us == NOW_US as i64 + 4)
    );
}

#[tokio::test]
async fn writing_the_same_event_twice_changes_nothing() {
    let (_database, store) = start().await;
    let table = store.detections();
    let rows: Vec<Row> = (0..500).map(row).collect();
    assert_eq!(table.insert_batch(&rows).await.unwrap(), inserted(500, 0));
    let first = table.by_ids(&[event(7).id]).await.unwrap();
    let again: Vec<Row> = (400..600)
        .chain(590..595)
        .map(|n| Row::new(event(n), place(n + 9000), NOW_US).unwrap())
        .collect();
    assert_eq!(table.insert_batch(&again).await.unwrap(), inserted(100, 105));
    assert_eq!(table.count().await.unwrap(), 600);
    assert_eq!(table.by_ids(&[event(7).id]).await.unwrap(), first);
    assert_eq!(table.insert_batch(&[]).await.unwrap(), Inserted::default());
    let after = table.after("e1", 497, 3).await.unwrap();
    assert_eq!(
        after.iter().map(|row| row.stream_seq).collect::<Vec<_>>(),
        [498, 499, 9500]
    );
}

#[tokio::test]
async fn months_are_made_on_demand_by_several_at_once() {
    let (database, store) = start().await;
    let months: Vec<i64> = vec![
        1_375_315_200_000,
        1_709_251_199_999,
        1_709_251_200_000,
        NOW_US as i64 / 1000 + 86_400_000,
    ];
    let mut writers = Vec::new();
    for writer in 0..6_u64 {
        // Each with a pool and a memory of its own, as in processes of their own.
        let store = Store::connect(&DbConfig::parse(database.url()).unwrap(), 1)
            .await
            .unwrap();
        let rows: Vec<Row> = months
            .iter()
            .zip(0_u64..)
            .map(|(&date_ms, n)| {
                let mut event = event(writer * 100 + n);
                event.message.date_ms = date_ms;
                Row::new(event, place(n), NOW_US).unwrap()
            })
            .collect();
        writers.push(tokio::spawn(async move {
            store.detections().insert_batch(&rows).await.unwrap()
        }));
    }
    for writer in writers {
        assert_eq!(writer.await.unwrap().rows, 4);
    }
    let partitions = "SELECT relname FROM pg_class WHERE relname LIKE 'detections\\_2%' AND relkind = 'r' ORDER BY 1";
    let names = database.query(partitions).await.unwrap();
    assert_eq!(
        names.split_whitespace().collect::<Vec<_>>(),
        [
            "detections_2013_08",
            "detections_2024_02",
            "detections_2024_03",
            "detections_2026_11",
        ]
    );
    // Dropped by somebody, and needed again.
    database.query("DROP TABLE detections_2024_02").await.unwrap();
    let mut old = event(5000);
    old.message.date_ms = months[1];
    let row = Row::new(old, place(1), NOW_US).unwrap();
    let mut other = event(5001);
    other.message.date_ms = months[2];
    store
        .detections()
        .insert_batch(&[Row::new(other, place(2), NOW_US).unwrap()])
        .await
        .unwrap();
    assert_eq!(store.detections().insert_batch(&[row]).await.unwrap().rows, 1);
    assert_eq!(store.detections().count().await.unwrap(), 6 * 4 - 6 + 2);
}

#[tokio::test]
async fn a_partition_dropped_under_a_running_process_is_made_again() {
    let (database, store) = start().await;
    store.detections().insert_batch(&[row(1)]).await.unwrap();
    database.query("DROP TABLE detections_2026_11").await.unwrap();
    assert_eq!(store.detections().insert_batch(&[row(2)]).await.unwrap().rows, 1);
}

#[tokio::test]
async fn what_can_never_be_a_row_is_told() {
    let refuse = |change: fn(&mut Detection)| {
        let mut event = event(1);
        change(&mut event);
        Row::new(event, place(1), NOW_US).unwrap_err()
    };
    assert!(matches!(
        refuse(|e| e.message.date_ms = 0),
        RowError::DateOutOfRange { date_ms: 0 }
    ));
    assert!(matches!(
        refuse(|e| e.message.date_ms = i64::MAX),
        RowError::DateOutOfRange { .. }
    ));
    assert_eq!(
        refuse(|e| e.message.text = "a\0b".to_owned()),
        RowError::Nul { field: "message.text" }
    );
    assert_eq!(
        refuse(|e| e.rules = vec!["\0".to_owned()]),
        RowError::Nul { field: "rules" }
    );
    assert_eq!(
        refuse(|e| e.sender.as_mut().unwrap().name = "\0".to_owned()),
        RowError::Nul { field: "sender.name" }
    );
    assert_eq!(
        refuse(|e| e.times.received_us = i64::MAX),
        RowError::OutOfRange {
            field: "times.received_us"
        }
    );
    assert_eq!(
        refuse(|e| e.message.edit_date_ms = Some(i64::MIN)),
        RowError::OutOfRange {
            field: "message.edit_date_ms"
        }
    );
}

#[tokio::test]
async fn a_row_that_the_server_refuses_is_a_row_fault() {
    let (database, store) = start().await;
    database
        .query("ALTER TABLE detections ADD CHECK (message_id <> 43)")
        .await
        .unwrap();
    let error = store
        .detections()
        .insert_batch(&[row(1), row(3), row(4)])
        .await
        .unwrap_err();
    assert!(error.is_row_fault() && !error.is_transient(), "{error}");
    assert_eq!(
        store.detections().count().await.unwrap(),
        0,
        "nothing of the batch is written"
    );
    database.query("ALTER TABLE detections RENAME TO hidden").await.unwrap();
    let error = store.detections().insert_batch(&[row(1)]).await.unwrap_err();
    assert!(
        !error.is_row_fault() && !error.is_transient(),
        "an operator's matter: {error}"
    );
}

#[tokio::test]
async fn migrations_of_several_processes_take_turns() {
    let database = Server::shared().await.unwrap().database().await.unwrap();
    let config = DbConfig::parse(database.url()).unwrap();
    let mut migrations = Vec::new();
    for _ in 0..5 {
        let store = Store::connect(&config, 1).await.unwrap();
        migrations.push(tokio::spawn(async move { store.migrate().await }));
    }
    for migration in migrations {
        migration.await.unwrap().unwrap();
    }
    assert_eq!(
        database
            .query("SELECT count(*) = max(version) AND count(*) > 1 FROM refinery_schema_history")
            .await
            .unwrap()
            .trim(),
        "t"
    );
}

#[tokio::test]
async fn a_broken_connection_is_tried_once_more_on_a_fresh_one() {
    let (database, store) = start().await;
    store.detections().insert_batch(&[row(1)]).await.unwrap();
    database
        .query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
        .await
        .unwrap();
    assert_eq!(store.detections().insert_batch(&[row(2)]).await.unwrap().rows, 1);
}

#[tokio::test]
async fn a_wire_that_is_cut_is_a_transient_fault() {
    let server = Server::shared().await.unwrap();
    let database = server.database().await.unwrap();
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await.unwrap();
    let url = database
        .url()
        .replace(&format!(":{}/", server.port()), &format!(":{}/", proxy.port()));
    let store = Store::connect(&DbConfig::parse(&url).unwrap(), 2).await.unwrap();
    store.migrate().await.unwrap();
    store.detections().insert_batch(&[row(1)]).await.unwrap();
    proxy.cut();
    let error = store.detections().insert_batch(&[row(2)]).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    proxy.heal();
    eventually(Duration::from_secs(20), "it works again", async || {
        store.detections().insert_batch(&[row(2)]).await.is_ok()
    })
    .await;
    assert_eq!(store.detections().count().await.unwrap(), 2);
}
