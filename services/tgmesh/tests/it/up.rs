use std::time::Duration;

use tgmesh_testkit::process::{Process, Signal};
use tgmesh_testkit::{Scratch, eventually};

use crate::support::{STOP_LIMIT, Up, alone, rows, runs, state, tgmesh};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn starts_shows_stops_and_starts_again() {
    let _alone = alone().await;
    let scratch = Scratch::new().unwrap();
    let state = state(&scratch);
    let up = Up::start(&state, &["--rate", "20"]).await;
    assert!(up.url().starts_with("http://127.0.0.1:"), "{}", up.line);
    assert_eq!(up.token().split('.').count(), 3, "{}", up.line);

    let page = reqwest::get(format!("{}/", up.url())).await.unwrap();
    assert!(page.status().is_success());
    assert!(page.text().await.unwrap().contains("<html"));
    let metrics = format!("{}/api/metrics/telegram-stream", up.url());
    assert_eq!(reqwest::get(&metrics).await.unwrap().status(), 401);
    let metrics = reqwest::Client::new()
        .get(&metrics)
        .bearer_auth(up.token())
        .send()
        .await
        .unwrap();
    assert!(metrics.status().is_success());

    eventually(LIMIT, "rows arrive", || async { rows(&state).await > 5 }).await;
    let some = rows(&state).await;
    eventually(LIMIT, "rows grow", || async { rows(&state).await > some }).await;

    let children = up.children();
    let names: Vec<&str> = children.iter().map(|(_, name)| name.as_str()).collect();
    for name in [
        "nats-server",
        "postgres",
        "tgmesh-listener",
        "tgmesh-archiver",
        "tgmesh-gateway",
        "tgmesh-telegram",
    ] {
        assert!(
            names.iter().any(|other| other.starts_with(&name[..name.len().min(15)])),
            "no {name} in {names:?}"
        );
    }

    // One at a time.
    let second = Process::spawn(tgmesh(&["up", "--state"]).arg(&state)).unwrap();
    assert_eq!(second.wait(LIMIT).await.unwrap().code(), Some(1));
    assert!(
        second.log_tail().contains(&format!("pid {}", up.process.pid())),
        "{}",
        second.log_tail()
    );

    // What dies by itself comes back.
    let (archiver, _) = children.iter().find(|(_, name)| name == "tgmesh-archiver").unwrap();
    kill(*archiver).await;
    eventually(LIMIT, "the archiver is back", || async {
        up.process.log_tail().contains("started the archiver again")
    })
    .await;
    let some = rows(&state).await;
    eventually(LIMIT, "rows grow again", || async { rows(&state).await > some }).await;

    // Ctrl-C.
    let children = up.children();
    up.process.signal(Signal::Int);
    let status = up.process.wait(STOP_LIMIT).await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", up.process.log_tail());
    let left: Vec<_> = children
        .iter()
        .filter(|(pid, name)| name != "sh" && runs(*pid))
        .collect();
    assert!(left.is_empty(), "{left:?}");

    // The folder is whole: a second run goes on with what the first one stored.
    let up = Up::start(&state, &["--rate", "20"]).await;
    let kept = rows(&state).await;
    assert!(kept >= some, "{kept} rows of {some}");
    eventually(LIMIT, "rows grow in the second run", || async {
        rows(&state).await > kept
    })
    .await;

    // A crash: nothing stays, and the next run recovers.
    let children = up.children();
    up.process.kill();
    up.process.wait(LIMIT).await.unwrap();
    eventually(LIMIT, "nothing outlives a killed up", || async {
        !children.iter().any(|(pid, _)| runs(*pid))
    })
    .await;
    let up = Up::start(&state, &["--rate", "20"]).await;
    let kept = rows(&state).await;
    eventually(LIMIT, "rows grow after a crash", || async { rows(&state).await > kept }).await;
    up.process.terminate();
    assert_eq!(up.process.wait(STOP_LIMIT).await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn ends_by_itself_when_told_for_how_long() {
    let _alone = alone().await;
    let scratch = Scratch::new().unwrap();
    let up = Up::start(&state(&scratch), &["--for", "1s"]).await;
    assert_eq!(up.process.wait(STOP_LIMIT).await.unwrap().code(), Some(0));
}

/// Kills a process that is not this one's child but the mesh's.
async fn kill(pid: u32) {
    let status = tokio::process::Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status()
        .await
        .unwrap();
    assert!(status.success());
}
