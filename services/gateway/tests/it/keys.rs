//! Keys of tokens: sets in files and behind URLs, and their change.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tgmesh_testkit::{Scratch, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::socket::{Opening, PATIENCE, Socket};
use crate::world::{World, claims};

/// An ES256 key of its own.
pub struct Key {
    name: &'static str,
    private: EncodingKey,
}

impl Key {
    pub fn new(name: &'static str) -> Self {
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).expect("a key");
        Self {
            name,
            private: EncodingKey::from_ec_der(der.as_ref()),
        }
    }

    pub fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.private, Algorithm::ES256).expect("a public key");
        jwk.common.key_id = Some(self.name.to_owned());
        serde_json::to_value(jwk).expect("JSON")
    }

    /// A token for everything that names its key.
    pub fn token(&self) -> String {
        self.sign(Some(self.name))
    }

    pub fn sign(&self, key_id: Option<&str>) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = key_id.map(str::to_owned);
        self.sign_with(&header)
    }

    pub fn sign_with(&self, header: &Header) -> String {
        jsonwebtoken::encode(header, &claims(), &self.private).expect("encodes")
    }
}

fn set(keys: &[&Key]) -> String {
    json!({ "keys": keys.iter().map(|key| key.public()).collect::<Vec<_>>() }).to_string()
}

async fn world(jwks: &str) -> World {
    World::start_with(&[("JWT_SECRET", ""), ("JWT_ALGORITHM", "ES256"), ("JWT_JWKS", jwks)]).await
}

async fn status(world: &World, token: &str) -> u16 {
    let request = reqwest::Client::new()
        .get(world.url("/api/metrics/telegram-stream"))
        .bearer_auth(token);
    request.send().await.expect("answers").status().as_u16()
}

