//! What is kept for how long.

use std::time::Duration;

use tgmesh_proto::detection::Detection;
use tgmesh_store::detections::{Inserted, Row};
use tgmesh_store::{DbConfig, Retention, Store};
use tgmesh_testkit::eventually;
use tgmesh_testkit::postgres::Database;

use crate::{NOW_US, event, inserted, place, start};

const DAY: Duration = Duration::from_hours(24);

fn aged(n: u64, days: u64) -> Detection {
    let mut event = event(n);
    event.message.date_ms -= days as i64 * 86_400_000;
    event.message.edit_date_ms = None;
    event
}

fn row(n: u64, days: u64) -> Row {
    Row::new(aged(n, days), place(n), NOW_US).expect("fits")
}

fn keeping(store: &Store, rows: Option<u64>, texts: Option<u64>) -> Store {
    let days = |days: u64| DAY * u32::try_from(days).unwrap();
    store.clone().with_retention(Retention {
        rows: rows.map(days),
        texts: texts.map(days),
    })
}

async fn partitions(database: &Database) -> String {
    let query = "SELECT string_agg(right(inhrelid::regclass::text, 7), ' ' ORDER BY 1) FROM (SELECT inhrelid FROM pg_inherits \
                 WHERE inhparent = 'detections'::regclass) AS p";
    let query = query.replace("ORDER BY 1", "ORDER BY inhrelid::regclass::text");
    database.query(&query).await.unwrap()
}

async fn count_all(store: &Store) {
    eventually(Duration::from_secs(30), "everything is counted", async || {
        store.roll_up(10_000).await.unwrap();
        store.uncounted().await.unwrap() == 0
    })
    .await;
}

#[tokio::test]
async fn what_is_too_old_is_not_written_but_counted() {
    let (database, store) = start().await;
    let store = keeping(&store, Some(40), Some(30));
    let rows = [row(1, 0), row(2, 29), row(3, 31), row(4, 39), row(5, 41), row(6, 4000)];
    let done = store.detections().insert_batch(&rows).await.unwrap();
    let expected = Inserted {
        rows: 4,
        duplicates: 0,
        expired: 2,
    };
    assert_eq!(done, expected);
    let again = store.detections().insert_batch(&rows).await.unwrap();
    assert_eq!((again.rows, again.duplicates, again.expired), (0, 4, 2));
    let texts = "SELECT string_agg(stream_seq || CASE WHEN text IS NULL THEN '-' ELSE '+' END, ' ' ORDER BY stream_seq) FROM detections";
    assert_eq!(database.query(texts).await.unwrap(), "1+ 2+ 3- 4-");
    assert_eq!(partitions(&database).await, "2026_10 2026_11");
    let alone = store.detections().insert_batch(&rows[5..]).await.unwrap();
    assert_eq!(alone.expired, 1);
    assert_eq!(partitions(&database).await, "2026_10 2026_11");
}

