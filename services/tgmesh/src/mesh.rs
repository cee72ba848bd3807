//! The whole mesh as child processes of this one: its servers, the simulated data centre, and
//! every service, each the very binary that runs in production.
//!
//! `tgmesh up`, `tgmesh load` and the tests run the mesh through this module. A part can be killed,
//! stopped and started again by name; what was started ends with the [`Mesh`] value, or with this
//! process, however that ends.

mod folder;
mod part;
mod places;
mod services;
mod simulator;
mod startup;
mod supervise;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use secrecy::SecretString;
use tgmesh_lifecycle::settings::Faults;
use tgmesh_testkit::process::Process;
use tgmesh_testkit::{free_port, nats, postgres, until};

pub(crate) use folder::{DATABASE_URL, encryption_key};
pub use folder::{Folder, JWT_SECRET};
pub use part::Part;
pub(crate) use places::{PLACES, Places};
pub use simulator::{LoadOrder, LoadState, Posted, Simulator};

use crate::token::Signer;

/// A service that is not ready within this time will not be.
const READY_LIMIT: Duration = Duration::from_mins(1);
/// Every binary promises to end within ten seconds of SIGTERM.
const STOP_GRACE: Duration = Duration::from_secs(12);
/// The database in the mesh's own Postgres.
const DATABASE: &str = "tgmesh";

/// Where in the state folder the sessions of real accounts are.
pub(crate) const SESSIONS: &str = "sessions";

/// What to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// The state folder; made when it is not there.
    pub dir: PathBuf,
    /// Where messages come from.
    pub telegram: Telegram,
    /// Servers to use instead of a nats-server of the mesh's own.
    pub nats: Option<String>,
    /// A database to use instead of the mesh's own Postgres.
    pub database: Option<SecretString>,
    /// Where the gateway should listen; the next free port when this one is taken.
    pub gateway: SocketAddr,
    /// Variables for every service, over those of this process.
    pub env: Vec<(String, String)>,
}

/// Where messages come from.
#[derive(Clone, Debug)]
pub enum Telegram {
    /// The simulator.
    Simulated {
        /// Of everything it invents.
        seed: u64,
        /// How many chats it has.
        chats: u32,
        /// Messages a second of believable chat, once the mesh is ready.
        rate: f64,
    },
    /// Telegram itself, with the sessions in `SESSION_STORE`.
    Real,
}

/// A running mesh. Dropping it ends every part at once; [`Mesh::stop`] does so in order.
pub struct Mesh {
    options: Options,
    gateway: SocketAddr,
    /// Admin ports, fixed so that a part comes back to its own.
    admin: BTreeMap<Part, u16>,
    mtproto: u16,
    control: u16,
    nats: Option<nats::Server>,
    postgres: Option<postgres::Server>,
    services: BTreeMap<Part, Process>,
    /// Parts that were ended on purpose: supervision leaves them alone.
    ended: Vec<Part>,
    http: reqwest::Client,
    /// Last: it is held until every part has ended.
    folder: Folder,
}

