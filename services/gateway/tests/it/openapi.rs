//! The API against its own description, by a tool that shares no code with it.

use std::time::Duration;

use serde_json::json;
use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{find_python, repo_root};

use crate::past::Past;
use crate::world::{detection, matched, token};

#[tokio::test(flavor = "multi_thread")]
async fn the_api_keeps_to_its_description() {
    let past = Past::start().await;
    past.keep(&(0..50).map(|n| detection(-1 - n % 3)).collect::<Vec<_>>())
        .await;
    past.keep_matches(&[matched(-1)]).await;
    past.count().await;
    let answer = reqwest::get(past.world.url("/openapi.json")).await.expect("it answers");
    assert_eq!(answer.status(), 200, "without a token");
    let is_soak = std::env::var_os("TGMESH_SOAK").is_some_and(|soak| soak == "1");
    let seed = if is_soak { rand::random::<u32>() } else { 6 };
    println!("seed {seed}");
    // It keeps what it found in the folder that it runs in.
    let scratch = tempfile::tempdir().expect("a folder");
    let examples = if is_soak { 500 } else { 8 };
    let spec = Spec::new(find_python().expect("Python"))
        .current_dir(scratch.path())
        .args(["-m", "schemathesis.cli"])
        .arg("--config-file")
        .arg(repo_root().join("services/gateway/tests/schemathesis.toml"))
        .arg("run")
        .arg(past.world.url("/openapi.json"))
        // Its answers do not end.
        .args(["--exclude-path", "/api/stream"])
        .arg("--header")
        .arg(format!("Authorization: Bearer {}", token(&json!({}))))
        .args(["--seed", &seed.to_string(), "--max-examples", &examples.to_string()]);
    let run = Process::spawn(spec).expect("schemathesis starts");
    let limit = Duration::from_secs(if is_soak { 3600 } else { 180 });
    let status = run.wait(limit).await.expect("it ends in time");
    assert!(
        status.success(),
        "{}",
        std::fs::read_to_string(run.log_path()).unwrap_or_default()
    );
    let log = std::fs::read_to_string(run.log_path()).unwrap_or_default();
    assert!(log.contains("passed"), "{log}");
}
