//! Three nats-servers as one cluster, with the configuration that Kubernetes and compose use.
//!
//! The files of `deploy/nats` are copied as they are; keys and certificates come from
//! `deploy/make_secrets.py`. What differs on loopback is given as the pods are given it, by
//! variable, and ports by flag. Between the servers, and between them and their clients, stand
//! proxies: a server can be cut off from everybody while it runs on.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::process::{Process, Signal, Spec};
use crate::proxy::Proxy;
use crate::{Scratch, places, ports, until};

/// Servers of a cluster.
pub const NODES: usize = 3;

const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_GRACE: Duration = Duration::from_mins(1);
/// A server that led and was cut off has messages at its end that no other one has. It takes them
/// out one by one before it follows again, which takes nats-server 2.15 a second or two for each.
const REPAIR_LIMIT: Duration = Duration::from_mins(10);
const SECRETS_LIMIT: Duration = Duration::from_secs(30);
/// The one account that the mesh lives in.
const ACCOUNT: &str = "TGMESH";

/// Keys, certificates and passwords for one mesh, in a folder that is gone with the value.
#[derive(Debug)]
pub struct Secrets {
    scratch: Scratch,
}

impl Secrets {
    /// Makes all that `make k8s-secrets` makes, for servers on loopback.
    ///
    /// # Errors
    /// When Python or `openssl` is missing; the message has what the script said.
    pub async fn make() -> Result<Self> {
        let scratch = Scratch::new()?;
        let script = places::repo_root().join("deploy/make_secrets.py");
        let making = Process::spawn(
            Spec::new(places::find_python()?)
                .arg(script)
                .arg(scratch.path().join("secrets"))
                .args(["--host", "127.0.0.1"]),
        )?;
        if !making.wait(SECRETS_LIMIT).await?.success() {
            bail!("couldn't make secrets:\n{}", making.log_tail());
        }
        Ok(Self { scratch })
    }

    /// One of its files, such as `gateway/nats.nk`.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.scratch.path().join("secrets").join(file)
    }
}

/// A cluster. Dropping it ends it.
#[derive(Debug)]
pub struct Cluster {
    program: PathBuf,
    secrets: Secrets,
    nodes: Vec<Node>,
    /// From each server to each other one.
    roads: Vec<Vec<Option<Proxy>>>,
    /// In front of each server, for clients.
    doors: Vec<Proxy>,
    _scratch: Scratch,
}

#[derive(Debug)]
struct Node {
    name: String,
    dir: PathBuf,
    client: u16,
    routes: u16,
    monitor: u16,
    process: Option<Process>,
}

impl Cluster {
    /// Starts three servers and waits until they are one cluster.
    ///
    /// # Errors
    /// When there is no nats-server, or the cluster does not form within a minute.
    pub async fn start() -> Result<Self> {
        let scratch = Scratch::new()?;
        let secrets = Secrets::make().await?;
        let nodes: Vec<Node> = (0..NODES)
            .map(|n| Node {
                name: format!("nats-{n}"),
                dir: scratch.path().join(format!("nats-{n}")),
                client: ports::free_port(),
                routes: ports::free_port(),
                monitor: ports::free_port(),
                process: None,
            })
            .collect();
        let mut roads = Vec::new();
        let mut doors = Vec::new();
        for from in &nodes {
            let mut row = Vec::new();
            for to in &nodes {
                row.push(if from.name == to.name {
                    None
                } else {
                    Some(Proxy::start(format!("127.0.0.1:{}", to.routes)).await?)
                });
            }
            roads.push(row);
            doors.push(Proxy::start(format!("127.0.0.1:{}", from.client)).await?);
        }
        let mut cluster = Self {
            program: places::nats_server()?,
            secrets,
            nodes,
            roads,
            doors,
            _scratch: scratch,
        };
        for node in &cluster.nodes {
            configure(&node.dir, &cluster.secrets)?;
        }
        for n in 0..NODES {
            cluster.launch(n)?;
        }
        cluster.ready().await?;
        Ok(cluster)
    }

    /// `tls://…`, all three.
    #[must_use]
    pub fn urls(&self) -> String {
        let url = |door: &Proxy| format!("tls://{}", door.addr());
        self.doors.iter().map(url).collect::<Vec<_>>().join(",")
    }

    /// Keys, certificates and passwords.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// SIGKILL, and waits for its end. Its store stays.
    pub async fn kill(&mut self, n: usize) {
        if let Some(process) = self.nodes.get_mut(n).and_then(|node| node.process.take()) {
            process.kill();
            process.ended().await;
        }
    }

