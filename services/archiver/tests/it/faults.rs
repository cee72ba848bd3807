use std::time::Duration;

use tgmesh_stream::stats;
use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{binary, eventually};

use crate::{LONG, Place};

#[tokio::test(flavor = "multi_thread")]
async fn one_row_that_postgres_refuses_costs_no_other() {
    let place = Place::new().await;
    let archiver = place.archiver();
    archiver.ready().await;
    let check = "ALTER TABLE detections ADD CHECK (message_id NOT IN (101, 778))";
    place.postgres.query("tgmesh", check).await.unwrap();
    crate::fill(&place.mesh, 0..1000).await;
    place.eventually_rows(998).await;
    eventually(LONG, "two letters", async || {
        archiver.metric("tgmesh_archiver_deadletters_total").await == 2
    })
    .await;
    assert!(archiver.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_must_mend_costs_no_message() {
    let place = Place::new().await;
    let archiver = place.archiver();
    archiver.ready().await;
    place
        .postgres
        .query("tgmesh", "ALTER TABLE detections RENAME TO hidden")
        .await
        .unwrap();
    crate::fill(&place.mesh, 0..300).await;
    eventually(LONG, "it says so", async || {
        archiver.metric("tgmesh_archiver_batch_errors_total").await > 1
    })
    .await;
    place
        .postgres
        .query("tgmesh", "ALTER TABLE hidden RENAME TO detections")
        .await
        .unwrap();
    place.eventually_rows(300).await;
    assert_eq!(archiver.metric("tgmesh_archiver_deadletters_total").await, 0);
    assert!(archiver.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_made_anew_brings_rows_of_another_epoch() {
    let place = Place::new().await;
    let archiver = place.archiver();
    archiver.ready().await;
    crate::fill(&place.mesh, 0..100).await;
    place.eventually_rows(100).await;
    let mut config = tgmesh_stream::NatsConfig::new(&place.nats.url()).unwrap();
    config.max_bytes = 512 << 20;
    // What an operator does with the nats tool.
    api(&place.nats.url(), "STREAM.DELETE.DETECTIONS").await;
    tgmesh_stream::topology::apply(&place.mesh, &tgmesh_stream::topology::desired(&config))
        .await
        .unwrap();
    crate::fill(&place.mesh, 100..200).await;
    place.eventually_rows(200).await;
    let epochs = "SELECT count(*), min(stream_seq), max(stream_seq) FROM detections GROUP BY stream_epoch";
    let epochs = place.postgres.query("tgmesh", epochs).await.unwrap();
    assert_eq!(
        epochs.split_whitespace().collect::<Vec<_>>(),
        ["100|1|100", "100|1|100"]
    );
    assert!(archiver.stop().await.success());
}

/// One request to the `JetStream` API in the NATS protocol, by hand: this crate does not name the
/// client.
pub(crate) async fn api(url: &str, subject: &str) {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    let stream = tokio::net::TcpStream::connect(url.strip_prefix("nats://").unwrap())
        .await
        .unwrap();
    let mut stream = BufReader::new(stream);
    let request = format!("CONNECT {{\"verbose\":false}}\r\nSUB answer 1\r\nPUB $JS.API.{subject} answer 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut line = String::new();
    while !line.contains("\"success\":true") {
        line.clear();
        let read = tokio::time::timeout(LONG, stream.read_line(&mut line)).await;
        assert!(read.unwrap().unwrap() > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_reports_its_figures() {
    let place = Place::new().await;
    let mut feed = stats::subscribe(&place.mesh).await.unwrap();
    let archiver = place.archiver();
    archiver.ready().await;
    crate::fill(&place.mesh, 0..50).await;
    place.eventually_rows(50).await;
    let report = loop {
        let report = tokio::time::timeout(Duration::from_secs(20), feed.next())
            .await
            .expect("every 5 s")
            .unwrap();
        if report.counters["rows_total"] == 50 {
            break report;
        }
    };
    assert_eq!(
        (report.service.as_str(), report.instance.as_str()),
        ("archiver", "under-test")
    );
    assert_eq!(report.counters["duplicates_total"], 0);
    assert_eq!(report.histograms["stream_to_commit_seconds"].count, 50);
    assert!(report.histograms["batch_seconds"].quantile_us(0.5).is_some() && report.rss_bytes > 0);
    assert!(archiver.stop().await.success());
}

#[tokio::test]
async fn every_fault_in_the_settings_is_told_at_once() {
    let spec = Spec::new(binary("tgmesh-archiver"))
        .env("NATS_URL", "http://user:hunter2@x")
        .env("STREAM_MAX_AGE", "7")
        .env("BATCH_MAX_ROWS", "0")
        .env("BATCH_MAX_AGE", "soon")
        .env("ADMIN_LISTEN", "here")
        .env("LOG_FORMAT", "xml")
        .env_remove("DATABASE_URL");
    let process = Process::spawn(spec).unwrap();
    let status = process.wait(Duration::from_secs(10)).await.unwrap();
    assert_eq!(status.code(), Some(64));
    let log = process.log_tail();
    for name in [
        "NATS_URL",
        "STREAM_MAX_AGE",
        "BATCH_MAX_ROWS",
        "BATCH_MAX_AGE",
        "ADMIN_LISTEN",
        "LOG_FORMAT",
        "DATABASE_URL",
    ] {
        assert_eq!(
            log.lines().filter(|line| line.contains(&format!("{name}: "))).count(),
            1,
            "{name}\n{log}"
        );
    }
    assert!(!log.contains("hunter2"), "{log}");
}
