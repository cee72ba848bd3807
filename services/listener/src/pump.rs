//! Every update of one account, once, in order where Telegram has an order, and at once.
//!
//! A message goes to the worker the moment it comes off the socket, whatever its place in the
//! sequence; the boxes only decide what is missing and what may be called done. What is missing
//! is fetched by differences that run beside the socket, one per chat, so that no chat waits for
//! another; what no difference can give is read from history. Messages that come both ways are
//! told apart behind the queue (see `edits`).

mod boxes;
mod intake;
mod jobs;
mod recovery;
mod repair;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use grammers_session::updates::UpdatesLike;
use tgmesh_lifecycle::clock;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::chats::Hints;
use crate::connection::{CallError, Calls, Connection};
use crate::ledger::{Ledger, Outcome};
use crate::peers::Peers;
use crate::queue::{self, Change, Entry};
use crate::session::{AccountPosition, ChannelPosition, MemorySession};
use crate::stats::Stats;
use crate::watch::Watch;
pub use jobs::read_dialogs;

use boxes::{AccountBox, ChannelBox};
use jobs::Event;
use repair::Probe;

/// Updates taken off the library's queue at once.
const BATCH: usize = 512;
/// Packets after which acks are due: they go out with requests only, and as one list, which must
/// stay far below the largest packet.
const NUDGE_PACKETS: usize = 2048;
/// Answers that wait for the pump; with them wait the requests behind them.
const EVENTS: usize = 8;

/// A wait that is too long to do nothing else for a chat.
const LONG_WAIT: Duration = Duration::from_secs(10);

/// What the pump shares with the rest of the account.
#[derive(Clone)]
pub struct Context {
    /// Name of the account.
    pub account: Arc<str>,
    /// Its session.
    pub session: Arc<MemorySession>,
    /// Which chats are watched.
    pub watch: Arc<Watch>,
    /// What is known of chats and people.
    pub peers: Arc<Peers>,
    /// Which messages are accounted for.
    pub ledger: Arc<Ledger>,
    /// Figures.
    pub stats: Stats,
    /// What it and whoever looks for chats tell each other.
    pub hints: Arc<Hints>,
}

/// Why a connection ended.
#[derive(Debug)]
pub enum End {
    /// The process stops.
    Stopped,
    /// The connection was lost: open another one.
    Lost(String),
    /// The session is dead: opening another connection makes it worse.
    Dead(String),
}

/// The updates of one account, over all its connections.
pub struct Pump {
    context: Context,
    queue: queue::Sender,
    account: Option<AccountTrack>,
    channels: HashMap<i64, ChannelTrack>,
    /// Dialogs were read once: chats have names, and new ones a place.
    has_dialogs: bool,
}

/// The account's own sequence.
struct AccountTrack {
    sequence: AccountBox,
    /// What the worker was told last.
    told: AccountPosition,
    pace: Pace,
    /// The difference was too long and history is being read; the answer, to be applied then.
    too_long: Option<i32>,
    /// The server does not know the place: its own is being asked for.
    is_lost: bool,
    /// When messages may be asked for by their ids.
    repair: Pace,
    /// When the server is asked for the account's place although it told of nothing new.
    probe: Probe,
}

/// A channel's sequence.
struct ChannelTrack {
    sequence: ChannelBox,
    told: ChannelPosition,
    pace: Pace,
    /// When messages may be asked for by their ids.
    repair: Pace,
    /// When the server is asked for the channel's place although it told of nothing new.
    probe: Probe,
    /// Most events of the next difference: fewer after an answer that could not be read.
    slice: i32,
}

/// When the next request may go out.
#[derive(Debug, Default)]
struct Pace {
    busy: bool,
    not_before: Option<Instant>,
    failures: u32,
    /// The difference is to be fetched, from after now: one that is under way may not have
    /// what made it due.
    due: bool,
}

/// One connection's time.
struct Life<'a> {
    pump: &'a mut Pump,
    calls: Calls,
    jobs: JoinSet<()>,
    events: mpsc::Sender<Event>,
    in_flight: usize,
    /// The server answered: differences make sense.
    is_known: bool,
    dialogs_at: Option<Instant>,
    reading_dialogs: bool,
    /// Places are being asked for, and when they may be again.
    probes: Pace,
    /// Chats whose places are asked for at once.
    probe_size: usize,
    /// All differences are due then: something may have been lost unseen.
    resync_at: Option<Instant>,
    packets: usize,
    /// Something became due while a packet was taken.
    is_due: bool,
    fatal: Option<End>,
}

