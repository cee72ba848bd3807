//! The world the data centre serves: accounts, people, chats, messages, and the logs of events
//! from which differences are answered.
//!
//! Telegram numbers messages per channel in channels and supergroups, but per account in basic
//! groups and private chats. Both are a [`timeline::Timeline`] here; a message of a basic group
//! stands in one timeline per member, under another number in each.

mod folder;
pub(crate) mod identity;
mod ids;
mod login;
pub(crate) mod message;
pub(crate) mod peer;
mod populate;
mod post;
mod reads;
pub(crate) mod srp;
pub(crate) mod timeline;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub use folder::Folder;
pub(crate) use identity::Identity;
pub use ids::Ids;
pub(crate) use login::{CodeState, Door, Logins, Token};
pub use post::{Change, Draft};
pub use reads::HistoryRequest;

use crate::faults::armed::Faults;
use crate::mtproto::outbox::Outbox;
use crate::posted::PostedLog;
use peer::{ChatPeer, User};
use timeline::Timeline;

/// Which account of the world, as a position in [`World::accounts`].
pub(crate) type AccountNo = usize;

/// Where a key has no account: faults for an account do not concern it, and whatever needs an
/// account is refused before it is looked at.
pub(crate) const NOBODY: AccountNo = usize::MAX;

/// Why something asked of the world cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorldError {
    /// No chat has this Bot-API id.
    #[error("there is no such chat")]
    NoChat,
    /// The chat has no message with this id.
    #[error("there is no such message in that chat")]
    NoMessage,
    /// The author is no user of the world.
    #[error("there is no such user")]
    NoUser,
    /// The text is empty or longer than Telegram's 4096 characters, or an entity lies outside it.
    #[error("the text or its entities are not what Telegram would take")]
    BadText,
}

/// An account and its own message numbers, events and connections.
pub(crate) struct Account {
    pub(crate) user: Arc<User>,
    /// `sim-1`, `sim-2`, …
    pub(crate) name: String,
    /// How it signs in.
    pub(crate) door: Door,
    /// Its folders; those that every account has, while they were not set.
    pub(crate) folders: Option<Vec<Folder>>,
    /// Private chats and basic groups.
    pub(crate) timeline: Timeline,
    /// (chat, number in the chat's own list) → this account's number.
    pub(crate) numbers: HashMap<(i64, i32), i32>,
    /// Connections that take updates.
    pub(crate) outboxes: Vec<Arc<Outbox>>,
}

/// A chat and who of the accounts is in it.
pub(crate) struct Chat {
    pub(crate) peer: Arc<ChatPeer>,
    pub(crate) members: Vec<AccountNo>,
    /// Channels and supergroups; for the others the members' own timelines hold the messages.
    pub(crate) timeline: Timeline,
    /// Who writes in it.
    pub(crate) people: Vec<i64>,
}

/// Everything, behind one lock: a post takes about a microsecond of it.
pub(crate) struct World {
    pub(crate) identity: Identity,
    pub(crate) accounts: Vec<Account>,
    pub(crate) chats: BTreeMap<i64, Chat>,
    /// Chat ids in the order they were made, which is the order of `GET /chats`.
    pub(crate) order: Vec<i64>,
    pub(crate) users: HashMap<i64, Arc<User>>,
    /// Lower-case username → Bot-API id.
    pub(crate) usernames: HashMap<String, i64>,
    /// Invite hash → Bot-API id.
    pub(crate) invites: HashMap<String, i64>,
    pub(crate) posted: Arc<PostedLog>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) logins: Logins,
    pub(crate) reads: reads::Reads,
}

/// How large the world is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) accounts: usize,
    pub(crate) chats: usize,
    /// Messages and events kept per timeline.
    pub(crate) history: usize,
}

impl World {
    /// Makes the world of `seed`: the same seed gives the same keys, ids, titles and people.
    /// `now_s` (seconds since the epoch) dates it and sets the first message numbers.
    pub(crate) fn new(seed: u64, size: Size, now_s: i64, posted: Arc<PostedLog>, faults: Arc<Faults>) -> Self {
        populate::world(seed, size, now_s, posted, faults)
    }

    pub(crate) fn is_member(&self, account: AccountNo, chat: i64) -> bool {
        self.chats
            .get(&chat)
            .is_some_and(|chat| chat.members.contains(&account))
    }

    /// Whether the account is in the chat and may see it.
    pub(crate) fn is_seen(&self, account: AccountNo, chat: &Chat) -> bool {
        chat.members.contains(&account) && !self.faults.is_lost(account, chat.peer.id)
    }
}
