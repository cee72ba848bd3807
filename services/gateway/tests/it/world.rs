//! A nats-server, a gateway, and somebody who publishes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use tgmesh_proto::detection::{
    Chat, ChatKind, Detection, EventKind, Family, Listener, Message, Method, Role, SeenBefore, Sender, SenderKind,
    Times,
};
use tgmesh_proto::id::EventId;
use tgmesh_proto::matched::{Match, MatchKind};
use tgmesh_proto::{codec, subject};
use tgmesh_stream::publish::{Limits, Outgoing, Publisher};
use tgmesh_stream::{Mesh, NatsConfig, topology};
use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{eventually, free_port, nats};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::socket::PATIENCE;

pub const SECRET: &str = "a secret of the tests, 32 bytes or more";
pub const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

pub struct World {
    pub nats: nats::Server,
    pub mesh: Mesh,
    pub port: u16,
    pub admin: u16,
    pub publisher: Arc<Publisher>,
    gateway: Option<Process>,
    env: Vec<(String, String)>,
}

impl World {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub async fn start_with(env: &[(&str, &str)]) -> Self {
        let mut world = Self::without_gateway(env).await;
        world.start_gateway().await;
        world
    }

    /// The rest of it; gateways are the test's own.
    pub async fn without_gateway(env: &[(&str, &str)]) -> Self {
        let nats = nats::Server::start().await.expect("a nats-server");
        let config = config(&nats);
        let mesh = Mesh::connect(&config, "test").await.expect("NATS answers");
        topology::apply(&mesh, &topology::desired(&config))
            .await
            .expect("a topology");
        let publisher = Arc::new(Publisher::new(&mesh, Limits::default()));
        let env = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self {
            nats,
            mesh,
            port: free_port(),
            admin: free_port(),
            publisher,
            gateway: None,
            env,
        }
    }

    pub async fn start_gateway(&mut self) {
        self.gateway = Some(self.spawn_gateway(self.port, self.admin).await);
    }

    /// A gateway of the test's own, once it is ready.
    pub async fn spawn_gateway(&self, port: u16, admin_port: u16) -> Process {
        let gateway = self.begin_gateway(port, admin_port);
        let url = format!("http://127.0.0.1:{admin_port}/readyz");
        eventually(PATIENCE, "the gateway is ready", || async {
            reqwest::get(&url).await.is_ok_and(|response| response.status() == 200)
        })
        .await;
        gateway
    }

    /// Starts one without waiting until it is ready.
    pub fn begin_gateway(&self, port: u16, admin_port: u16) -> Process {
        let spec = Spec::new(env!("CARGO_BIN_EXE_tgmesh-gateway"))
            .env("NATS_URL", self.nats.url())
            .env("GATEWAY_LISTEN", format!("127.0.0.1:{port}"))
            .env("ADMIN_LISTEN", format!("127.0.0.1:{admin_port}"))
            .env("JWT_SECRET", SECRET)
            .env("INSTANCE", "gateway-under-test")
            .env("RUST_LOG", "info,tgmesh_gateway=debug")
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        Process::spawn(spec).expect("the gateway starts")
    }

    /// A counter or gauge of the gateway's; with its labels where it has some: `closes_total{code="4429"}`.
    pub async fn counter(&self, name: &str) -> u64 {
        let answer = reqwest::get(format!("http://127.0.0.1:{}/metrics", self.admin)).await;
        let text = answer.expect("it answers").text().await.expect("text");
        let value = text.lines().find_map(|line| {
            let (series, value) = line.strip_prefix("tgmesh_gateway_")?.rsplit_once(' ')?;
            // The process's own label is in every series.
            let series = series.replace("instance=\"gateway-under-test\"", "");
            let series = series.replace("{,", "{").replace(",}", "}").replace("{}", "");
            (series == name).then(|| value.parse::<f64>().expect("a number"))
        });
        value.unwrap_or_else(|| panic!("no {name} in:\n{text}")) as u64
    }

    pub fn gateway(&self) -> &Process {
        self.gateway.as_ref().expect("it was started")
    }

