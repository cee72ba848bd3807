//! One account: its session, its connections one after the other, its way out.

mod lines;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tgmesh_detect::Detector;
use tgmesh_detect::rules::Scratch;
use tgmesh_lifecycle::Process;
use tgmesh_lifecycle::trace::late::Recent;
use tgmesh_stream::Mesh;
use tgmesh_stream::lease::{Ended, Lease, Tenure};
use tgmesh_stream::publish::Publisher;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::assignments::{Assigner, Assignments, Racing};
use crate::backfill::{self, Orders, Runner};
use crate::chats::{Hints, Seeker, Turns};
use crate::checkpoint;
use crate::edits::Edits;
use crate::event::Origin;
use crate::figures;
use crate::flood::Floods;
use crate::journey::Hop;
use crate::ledger::{Bookkeeper, LedgerError, Ledgers, Named, Predecessors};
use crate::matches::{self, Matches};
use crate::memory::Follower;
use crate::peers::Peers;
use crate::pump::{Context, Pump};
use crate::queue::{self, Budgets};
use crate::races::Races;
use crate::roster::Roster;
use crate::rules;
use crate::seen;
use crate::session::{Keeper, KeeperError, Keyring, Saved, Store};
use crate::slots::Slots;
use crate::stats::Stats;
use crate::stopped::Fingerprint;
use crate::watch::{Wanted, Watch};
use crate::worker::Worker;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
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
    /// What other processes tell.
    pub told: Follower,
    /// Who is first where several accounts watch a channel.
    pub races: Races,
    /// What was told of messages besides addresses.
    pub matches: Arc<Mutex<Matches>>,
    /// What other processes tell of that.
    pub told_matches: matches::Tail,
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
    /// Which account watches which channel.
    pub assignments: Assignments,
    /// Which of them several accounts watch at once.
    pub racing: Racing,
    /// Requests a minute and account that find out whether a channel has something new.
    pub polls_per_minute: u32,
    /// What other accounts know of a chat that is handed over.
    pub predecessors: Predecessors,
    /// What is to be fetched from the past.
    pub orders: Orders,
    /// How much of it may be on its way at once.
    pub pages: Arc<Semaphore>,
    /// Its figures.
    pub past: backfill::Figures,
    /// How each account does.
    pub roster: Roster,
    /// Hops of recent messages.
    pub hops: Arc<Recent<Hop>>,
    /// Figures.
    pub stats: Stats,
}

/// Why an account is no longer read by this process.
#[derive(Debug)]
pub enum Outcome {
    /// The process stops.
    Stopped,
    /// The lease is over: another process may have it.
    Lost(String),
    /// Telegram ended the session with this key.
    Dead(String, Fingerprint),
    /// Something that may pass.
    Failed(String),
    /// Its session cannot be opened with the keys that are there.
    Unusable(String),
}

/// Listens with one account for as long as its lease is held and the process lives. The lease is
/// given back when nothing of the account is at work any more.
pub async fn run(shared: &Shared, slots: &Slots, name: &Arc<str>, account_no: u32, lease: Lease) -> Outcome {
    let tenure = lease.tenure();
    // Kept to the end: what is under way is settled and written down under the lease.
    let released = CancellationToken::new();
    let keeping = tokio::spawn(keep(lease, released.clone()));
    let outcome = Box::pin(listen(shared, slots, name, account_no, &tenure)).await;
    shared.turns.leave(name, std::time::Instant::now());
    let held = tenure.holds();
    released.cancel();
    // It does not panic.
    let Ok((lease, ended)) = keeping.await else {
        return outcome;
    };
    if let Err(error) = lease.release().await {
        tracing::warn!(account = %name, %error, "couldn't give the lease back: it runs out");
    }
    match (outcome, ended) {
        (Outcome::Dead(why, key), _) => Outcome::Dead(why, key),
        (_, Ended::Lost(why)) => Outcome::Lost(why),
        (Outcome::Failed(why), _) if !held => Outcome::Lost(why),
        (outcome, _) => outcome,
    }
}

async fn keep(mut lease: Lease, released: CancellationToken) -> (Lease, Ended) {
    let ended = lease.keep(&released).await;
    (lease, ended)
}

