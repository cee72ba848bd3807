//! One load run, step by step, so that a test can kill something in between.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tgmesh_proto::codec;
use tgmesh_proto::subject::DETECTIONS;
use tgmesh_stream::{NatsConfig, window};
use tgmesh_testkit::Scratch;
use tgmesh_testkit::process::Process;

use super::clients::Clients;
use super::ledger::{Ledger, Row, Stored};
use super::report::Report;
use super::usage::Usage;
use crate::mesh::{LoadOrder, Mesh, Options, Part, Simulator, Telegram};
use crate::token::Claims;

const TOKEN_TTL: Duration = Duration::from_hours(24);
/// Between two looks at how far everything is.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A listener that takes nothing for so long will not.
const STUCK: Duration = Duration::from_mins(1);
/// After everything has arrived: time for what should not, a second copy.
const SETTLE: Duration = Duration::from_millis(1500);

/// What to send.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Messages a second; as fast as it goes when absent.
    pub rate: Option<f64>,
    /// How many messages, each with one address.
    pub messages: u64,
    /// In how many chats.
    pub chats: u32,
    /// WebSocket clients, each of which gets everything.
    pub ws_clients: usize,
    /// Variables for every service.
    pub env: Vec<(String, String)>,
}

impl Plan {
    /// For people.
    #[must_use]
    pub fn describe(&self) -> String {
        let pace = self
            .rate
            .map_or_else(|| "as fast as it goes".to_owned(), |rate| format!("{rate} a second"));
        format!("{} messages in {} chats, {pace}", self.messages, self.chats)
    }
}

/// A run under way.
pub struct Drive {
    plan: Plan,
    mesh: Mesh,
    simulator: Simulator,
    clients: Clients,
    usage: Usage,
    _scratch: Scratch,
}

impl Drive {
    /// Starts a mesh in a temporary folder, and the clients.
    ///
    /// # Errors
    /// When a part does not get ready.
    pub async fn start(plan: &Plan) -> Result<Self> {
        let scratch = Scratch::new()?;
        let mesh = Mesh::start(Options {
            dir: scratch.path().join("state"),
            telegram: Telegram::Simulated {
                seed: 1,
                chats: plan.chats,
                rate: 0.0,
            },
            nats: None,
            database: None,
            gateway: ([127, 0, 0, 1], 0).into(),
            env: plan.env.clone(),
        })
        .await?;
        let simulator = mesh.simulator().context("a simulated mesh has a simulator")?;
        let token = mesh.signer()?.sign(&Claims::operator("load"), TOKEN_TTL)?;
        let clients = Clients::start(&mesh.url(), &token, plan.ws_clients, scratch.path()).await?;
        let usage = Usage::new(&mesh, clients.pid());
        Ok(Self {
            plan: plan.clone(),
            mesh,
            simulator,
            clients,
            usage,
            _scratch: scratch,
        })
    }

    /// The mesh under load.
    pub fn mesh(&mut self) -> &mut Mesh {
        &mut self.mesh
    }

    /// The process of the clients.
    pub fn clients(&mut self) -> &mut Clients {
        &mut self.clients
    }

