//! The simulator as a whole: starts it, and offers its world to tests in the same process.

mod keys;
mod logins;
mod shared;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::control;
use crate::faults::armed::Faults;
use crate::load::{Load, LoadError, LoadReport, LoadSpec};
use crate::mtproto::connection;
use crate::mtproto::duplicate::KeyUse;
use crate::mtproto::outbox::Outbox;
use crate::posted::{Page, PostedLog};
use crate::rpc::DC_ID;
use crate::scenario;
use crate::world::peer::ChatKind;
use crate::world::{Change, Draft, HistoryRequest, Ids, Size, World, WorldError};

pub(crate) use keys::Key;
pub use keys::{KeyInfo, OtherKey};
pub use logins::{Code, LoginError, Person};
pub(crate) use shared::Shared;

/// What to play.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect; port 0 = a free one.
    pub listen: SocketAddr,
    /// The control port; port 0 = a free one.
    pub control: SocketAddr,
    /// The same seed gives the same keys, ids, titles and people.
    pub seed: u64,
    /// Accounts, at least 1.
    pub accounts: usize,
    /// Chats that accounts are in, at least 1; two more exist that none has joined.
    pub chats: usize,
    /// Events per second of the scenario player; 0 = silence.
    pub rate: f64,
    /// Messages and events kept per channel, and per account for its groups and private chats.
    pub history: usize,
    /// Lines kept in the posted log.
    pub posted: usize,
}

impl Default for Config {
    fn default() -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen: free,
            control: free,
            seed: 1,
            accounts: 1,
            chats: 10,
            rate: 0.0,
            history: 50_000,
            posted: 2_000_000,
        }
    }
}

/// An account as `GET /accounts` shows it: what a session has to be seeded with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountInfo {
    /// `sim-1`, `sim-2`, …
    pub name: String,
    /// Its user.
    pub user_id: i64,
    /// Its phone number, digits only.
    pub phone: String,
    /// Number of the data centre.
    pub dc_id: i32,
    /// Address of the data centre, `host:port`.
    pub address: String,
    /// 256 bytes, in 512 hex digits.
    pub auth_key: String,
}

/// A chat as `GET /chats` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChatInfo {
    /// Bot-API id.
    pub id: i64,
    /// What kind it is.
    pub kind: ChatKind,
    /// Its title; of a private chat, the person's first name.
    pub title: String,
    /// Its public name.
    pub username: Option<String>,
    /// The hash of its invite link.
    pub invite: Option<String>,
    /// Names of the accounts in it.
    pub accounts: Vec<String>,
    /// Ids of the people who write in it.
    pub people: Vec<i64>,
}

