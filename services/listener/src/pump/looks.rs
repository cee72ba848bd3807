//! Looking at channels of which nothing is heard: first whether there is something, for up to a
//! hundred of them in one request, then at those where there is.
//!
//! While Telegram takes no such request from the account, or never does, as with bots, differences
//! are asked for on suspicion, and not sooner than each channel's last one said. All of that is
//! within the account's allowance; where it does not suffice, the channel where most is waiting,
//! or may be by its pace, comes first.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use tgmesh_lifecycle::clock;

use super::jobs::{self, DialogPlace};
use super::poll::Way;
use super::recovery::MAX_IN_FLIGHT;
use super::repair::AT_ONCE;
use super::{ChannelTrack, Life};
use crate::connection::CallError;
use crate::figures::{ChannelFigures, Delay, FloodFigures};
use crate::flood::{LONG, Method};
use crate::peers;

/// Between two looks while a channel has to be polled, and otherwise.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(2));
/// Between two tellings of what is known of the channels.
const FIGURES_EVERY: Duration = Duration::from_secs(2);
/// Before a channel is looked at again whose place the server refuses to tell.
const REFUSED: Duration = Duration::from_mins(10);

impl ChannelTrack {
    /// Nothing is under way that would tell anyway.
    fn is_silent(&self) -> bool {
        let waits = self.pace.due && !self.pace.waits_long();
        !self.pace.busy && !waits
    }
}