    /// Stops one as Kubernetes does: the command of its preStop hook, then SIGTERM.
    ///
    /// # Errors
    /// When the hook cannot be run.
    pub async fn retire(&mut self, n: usize) -> Result<()> {
        let node = &mut self.nodes[n];
        let Some(process) = node.process.take() else {
            return Ok(());
        };
        let pid = node.dir.join("nats.pid");
        let hook = Spec::new(&self.program)
            .arg("--signal")
            .arg(format!("ldm={}", pid.display()));
        Process::spawn(hook)?.wait(START_LIMIT).await?;
        process.stop(STOP_GRACE).await;
        Ok(())
    }

    /// Starts one again, and waits until it has caught up with the others.
    ///
    /// # Errors
    /// As [`Cluster::ready`] and [`Cluster::whole`].
    pub async fn start_again(&mut self, n: usize) -> Result<()> {
        self.launch(n)?;
        self.ready().await?;
        self.whole().await
    }

    /// Cuts a server off from the others and from every client; it runs on.
    pub fn cut_off(&self, n: usize) {
        self.around(n).for_each(Proxy::cut);
    }

    /// Cuts a server off from the others alone: it serves the clients that it has, as far as it can.
    pub fn part(&self, n: usize) {
        self.roads_of(n).for_each(Proxy::cut);
    }

    /// Takes it in again.
    pub fn heal(&self, n: usize) {
        self.around(n).for_each(Proxy::heal);
    }

    fn around(&self, n: usize) -> impl Iterator<Item = &Proxy> {
        self.roads_of(n).chain(self.doors.get(n))
    }

    fn roads_of(&self, n: usize) -> impl Iterator<Item = &Proxy> {
        let touches = move |from: usize, to: usize| from == n || to == n;
        self.roads.iter().enumerate().flat_map(move |(from, row)| {
            let pairs = row.iter().enumerate();
            pairs
                .filter(move |(to, _)| touches(from, *to))
                .filter_map(|(_, road)| road.as_ref())
        })
    }

    /// Which server a client of this name is connected to.
    pub async fn home_of(&self, client: &str) -> Option<usize> {
        for (n, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.process.is_some()) {
            let Ok(state) = node.ask("/connz").await else { continue };
            let connections = state["connections"].as_array()?;
            if connections.iter().any(|connection| connection["name"] == client) {
                return Some(n);
            }
        }
        None
    }

    /// Which server leads a stream; nothing while none does.
    pub async fn leader(&self, stream: &str) -> Option<usize> {
        for node in self.nodes.iter().filter(|node| node.process.is_some()) {
            let found = node.streams().await.into_iter().find(|detail| detail["name"] == stream);
            if let Some(leader) = found.and_then(|found| found["cluster"]["leader"].as_str().map(str::to_owned)) {
                return self.nodes.iter().position(|node| node.name == leader);
            }
        }
        None
    }

    /// Everything that the servers logged.
    #[must_use]
    pub fn log(&self) -> String {
        let logs = self
            .nodes
            .iter()
            .map(|node| std::fs::read_to_string(node.dir.join("nats.log")));
        logs.filter_map(Result::ok).collect()
    }

    /// Waits until every server that runs says it is healthy: streams and consumers included.
    ///
    /// # Errors
    /// When one ends, or is not within a minute; the message has the end of its log.
    pub async fn ready(&self) -> Result<()> {
        for node in &self.nodes {
            let Some(process) = &node.process else { continue };
            let healthy = || async {
                !process.is_running() || node.ask("/healthz").await.is_ok_and(|health| health["status"] == "ok")
            };
            if !until(START_LIMIT, healthy).await || !process.is_running() {
                bail!("{} did not get ready; its log ends:\n{}", node.name, process.log_tail());
            }
        }
        Ok(())
    }

    /// Waits until every stream has one leader in everybody's eyes, and that leader says that no
    /// server lags behind. Health is not asked for that: a server that comes back counts as healthy
    /// for the moment until it learns what it has missed.
    ///
    /// # Errors
    /// When that takes more than ten minutes; the message has the streams that it was not so for.
    pub async fn whole(&self) -> Result<()> {
        let torn = tokio::sync::Mutex::new(Vec::new());
        let look = || async {
            let found = self.torn().await;
            let whole = found.is_empty();
            *torn.lock().await = found;
            whole
        };
        if !until(REPAIR_LIMIT, look).await {
            bail!("the servers do not agree on {}", torn.into_inner().join(", "));
        }
        Ok(())
    }

