//! The binary: its ready file, its control port, its end.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tgmesh_testkit::process::{Process, Spec};

use crate::client::connect_with;

pub struct Control {
    base: String,
    http: reqwest::Client,
}

impl Control {
    pub async fn get(&self, path: &str) -> Value {
        self.http
            .get(format!("{}{path}", self.base))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let response = self
            .http
            .post(format!("{}{path}", self.base))
            .json(&body)
            .send()
            .await
            .unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    pub async fn delete(&self, path: &str) -> (u16, Value) {
        let response = self.http.delete(format!("{}{path}", self.base)).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }
}

fn spec() -> Spec {
    Spec::new(env!("CARGO_BIN_EXE_tgmesh-telegram-sim")).env("ADMIN_LISTEN", "127.0.0.1:0")
}

/// Starts the binary and waits for its ready file; gives its control port and the address for
/// clients.
pub async fn spawn(dir: &Path, args: &[&str]) -> (Process, Control, String) {
    let ready = dir.join("ready.json");
    let process = Process::spawn(spec().args(args).arg("--ready").arg(&ready)).unwrap();
    tgmesh_testkit::eventually(Duration::from_secs(10), "it is ready", || async { ready.exists() }).await;
    let ready: Value = serde_json::from_slice(&std::fs::read(&ready).unwrap()).unwrap();
    let control = Control {
        base: ready["control"].as_str().unwrap().to_owned(),
        http: reqwest::Client::new(),
    };
    (process, control, ready["mtproto"].as_str().unwrap().to_owned())
}

/// The authorization key of an account as `GET /accounts` shows it.
pub fn seeded_key(account: &Value) -> [u8; 256] {
    let hex = account["auth_key"].as_str().unwrap();
    assert_eq!(hex.len(), 512);
    let bytes: Vec<u8> = (0..256)
        .map(|i| u8::from_str_radix(&hex[i * 2..i * 2 + 2], 16).unwrap())
        .collect();
    bytes.try_into().unwrap()
}

#[tokio::test]
async fn the_control_port_posts_edits_deletes_and_tells() {
    let dir = tempfile::tempdir().unwrap();
    let (process, control, address) = spawn(dir.path(), &["--seed", "5", "--chats", "4"]).await;

    let accounts = control.get("/accounts").await;
    let account = &accounts[0];
    assert_eq!(
        (account["name"].as_str(), account["dc_id"].as_i64()),
        (Some("sim-1"), Some(2))
    );
    assert_eq!(account["address"], json!(address));
    let mut telegram = connect_with(address.parse().unwrap(), seeded_key(account)).await;

    let chats = control.get("/chats").await;
    let chat = &chats[0]["id"];
    let (status, posted) = control
        .post(
            "/messages",
            json!({
                "chat_id": chat, "text": "bold words", "addresses": ["abc"],
                "entities": [
                    {"kind": "bold", "offset": 0, "length": 4},
                    {"kind": "text_url", "offset": 5, "length": 5, "url": "https://example.org/"},
                ],
                "buttons": [{"kind": "copy", "text": "copy", "copy": "abc"}],
            }),
        )
        .await;
    assert_eq!(status, 200, "{posted}");
    telegram.next().await;
    let id = &posted["message_id"];
    let edit = json!({"chat_id": chat, "message_id": id, "text": "changed"});
    assert_eq!(control.post("/messages/edit", edit.clone()).await.0, 200);
    let delete = json!({"chat_id": chat, "message_ids": [id]});
    assert_eq!(control.post("/messages/delete", delete.clone()).await.0, 200);
    assert_eq!(control.post("/messages/delete", delete).await.0, 404);
    assert_eq!(control.post("/messages/edit", edit).await.0, 404);
    let (status, problem) = control.post("/messages", json!({"chat_id": chat, "txt": ""})).await;
    assert_eq!(status, 400);
    assert!(problem["error"].as_str().unwrap().contains("txt"), "{problem}");

    let log = control.get("/messages?after=0&limit=2").await;
    let kinds: Vec<_> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["kind"].clone())
        .collect();
    assert_eq!(kinds, ["new", "edit"]);
    assert_eq!(log["items"][0]["addresses"], json!(["abc"]));
    let rest = control.get(&format!("/messages?after={}", log["next"])).await;
    assert_eq!(rest["items"][0]["kind"], "delete");

    assert_eq!(control.get("/scenario").await, json!({"rate": 0.0}));
    assert_eq!(
        control.post("/scenario", json!({"rate": 3})).await.1,
        json!({"rate": 3.0})
    );
    assert_eq!(control.get("/load").await["state"], "idle");
    assert_eq!(control.post("/load", json!({})).await.0, 400);
    assert_eq!(
        control
            .post("/load", json!({"messages": 100, "address_share": 0.5, "seed": 3}))
            .await
            .0,
        200
    );
    tgmesh_testkit::eventually(Duration::from_secs(10), "the load is done", || async {
        control.get("/load").await["state"] == "done"
    })
    .await;

    process.terminate();
    let status = process.wait(Duration::from_secs(10)).await.unwrap();
    assert!(status.success(), "{status}: {}", process.log_tail());
}

#[tokio::test]
async fn bad_settings_are_told_all_at_once() {
    let process = Process::spawn(spec().args(["--accounts=0", "--rate=-1", "--listen=here"])).unwrap();
    let status = process.wait(Duration::from_secs(10)).await.unwrap();
    assert_eq!(status.code(), Some(64));
    let log = process.log_tail();
    for name in ["SIM_ACCOUNTS", "SIM_RATE", "SIM_LISTEN"] {
        assert!(log.contains(name), "{log}");
    }
}
