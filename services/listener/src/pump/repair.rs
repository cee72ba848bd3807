//! Messages that are missing are asked for until each is accounted for, and the account is looked
//! at when nothing is heard of it.

use std::time::{Duration, Instant};

use grammers_tl_types::enums;
use grammers_tl_types::types::updates::State;

use super::jobs::{self, Event, Page};
use super::recovery::{MAX_IN_FLIGHT, RETRY};
use super::{Life, Pace};
use crate::connection::CallError;
use crate::ledger::{OWN, Order};
use crate::peers;
use crate::queue::Source;

/// Messages that are asked for at once: Telegram gives no more.
pub(super) const AT_ONCE: usize = jobs::PAGE as usize;
/// Between two looks at an account that turned out not to be told of everything, and at one where
/// nothing was missed again and again.
const SOON: Duration = Duration::from_secs(2);
const SELDOM: Duration = Duration::from_mins(1);
/// Refusals after which a chat's history counts as unreadable for good.
const MAX_SWEEP_FAILURES: u32 = 8;

/// When the account's own place is asked for although nothing was heard.
#[derive(Debug)]
pub struct Probe {
    pause: Duration,
    at: Instant,
}

impl Probe {
    pub fn begin() -> Self {
        Self {
            pause: SOON,
            at: Instant::now() + SOON,
        }
    }

    /// The server pushed something: no look is needed for a while.
    pub fn is_pushed(&mut self) {
        self.at = Instant::now() + self.pause;
    }

    /// A look found something that was not pushed, or did not.
    fn looked(&mut self, found: bool) {
        self.pause = if found { SOON } else { (self.pause * 2).min(SELDOM) };
        self.at = Instant::now() + self.pause;
    }
}

