//! A nats-server, one or more servers of frames, the clients' process, and a publisher.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tgmesh_proto::detection::{
    Chat, ChatKind, Detection, EventKind, Family, Listener, Message, Method, Role, Sender, SenderKind, Times,
};
use tgmesh_proto::id::EventId;
use tgmesh_proto::{codec, subject};
use tgmesh_stream::publish::{Limits, Outgoing, Publisher};
use tgmesh_stream::{Mesh, NatsConfig, topology};
use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{find_binary, free_port, nats, until};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::stream::Dialer;

/// Chats that are published to in turn: a filter of one of them passes 2 %.
pub const CHATS: u64 = 50;
const FIRST_CHAT: i64 = -1_001_000_000;
/// The chat that a flood goes to; it is none of the others.
pub const FLOODED: i64 = FIRST_CHAT - 999;
/// The secret of all tokens here.
const SECRET: &str = "a secret of the benchmark, of 32 bytes";
const START_LIMIT: Duration = Duration::from_secs(30);

/// What carries events from NATS to the clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fanout {
    Gateway,
    GatewayWithTls,
    /// Node with the package `ws`.
    Ws,
    /// Node with the package `socket.io`.
    SocketIo,
}

pub struct Servers {
    nats: nats::Server,
    gateways: Vec<Server>,
    clients: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    pub load: Load,
    _certificate: TempDir,
}

/// One server of frames, which can be replaced.
struct Server {
    spec: Box<dyn Fn() -> Result<Spec> + Send>,
    port: u16,
    dialer: Dialer,
    process: Process,
}

/// Where events come from.
pub struct Load {
    publisher: Publisher,
    published: u64,
    in_flood: u64,
}

/// CPU seconds that a process has used.
fn cpu_s(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind the name, which may hold anything but ends with the last bracket.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    // utime and stime, in the 100 ticks a second that Linux shows to programs.
    (ticks(11) + ticks(12)) / 100.0
}

fn resident_kib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or("");
    let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or(0.0)
}

impl Server {
    async fn start(spec: Box<dyn Fn() -> Result<Spec> + Send>, port: u16, dialer: Dialer) -> Result<Self> {
        let process = Process::spawn(spec()?)?;
        let server = Self {
            spec,
            port,
            dialer,
            process,
        };
        server.wait().await?;
        Ok(server)
    }

    async fn wait(&self) -> Result<()> {
        let ready = || async { self.is_ready().await.unwrap_or(false) };
        if !until(START_LIMIT, ready).await {
            bail!("a server is not ready: {}", self.process.log_tail());
        }
        Ok(())
    }

    async fn is_ready(&self) -> Result<bool> {
        let mut stream = self
            .dialer
            .dress(TcpStream::connect(("127.0.0.1", self.port)).await?)
            .await?;
        stream
            .write_all(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            .await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(answer.starts_with(b"HTTP/1.1 200"))
    }

    /// Ends it as a rolling restart does, and starts it again.
    async fn restart(&mut self) -> Result<()> {
        self.process.terminate();
        if !until(START_LIMIT, || async { !self.process.is_running() }).await {
            bail!("a server does not end: {}", self.process.log_tail());
        }
        self.process = Process::spawn((self.spec)()?)?;
        self.wait().await
    }
}

impl Fanout {
    fn protocol(self) -> &'static str {
        if self == Self::SocketIo { "socket.io" } else { "bare" }
    }

    fn spec(self, nats: &str, port: u16, certificate: &Path) -> Result<Spec> {
        let rival = |script: &str| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/bench/rivals");
            Spec::new("node")
                .arg(folder.join(script))
                .env("NATS_URL", nats)
                .env("PORT", port.to_string())
        };
        let gateway = || -> Result<Spec> {
            Ok(Spec::new(find_binary("tgmesh-gateway")?)
                .env("NATS_URL", nats)
                .env("GATEWAY_LISTEN", format!("127.0.0.1:{port}"))
                .env("ADMIN_LISTEN", "127.0.0.1:0")
                .env("JWT_SECRET", SECRET)
                .env("MAX_CONNECTIONS", "20000")
                .env("RUST_LOG", "warn"))
        };
        Ok(match self {
            Self::Gateway => gateway()?,
            Self::GatewayWithTls => gateway()?
                .env("TLS_CERT", certificate.join("tls.crt"))
                .env("TLS_KEY", certificate.join("tls.key")),
            Self::Ws => rival("ws.mjs"),
            Self::SocketIo => rival("socket-io.mjs"),
        })
    }
}

