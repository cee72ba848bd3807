//! A simulator, a nats-server, and listeners between them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tgmesh_proto::detection::Detection;
use tgmesh_proto::{codec, subject};
use tgmesh_stream::{Mesh, NatsConfig, topology, window};
use tgmesh_telegram_sim::{Change, ChatKind, Config, Draft, Running, Sim};
use tgmesh_testkit::nats;
use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{Scratch, eventually, free_port};

/// For whatever waits on processes; generous, because tests share two cores.
pub const LIMIT: Duration = Duration::from_mins(1);
/// 32 bytes in hex.
pub const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Short forms by default; the long ones with `TGMESH_SOAK=1`.
pub fn is_soak() -> bool {
    std::env::var_os("TGMESH_SOAK").is_some_and(|soak| soak == "1")
}

/// What a test draws from, printed: `usual` in the short form, a new one in the long form, and
/// `TGMESH_SEED` before both.
pub fn seed(usual: u64) -> u64 {
    let seed = match std::env::var("TGMESH_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) if is_soak() => rand::random(),
        Err(_) => usual,
    };
    println!("TGMESH_SEED={seed}");
    seed
}

pub struct World {
    pub data_centre: Running,
    pub nats: nats::Server,
    pub mesh: Mesh,
    scratch: Scratch,
}

/// A listener under test.
pub struct Listener {
    pub process: Process,
    pub admin: String,
}

impl World {
    pub async fn start(config: Config) -> Self {
        let nats = nats::Server::start().await.unwrap();
        let streams = streams(&nats);
        Self::start_on(nats, streams, config).await
    }

    /// A world on this server, whose streams are as `streams` says.
    pub async fn start_on(nats: nats::Server, streams: NatsConfig, config: Config) -> Self {
        let data_centre = tgmesh_telegram_sim::start(config).await.unwrap();
        let config = streams;
        let mesh = Mesh::connect(&config, "test").await.unwrap();
        topology::apply(&mesh, &topology::desired(&config)).await.unwrap();
        Self {
            data_centre,
            nats,
            mesh,
            scratch: Scratch::new().unwrap(),
        }
    }

    pub fn sim(&self) -> &Sim {
        &self.data_centre.sim
    }

    pub fn sessions(&self) -> PathBuf {
        self.scratch.path().join("sessions")
    }

    /// Writes the simulator's accounts as its control port gives them.
    pub fn accounts_file(&self) -> PathBuf {
        let path = self.scratch.path().join("accounts.json");
        std::fs::write(&path, serde_json::to_vec(&self.sim().accounts()).unwrap()).unwrap();
        path
    }

    /// The binary with everything it needs.
    pub fn spec(&self) -> Spec {
        let names: Vec<_> = self.sim().accounts().into_iter().map(|account| account.name).collect();
        bare()
            .env("TELEGRAM_API_ID", "1")
            .env("TELEGRAM_API_HASH", "0123456789abcdef0123456789abcdef")
            .env("TELEGRAM_ENCRYPTION_KEY", KEY)
            .env("TELEGRAM_ACCOUNTS", names.join(","))
            .env("TELEGRAM_DC", self.data_centre.mtproto_addr.to_string())
            .env("SESSION_STORE", "kv")
            .env("NATS_URL", self.nats.url())
            .env("ADMIN_LISTEN", format!("127.0.0.1:{}", free_port()))
    }

    /// Seals the simulator's accounts into the store of `spec`.
    pub async fn import(&self, spec: Spec) -> String {
        let file = self.accounts_file();
        let process = Process::spawn(spec.arg("sessions").arg("import").arg(file)).unwrap();
        let status = process.wait(LIMIT).await.unwrap();
        assert!(status.success(), "{}", process.log_tail());
        process.log_tail()
    }

    /// A listener with all accounts, ready.
    pub async fn listener(&self) -> Listener {
        self.import(self.spec()).await;
        self.listen(self.spec()).await
    }

