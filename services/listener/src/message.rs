//! A message of Telegram's, reduced to what detections are made of.
//!
//! Telegram's own structs take several hundred bytes before the first letter of text; this record
//! takes over their strings without copying them and lets the rest go, so that the queue behind
//! the socket holds a few hundred bytes a message.

mod markup;
mod rich;

use grammers_tl_types::{enums, types};
use tgmesh_detect::EntityKind;
use tgmesh_proto::detection::ChatKind;
use tgmesh_proto::id::{self, RevisionButton, RevisionEntity};

use crate::peers;

/// Most entities, buttons and links that are kept of a message. Telegram's limits are 100 entities
/// and 100 buttons; rich messages may be larger.
const MAX_PARTS: usize = 256;

/// One message in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Bot API id of the chat.
    pub chat_id: i64,
    /// Kind of the chat, as far as the message tells (a supergroup may be a channel).
    pub kind: ChatKind,
    /// Message id.
    pub id: i32,
    /// When it was posted, seconds since the epoch.
    pub date_s: i32,
    /// When it was last edited, seconds since the epoch; 0 if never.
    pub edit_date_s: i32,
    /// Telegram changed it without an edit by its author: reactions, views, previews.
    pub edit_hidden: bool,
    /// Text or caption.
    pub text: String,
    /// Marks over the text.
    pub marks: Vec<Mark>,
    /// Inline buttons.
    pub buttons: Vec<Button>,
    /// Links that hang on the message without standing in its text.
    pub links: Vec<String>,
    /// Message id that it answers.
    pub reply_to: Option<i32>,
    /// The part of that message which it quotes.
    pub quote: Option<String>,
    /// Where it was forwarded from.
    pub forward: Option<Box<Forward>>,
    /// Bot API id of the sender; nothing for channel posts.
    pub sender: Option<i64>,
    /// The revision of what was posted, once secrets are masked in what is kept.
    kept_revision: Option<String>,
}

/// A mark over a part of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Bot API name of its kind.
    pub kind: &'static str,
    /// Start in UTF-16 code units.
    pub offset: u32,
    /// Length in UTF-16 code units.
    pub length: u32,
    /// Target of a hidden link.
    pub url: Option<String>,
}

/// An inline button.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Button {
    /// Label.
    pub label: String,
    /// What it does, as far as it matters here.
    pub target: Target,
}

/// What a button does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Opens a link.
    Url(String),
    /// Copies a text.
    Copy(String),
    /// Something else.
    Other,
}

/// The origin of a forwarded message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// Bot API id; nothing when its owner hides it.
    pub id: Option<i64>,
    /// Name, where Telegram gives it instead of an id.
    pub name: Option<String>,
    /// Message id at the origin.
    pub message_id: Option<i32>,
    /// When the original was posted, seconds since the epoch.
    pub date_s: i32,
}

impl Record {
    /// Reduces a message; nothing for service messages and empty ones.
    #[must_use]
    pub fn of(message: enums::Message, self_id: i64) -> Option<Self> {
        let enums::Message::Message(message) = message else {
            return None;
        };
        let chat_id = peers::id_of(&message.peer_id);
        let kind = match &message.peer_id {
            enums::Peer::Channel(_) if message.post => ChatKind::Channel,
            enums::Peer::Channel(_) => ChatKind::Supergroup,
            enums::Peer::Chat(_) => ChatKind::Group,
            enums::Peer::User(_) => ChatKind::User,
        };
        let sender = match (&message.from_id, kind) {
            (Some(from), _) => Some(peers::id_of(from)),
            (None, ChatKind::User) if message.out => Some(self_id),
            // In a supergroup an anonymous admin, who posts in the group's name.
            (None, ChatKind::User | ChatKind::Supergroup) => Some(chat_id),
            (None, _) => None,
        };
        let mut links = Vec::new();
        if let Some(enums::MessageMedia::WebPage(media)) = message.media {
            links.extend(markup::page_url(media.webpage));
        }
        let mut text = message.message;
        let mut marks = markup::marks(message.entities.unwrap_or_default());
        let mut buttons = markup::buttons(message.reply_markup);
        if let Some(enums::RichMessage::Message(rich)) = message.rich_message {
            rich::read(rich.blocks, &mut text, &mut links, &mut buttons);
        }
        marks.truncate(MAX_PARTS);
        buttons.truncate(MAX_PARTS);
        links.truncate(MAX_PARTS);
        Some(Self {
            chat_id,
            kind,
            id: message.id,
            date_s: message.date,
            edit_date_s: message.edit_date.unwrap_or(0),
            edit_hidden: message.edit_hide,
            text,
            marks,
            buttons,
            links,
            reply_to: message.reply_to.as_ref().and_then(markup::reply_to),
            quote: message.reply_to.and_then(markup::quote),
            forward: message.fwd_from.map(|header| Box::new(markup::forward(header))),
            sender,
            kept_revision: None,
        })
    }

