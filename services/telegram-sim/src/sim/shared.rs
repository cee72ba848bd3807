//! What connections and players share.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use super::keys::Key;
use crate::faults::armed::Faults;
use crate::faults::requests::{self, Fate};
use crate::mtproto::crypt::AuthKey;
use crate::mtproto::outbox::Outbox;
use crate::posted::PostedLog;
use crate::rpc::DC_ID;
use crate::view::Viewer;
use crate::world::{AccountNo, Identity, World};

/// What connections and players share.
pub(crate) struct Shared {
    world: Mutex<World>,
    posted: Arc<PostedLog>,
    faults: Arc<Faults>,
    address: SocketAddr,
    identity: Identity,
    /// The accounts' own keys come first, in the order of the accounts.
    keys: RwLock<Vec<Arc<Key>>>,
    /// Per account: its user.
    users: Vec<i64>,
}

impl Shared {
    pub(super) fn new(world: World, posted: Arc<PostedLog>, faults: Arc<Faults>, address: SocketAddr) -> Self {
        let identity = world.identity;
        let accounts = 0..world.accounts.len();
        let keys = accounts.map(|account| Key::new(identity.auth_key(account), DC_ID, Some(account)));
        Self {
            keys: RwLock::new(keys.collect()),
            users: world.accounts.iter().map(|account| account.user.id).collect(),
            identity,
            world: Mutex::new(world),
            posted,
            faults,
            address,
        }
    }

    /// The key that an account was seeded with.
    pub(super) fn seeded_key(&self, account: AccountNo) -> Option<Arc<Key>> {
        self.all_keys().get(account).cloned()
    }

    /// Adds the key that `make` makes from its number, if there are not `most` already.
    pub(super) fn add_key(&self, most: usize, make: impl FnOnce(usize) -> Arc<Key>) -> Option<AuthKey> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let own = keys.len() - self.users.len();
        (own < most).then(|| {
            let key = make(own);
            keys.push(Arc::clone(&key));
            key.auth.clone()
        })
    }

    fn all_keys(&self) -> std::sync::RwLockReadGuard<'_, Vec<Arc<Key>>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The world, locked. A panic under the lock would leave a message in some timelines and not
    /// in others at worst, which a client sees as a gap.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn posted(&self) -> &Arc<PostedLog> {
        &self.posted
    }

    pub(crate) fn faults(&self) -> &Arc<Faults> {
        &self.faults
    }

    /// What becomes of a request without its wrappers.
    pub(crate) fn fate(&self, account: AccountNo, body: &[u8]) -> Fate {
        self.faults
            .fate(account, body, || requests::chat_of(&self.world(), body))
    }

    /// Notes that a connection has sent a packet, and ends the key if another does so as well.
    pub(crate) fn sent(&self, key: &Key, connection: u64, now: Instant) {
        if key.sent(connection, now) {
            let mut world = self.world();
            if let Some(account) = world.accounts.get_mut(key.owner()) {
                account.outboxes.retain(|outbox| !key.has(outbox));
            }
        }
    }

    pub(crate) fn disconnected(&self, key: &Key, outbox: &Arc<Outbox>, connection: u64) {
        for account in &mut self.world().accounts {
            account.outboxes.retain(|other| !Arc::ptr_eq(other, outbox));
        }
        key.disconnected(outbox, connection);
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The key that a packet names.
    pub(crate) fn find_key(&self, packet: &[u8]) -> Option<Arc<Key>> {
        let id = packet.get(..8)?;
        self.all_keys().iter().find(|key| key.auth.id() == id).cloned()
    }

    pub(crate) fn viewer(&self, account: AccountNo) -> Viewer {
        Viewer {
            identity: self.identity,
            user_id: self.users.get(account).copied().unwrap_or_default(),
        }
    }

    pub(crate) fn subscribe(&self, key: &Key, outbox: &Arc<Outbox>) {
        if !key.is_duplicated()
            && let Some(account) = self.world().accounts.get_mut(key.owner())
        {
            account.outboxes.push(Arc::clone(outbox));
        }
    }

    /// The connections of everyone in these chats, each once.
    pub(crate) fn outboxes(&self, chats: &[i64]) -> Vec<Arc<Outbox>> {
        let world = self.world();
        let mut found: Vec<Arc<Outbox>> = Vec::new();
        // Few accounts have a connection; asking them is cheaper than asking every chat.
        for (no, account) in world.accounts.iter().enumerate() {
            let concerned = !account.outboxes.is_empty() && chats.iter().any(|chat| world.is_member(no, *chat));
            if concerned {
                found.extend(account.outboxes.iter().cloned());
            }
        }
        found
    }
}
