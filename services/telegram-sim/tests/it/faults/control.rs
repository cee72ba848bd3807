//! Faults by the control port, and as Telethon meets them.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::process::Command;

use crate::binary::{seeded_key, spawn};
use crate::client::{connect_with, draft, rpc_error, simulator};

#[tokio::test]
async fn the_control_port_breaks_and_heals() {
    let dir = tempfile::tempdir().unwrap();
    let (process, control, address) = spawn(dir.path(), &["--chats", "10"]).await;
    let account = &control.get("/accounts").await[0];
    let mut telegram = connect_with(address.parse().unwrap(), seeded_key(account)).await;
    let chats = control.get("/chats").await;
    let chat = &chats[0]["id"];
    let say = json!({"chat_id": chat, "text": "hello"});

    let fault = json!({"id": "deaf", "kind": "lost", "account": "sim-1", "chat_id": chat, "count": 1});
    let (status, answer) = control.post("/faults", fault).await;
    assert_eq!((status, &answer["id"]), (200, &json!("deaf")), "{answer}");
    let (_, answer) = control
        .post("/faults", json!({"kind": "flood_wait", "seconds": 99}))
        .await;
    let flood = answer["id"].as_str().unwrap().to_owned();
    let (_, lost) = control.post("/messages", say.clone()).await;
    let faults = control.get("/faults").await;
    assert_eq!((&faults[0]["hits"], &faults[0]["active"]), (&json!(1), &json!(false)));
    assert_eq!(
        (&faults[1]["kind"], &faults[1]["seconds"]),
        (&json!("flood_wait"), &json!(99))
    );
    let state = grammers_client::tl::functions::updates::GetState {};
    assert_eq!(rpc_error(telegram.client.invoke(&state).await).0, 420);
    let (status, report) = control.delete(&format!("/faults/{flood}")).await;
    assert_eq!((status, &report["hits"]), (200, &json!(1)));
    assert_eq!(control.delete(&format!("/faults/{flood}")).await.0, 404);
    telegram.pts().await;
    let (_, came) = control.post("/messages", say).await;
    let (update, ..) = telegram.next().await;
    let grammers_client::tl::enums::Update::NewChannelMessage(new) = update else {
        panic!("{update:?}")
    };
    assert_eq!(json!(new.message.id()), came["message_id"]);

    let delete = json!({"chat_id": chat, "message_ids": [lost["message_id"]]});
    assert_eq!(control.post("/messages/delete", delete).await.0, 200);
    let ids = control.get(&format!("/chats/{chat}/ids")).await;
    assert_eq!(ids["deleted"], json!([[lost["message_id"], lost["message_id"]]]));
    assert_eq!(ids["exists"][1], json!([came["message_id"], came["message_id"]]));
    telegram.next().await;

    for (bad, status) in [
        (json!({"kind": "lost", "account": "sim-9"}), 404),
        (json!({"kind": "lost", "chat_id": 5}), 404),
        (json!({"kind": "lost", "probability": 7}), 400),
        (json!({"kind": "lost", "chat": chat}), 400),
        (json!({"kind": "close", "for_ms": 7}), 400),
    ] {
        assert_eq!(control.post("/faults", bad.clone()).await.0, status, "{bad}");
    }
    let too_long = json!({"account": "sim-1", "chat_id": chat, "pts": true});
    assert_eq!(
        control.post("/connections/too-long", too_long).await,
        (200, json!({"connections": 1}))
    );
    let (update, ..) = telegram.next().await;
    assert!(
        matches!(update, grammers_client::tl::enums::Update::ChannelTooLong(_)),
        "{update:?}"
    );
    assert_eq!(control.delete("/faults").await.1[0]["id"], "deaf");
    assert_eq!(control.get("/faults").await, json!([]));
    process.terminate();
    assert!(process.wait(Duration::from_secs(10)).await.unwrap().success());
}

/// What Telethon's own sources say of these answers is what Telegram's errors mean.
#[tokio::test]
async fn telethon_meets_the_faults() {
    let python = tgmesh_testkit::python();
    let running = simulator(1, 10).await;
    let account = running.sim.accounts().remove(0);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/telethon_faults.py");
    let mut child = Command::new(&python)
        .arg(script)
        .env("SIM_ACCOUNT", serde_json::to_string(&account).unwrap())
        .env("SIM_CHATS", serde_json::to_string(&running.sim.chats()).unwrap())
        .env("SIM_CONTROL", format!("http://{}", running.control_addr))
        .stdout(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let status = tokio::time::timeout(Duration::from_mins(1), child.wait())
        .await
        .expect("it ends")
        .unwrap();
    assert!(status.success(), "{status}; its complaint is above");
    // The world is as it was.
    assert!(running.sim.faults().is_empty());
    running.sim.post(draft(&running.sim.chats()[0], "still here")).unwrap();
    running.stop().await;
}
