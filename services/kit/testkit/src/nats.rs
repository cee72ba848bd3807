//! A real nats-server with JetStream on loopback.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::process::{Process, Signal, Spec};
use crate::scratch::Scratch;
use crate::{places, ports, until};

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_GRACE: Duration = Duration::from_secs(10);
/// How long a server of an earlier run, whose parent was killed, may take to leave its folder.
const FORMER_LIMIT: Duration = Duration::from_secs(10);
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// A nats-server. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    program: PathBuf,
    dir: PathBuf,
    port: u16,
    /// Most bytes of its store; nothing = what the disk allows.
    max_file_store: Option<u64>,
    process: Option<Process>,
    _scratch: Option<Scratch>,
}

impl Server {
    /// Starts one on a free port with an empty store in a temporary folder.
    ///
    /// # Errors
    /// When there is no nats-server of at least 2.12, or it does not start.
    pub async fn start() -> Result<Self> {
        Self::start_temporary(None).await
    }

    /// The same with a store that is full at so many bytes.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_with_store(max_bytes: u64) -> Result<Self> {
        Self::start_temporary(Some(max_bytes)).await
    }

    async fn start_temporary(max_file_store: Option<u64>) -> Result<Self> {
        let scratch = Scratch::new()?;
        let dir = scratch.path().to_path_buf();
        let mut server = Self::prepare(&dir, ports::free_port(), Some(scratch))?;
        server.max_file_store = max_file_store;
        for _ in 0..3 {
            match server.start_again().await {
                Ok(()) => return Ok(server),
                Err(error) if error.to_string().contains("address already in use") => {
                    server.port = ports::free_port();
                }
                Err(error) => return Err(error),
            }
        }
        bail!("no port for nats-server stayed free long enough");
    }

    /// Starts one with its store, configuration and log in `dir`, which may hold an earlier store.
    ///
    /// # Errors
    /// As [`Server::start`], and when the folder or the port is in use.
    pub async fn start_in(dir: &Path, port: u16) -> Result<Self> {
        let mut server = Self::prepare(dir, port, None)?;
        server.start_again().await?;
        Ok(server)
    }

    fn prepare(dir: &Path, port: u16, scratch: Option<Scratch>) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("couldn't make {}", dir.display()))?;
        let dir = dir
            .canonicalize()
            .with_context(|| format!("couldn't find {}", dir.display()))?;
        Ok(Self {
            program: places::nats_server()?,
            dir,
            port,
            max_file_store: None,
            process: None,
            _scratch: scratch,
        })
    }

    /// `nats://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its port, the same after [`Server::start_again`].
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref().filter(|process| process.is_running())
    }

    /// Stops it in order and waits for its end. Its store stays.
    pub async fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop(STOP_GRACE).await;
        }
    }

    /// Kills it (SIGKILL) and waits for its end. Its store stays.
    pub async fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
            process.ended().await;
        }
    }

    /// Starts it with the same port and store; does nothing while it runs.
    ///
    /// # Errors
    /// When it does not answer within 30 s; the message has the end of its log.
    pub async fn start_again(&mut self) -> Result<()> {
        if self.process().is_some() {
            return Ok(());
        }
        self.await_former().await?;
        let config = self.dir.join("nats.conf");
        std::fs::write(&config, self.config()?).with_context(|| format!("couldn't write {}", config.display()))?;
        let process = Process::spawn(
            Spec::new(&self.program)
                .arg("--config")
                .arg(&config)
                .log(self.dir.join("nats.log"))
                .current_dir(&self.dir)
                // A dropped server loses what it has not synced, as a killed one would: its store
                // is temporary, or its owner stopped it first.
                .dropped_with(Signal::Kill),
        )?;
        let port = self.port;
        let answers = until(START_LIMIT, || async {
            !process.is_running() || says_jetstream(port).await
        })
        .await;
        if !process.is_running() || !answers {
            bail!(
                "nats-server did not start on port {port}; its log ends:\n{}",
                process.log_tail()
            );
        }
        self.process = Some(process);
        Ok(())
    }

    /// One request and its answer, as an operator's tool would send it: for what no part of the
    /// mesh asks of a server.
    ///
    /// # Errors
    /// When no answer comes within 10 s.
    pub async fn request(&self, subject: &str, payload: &str) -> Result<String> {
        let answer = tokio::time::timeout(REQUEST_LIMIT, request(self.port, subject, payload));
        answer.await.with_context(|| format!("no answer from {subject}"))?
    }

    /// A single server acknowledges before it syncs; with the default interval of two minutes a
    /// power failure takes as much. `always` would cost 98 % of the throughput.
    fn config(&self) -> Result<String> {
        let quoted = |path: &Path| serde_json::to_string(path).context("a path isn't UTF-8");
        let limit = self
            .max_file_store
            .map_or_else(String::new, |bytes| format!(", max_file_store: {bytes}"));
        Ok(format!(
            "listen: \"127.0.0.1:{port}\"\n\
             pid_file: {pid}\n\
             jetstream {{ store_dir: {store}, sync_interval: \"1s\"{limit} }}\n",
            port = self.port,
            pid = quoted(&self.dir.join("nats.pid"))?,
            store = quoted(&self.dir.join("store"))?,
        ))
    }

    /// Two servers on one store would destroy it.
    async fn await_former(&self) -> Result<()> {
        let pid_file = self.dir.join("nats.pid");
        let Ok(text) = std::fs::read_to_string(&pid_file) else {
            return Ok(());
        };
        let pid = text.trim().to_owned();
        let config = self.dir.join("nats.conf");
        let runs = || crate::process::command_line_has(&pid, config.as_os_str());
        if until(FORMER_LIMIT, || async { !runs() }).await {
            return Ok(());
        }
        bail!("another nats-server (pid {pid}) uses {}", self.dir.display());
    }
}

async fn request(port: u16, subject: &str, payload: &str) -> Result<String> {
    let mut stream = BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?);
    let length = payload.len();
    let question = format!(
        "CONNECT {{\"verbose\":false}}\r\nSUB _INBOX.testkit 1\r\nPUB {subject} _INBOX.testkit {length}\r\n{payload}\r\n"
    );
    stream.write_all(question.as_bytes()).await?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            bail!("nats-server closed the connection");
        }
        if line.starts_with("-ERR") {
            bail!("nats-server: {}", line.trim_end());
        }
        if line.starts_with("MSG ") {
            let size = line.split_whitespace().next_back().context("no size")?;
            let mut answer = vec![0; size.parse().context("a size that is no number")?];
            stream.read_exact(&mut answer).await?;
            return String::from_utf8(answer).context("an answer that is not UTF-8");
        }
    }
}

/// Whether a nats-server with JetStream greets on this port. It listens only after its streams are
/// recovered.
async fn says_jetstream(port: u16) -> bool {
    let greeting = async {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await.ok()?;
        Some(line)
    };
    let greeting = tokio::time::timeout(Duration::from_secs(2), greeting).await;
    greeting
        .ok()
        .flatten()
        .is_some_and(|line| line.starts_with("INFO ") && line.contains("\"jetstream\":true"))
}