impl Mesh {
    /// Starts everything and waits until every part is ready.
    ///
    /// # Errors
    /// When the state folder is in use, a program is missing, or a part does not get ready; the
    /// message has the end of that part's log.
    pub async fn start(options: Options) -> Result<Self> {
        let folder = Folder::open(&options.dir)?;
        let gateway = startup::free_address(options.gateway)?;
        let mut mesh = Self {
            folder,
            gateway,
            admin: Part::SERVICES.into_iter().map(|part| (part, free_port())).collect(),
            mtproto: free_port(),
            control: free_port(),
            nats: None,
            postgres: None,
            services: BTreeMap::new(),
            ended: Vec::new(),
            // Only ever to loopback.
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(30))
                .build()
                .context("couldn't make an HTTP client")?,
            options,
        };
        mesh.start_servers().await?;
        mesh.tell_places()?;
        mesh.spawn_services()?;
        mesh.ready(&mesh.parts()).await?;
        mesh.play().await?;
        Ok(mesh)
    }

    /// `http://127.0.0.1:<port>`: the dashboard, the API and `/ws`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.gateway)
    }

    /// `nats://…`: its own server, or those given.
    #[must_use]
    pub fn nats_url(&self) -> String {
        let given = || self.options.nats.clone().unwrap_or_default();
        self.nats.as_ref().map_or_else(given, nats::Server::url)
    }

    /// The control port of its simulator, if it has one.
    #[must_use]
    pub fn simulator(&self) -> Option<Simulator> {
        matches!(self.options.telegram, Telegram::Simulated { .. })
            .then(|| Simulator::new(format!("http://127.0.0.1:{}", self.control), self.http.clone()))
    }

    /// Runs SQL in its own Postgres by psql, which shares no code with the mesh.
    ///
    /// # Errors
    /// What psql says, and when the mesh has no Postgres of its own.
    pub async fn query(&self, sql: &str) -> Result<String> {
        self.postgres
            .as_ref()
            .context("the mesh has no Postgres of its own")?
            .query(DATABASE, sql)
            .await
    }

    /// Signs tokens that its gateway accepts.
    ///
    /// # Errors
    /// When the operator gave the gateway keys whose private half is not here.
    pub fn signer(&self) -> Result<Signer> {
        let mut faults = Faults::default();
        let signer = Signer::from_environment(&self.folder.path(""), &mut faults);
        signer.with_context(|| faults.lines().collect::<Vec<_>>().join("; "))
    }

    /// Its state folder.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The parts that it runs itself, in the order of their start.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        let absent = |part: &Part| match part {
            Part::Nats => self.options.nats.is_some(),
            Part::Postgres => self.options.database.is_some(),
            Part::Simulator => matches!(self.options.telegram, Telegram::Real),
            Part::Listener | Part::Archiver | Part::Gateway => false,
        };
        Part::ALL.into_iter().filter(|part| !absent(part)).collect()
    }

    /// The process of a part, while it runs.
    #[must_use]
    pub fn process(&self, part: Part) -> Option<&Process> {
        match part {
            Part::Nats => self.nats.as_ref()?.process(),
            Part::Postgres => self.postgres.as_ref()?.process(),
            _ => self.services.get(&part).filter(|process| process.is_running()),
        }
    }

    /// SIGKILL, and waits for its end. (Postgres gets its immediate shutdown, which is how a crash
    /// looks to its data.)
    pub async fn kill(&mut self, part: Part) {
        self.ended.push(part);
        match part {
            Part::Nats => {
                if let Some(server) = &mut self.nats {
                    server.kill().await;
                }
            }
            Part::Postgres => {
                if let Some(server) = &mut self.postgres {
                    server.kill().await;
                }
            }
            _ => {
                if let Some(process) = self.services.remove(&part) {
                    process.kill();
                    process.ended().await;
                }
            }
        }
    }

    /// Stops a part in order (SIGTERM to a service) and tells how it ended, and after how long.
    pub async fn terminate(&mut self, part: Part) -> Option<(ExitStatus, Duration)> {
        self.ended.push(part);
        let start = std::time::Instant::now();
        match part {
            Part::Nats => self.nats.as_mut()?.stop().await,
            Part::Postgres => self.postgres.as_mut()?.stop().await,
            _ => {
                let status = self.services.remove(&part)?.stop(STOP_GRACE).await;
                return Some((status, start.elapsed()));
            }
        }
        None
    }

    /// Starts a part again, on its old ports and with its old state, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn start_again(&mut self, part: Part) -> Result<()> {
        self.launch_again(part).await?;
        self.ready(&[part]).await
    }

    /// As [`Mesh::start_again`], without waiting for a service to be ready: it may need a part that
    /// is away as well.
    async fn launch_again(&mut self, part: Part) -> Result<()> {
        self.ended.retain(|other| *other != part);
        match part {
            Part::Nats => self.nats.as_mut().context("not its own")?.start_again().await,
            Part::Postgres => self.postgres.as_mut().context("not its own")?.start_again().await,
            _ => {
                let process = self.spawn(part)?;
                self.services.insert(part, process);
                if part == Part::Simulator {
                    self.ready(&[part]).await?;
                    self.play().await?;
                }
                Ok(())
            }
        }
    }

    /// Stops everything in order: what takes work in first, what keeps it last.
    pub async fn stop(mut self) {
        for group in [
            &[Part::Listener][..],
            &[Part::Archiver, Part::Gateway],
            &[Part::Simulator],
        ] {
            let stopping: Vec<Process> = group.iter().filter_map(|part| self.services.remove(part)).collect();
            let ends = stopping.iter().map(|process| process.stop(STOP_GRACE));
            futures_util::future::join_all(ends).await;
        }
        let nats = async {
            if let Some(server) = &mut self.nats {
                server.stop().await;
            }
        };
        let postgres = async {
            if let Some(server) = &mut self.postgres {
                server.stop().await;
            }
        };
        tokio::join!(nats, postgres);
    }

    /// Waits until each of these parts says it is ready.
    ///
    /// # Errors
    /// When one has ended, or takes longer than a minute.
    pub async fn ready(&self, parts: &[Part]) -> Result<()> {
        for part in parts {
            // The servers were waited for when they were started.
            let (Some(process), Some(port)) = (self.services.get(part), self.admin.get(part)) else {
                continue;
            };
            let url = format!("http://127.0.0.1:{port}/readyz");
            let answer = || async {
                !process.is_running()
                    || self
                        .http
                        .get(&url)
                        .send()
                        .await
                        .is_ok_and(|answer| answer.status().is_success())
            };
            let answered = until(READY_LIMIT, answer).await;
            if let Some(status) = process.status() {
                bail!("the {part} ended ({status}); its log ends:\n{}", process.log_tail());
            }
            if !answered {
                let why = match self.http.get(&url).send().await {
                    Ok(answer) => answer.text().await.unwrap_or_default(),
                    Err(error) => error.to_string(),
                };
                bail!(
                    "the {part} isn't ready after {READY_LIMIT:?}: {why}; its log ends:\n{}",
                    process.log_tail()
                );
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Mesh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mesh")
            .field("url", &self.url())
            .field("parts", &self.parts())
            .finish_non_exhaustive()
    }
}

/// Whether a folder holds a sealed session.
pub(crate) fn holds_session(dir: &Path) -> bool {
    std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| entry.path().extension().is_some_and(|extension| extension == "session"))
}