    pub async fn kill_gateway(&mut self) {
        let gateway = self.gateway.take().expect("it was started");
        gateway.kill();
        gateway.ended().await;
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Publishes an event; its sequence.
    pub async fn publish(&self, event: &Detection) -> u64 {
        self.send(event).await.await.expect("it is stored").seq
    }

    /// Publishes an event; a promise of its sequence.
    pub async fn send(&self, event: &Detection) -> tgmesh_stream::publish::Receipt {
        self.publisher.publish(outgoing(event)).await
    }

    /// Publishes a match; its sequence in MATCHES.
    pub async fn publish_match(&self, event: &Match) -> u64 {
        let outgoing = Outgoing {
            subject: subject::matches(event.chat.id),
            id: event.id,
            traceparent: TRACE.to_owned(),
            payload: codec::encode_match(event).expect("encodes").into(),
        };
        let receipt = self.publisher.publish(outgoing).await;
        receipt.await.expect("it is stored").seq
    }

    /// Publishes so many events into a chat; the last sequence.
    pub async fn publish_many(&self, count: usize, chat: i64) -> u64 {
        let mut receipts = Vec::with_capacity(count);
        for _ in 0..count {
            receipts.push(self.send(&detection(chat)).await);
        }
        let mut last = 0;
        for receipt in receipts {
            last = receipt.await.expect("it is stored").seq;
        }
        last
    }

    /// Takes everything before this sequence out of the stream.
    pub async fn purge_before(&self, seq: u64) {
        self.api("STREAM.PURGE.DETECTIONS", &json!({ "seq": seq }).to_string())
            .await;
    }

    /// Takes one message out of the stream.
    pub async fn delete_message(&self, seq: u64) {
        self.api("STREAM.MSG.DELETE.DETECTIONS", &json!({ "seq": seq }).to_string())
            .await;
    }

    /// Makes the stream anew.
    pub async fn recreate_stream(&self) {
        self.api("STREAM.DELETE.DETECTIONS", "").await;
        topology::apply(&self.mesh, &topology::desired(&config(&self.nats)))
            .await
            .expect("a topology");
    }

    /// A request to the server's API, in NATS's own words.
    async fn api(&self, subject: &str, body: &str) {
        let mut connection = TcpStream::connect(("127.0.0.1", self.nats.port()))
            .await
            .expect("NATS listens");
        let text = format!(
            "CONNECT {{\"verbose\":false}}\r\nSUB answer 1\r\nPUB $JS.API.{subject} answer {}\r\n{body}\r\n",
            body.len()
        );
        connection.write_all(text.as_bytes()).await.expect("it takes a request");
        let mut answer = String::new();
        let mut bytes = [0; 4096];
        while !answer.contains("\"success\":true") {
            let count = connection.read(&mut bytes).await.expect("it answers");
            assert!(count > 0, "{answer}");
            answer.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }
}

/// An event as a listener publishes it.
pub fn outgoing(event: &Detection) -> Outgoing {
    Outgoing {
        subject: subject::detection(event.chat.id, event.family),
        id: event.id,
        traceparent: TRACE.to_owned(),
        payload: codec::encode(event).expect("encodes").into(),
    }
}

/// Short forms by default; the long ones with `TGMESH_SOAK=1`.
pub fn soak() -> bool {
    std::env::var_os("TGMESH_SOAK").is_some_and(|soak| soak == "1")
}

/// The seed of a test's randomness: the same in the short form, a new one in the long, and always
/// printed. `TGMESH_SEED` gives one back.
pub fn seed() -> u64 {
    let given = std::env::var("TGMESH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| if soak() { rand::random() } else { 7 });
    println!("TGMESH_SEED={seed}");
    seed
}

fn config(nats: &nats::Server) -> NatsConfig {
    let mut config = NatsConfig::new(&nats.url()).expect("a URL");
    config.max_bytes = 256 << 20;
    config
}

/// Claims of a token for everything.
pub fn claims() -> Value {
    let now = now_s();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    json!({
        "sub": format!("subject-{number}"), "exp": now + 3600, "iat": now, "jti": format!("token-{number}"),
        "aud": "tgmesh", "role": "operator", "chats": ["*"],
    })
}

pub fn signed(claims: &Value) -> String {
    jsonwebtoken::encode(&Header::default(), claims, &EncodingKey::from_secret(SECRET.as_bytes())).expect("encodes")
}

/// A token for everything, with these claims besides.
pub fn token(extra: &Value) -> String {
    let mut claims = claims();
    for (name, value) in extra.as_object().expect("a map") {
        claims[name] = value.clone();
    }
    signed(&claims)
}

pub fn now_s() -> i64 {
    now().as_secs().try_into().expect("a time of this era")
}

pub fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time of this era")
}

static NUMBER: AtomicU64 = AtomicU64::new(1);

/// An event of its own, with a sender and a past.
pub fn detection(chat: i64) -> Detection {
    let n = NUMBER.fetch_add(1, Ordering::Relaxed);
    let now_us = i64::try_from(now().as_micros()).expect("a time of this era");
    Detection {
        schema_version: tgmesh_proto::SCHEMA_VERSION.to_owned(),
        id: EventId::from_bytes((u128::from(n) << 64 | u128::from(rand::random::<u64>())).to_be_bytes()),
        event: EventKind::Called,
        family: Family::Solana,
        chain: Some("solana".to_owned()),
        address: format!("So{n:042}"),
        coin_type: None,
        role: Role::Token,
        method: Method::Plain,
        evidence: vec!["word:sol".to_owned()],
        confidence: 0.75,
        raw: format!("So{n:042}"),
        seen_before: Some(SeenBefore {
            count: 2,
            first_ms: 1,
            first_chat: chat,
        }),
        chat: Chat {
            id: chat,
            title: format!("Chat {chat}"),
            username: None,
            kind: ChatKind::Supergroup,
        },
        message: Message {
            id: i64::try_from(n).expect("small"),
            date_ms: now_us / 1000,
            edit_date_ms: None,
            revision: "0-00000000".to_owned(),
            text: format!("gm, buy So{n:042} \"now\" 🚀"),
            link: None,
            reply_to: None,
            forward_from: None,
        },
        sender: Some(Sender {
            id: 4242,
            username: None,
            name: "Mallory".to_owned(),
            kind: SenderKind::User,
        }),
        rules: Vec::new(),
        listener: Listener {
            instance: "listener-1".to_owned(),
            account: "sim-1".to_owned(),
            shard: 0,
            lease_epoch: 1,
            backfill: false,
            detector: "1".to_owned(),
            layer: 230,
        },
        times: Times {
            received_us: now_us,
            detected_us: now_us,
            published_us: now_us,
        },
    }
}

/// A match of its own, with a sender.
pub fn matched(chat: i64) -> Match {
    let of = detection(chat);
    Match {
        schema_version: of.schema_version,
        id: of.id,
        event: MatchKind::RuleMatched,
        chain: None,
        site: None,
        raw: None,
        link: None,
        chat: of.chat,
        message: of.message,
        sender: of.sender,
        rules: vec!["launch".to_owned()],
        listener: of.listener,
        times: of.times,
    }
}
