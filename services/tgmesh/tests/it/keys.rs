//! From `tgmesh keygen` over `tgmesh token` to a gateway that lets the token in.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{Scratch, binary, eventually, free_port, nats};

use crate::support::{clean, tgmesh};

const LIMIT: Duration = Duration::from_mins(1);

async fn output(spec: Spec) -> (Option<i32>, String) {
    let process = Process::spawn(spec).unwrap();
    let status = process.wait(LIMIT).await.unwrap();
    (status.code(), process.log_tail())
}

fn in_folder(folder: &Path, args: &[&str]) -> Spec {
    tgmesh(args).current_dir(folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_each_algorithm_opens_a_gateway() {
    let nats = nats::Server::start().await.unwrap();
    let (code, text) = output(tgmesh(&["topology", "apply"]).env("NATS_URL", nats.url())).await;
    assert_eq!(code, Some(0), "{text}");
    for algorithm in ["HS256", "RS256", "ES256", "EdDSA"] {
        let scratch = Scratch::new().unwrap();
        let folder = scratch.path();
        let (code, text) = output(in_folder(folder, &["keygen", "--alg", algorithm])).await;
        assert_eq!(code, Some(0), "{text}");
        let is_shared = algorithm == "HS256";
        let private = folder.join(if is_shared { "jwt-secret" } else { "jwt-private.pem" });
        let mode = std::fs::metadata(&private).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{algorithm}");
        let content = std::fs::read_to_string(&private).unwrap();
        assert!(
            !text.contains(content.lines().nth(1).unwrap_or(content.trim())),
            "{text}"
        );
        assert_eq!(folder.join("jwks.json").exists(), !is_shared);

        let sign = |kid: Option<&str>| {
            let mut args = vec!["token", "--sub", "ann", "--chats", "*"];
            args.extend(kid.iter().flat_map(|kid| ["--kid", kid]));
            let variable = if is_shared {
                "JWT_SECRET_FILE"
            } else {
                "JWT_PRIVATE_KEY_FILE"
            };
            in_folder(folder, &args)
                .env("JWT_ALGORITHM", algorithm)
                .env(variable, &private)
        };
        let spec = clean(Spec::new(binary("tgmesh-gateway"))).current_dir(folder);
        let port = free_port();
        let spec = spec
            .env("NATS_URL", nats.url())
            .env("GATEWAY_LISTEN", format!("127.0.0.1:{port}"))
            .env("ADMIN_LISTEN", "127.0.0.1:0")
            .env("JWT_ALGORITHM", algorithm);
        let _gateway = Process::spawn(if is_shared {
            spec.env("JWT_SECRET_FILE", &private)
        } else {
            spec.env("JWT_JWKS", "jwks.json")
        })
        .unwrap();
        let ready = format!("http://127.0.0.1:{port}/readyz");
        eventually(LIMIT, "the gateway is ready", || async {
            reqwest::get(&ready).await.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
        let client = reqwest::Client::new();
        let status = async |token: &str| {
            let url = format!("http://127.0.0.1:{port}/api/metrics/telegram-stream");
            let answer = client.get(url).bearer_auth(token.trim()).send().await.unwrap();
            answer.status().as_u16()
        };
        let (code, token) = output(sign(None)).await;
        assert_eq!(code, Some(0), "{token}");
        assert_eq!(status(&token).await, 200, "{algorithm}");
        if is_shared {
            continue;
        }
        let set = std::fs::read(folder.join("jwks.json")).unwrap();
        let set: Value = serde_json::from_slice(&set).unwrap();
        let kid = set["keys"][0]["kid"].as_str().unwrap().to_owned();
        let (_, named) = output(sign(Some(&kid))).await;
        assert_eq!(status(&named).await, 200, "{algorithm}");

        // A change of keys: a second one beside the first, which the gateway takes over.
        let (code, text) = output(in_folder(
            folder,
            &["keygen", "--alg", algorithm, "--private", "new.pem", "--append"],
        ))
        .await;
        assert_eq!(code, Some(0), "{text}");
        let fresh = tgmesh(&["token", "--sub", "ann"])
            .env("JWT_ALGORITHM", algorithm)
            .env("JWT_PRIVATE_KEY_FILE", folder.join("new.pem"));
        let (_, fresh) = output(fresh).await;
        eventually(LIMIT, "the new key is known", || async { status(&fresh).await == 200 }).await;
        assert_eq!(status(&named).await, 200, "{algorithm}: side by side");
    }
}

#[tokio::test]
async fn no_key_is_written_over_by_mistake() {
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path();
    let keygen = async |args: &[&str]| {
        let args = [&["keygen"], args].concat();
        output(in_folder(folder, &args)).await
    };
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(keygen(&[]).await.0, Some(0));
    let (private, set) = (read("jwt-private.pem"), read("jwks.json"));
    for args in [&[][..], &["--private", "other.pem"], &["--jwks", "other.json"]] {
        let (code, text) = keygen(args).await;
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("is there already"), "{text}");
        assert_eq!(
            (read("jwt-private.pem"), read("jwks.json")),
            (private.clone(), set.clone())
        );
    }
    assert!(!folder.join("other.pem").exists() && !folder.join("other.json").exists());
    let (code, text) = keygen(&["--private", "other.pem", "--append", "--kid", "spring"]).await;
    assert_eq!(code, Some(0), "{text}");
    let both: Value = serde_json::from_str(&read("jwks.json")).unwrap();
    assert_eq!(both["keys"].as_array().unwrap().len(), 2);
    assert_eq!(both["keys"][1]["kid"], "spring");
    let (code, text) = keygen(&["--private", "third.pem", "--append", "--kid", "spring"]).await;
    assert_eq!(code, Some(1), "a name twice: {text}");
    assert!(!folder.join("third.pem").exists());
    assert_eq!(keygen(&["--force"]).await.0, Some(0));
    assert_ne!(read("jwt-private.pem"), private);
    for args in [
        &["--alg", "none"][..],
        &["--alg", "HS256", "--append"],
        &["--append", "--force"],
        &["--kid", ""],
    ] {
        let (code, text) = keygen(args).await;
        // An empty value counts as none given, and then the file is there.
        assert_eq!(code, Some(if args[0] == "--kid" { 1 } else { 64 }), "{args:?}: {text}");
    }
    std::fs::write(
        folder.join("bad.json"),
        r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#,
    )
    .unwrap();
    let (code, text) = keygen(&["--private", "fourth.pem", "--jwks", "bad.json", "--append"]).await;
    assert_eq!(code, Some(1), "{text}");
    let left: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(".new"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
