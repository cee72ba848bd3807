//! What no table can hold, among what it can.

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tgmesh_proto::codec;
use tgmesh_stream::deadletter;
use tgmesh_stream::publish::{Limits, Outgoing, Publisher};
use tgmesh_testkit::eventually;

use crate::{LONG, Place, event, outgoing, seed, soak};

/// A word of the reason that it must give, and the bytes.
type Way = (&'static str, fn(u64) -> Vec<u8>);

/// Ways to be bad.
const WAYS: [Way; 13] = [
    ("no detection event", |_| b"\xff\x00\x1b[2Jgarbage".to_vec()),
    ("no detection event", |_| Vec::new()),
    // An array that says it has four billion entries.
    ("no detection event", |_| vec![0xdd, 0xff, 0xff, 0xff, 0xff]),
    ("no detection event", |n| {
        let whole = codec::encode(&event(n)).unwrap();
        whole[..whole.len() / 2].to_vec()
    }),
    ("no detection event", |n| {
        changed(n, |e| e["message"]["id"] = json!("12"))
    }),
    ("no detection event", |n| changed(n, |e| e["chat"] = json!([1, 2, 3]))),
    ("no detection event", |n| {
        changed(n, |e| e["confidence"] = json!({ "a": null }))
    }),
    ("NUL", |n| changed(n, |e| e["message"]["text"] = json!("a\u{0}b"))),
    ("NUL", |n| changed(n, |e| e["evidence"] = json!(["x", "\u{0}"]))),
    ("message date", |n| changed(n, |e| e["message"]["date_ms"] = json!(1))),
    ("message date", |n| {
        changed(n, |e| e["message"]["date_ms"] = json!(i64::MAX))
    }),
    ("schema version", |n| {
        changed(n, |e| *e = json!({ "schema_version": "2.0.0", "what": "else" }))
    }),
    ("exceeds", |n| {
        changed(n, |e| e["message"]["text"] = json!("x".repeat((1 << 20) - 4096)))
    }),
];

fn changed(n: u64, change: fn(&mut Value)) -> Vec<u8> {
    let mut value = serde_json::to_value(event(n)).unwrap();
    change(&mut value);
    rmp_serde::to_vec_named(&value).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_percent_of_poison_costs_no_good_row_and_no_stall() {
    let mut random = StdRng::seed_from_u64(seed("one_percent_of_poison"));
    let events: u64 = if soak() { 200_000 } else { 20_000 };
    let place = Place::new().await;
    let archiver = place.archiver();
    let publisher = Publisher::new(&place.mesh, Limits::default());
    let mut poison = Vec::new();
    for n in 0..events {
        let message = outgoing(&event(n));
        let message = if random.random_ratio(1, 100) {
            let (reason, payload) = WAYS[poison.len() % WAYS.len()];
            let bad = Outgoing {
                payload: Bytes::from(payload(n)),
                ..message
            };
            poison.push((bad.id.to_string(), reason, bad.payload.len()));
            bad
        } else {
            message
        };
        drop(publisher.publish(message).await);
    }
    assert_eq!(publisher.drain(LONG).await, 0);
    let bad = poison.len() as u64;
    assert!(bad > events / 200, "{bad} of {events}");

    place.eventually_rows(events - bad).await;
    eventually(LONG, "all poison is set aside", async || place.letters().await == bad).await;
    eventually(LONG, "nothing is held", async || {
        archiver.metric("tgmesh_archiver_held_messages").await == 0
            && archiver.metric("tgmesh_archiver_deadletters_total").await == bad
    })
    .await;
    assert_eq!(archiver.metric("tgmesh_archiver_redeliveries_total").await, 0);
    assert!(archiver.is_ready().await);
    let mut shelf = deadletter::open(&place.mesh).await.unwrap();
    let mut letters = std::collections::BTreeMap::new();
    while let Some(letter) = shelf.next().await.unwrap() {
        letters.insert(letter.id.clone().unwrap(), letter);
    }
    for (id, reason, bytes) in &poison {
        let letter = &letters[id];
        assert!(
            letter.reason.contains(reason),
            "{:?} does not tell {reason:?}",
            letter.reason
        );
        assert_eq!((letter.payload.len(), letter.cut_from), (*bytes, None));
        assert_eq!(letter.attempts, 1);
    }
    // Bounded in bytes, whatever the messages' size.
    let peak = peak_mb(archiver.process.pid());
    println!("peak memory with 1 % poison: {peak} MB");
    assert!(peak < 150, "{peak} MB");
    assert!(archiver.stop().await.success());
}

/// `VmHWM`: the most memory that the process has had.
pub(crate) fn peak_mb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kb.unwrap_or(0) / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_was_mended_becomes_a_row() {
    let place = Place::new().await;
    let archiver = place.archiver();
    archiver.ready().await;
    let check = "ALTER TABLE detections ADD CONSTRAINT odd CHECK (message_id <> 6) NOT VALID";
    place.ask(check).await;
    crate::fill(&place.mesh, 0..10).await;
    place.eventually_rows(9).await;
    eventually(LONG, "a letter", async || place.letters().await == 1).await;
    place.ask("ALTER TABLE detections DROP CONSTRAINT odd").await;
    let letter = deadletter::open(&place.mesh)
        .await
        .unwrap()
        .next()
        .await
        .unwrap()
        .unwrap();
    assert!(letter.reason.contains("23514"), "{}", letter.reason);
    deadletter::retry(&place.mesh, &letter).await.unwrap();
    place.eventually_rows(10).await;
    assert_eq!(place.letters().await, 0);
    assert!(archiver.stop().await.success());
}
