//! What a session consists of, and its bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddrV4;

use serde::{Deserialize, Serialize};
use tgmesh_proto::detection::ChatKind;
use zeroize::{Zeroize as _, Zeroizing};

/// Length of an authorization key.
pub const AUTH_KEY_BYTES: usize = 256;
/// The data centre that is asked first; it says which one the account lives in.
const FIRST_DC: i32 = 2;
/// Most channels whose place is kept: an account can join 1,000.
const MAX_CHANNELS: usize = 4096;

/// Most entries of `MONITORED_CHATS` that are remembered.
pub const MAX_ENTRIES: usize = 4096;

/// Everything that a session needs to go on after a restart.
#[derive(Clone, Serialize, Deserialize)]
pub struct Content {
    /// Version of this form.
    version: u8,
    /// The account's own id; 0 while nobody has signed in.
    pub user_id: i64,
    /// Whether it is a bot.
    #[serde(default)]
    pub is_bot: bool,
    /// The data centre it lives in.
    pub home_dc: i32,
    /// Who it is, masked: for lists.
    #[serde(default)]
    pub who: String,
    /// When it was signed in, in seconds since the epoch; 0 where that is not known.
    #[serde(default)]
    pub since_s: i64,
    /// Authorization keys.
    pub keys: Vec<DcKey>,
    /// What has been handled.
    #[serde(default)]
    pub positions: Positions,
    /// Channels with their access hashes, so that a restart can ask for what it missed before it
    /// has seen the dialogs.
    #[serde(default)]
    pub channels: Vec<SavedChannel>,
    /// What entries of `MONITORED_CHATS` came to, so that a restart asks for none of them again.
    #[serde(default)]
    pub entries: BTreeMap<String, SavedEntry>,
}

/// What an entry of `MONITORED_CHATS` came to, for this account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedEntry {
    /// The chats it stands for, Bot API ids.
    pub chats: Vec<i64>,
    /// The hash that lets the account speak of the one channel.
    #[serde(default)]
    pub access_hash: Option<i64>,
    /// Why its messages do not come.
    #[serde(default)]
    pub problem: Option<String>,
}

/// The authorization key of one data centre.
#[derive(Clone, Serialize, Deserialize)]
pub struct DcKey {
    /// Data centre.
    pub dc_id: i32,
    /// Where it listens.
    pub address: SocketAddrV4,
    /// The key, [`AUTH_KEY_BYTES`] long.
    pub auth_key: Vec<u8>,
}

/// How far an account's updates have been handled: everything up to here is in the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Positions {
    /// Private chats and basic groups; nothing before the first start.
    pub account: Option<AccountPosition>,
    /// By bare channel id.
    pub channels: BTreeMap<i64, ChannelPosition>,
}

/// Place in the account's own sequence of updates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountPosition {
    /// Sequence of messages.
    pub pts: i32,
    /// Sequence of bot updates and secret chats.
    pub qts: i32,
    /// Telegram's date of the state.
    pub date: i32,
    /// Sequence of packets.
    pub seq: i32,
    /// Highest message id seen in private chats and basic groups.
    #[serde(default)]
    pub last_id: i32,
}

/// Place in a channel's sequence of updates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelPosition {
    /// Sequence of updates.
    pub pts: i32,
    /// Highest message id seen: where history is read from when the difference is too long.
    pub last_id: i32,
}

/// A channel or supergroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedChannel {
    /// Bare id.
    pub id: i64,
    /// Proof that the account may speak of it.
    pub access_hash: i64,
    /// Channel or supergroup.
    pub kind: ChatKind,
    /// Title.
    pub title: String,
    /// Public name.
    pub username: Option<String>,
}

