//! Which accounts this process listens with.
//!
//! Every account has one seat in every process: a task that waits until the account is free and
//! one of the process's slots too, takes the lease, listens, and waits again. So a standby is a
//! process whose seats all wait, and it takes over by itself.
//!
//! Accounts are not moved for balance: a process that started first keeps what it has, up to
//! `LISTENER_SLOTS`, which is what bounds it. Processes that start at once share, because each
//! pauses a little after every account it takes, and begins with another one.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tgmesh_lifecycle::clock;
use tgmesh_stream::kv::{self, Entry};
use tgmesh_stream::lease::{Board, Lease, Leases};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::account::{self, Outcome, Shared};
use crate::session::Content;
use crate::stopped::{self, Fingerprint, Mark};

/// Pauses of all accounts that a process takes, together.
const SPREAD: Duration = Duration::from_secs(1);
/// The longest pause after one of them.
const LONGEST_SPREAD: Duration = Duration::from_millis(300);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The seats of a process. Clones share them.
#[derive(Clone)]
pub struct Slots {
    leases: Leases,
    board: Arc<Mutex<Board>>,
    changes: watch::Sender<u64>,
    free: Arc<Semaphore>,
    /// One account is taken at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
    spread: Duration,
}

impl Slots {
    /// So many slots for so many accounts.
    #[must_use]
    pub fn new(leases: Leases, slots: usize, accounts: usize) -> Self {
        let board = Board::new(leases.time());
        Self {
            leases,
            board: Arc::new(Mutex::new(board)),
            changes: watch::Sender::new(0),
            free: Arc::new(Semaphore::new(slots)),
            turn: Arc::default(),
            spread: (SPREAD / u32::try_from(accounts.max(1)).unwrap_or(u32::MAX)).min(LONGEST_SPREAD),
        }
    }

    /// Follows who has which account, until the token is cancelled.
    pub async fn follow(self, until: CancellationToken) {
        let note = |entry: &Entry| {
            self.board().note(entry, Instant::now());
            self.changes.send_modify(|n| *n += 1);
        };
        kv::follow("the leases", || self.leases.watch(), note, &until).await;
    }

    /// Changes after each change of a lease.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// How long a lease lives that is not renewed.
    #[must_use]
    pub fn lease_time(&self) -> Duration {
        self.leases.time()
    }

    /// The accounts that somebody holds, as far as is known now.
    #[must_use]
    pub fn living(&self, now: Instant) -> HashSet<String> {
        self.board().held(now).map(str::to_owned).collect()
    }

    /// Time between the end of an owner's tenure and that of its lease.
    #[must_use]
    pub fn margin(&self) -> Duration {
        self.leases.time() / 4
    }

    /// How often a lease is asked for whose end only the server knows.
    fn ask_every(&self) -> Duration {
        (self.leases.time() / 10).clamp(Duration::from_millis(100), Duration::from_secs(1))
    }

