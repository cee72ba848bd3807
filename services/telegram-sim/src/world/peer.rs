//! Chats and people, as far as they do not change.

use serde::Serialize;

/// Bot-API ids of channels and supergroups are this minus the channel's own id.
pub(crate) const CHANNEL_BASE: i64 = -1_000_000_000_000;

/// What kind of chat it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChatKind {
    /// Broadcast channel: posts without a sender.
    Channel,
    /// Group with its own message numbers.
    Supergroup,
    /// Basic group: message numbers per account.
    Group,
    /// Private chat with one person.
    User,
}

impl ChatKind {
    /// Whether messages are numbered per chat (channels, supergroups), not per account.
    #[must_use]
    pub fn has_own_numbers(self) -> bool {
        matches!(self, Self::Channel | Self::Supergroup)
    }
}

/// A chat's description.
#[derive(Clone, Debug)]
pub(crate) struct ChatPeer {
    /// Bot-API id.
    pub(crate) id: i64,
    pub(crate) kind: ChatKind,
    pub(crate) title: String,
    pub(crate) username: Option<String>,
    pub(crate) invite: Option<String>,
    pub(crate) about: String,
    /// Seconds since the epoch.
    pub(crate) date: i32,
    pub(crate) participants: i32,
    /// Posts carry their author's name.
    pub(crate) signatures: bool,
}

impl ChatPeer {
    /// The id as TL types carry it: positive, without the kind.
    pub(crate) fn bare_id(&self) -> i64 {
        match self.kind {
            ChatKind::Channel | ChatKind::Supergroup => CHANNEL_BASE - self.id,
            ChatKind::Group => -self.id,
            ChatKind::User => self.id,
        }
    }
}

/// A person or an account's own user.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) first_name: String,
    pub(crate) last_name: Option<String>,
    pub(crate) username: Option<String>,
    /// Set for the accounts themselves only.
    pub(crate) phone: Option<String>,
    pub(crate) bot: bool,
}