/// Bytes that are no session.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("it holds no session of a known form: {0}")]
pub struct Malformed(&'static str);

impl Content {
    /// A session that nobody has signed in with, and that has no key yet.
    #[must_use]
    pub fn unsigned() -> Self {
        Self {
            version: 1,
            user_id: 0,
            is_bot: false,
            home_dc: FIRST_DC,
            who: String::new(),
            since_s: 0,
            keys: Vec::new(),
            positions: Positions::default(),
            channels: Vec::new(),
            entries: BTreeMap::new(),
        }
    }

    /// Whether it is an account's.
    #[must_use]
    pub fn is_signed_in(&self) -> bool {
        self.user_id != 0
    }

    /// A session that was just signed in.
    #[must_use]
    pub fn new(user_id: i64, key: DcKey) -> Self {
        Self {
            user_id,
            home_dc: key.dc_id,
            keys: vec![key],
            ..Self::unsigned()
        }
    }

    /// Its bytes; wiped when dropped.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Growing would leave copies of the key behind in freed memory.
        let room = 4096 + self.keys.len() * 600 + self.channels.len() * 512 + self.positions.channels.len() * 64;
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        // Writing to memory cannot fail, and every field has a MessagePack form.
        rmp_serde::encode::write_named(&mut *bytes, self).expect("a session always has a MessagePack form");
        bytes
    }

    /// Reads its bytes.
    ///
    /// # Errors
    /// For everything that is no session: sealed bytes are ours, but an older or newer release may
    /// have written them.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let content: Self = rmp_serde::from_slice(bytes).map_err(|_| Malformed("unreadable"))?;
        if content.version != 1 {
            return Err(Malformed("unknown version"));
        }
        if content.keys.iter().any(|key| key.auth_key.len() != AUTH_KEY_BYTES) {
            return Err(Malformed("an authorization key of another length"));
        }
        let channels = content.channels.len().max(content.positions.channels.len());
        if channels > MAX_CHANNELS || content.entries.len() > MAX_ENTRIES {
            return Err(Malformed("too many channels"));
        }
        Ok(content)
    }

    /// The key of the home data centre.
    #[must_use]
    pub fn home_key(&self) -> Option<&DcKey> {
        self.keys.iter().find(|key| key.dc_id == self.home_dc)
    }
}

impl Drop for DcKey {
    fn drop(&mut self) {
        self.auth_key.zeroize();
    }
}

impl fmt::Debug for DcKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DcKey")
            .field("dc_id", &self.dc_id)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("user_id", &self.user_id)
            .field("home_dc", &self.home_dc)
            .field("positions", &self.positions)
            .field("channels", &self.channels.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content() -> Content {
        let key = DcKey {
            dc_id: 2,
            address: "127.0.0.1:443".parse().unwrap(),
            auth_key: vec![0xab; AUTH_KEY_BYTES],
        };
        let mut content = Content::new(7, key);
        content
            .positions
            .channels
            .insert(5, ChannelPosition { pts: 9, last_id: 4 });
        content.channels.push(SavedChannel {
            id: 5,
            access_hash: -1,
            kind: ChatKind::Supergroup,
            title: "gm".into(),
            username: None,
        });
        content
    }

    #[test]
    fn bytes_round_trip() {
        let content = content();
        let read = Content::decode(&content.encode()).unwrap();
        assert_eq!(
            (read.user_id, read.home_dc, &read.positions),
            (7, 2, &content.positions)
        );
        assert_eq!(read.channels, content.channels);
        assert_eq!(read.home_key().unwrap().auth_key, vec![0xab; AUTH_KEY_BYTES]);
    }

    #[test]
    fn a_short_key_is_refused() {
        let mut content = content();
        content.keys[0].auth_key.pop();
        assert!(Content::decode(&content.encode()).is_err());
    }

    #[test]
    fn it_prints_no_key() {
        let text = format!("{:?}", content());
        assert!(!text.contains("171") && !text.contains("ab, ab"), "{text}");
        let text = format!("{:?}", content().keys);
        assert!(!text.contains("171"), "{text}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Content::decode(&bytes);
        }
    }
}
