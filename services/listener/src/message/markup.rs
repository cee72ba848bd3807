//! Entities, buttons, forwards and replies.

use grammers_tl_types::enums::{self, InlineButtonType, MessageEntity};

use super::{Button, Forward, Mark, Target};
use crate::peers;

pub(super) fn marks(entities: Vec<MessageEntity>) -> Vec<Mark> {
    entities.into_iter().filter_map(mark).collect()
}

/// Names are the Bot API's. Offsets come from outside: what is negative is no mark.
fn mark(entity: MessageEntity) -> Option<Mark> {
    let (kind, offset, length, url) = match entity {
        MessageEntity::Unknown(e) => ("unknown", e.offset, e.length, None),
        MessageEntity::Mention(e) => ("mention", e.offset, e.length, None),
        MessageEntity::Hashtag(e) => ("hashtag", e.offset, e.length, None),
        MessageEntity::BotCommand(e) => ("bot_command", e.offset, e.length, None),
        MessageEntity::Url(e) => ("url", e.offset, e.length, None),
        MessageEntity::Email(e) => ("email", e.offset, e.length, None),
        MessageEntity::Bold(e) => ("bold", e.offset, e.length, None),
        MessageEntity::Italic(e) => ("italic", e.offset, e.length, None),
        MessageEntity::Code(e) => ("code", e.offset, e.length, None),
        MessageEntity::Pre(e) => ("pre", e.offset, e.length, None),
        MessageEntity::TextUrl(e) => ("text_link", e.offset, e.length, Some(e.url)),
        MessageEntity::MentionName(e) => ("text_mention", e.offset, e.length, None),
        MessageEntity::InputMessageEntityMentionName(e) => ("text_mention", e.offset, e.length, None),
        MessageEntity::Phone(e) => ("phone_number", e.offset, e.length, None),
        MessageEntity::Cashtag(e) => ("cashtag", e.offset, e.length, None),
        MessageEntity::Underline(e) => ("underline", e.offset, e.length, None),
        MessageEntity::Strike(e) => ("strikethrough", e.offset, e.length, None),
        MessageEntity::BankCard(e) => ("bank_card", e.offset, e.length, None),
        MessageEntity::Spoiler(e) => ("spoiler", e.offset, e.length, None),
        MessageEntity::CustomEmoji(e) => ("custom_emoji", e.offset, e.length, None),
        MessageEntity::Blockquote(e) if e.collapsed => ("expandable_blockquote", e.offset, e.length, None),
        MessageEntity::Blockquote(e) => ("blockquote", e.offset, e.length, None),
        MessageEntity::FormattedDate(e) => ("date_time", e.offset, e.length, None),
        MessageEntity::TonAddress(e) => ("ton_address", e.offset, e.length, None),
        MessageEntity::DiffInsert(e) => ("diff_insert", e.offset, e.length, None),
        MessageEntity::DiffReplace(e) => ("diff_replace", e.offset, e.length, None),
        MessageEntity::DiffDelete(e) => ("diff_delete", e.offset, e.length, None),
    };
    Some(Mark {
        kind,
        offset: u32::try_from(offset).ok()?,
        length: u32::try_from(length).ok()?,
        url,
    })
}

pub(super) fn buttons(markup: Option<enums::ReplyMarkup>) -> Vec<Button> {
    let Some(enums::ReplyMarkup::ReplyInlineMarkup(markup)) = markup else {
        return Vec::new();
    };
    let rows = markup.rows.into_iter().flat_map(|row| {
        let enums::KeyboardInlineButtonRow::Row(row) = row;
        row.buttons
    });
    rows.map(|button| {
        let enums::KeyboardInlineButton::Button(button) = button;
        Button {
            label: button.text,
            target: target(button.r#type),
        }
    })
    .collect()
}

pub(super) fn target(kind: InlineButtonType) -> Target {
    match kind {
        InlineButtonType::Url(button) => Target::Url(button.url),
        InlineButtonType::UrlAuth(button) => Target::Url(button.url),
        InlineButtonType::WebView(button) => Target::Url(button.url),
        InlineButtonType::Copy(button) => Target::Copy(button.copy_text),
        _ => Target::Other,
    }
}

/// The address of a link preview.
pub(super) fn page_url(page: enums::WebPage) -> Option<String> {
    match page {
        enums::WebPage::Page(page) => Some(page.url),
        enums::WebPage::Pending(page) => page.url,
        enums::WebPage::Empty(page) => page.url,
        enums::WebPage::NotModified(_) => None,
    }
}

pub(super) fn reply_to(header: &enums::MessageReplyHeader) -> Option<i32> {
    match header {
        // A reply into another chat has that chat's numbering.
        enums::MessageReplyHeader::Header(header) if header.reply_to_peer_id.is_none() => header.reply_to_msg_id,
        _ => None,
    }
}

/// The quoted part of the message that is answered, in this chat or another.
pub(super) fn quote(header: enums::MessageReplyHeader) -> Option<String> {
    match header {
        enums::MessageReplyHeader::Header(header) => header.quote_text.filter(|text| !text.is_empty()),
        enums::MessageReplyHeader::MessageReplyStoryHeader(_) => None,
    }
}

pub(super) fn forward(header: enums::MessageFwdHeader) -> Forward {
    let enums::MessageFwdHeader::Header(header) = header;
    Forward {
        id: header.from_id.as_ref().map(peers::id_of),
        name: header.from_name.or(header.post_author),
        message_id: header.channel_post,
        date_s: header.date,
    }
}
