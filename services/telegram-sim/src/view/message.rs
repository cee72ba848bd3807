//! Messages in TL types.

use grammers_tl_types::{enums, types};

use super::peer;
use crate::faults::requests::Marked;
use crate::mtproto::odd;
use crate::world::message::{Button, Content, Entity, EntityKind, Forward, Service};
use crate::world::peer::{ChatKind, ChatPeer};

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
    let marked = content.marked();
    let mut entities = entities(&content.entities);
    if marked == Some(Marked::Entity) {
        entities.get_or_insert_default().push(odd::unknown_entity());
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
        media: (marked == Some(Marked::Media)).then_some(odd::UNKNOWN_MEDIA),
        reply_markup: markup(&content.buttons),
        entities,
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
