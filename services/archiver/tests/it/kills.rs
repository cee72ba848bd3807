//! Archivers that are killed, again and again, under load, while their servers restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tgmesh_proto::id::EventId;
use tgmesh_stream::publish::{Limits, Outgoing, Publisher};
use tgmesh_testkit::eventually;
use tokio::task::JoinHandle;

use crate::{LONG, Place, event, outgoing, seed, soak};

const ARCHIVERS: usize = 3;
/// Events a second.
const RATE: u64 = 1500;
/// One in so many events is published a second time as if the duplicate window were over.
const AGAIN_EVERY: u64 = 20;

/// Publishes until it is told to stop; gives the number of distinct events.
fn load(place: &Place, stop: Arc<AtomicBool>) -> JoinHandle<u64> {
    let mesh = place.mesh.clone();
    tokio::spawn(async move {
        let publisher = Publisher::new(&mesh, Limits::default());
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        let mut events = 0;
        while !stop.load(Ordering::Relaxed) {
            ticks.tick().await;
            for n in events..events + RATE / 50 {
                let message = outgoing(&event(n));
                if n % AGAIN_EVERY == 0 {
                    let id = EventId::from_bytes((u128::from(n) | 1 << 100).to_be_bytes());
                    drop(publisher.publish(Outgoing { id, ..message.clone() }).await);
                }
                drop(publisher.publish(message).await);
            }
            events += RATE / 50;
        }
        assert_eq!(publisher.drain(LONG).await, 0);
        assert_eq!(publisher.counts().failures, 0);
        events
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_archivers_lose_and_double_nothing() {
    let mut random = StdRng::seed_from_u64(seed("killed_archivers"));
    let kills = if soak() { 100 } else { 10 };
    let mut place = Place::new().await;
    let mut started = 0;
    let mut next = |place: &Place| {
        started += 1;
        place.archiver_named(&format!("archiver-{started}"))
    };
    let mut archivers = Vec::new();
    for _ in 0..ARCHIVERS {
        archivers.push(next(&place));
    }
    for archiver in &archivers {
        archiver.ready().await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let load = load(&place, Arc::clone(&stop));
    eventually(LONG, "rows come", async || place.rows().await > Some(500)).await;
    for kill in 0..kills {
        tokio::time::sleep(Duration::from_millis(random.random_range(100..900))).await;
        let victim = random.random_range(0..ARCHIVERS);
        archivers[victim].process.kill();
        archivers[victim].process.ended().await;
        archivers[victim] = next(&place);
        // In between, each server's turn, by order and by crash.
        match kill % 8 {
            1 => place.postgres.stop().await,
            3 => place.nats.kill().await,
            5 => place.postgres.kill().await,
            7 => place.nats.stop().await,
            _ => {}
        }
        if kill % 2 == 1 {
            tokio::time::sleep(Duration::from_millis(random.random_range(0..1500))).await;
            place.postgres.start_again().await.unwrap();
            place.nats.start_again().await.unwrap();
        }
    }
    stop.store(true, Ordering::Relaxed);
    let events = load.await.unwrap();
    assert!(events > RATE, "{events}");
    // What the killed ones held comes back after the ack wait.
    let all = async || place.rows().await == Some(events);
    eventually(LONG * 2, "rows equal events", all).await;
    let count = "SELECT count(*), count(DISTINCT id), count(DISTINCT message_id) FROM detections";
    eventually(LONG, "nothing is left unacked", async || {
        archivers[0].metric("tgmesh_archiver_unacked_messages").await == 0
            && archivers[0].metric("tgmesh_archiver_lag_messages").await == 0
            && archivers[0].is_ready().await
    })
    .await;
    assert_eq!(place.ask(count).await, format!("{events}|{events}|{events}"));
    assert_eq!(place.letters().await, 0);
    let stored = tgmesh_stream::stream_state(&place.mesh, "DETECTIONS").await.unwrap();
    let repeats = events.div_ceil(AGAIN_EVERY);
    assert!(stored.messages >= events + repeats, "the stream holds repeats");
    println!(
        "{kills} kills, {events} events, {} messages in the stream",
        stored.messages
    );
    for archiver in archivers {
        assert!(archiver.stop().await.success());
    }
}