    /// Reduces the short form of a private message.
    #[must_use]
    pub fn of_short(short: types::UpdateShortMessage, self_id: i64) -> Self {
        Self {
            chat_id: short.user_id,
            kind: ChatKind::User,
            sender: Some(if short.out { self_id } else { short.user_id }),
            ..Self::short(
                short.id,
                short.date,
                short.message,
                short.entities,
                short.reply_to.as_ref(),
                short.fwd_from,
            )
        }
    }

    /// Reduces the short form of a basic group's message.
    #[must_use]
    pub fn of_short_chat(short: types::UpdateShortChatMessage) -> Self {
        Self {
            chat_id: -short.chat_id,
            kind: ChatKind::Group,
            sender: Some(short.from_id),
            ..Self::short(
                short.id,
                short.date,
                short.message,
                short.entities,
                short.reply_to.as_ref(),
                short.fwd_from,
            )
        }
    }

    fn short(
        id: i32,
        date_s: i32,
        text: String,
        entities: Option<Vec<enums::MessageEntity>>,
        reply_to: Option<&enums::MessageReplyHeader>,
        forward: Option<enums::MessageFwdHeader>,
    ) -> Self {
        let mut marks = markup::marks(entities.unwrap_or_default());
        marks.truncate(MAX_PARTS);
        Self {
            chat_id: 0,
            kind: ChatKind::User,
            id,
            date_s,
            edit_date_s: 0,
            edit_hidden: false,
            text,
            marks,
            buttons: Vec::new(),
            links: Vec::new(),
            reply_to: reply_to.and_then(markup::reply_to),
            quote: reply_to.cloned().and_then(markup::quote),
            forward: forward.map(|header| Box::new(markup::forward(header))),
            sender: None,
            kept_revision: None,
        }
    }

    /// The revision of this state; the same for every account that sees it.
    ///
    /// Taken over the message as it was posted, masked secrets included: two edits that differ in a
    /// secret alone are two states, and a revision must not change when masking learns something
    /// new. Its 32 bits of a hash say nothing about a secret of 128 bits or more: for every
    /// revision there are 2⁹⁶ phrases.
    #[must_use]
    pub fn revision(&self) -> String {
        if let Some(kept) = &self.kept_revision {
            return kept.clone();
        }
        let marks = self.marks.iter().map(|mark| RevisionEntity {
            kind: mark.kind,
            offset: mark.offset,
            length: mark.length,
            url: mark.url.as_deref().unwrap_or_default(),
        });
        let buttons = self.buttons.iter().map(|button| RevisionButton {
            text: &button.label,
            target: match &button.target {
                Target::Url(text) | Target::Copy(text) => text,
                Target::Other => "",
            },
        });
        id::revision(i64::from(self.edit_date_s), &self.text, marks, buttons)
    }

    /// Holds the revision fast, before the text is changed.
    pub fn keep_revision(&mut self) {
        self.kept_revision = Some(self.revision());
    }

    /// Bytes it occupies in the queue, about.
    #[must_use]
    pub fn size(&self) -> usize {
        let strings = self.text.len()
            + self.quote.as_ref().map_or(0, String::len)
            + self.links.iter().map(String::len).sum::<usize>();
        let marks = self
            .marks
            .iter()
            .map(|mark| size_of::<Mark>() + mark.url.as_ref().map_or(0, String::len));
        let buttons = self.buttons.iter().map(|button| {
            let target = match &button.target {
                Target::Url(text) | Target::Copy(text) => text.len(),
                Target::Other => 0,
            };
            size_of::<Button>() + button.label.len() + target
        });
        size_of::<Self>() + strings + marks.sum::<usize>() + buttons.sum::<usize>()
    }
}

impl Mark {
    /// The mark as the detector knows it.
    #[must_use]
    pub fn to_detect(&self) -> tgmesh_detect::Entity<'_> {
        tgmesh_detect::Entity {
            kind: EntityKind::from_name(self.kind),
            offset: self.offset as usize,
            length: self.length as usize,
            url: self.url.as_deref(),
        }
    }
}

impl Button {
    /// The button as the detector knows it; nothing when it carries nothing.
    #[must_use]
    pub fn to_detect(&self) -> Option<tgmesh_detect::Button<'_>> {
        match &self.target {
            Target::Url(url) => Some(tgmesh_detect::Button::Url(url)),
            Target::Copy(text) => Some(tgmesh_detect::Button::Copy(text)),
            Target::Other => None,
        }
    }
}

#[cfg(test)]
mod tests;
