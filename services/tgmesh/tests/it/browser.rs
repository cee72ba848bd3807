//! The dashboard in a real browser, against a real mesh.

use std::time::Duration;

use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{Scratch, repo_root, tools_dir};

use crate::support::{Up, alone, state};

#[tokio::test]
async fn the_dashboard_works() {
    let _alone = alone().await;
    let scratch = Scratch::new().unwrap();
    let up = Up::start(&state(&scratch), &["--rate", "20"]).await;
    // Where the machine has no Node of its own, `make` puts one into .tools.
    let tools = tools_dir().join("venv/bin");
    let path = std::env::var("PATH").unwrap_or_default();
    let path = if tools.join("node").exists() {
        format!("{}:{path}", tools.display())
    } else {
        path
    };
    let mut spec = Spec::new("/usr/bin/env")
        .args(["node", "e2e/run.mjs"])
        .current_dir(repo_root().join("dashboard"))
        .env("PATH", path)
        .env("TGMESH_URL", &up.line);
    if let Some(browser) = browser() {
        spec = spec.env("CHROMIUM", browser);
    }
    let test = Process::spawn(spec).unwrap();
    let status = test.wait(Duration::from_mins(4)).await.unwrap();
    println!("{}", test.log_tail());
    assert_eq!(status.code(), Some(0), "{}", test.log_tail());
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
