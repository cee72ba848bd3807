//! What the stream's limits throw out before it is archived is fetched again, once there is an
//! archiver that takes it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tgmesh_proto::{codec, subject};
use tgmesh_stream::consume::{self, BatchLimits, Consumer, Counts, Handler, Outcome, retention};
use tgmesh_stream::kv::Bucket;
use tgmesh_stream::{Delivery, Mesh, NatsConfig, stream_state, window};
use tgmesh_telegram_sim::{LoadSpec, LoadState};
use tgmesh_testkit::{eventually, nats, until};
use tokio_util::sync::CancellationToken;

use crate::ledger::{config, followed, unaccounted};
use crate::world::{LIMIT, World, set_detections};

/// What the archiver has, by address.
#[derive(Default)]
struct Archive(Mutex<BTreeSet<String>>);

impl Handler for Archive {
    async fn handle(&self, batch: &[Delivery]) -> Vec<Outcome> {
        let mut addresses = self.0.lock().unwrap();
        addresses.extend(batch.iter().map(|event| codec::decode(&event.payload).unwrap().address));
        vec![Outcome::Done; batch.len()]
    }
}

/// Archives until the token is cancelled.
fn archive(mesh: &Mesh, archive: &Arc<Archive>) -> CancellationToken {
    let stop = CancellationToken::new();
    let consumer = Consumer {
        stream: subject::DETECTIONS.to_owned(),
        durable: "archiver".to_owned(),
        batch: BatchLimits {
            rows: 100,
            bytes: 1 << 20,
            age: Duration::from_millis(5),
        },
        max_ack_pending: 300,
        in_flight: 1,
    };
    let (mesh, archive, soft) = (mesh.clone(), Arc::clone(archive), stop.clone());
    tokio::spawn(async move {
        let run = consume::run(&mesh, consumer, archive, Arc::new(Counts::default()), soft);
        run.await.unwrap();
    });
    stop
}

#[derive(Deserialize)]
struct Chapter {
    marks: Marks,
    reopened: u64,
}

#[derive(Deserialize)]
struct Marks {
    rows: Vec<(u64, u64, i32, i32, i64, u32, bool)>,
}

/// How many events the ledger holds marks of, and how many ids were opened again.
async fn marked(bucket: &Bucket) -> (u64, u64) {
    let (mut events, mut reopened) = (0, 0);
    for key in bucket.keys().await.unwrap() {
        let entry = bucket.get(&key).await.unwrap().unwrap();
        let chapter: Chapter = rmp_serde::from_slice(&entry.value).unwrap();
        events += chapter.marks.rows.iter().map(|row| u64::from(row.5)).sum::<u64>();
        reopened += chapter.reopened;
    }
    (events, reopened)
}

async fn audited(world: &World) -> Vec<tgmesh_proto::audit::AuditEvent> {
    let filter = subject::audit("listener", "reopened");
    let mut events = Vec::new();
    let mut window = window::read(&world.mesh, subject::AUDIT, 1, None, &[filter.as_str()])
        .await
        .unwrap();
    while let Some(delivery) = window.next().await.unwrap() {
        events.push(codec::decode_audit(&delivery.payload).unwrap());
    }
    events
}

#[tokio::test]
async fn what_was_thrown_out_before_it_was_archived_is_fetched_again() {
    const HELD: u64 = 300;
    let nats = nats::Server::start().await.unwrap();
    let streams = NatsConfig {
        // What was published is not taken for a repeat for longer than the test lasts.
        duplicate_window: Duration::from_secs(1),
        ..crate::world::streams(&nats)
    };
    let world = World::start_on(nats, streams, config()).await;
    set_detections(&world.nats, &json!({ "max_msgs": HELD })).await;
    let listener = world.listener().await;
    let archived = Arc::new(Archive::default());
    let stop = archive(&world.mesh, &archived);
    let is_there = async || {
        let found = retention(&world.mesh, subject::DETECTIONS, "archiver").await;
        found.unwrap().acked.is_some()
    };
    eventually(LIMIT, "the archiver has its consumer", is_there).await;
    stop.cancel();

    let load = LoadSpec {
        messages: Some(1_500),
        rate: Some(1_000.0),
        chats: None,
        address_share: 0.5,
        seed: 17,
    };
    world.sim().start_load(load).unwrap();
    let done = async || world.sim().load().state == LoadState::Done;
    eventually(LIMIT, "the load run ends", done).await;
    let bucket = Bucket::open(&world.mesh, subject::LEDGER).await.unwrap();
    let all_done = async || {
        for chat in followed(&world) {
            if !unaccounted(&world, &bucket, chat).await.is_empty() {
                return false;
            }
        }
        true
    };
    assert!(until(LIMIT, all_done).await, "{}", listener.process.log_tail());
    let expected: BTreeSet<String> = world.posted().into_keys().collect();
    let state = stream_state(&world.mesh, subject::DETECTIONS).await.unwrap();
    assert_eq!((state.messages, state.last_seq), (HELD, expected.len() as u64));
    assert_eq!(
        marked(&bucket).await,
        (state.last_seq, 0),
        "nothing is opened while nobody archives"
    );

    // What is known of it survives the process.
    listener.process.kill();
    listener.process.ended().await;
    let listener = world.listen(world.spec()).await;
    let stop = archive(&world.mesh, &archived);
    let is_whole = async || *archived.0.lock().unwrap() == expected;
    assert!(
        until(LIMIT, is_whole).await,
        "{} of {} archived\n{}",
        archived.0.lock().unwrap().len(),
        expected.len(),
        listener.process.log_tail()
    );
    // And it comes to rest: all is archived, nothing is marked.
    let rests = async || marked(&bucket).await.0 == 0 && all_done().await;
    assert!(until(LIMIT, rests).await, "{:?}", marked(&bucket).await);
    stop.cancel();
    let (_, reopened) = marked(&bucket).await;
    assert!(reopened >= expected.len() as u64 - HELD, "{reopened}");
    let audited = audited(&world).await;
    let told: u64 = audited
        .iter()
        .map(|event| event.detail["ids"].parse::<u64>().unwrap())
        .sum();
    assert_eq!(told, reopened);
    assert!(audited.iter().all(|event| event.actor.as_deref() == Some("sim-1")));
}