    /// Orders the simulator to post, and returns at once.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn send(&mut self) -> Result<()> {
        self.usage.look(&self.mesh);
        self.simulator
            .load(&LoadOrder {
                messages: Some(self.plan.messages),
                rate: self.plan.rate,
                chats: Some(self.plan.chats),
                address_share: 1.0,
                seed: 1,
            })
            .await
    }

    /// Waits until the simulator has sent at least so many messages.
    ///
    /// # Errors
    /// When it does not answer, or the listener has taken nothing for a minute.
    pub async fn sent(&mut self, messages: u64) -> Result<()> {
        let mut last = 0;
        let mut moved = Instant::now();
        loop {
            let sent = self.simulator.load_state().await?.sent;
            if sent >= messages.min(self.plan.messages) {
                return Ok(());
            }
            if sent > last {
                (last, moved) = (sent, Instant::now());
            }
            if moved.elapsed() > STUCK {
                let log = self
                    .mesh
                    .process(Part::Listener)
                    .map(Process::log_tail)
                    .unwrap_or_default();
                bail!("the listener takes nothing after {sent} messages; its log ends:\n{log}");
            }
            self.usage.look(&self.mesh);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until everything that was posted is a row and a frame at each client, or until nothing
    /// has moved for as long as `patience`.
    ///
    /// # Errors
    /// When the simulator or Postgres does not answer, or the clients' process ended.
    pub async fn drained(&mut self, patience: Duration) -> Result<()> {
        let mut last = (0, 0, 0);
        let mut moved = Instant::now();
        let mut expected = None;
        loop {
            self.usage.look(&self.mesh);
            let state = self.simulator.load_state().await?;
            let progress = self.clients.progress()?;
            // Counting rows costs Postgres something: not while it is measured.
            let mut rows = 0;
            if state.state == "done" {
                if expected.is_none() {
                    expected = Some(
                        self.simulator
                            .posted()
                            .await?
                            .iter()
                            .map(|post| post.addresses.len() as u64)
                            .sum(),
                    );
                }
                // It may be away right now: then there is no progress.
                rows = self
                    .mesh
                    .query("SELECT count(*) FROM detections")
                    .await
                    .map_or(0, |count| count.parse().unwrap_or(0));
            }
            if let Some(expected) = expected
                && rows >= expected
                && (self.plan.ws_clients == 0 || progress.least >= expected)
            {
                break;
            }
            let now = (state.sent, progress.total, rows);
            if now != last {
                (last, moved) = (now, Instant::now());
            }
            if moved.elapsed() > patience {
                tracing::warn!(
                    sent = now.0,
                    frames = now.1,
                    rows = now.2,
                    ?expected,
                    "nothing moves any more"
                );
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        tokio::time::sleep(SETTLE).await;
        self.usage.look(&self.mesh);
        Ok(())
    }

    /// Ends the clients and the mesh, and compares what was sent with what arrived.
    ///
    /// # Errors
    /// When one of the records cannot be read.
    pub async fn finish(self) -> Result<Report> {
        let usage = self.usage.finish();
        let arrivals = self.clients.finish().await?;
        let ledger = Ledger {
            posted: self.simulator.posted().await?,
            stored: stored(&self.mesh).await?,
            rows: rows(&self.mesh).await?,
            arrivals,
        };
        self.mesh.stop().await;
        Ok(Report::of(&self.plan, &ledger, usage))
    }
}

/// Everything the stream holds.
async fn stored(mesh: &Mesh) -> Result<Vec<Stored>> {
    let config = NatsConfig::new(&mesh.nats_url()).map_err(anyhow::Error::msg)?;
    let nats = tgmesh_stream::Mesh::connect(&config, "tgmesh-load").await?;
    let mut window = window::read(&nats, DETECTIONS, 1, None, &[])
        .await
        .context("couldn't read DETECTIONS")?;
    let mut all = Vec::new();
    while let Some(delivery) = window.next().await.context("couldn't read DETECTIONS")? {
        let event = codec::decode(&delivery.payload).with_context(|| format!("message {}", delivery.seq))?;
        all.push(Stored {
            seq: delivery.seq,
            key: (event.chat.id, event.message.id, event.address),
            times: event.times,
            at_us: delivery.published_us.cast_signed(),
        });
    }
    Ok(all)
}

/// Every row, with the time of its commit as Postgres recorded it.
async fn rows(mesh: &Mesh) -> Result<Vec<Row>> {
    let sql = "SELECT chat_id, message_id, address, \
               (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint FROM detections";
    let text = mesh.query(sql).await?;
    text.lines()
        .map(|line| {
            let mut fields = line.split('|');
            let mut next = || fields.next().with_context(|| format!("a row without a field: {line}"));
            let key = (next()?.parse()?, next()?.parse()?, next()?.to_owned());
            match next()?.parse() {
                Ok(committed_us) => Ok(Row { key, committed_us }),
                Err(_) => bail!("a row without a time of commit: {line}"),
            }
        })
        .collect()
}
