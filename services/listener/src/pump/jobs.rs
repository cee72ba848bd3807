//! Requests that run beside the pump. Each is one task, so that a flood wait or a slow answer
//! holds up nothing but itself; what they bring comes back as events.

use std::time::Duration;

use grammers_tl_types::functions::{channels, messages, updates};
use grammers_tl_types::{enums, types};
use tokio::sync::mpsc;

use crate::connection::{CallError, Calls};
use crate::peers;

/// Messages and dialogs in one answer: Telegram gives no more.
pub(super) const PAGE: i32 = 100;
/// Pages of a history that are read in one go; then others have their turn.
const MAX_PAGES: usize = 50;
/// A wait between two pages that is sat out.
const SHORT_WAIT: Duration = Duration::from_secs(10);
/// Most pages of dialogs.
const MAX_DIALOG_PAGES: usize = 100;

/// What a request brought.
#[derive(Debug)]
pub enum Event {
    /// The account's state at the server.
    State(Result<types::updates::State, CallError>),
    /// The same, asked for because nothing was heard for a while.
    OwnPlace(Result<types::updates::State, CallError>),
    /// All dialogs.
    Dialogs(Result<Dialogs, CallError>),
    /// The account's difference.
    Account(Result<enums::updates::Difference, CallError>),
    /// A channel's difference.
    Channel(i64, Box<Result<enums::updates::ChannelDifference, CallError>>),
    /// A channel's place at the server.
    ChannelPlace(i64, Result<Option<DialogPlace>, CallError>),
    /// A part of history, oldest message first.
    Page(Page),
    /// Messages that were asked for by their ids: the channel, or nothing for the account's own;
    /// the ids; the messages.
    Ids(Option<i64>, Vec<i32>, Result<Page, CallError>),
    /// History was read between two ids, as far as it could.
    Sweep(Option<i64>, (i32, i32), Result<(), CallError>),
    /// The places of these channels at the server.
    Places(Vec<i64>, Result<Vec<DialogPlace>, CallError>),
    /// Histories of private chats and basic groups were read, but for so many chats that refused.
    AccountHistory(Result<u64, CallError>),
}

/// The end of reading a history.
#[derive(Debug)]
struct HistoryEnd {
    /// Id of the last message that was read.
    read_to: i32,
    /// Whether there may be more behind it.
    is_cut: bool,
    /// Why it ended early.
    result: Result<(), CallError>,
}

/// Dialogs, and who is in them.
#[derive(Debug, Default)]
pub struct Dialogs {
    /// One for each chat.
    pub places: Vec<DialogPlace>,
    /// Chats.
    pub chats: Vec<enums::Chat>,
    /// People.
    pub users: Vec<enums::User>,
}

/// How far a chat is at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DialogPlace {
    /// Bot API id.
    pub chat_id: i64,
    /// Sequence of updates; channels and supergroups only.
    pub pts: Option<i32>,
    /// Its newest message.
    pub top_message: i32,
}

/// Messages, and who is in them.
#[derive(Debug, Default)]
pub struct Page {
    /// Oldest first.
    pub messages: Vec<enums::Message>,
    /// Chats.
    pub chats: Vec<enums::Chat>,
    /// People.
    pub users: Vec<enums::User>,
}

/// Asks for the account's state; `event` says what for.
pub async fn state(
    calls: Calls,
    events: mpsc::Sender<Event>,
    event: fn(Result<types::updates::State, CallError>) -> Event,
) {
    let answer = calls.call(&updates::GetState {}).await;
    let state = answer.map(|enums::updates::State::State(state)| state);
    let _ = events.send(event(state)).await;
}

pub async fn account_difference(calls: Calls, request: updates::GetDifference, events: mpsc::Sender<Event>) {
    let answer = calls.call(&request).await;
    let _ = events.send(Event::Account(answer)).await;
}

pub async fn channel_difference(
    calls: Calls,
    (id, access_hash): (i64, i64),
    pts: i32,
    limit: i32,
    events: mpsc::Sender<Event>,
) {
    let channel = types::InputChannel {
        channel_id: id,
        access_hash,
    };
    let request = updates::GetChannelDifference {
        force: false,
        channel: channel.into(),
        filter: enums::ChannelMessagesFilter::Empty,
        pts,
        limit,
    };
    let answer = calls.call(&request).await;
    let _ = events.send(Event::Channel(id, Box::new(answer))).await;
}

pub async fn channel_place(calls: Calls, id: i64, access_hash: i64, events: mpsc::Sender<Event>) {
    let places = places(&calls, &[(id, access_hash)]).await;
    let chat_id = peers::channel_chat_id(id);
    let place = places.map(|places| places.into_iter().find(|place| place.chat_id == chat_id));
    let _ = events.send(Event::ChannelPlace(id, place)).await;
}

/// The places of some channels: their ids and access hashes.
pub async fn channel_places(calls: Calls, channels: Vec<(i64, i64)>, events: mpsc::Sender<Event>) {
    let places = places(&calls, &channels).await;
    let asked = channels.into_iter().map(|(id, _)| id).collect();
    let _ = events.send(Event::Places(asked, places)).await;
}

