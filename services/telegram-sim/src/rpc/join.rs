//! Finding chats by name or invitation, and joining them.

use grammers_tl_types::{Serializable, enums, types};

use super::{Answer, Caller, bad, peers};
use crate::view::{self, Company};
use crate::world::World;
use crate::world::peer::ChatKind;

/// `contacts.resolveUsername`
pub(super) fn resolve(world: &World, caller: &Caller, username: &str) -> Answer {
    let fits = (1..=32).contains(&username.len()) && username.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !fits {
        return Err(bad("USERNAME_INVALID"));
    }
    let id = world
        .usernames
        .get(&username.to_lowercase())
        .ok_or(bad("USERNAME_NOT_OCCUPIED"))?;
    let mut company = Company::default();
    if let Some(chat) = world.chats.get(id) {
        company.add_chat(&chat.peer, chat.members.contains(&caller.account));
    }
    if let Some(user) = world.users.get(id) {
        company.add_user(user);
    }
    let answer = types::contacts::ResolvedPeer {
        peer: view::peer(*id),
        chats: company.chats(caller.viewer),
        users: company.users(caller.viewer),
    };
    Ok(enums::contacts::ResolvedPeer::Peer(answer).to_bytes())
}

/// `channels.joinChannel`
pub(super) fn by_channel(world: &mut World, caller: &Caller, channel: &enums::InputChannel, now_us: u64) -> Answer {
    let id = peers::readable(world, caller, channel)?.peer.id;
    world.join(caller.account, id, now_us);
    joined(world, caller, id, now_us)
}

/// `messages.checkChatInvite`
pub(super) fn check(world: &World, caller: &Caller, hash: &str) -> Answer {
    let chat = world
        .invites
        .get(hash)
        .and_then(|id| world.chats.get(id))
        .ok_or(bad("INVITE_HASH_EXPIRED"))?;
    if chat.members.contains(&caller.account) {
        let already = types::ChatInviteAlready {
            chat: caller.viewer.chat(&chat.peer, true),
        };
        return Ok(enums::ChatInvite::Already(already).to_bytes());
    }
    let invite = types::ChatInvite {
        channel: true,
        broadcast: chat.peer.kind == ChatKind::Channel,
        public: false,
        megagroup: chat.peer.kind == ChatKind::Supergroup,
        request_needed: false,
        verified: false,
        scam: false,
        fake: false,
        can_refulfill_subscription: false,
        title: chat.peer.title.clone(),
        about: Some(chat.peer.about.clone()),
        photo: types::PhotoEmpty { id: 0 }.into(),
        participants_count: chat.peer.participants,
        participants: None,
        color: 0,
        subscription_pricing: None,
        subscription_form_id: None,
        bot_verification: None,
    };
    Ok(enums::ChatInvite::Invite(invite).to_bytes())
}

/// `messages.importChatInvite`
pub(super) fn by_invite(world: &mut World, caller: &Caller, hash: &str, now_us: u64) -> Answer {
    let id = *world.invites.get(hash).ok_or(bad("INVITE_HASH_EXPIRED"))?;
    if !world.join(caller.account, id, now_us) {
        return Err(bad("USER_ALREADY_PARTICIPANT"));
    }
    joined(world, caller, id, now_us)
}

fn joined(world: &World, caller: &Caller, id: i64, now_us: u64) -> Answer {
    let chat = world.chats.get(&id).ok_or(peers::CHANNEL_INVALID)?;
    let updates = types::Updates {
        updates: vec![
            types::UpdateChannel {
                channel_id: chat.peer.bare_id(),
            }
            .into(),
        ],
        users: Vec::new(),
        chats: vec![caller.viewer.chat(&chat.peer, true)],
        date: (now_us / 1_000_000) as i32,
        seq: 0,
    };
    let joined = types::messages::ChatInviteJoinResultOk {
        updates: updates.into(),
    };
    Ok(enums::messages::ChatInviteJoinResult::Ok(joined).to_bytes())
}
