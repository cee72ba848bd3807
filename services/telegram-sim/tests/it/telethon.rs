//! The outside check: Telethon, which shares no code with the simulator, talks to it unchanged.

use std::process::Stdio;
use std::time::Duration;

use tgmesh_telegram_sim::{Button, ChatKind, Draft, Entity, EntityKind};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::client::{chat_of, draft, simulator};

#[tokio::test]
async fn telethon_lists_reads_and_listens() {
    let python = tgmesh_testkit::python();
    let running = simulator(1, 10).await;
    for transport in ["full", "abridged", "intermediate"] {
        let account = running.sim.accounts().remove(0);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/telethon_check.py");
        let mut child = Command::new(&python)
            .arg(script)
            .arg(transport)
            .env("SIM_ACCOUNT", serde_json::to_string(&account).unwrap())
            .env("SIM_CHATS", serde_json::to_string(&running.sim.chats()).unwrap())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let check = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line == "listening" {
                    act(&running);
                }
            }
            child.wait().await.unwrap()
        };
        let status = tokio::time::timeout(Duration::from_mins(1), check)
            .await
            .expect("it ends");
        assert!(
            status.success(),
            "telethon over {transport}: {status}; its complaint is above"
        );
    }
    running.stop().await;
}

/// What the script waits for.
fn act(running: &tgmesh_telegram_sim::Running) {
    let channel = chat_of(running, ChatKind::Channel);
    let new = running
        .sim
        .post(Draft {
            entities: vec![Entity {
                kind: EntityKind::Bold,
                offset: 0,
                length: 4,
            }],
            buttons: vec![Button::Url {
                text: "open".into(),
                url: "https://example.org/".into(),
            }],
            ..draft(&channel, "live from the channel")
        })
        .unwrap();
    running
        .sim
        .edit(new.message_id, draft(&channel, "changed in the channel"))
        .unwrap();
    running.sim.delete(channel.id, &[new.message_id]).unwrap();
    for kind in [ChatKind::Supergroup, ChatKind::Group, ChatKind::User] {
        let chat = chat_of(running, kind);
        running
            .sim
            .post(draft(&chat, &format!("live from {}", chat.title)))
            .unwrap();
    }
}
