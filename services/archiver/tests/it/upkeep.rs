//! What the archiver does beside archiving: roll-ups, retention, partitions.

use tgmesh_proto::codec;
use tgmesh_proto::detection::Detection;
use tgmesh_stream::publish::{Limits, Outgoing, Publisher};
use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{binary, eventually, free_port};

use crate::{Archiver, LONG, Place, event, outgoing};

const DAY_MS: i64 = 86_400_000;

fn keeping(place: &Place, variables: &[(&str, &str)]) -> Archiver {
    let admin = format!("127.0.0.1:{}", free_port());
    let mut spec = Spec::new(binary("tgmesh-archiver"))
        .env("NATS_URL", place.nats.url())
        .env("DATABASE_URL", &place.database)
        .env("ADMIN_LISTEN", &admin);
    for (name, value) in variables {
        spec = spec.env(name, value);
    }
    Archiver {
        process: Process::spawn(spec).expect("tgmesh-archiver"),
        admin,
    }
}

fn aged(n: u64, days: i64) -> Detection {
    let mut event = event(n);
    event.message.date_ms -= days * DAY_MS;
    event
}

async fn publish(place: &Place, events: &[Detection]) {
    let publisher = Publisher::new(&place.mesh, Limits::default());
    for event in events {
        let message = Outgoing {
            payload: codec::encode(event).unwrap().into(),
            ..outgoing(event)
        };
        drop(publisher.publish(message).await);
    }
    assert_eq!(publisher.drain(LONG).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_counted_and_removed_in_time() {
    let place = Place::new().await;
    let query = async |sql| place.postgres.query("tgmesh", sql).await.unwrap_or_default();
    // Keeps everything, for one that keeps less to remove.
    let archiver = keeping(&place, &[]);
    let old: Vec<Detection> = (0..20).map(|n| aged(n, 10 * n as i64)).collect();
    publish(&place, &old).await;
    place.eventually_rows(20).await;
    let texts = "SELECT count(text) FROM detections";
    eventually(LONG, "texts older than 30 days are not there", async || {
        query(texts).await == "3"
    })
    .await;
    assert!(archiver.stop().await.success());
    let partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'detections'::regclass";
    let before: u32 = query(partitions).await.parse().unwrap();

    let archiver = keeping(&place, &[("DETECTION_RETENTION", "40d"), ("TEXT_RETENTION", "15d")]);
    eventually(LONG, "old months are dropped", async || {
        let before_all = "SELECT count(*) FROM detections WHERE message_date < now() - interval '75 days'";
        query(before_all).await == "0" && query(texts).await == "2"
    })
    .await;
    assert!(query(partitions).await.parse::<u32>().unwrap() < before);
    let dropped = archiver.metric("tgmesh_archiver_months_dropped_total").await;
    assert!(dropped > 0);
    // What comes from then is acked and not stored, and what is young is.
    let left = place.rows().await.unwrap();
    publish(&place, &[aged(100, 60), aged(101, 300), aged(102, 1)]).await;
    place.eventually_rows(left + 1).await;
    eventually(LONG, "all are acked", async || {
        archiver.metric("tgmesh_archiver_acks_total").await == 3
    })
    .await;
    assert_eq!(archiver.metric("tgmesh_archiver_deadletters_total").await, 0);
    // Each event was counted once, those that are gone too.
    eventually(LONG, "all are counted", async || {
        query("SELECT sum(called) FROM addresses").await == "21"
    })
    .await;
    assert_eq!(query("SELECT sum(called) FROM chats").await, "21");
    assert!(archiver.stop().await.success());
}
