//! What was missed: when it is fetched, and what is done with it.

mod account;
mod channel;

use std::time::{Duration, Instant};

use grammers_tl_types::{enums, types};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::boxes::{AccountBox, is_due};
use super::jobs::{self, DialogPlace, Dialogs, Event, Page};
use super::poll::Allowance;
use super::repair::AT_ONCE;
use super::{AccountTrack, End, Life, Pace, Pump, intake};
use crate::connection::{CallError, Calls};
use crate::peers;
use crate::queue::Source;
use crate::session::{AccountPosition, ChannelPosition};

/// Channel requests at once: enough to hide their latency, few enough for Telegram.
pub(super) const MAX_IN_FLIGHT: usize = 8;
/// Before a request is made again that failed for a reason that may pass.
pub(super) const RETRY: Duration = Duration::from_secs(2);
/// Before a chat is asked again that Telegram refuses.
const SET_ASIDE: Duration = Duration::from_secs(30);
/// Before the next piece is asked for after one that could not be read.
pub(super) const UNREADABLE: Duration = Duration::from_millis(100);
/// Between two readings of the dialogs.
const DIALOGS_PAUSE: Duration = Duration::from_secs(10);

impl<'a> Life<'a> {
    pub(super) fn begin(pump: &'a mut Pump, calls: Calls, events: mpsc::Sender<Event>) -> Self {
        let now = Instant::now();
        let polls = Allowance::new(pump.context.polls_per_minute, now);
        let mut life = Self {
            pump,
            calls,
            jobs: JoinSet::new(),
            events,
            in_flight: 0,
            is_known: false,
            dialogs_at: None,
            reading_dialogs: false,
            probes: Pace::default(),
            probe_size: AT_ONCE,
            polls,
            figures_at: now,
            resync_at: None,
            packets: 0,
            is_due: false,
            fatal: None,
        };
        // Requests of an earlier connection are gone.
        if let Some(account) = &mut life.pump.account {
            account.pace.busy = false;
            account.repair.busy = false;
            account.pace.due = true;
        }
        for track in life.pump.channels.values_mut() {
            track.pace.busy = false;
            track.repair.busy = false;
            track.pace.due = true;
            track.poll.reconnected(now);
        }
        let (calls, events) = life.handles();
        life.jobs.spawn(jobs::state(calls, events, Event::State));
        life
    }

    fn handles(&self) -> (Calls, mpsc::Sender<Event>) {
        (self.calls.clone(), self.events.clone())
    }

    pub(super) fn read_dialogs_soon(&mut self) {
        self.dialogs_at.get_or_insert_with(|| Instant::now() + DIALOGS_PAUSE);
    }

    /// Reads them at once: chats are watched that were not before.
    pub(super) fn read_dialogs_now(&mut self) {
        self.dialogs_at = Some(Instant::now());
    }

    /// Finds what is due.
    pub(super) fn look_at_clock(&mut self) {
        while self.jobs.try_join_next().is_some() {}
        if !self.pump.follow_duties() {
            // Its dialog tells where it is.
            self.read_dialogs_soon();
        }
        let pump = &*self.pump;
        let behind = pump
            .channels
            .values()
            .filter(|track| track.pace.busy || track.pace.failures > 0);
        pump.context.stats.chats_behind.set(behind.count() as f64);
        if self.resync_at.is_some_and(|at| is_due(Some(at))) {
            self.resync_at = None;
            if let Some(account) = &mut self.pump.account {
                account.pace.due = true;
            }
            for track in self.pump.channels.values_mut() {
                track.pace.due = true;
            }
        }
        if self.is_known && !self.reading_dialogs && self.dialogs_at.is_some_and(|at| is_due(Some(at))) {
            self.dialogs_at = None;
            self.reading_dialogs = true;
            let (calls, events) = self.handles();
            self.jobs.spawn(jobs::dialogs(calls, events));
        }
        self.schedule();
        self.repair();
        self.pass_on();
        self.tell_figures();
    }

