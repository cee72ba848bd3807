//! Tests of the real binary against a real nats-server and a real Postgres.

mod disk;
mod expired;
mod faults;
mod kills;
mod measure;
mod outages;
mod poison;
mod sides;
mod upkeep;

use std::process::ExitStatus;
use std::time::Duration;

use bytes::Bytes;
use tgmesh_proto::detection::{Chat, ChatKind, Detection, EventKind, Family, Listener, Message, Method, Role, Times};
use tgmesh_proto::id::IdParts;
use tgmesh_proto::{SCHEMA_VERSION, codec, subject};
use tgmesh_stream::publish::{Limits, Outgoing, Publisher};
use tgmesh_stream::{Mesh, NatsConfig, topology};
use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{Scratch, binary, eventually, free_port, nats, postgres};

const LONG: Duration = Duration::from_mins(1);

/// The servers around an archiver.
struct Place {
    nats: nats::Server,
    postgres: postgres::Server,
    database: String,
    mesh: Mesh,
    _scratch: Option<Scratch>,
}

impl Place {
    async fn new() -> Self {
        Self::with_stream_of(512 << 20).await
    }

    /// With another limit for DETECTIONS; the other streams may hold an eighth of it.
    async fn with_stream_of(max_bytes: u64) -> Self {
        let postgres = postgres::Server::start().await.expect("Postgres");
        Self::around(postgres, None, max_bytes).await
    }

    /// With a Postgres that syncs every commit to disk, as the shipped one does.
    async fn durable(max_bytes: u64) -> Self {
        let scratch = Scratch::new().expect("a folder");
        let postgres = postgres::Server::start_in(scratch.path(), free_port())
            .await
            .expect("Postgres");
        Self::around(postgres, Some(scratch), max_bytes).await
    }

    async fn around(postgres: postgres::Server, scratch: Option<Scratch>, max_bytes: u64) -> Self {
        let nats = nats::Server::start().await.expect("nats-server");
        let database = postgres.ensure_database("tgmesh").await.expect("database");
        let config = NatsConfig {
            max_bytes,
            ..NatsConfig::new(&nats.url()).unwrap()
        };
        let mesh = Mesh::connect(&config, "test").await.unwrap();
        topology::apply(&mesh, &topology::desired(&config)).await.unwrap();
        Self {
            nats,
            postgres,
            database,
            mesh,
            _scratch: scratch,
        }
    }

    fn archiver(&self) -> Archiver {
        self.archiver_named("under-test")
    }

    fn archiver_named(&self, instance: &str) -> Archiver {
        let admin = format!("127.0.0.1:{}", free_port());
        let spec = Spec::new(binary("tgmesh-archiver"))
            .env("NATS_URL", self.nats.url())
            .env("DATABASE_URL", &self.database)
            .env("ADMIN_LISTEN", &admin)
            .env("INSTANCE", instance)
            .env("RUST_LOG", "info");
        Archiver {
            process: Process::spawn(spec).expect("tgmesh-archiver"),
            admin,
        }
    }

    /// Number of rows, by psql; nothing while the database or the table is away.
    async fn rows(&self) -> Option<u64> {
        let count = self
            .postgres
            .query("tgmesh", "SELECT count(*) FROM detections")
            .await
            .ok()?;
        count.trim().parse().ok()
    }

    /// What a query gives; empty while the database is away.
    async fn ask(&self, sql: &str) -> String {
        self.postgres.query("tgmesh", sql).await.unwrap_or_default()
    }

    async fn letters(&self) -> u64 {
        let state = tgmesh_stream::stream_state(&self.mesh, subject::DEADLETTERS).await;
        state.unwrap().messages
    }

    async fn eventually_rows(&self, rows: u64) {
        eventually(LONG, "rows equal events", async || self.rows().await == Some(rows)).await;
    }
}

/// The binary under test.
struct Archiver {
    process: Process,
    admin: String,
}