async fn places(calls: &Calls, channels: &[(i64, i64)]) -> Result<Vec<DialogPlace>, CallError> {
    let peers = channels.iter().map(|&(channel_id, access_hash)| {
        let peer = types::InputPeerChannel {
            channel_id,
            access_hash,
        };
        types::InputDialogPeer { peer: peer.into() }.into()
    });
    let request = messages::GetPeerDialogs { peers: peers.collect() };
    let enums::messages::PeerDialogs::Dialogs(answer) = calls.call(&request).await?;
    Ok(answer.dialogs.iter().filter_map(place_of).collect())
}

pub async fn dialogs(calls: Calls, events: mpsc::Sender<Event>) {
    let dialogs = read_dialogs(&calls).await;
    let _ = events.send(Event::Dialogs(dialogs)).await;
}

/// Reads all dialogs, a page after the other.
///
/// # Errors
/// See [`CallError`].
pub async fn read_dialogs(calls: &Calls) -> Result<Dialogs, CallError> {
    let mut request = messages::GetDialogs {
        exclude_pinned: false,
        folder_id: None,
        offset_date: 0,
        offset_id: 0,
        offset_peer: enums::InputPeer::Empty,
        limit: PAGE,
        hash: 0,
    };
    let mut all = Dialogs::default();
    for _ in 0..MAX_DIALOG_PAGES {
        let (dialogs, messages, chats, users, is_last) = match calls.call(&request).await? {
            enums::messages::Dialogs::Dialogs(page) => (page.dialogs, page.messages, page.chats, page.users, true),
            enums::messages::Dialogs::Slice(page) => {
                let is_last = page.dialogs.is_empty();
                (page.dialogs, page.messages, page.chats, page.users, is_last)
            }
            enums::messages::Dialogs::NotModified(_) => break,
        };
        let before = all.places.len();
        for place in dialogs.iter().filter_map(place_of) {
            // Pages overlap when chats move up meanwhile.
            if !all.places.iter().any(|known| known.chat_id == place.chat_id) {
                all.places.push(place);
            }
        }
        let last = all.places.last().copied();
        let offset = last.and_then(|last| offset_peer(last.chat_id, &chats, &users));
        let date = last.and_then(|last| date_of(&messages, last));
        all.chats.extend(chats);
        all.users.extend(users);
        let (Some(last), Some(offset), false) = (last, offset, is_last || all.places.len() == before) else {
            break;
        };
        request.exclude_pinned = true;
        request.offset_id = last.top_message;
        request.offset_peer = offset;
        request.offset_date = date.unwrap_or(0);
    }
    Ok(all)
}

/// Reads what private chats and basic groups have behind `from`; their ids are one sequence.
pub async fn account_history(calls: Calls, from: i32, events: mpsc::Sender<Event>) {
    let result = read_account_history(&calls, from, &events).await;
    let _ = events.send(Event::AccountHistory(result)).await;
}