impl Servers {
    pub async fn start() -> Result<Self> {
        Self::with(Fanout::Gateway, 1).await
    }

    /// So many servers of this kind.
    pub async fn with(kind: Fanout, count: usize) -> Result<Self> {
        let certificate = certificate()?;
        let nats = nats::Server::start().await?;
        let mut config = NatsConfig::new(&nats.url()).map_err(anyhow::Error::msg)?;
        config.max_bytes = 1 << 30;
        let mesh = Mesh::connect(&config, "crowd").await?;
        topology::apply(&mesh, &topology::desired(&config)).await?;
        let trusted = (kind == Fanout::GatewayWithTls).then(|| certificate.path().join("tls.crt"));
        let dialer = Dialer::new(trusted.as_deref())?;
        let (mut gateways, mut ports) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let (port, url) = (free_port(), nats.url());
            let folder = certificate.path().to_owned();
            let spec = Box::new(move || kind.spec(&url, port, &folder));
            gateways.push(Server::start(spec, port, dialer.clone()).await?);
            ports.push(port.to_string());
        }
        let mut clients = Command::new(std::env::current_exe()?)
            .args(["clients", &ports.join(","), kind.protocol()])
            .args(trusted)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let orders = clients.stdin.take().context("a pipe")?;
        let answers = BufReader::new(clients.stdout.take().context("a pipe")?).lines();
        Ok(Self {
            nats,
            gateways,
            clients,
            orders,
            answers,
            load: Load {
                publisher: Publisher::new(&mesh, Limits::default()),
                published: 0,
                in_flood: 0,
            },
            _certificate: certificate,
        })
    }

    /// Gives the clients' process an order without waiting for the answer.
    pub async fn order(&mut self, order: &Value) -> Result<()> {
        self.orders.write_all(format!("{order}\n").as_bytes()).await?;
        Ok(())
    }

    pub async fn answer(&mut self) -> Result<Value> {
        let line = self.answers.next_line().await?.context("the clients' process ended")?;
        Ok(serde_json::from_str(&line)?)
    }

    pub async fn ask(&mut self, order: &Value) -> Result<Value> {
        self.order(order).await?;
        self.answer().await
    }

    /// Clients in a group, each with a filter made of its number.
    pub async fn connect(
        &mut self,
        group: &str,
        count: usize,
        counts: bool,
        filter: impl Fn(u64) -> Value,
    ) -> Result<()> {
        self.connect_for(group, count, counts, filter, None).await
    }

    /// The same; connections end by themselves after a time between these.
    pub async fn connect_for(
        &mut self,
        group: &str,
        count: usize,
        counts: bool,
        filter: impl Fn(u64) -> Value,
        stays_ms: Option<(u64, u64)>,
    ) -> Result<()> {
        let tokens: Vec<_> = (0..count)
            .map(|n| token(&format!("{group}-{n}")))
            .collect::<Result<_>>()?;
        let filters: Vec<_> = (0..count as u64).map(|n| filter(n).to_string()).collect();
        let order = json!({"order": "connect", "group": group, "tokens": tokens, "filters": filters, "counts": counts,
            "stays_ms": stays_ms, "buffer": if group == "stalled" { Some(8 << 10) } else { None }});
        self.ask(&order).await?;
        Ok(())
    }

    /// Replaces one server after the other while events go on.
    pub async fn restart_each(&mut self, rate: u32, pause: Duration) -> Result<()> {
        let Self { load, gateways, .. } = self;
        let replaced = async {
            for gateway in gateways {
                tokio::time::sleep(pause).await;
                gateway.restart().await?;
            }
            tokio::time::sleep(pause).await;
            Ok(())
        };
        tokio::select! {
            replaced = replaced => replaced,
            () = load.publish(rate, Duration::MAX) => Ok(()),
        }
    }

    /// Ends the clients first, who would complain about the end of the gateway.
    pub async fn end(mut self) {
        // It may have ended by itself.
        let _ = self.clients.kill().await;
    }

    /// CPU seconds of each process so far.
    pub fn cpu(&self) -> [(&'static str, f64); 4] {
        let pid = |child: Option<u32>| cpu_s(child.unwrap_or(0));
        [
            (
                "gateway",
                self.gateways.iter().map(|gateway| cpu_s(gateway.process.pid())).sum(),
            ),
            ("clients", pid(self.clients.id())),
            ("nats", pid(self.nats.process().map(Process::pid))),
            ("publisher", cpu_s(std::process::id())),
        ]
    }

    /// Resident memory of all servers of frames.
    pub fn gateway_kib(&self) -> f64 {
        self.gateways
            .iter()
            .map(|gateway| resident_kib(gateway.process.pid()))
            .sum()
    }

    /// Open files of all of them.
    pub fn gateway_files(&self) -> usize {
        let files = |pid: u32| std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        self.gateways.iter().map(|gateway| files(gateway.process.pid())).sum()
    }
}

