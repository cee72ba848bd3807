//! The WebSocket clients of a run, in a process of their own, so that their work is not the
//! gateway's nor the report's.
//!
//! The parent starts this very program with a hidden command and talks to it over pipes: the token
//! in the first line of standard input, `finish` in the second; a line of JSON on standard output
//! now and then. Standard input that closes ends it.

mod client;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;

use super::ledger::Arrivals;
use crate::cli::Outcome;
use client::{Client, Place};

const READY_LIMIT: Duration = Duration::from_mins(1);
const TELL_EVERY: Duration = Duration::from_millis(100);

/// What the hidden command takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Base address of the gateway
    #[arg(long)]
    url: String,
    /// How many clients
    #[arg(long)]
    clients: usize,
    /// File for what they received
    #[arg(long)]
    arrivals: PathBuf,
}

/// How far the clients are.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Clients with a subscription at this moment.
    pub subscribed: usize,
    /// Frames of the client that has fewest.
    pub least: u64,
    /// Frames of all.
    pub total: u64,
    /// Connections made after the first of each.
    pub reconnects: u64,
    /// Gap frames, and resumes that the gateway could not make whole.
    pub gaps: u64,
}

/// The parent's side.
pub struct Clients {
    child: Child,
    stdin: ChildStdin,
    progress: watch::Receiver<Progress>,
    arrivals: PathBuf,
}

impl Clients {
    pub(super) async fn start(url: &str, token: &str, clients: usize, dir: &Path) -> Result<Self> {
        let program = tgmesh_testkit::find_binary("tgmesh")?;
        let arrivals = dir.join("arrivals");
        let mut child = Command::new(program)
            .arg("load-clients")
            .args(["--url", url, "--clients", &clients.to_string()])
            .arg("--arrivals")
            .arg(&arrivals)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("couldn't start the clients")?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the clients' process has no pipes");
        };
        stdin
            .write_all(format!("{token}\n").as_bytes())
            .await
            .context("couldn't tell the clients their token")?;
        let (sender, mut progress) = watch::channel(Progress::default());
        tokio::spawn(follow(BufReader::new(stdout).lines(), sender));
        tokio::time::timeout(READY_LIMIT, progress.wait_for(|now| now.subscribed == clients))
            .await
            .context("the clients did not all connect")?
            .context("the clients' process ended")?;
        Ok(Self {
            child,
            stdin,
            progress,
            arrivals,
        })
    }

    /// How far they are.
    ///
    /// # Errors
    /// When their process has ended.
    pub fn progress(&self) -> Result<Progress> {
        if self.progress.has_changed().is_err() {
            bail!("the clients' process ended");
        }
        Ok(*self.progress.borrow())
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Ends them and gives what each received.
    pub(super) async fn finish(mut self) -> Result<Vec<Arrivals>> {
        self.stdin
            .write_all(b"finish\n")
            .await
            .context("couldn't end the clients")?;
        let status = self.child.wait().await.context("couldn't wait for the clients")?;
        if !status.success() {
            bail!("the clients' process ended: {status}");
        }
        let bytes = std::fs::read(&self.arrivals).context("couldn't read what the clients received")?;
        Ok(decode(&bytes))
    }
}

async fn follow(mut lines: Lines<BufReader<ChildStdout>>, progress: watch::Sender<Progress>) {
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(now) = serde_json::from_str(&line) {
            progress.send_replace(now);
        }
    }
}

/// The child's side.
pub(crate) async fn run(args: Args) -> Outcome {
    let mut stdin = BufReader::new(tokio::io::stdin()).lines();
    let token = stdin.next_line().await?.unwrap_or_default();
    let place = Arc::new(Place::new(&args.url, &token)?);
    let clients: Vec<Arc<Client>> = (0..args.clients).map(|_| Arc::default()).collect();
    let running: Vec<_> = clients
        .iter()
        .map(|client| tokio::spawn(Arc::clone(client).run(Arc::clone(&place))))
        .collect();
    let finish = async {
        // Both a line and the end of the pipe end it.
        let _ = stdin.next_line().await;
    };
    tokio::select! {
        () = finish => {}
        result = tell(&clients) => result?,
    }
    for task in running {
        task.abort();
    }
    let mut file = std::io::BufWriter::new(std::fs::File::create(&args.arrivals)?);
    for client in &clients {
        client.write(&mut file)?;
    }
    file.flush()?;
    Ok(ExitCode::SUCCESS)
}

async fn tell(clients: &[Arc<Client>]) -> Result<()> {
    let mut every = tokio::time::interval(TELL_EVERY);
    loop {
        every.tick().await;
        let mut progress = Progress {
            least: u64::MAX,
            ..Progress::default()
        };
        for client in clients {
            client.add_to(&mut progress);
        }
        if clients.is_empty() {
            progress.least = 0;
        }
        println!("{}", serde_json::to_string(&progress)?);
    }
}

/// For each client a count, then sequence and time, all of 8 bytes, little-endian.
fn decode(bytes: &[u8]) -> Vec<Arrivals> {
    let mut numbers = bytes.chunks_exact(8).map(|chunk| {
        let mut number = [0; 8];
        number.copy_from_slice(chunk);
        u64::from_le_bytes(number)
    });
    let mut all = Vec::new();
    while let Some(count) = numbers.next() {
        let mut arrivals = Vec::new();
        for _ in 0..count {
            let (Some(seq), Some(at_us)) = (numbers.next(), numbers.next()) else {
                return all;
            };
            arrivals.push((seq, at_us.cast_signed()));
        }
        all.push(arrivals);
    }
    all
}
