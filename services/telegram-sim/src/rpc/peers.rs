//! From what a client names to what the world has. Telegram takes a peer only together with the
//! access hash that this very account was given.

use grammers_tl_types::enums;

use super::{Caller, Failure, bad};
use crate::world::peer::CHANNEL_BASE;
use crate::world::{Chat, World};

pub(super) const CHANNEL_INVALID: Failure = bad("CHANNEL_INVALID");
pub(super) const CHANNEL_PRIVATE: Failure = bad("CHANNEL_PRIVATE");
pub(super) const PEER_ID_INVALID: Failure = bad("PEER_ID_INVALID");
pub(super) const USER_ID_INVALID: Failure = bad("USER_ID_INVALID");

/// The Bot-API id of a peer the caller may name.
pub(super) fn peer(world: &World, caller: &Caller, peer: &enums::InputPeer) -> Result<i64, Failure> {
    match peer {
        enums::InputPeer::PeerSelf => Ok(caller.viewer.user_id),
        enums::InputPeer::Chat(chat) => {
            let id = chat.chat_id.checked_neg().ok_or(PEER_ID_INVALID)?;
            if world.is_member(caller.account, id) {
                Ok(id)
            } else {
                Err(PEER_ID_INVALID)
            }
        }
        enums::InputPeer::User(user) => {
            known_user(world, caller, user.user_id, user.access_hash).ok_or(PEER_ID_INVALID)
        }
        enums::InputPeer::Channel(channel) => channel_id(world, caller, channel.channel_id, channel.access_hash),
        enums::InputPeer::Empty | enums::InputPeer::UserFromMessage(_) | enums::InputPeer::ChannelFromMessage(_) => {
            Err(PEER_ID_INVALID)
        }
    }
}

/// A channel or supergroup that the caller may name.
pub(super) fn channel<'w>(
    world: &'w World,
    caller: &Caller,
    channel: &enums::InputChannel,
) -> Result<&'w Chat, Failure> {
    let enums::InputChannel::Channel(channel) = channel else {
        return Err(CHANNEL_INVALID);
    };
    let id = channel_id(world, caller, channel.channel_id, channel.access_hash)?;
    world.chats.get(&id).ok_or(CHANNEL_INVALID)
}

/// The same, if the caller may also read it: as a member, or because it is public.
pub(super) fn readable<'w>(
    world: &'w World,
    caller: &Caller,
    input: &enums::InputChannel,
) -> Result<&'w Chat, Failure> {
    let chat = channel(world, caller, input)?;
    if may_read(caller, chat) {
        Ok(chat)
    } else {
        Err(CHANNEL_PRIVATE)
    }
}

pub(super) fn may_read(caller: &Caller, chat: &Chat) -> bool {
    chat.peer.username.is_some() || chat.members.contains(&caller.account)
}

/// The id of a user that the caller may name.
pub(super) fn user(world: &World, caller: &Caller, user: &enums::InputUser) -> Result<i64, Failure> {
    match user {
        enums::InputUser::UserSelf => Ok(caller.viewer.user_id),
        enums::InputUser::User(user) => {
            known_user(world, caller, user.user_id, user.access_hash).ok_or(USER_ID_INVALID)
        }
        enums::InputUser::Empty | enums::InputUser::FromMessage(_) => Err(USER_ID_INVALID),
    }
}

fn known_user(world: &World, caller: &Caller, id: i64, hash: i64) -> Option<i64> {
    let known = world.users.contains_key(&id);
    (known && (id == caller.viewer.user_id || hash == caller.viewer.hash(id))).then_some(id)
}

fn channel_id(world: &World, caller: &Caller, bare: i64, hash: i64) -> Result<i64, Failure> {
    let id = CHANNEL_BASE.checked_sub(bare).ok_or(CHANNEL_INVALID)?;
    let known = bare > 0
        && world
            .chats
            .get(&id)
            .is_some_and(|chat| chat.peer.kind.has_own_numbers());
    if known && hash == caller.viewer.hash(id) {
        Ok(id)
    } else {
        Err(CHANNEL_INVALID)
    }
}