    /// A listener with these settings, ready.
    pub async fn listen(&self, spec: Spec) -> Listener {
        let listener = Listener::start(spec);
        listener.ready().await;
        listener
    }

    /// Every event of the stream, in order.
    pub async fn events(&self) -> Vec<Detection> {
        let mut window = window::read(&self.mesh, subject::DETECTIONS, 1, None, &[])
            .await
            .unwrap();
        let mut events = Vec::new();
        while let Some(delivery) = window.next().await.unwrap() {
            let event = codec::decode(&delivery.payload).unwrap();
            assert_eq!(delivery.subject, subject::detection(event.chat.id, event.family));
            assert_eq!(delivery.header("Nats-Msg-Id"), Some(event.id.to_string().as_str()));
            assert!(delivery.header("traceparent").is_some());
            events.push(event);
        }
        events
    }

    /// Waits until the stream holds `count` events, and gives them.
    pub async fn wait_for(&self, count: usize, listener: &Listener) -> Vec<Detection> {
        let enough = || async {
            match tgmesh_stream::stream_state(&self.mesh, subject::DETECTIONS).await {
                Ok(state) => state.messages >= count as u64,
                Err(_) => false,
            }
        };
        if !tgmesh_testkit::until(LIMIT, enough).await {
            let events = self.events().await.len();
            let figures = listener.metrics().await;
            let figures: Vec<_> = figures
                .lines()
                .filter(|line| line.contains("_total ") && !line.ends_with(" 0"))
                .collect();
            panic!(
                "{events} of {count} events; {}\n{}",
                listener.process.log_tail(),
                figures.join("\n")
            );
        }
        self.events().await
    }

    pub fn chat(&self, kind: ChatKind) -> i64 {
        let chats = self.sim().chats();
        let joined = chats.iter().find(|chat| chat.kind == kind && !chat.accounts.is_empty());
        joined.expect("the world has every kind of chat").id
    }

    pub fn post(&self, chat_id: i64, text: impl Into<String>) -> Change {
        let draft = Draft {
            chat_id,
            text: text.into(),
            ..Draft::default()
        };
        self.sim().post(draft).unwrap()
    }

    pub fn edit(&self, chat_id: i64, message_id: i32, text: impl Into<String>) -> Change {
        let draft = Draft {
            chat_id,
            text: text.into(),
            ..Draft::default()
        };
        self.sim().edit(message_id, draft).unwrap()
    }

    /// Addresses that the simulator has posted, with the number of events each must give: one,
    /// and in basic groups one for each account, which numbers their messages for itself.
    pub fn posted(&self) -> BTreeMap<String, usize> {
        let chats = self.sim().chats().into_iter();
        let events: BTreeMap<i64, usize> = chats
            .map(|chat| {
                (
                    chat.id,
                    if chat.kind.has_own_numbers() {
                        1
                    } else {
                        chat.accounts.len()
                    },
                )
            })
            .collect();
        let mut addresses = BTreeMap::new();
        let mut after = 0;
        loop {
            let page = self.sim().posted(after, 10_000);
            if page.items.is_empty() {
                return addresses;
            }
            after = page.items.last().map_or(after, |item| item.n);
            for item in page.items {
                for address in item.addresses {
                    *addresses.entry(address).or_default() += events[&item.chat_id];
                }
            }
        }
    }
}

impl Listener {
    pub fn start(spec: Spec) -> Self {
        let admin = format!("127.0.0.1:{}", free_port());
        let process = Process::spawn(spec.env("ADMIN_LISTEN", &admin)).unwrap();
        Self { process, admin }
    }

    pub async fn ready(&self) {
        let ready = || async {
            assert!(self.process.is_running(), "{}", self.process.log_tail());
            self.is_ready().await
        };
        let is_ready = tgmesh_testkit::until(LIMIT, ready).await;
        assert!(is_ready, "not ready; {}", self.process.log_tail());
    }

