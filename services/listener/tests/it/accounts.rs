use std::time::Duration;

use tgmesh_telegram_sim::{ChatKind, Config};
use tgmesh_testkit::process::Process;
use tgmesh_testkit::{eventually, until};

use crate::world::{LIMIT, Listener, World, address, bare};

#[tokio::test]
async fn every_fault_in_the_settings_is_told_at_once() {
    let process = Process::spawn(
        bare()
            .env("TELEGRAM_API_ID", "x")
            .env("TELEGRAM_ENCRYPTION_KEY", "hunter2")
            .env("TELEGRAM_ACCOUNTS", "A,b b")
            .env("TELEGRAM_DC", "nowhere")
            .env("MONITORED_CHATS", "https://t.me/+AbC")
            .env("EDIT_WINDOW", "48")
            .env("SEEN_WINDOW", "0s")
            .env("NATS_URL", "http://x")
            .env("ADMIN_LISTEN", "9090"),
    )
    .unwrap();
    let status = process.wait(LIMIT).await.unwrap();
    let log = process.log_tail();
    assert_eq!(status.code(), Some(64), "{log}");
    for name in [
        "TELEGRAM_API_ID",
        "TELEGRAM_API_HASH",
        "TELEGRAM_ENCRYPTION_KEY",
        "TELEGRAM_ACCOUNTS",
        "TELEGRAM_DC",
        "MONITORED_CHATS",
        "EDIT_WINDOW",
        "SEEN_WINDOW",
        "NATS_URL",
        "ADMIN_LISTEN",
    ] {
        let lines = log.lines().filter(|line| line.contains(&format!("{name}:"))).count();
        assert_eq!(lines, 1, "{name} in\n{log}");
    }
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn a_wrong_key_is_said_clearly() {
    let world = World::start(Config::default()).await;
    world.import(world.spec()).await;
    let other = "ff".repeat(32);
    let listener = Listener::start(world.spec().env("TELEGRAM_ENCRYPTION_KEY", &other));
    let status = listener.process.wait(LIMIT).await.unwrap();
    let log = listener.process.log_tail();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(
        log.contains("sim-1 cannot be opened") && log.contains("not in TELEGRAM_ENCRYPTION_KEY"),
        "{log}"
    );
    // The new key in front of the old one opens it, and seals it anew.
    let both = format!("{other},{}", crate::world::KEY);
    let listener = world.listen(world.spec().env("TELEGRAM_ENCRYPTION_KEY", both)).await;
    assert!(listener.process.stop(LIMIT).await.success());
    let listener = world.listen(world.spec().env("TELEGRAM_ENCRYPTION_KEY", &other)).await;
    let chat = world.chat(ChatKind::Channel);
    world.post(chat, format!("call {}", address(600)));
    world.wait_for(1, &listener).await;
}

#[tokio::test]
async fn a_key_that_the_server_does_not_know_stops_the_account() {
    let world = World::start(Config {
        accounts: 2,
        ..Config::default()
    })
    .await;
    let mut accounts = serde_json::to_value(world.sim().accounts()).unwrap();
    accounts[0]["auth_key"] = "ab".repeat(256).into();
    let scratch = tgmesh_testkit::Scratch::new().unwrap();
    let file = scratch.path().join("accounts.json");
    std::fs::write(&file, accounts.to_string()).unwrap();
    let import = Process::spawn(world.spec().arg("sessions").arg("import").arg(&file)).unwrap();
    assert!(import.wait(LIMIT).await.unwrap().success());
    let listener = Listener::start(world.spec());
    eventually(LIMIT, "it says so", || async {
        listener.process.log_tail().contains("the account is stopped")
    })
    .await;
    // The other account works on; the process is not ready, and does not try again.
    let chats = world.sim().chats();
    let chat = chats
        .iter()
        .find(|chat| chat.accounts.contains(&"sim-2".to_owned()) && chat.kind == ChatKind::Channel)
        .unwrap();
    eventually(LIMIT, "the other account is followed", || async {
        listener.process.log_tail().contains("following")
    })
    .await;
    world.post(chat.id, format!("call {}", address(610)));
    world.wait_for(1, &listener).await;
    let stops = || listener.process.log_tail().matches("the account is stopped").count();
    assert!(!until(Duration::from_secs(2), || async { stops() > 1 }).await);
    assert!(!listener.is_ready().await);
    assert!(listener.process.stop(LIMIT).await.success());
}

#[tokio::test]
async fn it_waits_for_nats_and_sessions() {
    let mut world = World::start(Config::default()).await;
    world.nats.stop().await;
    let listener = Listener::start(world.spec());
    eventually(LIMIT, "it says that NATS is away", || async {
        listener.process.log_tail().contains("NATS is away")
    })
    .await;
    assert!(!listener.is_ready().await);
    world.nats.start_again().await.unwrap();
    eventually(LIMIT, "it says that there is no session", || async {
        listener.process.log_tail().contains("no session")
    })
    .await;
    world.import(world.spec()).await;
    listener.ready().await;
}

#[tokio::test]
async fn it_stops_in_order_while_it_waits() {
    let mut world = World::start(Config::default()).await;
    world.nats.stop().await;
    let listener = Listener::start(world.spec());
    eventually(LIMIT, "it says that NATS is away", || async {
        listener.process.log_tail().contains("NATS is away")
    })
    .await;
    assert_eq!(listener.process.stop(LIMIT).await.code(), Some(0));
}
