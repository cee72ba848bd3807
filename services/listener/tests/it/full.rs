//! A store that is full: what it refuses is held, then left to Telegram, and nothing of it is lost
//! when the store takes messages again.

use serde_json::{Value, json};
use tgmesh_proto::subject;
use tgmesh_stream::kv::Bucket;
use tgmesh_stream::{NatsConfig, stream_state};
use tgmesh_telegram_sim::{Config, LoadSpec, LoadState};
use tgmesh_testkit::{eventually, nats, until};

use crate::ledger::{all_accounted, config, followed, unaccounted};
use crate::world::{LIMIT, Listener, World, ask, set_detections};

/// As an operator does it: most messages in DETECTIONS, and none is thrown out for a new one.
async fn limit(world: &World, max_msgs: i64) {
    let settings = json!({ "max_msgs": max_msgs, "discard": "new" });
    set_detections(&world.nats, &settings).await;
}

fn load(messages: u64, rate: Option<f64>) -> LoadSpec {
    LoadSpec {
        messages: Some(messages),
        rate,
        chats: None,
        address_share: 0.2,
        seed: 13,
    }
}

async fn load_ends(world: &World) {
    let done = async || world.sim().load().state == LoadState::Done;
    eventually(LIMIT, "the load run ends", done).await;
}

/// Waits until the listener says that the store takes nothing.
async fn says_full(listener: &Listener, why: &str) {
    let says = async || {
        let readiness: Value = serde_json::from_str(&listener.readiness().await).unwrap();
        readiness["ready"] == false && readiness["parts"]["stream"].as_str().unwrap().contains(why)
    };
    assert!(
        until(LIMIT, says).await,
        "{}\n{}",
        listener.readiness().await,
        listener.process.log_tail()
    );
}

/// Ids that are in no range of the stored ledger.
async fn missing(world: &World) -> usize {
    let bucket = Bucket::open(&world.mesh, subject::LEDGER).await.unwrap();
    let mut missing = 0;
    for chat in followed(world) {
        missing += unaccounted(world, &bucket, chat).await.len();
    }
    missing
}

#[tokio::test]
async fn a_full_stream_holds_the_ledger_until_it_takes_messages_again() {
    const ROOM: u64 = 200;
    let world = World::start(config()).await;
    let listener = world.listener().await;
    limit(&world, ROOM as i64).await;
    // More than the queue and the publisher hold.
    world.sim().start_load(load(60_000, None)).unwrap();
    says_full(&listener, "maximum messages exceeded").await;
    load_ends(&world).await;
    // Half of the queue is for what comes by itself; with the other half full nothing is fetched.
    let waits = async || listener.metric("queue_bytes").await >= f64::from(8 << 20);
    eventually(LIMIT, "no more is fetched than there is room for", waits).await;
    let state = stream_state(&world.mesh, subject::DETECTIONS).await.unwrap();
    assert_eq!(state.messages, ROOM);
    assert!(missing(&world).await > 40_000, "the ledger went on");
    limit(&world, -1).await;
    listener.ready().await;
    all_accounted(&world, &listener, "room again").await;
    assert!(listener.metric("publish_failures_total").await < 1.0);
}

/// Everything is refused, the ledger and the session too, and the listener is killed meanwhile.
#[tokio::test]
async fn a_full_store_loses_nothing() {
    const STORE: u64 = 48 << 20;
    let nats = nats::Server::start_with_store(STORE).await.unwrap();
    // A limit of its own would be set aside: then only the stream could be full.
    let stream = json!({
        "name": subject::DETECTIONS, "subjects": [subject::DETECTIONS_ALL], "storage": "file", "retention": "limits",
        "discard": "old", "max_bytes": -1, "max_msgs": -1, "max_consumers": -1, "num_replicas": 1,
    });
    let answer = ask(&nats, "$JS.API.STREAM.CREATE.DETECTIONS", &stream).await;
    assert!(answer["error"].is_null(), "{answer}");
    let ballast = json!({
        "name": "BALLAST", "subjects": ["ballast"], "storage": "file", "retention": "limits", "max_consumers": -1,
        "max_bytes": -1, "max_msgs": -1, "num_replicas": 1,
    });
    let answer = ask(&nats, "$JS.API.STREAM.CREATE.BALLAST", &ballast).await;
    assert!(answer["error"].is_null(), "{answer}");
    let streams = NatsConfig {
        max_bytes: 8 << 20,
        ..crate::world::streams(&nats)
    };
    let world = World::start_on(nats, streams, Config { chats: 12, ..config() }).await;
    let listener = world.listener().await;
    world.sim().start_load(load(6_000, Some(1_000.0))).unwrap();
    eventually(LIMIT, "it flows", async || {
        listener.metric("published_total").await > 200.0
    })
    .await;
    let heavy = "x".repeat(900_000);
    let is_full = async || world.nats.request("ballast", &heavy).await.unwrap().contains("error");
    assert!(until(LIMIT, is_full).await, "the store takes everything");
    says_full(&listener, "resource").await;
    load_ends(&world).await;
    assert!(missing(&world).await > 0, "the ledger went on");
    listener.process.kill();
    listener.process.ended().await;
    let listener = Listener::start(world.spec());
    let answer = ask(&world.nats, "$JS.API.STREAM.DELETE.BALLAST", &json!({})).await;
    assert_eq!(answer["success"], true, "{answer}");
    listener.ready().await;
    all_accounted(&world, &listener, "room again").await;
}
