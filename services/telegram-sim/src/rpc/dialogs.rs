//! The caller's list of chats.

use std::collections::HashMap;

use grammers_tl_types::functions::messages::{GetDialogs, GetPeerDialogs};
use grammers_tl_types::{Serializable, enums, types};

use super::{Answer, Caller, bad, difference, message, peers};
use crate::view::{self, Company};
use crate::world::peer::ChatKind;
use crate::world::timeline::Entry;
use crate::world::{Chat, Folder, World};

const MAX_PAGE: i32 = 100;
/// Telegram's number of the archive; nothing is archived here.
const ARCHIVE: i32 = 1;

/// A chat of the list with its last message.
struct Line<'w> {
    chat: &'w Chat,
    top: i32,
    entry: &'w Entry,
}

impl Line<'_> {
    /// The list goes from the largest key to the smallest: newest chat first.
    fn key(&self) -> (i32, i32, i64) {
        (self.entry.content.date, self.top, self.chat.peer.id)
    }
}

/// `messages.getDialogs`
pub(super) fn list(world: &World, caller: &Caller, ask: &GetDialogs) -> Answer {
    let mut lines = if ask.folder_id == Some(ARCHIVE) {
        Vec::new()
    } else {
        lines(world, caller)
    };
    lines.sort_unstable_by_key(|line| std::cmp::Reverse(line.key()));
    let count = lines.len();
    let peer = match &ask.offset_peer {
        enums::InputPeer::Empty => None,
        peer => Some(peers::peer(world, caller, peer)?),
    };
    if ask.offset_date > 0 || peer.is_some() {
        let date = if ask.offset_date > 0 { ask.offset_date } else { i32::MAX };
        let after = (date, ask.offset_id, peer.unwrap_or(i64::MIN));
        lines.retain(|line| line.key() < after);
    }
    let limit = if ask.limit <= 0 { MAX_PAGE } else { ask.limit };
    lines.truncate(limit.min(MAX_PAGE) as usize);

    let parts = parts(world, caller, &lines);
    let answer: enums::messages::Dialogs = if lines.len() == count {
        types::messages::Dialogs {
            dialogs: parts.dialogs,
            messages: parts.messages,
            chats: parts.company.chats(caller.viewer),
            users: parts.company.users(caller.viewer),
        }
        .into()
    } else {
        types::messages::DialogsSlice {
            count: count as i32,
            dialogs: parts.dialogs,
            messages: parts.messages,
            chats: parts.company.chats(caller.viewer),
            users: parts.company.users(caller.viewer),
        }
        .into()
    };
    Ok(answer.to_bytes())
}

/// `messages.getPeerDialogs`
pub(super) fn some(world: &World, caller: &Caller, ask: &GetPeerDialogs, now: i32) -> Answer {
    if ask.peers.len() > MAX_PAGE as usize {
        return Err(bad("INPUT_PEERS_EMPTY"));
    }
    let mut wanted = Vec::new();
    for peer in &ask.peers {
        if let enums::InputDialogPeer::Peer(peer) = peer {
            wanted.push(peers::peer(world, caller, &peer.peer)?);
        }
    }
    let mut lines = lines(world, caller);
    lines.retain(|line| wanted.contains(&line.chat.peer.id));
    Ok(peer_dialogs(world, caller, &lines, now))
}

/// `messages.getPinnedDialogs`: none is pinned.
pub(super) fn pinned(world: &World, caller: &Caller, now: i32) -> Vec<u8> {
    peer_dialogs(world, caller, &[], now)
}

/// `messages.getDialogFilters`: all chats, and the account's folders; while it has set none, the
/// folder "Calls" with every second chat.
pub(super) fn filters(world: &World, caller: &Caller) -> Vec<u8> {
    let account = &world.accounts[caller.account];
    let folders = account.folders.clone().unwrap_or_else(|| {
        let own = world.order.iter().filter_map(|id| world.chats.get(id));
        let own = own.filter(|chat| chat.members.contains(&caller.account));
        vec![Folder {
            title: "Calls".to_owned(),
            chats: own.step_by(2).map(|chat| chat.peer.id).collect(),
            without: Vec::new(),
            broadcasts: false,
            groups: false,
        }]
    });
    let peers = |ids: &[i64]| -> Vec<enums::InputPeer> {
        let chats = ids.iter().filter_map(|id| world.chats.get(id));
        chats.map(|chat| input_peer(caller, chat)).collect()
    };
    let mut filters = vec![enums::DialogFilter::Default];
    // Telegram's own numbers are below 2.
    filters.extend((2..).zip(&folders).map(|(id, folder)| {
        let filter = types::DialogFilter {
            contacts: false,
            non_contacts: false,
            groups: folder.groups,
            broadcasts: folder.broadcasts,
            bots: false,
            exclude_muted: false,
            exclude_read: false,
            exclude_archived: false,
            title_noanimate: false,
            id,
            title: types::TextWithEntities {
                text: folder.title.clone(),
                entities: Vec::new(),
            }
            .into(),
            emoticon: None,
            color: None,
            pinned_peers: Vec::new(),
            include_peers: peers(&folder.chats),
            exclude_peers: peers(&folder.without),
        };
        enums::DialogFilter::Filter(filter)
    }));
    enums::messages::DialogFilters::Filters(types::messages::DialogFilters {
        tags_enabled: false,
        filters,
    })
    .to_bytes()
}

