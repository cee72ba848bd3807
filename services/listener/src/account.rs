//! One account: its session, its connections one after the other, its way out.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tgmesh_detect::Detector;
use tgmesh_detect::rules::Scratch;
use tgmesh_lifecycle::Process;
use tgmesh_stream::Mesh;
use tgmesh_stream::publish::Publisher;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::chats::{Hints, Seeker, Turns};
use crate::checkpoint;
use crate::connection::{self, Connection};
use crate::edits::Edits;
use crate::event::Origin;
use crate::ledger::{Bookkeeper, LedgerError, Ledgers, Named};
use crate::matches::Matches;
use crate::peers::Peers;
use crate::pump::{Context, End, Pump};
use crate::queue::{self, Budgets};
use crate::roster::Roster;
use crate::rules;
use crate::seen;
use crate::session::{Keeper, KeeperError, Keyring, Saved, Store};
use crate::stats::Stats;
use crate::watch::{Wanted, Watch};
use crate::worker::Worker;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A connection that lived as long begins with a short pause again.
const HEALTHY: Duration = Duration::from_secs(30);
/// At the end: for the acks of what is under way, and for the last writing of the session. Both
/// fit into the time of grace.
const SETTLE: Duration = Duration::from_secs(4);
const FLUSH: Duration = Duration::from_secs(2);

/// What all accounts of a process share.
#[derive(Clone)]
pub struct Shared {
    /// The process.
    pub process: Process,
    /// The broker.
    pub mesh: Mesh,
    /// Application id.
    pub api_id: i32,
    /// `host:port` that stands for every data centre.
    pub dc: Option<String>,
    /// Which chats are watched.
    pub wanted: Wanted,
    /// Where sessions are kept.
    pub store: Store,
    /// The keys to them.
    pub keyring: Arc<Keyring>,
    /// Finds addresses.
    pub detector: Arc<Detector>,
    /// What messages held before.
    pub edits: Arc<Mutex<Edits>>,
    /// What was told of messages besides addresses.
    pub matches: Arc<Mutex<Matches>>,
    /// The watch rules.
    pub rules: rules::Current,
    /// Where addresses were seen before.
    pub seen: Arc<seen::Memory>,
    /// The way to the stream.
    pub publisher: Publisher,
    /// Bytes in each queue.
    pub budgets: Budgets,
    /// The ledger of each account.
    pub ledgers: Ledgers,
    /// Whose turn it is to join a chat.
    pub turns: Turns,
    /// How each account does.
    pub roster: Roster,
    /// Figures.
    pub stats: Stats,
}

/// Listens with one account until the process stops or the account is dead.
pub async fn run(shared: Shared, name: Arc<str>, account_no: u32) {
    let soft = shared.process.shutdown.soft();
    let saved = tokio::select! {
        () = soft.cancelled() => return,
        saved = load(&shared, &name) => saved,
    };
    let Some(Saved { session, mut keeper }) = saved else {
        return;
    };
    let stop = soft.child_token();
    let bookkeeper = tokio::select! {
        () = soft.cancelled() => return,
        bookkeeper = load_ledger(&shared, &name) => bookkeeper,
    };
    let Some(mut bookkeeper) = bookkeeper else {
        return;
    };
    let ledger = bookkeeper.ledger();
    shared.ledgers.add(Named {
        account: Arc::clone(&name),
        account_no,
        ledger: Arc::clone(&ledger),
    });
    let watch = Arc::new(Watch::new(&shared.wanted));
    let hints = Arc::new(Hints::default());
    // Before the pump: what it does not watch, it forgets the place of.
    let mut seeker = Seeker::restore(&shared, &name, &session, &watch, &hints);
    let peers = Arc::new(Peers::restore(&session.channels(), &watch));
    let (checkpoint, settler) = checkpoint::checkpoint(Arc::clone(&session), Arc::clone(&ledger), shared.stats.clone());
    let (sender, receiver) = queue::queue(&shared.budgets.add());
    let worker = Worker {
        origin: Origin {
            instance: Arc::clone(&shared.process.instance),
            account: Arc::clone(&name),
        },
        account_no,
        detector: Arc::clone(&shared.detector),
        edits: Arc::clone(&shared.edits),
        matches: Arc::clone(&shared.matches),
        rules: shared.rules.clone(),
        scratch: Scratch::default(),
        seen: Arc::clone(&shared.seen),
        peers: Arc::clone(&peers),
        publisher: shared.publisher.clone(),
        checkpoint,
        stats: shared.stats.clone(),
    };
    let worker = tokio::spawn(worker.run(receiver, stop.clone()));
    let settler = tokio::spawn(settler.run());
    let mut pump = Pump::new(
        Context {
            account: Arc::clone(&name),
            session: Arc::clone(&session),
            watch,
            peers,
            ledger,
            stats: shared.stats.clone(),
            hints,
        },
        sender,
    );
    tokio::select! {
        () = connections(&shared, &name, &session, (&mut pump, &mut seeker), &stop) => {}
        stored = keeper.run(&stop) => if let Err(error) = stored {
            tracing::error!(account = %name, %error, "the account is stopped: two owners of one session kill it");
            shared.roster.stopped(&name, "its session is written by somebody else");
        },
        stored = bookkeeper.run(&stop) => if let Err(error) = stored {
            tracing::error!(account = %name, %error, "the account is stopped: two owners of one account would undo each other's work");
            shared.roster.stopped(&name, "its ledger is written by somebody else");
        },
        ended = failed(worker, &stop) => {
            // It cannot end before the pump; its panic is the process's.
            tracing::error!(account = %name, ended, "the account is stopped");
            shared.roster.stopped(&name, "its worker failed");
            shared.process.shutdown.trigger();
        }
    }
    // Whatever ended it: nothing more is taken, what is under way is settled and written down.
    stop.cancel();
    drop(pump);
    if timeout(SETTLE, settler).await.is_err() {
        tracing::warn!(account = %name, "events under way were not confirmed in time: they are fetched again at the next start");
    }
    match timeout(FLUSH, bookkeeper.flush()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(account = %name, %error, "couldn't store the ledger at the end"),
        Err(_) => tracing::warn!(account = %name, "couldn't store the ledger in time"),
    }
    match timeout(FLUSH, keeper.flush()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(account = %name, %error, "couldn't store the session at the end"),
        Err(_) => tracing::warn!(account = %name, "couldn't store the session in time"),
    }
}