    /// Sends the requests that are due. What comes in large pieces is asked for only while there
    /// is room for it.
    pub(super) fn schedule(&mut self) {
        if !self.is_known || !self.pump.queue.has_room() {
            return;
        }
        if let Some(account) = &mut self.pump.account
            && account.pace.is_ready()
        {
            if std::mem::take(&mut account.pace.due) {
                account.sequence.request_difference();
            }
            if account.too_long.is_some() {
                account.pace.busy = true;
                let from = account.sequence.position().last_id;
                let (calls, events) = (self.calls.clone(), self.events.clone());
                self.jobs.spawn(jobs::account_history(calls, from, events));
            } else if let Some(request) = account.sequence.wants_difference() {
                account.pace.busy = true;
                let (calls, events) = (self.calls.clone(), self.events.clone());
                self.jobs.spawn(jobs::account_difference(calls, request, events));
            }
        }
        for (&id, track) in &mut self.pump.channels {
            if self.in_flight >= MAX_IN_FLIGHT {
                return;
            }
            if !track.pace.is_ready() {
                continue;
            }
            if std::mem::take(&mut track.pace.due) {
                track.sequence.request_difference();
            }
            let Some(pts) = track.sequence.wants_difference() else {
                continue;
            };
            let Some(hash) = self.pump.context.peers.channel_hash(id) else {
                // Its dialog has the hash; until then its messages come by the socket alone.
                track.pace.wait(RETRY);
                self.dialogs_at.get_or_insert_with(|| Instant::now() + DIALOGS_PAUSE);
                continue;
            };
            let (calls, events) = (self.calls.clone(), self.events.clone());
            let job = jobs::channel_difference(calls, (id, hash), pts, track.slice, events);
            self.jobs.spawn(job);
            track.pace.busy = true;
            self.in_flight += 1;
        }
    }

    /// Takes an answer.
    pub(super) fn on_event(&mut self, event: Event, now_us: i64) {
        match event {
            Event::State(answer) => self.on_state(answer),
            Event::Dialogs(answer) => self.on_dialogs(answer),
            Event::Account(answer) => self.on_account(answer, now_us),
            Event::Channel(id, answer) => {
                self.in_flight = self.in_flight.saturating_sub(1);
                self.on_channel(id, *answer, now_us);
            }
            Event::ChannelPlace(id, answer) => {
                self.in_flight = self.in_flight.saturating_sub(1);
                self.on_channel_place(id, answer);
            }
            Event::Page(page) => self.on_page(page, now_us),
            Event::AccountHistory(result) => self.on_account_history(result),
            Event::Ids(channel, asked, answer) => {
                self.in_flight = self.in_flight.saturating_sub(usize::from(channel.is_some()));
                self.on_ids(channel, &asked, answer, now_us);
            }
            Event::Sweep(channel, range, result) => {
                self.in_flight = self.in_flight.saturating_sub(usize::from(channel.is_some()));
                self.on_sweep(channel, range, result);
            }
            Event::OwnPlace(answer) => self.on_own_place(answer),
            Event::Places(asked, answer) => self.on_places(asked, answer),
        }
        self.schedule();
    }

    /// Ends the connection where the error says so; else gives it back.
    pub(super) fn survive(&mut self, error: CallError) -> Option<CallError> {
        match error {
            CallError::Dead(why) => self.fatal = Some(End::Dead(why)),
            CallError::Lost(why) => self.fatal = Some(End::Lost(why)),
            other => return Some(other),
        }
        None
    }

