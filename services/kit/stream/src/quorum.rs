//! Leaving a server that has lost the others.
//!
//! A server that is cut off from its cluster stays up for its clients: connections live, pings are
//! answered, a reader's consumer on it even sends heartbeats. But nothing is stored, and nothing
//! that the others store is delivered, and nobody tells the client. So each connection asks now
//! and then for the state of a stream that every part of the mesh may ask for: its leader answers,
//! and says when it last heard of its followers. Where no majority is behind an answer for longer
//! than an election takes, the connection goes to another server; publishers, readers and buckets
//! go on from there as after any other reconnect.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{ClusterInfo, Info};
use bytes::Bytes;
use tgmesh_proto::subject::DETECTIONS;
use tokio::time::Instant;

use crate::mesh::Signals;

const ASK_EVERY: Duration = Duration::from_secs(2);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Most elections are over by then, and an account's lease (`LEASE_TIME`, 15 s) still has time to
/// be renewed elsewhere.
const PATIENCE: Duration = Duration::from_secs(6);
/// Where no server has a majority, going around helps nobody: each time the patience doubles.
const MOST_PATIENCE: Duration = Duration::from_mins(1);
/// The client chooses among the servers at random, and may choose the one that it left.
const TRIES: usize = 8;

/// Watches a connection as long as there is a `Mesh` that uses it.
pub(crate) async fn guard(client: async_nats::Client, signals: Weak<Signals>) {
    let mut ticks = tokio::time::interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut good = Instant::now();
    let mut received = 0;
    let mut patience = PATIENCE;
    loop {
        ticks.tick().await;
        if !in_use(&signals) {
            return;
        }
        let server = client.server_info();
        let connected = client.connection_state() == State::Connected;
        // A server that is alone has nobody to lose, and one that is gone is the client's business.
        if server.cluster.is_none() || !connected {
            good = Instant::now();
            continue;
        }
        let heard = majority_heard(&client).await;
        let now_received = client.statistics().in_bytes.load(Ordering::Relaxed);
        let alive = now_received != std::mem::replace(&mut received, now_received);
        if let Some(ago) = heard.filter(|ago| *ago < PATIENCE) {
            good = Instant::now().checked_sub(ago).unwrap_or(good);
            patience = PATIENCE;
            continue;
        }
        // From a dead wire nothing comes at all: the client's pings find that, and close it in a way
        // that cannot hang on it.
        if good.elapsed() < patience || !alive {
            continue;
        }
        tracing::warn!(
            server = server.server_name,
            silent_ms = good.elapsed().as_millis() as u64,
            "the NATS server has no majority of its cluster behind it, going to another one"
        );
        leave(&client, &server.server_id, &signals).await;
        good = Instant::now();
        patience = (patience * 2).min(MOST_PATIENCE);
    }
}

/// Connects anew until it is to another server, if there is one.
async fn leave(client: &async_nats::Client, server_id: &str, signals: &Weak<Signals>) {
    for _ in 0..TRIES {
        let before = client.statistics().connects.load(Ordering::Relaxed);
        if client.force_reconnect().await.is_err() {
            return;
        }
        while client.statistics().connects.load(Ordering::Relaxed) == before {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if !in_use(signals) {
                return;
            }
        }
        // The client counts a connection a moment before it tells whose it is.
        tokio::time::sleep(Duration::from_millis(50)).await;
        if client.server_info().server_id != server_id {
            return;
        }
    }
}

/// The client's callback holds one reference; with it alone, no `Mesh` is left.
fn in_use(signals: &Weak<Signals>) -> bool {
    signals.upgrade().is_some_and(|signals| Arc::strong_count(&signals) > 2)
}

/// How long ago a majority was heard of, by the word of the stream's leader; nothing where there is
/// none.
async fn majority_heard(client: &async_nats::Client) -> Option<Duration> {
    let question = client.request(format!("$JS.API.STREAM.INFO.{DETECTIONS}"), Bytes::new());
    let answer = tokio::time::timeout(ANSWER_WITHIN, question).await.ok()?.ok()?;
    match serde_json::from_slice::<Response<Info>>(&answer.payload).ok()? {
        Response::Ok(info) => info.cluster.map_or(Some(Duration::ZERO), |cluster| heard(&cluster)),
        // That there is no such stream is the word of the cluster's leader.
        Response::Err { error } => (error.code() != 503).then_some(Duration::ZERO),
    }
}

/// A leader hears of its followers every second. That it is cut off it finds out itself, but only
/// after up to twenty seconds.
fn heard(cluster: &ClusterInfo) -> Option<Duration> {
    cluster.leader.as_ref()?;
    let followers = cluster.replicas.iter().filter(|peer| !peer.offline);
    let mut ago: Vec<_> = followers.map(|peer| peer.active).collect();
    ago.sort_unstable();
    // With the leader itself these are more than half.
    match cluster.replicas.len().div_ceil(2) {
        0 => Some(Duration::ZERO),
        needed => ago.get(needed - 1).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(leader: Option<&str>, heard_s: &[u64]) -> ClusterInfo {
        let replicas: Vec<_> = heard_s
            .iter()
            .map(|s| serde_json::json!({ "name": "n", "current": true, "active": s * 1_000_000_000 }))
            .collect();
        serde_json::from_value(serde_json::json!({ "name": "c", "leader": leader, "replicas": replicas })).unwrap()
    }

    #[test]
    fn a_majority_is_as_late_as_its_last() {
        let heard_s = |leader, all: &[u64]| heard(&cluster(leader, all)).map(|ago| ago.as_secs());
        assert_eq!(heard_s(Some("a"), &[]), Some(0), "one server is its own majority");
        assert_eq!(heard_s(Some("a"), &[600, 1]), Some(1));
        assert_eq!(heard_s(Some("a"), &[7, 600]), Some(7));
        assert_eq!(heard_s(Some("a"), &[600, 2, 600, 1]), Some(2));
        assert_eq!(heard_s(Some("a"), &[600, 0, 600, 500]), Some(500));
        assert_eq!(heard_s(None, &[0, 0]), None);
        let mut gone = cluster(Some("a"), &[0, 0]);
        gone.replicas.iter_mut().for_each(|peer| peer.offline = true);
        assert_eq!(heard(&gone), None);
    }
}
