//! Differences of channels and supergroups.

use std::time::Instant;

use grammers_tl_types::enums;

use super::{RETRY, SET_ASIDE, UNREADABLE};
use crate::connection::CallError;
use crate::message::Record;
use crate::peers;
use crate::pump::boxes::ChannelBox;
use crate::pump::jobs::{self, DialogPlace};
use crate::pump::{ChannelTrack, Life};
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
        track.slice = track.slice.saturating_mul(2).min(jobs::PAGE);
        self.pump.context.stats.differences.inc();
        let newest = track.poll.last_id();
        let (is_final, timeout_s) = match &difference {
            enums::updates::ChannelDifference::Empty(found) => (found.r#final, found.timeout),
            enums::updates::ChannelDifference::Difference(found) => (found.r#final, found.timeout),
            enums::updates::ChannelDifference::TooLong(found) => (found.r#final, found.timeout),
        };
        match difference {
            enums::updates::ChannelDifference::Empty(found) => {
                track.sequence.apply(found.r#final, found.pts);
            }
            enums::updates::ChannelDifference::Difference(found) => {
                self.learn(found.chats, found.users);
                self.channel_content(id, found.new_messages, found.other_updates, found.pts, now_us);
                if let Some(track) = self.pump.channels.get_mut(&id) {
                    track.sequence.apply(found.r#final, found.pts);
                }
            }
            enums::updates::ChannelDifference::TooLong(found) => {
                self.learn(found.chats, found.users);
                let place = jobs::place_of(&found.dialog);
                let Some((place, resume_pts)) = place.and_then(|place| Some((place, place.pts?))) else {
                    let name = "UNREADABLE_ANSWER: a difference that is too long without a place".to_owned();
                    return self.on_channel_error(id, CallError::Refused { code: 0, name });
                };
                self.skip_to(id, place, resume_pts);
            }
        }
        if let Some(track) = self.pump.channels.get_mut(&id) {
            if track.poll.last_id() > newest {
                track.poll.missed();
            }
            if is_final {
                track.poll.is_whole(now_us / 1_000_000);
            }
            // When Telegram wants to be asked again is for the looks to respect; the box would
            // have every channel asked for so often.
            track.poll.rest(timeout_s, Instant::now());
        }
        self.tell_channel(id);
    }

    fn tell_channel(&mut self, id: i64) {
        let pump = &mut *self.pump;
        if let Some(reached) = pump.channels.get_mut(&id).and_then(|track| track.reached(id)) {
            pump.push(Entry {
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
                enums::Update::DeleteChannelMessages(u) => self.pump.push(Entry {
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

    /// Goes on from the server's place; the ledger knows what lies between, and has it fetched.
    fn skip_to(&mut self, id: i64, place: DialogPlace, resume_pts: i32) {
        let Some(track) = self.pump.channels.get_mut(&id) else {
            return;
        };
        tracing::info!(account = %self.pump.context.account, channel_id = id, to_message = place.top_message,
            "no difference gives what was missed: reading messages");
        track.sequence.apply(true, resume_pts);
        self.pump.context.ledger.raise(place.chat_id, place.top_message);
    }

    fn on_channel_error(&mut self, id: i64, error: CallError) {
        let Some(error) = self.survive(error) else { return };
        let account = self.pump.context.account.clone();
        let Some(track) = self.pump.channels.get_mut(&id) else {
            return;
        };
        match error {
            CallError::Flood(wait) => {
                track.pace.wait(wait);
            }
            CallError::Timeout => track.pace.fail(RETRY),
            error if error.is_unreadable() => {
                // Smaller and smaller pieces, until the one event that cannot be read stands alone
                // and is passed; its message stays open in the ledger.
                if track.slice > 1 {
                    track.slice = (track.slice / 4).max(1);
                } else {
                    self.pump.context.stats.unreadable.inc();
                    let pts = track.sequence.position().pts;
                    tracing::warn!(%account, channel_id = id, pts, %error, "an update cannot be read and is passed");
                    track.sequence.apply(false, pts.saturating_add(1));
                }
                track.pace.wait(UNREADABLE);
            }
            error if error.is("CHANNEL_PRIVATE") || error.is("CHANNEL_PUBLIC_GROUP_NA") || error.is("USER_BANNED*") => {
                tracing::warn!(%account, channel_id = id, %error, "the account is no longer in the channel");
                self.pump.channels.remove(&id);
                self.pump.context.session.forget(id);
                // Those who are still in it go on; if there is nobody, what is missing is given up.
                self.pump.context.duties.lost(peers::channel_chat_id(id));
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
            Ok(Some(
                place @ DialogPlace {
                    pts: Some(pts),
                    top_message,
                    ..
                },
            )) => {
                let position = track.sequence.position();
                if top_message < position.last_id {
                    // The numbering began anew: there is no hole, only a new channel.
                    let position = ChannelPosition {
                        pts,
                        last_id: top_message,
                    };
                    *track = ChannelTrack::new(ChannelBox::begin(id, position));
                    track.told = ChannelPosition::default();
                    self.pump
                        .context
                        .ledger
                        .restart(peers::channel_chat_id(id), top_message);
                    self.tell_channel(id);
                } else {
                    self.skip_to(id, place, pts);
                    self.tell_channel(id);
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