    /// Streams that have no leader, several, or a follower that lags behind.
    async fn torn(&self) -> Vec<String> {
        let running: Vec<_> = self.nodes.iter().filter(|node| node.process.is_some()).collect();
        let mut leaders = std::collections::BTreeMap::<String, Vec<Option<String>>>::new();
        let mut torn = Vec::new();
        for node in &running {
            for stream in node.streams().await {
                let name = stream["name"].as_str().unwrap_or_default().to_owned();
                let leader = stream["cluster"]["leader"].as_str().map(str::to_owned);
                let current = |peer: &Value| peer["current"] == true;
                let replicas = stream["cluster"]["replicas"].as_array();
                if leader.as_ref() == Some(&node.name) && !replicas.is_some_and(|all| all.iter().all(current)) {
                    torn.push(name.clone());
                }
                leaders.entry(name).or_default().push(leader);
            }
        }
        if leaders.is_empty() {
            torn.push("any stream".to_owned());
        }
        let agreed = |told: &Vec<Option<String>>| {
            told.len() == running.len() && told.iter().all(|leader| leader.is_some() && *leader == told[0])
        };
        torn.extend(
            leaders
                .into_iter()
                .filter(|(_, told)| !agreed(told))
                .map(|(name, _)| name),
        );
        torn
    }

    fn launch(&mut self, n: usize) -> Result<()> {
        let roads = self.roads[n].iter().flatten();
        let routes: Vec<_> = roads.map(|road| format!("nats://{}", road.addr())).collect();
        let secret = |file: &str| self.secrets.path(file);
        let node = &self.nodes[n];
        let spec = Spec::new(&self.program)
            .arg("--config")
            .arg(node.dir.join("nats.conf"))
            .args(["--addr", "127.0.0.1", "--port", &node.client.to_string()])
            .args(["--http_port", &node.monitor.to_string()])
            .args(["--cluster", &format!("nats://127.0.0.1:{}", node.routes)])
            .args(["--routes", &routes.join(",")])
            .env("POD_NAME", &node.name)
            .env("NATS_PID", node.dir.join("nats.pid"))
            .env("NATS_STORE", node.dir.join("store"))
            // Nobody listens there: servers find each other by the roads alone, which can be cut.
            .env("NATS_ADVERTISE", "127.0.0.1:1")
            .env("NATS_TLS_CERT", secret("nats-tls/tls.crt"))
            .env("NATS_TLS_KEY", secret("nats-tls/tls.key"))
            .env("NATS_ROUTES_CERT", secret("nats-routes-tls/tls.crt"))
            .env("NATS_ROUTES_KEY", secret("nats-routes-tls/tls.key"))
            .env("NATS_ROUTES_CA", secret("nats-routes-tls/ca.crt"))
            .log(node.dir.join("nats.log"))
            .current_dir(&node.dir)
            .dropped_with(Signal::Kill);
        self.nodes[n].process = Some(Process::spawn(spec)?);
        Ok(())
    }
}

impl Node {
    /// What it says of each stream; nothing while it does not answer.
    async fn streams(&self) -> Vec<Value> {
        let state = self.ask(&format!("/jsz?acc={ACCOUNT}&streams=true")).await;
        let details = state.map(|mut state| state["account_details"][0]["stream_detail"].take());
        match details {
            Ok(Value::Array(streams)) => streams,
            _ => Vec::new(),
        }
    }

    /// What the server says at its monitoring port.
    async fn ask(&self, path: &str) -> Result<Value> {
        let asking = async {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.monitor)).await?;
            let question = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
            stream.write_all(question.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
            serde_json::from_str(body).context("no JSON")
        };
        tokio::time::timeout(Duration::from_secs(5), asking).await?
    }
}

/// The files of `deploy/nats`, and the secret ones beside them.
fn configure(dir: &Path, secrets: &Secrets) -> Result<()> {
    let source = places::repo_root().join("deploy/nats");
    std::fs::create_dir_all(dir.join("secret"))?;
    for file in ["nats.conf", "cluster.conf", "storage.conf", "accounts.conf"] {
        std::fs::copy(source.join(file), dir.join(file)).with_context(|| format!("couldn't copy {file}"))?;
    }
    for file in ["seal.conf", "users.conf"] {
        std::fs::copy(secrets.path("nats").join(file), dir.join("secret").join(file))?;
    }
    Ok(())
}