impl Life<'_> {
    /// Asks for what is missing, and for the places of chats that are silent.
    pub(super) fn repair(&mut self) {
        if !self.is_known || !self.pump.queue.has_room() {
            return;
        }
        self.repair_own();
        self.repair_channels();
        self.look_at_silent_account();
        self.look_at_channels();
        if std::mem::take(&mut self.is_due) {
            self.schedule();
        }
    }

    /// The last push of a burst may be lost: nothing that follows would tell.
    fn look_at_silent_account(&mut self) {
        let Some(account) = &mut self.pump.account else { return };
        if account.probe.at > Instant::now() || account.pace.busy || account.pace.due || account.too_long.is_some() {
            return;
        }
        // Until the answer is there.
        account.probe.at = Instant::now() + SELDOM;
        self.jobs
            .spawn(jobs::state(self.calls.clone(), self.events.clone(), Event::OwnPlace));
    }

    /// The account's place at the server.
    pub(super) fn on_own_place(&mut self, answer: Result<State, CallError>) {
        let state = match answer {
            Ok(state) => state,
            Err(error) => {
                let _ = self.survive(error);
                return;
            }
        };
        let Some(account) = &mut self.pump.account else { return };
        let is_behind = state.pts > account.sequence.position().pts;
        account.probe.looked(is_behind);
        account.pace.due |= is_behind;
    }

    fn repair_own(&mut self) {
        let Some(account) = &mut self.pump.account else { return };
        // A difference brings most of it.
        let waits = account.pace.due && !account.pace.waits_long();
        if !account.repair.is_ready() || account.pace.busy || waits || account.too_long.is_some() {
            return;
        }
        let (calls, events) = (self.calls.clone(), self.events.clone());
        match self.pump.context.ledger.order(OWN, AT_ONCE) {
            None => return,
            Some(Order::Ids(ids)) => drop(self.jobs.spawn(jobs::by_ids(calls, None, ids, events))),
            Some(Order::Sweep { from, to }) => drop(self.jobs.spawn(jobs::own_sweep(calls, from, to, events))),
        }
        account.repair.busy = true;
    }

    fn repair_channels(&mut self) {
        for (&id, track) in &mut self.pump.channels {
            if self.in_flight >= MAX_IN_FLIGHT {
                return;
            }
            let is_behind = track.pace.due || track.sequence.wants_difference().is_some();
            // A difference that is refused does not come: then the messages are asked for alone.
            let waits = is_behind && track.pace.failures == 0 && !track.pace.waits_long();
            if !track.repair.is_ready() || track.pace.busy || waits {
                continue;
            }
            let chat = peers::channel_chat_id(id);
            let Some(order) = self.pump.context.ledger.order(chat, AT_ONCE) else {
                continue;
            };
            let Some(hash) = self.pump.context.peers.channel_hash(id) else {
                track.repair.wait(RETRY);
                continue;
            };
            let (calls, events) = (self.calls.clone(), self.events.clone());
            match order {
                Order::Ids(ids) => drop(self.jobs.spawn(jobs::by_ids(calls, Some((id, hash)), ids, events))),
                Order::Sweep { from, to } => {
                    drop(self.jobs.spawn(jobs::sweep(calls, (id, hash), from, to, events)));
                }
            }
            track.repair.busy = true;
            self.in_flight += 1;
        }
    }

    /// Messages that were asked for by their ids.
    pub(super) fn on_ids(&mut self, channel: Option<i64>, asked: &[i32], answer: Result<Page, CallError>, now_us: i64) {
        let chat = channel.map_or(OWN, peers::channel_chat_id);
        let Some(pace) = self.repair_pace(channel) else { return };
        pace.busy = false;
        let found = match answer {
            Ok(found) => found,
            Err(error) => return self.on_repair_error(channel, asked, error),
        };
        pace.succeed();
        self.learn(found.chats, found.users);
        let mut empty: Vec<i32> = asked.to_vec();
        for message in found.messages {
            let id = jobs::message_id(&message);
            if matches!(message, enums::Message::Empty(_)) || !asked.contains(&id) {
                continue;
            }
            empty.retain(|asked| *asked != id);
            self.fetched(message, Source::Difference, now_us);
        }
        self.pump.context.ledger.empty(chat, &empty);
    }

    /// History was read between two ids; what it holds was handed on.
    pub(super) fn on_sweep(&mut self, channel: Option<i64>, (from, to): (i32, i32), result: Result<(), CallError>) {
        let chat = channel.map_or(OWN, peers::channel_chat_id);
        let Some(pace) = self.repair_pace(channel) else { return };
        pace.busy = false;
        match result {
            Ok(()) => {
                pace.succeed();
                self.pump.context.ledger.swept(chat, from, to);
            }
            Err(error) if error.is_unreadable() => self.pump.context.ledger.cannot_be_swept(chat),
            Err(error) => {
                let is_hopeless = pace.failures >= MAX_SWEEP_FAILURES;
                if is_hopeless && matches!(error, CallError::Refused { .. }) {
                    tracing::warn!(account = %self.pump.context.account, chat_id = chat, from, to, %error,
                        "a chat's history is refused again and again: its missing messages are unreachable");
                    self.pump.context.ledger.give_up(chat);
                    return;
                }
                self.on_repair_error(channel, &[], error);
            }
        }
    }

    fn on_repair_error(&mut self, channel: Option<i64>, asked: &[i32], error: CallError) {
        let chat = channel.map_or(OWN, peers::channel_chat_id);
        let Some(error) = self.survive(error) else { return };
        let account = self.pump.context.account.clone();
        let ledger = self.pump.context.ledger.clone();
        let Some(pace) = self.repair_pace(channel) else { return };
        match error {
            CallError::Flood(wait) => {
                pace.wait(wait);
            }
            CallError::Timeout => pace.fail(RETRY),
            error if error.is_unreadable() => ledger.unreadable(chat, asked),
            error => {
                tracing::warn!(%account, chat_id = chat, ids = asked.len(), %error, "couldn't fetch missing messages");
                pace.fail(RETRY);
                ledger.refused(chat, asked);
            }
        }
    }

    fn repair_pace(&mut self, channel: Option<i64>) -> Option<&mut Pace> {
        match channel {
            None => Some(&mut self.pump.account.as_mut()?.repair),
            Some(id) => Some(&mut self.pump.channels.get_mut(&id)?.repair),
        }
    }
}