impl Load {
    /// Publishes at this rate for so long, to all chats in turn.
    pub async fn publish(&mut self, rate: u32, length: Duration) {
        let begun = Instant::now();
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
        while begun.elapsed() < length {
            ticks.tick().await;
            self.publish_one().await;
        }
    }

    pub async fn publish_one(&mut self) {
        let n = self.published;
        self.published += 1;
        self.send(chat(n), n / CHATS + 1, "").await;
    }

    /// Publishes so many long events to a chat of its own.
    pub async fn flood(&mut self, count: usize) {
        let text = "long ".repeat(400);
        for _ in 0..count {
            self.in_flood += 1;
            self.send(FLOODED, self.in_flood, &text).await;
        }
    }

    async fn send(&self, chat: i64, number: u64, text: &str) {
        let event = event(chat, number, text);
        let payload = codec::encode(&event).unwrap_or_default();
        drop(
            self.publisher
                .publish(Outgoing {
                    subject: subject::detection(chat, event.family),
                    id: event.id,
                    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00".to_owned(),
                    payload: payload.into(),
                })
                .await,
        );
    }

    /// The number of the last event of each chat.
    pub fn numbers(&self) -> Vec<u64> {
        (0..CHATS)
            .map(|chat| (self.published + CHATS - 1 - chat) / CHATS)
            .collect()
    }
}

/// A certificate for the loopback address, and its key.
fn certificate() -> Result<TempDir> {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("tls.crt"), made.cert.pem())?;
    std::fs::write(folder.path().join("tls.key"), made.signing_key.serialize_pem())?;
    Ok(folder)
}

/// The chat of this number.
pub fn chat(n: u64) -> i64 {
    FIRST_CHAT - (n % CHATS) as i64
}

fn token(subject: &str) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = json!({"sub": subject, "jti": subject, "iat": now, "exp": now + 7200, "aud": "tgmesh",
        "role": "analyst", "chats": ["*"]});
    Ok(jsonwebtoken::encode(
        &Header::default(),
        &claims,
        &EncodingKey::from_secret(SECRET.as_bytes()),
    )?)
}

fn event(chat: i64, number: u64, text: &str) -> Detection {
    let address = format!("So1{:041}", number % 1000);
    let now_us = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_micros() as i64;
    Detection {
        schema_version: tgmesh_proto::SCHEMA_VERSION.to_owned(),
        id: EventId::from_bytes(rand::random()),
        event: EventKind::Called,
        family: Family::Solana,
        chain: Some("solana".to_owned()),
        raw: address.clone(),
        message: Message {
            id: number as i64,
            date_ms: now_us / 1000,
            edit_date_ms: None,
            revision: "0-00000000".to_owned(),
            text: format!("gm, a new one: {address} — do your own research 🚀 {text}"),
            link: Some("https://t.me/c/1001000000/1".to_owned()),
            reply_to: None,
            forward_from: None,
        },
        address,
        coin_type: None,
        role: Role::Token,
        method: Method::Plain,
        evidence: vec!["word:sol".to_owned()],
        confidence: 0.75,
        seen_before: None,
        chat: Chat {
            id: chat,
            title: "A chat of the benchmark".to_owned(),
            username: None,
            kind: ChatKind::Supergroup,
        },
        sender: Some(Sender {
            id: 4242,
            username: None,
            name: "Somebody".to_owned(),
            kind: SenderKind::User,
        }),
        rules: Vec::new(),
        listener: Listener {
            instance: "crowd".to_owned(),
            account: "crowd".to_owned(),
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
