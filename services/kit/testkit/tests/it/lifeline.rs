use std::path::Path;
use std::time::Duration;

use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{Scratch, eventually, nats, postgres, until};

const LIMIT: Duration = Duration::from_secs(30);
const ROLE: &str = "TGMESH_TESTKIT_PARENT";

/// Not a test of its own: the parent that [`nothing_outlives_a_killed_parent`] kills.
#[tokio::test]
async fn parent() {
    let Some(report) = std::env::var_os(ROLE) else { return };
    let nats = nats::Server::start().await.unwrap();
    let postgres = postgres::Server::shared().await.unwrap();
    let scratch = Scratch::new().unwrap();
    let lines = format!(
        "{}\n{}\n{}\n",
        nats.process().unwrap().pid(),
        postgres.process().unwrap().pid(),
        scratch.path().display()
    );
    let half = Path::new(&report).with_extension("half");
    std::fs::write(&half, lines).unwrap();
    std::fs::rename(half, report).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn nothing_outlives_a_killed_parent() {
    let scratch = Scratch::new().unwrap();
    let report = scratch.path().join("report");
    let parent = Process::spawn(
        Spec::new(std::env::current_exe().unwrap())
            .args(["--exact", "lifeline::parent", "--nocapture"])
            .env(ROLE, &report),
    )
    .unwrap();
    eventually(LIMIT, "the parent has started its children", || async {
        assert!(parent.is_running(), "{}", parent.log_tail());
        report.exists()
    })
    .await;
    let lines = std::fs::read_to_string(&report).unwrap();
    let [nats, postgres, dir] = lines.lines().collect::<Vec<_>>().try_into().unwrap();
    assert!(runs(nats) && runs(postgres) && Path::new(dir).exists());

    parent.kill();
    parent.wait(LIMIT).await.unwrap();
    let gone = until(LIMIT, || async {
        !runs(nats) && !runs(postgres) && !Path::new(dir).exists()
    });
    assert!(
        gone.await,
        "nats {}, postgres {}, {dir} {}",
        runs(nats),
        runs(postgres),
        Path::new(dir).exists()
    );
}

/// A zombie whose new parent is slow to reap it does not count.
fn runs(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