impl Life<'_> {
    pub(super) fn look_at_channels(&mut self) {
        let now = Instant::now();
        self.fetch_what_was_found(now);
        if self.probe_size == 0 || self.calls.floods().closed(Method::PeerDialogs).is_some() {
            self.guess(now);
        } else if self.probes.is_ready() {
            self.look(now);
        }
    }

    /// Orders the differences of channels where a look found something.
    fn fetch_what_was_found(&mut self, now: Instant) {
        for id in self.hottest(now, |track| track.poll.is_behind()) {
            let Some(track) = self.pump.channels.get_mut(&id) else {
                continue;
            };
            // While no difference is to be had, the messages are asked for alone.
            let waits = track.pace.waits_long();
            if !waits && !self.polls.take(now) {
                return;
            }
            track.pace.due = true;
            self.is_due |= !waits;
            let top = track.poll.take_found();
            self.pump.context.ledger.raise(peers::channel_chat_id(id), top);
        }
    }

    fn look(&mut self, now: Instant) {
        let mut due = self.hottest(now, |track| {
            track.poll.is_due(now) && !track.poll.is_behind() && track.is_silent()
        });
        due.truncate(self.probe_size);
        let hash = |&id: &i64| Some((id, self.pump.context.peers.channel_hash(id)?));
        let silent: Vec<_> = due.iter().filter_map(hash).collect();
        if silent.is_empty() || !self.polls.take(now) {
            return;
        }
        for (id, _) in &silent {
            if let Some(track) = self.pump.channels.get_mut(id) {
                track.poll.looked(now);
            }
        }
        self.probes.busy = true;
        self.jobs
            .spawn(jobs::channel_places(self.calls.clone(), silent, self.events.clone()));
    }

    /// Asks for differences without knowing whether there is something.
    fn guess(&mut self, now: Instant) {
        if self.calls.floods().closed(Method::ChannelDifference).is_some() {
            return;
        }
        let due = self.hottest(now, |track| {
            track.poll.is_due(now) && track.poll.may_guess(now) && track.is_silent()
        });
        for id in due.into_iter().take(MAX_IN_FLIGHT) {
            if !self.polls.take(now) {
                return;
            }
            if let Some(track) = self.pump.channels.get_mut(&id) {
                track.poll.looked(now);
                track.pace.due = true;
                self.is_due = true;
            }
        }
    }

    /// Channels that pass, hottest first.
    fn hottest(&self, now: Instant, passes: impl Fn(&ChannelTrack) -> bool) -> Vec<i64> {
        let channels = self.pump.channels.iter().filter(|(_, track)| passes(track));
        let mut found: Vec<_> = channels.map(|(&id, track)| (track.poll.heat(now), id)).collect();
        found.sort_unstable_by(|a, b| b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal));
        found.into_iter().map(|(_, id)| id).collect()
    }

    /// The places of channels that were silent.
    pub(super) fn on_places(&mut self, asked: Vec<i64>, answer: Result<Vec<DialogPlace>, CallError>) {
        let now = Instant::now();
        self.probes.busy = false;
        let has_polled = |track: &ChannelTrack| track.poll.way() == Way::Polled;
        let is_hot = self.pump.channels.values().any(has_polled);
        self.probes.wait(if is_hot { PAUSES.0 } else { PAUSES.1 });
        let places = match answer {
            Ok(places) => places,
            Err(error) => return self.on_refused_look(&asked, error, now),
        };
        for id in asked {
            let chat = peers::channel_chat_id(id);
            let place = places.iter().find(|place| place.chat_id == chat);
            let (Some(track), Some(place)) = (self.pump.channels.get_mut(&id), place) else {
                continue;
            };
            let behind = place
                .pts
                .map_or(0, |pts| pts.saturating_sub(track.sequence.position().pts));
            track.poll.found(behind, place.top_message);
            if behind <= 0 {
                // Otherwise it waits for its turn.
                self.pump.context.ledger.raise(chat, place.top_message);
            }
        }
        self.fetch_what_was_found(now);
    }

    fn on_refused_look(&mut self, asked: &[i64], error: CallError, now: Instant) {
        let Some(error) = self.survive(error) else { return };
        match (error, asked) {
            (CallError::Flood(_), _) => {}
            (error, _) if error.is("BOT_METHOD_INVALID") => self.probe_size = 0,
            // One chat that the server refuses spoils the answer for all.
            (CallError::Refused { .. }, &[id]) => {
                self.probe_size = AT_ONCE;
                if let Some(track) = self.pump.channels.get_mut(&id) {
                    track.poll.wait(now, REFUSED);
                }
            }
            (CallError::Refused { .. }, _) => {
                self.probe_size = (asked.len() / 2).max(1);
                // The same ones, in smaller parts, at once.
                for id in asked {
                    if let Some(track) = self.pump.channels.get_mut(id) {
                        track.poll.wait(now, Duration::ZERO);
                    }
                }
            }
            (error, _) => {
                tracing::debug!(account = %self.pump.context.account, %error, "couldn't look at silent chats");
            }
        }
    }

    /// Leaves what is known of the channels where others find it.
    pub(super) fn tell_figures(&mut self) {
        let now = Instant::now();
        if now < self.figures_at {
            return;
        }
        self.figures_at = now + FIGURES_EVERY;
        let channels = self.pump.channels.iter().map(|(&id, track)| {
            let (posts, last_post_s) = track.poll.posts();
            ChannelFigures {
                id: peers::channel_chat_id(id),
                way: track.poll.way().name().to_owned(),
                interval_ms: u64::try_from(track.poll.interval(now).as_millis()).unwrap_or(u64::MAX),
                posts,
                last_post_s,
                delay: track.poll.delays_ms().map(|(p50_ms, p99_ms, last_ms)| Delay {
                    p50_ms,
                    p99_ms,
                    last_ms,
                }),
            }
        });
        let closed = self.calls.floods().closed_for_long().into_iter();
        let floods = closed.map(|(method, wait)| FloodFigures {
            method: method.name().to_owned(),
            wait_s: wait.as_secs(),
        });
        self.pump.context.figures.set(channels.collect(), floods.collect());
    }

    /// Leaves channels to other accounts for which this one can make no requests for long.
    pub(super) fn pass_on(&mut self) {
        let floods = self.calls.floods();
        let long = |method| floods.closed(method).filter(|wait| *wait > LONG);
        let difference = long(Method::ChannelDifference);
        let messages = long(Method::ChannelMessages).max(long(Method::History));
        if difference.is_none() && messages.is_none() {
            return;
        }
        let now_ms = clock::now_ms();
        let context = &self.pump.context;
        for (&id, track) in &mut self.pump.channels {
            let chat = peers::channel_chat_id(id);
            let wants_difference =
                track.poll.way() == Way::Polled || track.pace.due || track.sequence.wants_difference().is_some();
            let wait = difference.filter(|_| wants_difference);
            let wait = wait.max(messages.filter(|_| context.ledger.has_open(chat)));
            if let Some(wait) = wait {
                // Whole seconds, so that it is told once.
                let until_ms = (now_ms + i64::try_from(wait.as_millis()).unwrap_or(0)) / 1_000 * 1_000 + 1_000;
                context.duties.pass(chat, until_ms);
            }
        }
    }
}