    fn on_state(&mut self, answer: Result<types::updates::State, CallError>) {
        let state = match answer {
            Ok(state) => state,
            Err(error) => {
                // Nothing can be done without it: a new connection asks again, after a pause.
                if let Some(error) = self.survive(error) {
                    self.fatal = Some(End::Lost(format!("updates.getState: {error}")));
                }
                return;
            }
        };
        self.is_known = true;
        let place = self.pump.account.as_ref().map(|track| track.sequence.position());
        let is_lost = self.pump.account.as_ref().is_some_and(|track| track.is_lost);
        match place {
            Some(place) if place.pts <= state.pts && !is_lost => {}
            place => {
                let pts = state.pts;
                let last_id = place.map_or(0, |place| place.last_id);
                let mut track = AccountTrack::new(AccountBox::begin(state, last_id));
                if let Some(place) = place {
                    tracing::warn!(account = %self.pump.context.account, stored_pts = place.pts, server_pts = pts,
                        "the server does not know the stored place: reading history, going on from the server's");
                    track.too_long = Some(pts);
                }
                // So that the place is told.
                track.told = AccountPosition::default();
                self.pump.account = Some(track);
                self.tell_account();
            }
        }
        self.dialogs_at = Some(Instant::now());
        self.look_at_clock();
    }

    fn on_dialogs(&mut self, answer: Result<Dialogs, CallError>) {
        self.reading_dialogs = false;
        let dialogs = match answer {
            Ok(dialogs) => dialogs,
            Err(error) => {
                let Some(error) = self.survive(error) else { return };
                let wait = match error {
                    CallError::Flood(wait) => wait,
                    // A message in them cannot be read: it will be an old one in a while.
                    _ if error.is_unreadable() => {
                        self.pump.has_dialogs = true;
                        SET_ASIDE
                    }
                    // Bots have none.
                    CallError::Refused { .. } => {
                        self.pump.has_dialogs = true;
                        Duration::from_hours(1)
                    }
                    _ => RETRY,
                };
                tracing::warn!(account = %self.pump.context.account, %error, wait_s = wait.as_secs(),
                    "couldn't read the dialogs");
                self.dialogs_at = Some(Instant::now() + wait);
                return;
            }
        };
        let count = dialogs.places.len();
        let context = &self.pump.context;
        context
            .watch
            .set_dialogs(dialogs.places.iter().map(|place| place.chat_id).collect());
        self.learn(dialogs.chats, dialogs.users);
        let seen = dialogs
            .places
            .into_iter()
            .filter_map(|place| self.note_channel(place))
            .collect();
        let context = &self.pump.context;
        context.duties.saw_all(&seen);
        context.duties.keep_wanted(|chat| context.watch.has(chat));
        self.pump.follow_duties();
        let context = &self.pump.context;
        context.session.save_channels(context.peers.channels());
        if !self.pump.has_dialogs {
            self.pump.has_dialogs = true;
            tracing::info!(account = %context.account, dialogs = count, "following");
        }
        context.hints.look();
    }

    /// Notes a channel's place: it is followed from there if it becomes the account's to watch. A
    /// place that is known says what was missed, and must stand. Gives the channel, if it is wanted.
    fn note_channel(&mut self, place: DialogPlace) -> Option<i64> {
        let (id, pts) = (peers::channel_id(place.chat_id)?, place.pts?);
        let pump = &mut *self.pump;
        if !pump.context.watch.has(place.chat_id) {
            return None;
        }
        match pump.channels.get(&id) {
            Some(track) => {
                let from = track.sequence.position().last_id;
                pump.context.ledger.open(place.chat_id, from, place.top_message);
            }
            None => drop(pump.places.entry(id).or_insert(ChannelPosition {
                pts,
                last_id: place.top_message,
            })),
        }
        Some(place.chat_id)
    }

    fn on_page(&mut self, page: Page, now_us: i64) {
        self.learn(page.chats, page.users);
        for message in page.messages {
            self.fetched(message, Source::History, now_us);
        }
    }

    /// Hands on a message that was fetched by itself.
    pub(super) fn fetched(&mut self, message: enums::Message, source: Source, now_us: i64) {
        if let Some((chat_id, id)) = intake::place_of(&message)
            && let Some(track) = peers::channel_id(chat_id).and_then(|id| self.pump.channels.get_mut(&id))
        {
            track.sequence.saw(id);
        }
        self.own_message(message, false, 0, source, now_us);
    }
}
