use std::time::Duration;

use bytes::Bytes;
use tgmesh_proto::stats::StatsReport;
use tgmesh_stream::kv::{Bucket, KvError};
use tgmesh_stream::stats;

use crate::{LONG, start};

#[tokio::test]
async fn buckets_write_by_revision() {
    let (_server, mesh) = start().await;
    assert!(matches!(
        Bucket::open(&mesh, "tgmesh_other").await.err(),
        Some(KvError::NotFound(_))
    ));
    let bucket = Bucket::open(&mesh, "tgmesh_sessions").await.unwrap();
    assert_eq!(bucket.get("alpha").await.unwrap(), None);
    let first = bucket.create("alpha", Bytes::from_static(b"1")).await.unwrap();
    assert!(matches!(
        bucket.create("alpha", Bytes::from_static(b"x")).await,
        Err(KvError::Conflict)
    ));
    let second = bucket.update("alpha", Bytes::from_static(b"2"), first).await.unwrap();
    assert!(second > first);
    assert!(matches!(
        bucket.update("alpha", Bytes::from_static(b"x"), first).await,
        Err(KvError::Conflict)
    ));
    let entry = bucket.get("alpha").await.unwrap().unwrap();
    assert_eq!(
        (entry.value.as_ref(), entry.revision, entry.deleted),
        (&b"2"[..], second, false)
    );
    bucket.put("beta", Bytes::from_static(b"b")).await.unwrap();
    let mut keys = bucket.keys().await.unwrap();
    keys.sort();
    assert_eq!(keys, ["alpha", "beta"]);
    assert!(matches!(
        bucket.delete("alpha", Some(first)).await,
        Err(KvError::Conflict)
    ));
    bucket.delete("alpha", Some(second)).await.unwrap();
    assert_eq!(bucket.get("alpha").await.unwrap(), None);
    assert_eq!(bucket.keys().await.unwrap(), ["beta"]);
    assert!(matches!(
        bucket.put("bad key", Bytes::new()).await,
        Err(KvError::InvalidKey)
    ));
}

#[tokio::test]
async fn a_watch_tells_what_is_there_and_what_changes() {
    let (_server, mesh) = start().await;
    let bucket = Bucket::open(&mesh, "tgmesh_assignments").await.unwrap();
    bucket.put("-1001", Bytes::from_static(b"alpha")).await.unwrap();
    let mut watch = bucket.watch(">").await.unwrap();
    let mut next = async || {
        let entry = tokio::time::timeout(LONG, watch.next())
            .await
            .expect("in time")
            .unwrap()
            .unwrap();
        (entry.key, entry.value, entry.deleted)
    };
    assert_eq!(next().await, ("-1001".to_owned(), Bytes::from_static(b"alpha"), false));
    bucket.put("-1002", Bytes::from_static(b"beta")).await.unwrap();
    assert_eq!(next().await, ("-1002".to_owned(), Bytes::from_static(b"beta"), false));
    bucket.delete("-1001", None).await.unwrap();
    assert_eq!(next().await, ("-1001".to_owned(), Bytes::new(), true));
}

#[tokio::test]
async fn reports_reach_every_subscriber() {
    let (_server, mesh) = start().await;
    let mut feed = stats::subscribe(&mesh).await.unwrap();
    let report = StatsReport {
        service: "archiver".to_owned(),
        instance: "host.example-1".to_owned(),
        started_ms: 1,
        at_ms: 2,
        rss_bytes: 3,
        heap_bytes: 4,
        counters: [("rows_total".to_owned(), 5)].into(),
        gauges: [("lag".to_owned(), 0.5)].into(),
        histograms: [].into(),
    };
    let sent = report.clone();
    let reporter = stats::spawn_reporter(&mesh, "archiver", "host.example-1", move || sent.clone());
    for _ in 0..2 {
        let got = tokio::time::timeout(Duration::from_secs(15), feed.next())
            .await
            .expect("every 5 s")
            .unwrap();
        assert_eq!(got, report);
    }
    reporter.abort();
}