async fn becomes(world: &World, token: &str, wanted: u16) {
    eventually(PATIENCE, "the keys are taken over", || async {
        status(world, token).await == wanted
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_file_change_without_refusing_anyone() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let scratch = Scratch::new().expect("a folder");
    let path = scratch.path().join("jwks.json");
    let write = |content: &str| std::fs::write(&path, content).expect("it can be written");
    write(&set(&[&old]));
    let world = world(path.to_str().expect("UTF-8")).await;
    let (mut socket, _) = Socket::welcomed(world.port, &old.token()).await;
    socket.subscribe("s", json!({}), None).await;
    assert_eq!(status(&world, &old.sign(None)).await, 200, "a name is not required");
    assert_eq!(status(&world, &old.sign(Some("new"))).await, 401, "the named key signs");
    assert_eq!(status(&world, &new.token()).await, 401);

    write(&set(&[&old, &new]));
    becomes(&world, &new.token(), 200).await;
    assert_eq!(status(&world, &old.token()).await, 200, "side by side");
    assert_eq!(status(&world, &old.sign(None)).await, 200);
    assert_eq!(status(&world, &new.sign(None)).await, 200);

    write(&set(&[&new]));
    becomes(&world, &old.token(), 401).await;
    assert_eq!(status(&world, &old.sign(None)).await, 401);
    let (mut refused, _) = Socket::open(world.port, &Opening::bearer(&old.token()))
        .await
        .expect("101");
    assert_eq!(refused.closed().await, 4401);
    // Open connections live until their tokens expire.
    let seq = world.publish_many(1, -1).await;
    assert_eq!(socket.seqs_until(seq).await, [seq]);

    // What cannot be used changes nothing, and is said once.
    let mut stolen = new.public();
    stolen["d"] = json!("c2VjcmV0LXBhcnQ");
    for bad in [
        "{".to_owned(),
        r#"{"keys": []}"#.to_owned(),
        json!({ "keys": [stolen] }).to_string(),
    ] {
        let failures = failures(&world).await;
        write(&bad);
        eventually(PATIENCE, "the fault is noticed", || async {
            self::failures(&world).await == failures + 1
        })
        .await;
        assert_eq!(status(&world, &new.token()).await, 200, "{bad}");
    }
    std::fs::remove_file(&path).expect("it was there");
    eventually(PATIENCE, "it is missed", || async { failures(&world).await == 4 }).await;
    assert_eq!(status(&world, &new.token()).await, 200);
    write(&set(&[&old]));
    becomes(&world, &old.token(), 200).await;
    let log = std::fs::read_to_string(world.gateway().log_path()).expect("a log");
    assert!(log.contains("holds a private or shared key"), "{log}");
    assert!(!log.contains("c2VjcmV0"), "{log}");
}

async fn failures(world: &World) -> u64 {
    world.counter("key_set_failures_total").await
}

/// What serves a key set.
struct Issuer {
    port: u16,
    answer: Arc<Mutex<(u16, String)>>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    async fn start(status: u16, body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let issuer = Self {
            port: listener.local_addr().expect("an address").port(),
            answer: Arc::new(Mutex::new((status, body.to_owned()))),
            asked: Arc::default(),
        };
        let (answer, asked) = (Arc::clone(&issuer.answer), Arc::clone(&issuer.asked));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0; 4096];
                let read = stream.read(&mut head).await.unwrap_or(0);
                assert!(head[..read].starts_with(b"GET /keys?tenant=1 HTTP/1.1\r\n"));
                asked.fetch_add(1, Ordering::Relaxed);
                let (status, body) = answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let extra = if status == 302 { "Location: /elsewhere\r\n" } else { "" };
                let length = body.len();
                let text = format!("HTTP/1.1 {status} x\r\n{extra}Content-Length: {length}\r\n\r\n{body}");
                let _ = stream.write_all(text.as_bytes()).await;
            }
        });
        issuer
    }

    fn answers(&self, status: u16, body: &str) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = (status, body.to_owned());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_url_are_asked_for_when_a_token_names_one() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let issuer = Issuer::start(200, &set(&[&old])).await;
    let world = world(&format!("http://127.0.0.1:{}/keys?tenant=1", issuer.port)).await;
    assert_eq!(status(&world, &old.token()).await, 200);
    assert_eq!(issuer.asked(), 1, "kept, not asked for each token");

    // The first token of a new key finds it, on every way in.
    issuer.answers(200, &set(&[&old, &new]));
    let (mut socket, _) = Socket::welcomed(world.port, &new.token()).await;
    assert_eq!(status(&world, &new.token()).await, 200);
    assert_eq!(status(&world, &old.token()).await, 200);
    assert_eq!(issuer.asked(), 2);

    // Whatever tokens name, the issuer is not asked more often than every five seconds.
    let begun = std::time::Instant::now();
    let unknown: Vec<_> = (0..20).map(|n| old.sign(Some(&format!("unknown-{n}")))).collect();
    for answer in futures_util::future::join_all(unknown.iter().map(|token| status(&world, token))).await {
        assert_eq!(answer, 401);
    }
    assert!(
        issuer.asked() <= 3 + begun.elapsed().as_secs() as usize / 5,
        "{}",
        issuer.asked()
    );

    // What cannot be used changes nothing: a fault, a redirect, no set, too much.
    for (code, body) in [
        (500, "no".to_owned()),
        (302, set(&[&new])),
        (200, "[]".to_owned()),
        (200, " ".repeat((1 << 20) + 1)),
    ] {
        issuer.answers(code, &body);
        let failures = failures(&world).await;
        // Its name is not known, so it has the issuer asked; it waits for the answer.
        eventually(PATIENCE, "it is asked", || async {
            status(&world, &old.sign(Some("unknown"))).await;
            self::failures(&world).await > failures
        })
        .await;
        assert_eq!(status(&world, &new.token()).await, 200, "{code}");
    }
    issuer.answers(200, &set(&[&new]));
    eventually(PATIENCE, "the old key is gone", || async {
        status(&world, &old.sign(Some("unknown"))).await;
        status(&world, &old.token()).await == 401
    })
    .await;
    assert_eq!(status(&world, &new.token()).await, 200);
    let seq = {
        socket.subscribe("s", json!({}), None).await;
        world.publish_many(1, -1).await
    };
    assert_eq!(socket.seqs_until(seq).await, [seq]);
    let log = std::fs::read_to_string(world.gateway().log_path()).expect("a log");
    assert!(log.contains("redirects are not followed"), "{log}");
    assert!(!log.contains("tenant"), "a query may hold a secret: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_a_gateway_is_not_ready() {
    let key = Key::new("only");
    let issuer = Issuer::start(503, "").await;
    let url = format!("http://127.0.0.1:{}/keys?tenant=1", issuer.port);
    let env = [
        ("JWT_SECRET", ""),
        ("JWT_ALGORITHM", "ES256"),
        ("JWT_JWKS", url.as_str()),
    ];
    let world = World::without_gateway(&env).await;
    let _gateway = world.begin_gateway(world.port, world.admin);
    let readiness = async || reqwest::get(world.url("/readyz")).await.ok();
    eventually(PATIENCE, "everything else is up", || async {
        let Some(answer) = readiness().await else { return false };
        let report: Value = answer.json().await.expect("JSON");
        let parts = report["parts"].as_object().expect("parts");
        parts.len() > 2 && parts.iter().all(|(name, state)| (name == "keys") != (state == "up"))
    })
    .await;
    assert_eq!(status(&world, &key.token()).await, 503);
    let (mut socket, _) = Socket::open(world.port, &Opening::bearer(&key.token()))
        .await
        .expect("101");
    socket.expect("reconnect").await;
    assert_eq!(socket.closed().await, 1001, "come back later");
    issuer.answers(200, &set(&[&key]));
    eventually(PATIENCE, "it is ready", || async {
        readiness().await.is_some_and(|answer| answer.status() == 200)
    })
    .await;
    Socket::welcomed(world.port, &key.token()).await;
}
