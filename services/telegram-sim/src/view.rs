//! How the world looks to one account, in TL types of layer 230.
//!
//! Telethon (layer 229) reads them as well: between the two layers only constructors of wallets
//! and the like were added, and none of those is used here.

use std::sync::Arc;

use grammers_tl_types::{enums, types};

use crate::world::Identity;
use crate::world::message::{Button, Content, Entity, EntityKind, Forward, Service};
use crate::world::peer::{CHANNEL_BASE, ChatKind, ChatPeer, User};

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

/// Message number `id` of `chat`; `reply_to` is the answered message's number in the same
/// timeline.
pub(crate) fn message(chat: &ChatPeer, id: i32, content: &Content, reply_to: Option<i32>) -> enums::Message {
    let post = chat.kind == ChatKind::Channel;
    let from_id = content.from.filter(|_| !post && chat.kind != ChatKind::User).map(peer);
    if let Some(service) = &content.service {
        return types::MessageService {
            out: false,
            mentioned: false,
            media_unread: false,
            reactions_are_possible: false,
            silent: false,
            post,
            legacy: false,
            id,
            from_id,
            peer_id: peer(chat.id),
            saved_peer_id: None,
            reply_to: reply_to.map(reply_header),
            date: content.date,
            action: match service {
                Service::Created => types::MessageActionChannelCreate {
                    title: chat.title.clone(),
                }
                .into(),
                Service::Joined(user) => types::MessageActionChatAddUser { users: vec![*user] }.into(),
                Service::Pinned => enums::MessageAction::PinMessage,
            },
            reactions: None,
            ttl_period: None,
        }
        .into();
    }
    types::Message {
        out: false,
        mentioned: false,
        media_unread: false,
        silent: false,
        post,
        from_scheduled: false,
        legacy: false,
        edit_hide: false,
        pinned: false,
        noforwards: false,
        invert_media: false,
        offline: false,
        video_processing_pending: false,
        paid_suggested_post_stars: false,
        paid_suggested_post_ton: false,
        id,
        from_id,
        from_boosts_applied: None,
        from_rank: None,
        peer_id: peer(chat.id),
        saved_peer_id: None,
        fwd_from: content
            .forward
            .as_ref()
            .map(|forward| forward_header(forward, content.date)),
        via_bot_id: None,
        via_business_bot_id: None,
        guestchat_via_from: None,
        reply_to: reply_to.map(reply_header),
        date: content.date,
        message: content.text.clone(),
        media: None,
        reply_markup: markup(&content.buttons),
        entities: entities(&content.entities),
        // A made-up but stable count: views and forwards stand together on posts.
        views: post.then_some(id % 4_093 + 1),
        forwards: post.then_some(id % 13),
        replies: None,
        edit_date: content.edit_date,
        post_author: content.signature.clone(),
        grouped_id: None,
        reactions: None,
        restriction_reason: None,
        ttl_period: None,
        quick_reply_shortcut_id: None,
        effect: None,
        factcheck: None,
        report_delivery_until_date: None,
        paid_message_stars: None,
        suggested_post: None,
        schedule_repeat_period: None,
        summary_from_language: None,
        rich_message: None,
    }
    .into()
}

pub(crate) fn entities(entities: &[Entity]) -> Option<Vec<enums::MessageEntity>> {
    if entities.is_empty() {
        return None;
    }
    Some(entities.iter().map(entity).collect())
}

fn entity(entity: &Entity) -> enums::MessageEntity {
    let (offset, length) = (entity.offset, entity.length);
    match &entity.kind {
        EntityKind::Mention => types::MessageEntityMention { offset, length }.into(),
        EntityKind::Hashtag => types::MessageEntityHashtag { offset, length }.into(),
        EntityKind::Cashtag => types::MessageEntityCashtag { offset, length }.into(),
        EntityKind::Url => types::MessageEntityUrl { offset, length }.into(),
        EntityKind::TextUrl { url } => types::MessageEntityTextUrl {
            offset,
            length,
            url: url.clone(),
        }
        .into(),
        EntityKind::Bold => types::MessageEntityBold { offset, length }.into(),
        EntityKind::Italic => types::MessageEntityItalic { offset, length }.into(),
        EntityKind::Underline => types::MessageEntityUnderline { offset, length }.into(),
        EntityKind::Strike => types::MessageEntityStrike { offset, length }.into(),
        EntityKind::Code => types::MessageEntityCode { offset, length }.into(),
        EntityKind::Pre { language } => types::MessageEntityPre {
            offset,
            length,
            language: language.clone(),
        }
        .into(),
        EntityKind::Spoiler => types::MessageEntitySpoiler { offset, length }.into(),
        EntityKind::Blockquote => types::MessageEntityBlockquote {
            collapsed: false,
            offset,
            length,
        }
        .into(),
    }
}

fn markup(buttons: &[Button]) -> Option<enums::ReplyMarkup> {
    if buttons.is_empty() {
        return None;
    }
    let rows = buttons
        .iter()
        .map(|button| {
            let (text, kind): (_, enums::InlineButtonType) = match button {
                Button::Url { text, url } => (text, types::InlineButtonTypeUrl { url: url.clone() }.into()),
                Button::Copy { text, copy } => (
                    text,
                    types::InlineButtonTypeCopy {
                        copy_text: copy.clone(),
                    }
                    .into(),
                ),
            };
            types::KeyboardInlineButtonRow {
                buttons: vec![
                    types::KeyboardInlineButton {
                        style: None,
                        text: text.clone(),
                        r#type: kind,
                    }
                    .into(),
                ],
            }
            .into()
        })
        .collect();
    Some(
        types::ReplyInlineMarkup {
            force_reply: false,
            rows,
        }
        .into(),
    )
}

pub(crate) fn reply_header(id: i32) -> enums::MessageReplyHeader {
    types::MessageReplyHeader {
        reply_to_scheduled: false,
        forum_topic: false,
        quote: false,
        reply_to_ephemeral: false,
        reply_to_msg_id: Some(id),
        reply_to_peer_id: None,
        reply_from: None,
        reply_media: None,
        reply_to_top_id: None,
        quote_text: None,
        quote_entities: None,
        quote_offset: None,
        todo_item_id: None,
        poll_option: None,
    }
    .into()
}

fn forward_header(forward: &Forward, date: i32) -> enums::MessageFwdHeader {
    types::MessageFwdHeader {
        imported: false,
        saved_out: false,
        from_id: forward.from.map(peer),
        from_name: forward.from_name.clone(),
        date: forward.date.unwrap_or(date),
        channel_post: forward.message_id,
        post_author: None,
        saved_from_peer: None,
        saved_from_msg_id: None,
        saved_from_id: None,
        saved_from_name: None,
        saved_date: None,
        psa_type: None,
    }
    .into()
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
