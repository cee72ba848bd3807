//! The copy of a session that serves a connection.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::{SocketAddrV4, SocketAddrV6};
use std::sync::{Mutex, MutexGuard, PoisonError};

use grammers_session::types::{DcOption, PeerAuth, PeerId, PeerInfo, UpdateState, UpdatesState};
use grammers_session::{BoxFuture, Session, SessionData};
use tokio::sync::{Notify, watch};

use super::content::{
    AUTH_KEY_BYTES, AccountPosition, ChannelPosition, Content, DcKey, Positions, SavedChannel, SavedEntry,
};

/// A session in memory. Every change is announced to the keeper that seals and stores it.
pub struct MemorySession {
    inner: Mutex<Inner>,
    changes: watch::Sender<u64>,
    begun: Notify,
}

struct Inner {
    content: Content,
    /// Addresses of all data centres as the server told them; its own addresses are not stored.
    addresses: HashMap<i32, DcOption>,
    /// `TELEGRAM_DC`: stands for every data centre, whatever the server says.
    pinned: Option<SocketAddrV4>,
    /// Stands for the home data centre's address: the gate that leads there.
    gate: Option<SocketAddrV4>,
    /// A key exchange replaced the home key: the server no longer knows the one we had.
    rejected: bool,
}

impl MemorySession {
    /// Takes a session that was opened.
    #[must_use]
    pub fn new(content: Content) -> Self {
        let mut addresses = SessionData::default().dc_options;
        for key in &content.keys {
            addresses.insert(key.dc_id, dc_option(key.dc_id, key.address));
        }
        let inner = Inner {
            content,
            addresses,
            pinned: None,
            gate: None,
            rejected: false,
        };
        Self {
            inner: Mutex::new(inner),
            changes: watch::Sender::new(0),
            begun: Notify::new(),
        }
    }

    /// Everything that is to be stored.
    #[must_use]
    pub fn content(&self) -> Content {
        self.lock().content.clone()
    }

    /// Changes after each change that is to be stored.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Waits for a place of something that had none. Until it is stored, a start would follow from
    /// then on and miss what was posted since.
    pub async fn begun(&self) {
        self.begun.notified().await;
    }

    /// Sends every connection to this address.
    pub fn pin(&self, address: Option<SocketAddrV4>) {
        self.lock().pinned = address;
    }

    /// Where the home data centre listens.
    #[must_use]
    pub fn home_address(&self) -> Option<SocketAddrV4> {
        let inner = self.lock();
        let known = inner.addresses.get(&inner.content.home_dc);
        inner.pinned.or_else(|| known.map(|option| option.ipv4))
    }

    /// Sends connections to the home data centre through a gate.
    pub fn go_through(&self, gate: SocketAddrV4) {
        self.lock().gate = Some(gate);
    }

    /// The account's own id.
    #[must_use]
    pub fn user_id(&self) -> i64 {
        self.lock().content.user_id
    }

    /// Whether the server did not know the key and made a new one.
    #[must_use]
    pub fn key_was_rejected(&self) -> bool {
        self.lock().rejected
    }

    /// What is to be stored of a session that was just signed in: the keys of other data centres,
    /// asked on the way, are nobody's.
    #[must_use]
    pub fn signed_in(&self, user_id: i64, is_bot: bool, who: &str, now_s: i64) -> Content {
        let mut content = self.content();
        (content.user_id, content.is_bot, content.since_s) = (user_id, is_bot, now_s);
        who.clone_into(&mut content.who);
        let home = content.home_dc;
        content.keys.retain(|key| key.dc_id == home);
        content
    }

    /// How far updates have been handled.
    #[must_use]
    pub fn positions(&self) -> Positions {
        self.lock().content.positions.clone()
    }

    /// Notes that everything up to these places is in the stream.
    pub fn advance(
        &self,
        account: Option<AccountPosition>,
        channels: impl IntoIterator<Item = (i64, ChannelPosition)>,
    ) {
        let mut begun = false;
        self.change(|content| {
            let positions = &mut content.positions;
            if let Some(account) = account {
                begun |= positions.account.replace(account).is_none();
            }
            for (id, channel) in channels {
                begun |= positions.channels.insert(id, channel).is_none();
            }
        });
        if begun {
            self.begun.notify_one();
        }
    }

    /// Forgets the place of a channel that another account follows from now on.
    pub fn leave(&self, channel_id: i64) {
        self.change(|content| {
            content.positions.channels.remove(&channel_id);
        });
    }

