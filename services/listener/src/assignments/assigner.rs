//! Finds out what one account is to watch, and takes it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use tgmesh_lifecycle::clock;
use tgmesh_stream::kv::KvError;
use tgmesh_stream::lease::Tenure;

use super::rendezvous::ranked;
use super::{Assignment, Assignments, Duties, Row, Start};
use crate::account::Shared;
use crate::ledger::{Ledger, LedgerError, Predecessors};
use crate::session::ChannelPosition;
use crate::slots::Slots;
use crate::stats::Stats;

/// Chats that are taken at once.
const AT_ONCE: usize = 16;
/// Between two looks when nothing is heard: what depends on time alone.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Changes seldom come alone.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// Assigns chats to one account, for as long as it is held.
pub struct Assigner {
    /// Name of the account.
    account: Arc<str>,
    /// Its lease.
    tenure: Tenure,
    /// What is known of all chats.
    assignments: Assignments,
    /// Who lives.
    slots: Slots,
    /// Chats that several accounts watch at once, and how many.
    racing: Racing,
    /// Where the account's chapters are.
    ledger: Arc<Ledger>,
    /// Where those of other accounts are.
    predecessors: Predecessors,
    /// What comes of it.
    duties: Arc<Duties>,
    /// Figures.
    stats: Stats,
    /// Since when a chat's watcher is known to be gone.
    orphans: HashMap<i64, Instant>,
}

/// Which chats several accounts watch at once.
#[derive(Debug, Clone, Default)]
pub struct Racing {
    /// `HOT_CHATS`.
    pub chats: Arc<HashSet<i64>>,
    /// `RACERS`.
    pub racers: usize,
}

/// What is to be done about one chat.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Nothing.
    Leave,
    /// Note that the account sees it.
    Note,
    /// Take it from the account that the row names, if any.
    Take,
    /// Go on with what is the account's already.
    Keep,
    /// Go on, and let others take it, until then.
    Pass(i64),
    /// Watch it beside others.
    Race,
}

impl Assigner {
    /// For an account that was just taken.
    #[must_use]
    pub fn new(shared: &Shared, slots: &Slots, account: &Arc<str>, tenure: &Tenure, ledger: &Arc<Ledger>) -> Self {
        let assignments = shared.assignments.clone();
        let duties = Arc::<Duties>::default();
        // What was its own before needs no dialogs to go on.
        duties.heard_of(assignments.seen_by(account));
        // What another account watches now, it knows best.
        let is_own = |chat| {
            let row = assignments.row(chat).unwrap_or_default();
            row.assignment.account.is_empty() || row.assignment.account == **account
        };
        ledger.keep_only(is_own);
        Self {
            account: Arc::clone(account),
            tenure: tenure.clone(),
            assignments,
            slots: slots.clone(),
            racing: shared.racing.clone(),
            ledger: Arc::clone(ledger),
            predecessors: shared.predecessors.clone(),
            duties,
            stats: shared.stats.clone(),
            orphans: HashMap::new(),
        }
    }

    /// What comes of it.
    #[must_use]
    pub fn duties(&self) -> Arc<Duties> {
        Arc::clone(&self.duties)
    }