    /// Waits until an account may be asked for.
    async fn until_free(&self, shared: &Shared, name: &Arc<str>) {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            let (free_from, holder) = {
                let board = self.board();
                let holder = board.holder(name, Instant::now());
                (board.free_from(name), holder.map(|holder| holder.instance.clone()))
            };
            if let Some(holder) = holder {
                shared.roster.elsewhere(name, &format!("with {holder}"));
            }
            let Some(at) = free_from.filter(|at| *at > Instant::now()) else {
                return;
            };
            tokio::select! {
                // The sender is in `self`.
                _ = changes.changed() => {}
                () = sleep_until(at.into()) => {}
            }
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens with an account whenever it is free, until the process stops or the account cannot be
/// used here.
pub async fn seat(shared: Shared, slots: Slots, name: Arc<str>, account_no: u32) {
    let soft = shared.process.shutdown.soft();
    let mut pause = FIRST_PAUSE;
    loop {
        let taken = soft.run_until_cancelled(take(&shared, &slots, &name, &mut pause)).await;
        let Some((lease, _slot)) = taken else { return };
        let epoch = lease.epoch();
        tracing::info!(account = %name, lease_epoch = epoch, "took the account");
        shared.roster.down(&name, "starting");
        let began = Instant::now();
        let outcome = Box::pin(account::run(&shared, &slots, &name, account_no, lease)).await;
        if began.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        match outcome {
            Outcome::Stopped => return,
            Outcome::Lost(why) => {
                shared.stats.leases_lost.inc();
                shared.roster.down(&name, "its lease is lost");
                tracing::warn!(account = %name, lease_epoch = epoch, why, "the account is let go: its lease is lost");
            }
            Outcome::Dead(why, key) => {
                shared.stats.accounts_stopped.inc();
                shared.roster.stopped(&name, &why);
                tracing::error!(account = %name, why, "the account is stopped: Telegram ended its session; sign it in again");
                let mark = Mark {
                    key,
                    why,
                    at_ms: clock::now_us() / 1000,
                    instance: shared.process.instance.to_string(),
                };
                stopped::stop(&shared.mesh, &name, &mark).await;
            }
            Outcome::Failed(why) => {
                shared.roster.down(&name, &why);
                tracing::error!(account = %name, why, retry_ms = pause.as_millis() as u64, "the account is let go");
                let _: Option<()> = soft.run_until_cancelled(sleep(pause)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Outcome::Unusable(why) => {
                tracing::error!(account = %name, why, "the account is stopped");
                shared.roster.unusable(&name, &why);
                return;
            }
        }
    }
}

/// Waits for an account and a slot for it. Safe to cancel: a lease that was just taken runs out.
async fn take(
    shared: &Shared,
    slots: &Slots,
    name: &Arc<str>,
    pause: &mut Duration,
) -> (Lease, tokio::sync::OwnedSemaphorePermit) {
    loop {
        slots.until_free(shared, name).await;
        if slots.free.available_permits() == 0 {
            shared
                .roster
                .elsewhere(name, "free, but all slots of this process are taken");
        }
        // It is never closed.
        let Ok(slot) = Arc::clone(&slots.free).acquire_owned().await else {
            return std::future::pending().await;
        };
        let turn = Arc::clone(&slots.turn).lock_owned().await;
        if slots.board().free_from(name).is_some_and(|at| at > Instant::now()) {
            // Somebody was faster.
            continue;
        }
        if let Err(why) = is_usable(shared, name).await {
            drop((slot, turn));
            why.tell(shared, name, *pause);
            sleep(*pause).await;
            *pause = (*pause * 2).min(LONGEST_PAUSE);
            continue;
        }
        match slots.leases.acquire(name).await {
            Ok(Some(lease)) => {
                // Others that start just now get their share; this account need not wait for it.
                let spread = slots.spread.mul_f64(rand::random());
                tokio::spawn(async move {
                    sleep(spread).await;
                    drop(turn);
                });
                return (lease, slot);
            }
            Ok(None) => {
                drop((slot, turn));
                sleep(slots.ask_every()).await;
            }
            Err(error) => {
                drop((slot, turn));
                shared.roster.down(name, "its lease cannot be taken");
                tracing::warn!(account = %name, %error, retry_ms = pause.as_millis() as u64, "couldn't take the account's lease");
                sleep(*pause).await;
                *pause = (*pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Why an account is not even asked for.
enum NotYet {
    NoSession,
    Stopped(Mark),
    Store(String),
}

impl NotYet {
    fn tell(&self, shared: &Shared, name: &Arc<str>, pause: Duration) {
        let retry_s = pause.as_secs();
        match self {
            Self::NoSession => {
                shared.roster.down(name, "has no session");
                tracing::warn!(account = %name, retry_s, "the account has no session: sign it in with tgmesh login");
            }
            Self::Stopped(mark) => {
                shared.roster.stopped(name, &mark.why);
                tracing::debug!(account = %name, why = mark.why, at_ms = mark.at_ms, retry_s, "the account was stopped: it waits for a new session");
            }
            Self::Store(error) => {
                shared.roster.down(name, "its session cannot be loaded");
                tracing::warn!(account = %name, error, retry_s, "couldn't load the session");
            }
        }
    }
}

/// Whether there is a session that Telegram has not ended.
async fn is_usable(shared: &Shared, name: &Arc<str>) -> Result<(), NotYet> {
    let away = |error: &dyn std::fmt::Display| NotYet::Store(error.to_string());
    let Some((sealed, _)) = shared.store.load(name).await.map_err(|error| away(&error))? else {
        return Err(NotYet::NoSession);
    };
    let plain = shared.keyring.open(name, &sealed).ok();
    // What cannot be opened is told of when the account is taken.
    let Some(content) = plain.and_then(|plain| Content::decode(&plain).ok()) else {
        return Ok(());
    };
    if content.user_id == 0 {
        // Its keys are there, and nobody has signed in with them.
        return Err(NotYet::NoSession);
    }
    match stopped::mark_of(&shared.mesh, name)
        .await
        .map_err(|error| away(&error))?
    {
        Some(mark) if mark.key == Fingerprint::of(&content) => Err(NotYet::Stopped(mark)),
        _ => Ok(()),
    }
}
