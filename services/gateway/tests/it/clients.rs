//! The clients that the project hands out, each as a program of its own, through kills of what they
//! talk to: none loses an event or prints one twice.

use std::path::PathBuf;

use serde_json::{Value, json};
use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{eventually, python, repo_root, tools_dir};

use crate::socket::PATIENCE;
use crate::world::{World, detection, token};

/// Sequences that a client printed, in order. What is no line of its own about an event is passed
/// over; a loss is not.
fn printed(client: &Process) -> Vec<u64> {
    let text = std::fs::read_to_string(client.log_path()).expect("a log");
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .inspect(|line| {
            for loss in ["lost", "missed_after"] {
                assert!(line[loss].is_null(), "{line}");
            }
        })
        .filter_map(|line| line["seq"].as_u64())
        .collect()
}

async fn loses_nothing(spec: impl Fn(&str, &str) -> Spec) {
    let mut world = World::start().await;
    let url = format!("ws://127.0.0.1:{}/ws", world.port);
    let client = Process::spawn(spec(&url, &token(&json!({})))).expect("the client starts");
    // It has subscribed once it prints what is published.
    eventually(PATIENCE * 2, "the client follows", || async {
        world.publish(&detection(-1)).await;
        assert!(client.is_running(), "{}", client.log_tail());
        !printed(&client).is_empty()
    })
    .await;
    let mut last = 0;
    for fault in ["kill", "nats", "term", "kill"] {
        last = world.publish_many(200, -1).await;
        match fault {
            // While frames are on their way.
            "kill" => world.kill_gateway().await,
            "nats" => {
                world.nats.kill().await;
                world.nats.start_again().await.expect("it starts again");
                continue;
            }
            _ => {
                world.gateway().terminate();
                world.gateway().ended().await;
            }
        }
        last = world.publish_many(200, -1).await;
        world.start_gateway().await;
    }
    let end = world.publish(&detection(-1)).await;
    assert!(end > last);
    eventually(PATIENCE * 3, "the client has everything", || async {
        assert!(client.is_running(), "{}", client.log_tail());
        printed(&client).last() == Some(&end)
    })
    .await;
    let seqs = printed(&client);
    assert_eq!(seqs, (seqs[0]..=end).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_example_loses_nothing() {
    loses_nothing(|url, token| {
        Spec::new(python())
            .arg(repo_root().join("proto/examples/follow.py"))
            .args([url, token])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_typescript_client_loses_nothing() {
    loses_nothing(|url, token| {
        Spec::new(node())
            .args(["--experimental-websocket", "e2e/follow.mjs", url, token])
            .current_dir(repo_root().join("dashboard"))
    })
    .await;
}

/// Where the machine has no Node of its own, `make` puts one into .tools.
fn node() -> PathBuf {
    let own = tools_dir().join("venv/bin/node");
    if own.exists() { own } else { "node".into() }
}
