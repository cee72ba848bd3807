use async_nats::jetstream::stream::{Compression, DiscardPolicy, StorageType};
use tgmesh_stream::topology::{Change, apply, desired, diff, epoch, wait};
use tgmesh_stream::{Mesh, NatsConfig, StreamError, stream_state};
use tgmesh_testkit::eventually;

use crate::{LONG, bare, config, fill, start, witness};

#[tokio::test]
async fn apply_creates_the_contract_and_a_second_time_nothing() {
    let (server, mesh) = bare().await;
    let topology = desired(&config(&server));
    let planned = diff(&mesh, &topology).await.unwrap();
    assert_eq!(planned.len(), 12, "{planned:?}");
    assert!(
        planned.iter().all(|change| matches!(change, Change::Create { .. })),
        "{planned:?}"
    );
    assert_eq!(apply(&mesh, &topology).await.unwrap(), planned);
    assert_eq!(apply(&mesh, &topology).await.unwrap(), []);
    assert_eq!(diff(&mesh, &topology).await.unwrap(), []);

    let witness = witness(&server).await;
    for (name, subject) in [
        ("DETECTIONS", "tgmesh.v1.detections.>"),
        ("MATCHES", "tgmesh.v1.matches.>"),
        ("AUDIT", "tgmesh.v1.audit.>"),
        ("DEADLETTERS", "tgmesh.v1.deadletters.>"),
    ] {
        let stream = witness.get_stream(name).await.unwrap();
        let config = &stream.cached_info().config;
        assert_eq!(config.subjects, [subject]);
        assert_eq!(config.storage, StorageType::File);
        assert_eq!(config.discard, DiscardPolicy::Old);
        assert_eq!(config.compression, Some(Compression::S2));
        assert_eq!(config.duplicate_window.as_secs(), 600);
        assert_eq!(
            (config.deny_delete, config.deny_purge),
            (name == "AUDIT", name == "AUDIT"),
            "{name}"
        );
    }
    for bucket in [
        "tgmesh_leases",
        "tgmesh_sessions",
        "tgmesh_ledger",
        "tgmesh_assignments",
        "tgmesh_revocations",
        "tgmesh_tracing",
    ] {
        let status = witness.get_key_value(bucket).await.unwrap().status().await.unwrap();
        assert_eq!(
            status.max_age().as_secs(),
            if bucket == "tgmesh_leases" { 15 } else { 0 },
            "{bucket}"
        );
    }
    let audit = witness.get_stream("AUDIT").await.unwrap();
    witness
        .publish("tgmesh.v1.audit.test.x", "x".into())
        .await
        .unwrap()
        .await
        .unwrap();
    assert!(audit.purge().await.is_err() && audit.delete_message(1).await.is_err());
}

#[tokio::test]
async fn limits_grow_with_the_settings_and_never_shrink() {
    let (server, mesh) = start().await;
    let small = config(&server);
    let large = NatsConfig {
        max_bytes: small.max_bytes * 2,
        ..small.clone()
    };
    let changes = apply(&mesh, &desired(&large)).await.unwrap();
    assert!(
        changes
            .iter()
            .any(|change| change.to_string().contains("stream DETECTIONS: max_bytes")),
        "{changes:?}"
    );
    assert!(
        changes.iter().all(|change| matches!(change, Change::Update { .. })),
        "{changes:?}"
    );
    let changes = apply(&mesh, &desired(&small)).await.unwrap();
    assert!(!changes.is_empty());
    assert!(
        changes.iter().all(|change| matches!(change, Change::Keep { .. })),
        "{changes:?}"
    );
    let stream = witness(&server).await.get_stream("DETECTIONS").await.unwrap();
    assert_eq!(stream.cached_info().config.max_bytes as u64, large.max_bytes);
}

