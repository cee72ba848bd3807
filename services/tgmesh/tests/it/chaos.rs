//! Parts die under load, and nothing is lost or doubled.

use std::time::Duration;

use tgmesh::load::Report;
use tgmesh::load::drive::{Drive, Plan};
use tgmesh::mesh::Part;

use crate::support::{alone, soak};

const PATIENCE: Duration = Duration::from_secs(40);
/// What the binaries promise, and a little for a busy machine to notice it.
const TERM_LIMIT: Duration = Duration::from_secs(10);

fn plan() -> Plan {
    let (rate, messages) = if soak() { (1000.0, 45_000) } else { (400.0, 4_000) };
    Plan {
        rate: Some(rate),
        messages,
        chats: 30,
        ws_clients: 5,
        env: Vec::new(),
    }
}

fn outage() -> Duration {
    Duration::from_secs(if soak() { 10 } else { 3 })
}

/// Lets everything arrive and compares.
async fn settle(mut drive: Drive) -> Report {
    drive.drained(PATIENCE).await.unwrap();
    let report = drive.finish().await.unwrap();
    println!("{report}");
    report
}

fn assert_clean(report: &Report) {
    assert_eq!(report.messages, plan().messages);
    assert!(report.is_clean(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_archiver_is_killed() {
    killed(Part::Archiver).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_listener_is_killed() {
    killed(Part::Listener).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_is_killed() {
    killed(Part::Gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_is_killed() {
    killed(Part::Nats).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_crashes() {
    killed(Part::Postgres).await;
}

/// SIGKILL under load, three times, each time started again at once.
async fn killed(part: Part) {
    let _alone = alone().await;
    let mut drive = Drive::start(&plan()).await.unwrap();
    drive.send().await.unwrap();
    for quarter in 1..=3 {
        drive.sent(plan().messages * quarter / 4).await.unwrap();
        drive.mesh().kill(part).await;
        drive.mesh().start_again(part).await.unwrap();
    }
    assert_clean(&settle(drive).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_is_away() {
    let _alone = alone().await;
    let mut drive = Drive::start(&plan()).await.unwrap();
    drive.send().await.unwrap();
    drive.sent(plan().messages / 4).await.unwrap();
    drive.mesh().terminate(Part::Nats).await;
    tokio::time::sleep(outage()).await;
    drive.mesh().start_again(Part::Nats).await.unwrap();
    assert_clean(&settle(drive).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_away() {
    let _alone = alone().await;
    let mut drive = Drive::start(&plan()).await.unwrap();
    drive.send().await.unwrap();
    drive.sent(plan().messages / 4).await.unwrap();
    drive.mesh().terminate(Part::Postgres).await;
    tokio::time::sleep(outage()).await;
    drive.mesh().start_again(Part::Postgres).await.unwrap();
    assert_clean(&settle(drive).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_service_is_told_to_stop() {
    let _alone = alone().await;
    let mut drive = Drive::start(&plan()).await.unwrap();
    drive.send().await.unwrap();
    for (n, part) in [Part::Archiver, Part::Gateway, Part::Listener].into_iter().enumerate() {
        drive.sent(plan().messages * (n as u64 + 1) / 5).await.unwrap();
        stop_in_order(&mut drive, part).await;
        drive.mesh().start_again(part).await.unwrap();
    }
    drive.drained(PATIENCE).await.unwrap();
    let report = drive.finish().await.unwrap();
    assert_clean(&report);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_simulator_is_told_to_stop() {
    let _alone = alone().await;
    let mut drive = Drive::start(&Plan {
        ws_clients: 0,
        ..plan()
    })
    .await
    .unwrap();
    drive.send().await.unwrap();
    drive.sent(100).await.unwrap();
    // Its world is gone with it: there is nothing to compare.
    stop_in_order(&mut drive, Part::Simulator).await;
}

async fn stop_in_order(drive: &mut Drive, part: Part) {
    let (status, took) = drive.mesh().terminate(part).await.unwrap();
    assert_eq!(status.code(), Some(0), "{part}");
    assert!(took <= TERM_LIMIT, "the {part} took {took:?}");
}
