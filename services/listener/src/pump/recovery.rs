//! What was missed: when it is fetched, and what is done with it.

use std::time::{Duration, Instant};

use grammers_tl_types::{enums, types};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::boxes::{AccountBox, ChannelBox, is_due};
use super::jobs::{self, DialogPlace, Dialogs, Event, HistoryEnd, Page};
use super::{AccountTrack, ChannelTrack, End, HistoryPlan, Life, Pump};
use crate::connection::{CallError, Calls};
use crate::message::Record;
use crate::peers;
use crate::queue::{Change, Entry, Reached, Source};
use crate::session::ChannelPosition;

/// Channel requests at once: enough to hide their latency, few enough for Telegram.
const MAX_IN_FLIGHT: usize = 8;
/// Before a request is made again that failed for a reason that may pass.
const RETRY: Duration = Duration::from_secs(2);
/// Before a chat is asked again that Telegram refuses.
const SET_ASIDE: Duration = Duration::from_secs(30);
/// Between two readings of the dialogs.
const DIALOGS_PAUSE: Duration = Duration::from_secs(10);

impl<'a> Life<'a> {
    pub(super) fn begin(pump: &'a mut Pump, calls: Calls, events: mpsc::Sender<Event>) -> Self {
        let mut life = Self {
            pump,
            calls,
            jobs: JoinSet::new(),
            events,
            in_flight: 0,
            is_known: false,
            dialogs_at: None,
            reading_dialogs: false,
            resync_at: None,
            packets: 0,
            is_due: false,
            fatal: None,
        };
        // Requests of an earlier connection are gone.
        if let Some(account) = &mut life.pump.account {
            account.pace.busy = false;
            account.pace.due = true;
        }
        for track in life.pump.channels.values_mut() {
            track.pace.busy = false;
            track.pace.due = true;
        }
        let (calls, events) = life.handles();
        life.jobs.spawn(jobs::state(calls, events));
        life
    }

    fn handles(&self) -> (Calls, mpsc::Sender<Event>) {
        (self.calls.clone(), self.events.clone())
    }

    pub(super) fn read_dialogs_soon(&mut self) {
        self.dialogs_at.get_or_insert_with(|| Instant::now() + DIALOGS_PAUSE);
    }

