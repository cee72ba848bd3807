//! One entry of `MONITORED_CHATS`.

use std::fmt;

use crate::plain::masked;
use crate::watch::Wanted;

/// An entry that stands for chats.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// Bot API id.
    Id(i64),
    /// Public name, lower case.
    Name(String),
    /// Hash of an invite link.
    Invite(String),
    /// Title of a folder.
    Folder(String),
}

impl Entry {
    /// All entries but `*`, in an order that does not change.
    pub fn all(wanted: &Wanted) -> Vec<Self> {
        let mut entries: Vec<_> = wanted.names.iter().cloned().map(Self::Name).collect();
        entries.extend(wanted.invites.iter().cloned().map(Self::Invite));
        entries.extend(wanted.folders.iter().cloned().map(Self::Folder));
        entries.extend(wanted.ids.iter().copied().map(Self::Id));
        entries.sort_unstable();
        entries
    }

    /// What it is kept under.
    pub fn key(&self) -> String {
        match self {
            Self::Id(id) => id.to_string(),
            Self::Name(name) => format!("@{name}"),
            Self::Invite(hash) => format!("+{hash}"),
            Self::Folder(title) => format!("folder:{title}"),
        }
    }
}

/// For logs and terminals: whoever has an invite link can join, so it is not shown whole.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invite(hash) => write!(f, "invite +{}", masked(hash)),
            other => f.write_str(&other.key()),
        }
    }
}
