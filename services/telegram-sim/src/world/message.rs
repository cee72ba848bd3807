//! What a message says, in the shapes the control port takes.

use serde::{Deserialize, Serialize};

use crate::faults::requests::{Mark, Marked};

/// Telegram's limit for a text, in UTF-16 units here as in entity offsets.
pub(crate) const MAX_TEXT: usize = 4_096;

/// A marked part of the text; offset and length in UTF-16 units.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Entity {
    /// What the part is.
    #[serde(flatten)]
    pub kind: EntityKind,
    /// First unit.
    pub offset: i32,
    /// Number of units, at least 1.
    pub length: i32,
}

/// The kinds of entities the simulator knows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EntityKind {
    /// `@name`
    Mention,
    /// `#tag`
    Hashtag,
    /// `$TICKER`
    Cashtag,
    /// A link that stands in the text.
    Url,
    /// Words with a link behind them.
    TextUrl {
        /// Where it leads.
        url: String,
    },
    /// Bold.
    Bold,
    /// Italic.
    Italic,
    /// Underlined.
    Underline,
    /// Struck through.
    Strike,
    /// Monospaced.
    Code,
    /// A monospaced block.
    Pre {
        /// Its language, may be empty.
        #[serde(default)]
        language: String,
    },
    /// Hidden until it is tapped.
    Spoiler,
    /// A quoted block.
    Blockquote,
}

/// A button under the message, each in a row of its own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Button {
    /// Opens a link.
    Url {
        /// What it says.
        text: String,
        /// Where it leads.
        url: String,
    },
    /// Copies a text.
    Copy {
        /// What it says.
        text: String,
        /// What it copies.
        copy: String,
    },
}

/// Who wrote a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Author {
    /// Whoever fits: the channel itself in a channel, the person in a private chat, the chat's
    /// first person in a group.
    #[default]
    Default,
    /// An admin who hides behind the group.
    Anonymous,
    /// A person, by id.
    User(i64),
}

/// Where a forwarded message came from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Forward {
    /// Bot-API id of the chat or person; absent when hidden.
    #[serde(default)]
    pub from: Option<i64>,
    /// The post's number, for channels.
    #[serde(default)]
    pub message_id: Option<i32>,
    /// The name of a person who hides the account.
    #[serde(default)]
    pub from_name: Option<String>,
    /// Seconds since the epoch; absent = the time of forwarding.
    #[serde(default)]
    pub date: Option<i32>,
}

/// What happened, for messages that say nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Created,
    Joined(i64),
    /// The message that `reply_to` names.
    Pinned,
}

/// A message's content: shared by all timelines it stands in.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) date: i32,
    pub(crate) edit_date: Option<i32>,
    pub(crate) text: String,
    pub(crate) entities: Vec<Entity>,
    pub(crate) buttons: Vec<Button>,
    /// The person's id; absent for posts and anonymous admins.
    pub(crate) from: Option<i64>,
    /// Number in the chat's own list.
    pub(crate) reply_to: Option<i32>,
    pub(crate) forward: Option<Forward>,
    pub(crate) signature: Option<String>,
    pub(crate) service: Option<Service>,
    /// The addresses the author put in, for the posted log.
    pub(crate) addresses: Vec<String>,
    /// What a fault has done to it.
    pub(crate) mark: Option<Mark>,
}

impl Content {
    /// What a fault does to it now.
    pub(crate) fn marked(&self) -> Option<Marked> {
        let mark = self.mark.as_ref()?;
        mark.holds().then_some(mark.what)
    }

    /// Whether clients may see it.
    pub(crate) fn is_shown(&self) -> bool {
        !matches!(self.marked(), Some(Marked::Late(_)))
    }
}

/// Whether text and entities are what Telegram would take.
pub(crate) fn is_valid(text: &str, entities: &[Entity]) -> bool {
    let units = text.encode_utf16().count();
    (1..=MAX_TEXT).contains(&units)
        && entities.len() <= 100
        && entities.iter().all(|entity| {
            let (Ok(offset), Ok(length)) = (usize::try_from(entity.offset), usize::try_from(entity.length)) else {
                return false;
            };
            length > 0 && offset + length <= units
        })
}
