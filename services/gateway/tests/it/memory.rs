//! What waits for clients has a bound, and those who wait for nothing do not notice it.

use futures_util::future::join_all;
use serde_json::json;
use tgmesh_testkit::eventually;
use tokio::net::{TcpSocket, TcpStream};

use crate::socket::{Opening, PATIENCE, Socket};
use crate::world::{World, detection, token};

const BOUND: u64 = 16 << 20;
/// More than the bound has room for, at a share of a mebibyte each.
const STALLED: usize = 80;
/// What a queue may have beyond its share: a batch that is on its way to the socket, and an event.
const BEYOND: u64 = 200 << 10;
const EVENTS: usize = 500;

/// A connection whose kernel takes little of what it is sent.
async fn narrow(port: u16) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(64 << 10).expect("it is set");
    socket
        .connect(([127, 0, 0, 1], port).into())
        .await
        .expect("it connects")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slowest_suffer_first_and_lose_nothing() {
    let bound = BOUND.to_string();
    let world = World::start_with(&[("MAX_BUFFERED_BYTES", &bound)]).await;
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        let opening = Opening::bearer(&token(&json!({})));
        let (mut socket, _) = Socket::over(narrow(world.port).await, &opening).await.expect("101");
        socket.expect("welcome").await;
        socket.subscribe("s", json!({}), None).await;
        stalled.push(socket);
    }
    let (mut reader, _) = Socket::welcomed(world.port, &token(&json!({}))).await;
    reader.subscribe("s", json!({}), None).await;
    let mut last = 0;
    let mut most = 0;
    for n in 0..EVENTS {
        let mut event = detection(-1);
        // As long as the contract lets it be: 16 KB.
        event.message.text = "🚀".repeat(4_000);
        last = world.publish(&event).await;
        // Whoever reads has each of them at once, however much waits for the others.
        assert_eq!(reader.seqs_until(last).await, [last]);
        if n % 20 == 0 {
            most = most.max(world.counter("buffered_bytes").await);
        }
    }
    eventually(PATIENCE, "the gateway tells what waits", || async {
        world.counter("buffered_bytes").await > BOUND * 7 / 8
    })
    .await;
    most = most.max(world.counter("buffered_bytes").await);
    assert!(most <= BOUND + STALLED as u64 * BEYOND, "{most}");
    assert!(world.counter("slowed_total").await >= STALLED as u64 / 2);
    // Nobody more is let in.
    let (mut late, _) = Socket::open(world.port, &Opening::bearer(&token(&json!({}))))
        .await
        .expect("101");
    assert_eq!(late.closed().await, 4429);
    assert_eq!(world.counter(r#"limited_total{limit="memory"}"#).await, 1);
    // What they did not take, the stream has kept for them.
    let first = last + 1 - EVENTS as u64;
    let all: Vec<u64> = (first..=last).collect();
    let read = stalled
        .into_iter()
        .map(async |mut socket| socket.seqs_until(last).await);
    for seqs in join_all(read).await {
        assert_eq!(seqs, all);
    }
    eventually(PATIENCE, "nothing waits any more", || async {
        world.counter("buffered_bytes").await == 0
    })
    .await;
    // There is room again.
    Socket::welcomed(world.port, &token(&json!({}))).await;
}
