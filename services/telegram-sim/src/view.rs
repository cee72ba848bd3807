//! How the world looks to one account, in TL types of layer 230.
//!
//! Telethon (layer 229) reads them as well: between the two layers only constructors of wallets
//! and the like were added, and none of those is used here.

mod message;

use std::sync::Arc;

use grammers_tl_types::{enums, types};

use crate::world::Identity;
use crate::world::peer::{CHANNEL_BASE, ChatKind, ChatPeer, User};

pub(crate) use message::{entities, message, reply_header};

/// The account that looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer {
    pub(crate) identity: Identity,
    pub(crate) user_id: i64,
}

/// The TL peer of a Bot-API id.
pub(crate) fn peer(id: i64) -> enums::Peer {
    if id > 0 {
        types::PeerUser { user_id: id }.into()
    } else if id < CHANNEL_BASE {
        types::PeerChannel {
            channel_id: CHANNEL_BASE - id,
        }
        .into()
    } else {
        types::PeerChat { chat_id: -id }.into()
    }
}

impl Viewer {
    /// The hash under which this account may name the peer.
    pub(crate) fn hash(self, id: i64) -> i64 {
        self.identity.access_hash(self.user_id, id)
    }

    pub(crate) fn user(self, user: &User) -> enums::User {
        let own = user.id == self.user_id;
        types::User {
            is_self: own,
            contact: false,
            mutual_contact: false,
            deleted: false,
            bot: user.bot,
            bot_chat_history: false,
            bot_nochats: false,
            verified: false,
            restricted: false,
            min: false,
            bot_inline_geo: false,
            support: false,
            scam: false,
            apply_min_photo: false,
            fake: false,
            bot_attach_menu: false,
            premium: false,
            attach_menu_enabled: false,
            bot_can_edit: false,
            close_friend: false,
            stories_hidden: false,
            stories_unavailable: true,
            contact_require_premium: false,
            bot_business: false,
            bot_has_main_app: false,
            bot_forum_view: false,
            bot_forum_can_manage_topics: false,
            bot_can_manage_bots: false,
            bot_guestchat: false,
            bot_guard: false,
            id: user.id,
            access_hash: Some(self.hash(user.id)),
            first_name: Some(user.first_name.clone()),
            last_name: user.last_name.clone(),
            username: user.username.clone(),
            phone: user.phone.clone().filter(|_| own),
            photo: None,
            status: None,
            bot_info_version: user.bot.then_some(1),
            restriction_reason: None,
            bot_inline_placeholder: None,
            lang_code: None,
            emoji_status: None,
            usernames: None,
            stories_max_id: None,
            color: None,
            profile_color: None,
            bot_active_users: None,
            bot_verification_icon: None,
            send_paid_messages_stars: None,
            linked_community_id: None,
        }
        .into()
    }

    /// The same as an account sees a person it has not met.
    pub(crate) fn min_user(self, user: &User) -> enums::User {
        match self.user(user) {
            enums::User::User(whole) => types::User {
                min: true,
                access_hash: whole.access_hash.map(|hash| !hash),
                ..whole
            }
            .into(),
            empty @ enums::User::Empty(_) => empty,
        }
    }

    /// The same as an account sees a chat it has not met: the hash it comes with opens nothing.
    pub(crate) fn min_chat(self, chat: &ChatPeer) -> enums::Chat {
        match self.chat(chat, false) {
            enums::Chat::Channel(whole) => types::Channel {
                min: true,
                access_hash: whole.access_hash.map(|hash| !hash),
                ..whole
            }
            .into(),
            other => other,
        }
    }

    pub(crate) fn chat(self, chat: &ChatPeer, member: bool) -> enums::Chat {
        if chat.kind == ChatKind::Group {
            return types::Chat {
                creator: false,
                left: !member,
                deactivated: false,
                call_active: false,
                call_not_empty: false,
                noforwards: false,
                id: chat.bare_id(),
                title: chat.title.clone(),
                photo: enums::ChatPhoto::Empty,
                participants_count: chat.participants.min(200),
                date: chat.date,
                version: 1,
                migrated_to: None,
                admin_rights: None,
                default_banned_rights: None,
            }
            .into();
        }
        types::Channel {
            creator: false,
            left: !member,
            broadcast: chat.kind == ChatKind::Channel,
            verified: false,
            megagroup: chat.kind == ChatKind::Supergroup,
            restricted: false,
            signatures: chat.signatures,
            min: false,
            scam: false,
            has_link: false,
            has_geo: false,
            slowmode_enabled: false,
            call_active: false,
            call_not_empty: false,
            fake: false,
            gigagroup: false,
            noforwards: false,
            join_to_send: false,
            join_request: false,
            forum: false,
            stories_hidden: false,
            stories_hidden_min: true,
            stories_unavailable: true,
            signature_profiles: false,
            autotranslation: false,
            broadcast_messages_allowed: false,
            monoforum: false,
            forum_tabs: false,
            id: chat.bare_id(),
            access_hash: Some(self.hash(chat.id)),
            title: chat.title.clone(),
            username: chat.username.clone(),
            photo: enums::ChatPhoto::Empty,
            date: chat.date,
            restriction_reason: None,
            admin_rights: None,
            banned_rights: None,
            default_banned_rights: None,
            participants_count: Some(chat.participants),
            usernames: None,
            stories_max_id: None,
            color: None,
            profile_color: None,
            emoji_status: None,
            level: None,
            subscription_until_date: None,
            bot_verification_icon: None,
            send_paid_messages_stars: None,
            linked_monoforum_id: None,
            linked_community_id: None,
        }
        .into()
    }
}

/// Notification settings nobody has touched.
pub(crate) fn notify_settings() -> enums::PeerNotifySettings {
    types::PeerNotifySettings {
        show_previews: None,
        silent: None,
        mute_until: None,
        ios_sound: None,
        android_sound: None,
        other_sound: None,
        stories_muted: None,
        stories_hide_sender: None,
        stories_ios_sound: None,
        stories_android_sound: None,
        stories_other_sound: None,
    }
    .into()
}

/// Users and chats that an answer has to bring along, each once.
#[derive(Default)]
pub(crate) struct Company {
    users: Vec<Arc<User>>,
    chats: Vec<(Arc<ChatPeer>, bool)>,
}

impl Company {
    pub(crate) fn add_user(&mut self, user: &Arc<User>) {
        if !self.users.iter().any(|known| known.id == user.id) {
            self.users.push(Arc::clone(user));
        }
    }

    /// A private chat's peer is the person, who goes to the users.
    pub(crate) fn add_chat(&mut self, chat: &Arc<ChatPeer>, member: bool) {
        if chat.kind != ChatKind::User && !self.chats.iter().any(|(known, _)| known.id == chat.id) {
            self.chats.push((Arc::clone(chat), member));
        }
    }

    pub(crate) fn users(&self, viewer: Viewer) -> Vec<enums::User> {
        self.users.iter().map(|user| viewer.user(user)).collect()
    }

    pub(crate) fn chats(&self, viewer: Viewer) -> Vec<enums::Chat> {
        self.chats
            .iter()
            .map(|(chat, member)| viewer.chat(chat, *member))
            .collect()
    }
}