/// The world of a running simulator. Clones share it.
#[derive(Clone)]
pub struct Sim {
    pub(crate) shared: Arc<Shared>,
    load: Arc<Load>,
    rate: Arc<watch::Sender<f64>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Sim {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    pub(crate) fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// The accounts, in order.
    #[must_use]
    pub fn accounts(&self) -> Vec<AccountInfo> {
        let world = self.shared.world();
        world
            .accounts
            .iter()
            .enumerate()
            .filter_map(|(no, account)| Some((account, self.shared.seeded_key(no)?)))
            .map(|(account, key)| AccountInfo {
                name: account.name.clone(),
                user_id: account.user.id,
                phone: account.user.phone.clone().unwrap_or_default(),
                dc_id: DC_ID,
                address: self.shared.address().to_string(),
                auth_key: hex(key.auth.bytes()),
            })
            .collect()
    }

    /// The chats, in the order they were made; those that no account has joined come last.
    #[must_use]
    pub fn chats(&self) -> Vec<ChatInfo> {
        let world = self.shared.world();
        world
            .order
            .iter()
            .filter_map(|id| world.chats.get(id))
            .map(|chat| ChatInfo {
                id: chat.peer.id,
                kind: chat.peer.kind,
                title: chat.peer.title.clone(),
                username: chat.peer.username.clone(),
                invite: chat.peer.invite.clone(),
                accounts: chat
                    .members
                    .iter()
                    .map(|member| world.accounts[*member].name.clone())
                    .collect(),
                people: chat.people.clone(),
            })
            .collect()
    }

    /// Posts a message.
    ///
    /// # Errors
    /// [`WorldError`]
    pub fn post(&self, draft: Draft) -> Result<Change, WorldError> {
        self.shared.world().post(draft, clock::now_us(), false)
    }

    /// Posts a message as of an earlier day, seconds since the epoch. Its number is the next one,
    /// as for any other: a past is to be posted before its present.
    ///
    /// # Errors
    /// [`WorldError`]
    pub fn post_dated(&self, draft: Draft, date_s: u32) -> Result<Change, WorldError> {
        self.shared.world().post(draft, u64::from(date_s) * 1_000_000, false)
    }

    /// Requests for a chat's history that were answered, in the order in which they came; the
    /// last thousands of them.
    #[must_use]
    pub fn history_requests(&self) -> Vec<HistoryRequest> {
        self.shared.world().reads.all()
    }

    /// Replaces a message's text, entities, buttons and addresses; author, answer and origin
    /// stay.
    ///
    /// # Errors
    /// [`WorldError`]
    pub fn edit(&self, message_id: i32, draft: Draft) -> Result<Change, WorldError> {
        self.shared.world().edit(message_id, draft, clock::now_us())
    }

    /// Deletes messages; gives a change for each that was there.
    ///
    /// # Errors
    /// [`WorldError::NoMessage`] when none was there, [`WorldError::NoChat`].
    pub fn delete(&self, chat_id: i64, message_ids: &[i32]) -> Result<Vec<Change>, WorldError> {
        self.shared.world().delete(chat_id, message_ids, clock::now_us())
    }

    /// Lines of the posted log after number `after`, at most `limit`.
    #[must_use]
    pub fn posted(&self, after: u64, limit: usize) -> Page {
        self.shared.posted().read(after, limit)
    }

    /// What became of every message number of a chat; in basic groups and private chats of those
    /// of the account, or of the first one in the chat, as in the posted log.
    ///
    /// # Errors
    /// [`WorldError::NoChat`], also when the chat has no such account.
    pub fn ids(&self, chat_id: i64, account: Option<&str>) -> Result<Ids, WorldError> {
        let world = self.shared.world();
        let account = match account {
            None => None,
            Some(name) => {
                let no = world.accounts.iter().position(|account| account.name == name);
                Some(no.ok_or(WorldError::NoChat)?)
            }
        };
        world.ids(chat_id, account)
    }

    /// Events per second of the scenario player.
    #[must_use]
    pub fn scenario_rate(&self) -> f64 {
        *self.rate.borrow()
    }

    /// Sets the scenario player's rate, in events per second; 0, or what is no rate, stops it.
    pub fn set_scenario_rate(&self, rate: f64) {
        let rate = if rate.is_finite() { rate.clamp(0.0, 1e5) } else { 0.0 };
        self.rate.send_replace(rate);
    }

    /// Begins a load run.
    ///
    /// # Errors
    /// [`LoadError`]
    pub fn start_load(&self, spec: LoadSpec) -> Result<(), LoadError> {
        let run = self.load.begin(&self.shared, spec, self.stop.clone())?;
        self.tasks.spawn(run);
        Ok(())
    }

    /// Ends the load run early.
    pub fn stop_load(&self) {
        self.load.stop();
    }

    /// How far the load run is.
    #[must_use]
    pub fn load(&self) -> LoadReport {
        self.load.report(&self.shared)
    }

    /// Connections that take updates now.
    #[must_use]
    pub fn connections(&self) -> usize {
        let world = self.shared.world();
        world.accounts.iter().map(|a| a.outboxes.len()).sum()
    }

    /// The connections that used the key that an account was seeded with, in the order of their first packets; none for
    /// an account that does not exist. A key of which two connections send at once is what
    /// Telegram ends.
    #[must_use]
    pub fn key_uses(&self, account: &str) -> Vec<KeyUse> {
        let no = {
            let world = self.shared.world();
            world.accounts.iter().position(|known| known.name == account)
        };
        let key = no.and_then(|no| self.shared.seeded_key(no));
        key.map(|key| key.log()).unwrap_or_default()
    }

    /// Closes every connection that takes updates; clients may come back at once.
    pub fn close_connections(&self) {
        self.each_connection(None, Outbox::close);
    }

    /// Sends `updatesTooLong` to every connection that takes updates.
    pub fn send_too_long(&self) {
        self.each_connection(None, Outbox::too_long);
    }
}

/// Why a simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("couldn't listen on {address}")]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Accounts or chats are none.
    #[error("a world needs at least one account and one chat")]
    Empty,
}

/// A simulator at work; it ends with [`Running::stop`], or when it is dropped.
pub struct Running {
    /// Where clients connect.
    pub mtproto_addr: SocketAddr,
    /// The control port.
    pub control_addr: SocketAddr,
    /// Its world.
    pub sim: Sim,
}

impl Running {
    /// Closes every connection and both ports, and waits for that.
    pub async fn stop(self) {
        self.sim.stop.cancel();
        self.sim.tasks.close();
        self.sim.tasks.wait().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.sim.stop.cancel();
    }
}

/// Starts a simulator in the current runtime.
///
/// # Errors
/// [`StartError`]
pub async fn start(config: Config) -> Result<Running, StartError> {
    if config.accounts == 0 || config.chats == 0 {
        return Err(StartError::Empty);
    }
    let (mtproto, mtproto_addr) = listen(config.listen).await?;
    let (control, control_addr) = listen(config.control).await?;
    let posted = Arc::new(PostedLog::new(config.posted));
    let size = Size {
        accounts: config.accounts,
        chats: config.chats,
        history: config.history,
    };
    let now_s = (clock::now_us() / 1_000_000) as i64;
    let faults = Arc::new(Faults::default());
    let world = World::new(config.seed, size, now_s, Arc::clone(&posted), Arc::clone(&faults));
    let shared = Arc::new(Shared::new(world, posted, faults, mtproto_addr));
    let (rate, rates) = watch::channel(0.0);
    let sim = Sim {
        shared: Arc::clone(&shared),
        load: Arc::default(),
        rate: Arc::new(rate),
        tasks: TaskTracker::new(),
        stop: CancellationToken::new(),
    };
    sim.set_scenario_rate(config.rate);
    sim.tasks.spawn(connection::serve(
        mtproto,
        Arc::clone(&shared),
        sim.tasks.clone(),
        sim.stop.clone(),
    ));
    sim.tasks
        .spawn(scenario::play(shared, config.seed, rates, sim.stop.clone()));
    sim.tasks.spawn(control::serve(control, sim.clone(), sim.stop.clone()));
    tracing::info!(%mtproto_addr, %control_addr, accounts = config.accounts, chats = config.chats, "the data centre listens");
    Ok(Running {
        mtproto_addr,
        control_addr,
        sim,
    })
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|source| StartError::Listen { address, source })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            // Writing to a String does not fail.
            let _ = write!(out, "{byte:02x}");
            out
        })
}
