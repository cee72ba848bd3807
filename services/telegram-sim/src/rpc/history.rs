//! Reading messages: pages of a chat's history, and messages by number.

use grammers_tl_types::functions::{channels, messages};
use grammers_tl_types::{Serializable, enums, types};

use super::{Answer, Caller, bad, message, peers};
use crate::view::{self, Company};
use crate::world::World;
use crate::world::timeline::{Entry, Timeline};

/// Messages in one answer, at most.
const MAX_PAGE: i32 = 100;

/// `messages.getHistory`
pub(super) fn page(world: &mut World, caller: &Caller, ask: &messages::GetHistory) -> Answer {
    let id = peers::peer(world, caller, &ask.peer)?;
    if let Some(account) = world.accounts.get(caller.account) {
        world.reads.note(&account.name, id);
    }
    let Some(chat) = world.chats.get(&id) else {
        // A person without a private chat: a history, but an empty one.
        return Ok(own_messages(Vec::new(), 0, &Company::default(), caller).to_bytes());
    };
    let own_numbers = chat.peer.kind.has_own_numbers();
    if own_numbers && !peers::may_read(caller, chat) {
        return Err(peers::CHANNEL_PRIVATE);
    }
    let timeline = if own_numbers {
        &chat.timeline
    } else {
        &world.accounts[caller.account].timeline
    };
    let mut company = Company::default();
    company.add_chat(&chat.peer, chat.members.contains(&caller.account));
    let found: Vec<_> = window(timeline, id, ask)
        .into_iter()
        .map(|(id, entry)| message(world, caller, &mut company, id, entry))
        .collect();
    if own_numbers {
        Ok(types::messages::ChannelMessages {
            inexact: false,
            pts: timeline.pts(),
            count: timeline.len() as i32,
            offset_id_offset: None,
            messages: found,
            topics: Vec::new(),
            chats: company.chats(caller.viewer),
            users: company.users(caller.viewer),
        })
        .map(|answer| enums::messages::Messages::ChannelMessages(answer).to_bytes())
    } else {
        let count = timeline.messages().filter(|(_, e)| e.chat == id).count();
        Ok(own_messages(found, count, &company, caller).to_bytes())
    }
}

/// `messages.getMessages`: by the caller's own numbers.
pub(super) fn own(world: &World, caller: &Caller, ids: &[enums::InputMessage]) -> Vec<u8> {
    let timeline = &world.accounts[caller.account].timeline;
    let mut company = Company::default();
    let found = by_number(world, caller, timeline, ids, None, &mut company);
    let count = found.len();
    own_messages(found, count, &company, caller).to_bytes()
}

/// `channels.getMessages`
pub(super) fn of_channel(world: &World, caller: &Caller, ask: &channels::GetMessages) -> Answer {
    let chat = peers::readable(world, caller, &ask.channel)?;
    if ask.id.len() > MAX_PAGE as usize {
        return Err(bad("MSG_ID_INVALID"));
    }
    let mut company = Company::default();
    company.add_chat(&chat.peer, chat.members.contains(&caller.account));
    let found = by_number(world, caller, &chat.timeline, &ask.id, Some(chat.peer.id), &mut company);
    let answer = types::messages::ChannelMessages {
        inexact: false,
        pts: chat.timeline.pts(),
        count: found.len() as i32,
        offset_id_offset: None,
        messages: found,
        topics: Vec::new(),
        chats: company.chats(caller.viewer),
        users: company.users(caller.viewer),
    };
    Ok(enums::messages::Messages::ChannelMessages(answer).to_bytes())
}

/// One message per number asked for; an empty one where there is none.
fn by_number(
    world: &World,
    caller: &Caller,
    timeline: &Timeline,
    ids: &[enums::InputMessage],
    chat: Option<i64>,
    company: &mut Company,
) -> Vec<enums::Message> {
    ids.iter()
        .take(MAX_PAGE as usize)
        .map(|id| {
            let found = match id {
                enums::InputMessage::Id(id) => Some(id.id),
                enums::InputMessage::ReplyTo(of) => timeline
                    .shown(of.id)
                    .and_then(|entry| world.local_reply(chat.is_none().then_some(caller.account), entry)),
                enums::InputMessage::Pinned | enums::InputMessage::CallbackQuery(_) => None,
            };
            let id = found.unwrap_or(0);
            match timeline.shown(id) {
                Some(entry) => message(world, caller, company, id, entry),
                None => types::MessageEmpty {
                    id,
                    peer_id: chat.map(view::peer),
                }
                .into(),
            }
        })
        .collect()
}

