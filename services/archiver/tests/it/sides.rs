//! The side streams, MATCHES and AUDIT; and a database that is filled from the streams alone.

use std::collections::BTreeMap;

use bytes::Bytes;
use tgmesh_proto::audit::AuditEvent;
use tgmesh_proto::id::EventId;
use tgmesh_proto::matched::{Match, MatchKind};
use tgmesh_proto::{SCHEMA_VERSION, codec, subject};
use tgmesh_stream::Mesh;
use tgmesh_stream::publish::{Limits, Outgoing, Publisher};
use tgmesh_testkit::eventually;

use crate::{LONG, Place, event, fill};

fn id(n: u64) -> EventId {
    EventId::from_bytes((u128::from(n) << 64 | 0xabcd).to_be_bytes())
}

fn matched(n: u64) -> Outgoing {
    let event = event(n);
    let matched = Match {
        schema_version: SCHEMA_VERSION.to_owned(),
        id: id(n),
        event: MatchKind::RuleMatched,
        chain: None,
        site: None,
        raw: None,
        link: None,
        chat: event.chat,
        message: event.message,
        sender: None,
        rules: vec!["launch".to_owned()],
        listener: event.listener,
        times: event.times,
    };
    Outgoing {
        subject: subject::matches(matched.chat.id),
        id: matched.id,
        traceparent: String::new(),
        payload: Bytes::from(codec::encode_match(&matched).unwrap()),
    }
}

fn audited(n: u64) -> Outgoing {
    let event = AuditEvent {
        schema_version: SCHEMA_VERSION.to_owned(),
        id: id(0),
        service: "gateway".to_owned(),
        event: "login".to_owned(),
        at_us: tgmesh_lifecycle::clock::now_us(),
        instance: "test".to_owned(),
        actor: Some(format!("user-{n}")),
        target: None,
        detail: BTreeMap::new(),
    }
    .with_id();
    Outgoing {
        subject: subject::audit("gateway", "login"),
        id: event.id,
        traceparent: String::new(),
        payload: Bytes::from(codec::encode_audit(&event).unwrap()),
    }
}

async fn fill_sides(mesh: &Mesh, messages: u64) {
    let publisher = Publisher::new(mesh, Limits::default());
    for n in 0..messages {
        drop(publisher.publish(matched(n)).await);
        drop(publisher.publish(audited(n)).await);
    }
    for (n, subject) in ["tgmesh.v1.matches.1", "tgmesh.v1.audit.x.y"].into_iter().enumerate() {
        let bad = Outgoing {
            subject: subject.to_owned(),
            id: id(1_000_000 + n as u64),
            traceparent: String::new(),
            payload: Bytes::from_static(b"bad"),
        };
        drop(publisher.publish(bad).await);
    }
    assert_eq!(publisher.drain(LONG).await, 0);
}

async fn eventually_counts(place: &Place, counts: &str) {
    let sql = "SELECT (SELECT count(*) FROM detections), (SELECT count(*) FROM matches), \
               (SELECT count(*) FROM audit_log)";
    eventually(LONG, counts, async || place.ask(sql).await == counts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn matches_and_audit_are_archived_too() {
    let place = Place::new().await;
    let archiver = place.archiver();
    fill_sides(&place.mesh, 500).await;
    eventually_counts(&place, "0|500|500").await;
    eventually(LONG, "two letters", async || place.letters().await == 2).await;
    eventually(LONG, "each has its figures", async || {
        archiver.metric("tgmesh_archiver_matches_rows_total").await == 500
            && archiver.metric("tgmesh_archiver_audit_rows_total").await == 500
            && archiver.metric("tgmesh_archiver_matches_deadletters_total").await == 1
            && archiver.metric("tgmesh_archiver_rows_total").await == 0
    })
    .await;
    assert!(archiver.stop().await.success());
}

/// What services/README.md says under “Restoring”.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_database_is_filled_from_the_streams_alone() {
    let mut place = Place::new().await;
    let archiver = place.archiver();
    fill(&place.mesh, 0..1000).await;
    fill_sides(&place.mesh, 100).await;
    eventually_counts(&place, "1000|100|100").await;
    eventually(LONG, "two letters", async || place.letters().await == 2).await;
    assert!(archiver.stop().await.success());
    let of_each = "SELECT md5(string_agg(id::text || stream_seq || text, ',' ORDER BY id)) FROM detections";
    let before = place.ask(of_each).await;

    place.ask("SELECT 1").await;
    place.postgres.query("postgres", "DROP DATABASE tgmesh").await.unwrap();
    place.database = place.postgres.ensure_database("tgmesh").await.unwrap();
    // What the nats tool does with `nats consumer rm DETECTIONS archiver`.
    for stream in ["DETECTIONS", "MATCHES", "AUDIT"] {
        crate::faults::api(&place.nats.url(), &format!("CONSUMER.DELETE.{stream}.archiver")).await;
    }
    let archiver = place.archiver();
    eventually_counts(&place, "1000|100|100").await;
    assert_eq!(place.ask(of_each).await, before);
    assert!(archiver.stop().await.success());
}
