//! Differences of channels and supergroups, and their histories where differences end.

use grammers_tl_types::enums;

use super::{RETRY, SET_ASIDE};
use crate::connection::CallError;
use crate::message::Record;
use crate::peers;
use crate::pump::boxes::ChannelBox;
use crate::pump::jobs::{self, DialogPlace, HistoryEnd};
use crate::pump::{ChannelTrack, HistoryPlan, Life};
use crate::queue::{Change, Entry, Source};
use crate::session::ChannelPosition;

impl Life<'_> {
    pub(super) fn on_channel(
        &mut self,
        id: i64,
        answer: Result<enums::updates::ChannelDifference, CallError>,
        now_us: i64,
    ) {
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

    pub(super) fn on_channel_history(&mut self, id: i64, end: HistoryEnd) {
        let Some(track) = self.pump.channels.get_mut(&id) else {
            return;
        };
        track.pace.busy = false;
        let Some(plan) = &mut track.history else { return };
        plan.from = end.read_to;
        match end.result {
            // There is more: other channels have their turn first.
            Ok(()) if end.is_cut => track.pace.succeed(),
            Ok(()) => {
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
    pub(super) fn on_channel_place(&mut self, id: i64, answer: Result<Option<DialogPlace>, CallError>) {
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
