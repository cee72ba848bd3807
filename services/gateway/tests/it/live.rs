use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tgmesh_proto::detection::{EventKind, Family};

use crate::socket::{Opening, Socket, seq_of};
use crate::world::{TRACE, World, detection, token};

#[tokio::test(flavor = "multi_thread")]
async fn a_detection_arrives_as_it_was_published_in_both_formats() {
    let world = World::start().await;
    for protocol in ["tgmesh.v1.json", "tgmesh.v1.msgpack"] {
        let protocols = Some(format!("{protocol}, bearer, {}", token(&json!({}))));
        let opening = Opening {
            protocols,
            ..Opening::default()
        };
        let (mut socket, _) = Socket::open(world.port, &opening).await.expect("101");
        let welcome = socket.expect("welcome").await;
        let subscribed = socket.subscribe("one", json!({"chats": [-7]}), None).await;
        assert_eq!(subscribed["epoch"], welcome["epoch"]);
        assert_eq!(subscribed["recovered"], false);
        let expected = json!({"chats": [-7], "backfill": false, "matches": false});
        assert_eq!(subscribed["filter"], expected);
        let event = detection(-7);
        let seq = world.publish(&event).await;
        let frame = socket.expect("detection").await;
        assert_eq!(frame["id"], "one");
        assert_eq!(seq_of(&frame), seq);
        assert_eq!(frame["traceparent"], TRACE);
        assert_eq!(frame["data"], serde_json::to_value(&event).expect("encodes"));
        socket
            .send(&json!({"type": "rendered", "seq": seq, "at_ms": 1.5}))
            .await;
        socket.send(&json!({"type": "ping", "t_ms": 12.5})).await;
        let pong = socket.expect("pong").await;
        assert_eq!(pong["t_ms"], 12.5);
        assert!(pong["server_ms"].as_f64().expect("a number") > 1.7e12);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_key_selects() {
    let world = World::start().await;
    let (mut socket, _) = Socket::welcomed(world.port, &token(&json!({}))).await;
    let mut event = detection(-1);
    event.family = Family::Evm;
    event.chain = Some("base".to_owned());
    event.address = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48".to_owned();
    event.rules = vec!["gems".to_owned()];
    event.event = EventKind::AddedByEdit;
    event.confidence = 0.9;
    let filters = [
        json!({"chats": [-1, -9]}),
        json!({"families": ["evm"]}),
        json!({"chains": ["base"]}),
        json!({"addresses": ["0XA0B86991C6218B36C1D19D4A2E9EB0CE3606EB48"]}),
        json!({"senders": [4242]}),
        json!({"rules": ["gems"]}),
        json!({"text": "(?i)BUY \\w+ \"now\" 🚀$"}),
        json!({"min_confidence": 0.8}),
        json!({"events": ["added_by_edit"]}),
        json!({"unique_within": "10m", "families": ["evm"]}),
        json!({"chats": [-1], "families": ["evm"], "text": "gm", "min_confidence": 0.9}),
    ];
    for (n, filter) in filters.iter().enumerate() {
        socket.subscribe(&n.to_string(), filter.clone(), None).await;
    }
    // Nobody wants this one but the stream.
    let mut other = detection(-2);
    other.sender = None;
    other.message.text = "another text".to_owned();
    world.publish(&other).await;
    let seq = world.publish(&event).await;
    let mut ids: Vec<usize> = Vec::new();
    for _ in &filters {
        let frame = socket.expect("detection").await;
        assert_eq!(seq_of(&frame), seq, "{frame}");
        ids.push(frame["id"].as_str().expect("text").parse().expect("a number"));
    }
    ids.sort_unstable();
    assert_eq!(ids, (0..filters.len()).collect::<Vec<_>>());
    // The same address again: unique_within leaves it out, the other two of its chat do not.
    event.id = detection(0).id;
    event.chat.id = -3;
    event.event = EventKind::Called;
    let again = world.publish(&event).await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        let frame = socket.expect("detection").await;
        assert_eq!(seq_of(&frame), again);
        ids.push(frame["id"].as_str().expect("text").to_owned());
    }
    assert!(
        !ids.contains(&"9".to_owned()) && !ids.contains(&"0".to_owned()),
        "{ids:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_leave_the_connection_open() {
    let world = World::start().await;
    let (mut socket, _) = Socket::welcomed(world.port, &token(&json!({}))).await;
    socket.subscribe("a", json!({}), None).await;
    let bad = [
        (json!({"type": "subscribe", "id": "a"}), "duplicate_id"),
        (json!({"type": "unsubscribe", "id": "b"}), "unknown_id"),
        (json!({"type": "subscribe", "id": ""}), "bad_id"),
        (json!({"type": "subscribe", "id": "x".repeat(65)}), "bad_id"),
        (
            json!({"type": "subscribe", "id": "b", "filter": {"text": "("}}),
            "bad_filter",
        ),
        (
            json!({"type": "subscribe", "id": "b", "filter": {"colour": "red"}}),
            "bad_filter",
        ),
        (
            json!({"type": "subscribe", "id": "b", "resume": {"after": 1}}),
            "bad_resume",
        ),
    ];
    for (frame, code) in bad {
        socket.send(&frame).await;
        let error = socket.expect("error").await;
        assert_eq!((&error["code"], &error["id"]), (&json!(code), &frame["id"]), "{frame}");
    }
    socket.send(&json!({"type": "unsubscribe", "id": "a"})).await;
    socket.send(&json!({"type": "subscribe", "id": "a"})).await;
    assert_eq!(
        socket.expect("error").await["code"],
        "duplicate_id",
        "an id is used once"
    );
    for n in 0..32 {
        socket.subscribe(&format!("n{n}"), json!({"chats": [n]}), None).await;
    }
    socket.send(&json!({"type": "subscribe", "id": "one too many"})).await;
    assert_eq!(socket.expect("error").await["code"], "too_many_subscriptions");
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_come_at_least_every_ten_seconds_for_a_quiet_filter() {
    let world = World::start().await;
    let (mut socket, _) = Socket::welcomed(world.port, &token(&json!({}))).await;
    socket.subscribe("quiet", json!({"chats": [-1]}), None).await;
    let begun = Instant::now();
    let last = world.publish_many(20, -2).await;
    for _ in 0..3 {
        let since = Instant::now();
        let frame = socket.next().await.expect("a frame");
        assert_eq!((&frame["type"], &frame["id"]), (&json!("position"), &json!("quiet")));
        assert!(since.elapsed() < Duration::from_secs(10));
        assert_eq!(seq_of(&frame), last, "after {:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_the_stream_holds_twice_is_sent_once() {
    let world = World::start_with(&[]).await;
    let (mut socket, _) = Socket::welcomed(world.port, &token(&json!({}))).await;
    socket.subscribe("s", json!({}), None).await;
    let event = detection(-1);
    let first = world.publish(&event).await;
    // Another Nats-Msg-Id, the same event: what a repeat past the duplicate window looks like.
    let mut message = detection(-1);
    let id = std::mem::replace(&mut message.id, event.id);
    let payload = tgmesh_proto::codec::encode(&message).expect("encodes").into();
    let outgoing = tgmesh_stream::publish::Outgoing {
        subject: tgmesh_proto::subject::detection(-1, message.family),
        id,
        traceparent: TRACE.to_owned(),
        payload,
    };
    let second = tgmesh_stream::publish::publish_one(&world.mesh, &outgoing)
        .await
        .expect("it is stored")
        .seq;
    let third = world.publish(&detection(-1)).await;
    assert_eq!(socket.seqs_until(third).await, [first, third]);
    let (mut late, welcome) = Socket::welcomed(world.port, &token(&json!({}))).await;
    let resume = json!({"epoch": welcome["epoch"], "after": first - 1});
    late.subscribe("s", json!({}), Some(resume)).await;
    assert_eq!(late.seqs_until(third).await, [first, third]);
    assert!(second > first && second < third);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_no_event_is_passed_over() {
    let world = World::start().await;
    let (mut socket, _) = Socket::welcomed(world.port, &token(&json!({}))).await;
    socket.subscribe("s", json!({}), None).await;
    let garbage = tgmesh_stream::publish::Outgoing {
        subject: "tgmesh.v1.detections.-1.evm".to_owned(),
        id: detection(0).id,
        traceparent: "garbage".to_owned(),
        payload: vec![0xc1, 0xff, 0x00].into(),
    };
    tgmesh_stream::publish::publish_one(&world.mesh, &garbage)
        .await
        .expect("it is stored");
    let seq = world.publish(&detection(-1)).await;
    assert_eq!(socket.seqs_until(seq).await, [seq]);
    let _: Value = reqwest::get(world.url("/readyz"))
        .await
        .expect("answers")
        .json()
        .await
        .expect("JSON");
}
