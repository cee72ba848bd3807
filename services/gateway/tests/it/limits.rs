use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use tgmesh_proto::{codec, subject};
use tgmesh_stream::tail::{Start, Tail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::socket::{Opening, Socket, seq_of};
use crate::world::{World, detection, token};

#[tokio::test(flavor = "multi_thread")]
async fn origins_are_checked_before_the_upgrade() {
    let world = World::start_with(&[("ALLOWED_ORIGINS", "https://app.example")]).await;
    let status = async |origin: &str| {
        let opening = Opening {
            origin: Some(origin.to_owned()),
            ..Opening::bearer(&token(&json!({})))
        };
        Socket::open(world.port, &opening).await.err()
    };
    assert_eq!(status("https://evil.example").await, Some(403));
    assert_eq!(status("null").await, Some(403));
    assert_eq!(status("https://app.example").await, None);
    assert_eq!(status(&format!("http://127.0.0.1:{}", world.port)).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_frame_is_4400_and_what_is_too_large_4413() {
    let world = World::start().await;
    let token = token(&json!({}));
    let malformed = [
        Message::text("{"),
        Message::text("[]"),
        Message::text(r#"{"type":"shout"}"#),
        Message::text("[".repeat(10_000)),
        Message::binary(vec![0x80]),
    ];
    for message in malformed {
        let (mut socket, _) = Socket::welcomed(world.port, &token).await;
        socket.send_raw(message.clone()).await;
        assert_eq!(socket.closed().await, 4400, "{message:?}");
    }
    for size in [17 << 10, 1 << 20, 8 << 20] {
        let (mut socket, _) = Socket::welcomed(world.port, &token).await;
        socket.send_raw(Message::text("x".repeat(size))).await;
        assert_eq!(socket.closed().await, 4413, "{size}");
        let (mut socket, _) = Socket::open(world.port, &Opening::default()).await.expect("101");
        socket.send_raw(Message::text("x".repeat(size))).await;
        assert_eq!(socket.closed().await, 4413, "{size} before the token");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_frames_and_connections_are_4429() {
    let world = World::start_with(&[("MAX_CONNECTIONS", "4")]).await;
    let (mut chatty, _) = Socket::welcomed(world.port, &token(&json!({"rate": 5}))).await;
    for n in 0..20 {
        chatty.send(&json!({"type": "ping", "t_ms": n})).await;
    }
    assert_eq!(chatty.closed().await, 4429);
    drop(chatty);
    let alone = json!({"sub": "alone", "max_connections": 1});
    let (_first, _) = Socket::welcomed(world.port, &token(&alone)).await;
    let (mut second, _) = Socket::open(world.port, &Opening::bearer(&token(&alone)))
        .await
        .expect("101");
    assert_eq!(second.closed().await, 4429);
    drop(second);
    let mut held = Vec::new();
    let code = loop {
        let opening = Opening::bearer(&token(&json!({})));
        let (mut socket, _) = Socket::open(world.port, &opening).await.expect("101");
        match socket.next().await {
            Ok(_) => held.push(socket),
            Err(code) => break code,
        }
        assert!(held.len() < 5, "MAX_CONNECTIONS is four");
    };
    assert_eq!(code, 4429);
}

/// Every limit on connections has its close code, its metric and its entry in the audit log.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_subjects_and_those_without_a_token_have_their_share() {
    let world = World::start_with(&[
        ("MAX_CONNECTIONS", "100"),
        ("MAX_CONNECTIONS_PER_SUBJECT", "3"),
        ("MAX_CONNECTIONS_PER_ADDRESS", "2"),
        ("TRUSTED_PROXIES", "127.0.0.0/8, 10.0.0.0/8"),
    ])
    .await;
    let open = async |from: &str, sub: Option<&str>| {
        let opening = Opening {
            bearer: sub.map(|sub| token(&json!({ "sub": sub }))),
            forwarded_for: Some(from.to_owned()),
            ..Opening::default()
        };
        Socket::open(world.port, &opening).await.expect("101").0
    };
    let welcomed = async |from: &str, sub: &str| {
        let mut socket = open(from, Some(sub)).await;
        socket.expect("welcome").await;
        socket
    };
    let _first = welcomed("203.0.113.1", "ann").await;
    let second = welcomed("198.51.100.9, 203.0.113.1, 10.0.0.1", "ann").await;
    let mut third = open("203.0.113.1", Some("ann")).await;
    assert_eq!(third.closed().await, 4429, "a third from one address");
    let _other = welcomed("2001:db8:1:2::3", "ann").await;
    let _neighbour = welcomed("2001:db8:1:3::3", "bob").await;
    let mut fourth = open("203.0.113.2", Some("ann")).await;
    assert_eq!(fourth.closed().await, 4429, "a fourth of one subject");
    drop(second);
    tgmesh_testkit::eventually(Duration::from_secs(20), "its place is free", || async {
        open("203.0.113.1", Some("cid")).await.next().await.is_ok()
    })
    .await;
    // Of a hundred places, 64 are for those who have not shown a token.
    let mut without = Vec::new();
    for n in 0..64 {
        without.push(open(&format!("192.0.2.{n}"), None).await);
    }
    let mut one_more = open("192.0.2.200", None).await;
    assert_eq!(one_more.closed().await, 4429);
    for limit in ["address", "subject", "unauthenticated"] {
        let name = format!("limited_total{{limit=\"{limit}\"}}");
        assert!(world.counter(&name).await >= 1, "{limit}");
    }
    drop(without);
    let mut log = Tail::open(&world.mesh, subject::AUDIT, Start::After(0), None)
        .await
        .expect("AUDIT is there");
    let mut wanted = vec!["unauthenticated", "subject", "address"];
    while let Some(limit) = wanted.last() {
        let next = tokio::time::timeout(Duration::from_secs(20), log.next()).await;
        let delivery = next.expect("in time").expect("is read");
        let entry = codec::decode_audit(&delivery.payload).expect("an audit event");
        if entry.event == "limited" && entry.detail["limit"] == *limit {
            assert_eq!(entry.actor.is_some(), *limit == "subject");
            assert!(entry.detail["address"].starts_with("203.0.113.") || *limit == "unauthenticated");
            wanted.pop();
        }
    }
}

/// Nobody holds a place by sending slowly.
#[tokio::test(flavor = "multi_thread")]
async fn who_trickles_is_let_go() {
    let world = World::start().await;
    let trickle = async |head: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", world.port)).await.expect("it listens");
        stream.write_all(head.as_bytes()).await.expect("it is taken");
        let (mut read, mut write) = stream.into_split();
        let begun = Instant::now();
        let writing = async {
            loop {
                tokio::time::sleep(Duration::from_millis(300)).await;
                if write.write_all(b"x").await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let mut answer = Vec::new();
        tokio::select! {
            _ = read.read_to_end(&mut answer) => {}
            () = writing => {}
        }
        (begun.elapsed(), String::from_utf8_lossy(&answer).into_owned())
    };
    let token = token(&json!({}));
    let body = format!(
        "POST /api/revocations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 4000\r\n\r\n{{"
    );
    let (idle, head, body) = tokio::join!(
        trickle(""),
        trickle("GET /ws HTTP/1.1\r\nHost: x\r\nX-Slow: "),
        trickle(&body)
    );
    for (name, (elapsed, answer)) in [("nothing", &idle), ("a head", &head), ("a body", &body)] {
        assert!(elapsed < &Duration::from_secs(15), "{name}: {elapsed:?} {answer}");
    }
    assert!(body.1.starts_with("HTTP/1.1 408"), "{}", body.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_slows_nobody_and_misses_nothing() {
    let world = World::start().await;
    let (mut slow, _) = Socket::welcomed(world.port, &token(&json!({}))).await;
    let (mut quick, _) = Socket::welcomed(world.port, &token(&json!({}))).await;
    slow.subscribe("slow", json!({}), None).await;
    quick.subscribe("quick", json!({}), None).await;
    let mut event = detection(-1);
    let text = "padding ".repeat(500);
    let mut worst = Duration::ZERO;
    let mut last = 0;
    // About 30 MB: more than the sockets' buffers and the mailbox hold.
    for _ in 0..12 {
        let begun = Instant::now();
        for _ in 0..500 {
            event.id = detection(0).id;
            event.message.text.clone_from(&text);
            last = world.publish(&event).await;
        }
        let published = Instant::now();
        assert_eq!(quick.seqs_until(last).await.len(), 500);
        worst = worst.max(published.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
    assert!(worst < Duration::from_secs(1), "the quick one waited {worst:?}");
    assert_eq!(slow.seqs_until(last).await, (1..=last).collect::<Vec<_>>());
    let metrics = reqwest::Client::new()
        .get(world.url("/api/metrics/telegram-stream"))
        .bearer_auth(token(&json!({})))
        .send();
    assert_eq!(metrics.await.expect("answers").status(), 200);
    let next = world.publish(&detection(-1)).await;
    assert_eq!(seq_of(&slow.expect("detection").await), next, "live again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_again_is_let_go() {
    let world = World::start().await;
    let (mut stuck, _) = Socket::welcomed(world.port, &token(&json!({}))).await;
    stuck.subscribe("stuck", json!({}), None).await;
    let mut event = detection(-1);
    event.message.text = "padding ".repeat(500);
    for _ in 0..4_000 {
        event.id = detection(0).id;
        drop(world.send(&event).await);
    }
    let url = world.url("/api/metrics/telegram-stream");
    let token = token(&json!({}));
    tgmesh_testkit::eventually(Duration::from_secs(40), "it is closed as too slow", || async {
        let answer = reqwest::Client::new()
            .get(&url)
            .bearer_auth(&token)
            .send()
            .await
            .expect("answers");
        let metrics: serde_json::Value = answer.json().await.expect("JSON");
        metrics["instances"][0]["counters"]["closes_total{code=\"4408\"}"] == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_does_not_hurt() {
    let world = World::start().await;
    let mut noise = vec![0_u8; 64 << 10];
    let mut random = StdRng::seed_from_u64(0x6e6f_6973_6521);
    for round in 0..20 {
        random.fill(noise.as_mut_slice());
        let mut stream = TcpStream::connect(("127.0.0.1", world.port)).await.expect("it listens");
        let _ = stream.write_all(&noise).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        let (mut socket, _) = Socket::welcomed(world.port, &token(&json!({}))).await;
        // Noise behind a good upgrade: every byte a frame header or payload.
        let _ = socket.stream.get_mut().write_all(&noise[..=round * 100]).await;
        // Noise can be the beginning of a good frame, which the gateway rightly waits for: the end
        // of what we send says that nothing follows.
        let _ = socket.stream.get_mut().shutdown().await;
        let code = socket.closed().await;
        assert!(matches!(code, 4400 | 4413 | 1000..=1006 | 3000..=4999), "{code}");
    }
    let path = format!("/{}", "%2e%2e/".repeat(50));
    for path in [
        "/../Cargo.toml",
        "/%00",
        path.as_str(),
        "/ws",
        "/api",
        "/assets/../../Cargo.toml",
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", world.port)).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it takes a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("it answers");
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
        assert!(!answer.contains("[package]"), "{path}");
    }
    assert!(world.gateway().is_running());
    let log = world.gateway().log_tail();
    assert!(!log.contains("panicked"), "{log}");
}