async fn read_account_history(calls: &Calls, from: i32, events: &mpsc::Sender<Event>) -> Result<u64, CallError> {
    let dialogs = read_dialogs(calls).await?;
    let mut failed = 0;
    for place in &dialogs.places {
        if place.pts.is_some() || place.top_message <= from {
            continue;
        }
        let Some(peer) = offset_peer(place.chat_id, &dialogs.chats, &dialogs.users) else {
            continue;
        };
        let mut from = from;
        loop {
            let end = read_history(calls, peer.clone(), (from, i32::MAX), events).await;
            from = end.read_to;
            match end.result {
                Ok(()) if end.is_cut => {}
                Ok(()) => break,
                Err(error @ CallError::Refused { .. }) => {
                    tracing::error!(chat_id = place.chat_id, read_to = from, %error,
                        "couldn't read a chat's history: messages behind this one are missing");
                    failed += 1;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(failed)
}

/// Asks for messages by their ids: of a channel (its id and access hash), or of the account's own
/// sequence.
pub async fn by_ids(calls: Calls, channel: Option<(i64, i64)>, ids: Vec<i32>, events: mpsc::Sender<Event>) {
    let id = ids
        .iter()
        .map(|&id| types::InputMessageId { id }.into())
        .collect::<Vec<enums::InputMessage>>();
    let answer = match channel {
        Some((channel_id, access_hash)) => {
            let channel = types::InputChannel {
                channel_id,
                access_hash,
            };
            let channel = channel.into();
            calls.call(&channels::GetMessages { channel, id }).await
        }
        None => calls.call(&messages::GetMessages { id }).await,
    };
    let channel = channel.map(|(id, _)| id);
    let _ = events.send(Event::Ids(channel, ids, answer.map(page_of))).await;
}

/// Reads a channel's history between two ids, both of them in it.
pub async fn sweep(calls: Calls, (id, access_hash): (i64, i64), from: i32, to: i32, events: mpsc::Sender<Event>) {
    let peer = types::InputPeerChannel {
        channel_id: id,
        access_hash,
    };
    let end = read_history(&calls, peer.into(), (from - 1, to), &events).await;
    let to = if end.is_cut { end.read_to } else { to };
    let _ = events.send(Event::Sweep(Some(id), (from, to), end.result)).await;
}

/// Reads the histories of private chats and basic groups behind `from`.
pub async fn own_sweep(calls: Calls, from: i32, to: i32, events: mpsc::Sender<Event>) {
    let result = read_account_history(&calls, from - 1, &events).await;
    let result = result.map(drop);
    let _ = events.send(Event::Sweep(None, (from, to), result)).await;
}

/// Pages go from old to new: each asks for the messages right above the last one.
async fn read_history(
    calls: &Calls,
    peer: enums::InputPeer,
    (from, to): (i32, i32),
    events: &mpsc::Sender<Event>,
) -> HistoryEnd {
    let mut read_to = from;
    for _ in 0..MAX_PAGES {
        let request = messages::GetHistory {
            peer: peer.clone(),
            // Message 0 does not exist; 1 with one step less includes message 1.
            offset_id: read_to.max(1),
            offset_date: 0,
            add_offset: if read_to == 0 { 1 - PAGE } else { -PAGE },
            limit: PAGE,
            max_id: 0,
            min_id: read_to,
            hash: 0,
        };
        let mut page = match calls.call(&request).await {
            Ok(answer) => page_of(answer),
            // A longer one is waited for by whoever ordered this, and others have their turn.
            Err(CallError::Flood(wait)) if wait <= SHORT_WAIT => {
                tokio::time::sleep(wait + Duration::from_millis(500)).await;
                continue;
            }
            Err(error) => {
                return HistoryEnd {
                    read_to,
                    is_cut: true,
                    result: Err(error),
                };
            }
        };
        page.messages.retain(|message| message_id(message) > read_to);
        page.messages.sort_unstable_by_key(message_id);
        let Some(last) = page.messages.last().map(message_id) else {
            return HistoryEnd {
                read_to,
                is_cut: false,
                result: Ok(()),
            };
        };
        // The pump takes pages while it has room: this is where a long history waits.
        let _ = events.send(Event::Page(page)).await;
        read_to = last;
        if last >= to {
            return HistoryEnd {
                read_to,
                is_cut: false,
                result: Ok(()),
            };
        }
    }
    HistoryEnd {
        read_to,
        is_cut: true,
        result: Ok(()),
    }
}

/// The messages of an answer.
pub fn page_of(answer: enums::messages::Messages) -> Page {
    let (messages, chats, users) = match answer {
        enums::messages::Messages::Messages(answer) => (answer.messages, answer.chats, answer.users),
        enums::messages::Messages::Slice(answer) => (answer.messages, answer.chats, answer.users),
        enums::messages::Messages::ChannelMessages(answer) => (answer.messages, answer.chats, answer.users),
        enums::messages::Messages::NotModified(_) => return Page::default(),
    };
    Page { messages, chats, users }
}

/// The id of a message, whatever it is.
pub fn message_id(message: &enums::Message) -> i32 {
    match message {
        enums::Message::Message(message) => message.id,
        enums::Message::Service(message) => message.id,
        enums::Message::Empty(message) => message.id,
    }
}

/// The place that a dialog tells; folders and communities are no chats.
pub(super) fn place_of(dialog: &enums::Dialog) -> Option<DialogPlace> {
    let enums::Dialog::Dialog(dialog) = dialog else {
        return None;
    };
    Some(DialogPlace {
        chat_id: peers::id_of(&dialog.peer),
        pts: dialog.pts,
        top_message: dialog.top_message,
    })
}

fn date_of(messages: &[enums::Message], place: DialogPlace) -> Option<i32> {
    messages.iter().find_map(|message| match message {
        enums::Message::Message(m) if m.id == place.top_message && peers::id_of(&m.peer_id) == place.chat_id => {
            Some(m.date)
        }
        enums::Message::Service(m) if m.id == place.top_message && peers::id_of(&m.peer_id) == place.chat_id => {
            Some(m.date)
        }
        _ => None,
    })
}

/// A chat as requests name it, by those that came with the dialogs.
pub fn offset_peer(chat_id: i64, chats: &[enums::Chat], users: &[enums::User]) -> Option<enums::InputPeer> {
    if let Some(channel_id) = peers::channel_id(chat_id) {
        let access_hash = chats.iter().find_map(|chat| match chat {
            enums::Chat::Channel(channel) if channel.id == channel_id => channel.access_hash,
            enums::Chat::ChannelForbidden(channel) if channel.id == channel_id => Some(channel.access_hash),
            _ => None,
        })?;
        let peer = types::InputPeerChannel {
            channel_id,
            access_hash,
        };
        return Some(peer.into());
    }
    if chat_id < 0 {
        return Some(types::InputPeerChat { chat_id: -chat_id }.into());
    }
    let access_hash = users.iter().find_map(|user| match user {
        enums::User::User(user) if user.id == chat_id => user.access_hash,
        _ => None,
    })?;
    let peer = types::InputPeerUser {
        user_id: chat_id,
        access_hash,
    };
    Some(peer.into())
}