/// `updateDialogFilters`: the client is to ask for them again.
pub(crate) fn filters_changed(now: i32) -> Vec<u8> {
    let update = types::UpdateShort {
        update: enums::Update::DialogFilters,
        date: now,
    };
    enums::Updates::UpdateShort(update).to_bytes()
}

fn input_peer(caller: &Caller, chat: &Chat) -> enums::InputPeer {
    let (bare, access_hash) = (chat.peer.bare_id(), caller.viewer.hash(chat.peer.id));
    match chat.peer.kind {
        ChatKind::Channel | ChatKind::Supergroup => types::InputPeerChannel {
            channel_id: bare,
            access_hash,
        }
        .into(),
        ChatKind::Group => types::InputPeerChat { chat_id: bare }.into(),
        ChatKind::User => types::InputPeerUser {
            user_id: bare,
            access_hash,
        }
        .into(),
    }
}

/// A channel's own line, for a difference that was too long.
pub(super) fn of_channel(chat: &Chat) -> enums::Dialog {
    let top = chat.timeline.messages().next_back().map_or(0, |(id, _)| id);
    dialog(chat, top)
}

/// Every chat the caller is in and that has a message.
fn lines<'w>(world: &'w World, caller: &Caller) -> Vec<Line<'w>> {
    let mut own: HashMap<i64, (i32, &Entry)> = HashMap::new();
    for (id, entry) in world.accounts[caller.account].timeline.messages().rev() {
        own.entry(entry.chat).or_insert((id, entry));
    }
    world
        .chats
        .values()
        .filter(|chat| world.is_seen(caller.account, chat))
        .filter_map(|chat| {
            let (top, entry) = if chat.peer.kind.has_own_numbers() {
                chat.timeline.messages().next_back()?
            } else {
                *own.get(&chat.peer.id)?
            };
            Some(Line { chat, top, entry })
        })
        .collect()
}

struct Parts {
    dialogs: Vec<enums::Dialog>,
    messages: Vec<enums::Message>,
    company: Company,
}

fn parts(world: &World, caller: &Caller, lines: &[Line<'_>]) -> Parts {
    let mut company = Company::default();
    let mut messages = Vec::with_capacity(lines.len());
    let mut dialogs = Vec::with_capacity(lines.len());
    for line in lines {
        if let Some(user) = world.users.get(&line.chat.peer.id) {
            company.add_user(user);
        }
        messages.push(message(world, caller, &mut company, line.top, line.entry));
        dialogs.push(dialog(line.chat, line.top));
    }
    Parts {
        dialogs,
        messages,
        company,
    }
}

fn peer_dialogs(world: &World, caller: &Caller, lines: &[Line<'_>], now: i32) -> Vec<u8> {
    let parts = parts(world, caller, lines);
    enums::messages::PeerDialogs::Dialogs(types::messages::PeerDialogs {
        dialogs: parts.dialogs,
        messages: parts.messages,
        chats: parts.company.chats(caller.viewer),
        users: parts.company.users(caller.viewer),
        state: difference::state(world, caller, now),
    })
    .to_bytes()
}

fn dialog(chat: &Chat, top: i32) -> enums::Dialog {
    types::Dialog {
        pinned: false,
        unread_mark: false,
        view_forum_as_messages: false,
        peer: view::peer(chat.peer.id),
        top_message: top,
        read_inbox_max_id: top,
        read_outbox_max_id: top,
        unread_count: 0,
        unread_mentions_count: 0,
        unread_reactions_count: 0,
        unread_poll_votes_count: 0,
        notify_settings: view::notify_settings(),
        pts: chat.peer.kind.has_own_numbers().then(|| chat.timeline.pts()),
        draft: None,
        folder_id: None,
        ttl_period: None,
    }
    .into()
}
