//! Matches, audit events, and what the schema promises to older binaries.

use tgmesh_proto::SCHEMA_VERSION;
use tgmesh_proto::audit::AuditEvent;
use tgmesh_proto::detection::Forward;
use tgmesh_proto::id::EventId;
use tgmesh_proto::matched::{Match, MatchKind};
use tgmesh_store::detections::{Inserted, Row, RowError};
use tgmesh_store::{DbConfig, Store, audit, matches};

use crate::{NOW_US, event, inserted, place, start};

fn matched(n: u64) -> Match {
    Match {
        event: MatchKind::UnresolvedLink,
        chain: Some("solana".to_owned()),
        site: Some("dexscreener.com".to_owned()),
        raw: Some("abc".to_owned()),
        link: Some("https://dexscreener.com/solana/abc".to_owned()),
        ..crate::matched(event(n))
    }
}

fn told(n: i64) -> AuditEvent {
    let event = AuditEvent {
        schema_version: SCHEMA_VERSION.to_owned(),
        id: EventId::from_bytes([0; 16]),
        service: "gateway".to_owned(),
        event: "login".to_owned(),
        at_us: NOW_US as i64 + n,
        instance: "g-1".to_owned(),
        actor: Some("ann".to_owned()),
        target: None,
        detail: [("role".to_owned(), "viewer \"x\"".to_owned())].into(),
    };
    event.with_id()
}

#[tokio::test]
async fn a_match_is_a_row_once() {
    let (database, store) = start().await;
    let rows = |range: std::ops::Range<u64>| -> Vec<_> {
        range
            .map(|n| matches::Row::new(matched(n), place(n), NOW_US).unwrap())
            .collect()
    };
    let insert = async |range| store.matches().insert_batch(&rows(range)).await.unwrap();
    assert_eq!(insert(0..50).await.rows, 50);
    assert_eq!(insert(40..60).await, inserted(10, 10));
    assert_eq!(store.matches().count().await.unwrap(), 60);
    assert_eq!(store.matches().insert_batch(&[]).await.unwrap(), Inserted::default());
    let found = database
        .query(
            "SELECT event, chain, site, raw, link, chat_id, message_id, sender_id, stream_epoch, \
             text = E'CA: 0x60a3… \\\\u0000 is six characters here', detail->'chat'->>'title' LIKE 'Gems%', \
             detail->'rules'->>0 FROM matches WHERE stream_seq = 7",
        )
        .await
        .unwrap();
    assert_eq!(
        found,
        "unresolved_link|solana|dexscreener.com|abc|https://dexscreener.com/solana/abc|-1001234567890|47|77|e1|t|t|all"
    );
    let partitions = "SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'matches'::regclass";
    assert_eq!(database.query(partitions).await.unwrap(), "matches_2026_11");
    let refused = matches::Row::new(
        Match {
            link: Some("\0".to_owned()),
            ..matched(1)
        },
        place(1),
        NOW_US,
    );
    assert_eq!(refused.unwrap_err(), RowError::Nul { field: "link" });
}

#[tokio::test]
async fn an_audit_event_is_a_row_once() {
    let (database, store) = start().await;
    let row = |n: i64| audit::Row::new(told(n), place(n.unsigned_abs())).unwrap();
    let insert = async |range: std::ops::Range<i64>| {
        let rows: Vec<_> = range.map(row).collect();
        store.audit().insert_batch(&rows).await.unwrap()
    };
    assert_eq!(insert(0..9).await.rows, 9);
    assert_eq!(insert(5..12).await, inserted(3, 4));
    assert_eq!(store.audit().count().await.unwrap(), 12);
    let found = database
        .query(
            "SELECT id = replace(id::text, '-', '')::uuid, (extract(epoch FROM at) * 1000000)::bigint, service, event, \
             instance, actor, target IS NULL, detail->>'role' FROM audit_log WHERE stream_seq = 3",
        )
        .await
        .unwrap();
    assert_eq!(found, "t|1795435200000003|gateway|login|g-1|ann|t|viewer \"x\"");
    let refuse = |change: fn(&mut AuditEvent)| {
        let mut event = told(1);
        change(&mut event);
        audit::Row::new(event, place(1)).unwrap_err()
    };
    assert_eq!(refuse(|e| e.at_us = i64::MAX), RowError::OutOfRange { field: "at_us" });
    assert_eq!(
        refuse(|e| e.actor = Some("\0".to_owned())),
        RowError::Nul { field: "actor" }
    );
    assert_eq!(
        refuse(|e| e.detail = [("a".to_owned(), "\0".to_owned())].into()),
        RowError::Nul { field: "detail" }
    );
}

#[tokio::test]
async fn a_forward_is_credited_where_its_date_can_be() {
    let (database, store) = start().await;
    let date_ms = event(0).message.date_ms;
    let forwards = [date_ms - 1000, date_ms, date_ms + 1, 9, i64::MAX, i64::MIN];
    let rows: Vec<Row> = (0..)
        .zip(forwards)
        .map(|(n, date_ms)| {
            let mut event = event(n);
            event.message.forward_from = Some(Forward {
                id: Some(-7),
                name: None,
                message_id: Some(3),
                date_ms,
            });
            Row::new(event, place(n), NOW_US).unwrap()
        })
        .collect();
    store.detections().insert_batch(&rows).await.unwrap();
    let credited = "SELECT stream_seq, message_date - forward_at, forward_id, forward_message_id FROM detections \
                    WHERE forward_at IS NOT NULL ORDER BY 1";
    let credited = database.query(credited).await.unwrap();
    assert_eq!(credited, "0|00:00:01|-7|3\n1|00:00:00|-7|3");
}

