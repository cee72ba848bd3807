//! The first run as `deploy/FIRST-RUN.md` tells it, with the simulator in Telegram's place.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{Scratch, binary, eventually, free_port};
use tokio::io::AsyncWriteExt as _;

use crate::support::{STOP_LIMIT, Up, alone, clean, rows, tgmesh};

const LIMIT: Duration = Duration::from_mins(1);
const ADDRESS: &str = "0x60a3e35cc302bfa44cb288bc5a4f316fdb1adb42";

async fn post(control: &str, path: &str, body: &Value) -> Value {
    let request = reqwest::Client::new().post(format!("{control}{path}")).json(body);
    let answer = request.send().await.unwrap().error_for_status().unwrap();
    answer.json().await.unwrap()
}

async fn get(control: &str, path: &str) -> Value {
    reqwest::get(format!("{control}{path}"))
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}

/// The variables that `.env` would hold.
fn env<'a>(dc: &'a str, chats: &'a str) -> [(&'static str, &'a str); 5] {
    [
        ("TELEGRAM_API_ID", "1"),
        ("TELEGRAM_API_HASH", "0123456789abcdef0123456789abcdef"),
        ("TELEGRAM_ACCOUNTS", "alice"),
        ("TELEGRAM_DC", dc),
        ("MONITORED_CHATS", chats),
    ]
}

/// Runs a command in this folder to its end.
async fn run(spec: Spec, dir: &Path) -> (i32, String) {
    let process = Process::spawn(spec.current_dir(dir)).unwrap();
    let status = process.wait(LIMIT).await.unwrap();
    (status.code().unwrap(), process.log_tail())
}

#[tokio::test]
async fn from_the_sign_in_to_a_row() {
    let _alone = alone().await;
    let scratch = Scratch::new().unwrap();
    let dir = scratch.path();
    let ready = dir.join("ready.json");
    let simulator = clean(Spec::new(binary("tgmesh-telegram-sim")))
        .arg("--ready")
        .arg(&ready)
        .env("ADMIN_LISTEN", format!("127.0.0.1:{}", free_port()));
    let simulator = Process::spawn(simulator).unwrap();
    eventually(LIMIT, "the simulator is ready", || async { ready.exists() }).await;
    let ready: Value = serde_json::from_str(&std::fs::read_to_string(&ready).unwrap()).unwrap();
    let (control, dc) = (ready["control"].as_str().unwrap(), ready["mtproto"].as_str().unwrap());

    // Without a session nothing starts, and it is said what is missing.
    let state = dir.join(".tgmesh");
    let up = tgmesh(&["up", "--telegram", "real"]).envs(env(dc, "*"));
    let (code, log) = run(up, dir).await;
    assert!(code == 64 && log.contains("tgmesh login --account NAME"), "{log}");

    // What a key exchange would have left behind.
    let keys = post(control, "/keys", &json!({ "name": "alice" })).await;
    std::fs::write(dir.join("keys.json"), keys.to_string()).unwrap();
    let import = tgmesh(&["sessions", "import", "keys.json"]).envs(env(dc, "*"));
    let (code, log) = run(import, dir).await;
    assert_eq!(code, 0, "{log}");

    let mut login = tokio::process::Command::new(binary("tgmesh"))
        .args(["login", "--phone", "+99966 00001"])
        .envs(env(dc, "*"))
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    eventually(LIMIT, "a code was sent", || async {
        get(control, "/logins").await[0]["code"].is_string()
    })
    .await;
    let logins = get(control, "/logins").await;
    let code = format!("{}\n", logins[0]["code"].as_str().unwrap());
    login.stdin.as_mut().unwrap().write_all(code.as_bytes()).await.unwrap();
    let status = tokio::time::timeout(LIMIT, login.wait()).await.unwrap().unwrap();
    assert!(status.success());
    assert!(state.join("sessions/alice.session").exists() && state.join("telegram.key").exists());

    let (code, log) = run(tgmesh(&["sessions", "check"]).envs(env(dc, "*")), dir).await;
    assert!(code == 0 && log.contains("alice\tgood"), "{log}");
    let (code, log) = run(tgmesh(&["chats", "--json"]).envs(env(dc, "folder:Calls")), dir).await;
    assert_eq!(code, 0, "{log}");
    // What is said besides goes to standard error: without NATS, that nobody is asked who uses the key.
    let lines = log.lines().filter(|line| line.starts_with('{'));
    let chats: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_watched = |chat: &&Value| chat["watched"] == true && chat["kind"] == "channel";
    let chat = chats.iter().find(is_watched).expect("the folder has a channel")["id"].clone();

    let up = Up::start_with(&state, &["--telegram", "real"], env(dc, "folder:Calls")).await;
    let text = format!("CA {ADDRESS} on Base");
    // The folder is read a moment after the account is followed.
    let stored = || async {
        post(control, "/messages", &json!({ "chat_id": chat, "text": text })).await;
        rows(&state).await > 0
    };
    eventually(LIMIT, "a row is stored", stored).await;
    up.process.terminate();
    assert_eq!(up.process.wait(STOP_LIMIT).await.unwrap().code(), Some(0));
    simulator.terminate();
    simulator.wait(STOP_LIMIT).await.unwrap();
}
