//! What a client has missed, from the pts logs.

use grammers_tl_types::functions::updates::{GetChannelDifference, GetDifference};
use grammers_tl_types::{Serializable, enums, types};

use super::{Answer, Caller, bad, dialogs, message, peers};
use crate::mtproto::odd;
use crate::view::Company;
use crate::world::World;
use crate::world::timeline::{Event, Logged, Missed, Timeline};

/// Events in one slice of an account's difference, unless the client asks for fewer.
const MAX_SLICE: i32 = 500;
/// Telegram gives users at most 100 events of a channel at once.
const MAX_CHANNEL_SLICE: i32 = 100;
/// When a client shall ask again if it hears nothing, in seconds.
const TIMEOUT_S: i32 = 30;
/// The sequence of updates that are counted by neither pts nor qts: there are none here.
const SEQ: i32 = 1;

/// `updates.getState`
pub(super) fn state(world: &World, caller: &Caller, now: i32) -> enums::updates::State {
    let pts = world.accounts[caller.account].timeline.pts();
    state_at(pts, now)
}

fn state_at(pts: i32, date: i32) -> enums::updates::State {
    types::updates::State {
        pts,
        qts: 0,
        date,
        seq: SEQ,
        unread_count: 0,
    }
    .into()
}

/// `updates.getDifference`
pub(super) fn account(world: &World, caller: &Caller, ask: &GetDifference, now: i32) -> Answer {
    if ask.pts <= 0 {
        return Err(bad("PERSISTENT_TIMESTAMP_EMPTY"));
    }
    if ask.date <= 0 {
        return Err(bad("DATE_EMPTY"));
    }
    let limit = match ask.pts_total_limit.or(ask.pts_limit) {
        Some(limit) if limit > 0 => limit.min(MAX_SLICE),
        _ => MAX_SLICE,
    };
    let timeline = &world.accounts[caller.account].timeline;
    let missed = match timeline.missed(ask.pts, limit as usize) {
        Missed::Nothing | Missed::Events(..)
            if world.faults.is_too_long(caller.account, None, timeline.pts() - ask.pts) =>
        {
            Missed::TooLong
        }
        missed => missed,
    };
    let (events, last) = match missed {
        Missed::Invalid => return Err(bad("PERSISTENT_TIMESTAMP_INVALID")),
        Missed::TooLong => {
            let too_long = types::updates::DifferenceTooLong { pts: timeline.pts() };
            return Ok(enums::updates::Difference::TooLong(too_long).to_bytes());
        }
        Missed::Nothing => (Vec::new(), true),
        Missed::Events(events, last) => (events, last),
    };
    let mut company = Company::default();
    let (new_messages, mut other_updates) = unfold(world, caller, timeline, &events, None, &mut company);
    if last {
        // Channels have logs of their own: the client is told which ones to look into.
        for chat in world.chats.values() {
            if chat.peer.kind.has_own_numbers()
                && chat.members.contains(&caller.account)
                && chat.timeline.last_date() >= ask.date
                && !world.faults.is_unnamed(caller.account, chat.peer.id)
            {
                company.add_chat(&chat.peer, true);
                other_updates.push(
                    types::UpdateChannelTooLong {
                        channel_id: chat.peer.bare_id(),
                        pts: Some(chat.timeline.pts()),
                    }
                    .into(),
                );
            }
        }
    }
    if world.faults.is_unknown(caller.account, None) {
        other_updates.push(odd::UNKNOWN_UPDATE);
    }
    let (chats, users) = (company.chats(caller.viewer), company.users(caller.viewer));
    let answer: enums::updates::Difference = match events.last() {
        None if other_updates.is_empty() => types::updates::DifferenceEmpty { date: now, seq: SEQ }.into(),
        Some(reached) if !last => types::updates::DifferenceSlice {
            new_messages,
            new_encrypted_messages: Vec::new(),
            other_updates,
            chats,
            users,
            // The date stays, so that the last slice still names every channel.
            intermediate_state: state_at(reached.pts, ask.date),
        }
        .into(),
        _ => types::updates::Difference {
            new_messages,
            new_encrypted_messages: Vec::new(),
            other_updates,
            chats,
            users,
            state: state_at(timeline.pts(), now),
        }
        .into(),
    };
    Ok(answer.to_bytes())
}

