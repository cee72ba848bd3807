//! The commands that read and mend the streams: `deadletters` and `replay`.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tgmesh_proto::id::EventId;
use tgmesh_proto::{codec, subject};
use tgmesh_stream::publish::{Outgoing, publish_one};
use tgmesh_stream::{Mesh, NatsConfig, deadletter, stream_state, topology, window};
use tgmesh_testkit::process::Process;
use tgmesh_testkit::proxy::Proxy;
use tgmesh_testkit::{eventually, nats, repo_root};

use crate::support::tgmesh;

const LIMIT: Duration = Duration::from_secs(30);
const REASON: &str = "bad \u{1b}[2J\u{202e}reason";

struct Place {
    nats: nats::Server,
    mesh: Mesh,
}

impl Place {
    async fn new() -> Self {
        let nats = nats::Server::start().await.unwrap();
        let config = NatsConfig {
            max_bytes: 64 << 20,
            ..NatsConfig::new(&nats.url()).unwrap()
        };
        let mesh = Mesh::connect(&config, "test").await.unwrap();
        topology::apply(&mesh, &topology::desired(&config)).await.unwrap();
        Self { nats, mesh }
    }

    async fn publish(&self, n: u64, payload: impl Into<Bytes>) {
        let message = Outgoing {
            subject: "tgmesh.v1.detections.-1001.solana".to_owned(),
            id: EventId::from_bytes(u128::from(n).to_be_bytes()),
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00".to_owned(),
            payload: payload.into(),
        };
        publish_one(&self.mesh, &message).await.unwrap();
    }

    /// Runs to the end and gives exit code and output.
    async fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        let spec = tgmesh(args)
            .env("NATS_URL", self.nats.url())
            .env("STREAM_MAX_BYTES", "64MiB");
        let process = Process::spawn(spec).unwrap();
        let status = process.wait(LIMIT).await.unwrap();
        (status.code(), std::fs::read_to_string(process.log_path()).unwrap())
    }

    async fn messages(&self, stream: &str) -> u64 {
        stream_state(&self.mesh, stream).await.unwrap().messages
    }
}

/// A real event, in which the message id says which.
fn event(n: i64) -> Vec<u8> {
    let bytes = std::fs::read(repo_root().join("proto/vectors/detection_full.msgpack")).unwrap();
    let mut event = codec::decode(&bytes).unwrap();
    event.message.id = n;
    codec::encode(&event).unwrap()
}

