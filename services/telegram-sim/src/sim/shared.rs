//! What connections and players share.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::faults::armed::Faults;
use crate::faults::requests::{self, Fate};
use crate::mtproto::crypt::AuthKey;
use crate::mtproto::duplicate::Uses;
use crate::mtproto::outbox::Outbox;
use crate::posted::PostedLog;
use crate::view::Viewer;
use crate::world::{AccountNo, Standing, World};

/// What connections and players share.
pub(crate) struct Shared {
    world: Mutex<World>,
    posted: Arc<PostedLog>,
    faults: Arc<Faults>,
    address: SocketAddr,
    keys: Vec<(AuthKey, Viewer)>,
    /// Per account: where its key is in use.
    uses: Vec<Mutex<Uses>>,
}

impl Shared {
    pub(super) fn new(
        world: World,
        posted: Arc<PostedLog>,
        faults: Arc<Faults>,
        address: SocketAddr,
        keys: Vec<(AuthKey, Viewer)>,
    ) -> Self {
        Self {
            world: Mutex::new(world),
            posted,
            faults,
            address,
            uses: keys.iter().map(|_| Mutex::default()).collect(),
            keys,
        }
    }

    /// The accounts' keys, and how they see the world.
    pub(super) fn keys(&self) -> &[(AuthKey, Viewer)] {
        &self.keys
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
    pub(crate) fn sent(&self, account: AccountNo, connection: u64, now: Instant) {
        if self.uses(account).sent(connection, now) {
            let account = &mut self.world().accounts[account];
            account.standing = Standing::Duplicated;
            account.outboxes.clear();
        }
    }

    pub(crate) fn connection_ended(&self, account: AccountNo, connection: u64) {
        self.uses(account).ended(connection);
    }

    /// A panic elsewhere leaves the list whole: every change is a single store or push.
    fn uses(&self, account: AccountNo) -> MutexGuard<'_, Uses> {
        self.uses[account].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whose key a packet names.
    pub(crate) fn find_key(&self, packet: &[u8]) -> Option<(AccountNo, AuthKey)> {
        let id = packet.get(..8)?;
        let account = self.keys.iter().position(|(key, _)| key.id() == id)?;
        Some((account, self.keys[account].0.clone()))
    }

    pub(crate) fn viewer(&self, account: AccountNo) -> Viewer {
        self.keys[account].1
    }

    pub(crate) fn subscribe(&self, account: AccountNo, outbox: &Arc<Outbox>) {
        let account = &mut self.world().accounts[account];
        if account.standing == Standing::Good {
            account.outboxes.push(Arc::clone(outbox));
        }
    }

    pub(crate) fn unsubscribe(&self, account: AccountNo, outbox: &Arc<Outbox>) {
        self.world().accounts[account]
            .outboxes
            .retain(|other| !Arc::ptr_eq(other, outbox));
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