/// Waits for the worker to fail. A clean end, which follows `stop`, never returns.
async fn failed(worker: tokio::task::JoinHandle<()>, stop: &CancellationToken) -> String {
    match worker.await {
        Err(error) => error.to_string(),
        Ok(()) if stop.is_cancelled() => std::future::pending().await,
        Ok(()) => "the worker ended".to_owned(),
    }
}

/// Loads the session; waits for the store, and for a session to be there.
async fn load(shared: &Shared, name: &Arc<str>) -> Option<Saved> {
    let mut pause = FIRST_PAUSE;
    loop {
        let loaded = Keeper::load(shared.store.clone(), Arc::clone(&shared.keyring), Arc::clone(name)).await;
        match loaded {
            Ok(Some(saved)) if saved.session.user_id() != 0 => return Some(saved),
            Ok(_) => {
                shared.roster.down(name, "has no session");
                tracing::warn!(account = %name, retry_s = pause.as_secs(), "the account has no session: sign it in with tgmesh login");
            }
            Err(KeeperError::Store(error)) => {
                shared.roster.down(name, "its session cannot be loaded");
                tracing::warn!(account = %name, %error, retry_s = pause.as_secs(), "couldn't load the session");
            }
            Err(error) => {
                tracing::error!(account = %name, %error, "the account is stopped");
                shared.roster.unusable(name, &error.to_string());
                return None;
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Loads the ledger; waits for its bucket.
async fn load_ledger(shared: &Shared, name: &Arc<str>) -> Option<Bookkeeper> {
    let mut pause = FIRST_PAUSE;
    loop {
        let (account, instance) = (Arc::clone(name), Arc::clone(&shared.process.instance));
        match Bookkeeper::load(&shared.mesh, account, instance, shared.stats.clone()).await {
            Ok(bookkeeper) => return Some(bookkeeper),
            Err(LedgerError::Store(error)) => {
                shared.roster.down(name, "its ledger cannot be loaded");
                tracing::warn!(account = %name, %error, retry_s = pause.as_secs(), "couldn't load the ledger");
            }
            Err(error) => {
                tracing::error!(account = %name, %error, "the account is stopped");
                shared.roster.unusable(name, &error.to_string());
                return None;
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Opens one connection after the other.
async fn connections(
    shared: &Shared,
    name: &Arc<str>,
    session: &Arc<crate::session::MemorySession>,
    (pump, seeker): (&mut Pump, &mut Seeker),
    stop: &CancellationToken,
) {
    let mut pause = FIRST_PAUSE;
    while !stop.is_cancelled() {
        let began = Instant::now();
        let end = match connection::pin(shared.dc.as_deref(), session).await {
            Ok(()) => {
                let mut connection = Connection::new(Arc::clone(session), shared.api_id);
                let calls = connection.calls();
                tokio::select! {
                    end = pump.live(&mut connection, stop, || shared.roster.up(name)) => end,
                    never = seeker.seek(&calls) => match never {},
                }
            }
            Err(error) => End::Lost(format!("{error:#}")),
        };
        let end = if session.key_was_rejected() {
            End::Dead("the server does not know its key".to_owned())
        } else {
            end
        };
        match end {
            End::Stopped => return,
            End::Dead(why) => {
                tracing::error!(account = %name, why, "the account is stopped: Telegram ended its session; sign it in again");
                shared.roster.stopped(name, &why);
                shared.turns.leave(name);
                // Its place is still written down when acks come.
                stop.cancelled().await;
                return;
            }
            End::Lost(why) => {
                if began.elapsed() > HEALTHY {
                    pause = FIRST_PAUSE;
                }
                shared.stats.reconnects.inc();
                shared.roster.down(name, &why);
                // Not all accounts at the same moment.
                let wait = pause.mul_f64(rand::random_range(0.5..1.0));
                tracing::warn!(account = %name, why, retry_ms = wait.as_millis() as u64, "the connection to Telegram is lost");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = sleep(wait) => {}
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}