    pub async fn is_ready(&self) -> bool {
        let answer = reqwest::get(format!("http://{}/readyz", self.admin)).await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// What `/readyz` says.
    pub async fn readiness(&self) -> String {
        let answer = reqwest::get(format!("http://{}/readyz", self.admin)).await.unwrap();
        answer.text().await.unwrap()
    }

    pub async fn not_ready(&self, what: &str) {
        eventually(LIMIT, what, || async { !self.is_ready().await }).await;
    }

    /// The value of a counter or gauge without labels, by its name without the prefix.
    pub async fn metric(&self, name: &str) -> f64 {
        let page = self.metrics().await;
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(&format!("tgmesh_listener_{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in\n{page}")).parse().unwrap()
    }

    pub async fn metrics(&self) -> String {
        let answer = reqwest::get(format!("http://{}/metrics", self.admin)).await.unwrap();
        answer.text().await.unwrap()
    }
}

/// The streams as they are by default, and leases that are over soon: a listener that was killed
/// is waited for by the next one.
pub fn streams(nats: &nats::Server) -> NatsConfig {
    NatsConfig {
        lease_time: Duration::from_secs(4),
        ..NatsConfig::new(&nats.url()).unwrap()
    }
}

/// A request to `JetStream`'s API, as an operator's tool makes it.
pub async fn ask(nats: &nats::Server, subject: &str, question: &Value) -> Value {
    let answer = nats.request(subject, &question.to_string()).await.unwrap();
    serde_json::from_str(&answer).unwrap()
}

/// Changes these settings of DETECTIONS.
pub async fn set_detections(nats: &nats::Server, settings: &Value) {
    let info = ask(nats, "$JS.API.STREAM.INFO.DETECTIONS", &json!({})).await;
    let mut all = info["config"].clone();
    for (name, value) in settings.as_object().unwrap() {
        all[name] = value.clone();
    }
    let answer = ask(nats, "$JS.API.STREAM.UPDATE.DETECTIONS", &all).await;
    assert!(answer["error"].is_null(), "{answer}");
}

/// The binary, with nothing of the tests' own environment.
pub fn bare() -> Spec {
    let mut spec = Spec::new(Path::new(env!("CARGO_BIN_EXE_tgmesh-listener")));
    for (name, _) in std::env::vars() {
        if name.starts_with("TELEGRAM_") || name.starts_with("NATS_") || name.starts_with("OTEL_") {
            spec = spec.env_remove(name);
        }
    }
    spec.env("LOG_FORMAT", "pretty").env("RUST_LOG", "info,grammers=warn")
}

/// A valid Solana address that was never used before.
pub fn address(n: u64) -> String {
    use sha2::Digest as _;
    let bytes: [u8; 32] = sha2::Sha256::digest(n.to_be_bytes()).into();
    let mut out = [0; 44];
    let length = five8::encode_32(&bytes, &mut out);
    String::from_utf8(out[..usize::from(length)].to_vec()).unwrap()
}

/// Every event's address, with how often.
pub fn addresses(events: &[Detection]) -> BTreeMap<String, usize> {
    let mut addresses = BTreeMap::new();
    for event in events {
        *addresses.entry(event.address.clone()).or_default() += 1;
    }
    addresses
}

/// Asserts that both hold the same, and says what is missing or too many.
pub fn assert_same(found: &BTreeMap<String, usize>, expected: &BTreeMap<String, usize>, listener: &Listener) {
    let differs =
        |(address, count): &(&String, &usize), other: &BTreeMap<String, usize>| other.get(*address) != Some(count);
    let missing: Vec<_> = expected.iter().filter(|entry| differs(entry, found)).take(5).collect();
    let extra: Vec<_> = found.iter().filter(|entry| differs(entry, expected)).take(5).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "expected {} addresses, found {}; expected but not so: {missing:?}; found but not so: {extra:?}\n{}",
        expected.len(),
        found.len(),
        listener.process.log_tail()
    );
}
