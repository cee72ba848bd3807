//! The dashboard in a real browser, against a real mesh.

use std::path::Path;
use std::time::Duration;

use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{Scratch, binary, repo_root, tools_dir};

use crate::support::{Up, alone, clean, soak, state};

#[tokio::test]
async fn the_dashboard_works() {
    let _alone = alone().await;
    let scratch = Scratch::new().unwrap();
    let up = Up::start(&state(&scratch), &["--rate", "20"]).await;
    drive("e2e/run.mjs", &up, &state(&scratch), Duration::from_mins(6)).await;
}

#[tokio::test]
async fn the_dashboard_keeps_up_with_a_thousand_events_a_second() {
    let _alone = alone().await;
    let scratch = Scratch::new().unwrap();
    let up = Up::start(&state(&scratch), &["--rate", "4000", "--chats", "200"]).await;
    let limit = if soak() { 20 } else { 6 };
    drive("e2e/load.mjs", &up, &state(&scratch), Duration::from_mins(limit)).await;
}

/// Runs a script of `dashboard/e2e` against a mesh; it has to exit 0.
async fn drive(script: &str, up: &Up, state: &Path, limit: Duration) {
    // Where the machine has no Node of its own, `make` puts one into .tools.
    let tools = tools_dir().join("venv/bin");
    let path = std::env::var("PATH").unwrap_or_default();
    let path = if tools.join("node").exists() {
        format!("{}:{path}", tools.display())
    } else {
        path
    };
    let mut spec = clean(Spec::new("/usr/bin/env"))
        .args(["node", script])
        .current_dir(repo_root().join("dashboard"))
        .env("PATH", path)
        .env("TGMESH_URL", &up.line)
        .env("TGMESH_TOKEN_COMMAND", token_command(state))
        .env("TGMESH_SIM_CONTROL", simulator(state));
    if let Some(browser) = browser() {
        spec = spec.env("CHROMIUM", browser);
    }
    let test = Process::spawn(spec).unwrap();
    let status = test.wait(limit).await.unwrap();
    println!("{}", test.log_tail());
    assert_eq!(status.code(), Some(0), "{}", test.log_tail());
}

/// What signs further tokens for this mesh, as a JSON list.
fn token_command(state: &Path) -> String {
    let words = [
        binary("tgmesh").display().to_string(),
        "token".to_owned(),
        "--state".to_owned(),
        state.display().to_string(),
    ];
    serde_json::to_string(&words).unwrap()
}

/// The simulator's control port, as it tells it in its log.
fn simulator(state: &Path) -> String {
    let log = std::fs::read_to_string(state.join("logs/simulator.log")).unwrap();
    let (_, after) = log.split_once("control_addr=").unwrap();
    format!("http://{}", after.split_whitespace().next().unwrap())
}

fn browser() -> Option<String> {
    if let Some(given) = std::env::var("CHROMIUM").ok().filter(|given| !given.is_empty()) {
        return Some(given);
    }
    let path = std::env::var_os("PATH")?;
    let dirs: Vec<_> = std::env::split_paths(&path).collect();
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find_map(|name| dirs.iter().map(|dir| dir.join(name)).find(|path| path.is_file()))
        .map(|path| path.display().to_string())
}
