//! The tools of the command line, as a person uses them.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tgmesh_testkit::process::{Process, Signal, Spec};
use tgmesh_testkit::{Scratch, binary, eventually, nats};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::support::{Up, alone, state, tgmesh};

const LIMIT: Duration = Duration::from_secs(30);

/// Runs to the end and gives exit code and output.
async fn output(spec: Spec) -> (Option<i32>, String) {
    let process = Process::spawn(spec).unwrap();
    let status = process.wait(LIMIT).await.unwrap();
    (status.code(), process.log_tail())
}

#[tokio::test]
async fn topology_differs_until_it_is_applied() {
    let nats = nats::Server::start().await.unwrap();
    let command = |what: &str| tgmesh(&["topology", what]).env("NATS_URL", nats.url());
    let (code, diff) = output(command("diff")).await;
    assert_eq!(code, Some(1), "{diff}");
    for name in [
        "DETECTIONS",
        "MATCHES",
        "AUDIT",
        "DEADLETTERS",
        "tgmesh_sessions",
        "tgmesh_revocations",
        "tgmesh_tracing",
    ] {
        assert!(diff.contains(name), "no {name} in:\n{diff}");
    }
    let (code, applied) = output(command("apply")).await;
    assert_eq!((code, applied), (Some(0), diff));
    let (code, diff) = output(command("diff")).await;
    assert_eq!((code, diff.as_str()), (Some(0), "tgmesh: nothing to change\n"));
}

#[tokio::test]
async fn token_carries_the_claims() {
    let secret = "0123456789abcdef0123456789abcdef";
    let args = [
        "token",
        "--sub",
        "alice",
        "--role",
        "analyst",
        "--chats",
        "-1001,7",
        "--families",
        "solana,evm",
        "--min-confidence",
        "0.5",
        "--max-connections",
        "3",
        "--rate",
        "10",
        "--ttl",
        "2h",
    ];
    let (code, token) = output(tgmesh(&args).env("JWT_SECRET", secret).env("JWT_ISSUER", "here")).await;
    assert_eq!(code, Some(0), "{token}");
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    validation.set_audience(&["tgmesh"]);
    validation.set_issuer(&["here"]);
    validation.set_required_spec_claims(&["sub", "exp", "aud", "iss"]);
    let key = jsonwebtoken::DecodingKey::from_secret(secret.as_bytes());
    let claims = jsonwebtoken::decode::<Value>(token.trim(), &key, &validation)
        .unwrap()
        .claims;
    assert_eq!(claims["sub"], "alice");
    assert_eq!(claims["role"], "analyst");
    assert_eq!(claims["chats"], json!([-1001, 7]));
    assert_eq!(claims["families"], json!(["solana", "evm"]));
    assert_eq!(claims["min_confidence"], 0.5);
    assert_eq!((&claims["max_connections"], &claims["rate"]), (&json!(3), &json!(10)));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 7200);
    assert_eq!(claims["jti"].as_str().unwrap().len(), 32);

    let (_, all) = output(tgmesh(&["token", "--sub", "a", "--chats", "*"]).env("JWT_SECRET", secret)).await;
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    validation.set_audience(&["tgmesh"]);
    let claims = jsonwebtoken::decode::<Value>(all.trim(), &key, &validation)
        .unwrap()
        .claims;
    assert_eq!((&claims["chats"], &claims["role"]), (&json!(["*"]), &json!("viewer")));
    assert!(claims.get("iss").is_none() && claims.get("families").is_none());
}

/// Whoever writes one line gets its answer before writing the next.
#[tokio::test]
async fn detect_answers_line_by_line() {
    let mut child = tokio::process::Command::new(binary("tgmesh"))
        .arg("detect")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let evm = "0xdAC17F958D2ee523a2206206994597C13D831ec7";
    for n in 0..3 {
        let line = json!({ "id": n, "text": format!("{evm} on eth") }).to_string() + "\n";
        stdin.write_all(line.as_bytes()).await.unwrap();
        let answer = tokio::time::timeout(LIMIT, lines.next_line())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["id"], n);
        assert_eq!(answer["found"][0]["address"], evm);
        assert_eq!(answer["found"][0]["family"], "evm");
        assert_eq!(answer["found"][0]["chain"], "ethereum");
    }
    drop(stdin);
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn tail_prints_what_arrives() {
    let _alone = alone().await;
    let scratch = Scratch::new().unwrap();
    let state = state(&scratch);
    let up = Up::start(&state, &["--rate", "50"]).await;
    let config = std::fs::read_to_string(state.join("nats/nats.conf")).unwrap();
    let port = config.split("127.0.0.1:").nth(1).unwrap().split('"').next().unwrap();
    let nats = format!("nats://127.0.0.1:{port}");
    let all = Process::spawn(tgmesh(&["tail"]).env("NATS_URL", &nats)).unwrap();
    let solana = Process::spawn(tgmesh(&["tail", "--family", "solana"]).env("NATS_URL", &nats)).unwrap();
    let lines = |process: &Process| {
        let log = std::fs::read_to_string(process.log_path()).unwrap();
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
            .collect::<Vec<Value>>()
    };
    eventually(LIMIT, "both have printed", || async {
        lines(&all).len() > 5 && lines(&solana).len() > 2
    })
    .await;
    assert!(lines(&solana).iter().all(|event| event["family"] == "solana"));
    let chat = lines(&all)[0]["chat"]["id"].as_i64().unwrap();

    let one = Process::spawn(tgmesh(&["tail", "--chat", &chat.to_string()]).env("NATS_URL", &nats)).unwrap();
    eventually(LIMIT * 2, "the one chat has printed", || async {
        !lines(&one).is_empty()
    })
    .await;
    assert!(lines(&one).iter().all(|event| event["chat"]["id"] == chat));

    all.signal(Signal::Int);
    assert_eq!(all.wait(LIMIT).await.unwrap().code(), Some(0));
    drop(up);
}
