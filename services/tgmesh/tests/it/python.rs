//! An independent client, written from the contract alone.

use std::time::Duration;

use serde_json::Value;
use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{Scratch, python, repo_root};

use crate::support::{Up, alone, state};

#[tokio::test]
async fn the_example_client_sees_frames() {
    let _alone = alone().await;
    let scratch = Scratch::new().unwrap();
    let up = Up::start(&state(&scratch), &["--rate", "50"]).await;
    let socket = format!("{}/ws", up.url().replacen("http", "ws", 1));
    let client = Process::spawn(
        Spec::new(python())
            .arg(repo_root().join("proto/examples/follow.py"))
            .args([&socket, up.token(), "--count", "5"]),
    )
    .unwrap();
    let status = client.wait(Duration::from_mins(1)).await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", client.log_tail());
    let frames: Vec<Value> = client
        .log_tail()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(frames.len(), 5);
    for pair in frames.windows(2) {
        assert!(pair[0]["seq"].as_u64() < pair[1]["seq"].as_u64());
    }
    for frame in &frames {
        assert_eq!(frame["type"], "detection");
        assert_eq!(frame["data"]["id"].as_str().unwrap().len(), 32);
        assert!(!frame["data"]["address"].as_str().unwrap().is_empty());
    }

    let refused = Process::spawn(
        Spec::new(python())
            .arg(repo_root().join("proto/examples/follow.py"))
            .args([&socket, "no.such.token"]),
    )
    .unwrap();
    assert_eq!(refused.wait(Duration::from_secs(30)).await.unwrap().code(), Some(1));
    assert!(refused.log_tail().contains("4401"), "{}", refused.log_tail());
}
