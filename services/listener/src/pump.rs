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
mod looks;
pub mod poll;
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

use crate::assignments::{Duties, Start};
use crate::chats::Hints;
use crate::connection::{CallError, Calls, Connection};
use crate::figures::Board;
use crate::flood::Floods;
use crate::ledger::{Ledger, Outcome};
use crate::peers::{self, Peers};
use crate::queue::{self, Change, Entry, Reached};
use crate::session::{AccountPosition, ChannelPosition, MemorySession};
use crate::stats::Stats;
use crate::watch::Watch;
pub use jobs::{Dialogs, Page as History, message_id, offset_peer as input_peer, page_of as history_of, read_dialogs};

use boxes::{AccountBox, ChannelBox};
use jobs::Event;
use poll::{Allowance, Poll};
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
    /// Which chats are wanted.
    pub watch: Arc<Watch>,
    /// Which of the channels among them are this account's to watch.
    pub duties: Arc<Duties>,
    /// What is known of chats and people.
    pub peers: Arc<Peers>,
    /// Which messages are accounted for.
    pub ledger: Arc<Ledger>,
    /// How often it may ask Telegram for what.
    pub floods: Floods,
    /// Requests a minute that find out whether there is something.
    pub polls_per_minute: u32,
    /// Figures.
    pub stats: Stats,
    /// What it and whoever looks for chats tell each other.
    pub hints: Arc<Hints>,
    /// Where it leaves what is known of its channels.
    pub figures: Board,
}

impl Context {
    /// Whether messages of a chat are taken.
    fn watches(&self, chat_id: i64) -> bool {
        self.watch.has(chat_id) && (peers::channel_id(chat_id).is_none() || self.duties.has(chat_id))
    }
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
    /// From where channels are followed that are not yet, by bare id: the session's places, or
    /// where a channel was seen first.
    places: HashMap<i64, ChannelPosition>,
    /// Of the duties that were looked at; nothing while some could not be begun.
    generation: Option<u64>,
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
    /// How its posts come, and when it is looked at.
    poll: Poll,
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
    /// Chats whose places are asked for at once; 0 where the account may not ask.
    probe_size: usize,
    /// What may be asked for on suspicion.
    polls: Allowance,
    /// When it tells of its channels again.
    figures_at: Instant,
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
        Self {
            account,
            channels: HashMap::new(),
            context,
            queue,
            places: positions.channels.into_iter().collect(),
            generation: None,
            has_dialogs: false,
        }
    }

    /// How often the account may ask Telegram for what.
    #[must_use]
    pub fn floods(&self) -> Floods {
        self.context.floods.clone()
    }

    /// Whether everything that the account has to watch is followed.
    fn is_complete(&self) -> bool {
        self.has_dialogs
            && self.context.duties.is_settled()
            && self.generation == Some(self.context.duties.generation())
    }

    /// Follows what has become the account's to watch, and lets go what is another's now. Whether
    /// all of it has a place to begin from.
    fn follow_duties(&mut self) -> bool {
        let generation = self.context.duties.generation();
        if self.generation == Some(generation) {
            return true;
        }
        let duties: HashMap<i64, Start> = self.context.duties.all().into_iter().collect();
        let (session, places) = (&self.context.session, &mut self.places);
        self.channels.retain(|&id, track| {
            let stays = duties.contains_key(&peers::channel_chat_id(id));
            if !stays {
                session.leave(id);
                // Should it come back from nobody.
                places.insert(id, track.sequence.position());
            }
            stays
        });
        let mut begun_all = true;
        for (chat, start) in duties {
            let Some(id) = peers::channel_id(chat) else { continue };
            if self.channels.contains_key(&id) {
                continue;
            }
            let place = match start {
                Start::After(place) => Some(place),
                Start::Own => self.places.get(&id).copied(),
            };
            match place {
                Some(place) => self.follow(id, place),
                // Its dialog will tell.
                None => begun_all = false,
            }
        }
        self.generation = begun_all.then_some(generation);
        begun_all
    }

    /// Follows a channel from a place on: what came after it is fetched.
    fn follow(&mut self, id: i64, place: ChannelPosition) {
        self.places.remove(&id);
        let mut track = ChannelTrack::new(ChannelBox::resume(id, place));
        track.pace.due = true;
        let last_id = place.last_id;
        if last_id > 0 {
            // A place may be known even where the ledger has no chapter yet.
            let chat = peers::channel_chat_id(id);
            self.context.ledger.open(chat, last_id, last_id);
        }
        self.channels.insert(id, track);
        // So that it is stored, behind what is under way.
        self.push(Entry {
            change: None,
            reached: Some(Reached::Channel(id, place)),
            received_us: 0,
        });
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
            if life.is_known && life.pump.is_complete() {
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
            pace: Pace::default(),
            repair: Pace::default(),
            poll: Poll::begin(sequence.position().last_id, Instant::now()),
            sequence,
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
