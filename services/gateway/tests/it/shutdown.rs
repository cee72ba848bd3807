use std::time::{Duration, Instant};

use serde_json::json;
use tgmesh_testkit::{eventually, free_port, process};

use crate::socket::{Opening, PATIENCE, Socket, seq_of};
use crate::world::{SECRET, World, token};

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_sends_everyone_away_and_ends_with_zero() {
    let world = World::start().await;
    let (mut reads, _) = Socket::welcomed(world.port, &token(&json!({}))).await;
    reads.subscribe("s", json!({}), None).await;
    // One without a token, one that never answers the closing handshake.
    let (_mute, _) = Socket::open(world.port, &Opening::default()).await.expect("101");
    let begun = Instant::now();
    world.gateway().terminate();
    let frame = reads.expect("reconnect").await;
    assert!(frame["after_ms"].as_u64().is_some_and(|ms| ms > 0), "{frame}");
    assert_eq!(reads.closed().await, 1001);
    let status = world.gateway().wait(Duration::from_secs(10)).await.expect("in time");
    assert_eq!(status.code(), Some(0), "{}", world.gateway().log_tail());
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_nats_it_waits_and_is_not_ready() {
    let port = free_port();
    let spec = process::Spec::new(env!("CARGO_BIN_EXE_tgmesh-gateway"))
        .env("NATS_URL", format!("nats://127.0.0.1:{}", free_port()))
        .env("GATEWAY_LISTEN", format!("127.0.0.1:{port}"))
        .env("ADMIN_LISTEN", "127.0.0.1:0")
        .env("JWT_SECRET", SECRET);
    let gateway = process::Process::spawn(spec).expect("it starts");
    let url = format!("http://127.0.0.1:{port}/readyz");
    eventually(PATIENCE, "it answers, and is not ready", || async {
        reqwest::get(&url).await.is_ok_and(|response| response.status() == 503)
    })
    .await;
    let health = reqwest::get(format!("http://127.0.0.1:{port}/healthz"))
        .await
        .expect("answers");
    assert_eq!(health.status(), 200);
    let (mut bad, _) = Socket::open(port, &Opening::bearer("bad")).await.expect("101");
    assert_eq!(bad.closed().await, 4401, "tokens are checked without NATS");
    let (mut early, _) = Socket::open(port, &Opening::bearer(&token(&json!({}))))
        .await
        .expect("101");
    let begun = Instant::now();
    assert_eq!(early.closed().await, 1001, "come back later");
    assert!(begun.elapsed() < Duration::from_secs(9));
    gateway.terminate();
    assert_eq!(
        gateway.wait(Duration::from_secs(10)).await.expect("in time").code(),
        Some(0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_epoch_sends_clients_away() {
    let world = World::start().await;
    let last = world.publish_many(3, -1).await;
    let (mut socket, welcome) = Socket::welcomed(world.port, &token(&json!({}))).await;
    socket.subscribe("s", json!({}), None).await;
    world.recreate_stream().await;
    // What was published before may still be on its way; what comes after is of another epoch.
    let frame = loop {
        let frame = socket.next().await.expect("a frame before the close");
        if frame["type"] != "detection" {
            break frame;
        }
        assert!(seq_of(&frame) <= last, "{frame}");
    };
    assert_eq!(frame["type"], "reconnect");
    assert_eq!(socket.closed().await, 1001);
    let url = world.url("/readyz");
    eventually(PATIENCE, "the new epoch is served", || async {
        let (mut socket, _) = Socket::open(world.port, &Opening::bearer(&token(&json!({}))))
            .await
            .expect("101");
        matches!(socket.next().await, Ok(again) if again["epoch"] != welcome["epoch"])
    })
    .await;
    let (mut socket, again) = Socket::welcomed(world.port, &token(&json!({}))).await;
    let resume = json!({"epoch": welcome["epoch"], "after": last});
    let subscribed = socket.subscribe("s", json!({}), Some(resume)).await;
    assert_eq!(
        (&subscribed["recovered"], &subscribed["epoch"]),
        (&json!(false), &again["epoch"])
    );
    let seq = world.publish_many(1, -1).await;
    assert_eq!(socket.seqs_until(seq).await, [seq]);
    assert_eq!(reqwest::get(url).await.expect("answers").status(), 200);
}