#[tokio::test]
async fn what_an_operator_set_stays() {
    let (server, mesh) = start().await;
    let witness = witness(&server).await;
    let mut theirs = witness
        .get_stream("DETECTIONS")
        .await
        .unwrap()
        .cached_info()
        .config
        .clone();
    theirs.max_age = std::time::Duration::from_hours(1);
    theirs.description = Some("ours".to_owned());
    theirs.subjects.push("other.>".to_owned());
    witness.update_stream(theirs).await.unwrap();
    let changes = apply(&mesh, &desired(&config(&server))).await.unwrap();
    assert!(
        matches!(&changes[..], [Change::Keep { field: "max_age", .. }]),
        "{changes:?}"
    );
    let after = witness
        .get_stream("DETECTIONS")
        .await
        .unwrap()
        .cached_info()
        .config
        .clone();
    assert_eq!(
        (after.max_age.as_secs(), after.description.as_deref()),
        (3600, Some("ours"))
    );
    assert_eq!(after.subjects.len(), 2);
}

#[tokio::test]
async fn a_stream_larger_than_the_disk_is_explained() {
    let (server, mesh) = bare().await;
    let config = NatsConfig {
        max_bytes: 1 << 50,
        ..config(&server)
    };
    let error = apply(&mesh, &desired(&config)).await.unwrap_err();
    assert!(matches!(error, StreamError::Refused(_)));
    assert!(error.to_string().contains("STREAM_MAX_BYTES"), "{error}");
}

#[tokio::test]
async fn the_epoch_follows_the_life_of_the_stream() {
    let (server, mesh) = start().await;
    let first = epoch(&mesh).await.unwrap();
    assert_eq!(first.len(), 16);
    fill(&mesh, 0..10).await;
    assert_eq!(epoch(&mesh).await.unwrap(), first);
    let state = stream_state(&mesh, "DETECTIONS").await.unwrap();
    assert_eq!(
        (state.first_seq, state.last_seq, state.messages, &state.epoch),
        (1, 10, 10, &first)
    );

    // Made anew.
    let witness = witness(&server).await;
    let backup = witness
        .get_stream("DETECTIONS")
        .await
        .unwrap()
        .cached_info()
        .config
        .clone();
    witness.delete_stream("DETECTIONS").await.unwrap();
    assert!(matches!(
        stream_state(&mesh, "DETECTIONS").await,
        Err(StreamError::NotFound(_))
    ));
    apply(&mesh, &desired(&config(&server))).await.unwrap();
    let second = epoch(&mesh).await.unwrap();
    assert_ne!(second, first);

    // As a restore of an old backup leaves it: the epoch of before, a lower last sequence.
    witness.delete_stream("DETECTIONS").await.unwrap();
    witness.create_stream(backup).await.unwrap();
    fill(&mesh, 0..5).await;
    let third = epoch(&mesh).await.unwrap();
    assert!(third != first && third != second, "{first} {second} {third}");
    assert_eq!(epoch(&mesh).await.unwrap(), third);
}

#[tokio::test]
async fn services_wait_for_the_topology() {
    let (server, mesh) = bare().await;
    let waiting = tokio::spawn({
        let mesh = mesh.clone();
        async move { wait(&mesh).await }
    });
    let mut part = desired(&config(&server));
    let buckets = std::mem::take(&mut part.buckets);
    apply(&mesh, &part).await.unwrap();
    assert!(!waiting.is_finished());
    part.buckets = buckets;
    apply(&mesh, &part).await.unwrap();
    eventually(LONG, "wait returns", async || waiting.is_finished()).await;
}

#[tokio::test]
async fn connect_waits_for_the_server() {
    let mut server = tgmesh_testkit::nats::Server::start().await.unwrap();
    let config = config(&server);
    server.stop().await;
    let connecting = tokio::spawn(async move { Mesh::connect(&config, "test").await });
    tokio::task::yield_now().await;
    assert!(!connecting.is_finished());
    server.start_again().await.unwrap();
    let mesh = tokio::time::timeout(LONG, connecting).await.unwrap().unwrap().unwrap();
    assert!(matches!(epoch(&mesh).await, Err(StreamError::NotFound(_))));
}