/// `updates.getChannelDifference`
pub(super) fn channel(world: &World, caller: &Caller, ask: &GetChannelDifference) -> Answer {
    let chat = peers::readable(world, caller, &ask.channel)?;
    if ask.pts <= 0 {
        return Err(bad("PERSISTENT_TIMESTAMP_EMPTY"));
    }
    let limit = if ask.limit <= 0 {
        MAX_CHANNEL_SLICE
    } else {
        ask.limit.min(MAX_CHANNEL_SLICE)
    };
    let timeline = &chat.timeline;
    let mut company = Company::default();
    company.add_chat(&chat.peer, chat.members.contains(&caller.account));
    let missed = match timeline.missed(ask.pts, limit as usize) {
        Missed::Nothing | Missed::Events(..)
            if world
                .faults
                .is_too_long(caller.account, Some(chat.peer.id), timeline.pts() - ask.pts) =>
        {
            Missed::TooLong
        }
        missed => missed,
    };
    let answer: enums::updates::ChannelDifference = match missed {
        Missed::Invalid => return Err(bad("PERSISTENT_TIMESTAMP_INVALID")),
        Missed::Nothing => types::updates::ChannelDifferenceEmpty {
            r#final: true,
            pts: timeline.pts(),
            timeout: Some(TIMEOUT_S),
        }
        .into(),
        Missed::TooLong => {
            let messages = timeline
                .messages()
                .rev()
                .take(limit as usize)
                .map(|(id, entry)| message(world, caller, &mut company, id, entry))
                .collect();
            types::updates::ChannelDifferenceTooLong {
                r#final: true,
                timeout: Some(TIMEOUT_S),
                dialog: dialogs::of_channel(chat),
                messages,
                chats: company.chats(caller.viewer),
                users: company.users(caller.viewer),
            }
            .into()
        }
        Missed::Events(events, last) => {
            let channel_id = Some(chat.peer.bare_id());
            let (new_messages, mut other_updates) = unfold(world, caller, timeline, &events, channel_id, &mut company);
            if world.faults.is_unknown(caller.account, Some(chat.peer.id)) {
                other_updates.push(odd::UNKNOWN_UPDATE);
            }
            types::updates::ChannelDifference {
                r#final: last,
                pts: events.last().map_or(ask.pts, |reached| reached.pts),
                timeout: Some(TIMEOUT_S),
                new_messages,
                other_updates,
                chats: company.chats(caller.viewer),
                users: company.users(caller.viewer),
            }
            .into()
        }
    };
    Ok(answer.to_bytes())
}

/// New messages in their present form, then edits of older ones and deletions, each with the
/// pts it had. What was posted and deleted meanwhile shows as its deletion only.
fn unfold(
    world: &World,
    caller: &Caller,
    timeline: &Timeline,
    events: &[&Logged],
    channel_id: Option<i64>,
    company: &mut Company,
) -> (Vec<enums::Message>, Vec<enums::Update>) {
    let mut fresh = Vec::new();
    let mut messages = Vec::new();
    let mut updates = Vec::new();
    for Logged { pts, pts_count, event } in events {
        let (pts, pts_count) = (*pts, *pts_count);
        match event {
            Event::New(id) => {
                fresh.push(*id);
                if let Some(entry) = timeline.shown(*id) {
                    messages.push(message(world, caller, company, *id, entry));
                }
            }
            Event::Edited(id) => {
                // Numbers rise, so the list is sorted.
                let Some(entry) = timeline.shown(*id).filter(|_| fresh.binary_search(id).is_err()) else {
                    continue;
                };
                let message = message(world, caller, company, *id, entry);
                updates.push(match channel_id {
                    Some(_) => types::UpdateEditChannelMessage {
                        message,
                        pts,
                        pts_count,
                    }
                    .into(),
                    None => types::UpdateEditMessage {
                        message,
                        pts,
                        pts_count,
                    }
                    .into(),
                });
            }
            Event::Deleted(ids) => updates.push(match channel_id {
                Some(channel_id) => types::UpdateDeleteChannelMessages {
                    channel_id,
                    messages: ids.clone(),
                    pts,
                    pts_count,
                }
                .into(),
                None => types::UpdateDeleteMessages {
                    messages: ids.clone(),
                    pts,
                    pts_count,
                }
                .into(),
            }),
        }
    }
    (messages, updates)
}
