//! What the tests of this file share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{Scratch, binary, eventually};
use tokio::sync::{Mutex, MutexGuard};

/// The whole mesh ready, on a busy machine with two cores.
pub const START_LIMIT: Duration = Duration::from_secs(90);
/// What ends in order ends within this time.
pub const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A mesh is ten processes: one at a time, so that limits mean the same on a small machine.
pub async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

/// Short forms by default; the long ones with `TGMESH_SOAK=1`.
pub fn soak() -> bool {
    std::env::var_os("TGMESH_SOAK").is_some_and(|soak| soak == "1")
}

/// `tgmesh …` as a child.
pub fn tgmesh(args: &[&str]) -> Spec {
    clean(Spec::new(binary("tgmesh")).args(args))
}

/// Without what the developer's own environment sets.
pub fn clean(spec: Spec) -> Spec {
    let ours = [
        "JWT_",
        "TELEGRAM_",
        "NATS_",
        "DATABASE_",
        "GATEWAY_",
        "ADMIN_",
        "BATCH_",
        "OTEL_",
        "SIM_",
        "SESSION_",
    ];
    std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| ours.iter().any(|ours| name.to_string_lossy().starts_with(ours)))
        .fold(spec, Spec::env_remove)
}

/// A mesh that was started as a person would.
pub struct Up {
    pub process: Process,
    /// `http://127.0.0.1:<port>/#token=…`, as printed.
    pub line: String,
}

impl Up {
    /// Starts `tgmesh up` and waits for its line.
    pub async fn start(state: &Path, args: &[&str]) -> Self {
        Self::start_with(state, args, []).await
    }

    /// As [`Up::start`], with variables.
    pub async fn start_with<const N: usize>(state: &Path, args: &[&str], env: [(&str, &str); N]) -> Self {
        let spec = tgmesh(&["up", "--gateway-listen", "127.0.0.1:0"])
            .envs(env)
            .args(args)
            .arg("--state")
            .arg(state);
        let process = Process::spawn(spec).unwrap();
        eventually(START_LIMIT, "tgmesh is up", || async {
            assert!(process.is_running(), "{}", process.log_tail());
            printed(&process).is_some()
        })
        .await;
        let line = printed(&process).unwrap();
        Self { process, line }
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        self.line.split("/#token=").next().unwrap()
    }

    pub fn token(&self) -> &str {
        self.line.split("/#token=").nth(1).unwrap()
    }

    /// The processes that it started and that still run, with their names.
    pub fn children(&self) -> Vec<(u32, String)> {
        children(self.process.pid())
    }
}

fn printed(process: &Process) -> Option<String> {
    let log = process.log_tail();
    // A whole line: its end is there.
    let line = log
        .split_inclusive('\n')
        .find_map(|line| line.strip_prefix("tgmesh is up: "))?;
    line.strip_suffix('\n').map(str::to_owned)
}

fn children(pid: u32) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(child) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let Some((head, tail)) = stat.rsplit_once(") ") else {
            continue;
        };
        let name = head.split_once(" (").map_or("", |(_, name)| name).to_owned();
        if tail.split(' ').nth(1) == Some(&pid.to_string()) && !tail.starts_with('Z') {
            found.push((child, name));
        }
    }
    found
}

/// Whether a process with this id runs; a zombie does not.
pub fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Rows in the database of a state folder.
pub async fn rows(state: &Path) -> u64 {
    let url = std::fs::read_to_string(state.join("database.url")).unwrap();
    let count = tgmesh_testkit::postgres::query(&url, "SELECT count(*) FROM detections").await;
    count.map_or(0, |count| count.parse().unwrap())
}

/// A folder for a mesh's state, gone afterwards.
pub fn state(scratch: &Scratch) -> PathBuf {
    scratch.path().join("state")
}
