use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use tgmesh_testkit::process::{Process, Signal, Spec};
use tgmesh_testkit::{eventually, until};

const LIMIT: Duration = Duration::from_secs(10);

fn shell(script: &str) -> Process {
    Process::spawn(Spec::new("/bin/sh").arg("-c").arg(script).env("WORD", "hello")).unwrap()
}

#[tokio::test]
async fn tells_status_and_log() {
    let process = shell("echo out $WORD; echo err >&2; exit 7");
    assert_eq!(process.wait(LIMIT).await.unwrap().code(), Some(7));
    assert_eq!(process.log_tail(), "out hello\nerr\n");
    assert!(!process.is_running());
    // A signal to what has ended goes nowhere, least of all to a stranger with its old id.
    process.kill();
}

#[tokio::test]
async fn stops_in_order_or_kills() {
    let gentle = shell("trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done");
    eventually(LIMIT, "the trap is set", || async {
        gentle.log_tail().contains("ready")
    })
    .await;
    assert_eq!(gentle.stop(LIMIT).await.code(), Some(3));

    let stubborn = shell("trap '' TERM; echo ready; while :; do sleep 0.01; done");
    eventually(LIMIT, "the trap is set", || async {
        stubborn.log_tail().contains("ready")
    })
    .await;
    assert_eq!(stubborn.stop(Duration::from_millis(100)).await.signal(), Some(9));
}

#[tokio::test]
async fn freezes_and_goes_on() {
    let process = shell("while :; do echo x; sleep 0.01; done");
    let length = || process.log_path().metadata().map_or(0, |meta| meta.len());
    eventually(LIMIT, "it prints", || async { length() > 0 }).await;
    process.pause();
    let state = format!("/proc/{}/stat", process.pid());
    eventually(LIMIT, "it is stopped", || async {
        std::fs::read_to_string(&state).is_ok_and(|stat| stat.contains(") T "))
    })
    .await;
    let frozen = length();
    assert!(!until(Duration::from_millis(100), || async { length() > frozen + 2 }).await);
    process.signal(Signal::Cont);
    eventually(LIMIT, "it prints again", || async { length() > frozen + 2 }).await;
}

#[tokio::test]
async fn is_gone_when_dropped() {
    let process = shell("trap '' TERM; while :; do sleep 0.01; done");
    let proc = format!("/proc/{}", process.pid());
    assert!(std::path::Path::new(&proc).exists());
    drop(process);
    assert!(!std::path::Path::new(&proc).exists());
}