/// What the first version of the archiver sends.
const FIRST_INSERT: &str = "INSERT INTO detections (message_date, id, stream_epoch, stream_seq, event, family, chain, \
     address, coin_type, role, method, confidence, chat_id, message_id, revision, edit_date, sender_id, received_at, \
     detected_at, published_at, stored_at, text, detail) \
     SELECT * FROM UNNEST(ARRAY['2026-11-23 12:00:00+00', '2026-11-23 12:00:00+00']::timestamptz[], \
     ARRAY['00000000-0000-0000-0000-0000000000aa', '00000000-0000-0000-0000-000000000001']::uuid[], \
     ARRAY['e1', 'e1']::text[], ARRAY[8, 9]::bigint[], ARRAY['called', 'called']::text[], ARRAY['evm', 'evm']::text[], \
     ARRAY[NULL, NULL]::text[], ARRAY['0x01', '0x02']::text[], ARRAY[NULL, NULL]::text[], \
     ARRAY['token', 'token']::text[], ARRAY['plain', 'plain']::text[], ARRAY[1, 1]::float8[], \
     ARRAY[-5, -5]::bigint[], ARRAY[1, 2]::bigint[], ARRAY['r', 'r']::text[], ARRAY[NULL, NULL]::timestamptz[], \
     ARRAY[NULL, NULL]::bigint[], ARRAY[now(), now()]::timestamptz[], ARRAY[now(), now()]::timestamptz[], \
     ARRAY[now(), now()]::timestamptz[], ARRAY[now(), now()]::timestamptz[], ARRAY['t', 't']::text[], \
     ARRAY['{}', '{}']::jsonb[]) ON CONFLICT DO NOTHING";

/// How the first version makes a month.
const FIRST_PARTITION: &str = "CREATE TABLE IF NOT EXISTS detections_2026_11 PARTITION OF detections \
     FOR VALUES FROM ('2026-11-01 00:00:00+00') TO ('2026-12-01 00:00:00+00')";

#[tokio::test]
async fn an_older_archiver_runs_beside_this_one() {
    let (database, store) = start().await;
    database.query(FIRST_PARTITION).await.unwrap();
    database.query(FIRST_INSERT).await.unwrap();
    // One of its rows is one of ours.
    let rows: Vec<Row> = (0..5).map(crate::row).collect();
    let done = store.detections().insert_batch(&rows).await.unwrap();
    assert_eq!(done, inserted(4, 1));
    database.query(FIRST_PARTITION).await.unwrap();
    database.query(FIRST_INSERT).await.unwrap();
    assert_eq!(store.detections().count().await.unwrap(), 6);
}

#[tokio::test]
async fn a_database_with_rows_of_the_first_version_is_migrated() {
    let (database, store) = crate::unmigrated().await;
    database
        .query(include_str!("../../migrations/V1__detections.sql"))
        .await
        .unwrap();
    database.query(FIRST_PARTITION).await.unwrap();
    database.query(FIRST_INSERT).await.unwrap();
    // What the first version's migration left behind.
    let other = crate::unmigrated().await;
    other.1.migrate().await.unwrap();
    let checksum = "SELECT checksum FROM refinery_schema_history WHERE version = 1";
    let checksum = other.0.query(checksum).await.unwrap();
    database
        .query(&format!(
            "CREATE TABLE refinery_schema_history (version INT4 PRIMARY KEY, name VARCHAR(255), \
             applied_on VARCHAR(255), checksum VARCHAR(255)); \
             INSERT INTO refinery_schema_history VALUES (1, 'detections', '2026-11-23T12:00:00Z', '{checksum}')"
        ))
        .await
        .unwrap();
    store.migrate().await.unwrap();
    let rows: Vec<Row> = (0..5).map(crate::row).collect();
    assert_eq!(store.detections().insert_batch(&rows).await.unwrap(), inserted(4, 1));
    let plan =
        "SET enable_seqscan = off; EXPLAIN SELECT * FROM detections WHERE address = '0x01' ORDER BY message_date DESC";
    let plan = database.query(plan).await.unwrap();
    assert!(plan.contains("address_message_date_idx"), "{plan}");
}

#[tokio::test]
async fn a_binary_starts_against_a_newer_schema() {
    let (database, store) = start().await;
    database
        .query("INSERT INTO refinery_schema_history VALUES (900, 'later', '2027-01-01T00:00:00Z', '1')")
        .await
        .unwrap();
    store.migrate().await.unwrap();
    let again = Store::connect(&DbConfig::parse(database.url()).unwrap(), 1)
        .await
        .unwrap();
    again.migrate().await.unwrap();
    assert_eq!(again.detections().insert_batch(&[crate::row(1)]).await.unwrap().rows, 1);
}

/// Each query of the history API is answered from an index of its own.
#[tokio::test]
async fn history_is_read_from_indexes() {
    let (database, store) = start().await;
    store.detections().insert_batch(&[crate::row(1)]).await.unwrap();
    for (filter, index) in [
        ("true", "detections_2026_11_pkey"),
        ("chat_id = -5", "detections_2026_11_chat_id_message_date_idx"),
        ("address = 'x'", "detections_2026_11_address_message_date_idx"),
        ("sender_id = 5", "detections_2026_11_sender_id_message_date_idx"),
    ] {
        let plan = database
            .query(&format!(
                "SET enable_seqscan = off; SET enable_bitmapscan = off; EXPLAIN SELECT * FROM detections WHERE {filter} \
                 ORDER BY message_date DESC, id DESC LIMIT 100"
            ))
            .await
            .unwrap();
        assert!(
            plan.contains(&format!("Scan Backward using {index}")),
            "{filter}: {plan}"
        );
    }
}
