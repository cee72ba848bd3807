//! `tgmesh erase` against a real database and a real NATS.

use std::time::Duration;

use tgmesh_proto::{codec, subject};
use tgmesh_store::detections::{Place, Row};
use tgmesh_store::{DbConfig, Store};
use tgmesh_stream::{Mesh, NatsConfig, topology, window};
use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{nats, postgres};

use crate::support::tgmesh;

const LIMIT: Duration = Duration::from_secs(30);

async fn output(spec: Spec) -> (Option<i32>, String) {
    let process = Process::spawn(spec).unwrap();
    let status = process.wait(LIMIT).await.unwrap();
    (status.code(), process.log_tail())
}

/// The golden vectors' events: two chats, and senders in one of them.
fn rows() -> Vec<Row> {
    let vectors = tgmesh_testkit::repo_root().join("proto/vectors");
    ["detection_full", "detection_group", "detection_minimal"]
        .into_iter()
        .map(|name| {
            let bytes = std::fs::read(vectors.join(format!("{name}.msgpack"))).unwrap();
            let place = Place {
                epoch: "e".into(),
                seq: 1,
                stored_us: 1,
            };
            Row::new(codec::decode(&bytes).unwrap(), place, u64::MAX / 4).unwrap()
        })
        .collect()
}

#[tokio::test]
async fn what_is_erased_is_gone_and_stands_in_the_audit_log() {
    let (nats, server) = tokio::join!(nats::Server::start(), postgres::Server::shared());
    let (nats, database) = (nats.unwrap(), server.unwrap().database().await.unwrap());
    let config = NatsConfig::new(&nats.url()).unwrap();
    let store = Store::connect(&DbConfig::parse(database.url()).unwrap(), 1)
        .await
        .unwrap();
    store.migrate().await.unwrap();
    let rows = rows();
    store.detections().insert_batch(&rows).await.unwrap();
    let chat = rows[1].event().chat.id;
    let left = rows.iter().filter(|row| row.event().chat.id != chat).count() as u64;
    assert!(left < rows.len() as u64);
    let erase = |args: &[&str]| {
        tgmesh(&[&["erase"][..], args].concat())
            .env("NATS_URL", nats.url())
            .env("DATABASE_URL", database.url())
            .env("USER", "ann")
    };
    let chat_arg = chat.to_string();

    // Without the audit log nothing happens.
    let (code, log) = output(erase(&["--chat", &chat_arg])).await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("nothing was erased"), "{log}");
    assert_eq!(store.detections().count().await.unwrap(), rows.len() as u64);

    let mesh = Mesh::connect(&config, "test").await.unwrap();
    topology::apply(&mesh, &topology::desired(&config)).await.unwrap();
    let (code, log) = output(erase(&["--chat", &chat_arg])).await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains(&format!("erased chat:{chat}:")), "{log}");
    assert_eq!(store.detections().count().await.unwrap(), left);
    let mut entries = Vec::new();
    let mut window = window::read(&mesh, subject::AUDIT, 1, None, &[]).await.unwrap();
    while let Some(entry) = window.next().await.unwrap() {
        entries.push((entry.subject.clone(), codec::decode_audit(&entry.payload).unwrap()));
    }
    let told: Vec<_> = entries
        .iter()
        .map(|(subject, entry)| {
            let (actor, target) = (entry.actor.as_deref(), entry.target.as_deref());
            (subject.as_str(), actor, target, entry.detail.get("detections").cloned())
        })
        .collect();
    let target = format!("chat:{chat}");
    let erased = (rows.len() as u64 - left).to_string();
    assert_eq!(
        told,
        [
            ("tgmesh.v1.audit.tgmesh.erase", Some("ann"), Some(target.as_str()), None),
            (
                "tgmesh.v1.audit.tgmesh.erased",
                Some("ann"),
                Some(target.as_str()),
                Some(erased)
            ),
        ]
    );

    for (args, code) in [
        (&[][..], 64),
        (&["--chat", "x"][..], 64),
        (&["--chat", "1", "--sender", "2"][..], 64),
    ] {
        assert_eq!(output(erase(args)).await.0, Some(code), "{args:?}");
    }
    let (code, log) = output(erase(&["--sender", "5"]).env_remove("DATABASE_URL")).await;
    assert_eq!(code, Some(64));
    assert!(log.contains("DATABASE_URL"), "{log}");
}