    /// Forgets channels that the account left.
    pub fn forget(&self, channel_id: i64) {
        self.change(|content| {
            content.positions.channels.remove(&channel_id);
            content.channels.retain(|channel| channel.id != channel_id);
        });
    }

    /// The channels that were known at the last start.
    #[must_use]
    pub fn channels(&self) -> Vec<SavedChannel> {
        self.lock().content.channels.clone()
    }

    /// Replaces the known channels; does nothing when they are the same.
    pub fn save_channels(&self, channels: Vec<SavedChannel>) {
        if self.lock().content.channels != channels {
            self.change(|content| content.channels = channels);
        }
    }

    /// What entries of `MONITORED_CHATS` came to.
    #[must_use]
    pub fn entries(&self) -> BTreeMap<String, SavedEntry> {
        self.lock().content.entries.clone()
    }

    /// Replaces what entries came to; does nothing when that is the same.
    pub fn save_entries(&self, entries: &BTreeMap<String, SavedEntry>) {
        if self.lock().content.entries != *entries {
            self.change(|content| content.entries.clone_from(entries));
        }
    }

    /// Whether it is a bot's.
    #[must_use]
    pub fn is_bot(&self) -> bool {
        self.lock().content.is_bot
    }

    fn change(&self, change: impl FnOnce(&mut Content)) {
        change(&mut self.lock().content);
        self.changes.send_modify(|n| *n += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that runs under the lock can panic half-way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session for MemorySession {
    type Error = Infallible;

    fn home_dc_id(&self) -> Result<i32, Infallible> {
        Ok(self.lock().content.home_dc)
    }

    fn set_home_dc_id(&self, dc_id: i32) -> BoxFuture<'_, Result<(), Infallible>> {
        self.change(|content| content.home_dc = dc_id);
        Box::pin(std::future::ready(Ok(())))
    }

    fn dc_option(&self, dc_id: i32) -> Result<Option<DcOption>, Infallible> {
        let inner = self.lock();
        let known = inner.addresses.get(&dc_id).cloned();
        let gate = inner.gate.filter(|_| dc_id == inner.content.home_dc);
        let option = match gate.or(inner.pinned) {
            Some(address) => Some(dc_option(dc_id, address)),
            None => known,
        };
        Ok(option.map(|option| DcOption {
            auth_key: inner.key(dc_id),
            ..option
        }))
    }

    fn set_dc_option(&self, option: &DcOption) -> BoxFuture<'_, Result<(), Infallible>> {
        let changed = self.lock().set_dc_option(option);
        if changed {
            self.changes.send_modify(|n| *n += 1);
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn peer(&self, peer: PeerId) -> BoxFuture<'_, Result<Option<PeerInfo>, Infallible>> {
        let inner = self.lock();
        let (user_id, is_bot) = (inner.content.user_id, inner.content.is_bot);
        let is_self = peer == PeerId::self_user() || PeerId::user(user_id) == Some(peer);
        let info = if is_self {
            Some(PeerInfo::User {
                id: user_id,
                auth: None,
                bot: Some(is_bot),
                is_self: Some(true),
            })
        } else {
            let mut channels = inner.content.channels.iter();
            let channel = channels.find(|channel| PeerId::channel(channel.id) == Some(peer));
            channel.map(|channel| PeerInfo::Channel {
                id: channel.id,
                auth: Some(PeerAuth::from_hash(channel.access_hash)),
                kind: None,
            })
        };
        Box::pin(std::future::ready(Ok(info)))
    }

    /// Peers come with the updates and the dialogs, and are kept by the connection's own cache.
    fn cache_peer(&self, _: PeerInfo) -> BoxFuture<'_, Result<(), Infallible>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn updates_state(&self) -> BoxFuture<'_, Result<UpdatesState, Infallible>> {
        let positions = self.positions();
        let account = positions.account.unwrap_or_default();
        let channels = positions.channels.iter();
        let state = UpdatesState {
            pts: account.pts,
            qts: account.qts,
            date: account.date,
            seq: account.seq,
            channels: channels
                .map(|(&id, place)| grammers_session::types::ChannelState { id, pts: place.pts })
                .collect(),
        };
        Box::pin(std::future::ready(Ok(state)))
    }

    /// Places are moved by the checkpoint alone, behind the stream's acks; the library would move
    /// them when it reads (its dialogs do).
    fn set_update_state(&self, _: UpdateState) -> BoxFuture<'_, Result<(), Infallible>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Inner {
    fn key(&self, dc_id: i32) -> Option<[u8; AUTH_KEY_BYTES]> {
        let key = self.content.keys.iter().find(|key| key.dc_id == dc_id)?;
        key.auth_key.as_slice().try_into().ok()
    }

    /// Returns whether something changed that is to be stored.
    fn set_dc_option(&mut self, option: &DcOption) -> bool {
        let DcOption { id, ipv4, .. } = *option;
        // The library gives back what it was given, with a key: a gate is no address of theirs.
        let is_gate = self.gate == Some(ipv4);
        if !is_gate {
            self.addresses.insert(
                id,
                DcOption {
                    auth_key: None,
                    ..option.clone()
                },
            );
        }
        let pinned = self.pinned.is_some() || is_gate;
        let home = id == self.content.home_dc;
        let Some(auth_key) = option.auth_key else { return false };
        match self.content.keys.iter_mut().find(|key| key.dc_id == id) {
            // The library exchanges keys by itself when the server does not know ours. A new key
            // has no user, so ours is kept for whoever looks into it.
            Some(known) if home && known.auth_key != auth_key => {
                self.rejected = true;
                false
            }
            Some(known) => {
                let moved = !pinned && known.address != ipv4;
                let renewed = known.auth_key != auth_key;
                if moved {
                    known.address = ipv4;
                }
                if renewed {
                    known.auth_key = auth_key.to_vec();
                }
                moved || renewed
            }
            None => {
                self.content.keys.push(DcKey {
                    dc_id: id,
                    address: ipv4,
                    auth_key: auth_key.to_vec(),
                });
                true
            }
        }
    }
}

fn dc_option(id: i32, address: SocketAddrV4) -> DcOption {
    DcOption {
        id,
        ipv4: address,
        ipv6: SocketAddrV6::new(address.ip().to_ipv6_mapped(), address.port(), 0, 0),
        auth_key: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> MemorySession {
        let key = DcKey {
            dc_id: 2,
            address: "127.0.0.1:1".parse().unwrap(),
            auth_key: vec![1; AUTH_KEY_BYTES],
        };
        MemorySession::new(Content::new(77, key))
    }

    #[tokio::test]
    async fn it_knows_itself() {
        let Some(PeerInfo::User { id, is_self, .. }) = session().peer(PeerId::self_user()).await.unwrap() else {
            panic!("the library never reconnects without an answer")
        };
        assert_eq!((id, is_self), (77, Some(true)));
    }

    #[tokio::test]
    async fn a_pinned_address_stands() {
        let session = session();
        session.pin(Some("127.0.0.1:9".parse().unwrap()));
        let told = dc_option(2, "10.0.0.1:443".parse().unwrap());
        session.set_dc_option(&told).await.unwrap();
        let option = session.dc_option(2).unwrap().unwrap();
        assert_eq!(option.ipv4, "127.0.0.1:9".parse().unwrap());
        assert_eq!(option.auth_key, Some([1; AUTH_KEY_BYTES]));
    }

    #[tokio::test]
    async fn a_gate_leads_home_and_is_not_remembered() {
        let session = session();
        session.go_through("127.0.0.1:9".parse().unwrap());
        let option = session.dc_option(2).unwrap().unwrap();
        assert_eq!(option.ipv4, "127.0.0.1:9".parse().unwrap());
        session.set_dc_option(&option).await.unwrap();
        assert_eq!(session.home_address(), Some("127.0.0.1:1".parse().unwrap()));
        assert_eq!(
            session.content().home_key().unwrap().address,
            "127.0.0.1:1".parse().unwrap()
        );
        let other = session.dc_option(4).unwrap().unwrap();
        assert_ne!(other.ipv4, "127.0.0.1:9".parse().unwrap());
    }

    #[tokio::test]
    async fn a_home_key_is_never_replaced() {
        let session = session();
        let renewed = DcOption {
            auth_key: Some([2; AUTH_KEY_BYTES]),
            ..dc_option(2, "127.0.0.1:1".parse().unwrap())
        };
        session.set_dc_option(&renewed).await.unwrap();
        assert!(session.key_was_rejected());
        assert_eq!(session.content().home_key().unwrap().auth_key, [1; AUTH_KEY_BYTES]);
    }

    #[test]
    fn changes_are_announced() {
        let session = session();
        let mut changes = session.changes();
        changes.mark_unchanged();
        session.advance(None, [(5, ChannelPosition { pts: 3, last_id: 1 })]);
        assert!(changes.has_changed().unwrap());
        assert_eq!(session.positions().channels[&5].pts, 3);
        changes.mark_unchanged();
        session.save_channels(Vec::new());
        assert!(!changes.has_changed().unwrap());
    }
}
