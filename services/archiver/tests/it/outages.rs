use tgmesh_stream::publish::{Limits, Publisher};
use tgmesh_testkit::eventually;
use tokio::task::JoinHandle;

use crate::{LONG, Place, event, fill, outgoing};

/// Publishes events as fast as a thousand in flight go, slowly enough that an outage falls into it.
fn load(place: &Place, events: u64) -> JoinHandle<()> {
    let mesh = place.mesh.clone();
    tokio::spawn(async move {
        let publisher = Publisher::new(&mesh, Limits::default());
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
        for n in 0..events {
            if n % 100 == 0 {
                ticks.tick().await;
            }
            drop(publisher.publish(outgoing(&event(n))).await);
        }
        assert_eq!(publisher.drain(LONG).await, 0);
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn events_become_rows_and_a_sigterm_ends_it_cleanly() {
    let place = Place::new().await;
    let archiver = place.archiver();
    archiver.ready().await;
    fill(&place.mesh, 0..5000).await;
    place.eventually_rows(5000).await;
    // The same events again: nothing changes.
    fill(&place.mesh, 4000..5000).await;
    eventually(LONG, "metrics tell it", async || {
        archiver.metric("tgmesh_archiver_rows_total").await == 5000
    })
    .await;
    assert!(archiver.metric("tgmesh_archiver_batches_total").await > 0);
    assert_eq!(
        archiver.metric("tgmesh_archiver_stream_to_commit_seconds_count").await,
        5000
    );
    let load = load(&place, 10_000);
    eventually(LONG, "the load has begun", async || place.rows().await > Some(6000)).await;
    let status = archiver.stop().await;
    assert!(status.success(), "{status}");
    load.await.unwrap();
    let before = place.rows().await.unwrap();
    assert!(before < 10_000, "the end fell into the load");
    let next = place.archiver();
    place.eventually_rows(10_000).await;
    let redelivered = next.metric("tgmesh_archiver_redeliveries_total").await;
    assert_eq!(redelivered, 0, "what the first had taken it also finished");
    assert!(next.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_archiver_loses_and_doubles_nothing() {
    let place = Place::new().await;
    let archiver = place.archiver();
    archiver.ready().await;
    let load = load(&place, 15_000);
    eventually(LONG, "rows come", async || place.rows().await > Some(2000)).await;
    archiver.process.kill();
    archiver.process.ended().await;
    let next = place.archiver();
    load.await.unwrap();
    place.eventually_rows(15_000).await;
    assert!(next.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_may_stop_for_a_while() {
    let mut place = Place::new().await;
    let archiver = place.archiver();
    archiver.ready().await;
    let load = load(&place, 15_000);
    eventually(LONG, "rows come", async || place.rows().await > Some(1000)).await;
    place.postgres.stop().await;
    eventually(LONG, "it says so", async || !archiver.is_ready().await).await;
    let ready = archiver.get("/readyz").await.unwrap();
    assert!(
        ready.contains("\"postgres\":\"down") && ready.contains("\"nats\":\"up"),
        "{ready}"
    );
    // Longer than the ack wait of 10 s: held messages must not come back meanwhile.
    tokio::time::sleep(std::time::Duration::from_secs(12)).await;
    place.postgres.start_again().await.unwrap();
    load.await.unwrap();
    place.eventually_rows(15_000).await;
    archiver.ready().await;
    assert_eq!(
        archiver.metric("tgmesh_archiver_redeliveries_total").await,
        0,
        "in-progress acks held them"
    );
    assert_eq!(archiver.metric("tgmesh_archiver_deadletters_total").await, 0);
    assert!(archiver.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_may_stop_for_a_while() {
    let mut place = Place::new().await;
    let archiver = place.archiver();
    archiver.ready().await;
    let load = load(&place, 15_000);
    eventually(LONG, "rows come", async || place.rows().await > Some(1000)).await;
    place.nats.stop().await;
    eventually(LONG, "it says so", async || !archiver.is_ready().await).await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    place.nats.start_again().await.unwrap();
    load.await.unwrap();
    place.eventually_rows(15_000).await;
    archiver.ready().await;
    assert!(archiver.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_its_servers_and_can_be_stopped_while_it_waits() {
    let mut place = Place::new().await;
    fill(&place.mesh, 0..100).await;
    place.postgres.stop().await;
    let archiver = place.archiver();
    eventually(LONG, "its admin port answers", async || {
        archiver.get("/healthz").await.is_some()
    })
    .await;
    assert!(!archiver.is_ready().await);
    place.postgres.start_again().await.unwrap();
    place.eventually_rows(100).await;
    assert!(archiver.stop().await.success());
    place.postgres.stop().await;
    let archiver = place.archiver();
    eventually(LONG, "its admin port answers", async || {
        archiver.get("/healthz").await.is_some()
    })
    .await;
    assert!(archiver.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_postgres_is_away_hands_everything_back() {
    let mut place = Place::new().await;
    let archiver = place.archiver();
    archiver.ready().await;
    place.postgres.stop().await;
    fill(&place.mesh, 0..3000).await;
    eventually(LONG, "it holds messages", async || {
        archiver.metric("tgmesh_archiver_held_messages").await > 0
    })
    .await;
    assert!(archiver.stop().await.success());
    place.postgres.start_again().await.unwrap();
    let next = place.archiver();
    place.eventually_rows(3000).await;
    assert!(next.stop().await.success());
}