impl Archiver {
    async fn get(&self, path: &str) -> Option<String> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(&self.admin).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    }

    async fn is_ready(&self) -> bool {
        self.get("/readyz")
            .await
            .is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    async fn ready(&self) {
        eventually(LONG, "it is ready", async || self.is_ready().await).await;
    }

    async fn metric(&self, name: &str) -> u64 {
        self.gauge(name).await.unwrap_or(0.0) as u64
    }

    async fn gauge(&self, name: &str) -> Option<f64> {
        let page = self.get("/metrics").await.unwrap_or_default();
        let line = page
            .lines()
            .find(|line| line.starts_with(name) && line[name.len()..].starts_with(' '));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
    }

    /// SIGTERM, and how it ended.
    async fn stop(self) -> ExitStatus {
        self.process.terminate();
        match self.process.wait(Duration::from_secs(10)).await {
            Ok(status) => status,
            Err(error) => panic!("no end within 10 s: {error}\n{}", self.process.log_tail()),
        }
    }
}

/// Short forms by default; the long ones with `TGMESH_SOAK=1`.
fn soak() -> bool {
    std::env::var_os("TGMESH_SOAK").is_some_and(|soak| soak == "1")
}

/// The seed of what a test draws, printed so that it can be given again as `TGMESH_SEED`.
fn seed(test: &str) -> u64 {
    let given = std::env::var("TGMESH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| if soak() { rand::random() } else { 7 });
    println!("{test}: TGMESH_SEED={seed}");
    seed
}

fn event(n: u64) -> Detection {
    let now_us = tgmesh_lifecycle::clock::now_us();
    let address = format!("0x{n:040x}");
    let message_id = 1 + n as i64;
    let parts = IdParts {
        chat_id: -1_001_000_000_000 - (n % 50) as i64,
        chat_kind: ChatKind::Channel,
        account: "sim-1",
        message_id,
        revision: "0-01020304",
        event: EventKind::Called,
        family: Family::Evm,
        address: &address,
        coin_type: None,
    };
    Detection {
        schema_version: SCHEMA_VERSION.to_owned(),
        id: parts.id(),
        event: EventKind::Called,
        family: Family::Evm,
        chain: Some("ethereum".to_owned()),
        coin_type: None,
        role: Role::Token,
        method: Method::Plain,
        evidence: vec!["eip55".to_owned()],
        confidence: 0.9,
        raw: address.clone(),
        seen_before: None,
        chat: Chat {
            id: parts.chat_id,
            title: "Gems".to_owned(),
            username: Some("gems".to_owned()),
            kind: ChatKind::Channel,
        },
        message: Message {
            id: message_id,
            date_ms: now_us / 1_000_000 * 1000,
            edit_date_ms: None,
            revision: "0-01020304".to_owned(),
            text: format!("🚀 new gem, ca {address} aping in, nfa"),
            link: None,
            reply_to: None,
            forward_from: None,
        },
        sender: None,
        rules: vec![],
        listener: Listener {
            instance: "test".to_owned(),
            account: "sim-1".to_owned(),
            shard: 0,
            lease_epoch: 0,
            backfill: false,
            detector: "1".to_owned(),
            layer: 230,
        },
        times: Times {
            received_us: now_us,
            detected_us: now_us,
            published_us: now_us,
        },
        address,
    }
}

fn outgoing(event: &Detection) -> Outgoing {
    Outgoing {
        subject: subject::detection(event.chat.id, event.family),
        id: event.id,
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        payload: Bytes::from(codec::encode(event).expect("fits")),
    }
}

/// Publishes events and waits until all are stored.
async fn fill(mesh: &Mesh, numbers: impl IntoIterator<Item = u64>) {
    let publisher = Publisher::new(mesh, Limits::default());
    for n in numbers {
        drop(publisher.publish(outgoing(&event(n))).await);
    }
    assert_eq!(publisher.drain(LONG).await, 0);
    assert_eq!(publisher.counts().failures, 0);
}