    /// Finds what is due.
    pub(super) fn look_at_clock(&mut self) {
        while self.jobs.try_join_next().is_some() {}
        let pump = &*self.pump;
        let behind = pump
            .channels
            .values()
            .filter(|track| track.pace.busy || track.history.is_some());
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
            let wanted = track.sequence.wants_difference();
            if wanted.is_none() && track.history.is_none() {
                continue;
            }
            let Some(hash) = self.pump.context.peers.channel_hash(id) else {
                // Its dialog has the hash; until then its messages come by the socket alone.
                track.pace.wait(RETRY);
                self.dialogs_at.get_or_insert_with(|| Instant::now() + DIALOGS_PAUSE);
                continue;
            };
            let (calls, events) = (self.calls.clone(), self.events.clone());
            match (track.history, wanted) {
                (Some(plan), _) => self
                    .jobs
                    .spawn(jobs::channel_history(calls, id, hash, plan.from, events)),
                (None, Some(pts)) => self.jobs.spawn(jobs::channel_difference(calls, id, hash, pts, events)),
                (None, None) => continue,
            };
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
                self.on_channel(id, answer, now_us);
            }
            Event::ChannelPlace(id, answer) => {
                self.in_flight = self.in_flight.saturating_sub(1);
                self.on_channel_place(id, answer);
            }
            Event::Page(page) => self.on_page(page, now_us),
            Event::ChannelHistory(id, end) => {
                self.in_flight = self.in_flight.saturating_sub(1);
                self.on_channel_history(id, end);
            }
            Event::AccountHistory(result) => self.on_account_history(result),
        }
        self.schedule();
    }

    /// Ends the connection where the error says so; else gives it back.
    fn survive(&mut self, error: CallError) -> Option<CallError> {
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
        let account = &self.pump.context.account;
        match &self.pump.account {
            Some(known) if known.sequence.position().pts <= state.pts => {}
            known => {
                if let Some(known) = known {
                    let stored_pts = known.sequence.position().pts;
                    tracing::warn!(%account, stored_pts, server_pts = state.pts,
                        "the server is behind the stored place: going on from the server's");
                }
                let mut track = AccountTrack::new(AccountBox::begin(state));
                // So that the place is told.
                track.told = crate::session::AccountPosition::default();
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
        self.learn(dialogs.chats, dialogs.users);
        for place in dialogs.places {
            self.begin_channel(place);
        }
        let context = &self.pump.context;
        context.session.save_channels(context.peers.channels());
        if !self.pump.has_dialogs {
            self.pump.has_dialogs = true;
            tracing::info!(account = %context.account, dialogs = count, watched_channels = self.pump.channels.len(),
                "following");
            for name in context.watch.unknown_names() {
                tracing::warn!(account = %context.account, name,
                    "no dialog has this name: its messages come once the account has joined it");
            }
        }
    }

    /// Follows a channel from its dialog's place, if it is not followed yet: a place that is
    /// stored says what was missed, and must stand.
    fn begin_channel(&mut self, place: DialogPlace) {
        let (Some(id), Some(pts)) = (peers::channel_id(place.chat_id), place.pts) else {
            return;
        };
        let pump = &mut *self.pump;
        if !pump.context.watch.has(place.chat_id) || pump.channels.contains_key(&id) {
            return;
        }
        let position = ChannelPosition {
            pts,
            last_id: place.top_message,
        };
        pump.channels
            .insert(id, ChannelTrack::new(ChannelBox::begin(id, position)));
        pump.queue.push(Entry {
            change: None,
            reached: Some(Reached::Channel(id, position)),
            received_us: 0,
        });
    }

    fn on_account(&mut self, answer: Result<enums::updates::Difference, CallError>, now_us: i64) {
        if let Some(account) = &mut self.pump.account {
            account.pace.busy = false;
        }
        let difference = match answer {
            Ok(difference) => difference,
            Err(error) => return self.on_account_error(error),
        };
        self.pump.context.stats.differences.inc();
        if let Some(account) = &mut self.pump.account {
            account.pace.succeed();
        }
        let applied = match difference {
            enums::updates::Difference::Empty(_) => difference,
            enums::updates::Difference::Difference(mut found) => {
                let enums::updates::State::State(state) = &found.state;
                let content = (
                    std::mem::take(&mut found.new_messages),
                    std::mem::take(&mut found.other_updates),
                );
                self.learn(std::mem::take(&mut found.chats), std::mem::take(&mut found.users));
                self.account_content(content, state.pts, now_us);
                found.new_encrypted_messages.clear();
                enums::updates::Difference::Difference(found)
            }
            enums::updates::Difference::Slice(mut found) => {
                let enums::updates::State::State(state) = &found.intermediate_state;
                let content = (
                    std::mem::take(&mut found.new_messages),
                    std::mem::take(&mut found.other_updates),
                );
                self.learn(std::mem::take(&mut found.chats), std::mem::take(&mut found.users));
                self.account_content(content, state.pts, now_us);
                found.new_encrypted_messages.clear();
                enums::updates::Difference::Slice(found)
            }
            enums::updates::Difference::TooLong(found) => {
                tracing::warn!(account = %self.pump.context.account, pts = found.pts,
                    "the account's difference is too long: reading history");
                if let Some(account) = &mut self.pump.account {
                    account.too_long = Some(found.pts);
                }
                return;
            }
        };
        if let Some(account) = &mut self.pump.account {
            account.sequence.apply(applied);
        }
        self.tell_account();
    }

    /// Hands a difference's content on: new messages first, then what happened to older ones.
    fn account_content(
        &mut self,
        (messages, updates): (Vec<enums::Message>, Vec<enums::Update>),
        pts: i32,
        now_us: i64,
    ) {
        for message in messages {
            self.own_message(message, false, pts, Source::Difference, now_us);
        }
        for update in updates {
            match self.channel_update(update, now_us) {
                Some(enums::Update::EditMessage(u)) => {
                    self.own_message(u.message, true, u.pts, Source::Difference, now_us);
                }
                Some(enums::Update::NewMessage(u)) => {
                    self.own_message(u.message, false, u.pts, Source::Difference, now_us);
                }
                Some(enums::Update::DeleteMessages(u)) => self.own_deletion(u.messages, now_us),
                _ => {}
            }
        }
    }

    fn on_account_error(&mut self, error: CallError) {
        let Some(error) = self.survive(error) else { return };
        let Some(account) = &mut self.pump.account else { return };
        match error {
            CallError::Flood(wait) => account.pace.wait(wait),
            CallError::Timeout => account.pace.fail(RETRY),
            error => {
                // A place that the server does not know: a new connection asks for its own.
                let is_place = error.is("PERSISTENT_TIMESTAMP_*");
                tracing::warn!(account = %self.pump.context.account, %error, "couldn't fetch the account's difference");
                account.pace.fail(RETRY);
                if is_place {
                    let position = account.sequence.position();
                    account.too_long = Some(position.pts);
                }
            }
        }
    }

    fn on_account_history(&mut self, result: Result<(), CallError>) {
        if let Some(account) = &mut self.pump.account {
            account.pace.busy = false;
        }
        match result {
            Ok(()) => {
                let Some(account) = &mut self.pump.account else { return };
                if let Some(pts) = account.too_long.take() {
                    account.pace.succeed();
                    account.sequence.apply(types::updates::DifferenceTooLong { pts }.into());
                    account.sequence.request_difference();
                }
                self.tell_account();
            }
            Err(error) => {
                let Some(error) = self.survive(error) else { return };
                let Some(account) = &mut self.pump.account else { return };
                match error {
                    CallError::Flood(wait) => account.pace.wait(wait),
                    error => {
                        tracing::warn!(account = %self.pump.context.account, %error, "couldn't read history");
                        account.pace.fail(RETRY);
                    }
                }
            }
        }
    }

    fn on_channel(&mut self, id: i64, answer: Result<enums::updates::ChannelDifference, CallError>, now_us: i64) {
        let Some(track) = self.pump.channels.get_mut(&id) else {
            return;
        };
        track.pace.busy = false;
        let difference = match answer {
            Ok(difference) => difference,
            Err(error) => return self.on_channel_error(id, error),
        };
        track.pace.succeed();
        self.pump.context.stats.differences.inc();
        match difference {
            enums::updates::ChannelDifference::Empty(found) => {
                track.sequence.apply(found.r#final, found.pts, found.timeout);
            }
            enums::updates::ChannelDifference::Difference(found) => {
                self.learn(found.chats, found.users);
                self.channel_content(id, found.new_messages, found.other_updates, found.pts, now_us);
                if let Some(track) = self.pump.channels.get_mut(&id) {
                    track.sequence.apply(found.r#final, found.pts, found.timeout);
                }
            }
            enums::updates::ChannelDifference::TooLong(found) => {
                self.learn(found.chats, found.users);
                let place = jobs::place_of(&found.dialog);
                let Some(resume_pts) = place.and_then(|place| place.pts) else {
                    let name = "UNREADABLE_ANSWER: a difference that is too long without a place".to_owned();
                    return self.on_channel_error(id, CallError::Refused { code: 0, name });
                };
                self.plan_history(id, resume_pts, found.timeout);
            }
        }
        self.tell_channel(id);
    }

    fn tell_channel(&mut self, id: i64) {
        let pump = &mut *self.pump;
        if let Some(reached) = pump.channels.get_mut(&id).and_then(|track| track.reached(id)) {
            pump.queue.push(Entry {
                change: None,
                reached: Some(reached),
                received_us: 0,
            });
        }
    }

    fn channel_content(
        &mut self,
        id: i64,
        messages: Vec<enums::Message>,
        updates: Vec<enums::Update>,
        pts: i32,
        now_us: i64,
    ) {
        for message in messages {
            self.channel_record(id, message, (false, pts), Source::Difference, now_us);
        }
        for update in updates {
            match update {
                enums::Update::EditChannelMessage(u) => {
                    self.channel_record(id, u.message, (true, u.pts), Source::Difference, now_us);
                }
                enums::Update::NewChannelMessage(u) => {
                    self.channel_record(id, u.message, (false, u.pts), Source::Difference, now_us);
                }
                enums::Update::DeleteChannelMessages(u) => self.pump.queue.push(Entry {
                    change: Some(Change::Deleted {
                        chat_id: Some(peers::channel_chat_id(u.channel_id)),
                        ids: u.messages,
                    }),
                    reached: None,
                    received_us: now_us,
                }),
                _ => {}
            }
        }
    }

    fn channel_record(
        &mut self,
        id: i64,
        message: enums::Message,
        (is_edit, pts): (bool, i32),
        source: Source,
        now_us: i64,
    ) {
        let Some(record) = Record::of(message, self.pump.context.session.user_id()) else {
            return;
        };
        if !is_edit && let Some(track) = self.pump.channels.get_mut(&id) {
            track.sequence.saw(record.id);
        }
        self.hand_on(record, is_edit, pts, source, now_us);
    }

    /// History stands in for what no difference gives; the place moves when all of it was read.
    fn plan_history(&mut self, id: i64, resume_pts: i32, timeout_s: Option<i32>) {
        let Some(track) = self.pump.channels.get_mut(&id) else {
            return;
        };
        let from = track.sequence.position().last_id;
        if from == 0 {
            // Nothing of it was ever seen: there is no hole to fill.
            track.sequence.apply(true, resume_pts, timeout_s);
            return;
        }
        tracing::info!(account = %self.pump.context.account, channel_id = id, from_message = from,
            "the channel's difference is too long: reading history");
        track.history = Some(HistoryPlan {
            from,
            resume_pts,
            timeout_s,
        });
    }

    fn on_page(&mut self, page: Page, now_us: i64) {
        self.learn(page.chats, page.users);
        for message in page.messages {
            let Some(record) = Record::of(message, self.pump.context.session.user_id()) else {
                continue;
            };
            let channel = peers::channel_id(record.chat_id).and_then(|id| self.pump.channels.get_mut(&id));
            if let Some(track) = channel {
                track.sequence.saw(record.id);
            }
            self.hand_on(record, false, 0, Source::History, now_us);
        }
    }

    fn on_channel_history(&mut self, id: i64, end: HistoryEnd) {
        let account = self.pump.context.account.clone();
        let Some(track) = self.pump.channels.get_mut(&id) else {
            return;
        };
        track.pace.busy = false;
        let Some(plan) = &mut track.history else { return };
        plan.from = end.read_to;
        match end.result {
            Ok(()) => {
                if end.is_cut {
                    self.pump.context.stats.holes.inc();
                    tracing::error!(%account, channel_id = id, read_to = end.read_to,
                        "a channel's history is longer than is read: messages behind this one are missing");
                }
                let plan = *plan;
                track.history = None;
                track.pace.succeed();
                // Not final: what came while history was read is fetched from there.
                track.sequence.apply(false, plan.resume_pts, plan.timeout_s);
                self.tell_channel(id);
            }
            Err(error) => self.on_channel_error(id, error),
        }
    }

    fn on_channel_error(&mut self, id: i64, error: CallError) {
        let Some(error) = self.survive(error) else { return };
        let account = self.pump.context.account.clone();
        let Some(track) = self.pump.channels.get_mut(&id) else {
            return;
        };
        match error {
            CallError::Flood(wait) => {
                tracing::info!(%account, channel_id = id, wait_s = wait.as_secs(), "Telegram asks to wait");
                track.pace.wait(wait);
            }
            CallError::Timeout => track.pace.fail(RETRY),
            error if error.is("CHANNEL_PRIVATE") || error.is("CHANNEL_PUBLIC_GROUP_NA") || error.is("USER_BANNED*") => {
                tracing::warn!(%account, channel_id = id, %error, "the account is no longer in the channel");
                self.pump.channels.remove(&id);
                self.pump.context.session.forget(id);
            }
            error if error.is("PERSISTENT_TIMESTAMP_*") => {
                tracing::warn!(%account, channel_id = id, %error, "asking the server for the channel's place");
                if let Some(hash) = self.pump.context.peers.channel_hash(id) {
                    track.pace.busy = true;
                    self.in_flight += 1;
                    let (calls, events) = (self.calls.clone(), self.events.clone());
                    self.jobs.spawn(jobs::channel_place(calls, id, hash, events));
                }
            }
            error => {
                // One channel's trouble is its own: the others go on.
                track.pace.fail(SET_ASIDE);
                tracing::warn!(%account, channel_id = id, %error, failures = track.pace.failures,
                    "a channel is set aside; its messages come by the socket alone until it answers");
                self.read_dialogs_soon();
            }
        }
    }

    /// The server's own place of a channel whose stored one it does not know.
    fn on_channel_place(&mut self, id: i64, answer: Result<Option<DialogPlace>, CallError>) {
        let Some(track) = self.pump.channels.get_mut(&id) else {
            return;
        };
        track.pace.busy = false;
        match answer {
            Ok(Some(DialogPlace {
                pts: Some(pts),
                top_message,
                ..
            })) => {
                let position = track.sequence.position();
                if top_message < position.last_id {
                    // The numbering began anew: there is no hole, only a new channel.
                    let position = ChannelPosition {
                        pts,
                        last_id: top_message,
                    };
                    *track = ChannelTrack::new(ChannelBox::begin(id, position));
                    track.told = ChannelPosition::default();
                    self.tell_channel(id);
                } else {
                    self.plan_history(id, pts, None);
                }
            }
            Ok(_) => self.on_channel_error(
                id,
                CallError::Refused {
                    code: 0,
                    name: "NO_DIALOG".to_owned(),
                },
            ),
            Err(error) => self.on_channel_error(id, error),
        }
    }
}
