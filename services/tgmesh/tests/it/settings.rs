//! Wrong settings: every fault in one run, one line each, exit 64.

use std::time::Duration;

use tgmesh_testkit::binary;
use tgmesh_testkit::process::{Process, Spec};

use crate::support::{clean, tgmesh};

const LIMIT: Duration = Duration::from_secs(20);

async fn faults(spec: Spec, names: &[&str]) {
    let process = Process::spawn(spec).unwrap();
    let status = process.wait(LIMIT).await.unwrap();
    let log = process.log_tail();
    assert_eq!(status.code(), Some(64), "{log}");
    for name in names {
        let lines = log.lines().filter(|line| line.contains(&format!(": {name}: "))).count();
        assert_eq!(lines, 1, "{name} in:\n{log}");
    }
    assert_eq!(log.lines().count(), names.len(), "{log}");
    assert!(!log.contains("hunter2"), "a secret in:\n{log}");
}

fn service(name: &str) -> Spec {
    clean(Spec::new(binary(name)))
        .env("ADMIN_LISTEN", "nowhere")
        .env("LOG_FORMAT", "loud")
}

#[tokio::test]
async fn of_the_listener() {
    let spec = service("tgmesh-listener")
        .env("TELEGRAM_API_ID", "zero")
        .env("TELEGRAM_ACCOUNTS", "Not A Name")
        .env("TELEGRAM_ENCRYPTION_KEY", "hunter2")
        .env("NATS_URL", "http://ann:hunter2@x");
    let names = [
        "ADMIN_LISTEN",
        "LOG_FORMAT",
        "TELEGRAM_API_ID",
        "TELEGRAM_API_HASH",
        "TELEGRAM_ACCOUNTS",
        "TELEGRAM_ENCRYPTION_KEY",
        "NATS_URL",
    ];
    faults(spec, &names).await;
}

#[tokio::test]
async fn of_the_archiver() {
    let spec = service("tgmesh-archiver")
        .env("DATABASE_URL", "hunter2")
        .env("BATCH_MAX_ROWS", "0")
        .env("BATCH_MAX_AGE", "5")
        .env("NATS_URL", "");
    faults(
        spec,
        &[
            "ADMIN_LISTEN",
            "LOG_FORMAT",
            "DATABASE_URL",
            "BATCH_MAX_ROWS",
            "BATCH_MAX_AGE",
            "NATS_URL",
        ],
    )
    .await;
}

#[tokio::test]
async fn of_the_gateway() {
    let spec = service("tgmesh-gateway")
        .env("GATEWAY_LISTEN", "8080")
        .env("JWT_SECRET", "hunter2")
        .env("MAX_CONNECTIONS", "many")
        .env("STREAM_MAX_AGE", "7");
    faults(
        spec,
        &[
            "ADMIN_LISTEN",
            "LOG_FORMAT",
            "GATEWAY_LISTEN",
            "JWT_SECRET",
            "MAX_CONNECTIONS",
            "STREAM_MAX_AGE",
        ],
    )
    .await;
}

#[tokio::test]
async fn of_the_simulator() {
    let spec = service("tgmesh-telegram-sim").args(["--listen", "x", "--control", "y", "--chats=-1", "--rate=often"]);
    faults(
        spec,
        &[
            "ADMIN_LISTEN",
            "LOG_FORMAT",
            "SIM_LISTEN",
            "SIM_CONTROL",
            "SIM_CHATS",
            "SIM_RATE",
        ],
    )
    .await;
}

#[tokio::test]
async fn of_the_tool() {
    let up = [
        "up",
        "--telegram",
        "fax",
        "--rate=-1",
        "--chats",
        "0",
        "--for",
        "10",
        "--nats",
        "x:y:z",
        "--database",
        "hunter2",
    ];
    faults(
        tgmesh(&up),
        &["--telegram", "--rate", "--chats", "--for", "--nats", "--database"],
    )
    .await;
    faults(
        tgmesh(&["up", "--telegram", "real", "--state", "/nowhere"]),
        &[
            "TELEGRAM_API_ID",
            "TELEGRAM_API_HASH",
            "TELEGRAM_ACCOUNTS",
            "SESSION_STORE",
        ],
    )
    .await;
    faults(
        tgmesh(&["load", "--chats", "none", "--duration", "long"]),
        &["--duration", "--chats", "--rate"],
    )
    .await;
    let token = [
        "token",
        "--sub",
        "a",
        "--role",
        "king",
        "--chats",
        "b",
        "--families",
        "doge",
        "--ttl",
        "0s",
    ];
    faults(
        tgmesh(&token).env("JWT_SECRET", "hunter2"),
        &["--role", "--chats", "--families", "--ttl", "JWT_SECRET"],
    )
    .await;
    let tail = ["tail", "--chat", "x", "--family", "doge", "--nats-url", ""];
    faults(tgmesh(&tail), &["--chat", "--family", "NATS_URL"]).await;
    faults(
        tgmesh(&["topology", "diff", "--nats-replicas", "2", "--stream-max-bytes", "lots"]),
        &["NATS_REPLICAS", "STREAM_MAX_BYTES"],
    )
    .await;
}

#[tokio::test]
async fn of_unknown_flags() {
    let process = Process::spawn(tgmesh(&["up", "--telegramm", "sim"])).unwrap();
    assert_eq!(process.wait(LIMIT).await.unwrap().code(), Some(64));
}
