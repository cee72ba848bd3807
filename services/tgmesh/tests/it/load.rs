use std::time::Duration;

use serde_json::Value;
use tgmesh_testkit::Scratch;
use tgmesh_testkit::process::Process;

use crate::support::{alone, soak, tgmesh};

const LIMIT: Duration = Duration::from_mins(4);

async fn load(args: &[&str]) -> Value {
    let scratch = Scratch::new().unwrap();
    let json = scratch.path().join("report.json");
    let process = Process::spawn(tgmesh(&["load"]).args(args).arg("--json").arg(&json)).unwrap();
    let status = process.wait(LIMIT).await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", process.log_tail());
    // Shown with --nocapture: the figures of a run are worth reading.
    println!("{}", process.log_tail());
    serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap()
}

#[tokio::test]
async fn a_thousand_a_second_reach_fifty_clients_and_postgres() {
    let _alone = alone().await;
    let (duration, messages) = if soak() { ("30s", 30_000) } else { ("5s", 5_000) };
    let report = load(&["--rate", "1000", "--duration", duration, "--ws-clients", "50"]).await;
    assert_eq!(report["messages"], messages);
    assert_eq!(report["expected"], messages);
    assert_eq!((&report["lost"], &report["duplicated"]), (&0.into(), &0.into()));
    assert_eq!(report["hops"]["send_to_client"]["count"], messages * 50);
    assert_eq!(report["hops"]["send_to_row"]["count"], messages);
    let processes: Vec<_> = report["processes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|process| process["name"].clone())
        .collect();
    assert_eq!(processes.len(), 8, "{processes:?}");
}

#[tokio::test]
async fn as_fast_as_it_goes_loses_nothing() {
    let _alone = alone().await;
    let report = load(&["--messages", "10000", "--ws-clients", "4"]).await;
    assert_eq!(report["expected"], 10_000);
    assert_eq!((&report["lost"], &report["duplicated"]), (&0.into(), &0.into()));
}