/// The answer for private chats and basic groups; `count` = messages there are in all.
fn own_messages(
    found: Vec<enums::Message>,
    count: usize,
    company: &Company,
    caller: &Caller,
) -> enums::messages::Messages {
    let (chats, users) = (company.chats(caller.viewer), company.users(caller.viewer));
    if found.len() >= count {
        return types::messages::Messages {
            messages: found,
            topics: Vec::new(),
            chats,
            users,
        }
        .into();
    }
    types::messages::MessagesSlice {
        inexact: false,
        count: count as i32,
        next_rate: None,
        offset_id_offset: None,
        search_flood: None,
        messages: found,
        topics: Vec::new(),
        chats,
        users,
    }
    .into()
}

/// Cuts a page out of a chat's history, newest first. `offset_id` (or the date) is the place,
/// `add_offset` moves it to older ones or, below zero, to newer ones; what falls outside the
/// history is cut off, not replaced.
fn window<'t>(timeline: &'t Timeline, chat: i64, ask: &messages::GetHistory) -> Vec<(i32, &'t Entry)> {
    let place = if ask.offset_id > 0 {
        ask.offset_id
    } else if ask.offset_date > 0 {
        timeline
            .messages()
            .rev()
            .find(|(_, entry)| entry.chat == chat && entry.content.date < ask.offset_date)
            .map_or(0, |(id, _)| id + 1)
    } else {
        i32::MAX
    };
    let limit = ask.limit.clamp(0, MAX_PAGE);
    let newer = ask.add_offset.saturating_neg().max(0);
    let older = ask.add_offset.max(0);
    let here = |(_, entry): &(i32, &Entry)| entry.chat == chat;

    let mut page: Vec<_> = timeline
        .from(place)
        .filter(here)
        .skip((newer - limit).max(0) as usize)
        .take(newer.min(limit) as usize)
        .collect();
    page.reverse();
    page.extend(
        timeline
            .before(place)
            .filter(here)
            .skip(older as usize)
            .take((limit - newer).max(0) as usize),
    );
    page.retain(|(id, _)| *id > ask.min_id && (ask.max_id == 0 || *id < ask.max_id));
    page
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::world::message::Content;

    fn timeline(ids: std::ops::RangeInclusive<i32>) -> Timeline {
        let mut timeline = Timeline::new(*ids.start(), 1, 1_000);
        for date in ids {
            timeline.push(
                Entry {
                    chat: 1,
                    own_number: date,
                    content: Arc::new(Content {
                        date,
                        edit_date: None,
                        text: "x".into(),
                        entities: vec![],
                        buttons: vec![],
                        from: None,
                        reply_to: None,
                        forward: None,
                        signature: None,
                        service: None,
                        addresses: vec![],
                        mark: None,
                    }),
                },
                date,
            );
        }
        timeline
    }

    fn ids(offset_id: i32, add_offset: i32, limit: i32, min_id: i32, max_id: i32) -> Vec<i32> {
        let ask = messages::GetHistory {
            peer: enums::InputPeer::Empty,
            offset_id,
            offset_date: 0,
            add_offset,
            limit,
            max_id,
            min_id,
            hash: 0,
        };
        let timeline = timeline(1..=10);
        window(&timeline, 1, &ask).iter().map(|(id, _)| *id).collect()
    }

    #[test]
    fn pages_go_back_and_forth() {
        assert_eq!(ids(0, 0, 3, 0, 0), [10, 9, 8]);
        assert_eq!(ids(8, 0, 3, 0, 0), [7, 6, 5]);
        assert_eq!(ids(8, 2, 3, 0, 0), [5, 4, 3]);
        // As clients page towards the newest: from id 8 on, three, itself included.
        assert_eq!(ids(8, -3, 3, 0, 0), [10, 9, 8]);
        assert_eq!(ids(8, -2, 3, 0, 0), [9, 8, 7]);
        assert_eq!(ids(10, -3, 3, 9, 0), [10]);
        assert_eq!(ids(1, -2, 3, 0, 0), [2, 1]);
        assert_eq!(ids(0, 0, 100, 3, 7), [6, 5, 4]);
        assert_eq!(ids(0, 0, 0, 0, 0), [0_i32; 0]);
    }
}
