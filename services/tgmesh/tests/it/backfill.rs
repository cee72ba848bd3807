//! The past, fetched in a whole mesh.

use std::time::Duration;

use serde_json::Value;
use tgmesh_testkit::process::Process;
use tgmesh_testkit::{Scratch, eventually};

use crate::support::{Up, alone, rows, state, tgmesh};

const LIMIT: Duration = Duration::from_mins(1);

/// What was told live is found again, and neither told nor stored again.
#[tokio::test]
async fn what_is_stored_is_not_told_again() {
    let _alone = alone().await;
    let scratch = Scratch::new().unwrap();
    let state = state(&scratch);
    let up = Up::start(&state, &["--rate", "50"]).await;
    let config = std::fs::read_to_string(state.join("nats/nats.conf")).unwrap();
    let port = config.split("127.0.0.1:").nth(1).unwrap().split('"').next().unwrap();
    let nats = format!("nats://127.0.0.1:{port}");
    eventually(LIMIT, "rows arrive", async || rows(&state).await > 20).await;
    let url = std::fs::read_to_string(state.join("database.url")).unwrap();
    let ask = async |question: &str| tgmesh_testkit::postgres::query(&url, question).await.unwrap();
    // The busiest channel.
    let chat = ask(
        "SELECT chat_id FROM detections WHERE chat_id < -1000000000000 AND event = 'called' \
         GROUP BY chat_id ORDER BY count(*) DESC LIMIT 1",
    )
    .await;
    // Some of it is old enough that nothing of that is on its way any more.
    let is_older = async || {
        let first =
            format!("SELECT min(message_date) < now() - interval '20 seconds' FROM detections WHERE chat_id = {chat}");
        ask(&first).await == "t"
    };
    eventually(LIMIT, "it has a past", is_older).await;
    // What was posted before the account's first start was never told.
    let since = ask(&format!(
        "SELECT to_char(min(message_date) AT TIME ZONE 'UTC' + interval '2 seconds', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') \
         FROM detections WHERE chat_id = {chat}"
    ))
    .await;
    let fetch = [
        "backfill", "--chat", &chat, "--since", &since, "--until", "5s", "--json",
    ];
    let order = Process::spawn(tgmesh(&fetch).env("NATS_URL", &nats)).unwrap();
    let status = order.wait(LIMIT).await.unwrap();
    let log = order.log_tail();
    assert_eq!(status.code(), Some(0), "{log}");
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(last["state"], "done", "{last}");
    assert!(last["finds"].as_u64() > Some(0), "{last}");
    assert_eq!(last["events"], 0, "{last}");
    let twice = format!(
        "SELECT count(*) FROM detections WHERE chat_id = {chat} AND detail #>> '{{listener,backfill}}' = 'true'"
    );
    assert_eq!(ask(&twice).await, "0");
    drop(up);
}