    /// Assigns until it is dropped.
    pub async fn run(mut self) {
        let mut rows = self.assignments.changes();
        let mut leases = self.slots.changes();
        loop {
            rows.mark_unchanged();
            leases.mark_unchanged();
            let done = self.look().await;
            if let Err(error) = &done {
                tracing::warn!(account = %self.account, %error, "couldn't assign chats, trying again");
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            tokio::select! {
                // The senders live as long as this.
                _ = rows.changed() => {}
                _ = leases.changed() => {}
                () = self.duties.news() => {}
                () = tokio::time::sleep(LOOK_EVERY) => continue,
            }
            tokio::time::sleep(DEBOUNCE).await;
        }
    }

    /// Looks at every chat once.
    async fn look(&mut self) -> Result<(), LedgerError> {
        let now = Instant::now();
        let seen = self.duties.all_seen();
        self.duties.end_passes(clock::now_us() / 1_000);
        let mut living = self.slots.living(now);
        living.insert(self.account.to_string());
        // What the account left.
        for (chat, _) in self.duties.all() {
            if !seen.contains(&chat) {
                self.leave(chat, &living);
            }
        }
        self.forget_left(&seen).await?;
        let mut todo = Vec::new();
        for &chat in &seen {
            let row = self.assignments.row(chat).unwrap_or_default();
            match self.step(chat, &row.assignment, &living, now) {
                Step::Leave => self.hand_over(chat),
                Step::Race => self.duties.begin(chat, Start::Own),
                Step::Keep
                    if row.assignment.epoch == self.tenure.epoch() && row.assignment.is_seen_by(&self.account) =>
                {
                    self.duties.begin(chat, Start::Own);
                }
                step => todo.push((chat, row, step)),
            }
        }
        let whole = self.carry_out(todo).await?;
        if whole {
            self.duties.settle(&seen);
        }
        Ok(())
    }

    /// Somebody else watches it now.
    fn hand_over(&self, chat: i64) {
        if self.duties.has(chat) {
            self.duties.end(chat);
            self.ledger.forget(chat);
        }
    }

    /// The account sees it no more. What is missing can be fetched by those who see it, or by nobody.
    fn leave(&self, chat: i64, living: &HashSet<String>) {
        let row = self.assignments.row(chat).unwrap_or_default();
        let others = row
            .assignment
            .seen_by
            .iter()
            .filter(|account| **account != *self.account);
        let is_lost = self.duties.take_gone(chat);
        if !is_lost || others.into_iter().any(|account| living.contains(account)) {
            self.hand_over(chat);
        } else {
            self.duties.end(chat);
            self.ledger.give_up(chat);
        }
    }

    fn step(&mut self, chat: i64, row: &Assignment, living: &HashSet<String>, now: Instant) -> Step {
        let me = &*self.account;
        let now_ms = clock::now_us() / 1_000;
        if !row.is_seen_by(me) && !row.account.is_empty() && row.account != me {
            return Step::Note;
        }
        let alive = row
            .seen_by
            .iter()
            .map(String::as_str)
            .filter(|account| living.contains(*account));
        // Those that cannot do all for it come last.
        let (mut ranked, passed): (Vec<_>, Vec<_>) = ranked(chat, alive.chain([me]))
            .into_iter()
            .partition(|account| !row.is_passed_by(account, now_ms));
        let others = ranked.iter().any(|account| *account != me);
        let is_able = ranked.contains(&me);
        ranked.extend(passed);
        let rank = ranked.iter().position(|account| *account == me).unwrap_or(0);
        let is_watched = living.contains(&row.account) && row.is_seen_by(&row.account);
        if is_watched {
            self.orphans.remove(&chat);
        }
        if row.account == me {
            return match self.duties.passed(chat, now_ms) {
                Some(until) if is_able && others && row.is_seen_by(me) => Step::Pass(until),
                _ => Step::Keep,
            };
        }
        if row.account.is_empty() || (is_watched && rank == 0 && is_able) {
            return Step::Take;
        }
        // A watcher that is gone may come back in another process at once, and each waits for those
        // before it, which may still be signing in.
        let lease = self.slots.lease_time();
        let patience = lease / 2 + lease * u32::try_from(rank).unwrap_or(u32::MAX);
        if !is_watched && *self.orphans.entry(chat).or_insert(now) + patience <= now {
            return Step::Take;
        }
        if self.racing.chats.contains(&chat) && rank < self.racing.racers {
            return Step::Race;
        }
        Step::Leave
    }

    /// Whether all of it was done; what somebody else changed meanwhile has its turn at the next look.
    async fn carry_out(&mut self, todo: Vec<(i64, Row, Step)>) -> Result<bool, LedgerError> {
        let takes = todo
            .iter()
            .filter(|(_, row, step)| *step == Step::Take && !row.assignment.account.is_empty());
        let moved: Vec<(i64, String)> = takes
            .map(|(chat, row, _)| (*chat, row.assignment.account.clone()))
            .collect();
        // Theirs becomes ours before the assignment says so.
        let places = self.adopt(moved).await?;
        let (me, epoch) = (&self.account, self.tenure.epoch());
        let mut writes = futures_util::stream::iter(todo)
            .map(|(chat, row, step)| {
                let assignments = &self.assignments;
                async move {
                    let from = row.assignment.account.clone();
                    let mut assignment = row.assignment.and_seen_by(me);
                    if let Step::Pass(until_ms) = step {
                        assignment = assignment.and_passed_by(me, until_ms, clock::now_us() / 1_000);
                    }
                    if step != Step::Note {
                        assignment.account = me.to_string();
                        assignment.epoch = epoch;
                    }
                    let written = assignments.replace(chat, row.revision, assignment).await;
                    (chat, step, from, written)
                }
            })
            .buffer_unordered(AT_ONCE);
        let (mut whole, mut failed): (bool, Option<KvError>) = (true, None);
        while let Some((chat, step, from, written)) = writes.next().await {
            match written {
                Ok(Some(_)) if step == Step::Note => whole = false,
                Ok(Some(_)) if matches!(step, Step::Pass(_)) => {
                    self.stats.chats_passed.inc();
                    tracing::info!(account = %me, chat_id = chat, "a chat is left to others until Telegram's wait is over");
                    self.duties.begin(chat, Start::Own);
                }
                Ok(Some(_)) => {
                    let start = places.get(&chat).copied().flatten().map_or(Start::Own, Start::After);
                    self.duties.begin(chat, start);
                    if step == Step::Take && !from.is_empty() {
                        self.stats.chats_taken.inc();
                        tracing::debug!(account = %me, chat_id = chat, from, "took a chat over");
                    }
                }
                Ok(None) => whole = false,
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(whole),
        }
    }

    /// Takes the chapters of other accounts over, and waits until they are stored as the account's
    /// own. Gives the places of those accounts.
    async fn adopt(&self, moved: Vec<(i64, String)>) -> Result<HashMap<i64, Option<ChannelPosition>>, LedgerError> {
        let mut places = HashMap::new();
        let mut reads = futures_util::stream::iter(moved)
            .map(|(chat, from)| async move { (chat, self.predecessors.chapter(&from, chat).await) })
            .buffer_unordered(AT_ONCE);
        let mut adopted = Vec::new();
        while let Some((chat, chapter)) = reads.next().await {
            let chapter = match chapter? {
                Some(chapter) => Some(chapter),
                // One that was never written says nothing: what the account itself knew goes on.
                None => self.predecessors.chapter(&self.account, chat).await?,
            };
            let Some(chapter) = chapter else { continue };
            places.insert(chat, self.ledger.adopt(chat, chapter));
            adopted.push(chat);
        }
        self.ledger.stored(&adopted).await;
        Ok(places)
    }

    /// Notes that the account is no longer in these chats.
    async fn forget_left(&mut self, seen: &HashSet<i64>) -> Result<(), LedgerError> {
        // Before the dialogs were read nothing is known to be gone.
        if !self.duties.knows_all() {
            return Ok(());
        }
        for chat in self.assignments.seen_by(&self.account) {
            let Some(row) = self.assignments.row(chat) else {
                continue;
            };
            if seen.contains(&chat) {
                continue;
            }
            let mut assignment = row.assignment;
            assignment.seen_by.retain(|account| *account != *self.account);
            self.assignments.replace(chat, row.revision, assignment).await?;
        }
        Ok(())
    }
}
