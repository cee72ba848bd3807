//! Every service is replaced under load, one pod after the other, as an upgrade does: clients that
//! resume miss no frame, and no message is without its row, or has two.

mod client;
mod pods;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tgmesh::mesh::{LoadOrder, Part};
use tgmesh_proto::codec;
use tgmesh_proto::subject::DETECTIONS;
use tgmesh_stream::{NatsConfig, window};
use tgmesh_testkit::until;

use crate::support::{alone, soak};
use client::Client;
use pods::Pods;

/// What is under way is told, stored and written within this time.
const LIMIT: Duration = Duration::from_mins(1);
const RATE: f64 = 200.0;
const CLIENTS: usize = 6;
/// Posted, told and written between two replacements, so that each happens under load.
const BETWEEN: usize = 200;

/// Chat, message and address: what tells one find from another, whatever id it was given.
type Key = (i64, i64, String);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_loses_no_frame_and_no_row() {
    let _alone = alone().await;
    let mut pods = Pods::start().await;
    let clients: Vec<_> = (0..CLIENTS).map(|n| Client::start(&pods, n)).collect();
    for client in &clients {
        assert!(
            until(LIMIT, async || client.is_subscribed()).await,
            "a client does not connect"
        );
    }
    let simulator = pods.mesh.simulator().unwrap();
    let order = LoadOrder {
        messages: None,
        rate: Some(RATE),
        chats: Some(20),
        // Each message has its row and frame: an id without one is a loss.
        address_share: 1.0,
        seed: 9,
    };
    simulator.load(&order).await.unwrap();

    for round in 0..if soak() { 10 } else { 1 } {
        // The order of k8s/OPERATIONS.md.
        for part in [Part::Listener, Part::Archiver, Part::Gateway] {
            for pod in 0..pods::OF_EACH {
                flows(&clients).await;
                let began = Instant::now();
                pods.replace(part, pod).await;
                println!(
                    "round {round}: pod {pod} of the {part} was replaced in {} ms",
                    began.elapsed().as_millis()
                );
            }
        }
    }
    flows(&clients).await;
    simulator.stop_load().await.unwrap();
    compare(&pods, &clients).await;
}

/// Waits until every client was told of messages that it was not told of before.
async fn flows(clients: &[Client]) {
    let before: Vec<_> = clients.iter().map(Client::count).collect();
    let all = async || {
        let mut pairs = clients.iter().zip(&before);
        pairs.all(|(client, before)| client.count() >= before + BETWEEN)
    };
    let counts = || clients.iter().map(Client::count).collect::<Vec<_>>();
    assert!(
        until(LIMIT, all).await,
        "nothing is told any more: {before:?}, then {:?}",
        counts()
    );
}

/// What was posted is in the stream, in Postgres and with each client, and each once.
async fn compare(pods: &Pods, clients: &[Client]) {
    let simulator = pods.mesh.simulator().unwrap();
    let done = async || simulator.load_state().await.is_ok_and(|load| load.state == "done");
    assert!(until(LIMIT, done).await, "the load does not end");
    let mut posted = BTreeMap::<Key, u32>::new();
    for post in simulator.posted().await.unwrap() {
        assert_eq!(post.kind, "new");
        assert!(
            !post.addresses.is_empty(),
            "message {} can get lost unseen",
            post.message_id
        );
        for address in post.addresses {
            posted.insert((post.chat_id, post.message_id, address), 1);
        }
    }
    let written = async || rows(pods).await.values().sum::<u32>() as usize >= posted.len();
    let whole = until(LIMIT, written).await;
    assert_same("rows", &posted, &rows(pods).await);
    assert!(whole);

    let stored = stored(pods).await;
    let mut keys = BTreeMap::new();
    for key in stored.values() {
        *keys.entry(key.clone()).or_insert(0) += 1;
    }
    assert_same("events", &posted, &keys);

    let mut reconnects = 0;
    for (n, client) in clients.iter().enumerate() {
        let due = |seqs: &[u64], since: u64| stored.range(since + 1..).count() - seqs.len();
        let told = async || client.count() >= stored.range(client.since() + 1..).count();
        let whole = until(LIMIT, told).await;
        let seqs = client.seqs();
        let late = due(&seqs, client.since());
        assert!(whole, "client {n} misses {late} of {} frames", stored.len());
        let all: Vec<_> = stored.range(client.since() + 1..).map(|(seq, _)| *seq).collect();
        assert!(seqs == all, "client {n} was told something else than what is stored");
        assert_eq!(client.gaps(), 0, "client {n}");
        reconnects += client.connections() - 1;
    }
    println!("{} messages; clients came back {reconnects} times", stored.len());
    assert!(
        reconnects >= clients.len(),
        "the gateways were not replaced under their clients"
    );
}

fn assert_same(what: &str, posted: &BTreeMap<Key, u32>, found: &BTreeMap<Key, u32>) {
    let lost: Vec<_> = posted.keys().filter(|key| !found.contains_key(*key)).collect();
    let unknown: Vec<_> = found.keys().filter(|key| !posted.contains_key(*key)).collect();
    let doubled: Vec<_> = found.iter().filter(|(_, count)| **count > 1).collect();
    assert!(
        lost.is_empty() && unknown.is_empty() && doubled.is_empty(),
        "{what}: {} of {} lost, such as {:?}; {} unknown, such as {:?}; {} doubled, such as {:?}",
        lost.len(),
        posted.len(),
        lost.first(),
        unknown.len(),
        unknown.first(),
        doubled.len(),
        doubled.first()
    );
}

async fn rows(pods: &Pods) -> BTreeMap<Key, u32> {
    let sql = "SELECT chat_id, message_id, address FROM detections";
    let text = pods.mesh.query(sql).await.unwrap();
    let mut rows = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<_> = line.split('|').collect();
        let [chat, message, address] = fields[..] else {
            panic!("a row like {line:?}");
        };
        let key = (chat.parse().unwrap(), message.parse().unwrap(), address.to_owned());
        *rows.entry(key).or_insert(0) += 1;
    }
    rows
}

async fn stored(pods: &Pods) -> BTreeMap<u64, Key> {
    let config = NatsConfig::new(&pods.mesh.nats_url()).unwrap();
    let nats = tgmesh_stream::Mesh::connect(&config, "tgmesh-rolling").await.unwrap();
    let mut window = window::read(&nats, DETECTIONS, 1, None, &[]).await.unwrap();
    let mut stored = BTreeMap::new();
    while let Some(delivery) = window.next().await.unwrap() {
        let event = codec::decode(&delivery.payload).unwrap();
        stored.insert(delivery.seq, (event.chat.id, event.message.id, event.address));
    }
    stored
}