impl Pump {
    /// Goes on where the session's positions are.
    #[must_use]
    pub fn new(context: Context, queue: queue::Sender) -> Self {
        let positions = context.session.positions();
        let account = positions
            .account
            .map(|position| AccountTrack::new(AccountBox::resume(position)));
        let channels = positions.channels.into_iter().filter(|(id, _)| {
            // Chats that are no longer watched have no place.
            context.watch.has(crate::peers::channel_chat_id(*id))
        });
        let channels = channels.map(|(id, position)| (id, ChannelTrack::new(ChannelBox::resume(id, position))));
        let channels: HashMap<_, _> = channels.collect();
        // A session knows how far it came even where the ledger has no chapter yet.
        for (id, track) in &channels {
            let last_id = track.told.last_id;
            if last_id > 0 {
                let chat = crate::peers::channel_chat_id(*id);
                context.ledger.open(chat, last_id, last_id);
            }
        }
        Self {
            account,
            channels,
            context,
            queue,
            has_dialogs: false,
        }
    }

    /// Hands an entry to the worker; its messages are under way from here on.
    fn push(&self, entry: Entry) {
        let accounts = entry.change.iter().flat_map(Change::accounts);
        // What is deleted comes no more: it is not waited for.
        for account in accounts.filter(|account| account.outcome != Outcome::Deleted) {
            self.context.ledger.take(account.chat, account.id);
        }
        self.queue.push(entry);
    }

    /// Takes updates from a connection until it ends. `is_up` is called once the account is
    /// followed.
    pub async fn live(&mut self, connection: &mut Connection, stop: &CancellationToken, is_up: impl Fn()) -> End {
        let (events, mut arrived) = mpsc::channel(EVENTS);
        let calls = connection.calls();
        let mut life = Life::begin(self, calls.clone(), events);
        let link = calls.watch_link();
        tokio::pin!(link);
        let hints = Arc::clone(&life.pump.context.hints);
        let mut batch: Vec<UpdatesLike> = Vec::with_capacity(BATCH);
        let mut clock_ticks = tokio::time::interval(boxes::CLOCK);
        clock_ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let has_room = life.pump.queue.has_room();
            // Not in a fixed order: a busy socket must not keep answers, pings and the clock waiting.
            tokio::select! {
                () = stop.cancelled() => return End::Stopped,
                received = connection.receive(&mut batch, BATCH) => match received {
                    Ok(received) => {
                        let received_us = clock::now_us();
                        if received.overflowed {
                            life.pump.context.stats.overflows.inc();
                            life.resync_soon();
                        }
                        for updates in batch.drain(..) {
                            life.take(updates, received_us);
                        }
                        life.count_packets(received.count);
                    }
                    Err(error) => return end_of(error),
                },
                Some(event) = arrived.recv(), if has_room => life.on_event(event, clock::now_us()),
                _ = clock_ticks.tick() => life.look_at_clock(),
                () = hints.dialogs_are_due() => life.read_dialogs_now(),
                error = &mut link => return end_of(error),
            }
            if life.is_known && life.pump.has_dialogs {
                is_up();
            }
            if let Some(end) = life.fatal.take() {
                return end;
            }
        }
    }
}

fn end_of(error: CallError) -> End {
    match error {
        CallError::Dead(why) => End::Dead(why),
        error => End::Lost(error.to_string()),
    }
}

impl AccountTrack {
    fn new(sequence: AccountBox) -> Self {
        Self {
            told: sequence.position(),
            sequence,
            pace: Pace::default(),
            too_long: None,
            is_lost: false,
            repair: Pace::default(),
            probe: Probe::begin(),
        }
    }
}

impl ChannelTrack {
    fn new(sequence: ChannelBox) -> Self {
        Self {
            told: sequence.position(),
            sequence,
            pace: Pace::default(),
            repair: Pace::default(),
            probe: Probe::begin(),
            slice: jobs::PAGE,
        }
    }
}

impl Pace {
    fn is_ready(&self) -> bool {
        !self.busy && boxes::is_due(self.not_before)
    }

    fn wait(&mut self, wait: Duration) {
        self.not_before = Some(Instant::now() + wait);
    }

    /// Whether the next request has to wait so long that others are made instead: Telegram's waits
    /// are for one kind of requests.
    fn waits_long(&self) -> bool {
        self.not_before
            .is_some_and(|at| at.saturating_duration_since(Instant::now()) > LONG_WAIT)
    }

    /// Waits longer after each failure, at most an hour.
    fn fail(&mut self, first: Duration) {
        self.failures = self.failures.saturating_add(1);
        let wait = first * 2_u32.saturating_pow(self.failures.min(12) - 1);
        self.wait(wait.min(Duration::from_hours(1)));
    }

    fn succeed(&mut self) {
        self.failures = 0;
        self.not_before = None;
    }
}

#[cfg(test)]
mod tests;