#[tokio::test]
async fn months_are_dropped_when_they_are_counted_and_all_of_them_is_too_old() {
    let (database, store) = start().await;
    // September, October and November of 2026, and a message of 2020.
    let rows = [row(1, 0), row(2, 30), row(3, 70), row(4, 2200)];
    store.detections().insert_batch(&rows).await.unwrap();
    assert_eq!(partitions(&database).await, "2020_11 2026_09 2026_10 2026_11");
    let keeper = keeping(&store, Some(40), None);
    let error = keeper.drop_expired_month(NOW_US).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    count_all(&store).await;
    // A reader in the middle of it is not waited for for long.
    let url = database.url().to_owned();
    let reader = tokio::spawn(async move {
        tgmesh_testkit::postgres::query(&url, "BEGIN; SELECT count(*) FROM detections; SELECT pg_sleep(60)").await
    });
    let sleeper = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    eventually(Duration::from_secs(20), "it reads", async || {
        !database.query(sleeper).await.unwrap().is_empty()
    })
    .await;
    let error = keeper.drop_expired_month(NOW_US).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    database.query(end).await.unwrap();
    assert!(reader.await.unwrap().is_err());
    for dropped in [Some("detections_2020_11"), Some("detections_2026_09"), None, None] {
        assert_eq!(keeper.drop_expired_month(NOW_US).await.unwrap().as_deref(), dropped);
    }
    assert_eq!(partitions(&database).await, "2026_10 2026_11");
    assert_eq!(store.detections().count().await.unwrap(), 2);
    // What was known of the address stays known.
    let first = store.addresses().first_seen(&event(1).address, None).await.unwrap();
    assert_eq!(first[0].counts.called, 4);
    let forgotten = aged(4, 2200).message.forward_from.map(|forward| forward.date_ms);
    assert_eq!(
        forgotten,
        Some(9),
        "its date is none, so the message itself was the first"
    );
    assert_eq!(
        first[0].first.as_ref().unwrap().at_us,
        aged(4, 2200).message.date_ms * 1000
    );
    // One that keeps everything drops nothing.
    assert_eq!(store.drop_expired_month(NOW_US).await.unwrap(), None);
    let young = database
        .query("SELECT drop_month('detections', now())")
        .await
        .unwrap_err();
    assert!(young.to_string().contains("younger than a day"), "{young}");
    for parent in ["addresses", "audit_log", "pg_class"] {
        let refused = format!("SELECT drop_month('{parent}', '2020-01-01'::timestamptz)");
        assert!(database.query(&refused).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_making_writing_and_counting_at_once_ends_well() {
    let (database, store) = start().await;
    let mut tasks = Vec::new();
    for process in 0..4_u64 {
        let store = Store::connect(&DbConfig::parse(database.url()).unwrap(), 2)
            .await
            .unwrap();
        let keeper = keeping(&store, Some(100), Some(50));
        tasks.push(tokio::spawn(async move {
            for step in 0..25_u64 {
                // One that keeps more writes what another drops, as while a setting is changed.
                let rows: Vec<Row> = (0..8)
                    .map(|n| row(process * 1_000_000 + step * 100 + n, (step % 5) * 45 + n))
                    .collect();
                let transient = |error: tgmesh_store::StoreError| assert!(error.is_transient(), "{error}");
                let mut left = 200;
                while let Err(error) = store.detections().insert_batch(&rows).await {
                    // Like the archiver: it tries again.
                    transient(error);
                    left -= 1;
                    assert!(left > 0, "a batch is never written");
                }
                let _ = store.roll_up(500).await.map_err(transient);
                let _ = keeper.drop_expired_month(NOW_US).await.map_err(transient);
                let _ = keeper.clear_expired_texts(NOW_US, 50).await.map_err(transient);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    count_all(&store).await;
    let keeper = keeping(&store, Some(100), Some(50));
    while keeper.drop_expired_month(NOW_US).await.unwrap().is_some() {}
    while keeper.clear_expired_texts(NOW_US, 1000).await.unwrap() > 0 {}
    assert_eq!(partitions(&database).await, "2026_08 2026_10 2026_11");
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(database.query(deadlocks).await.unwrap(), "0");
    // Four times 25 batches of 8, none counted twice, whatever was dropped.
    assert_eq!(
        database.query("SELECT sum(called) FROM addresses").await.unwrap(),
        "800"
    );
    let old = "SELECT count(*) FROM detections WHERE text IS NOT NULL AND message_date < '2026-10-04 12:00:00+00'";
    assert_eq!(database.query(old).await.unwrap(), "0");
}

#[tokio::test]
async fn texts_go_before_their_rows() {
    let (database, store) = start().await;
    let rows: Vec<Row> = (0..60).map(|n| row(n, n)).collect();
    store.detections().insert_batch(&rows).await.unwrap();
    let keeper = keeping(&store, None, Some(30));
    let with_text = async || {
        let query = "SELECT count(*), min(message_date) FROM detections WHERE text IS NOT NULL";
        database.query(query).await.unwrap()
    };
    let mut steps = Vec::new();
    while let cleared @ 1.. = keeper.clear_expired_texts(NOW_US, 10).await.unwrap() {
        steps.push(cleared);
    }
    assert_eq!(steps, [10, 10, 9]);
    assert_eq!(with_text().await, "31|2026-10-24 12:00:00+00");
    assert_eq!(store.detections().count().await.unwrap(), 60);
    // Time goes on, and an older binary brings messages of the past.
    assert_eq!(
        store.detections().insert_batch(&[row(100, 45)]).await.unwrap(),
        inserted(1, 0)
    );
    let tomorrow = NOW_US + DAY.as_micros() as u64;
    assert_eq!(keeper.clear_expired_texts(tomorrow, 1000).await.unwrap(), 2);
    assert_eq!(with_text().await, "30|2026-10-25 12:00:00+00");
    assert_eq!(keeper.clear_expired_texts(tomorrow, 1000).await.unwrap(), 0);
    // Who keeps texts longer than another does not bring them back, nor takes more.
    assert_eq!(
        keeping(&store, None, Some(40))
            .clear_expired_texts(tomorrow, 9)
            .await
            .unwrap(),
        0
    );
    assert_eq!(store.clear_expired_texts(tomorrow, 9).await.unwrap(), 0);
    let detail = "SELECT count(*) FROM detections WHERE detail->>'raw' IS NOT NULL";
    assert_eq!(database.query(detail).await.unwrap(), "61");
}
