//! Folders: people manage the list of chats in their own client.

use std::collections::HashSet;

use grammers_tl_types::{enums, functions};
use tgmesh_proto::detection::ChatKind;

use crate::connection::{CallError, Calls};
use crate::peers::{self, Peers};

/// The account's folders.
///
/// # Errors
/// See [`CallError`].
pub async fn read(calls: &Calls) -> Result<Vec<enums::DialogFilter>, CallError> {
    let answer = calls.call(&functions::messages::GetDialogFilters {}).await?;
    let enums::messages::DialogFilters::Filters(answer) = answer;
    Ok(answer.filters)
}

/// The chats in the folder with this title: those that were put into it, and of the account's
/// chats those of the kinds that it has all of. Nothing when there is no such folder.
pub fn chats_in(
    filters: &[enums::DialogFilter],
    title: &str,
    own_id: i64,
    dialogs: &HashSet<i64>,
    peers: &Peers,
) -> Option<Vec<i64>> {
    let is_it = |found: &enums::TextWithEntities| {
        let enums::TextWithEntities::Entities(found) = found;
        found.text.trim().to_lowercase() == title.to_lowercase()
    };
    let ids =
        |inputs: &[enums::InputPeer]| -> Vec<i64> { inputs.iter().filter_map(|peer| id_of(peer, own_id)).collect() };
    let mut chats: Vec<i64> = Vec::new();
    let mut is_there = false;
    for filter in filters {
        match filter {
            enums::DialogFilter::Filter(folder) if is_it(&folder.title) => {
                is_there = true;
                chats.extend(ids(&folder.pinned_peers));
                chats.extend(ids(&folder.include_peers));
                let out: HashSet<i64> = ids(&folder.exclude_peers).into_iter().collect();
                chats.extend(dialogs.iter().copied().filter(|&id| {
                    let kind = peers.chat(id, kind_of(id)).kind;
                    let wanted = match kind {
                        ChatKind::Channel => folder.broadcasts,
                        ChatKind::Supergroup | ChatKind::Group => folder.groups,
                        ChatKind::User => false,
                    };
                    wanted && !out.contains(&id)
                }));
            }
            enums::DialogFilter::Chatlist(folder) if is_it(&folder.title) => {
                is_there = true;
                chats.extend(ids(&folder.pinned_peers));
                chats.extend(ids(&folder.include_peers));
            }
            _ => {}
        }
    }
    chats.sort_unstable();
    chats.dedup();
    is_there.then_some(chats)
}

fn kind_of(id: i64) -> ChatKind {
    match id {
        1.. => ChatKind::User,
        _ if peers::channel_id(id).is_some() => ChatKind::Channel,
        _ => ChatKind::Group,
    }
}

fn id_of(peer: &enums::InputPeer, own_id: i64) -> Option<i64> {
    match peer {
        enums::InputPeer::PeerSelf => Some(own_id),
        enums::InputPeer::User(user) => Some(user.user_id),
        enums::InputPeer::UserFromMessage(user) => Some(user.user_id),
        enums::InputPeer::Chat(chat) => chat.chat_id.checked_neg(),
        enums::InputPeer::Channel(channel) => Some(peers::channel_chat_id(channel.channel_id)),
        enums::InputPeer::ChannelFromMessage(channel) => Some(peers::channel_chat_id(channel.channel_id)),
        enums::InputPeer::Empty => None,
    }
}