async fn listen(shared: &Shared, slots: &Slots, name: &Arc<str>, account_no: u32, tenure: &Tenure) -> Outcome {
    let soft = shared.process.shutdown.soft();
    let over = || Outcome::Lost("it was not renewed in time".to_owned());
    let (saved, mut bookkeeper) = tokio::select! {
        () = soft.cancelled() => return Outcome::Stopped,
        () = tenure.over() => return over(),
        claimed = claim(shared, name, tenure) => match claimed {
            Ok(claimed) => claimed,
            Err(outcome) => return outcome,
        },
    };
    let Saved { session, mut keeper } = saved;
    let stop = soft.child_token();
    let ledger = bookkeeper.ledger();
    let _listed = shared.ledgers.add(Named {
        account: Arc::clone(name),
        account_no,
        ledger: Arc::clone(&ledger),
    });
    let assigner = Assigner::new(shared, slots, name, tenure, &ledger);
    let duties = assigner.duties();
    let _assigning = AbortOnDropHandle::new(tokio::spawn(assigner.run()));
    let watch = Arc::new(Watch::new(&shared.wanted));
    let hints = Arc::new(Hints::default());
    // Before the pump: what it does not watch, it forgets the place of.
    let mut seeker = Seeker::restore((shared, slots), name, &session, &watch, &hints);
    let peers = Arc::new(Peers::restore(&session.channels(), &watch));
    let (checkpoint, settler) = checkpoint::checkpoint(Arc::clone(&session), Arc::clone(&ledger), shared.stats.clone());
    let (sender, receiver) = queue::queue(&shared.budgets.add());
    let (pages, past) = mpsc::channel(1);
    let mut runner = Runner {
        account: Arc::clone(name),
        account_no,
        instance: Arc::clone(&shared.process.instance),
        epoch: tenure.epoch(),
        mesh: shared.mesh.clone(),
        orders: shared.orders.clone(),
        slots: slots.clone(),
        assignments: shared.assignments.clone(),
        session: Arc::clone(&session),
        peers: Arc::clone(&peers),
        watch: Arc::clone(&watch),
        duties: Arc::clone(&duties),
        worker: pages,
        pages: Arc::clone(&shared.pages),
        figures: shared.past.clone(),
        pace: backfill::Pace::new(),
        told: None,
        failures: 0,
    };
    let worker = Worker {
        origin: Origin {
            instance: Arc::clone(&shared.process.instance),
            account: Arc::clone(name),
            shard: account_no,
            lease_epoch: tenure.epoch(),
        },
        account_no,
        tenure: tenure.clone(),
        detector: Arc::clone(&shared.detector),
        edits: Arc::clone(&shared.edits),
        matches: Arc::clone(&shared.matches),
        rules: shared.rules.clone(),
        scratch: Scratch::default(),
        seen: Arc::clone(&shared.seen),
        races: shared.races.clone(),
        peers: Arc::clone(&peers),
        publisher: shared.publisher.clone(),
        checkpoint,
        past,
        hops: Arc::clone(&shared.hops),
        stats: shared.stats.clone(),
    };
    let worker = tokio::spawn(worker.run(receiver, stop.clone()));
    let settler = AbortOnDropHandle::new(tokio::spawn(settler.run()));
    let board = figures::Board::default();
    let telling = figures::keep(
        shared.mesh.clone(),
        Arc::clone(name),
        Arc::clone(&shared.process.instance),
        tenure.clone(),
        board.clone(),
    );
    let _telling = AbortOnDropHandle::new(tokio::spawn(telling));
    let mut pump = Pump::new(
        Context {
            account: Arc::clone(name),
            session: Arc::clone(&session),
            watch,
            duties,
            peers,
            ledger,
            // They outlive the connections: Telegram remembers too.
            floods: Floods::new(Arc::clone(name), shared.stats.requests.clone()),
            polls_per_minute: shared.polls_per_minute,
            stats: shared.stats.clone(),
            hints,
            figures: board.clone(),
        },
        sender,
    );
    let outcome = {
        let connections = lines::connections(
            shared,
            name,
            &session,
            (&mut pump, &mut seeker, &mut runner),
            &stop,
            lines::Way {
                tenure,
                margin: slots.margin(),
            },
        );
        tokio::pin!(connections);
        let ended = tokio::select! {
            outcome = &mut connections => Some(outcome),
            () = tenure.over() => None,
            Err(error) = keeper.run(&stop) => {
                Some(Outcome::Failed(format!("its session is written by somebody else: {error}")))
            }
            Err(error) = bookkeeper.run(&stop) => match error {
                LedgerError::Lease => None,
                error => Some(Outcome::Failed(error.to_string())),
            },
            ended = failed(worker, tenure, &stop) => {
                // It cannot end before the pump; its panic is the process's.
                tracing::error!(account = %name, ended, "the account is stopped");
                shared.process.shutdown.trigger();
                Some(Outcome::Failed("its worker failed".to_owned()))
            }
        };
        // Whatever ended it: the line is closed before the lease is given back.
        stop.cancel();
        if !matches!(ended, Some(Outcome::Stopped | Outcome::Dead(..))) {
            connections.await;
        }
        ended.unwrap_or_else(over)
    };
    // Nothing more is taken, what is under way is settled and written down.
    drop(pump);
    let settled = tokio::select! {
        // What is not written now is the next owner's.
        () = tenure.over() => return outcome,
        settled = timeout(SETTLE, settler) => settled,
    };
    if settled.is_err() {
        tracing::warn!(account = %name, "events under way were not confirmed in time: they are fetched again at the next start");
    }
    if !tenure.holds() {
        return outcome;
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
    outcome
}

/// Waits for the worker to fail. A clean end, which follows `stop` or that of the lease, never returns.
async fn failed(worker: tokio::task::JoinHandle<()>, tenure: &Tenure, stop: &CancellationToken) -> String {
    match worker.await {
        Err(error) => error.to_string(),
        Ok(()) if stop.is_cancelled() || !tenure.holds() => std::future::pending().await,
        Ok(()) => "the worker ended".to_owned(),
    }
}

/// Loads session and ledger and writes both: from then on an earlier owner that was paused cannot
/// write them. Waits for the store.
async fn claim(shared: &Shared, name: &Arc<str>, tenure: &Tenure) -> Result<(Saved, Bookkeeper), Outcome> {
    let mut pause = FIRST_PAUSE;
    loop {
        let why = match claim_once(shared, name, tenure).await? {
            Ok(claimed) => return Ok(claimed),
            Err(why) => why,
        };
        shared.roster.down(name, "its session and ledger cannot be loaded");
        tracing::warn!(account = %name, why, retry_ms = pause.as_millis() as u64, "couldn't take the account over, trying again");
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The inner error passes, the outer one does not.
async fn claim_once(
    shared: &Shared,
    name: &Arc<str>,
    tenure: &Tenure,
) -> Result<Result<(Saved, Bookkeeper), String>, Outcome> {
    let loaded = Keeper::load(shared.store.clone(), Arc::clone(&shared.keyring), Arc::clone(name)).await;
    let mut saved = match loaded {
        Ok(Some(saved)) => saved,
        Ok(None) => return Err(Outcome::Failed("it has no session".to_owned())),
        Err(KeeperError::Store(error)) => return Ok(Err(error.to_string())),
        Err(error) => return Err(Outcome::Unusable(error.to_string())),
    };
    if let Err(error) = saved.keeper.claim().await {
        return Ok(Err(error.to_string()));
    }
    let instance = &*shared.process.instance;
    let loaded = Bookkeeper::load(
        &shared.mesh,
        Arc::clone(name),
        instance,
        tenure.clone(),
        shared.stats.clone(),
    )
    .await;
    let mut bookkeeper = match loaded {
        Ok(bookkeeper) => bookkeeper,
        Err(LedgerError::Store(error)) => return Ok(Err(error.to_string())),
        Err(error) => return Err(Outcome::Unusable(error.to_string())),
    };
    if let Err(error) = bookkeeper.claim().await {
        return Ok(Err(error.to_string()));
    }
    shared.told.catch_up(&shared.mesh).await;
    shared.told_matches.catch_up(&shared.mesh).await;
    Ok(Ok((saved, bookkeeper)))
}