#[tokio::test]
async fn dead_letters_are_listed_shown_sent_back_and_dropped() {
    let place = Place::new().await;
    assert_eq!(
        place.run(&["deadletters", "list"]).await,
        (Some(0), "tgmesh-archiver: no dead letters\n".to_owned())
    );
    for n in 0..4 {
        place.publish(n, event(n as i64)).await;
    }
    place.publish(4, &b"\xff\x1b[2J"[..]).await;
    let mut window = window::read(&place.mesh, "DETECTIONS", 1, None, &[]).await.unwrap();
    while let Some(delivery) = window.next().await.unwrap() {
        deadletter::copy(&place.mesh, "DETECTIONS", "archiver", &delivery, REASON)
            .await
            .unwrap();
    }

    let (code, list) = place.run(&["deadletters", "list"]).await;
    assert_eq!((code, list.lines().count()), (Some(0), 6), "{list}");
    assert!(
        list.contains("DETECTIONS:5") && list.contains("bad  [2J\\u{202e}reason"),
        "{list}"
    );
    let (_, list) = place.run(&["deadletters", "list", "--json", "--limit", "2"]).await;
    let letters: Vec<Value> = list
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    assert_eq!(letters.len(), 2);
    assert_eq!(letters[1]["payload"]["message"]["id"], 1);
    assert_eq!(letters[1]["number"], 2);
    let (_, none) = place.run(&["deadletters", "list", "--consumer", "validator"]).await;
    assert_eq!(none, "tgmesh-archiver: no dead letters\n");

    let (code, page) = place.run(&["deadletters", "show", "5"]).await;
    assert_eq!(code, Some(0));
    assert!(
        page.contains("000000  ff 1b 5b 32 4a") && page.contains("traceparent: 00-"),
        "{page}"
    );
    assert!(!page.contains('\u{1b}') && !page.contains('\u{202e}'), "{page}");
    let (code, gone) = place.run(&["deadletters", "show", "99"]).await;
    assert_eq!((code, gone.contains("no dead letter 99")), (Some(1), true));

    let (code, said) = place.run(&["deadletters", "retry", "1", "99"]).await;
    assert_eq!(code, Some(1), "one of them is not there");
    assert!(
        said.contains("dead letter 99: there is none") && said.contains("1 sent back"),
        "{said}"
    );
    assert_eq!(
        (place.messages("DETECTIONS").await, place.messages("DEADLETTERS").await),
        (6, 4)
    );
    let (code, said) = place.run(&["deadletters", "drop", "5"]).await;
    assert_eq!((code, said.as_str()), (Some(0), "1 dropped\n"));
    let (code, said) = place.run(&["deadletters", "retry", "--all"]).await;
    assert_eq!((code, said.as_str()), (Some(0), "3 sent back\n"));
    assert_eq!(
        (place.messages("DETECTIONS").await, place.messages("DEADLETTERS").await),
        (9, 0)
    );
    let mut audit = window::read(&place.mesh, subject::AUDIT, 1, None, &[]).await.unwrap();
    let mut told = Vec::new();
    while let Some(delivery) = audit.next().await.unwrap() {
        let event = codec::decode_audit(&delivery.payload).unwrap();
        told.push((event.event.clone(), event.detail["seqs"].clone()));
    }
    let expected = [
        ("deadletters_retried", "1"),
        ("deadletters_dropped", "5"),
        ("deadletters_retried", "2 3 4"),
    ];
    assert_eq!(told, expected.map(|(event, seqs)| (event.to_owned(), seqs.to_owned())));
    for wrong in [&["retry"][..], &["drop", "x"], &["list", "--limit", "0"], &["burn"]] {
        let (code, _) = place.run(&[&["deadletters"], wrong].concat()).await;
        assert_eq!(code, Some(64), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_window_is_read_again() {
    let place = Place::new().await;
    for n in 1..=10 {
        place.publish(n, event(n as i64)).await;
    }
    let lines = |output: &str| -> Vec<i64> {
        let events = output
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.map(|event| event["message"]["id"].as_i64().unwrap()).collect()
    };
    let (code, output) = place.run(&["replay", "--from", "4"]).await;
    assert_eq!((code, lines(&output)), (Some(0), (4..=10).collect()));
    let (code, output) = place.run(&["replay", "--since", "1h"]).await;
    assert_eq!((code, lines(&output)), (Some(0), (1..=10).collect()));

    let (code, output) = place.run(&["replay", "--since", "0s"]).await;
    assert_eq!((code, output.as_str()), (Some(0), ""));

    place.publish(11, event(11)).await;
    place.publish(12, &b"garbage"[..]).await;
    let (code, output) = place.run(&["replay", "--from", "11"]).await;
    assert_eq!((code, lines(&output)), (Some(0), vec![11]), "{output}");
    assert!(output.contains("the message 12 can't be read"), "{output}");

    let (code, output) = place.run(&["replay", "--from", "9", "--to", "incident-7"]).await;
    assert_eq!(
        (code, output.as_str()),
        (Some(0), "4 messages into REPLAY_incident-7\n")
    );
    assert_eq!(place.messages("REPLAY_incident-7").await, 4);
    let (_, again) = place.run(&["replay", "--from", "9", "--to", "incident-7"]).await;
    assert_eq!(again, "0 messages into REPLAY_incident-7\n");
    let (_, nothing) = place.run(&["replay", "--from", "13"]).await;
    assert_eq!(nothing, "");
    for wrong in [
        &["replay"][..],
        &["replay", "--from", "0"],
        &["replay", "--since", "soon"],
        &["replay", "--from", "1", "--to", "a.b"],
    ] {
        assert_eq!(place.run(wrong).await.0, Some(64), "{wrong:?}");
    }
}

#[tokio::test]
async fn tail_goes_on_where_it_stood_and_says_what_is_gone() {
    let mut place = Place::new().await;
    let proxy = Proxy::start(format!("127.0.0.1:{}", place.nats.port())).await.unwrap();
    let tail = Process::spawn(tgmesh(&["tail"]).env("NATS_URL", format!("nats://{}", proxy.addr()))).unwrap();
    let text = || std::fs::read_to_string(tail.log_path()).unwrap();
    // Message ids are the sequences.
    let printed = || -> Vec<i64> {
        let text = text();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter_map(|line| line["message"]["id"].as_i64()).collect()
    };
    let stored = AtomicI64::new(0);
    let publish = async |count: i64| {
        for _ in 0..count {
            let n = stored.fetch_add(1, Ordering::Relaxed) + 1;
            place.publish(n.cast_unsigned(), event(n)).await;
        }
        n_of(&stored)
    };
    eventually(LIMIT, "it follows", || async {
        publish(1).await;
        !printed().is_empty()
    })
    .await;
    let reached = async |end: i64| {
        eventually(LIMIT, "it prints the last one", || async {
            printed().last() == Some(&end)
        })
        .await;
    };
    reached(publish(20).await).await;

    // Cut off; some of what comes meanwhile is gone before it is back.
    proxy.cut();
    let before = n_of(&stored);
    let lost = publish(30).await;
    let end = publish(20).await;
    let purge = format!("{{\"seq\":{}}}", lost + 1);
    let answer = place
        .nats
        .request("$JS.API.STREAM.PURGE.DETECTIONS", &purge)
        .await
        .unwrap();
    assert!(answer.contains("\"success\":true"), "{answer}");
    assert!(tail.is_running());
    proxy.heal();
    reached(end).await;

    place.nats.kill().await;
    place.nats.start_again().await.unwrap();
    let mut newest = end;
    for _ in 0..20 {
        newest += 1;
        place.publish(newest.cast_unsigned(), event(newest)).await;
    }
    reached(newest).await;

    let first = printed()[0];
    assert_eq!(printed(), (first..=before).chain(lost + 1..=newest).collect::<Vec<_>>());
    let told = format!("discarded the messages {} to {lost} ", before + 1);
    assert_eq!(text().matches(&told).count(), 1, "{}", text());
    assert_eq!(text().matches("discarded").count(), 1, "{}", text());
}

fn n_of(stored: &AtomicI64) -> i64 {
    stored.load(Ordering::Relaxed)
}
