//! Authorization keys: in which data centre they were made, who has signed in with them, and
//! where they are in use.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;

use super::{Sim, hex};
use crate::mtproto::crypt::AuthKey;
use crate::mtproto::duplicate::{KeyUse, Uses};
use crate::mtproto::outbox::Outbox;
use crate::rpc::{DC_ID, DC_IDS};
use crate::world::{AccountNo, NOBODY};

/// Keys that can be made while the simulator runs.
const MAX_KEYS: usize = 10_000;

/// A key and what became of it.
pub(crate) struct Key {
    pub(crate) auth: AuthKey,
    /// The data centre it was made with.
    pub(crate) dc: i32,
    state: Mutex<State>,
    uses: Mutex<Uses>,
}

#[derive(Default)]
struct State {
    /// Who has signed in with it.
    owner: Option<AccountNo>,
    /// Whose code or other device was right, and whose password is still asked for.
    pending: Option<AccountNo>,
    /// After it was used in two places.
    is_duplicated: bool,
    connections: Vec<Arc<Outbox>>,
}

impl Key {
    pub(crate) fn new(auth: AuthKey, dc: i32, owner: Option<AccountNo>) -> Arc<Self> {
        let state = State {
            owner,
            ..State::default()
        };
        Arc::new(Self {
            auth,
            dc,
            state: Mutex::new(state),
            uses: Mutex::default(),
        })
    }

    /// Whose it is; [`NOBODY`]'s before the sign-in and after signing out.
    pub(crate) fn owner(&self) -> AccountNo {
        self.state().owner.unwrap_or(NOBODY)
    }

    /// Whose password is asked for.
    pub(crate) fn pending(&self) -> Option<AccountNo> {
        self.state().pending
    }

    pub(crate) fn sign_in(&self, account: AccountNo) {
        let mut state = self.state();
        (state.owner, state.pending) = (Some(account), None);
    }

    pub(crate) fn ask_password(&self, account: AccountNo) {
        self.state().pending = Some(account);
    }

    pub(crate) fn sign_out(&self) {
        let mut state = self.state();
        (state.owner, state.pending) = (None, None);
    }

    pub(crate) fn is_duplicated(&self) -> bool {
        self.state().is_duplicated
    }

    /// Whether one of its connections has this outbox.
    pub(crate) fn has(&self, outbox: &Arc<Outbox>) -> bool {
        self.state().connections.iter().any(|own| Arc::ptr_eq(own, outbox))
    }

    /// Sends an update to its connections, signed in or not.
    pub(crate) fn tell(&self, body: &[u8]) {
        for outbox in &self.state().connections {
            outbox.send(body.to_vec(), true, false);
        }
    }

    pub(crate) fn connected(&self, outbox: &Arc<Outbox>) {
        self.state().connections.push(Arc::clone(outbox));
    }

    pub(super) fn disconnected(&self, outbox: &Arc<Outbox>, connection: u64) {
        self.state().connections.retain(|own| !Arc::ptr_eq(own, outbox));
        self.uses().ended(connection, Instant::now());
    }

    /// Notes a packet; whether that ended the key, for it was used in two places.
    pub(super) fn sent(&self, connection: u64, now: Instant) -> bool {
        let ended = self.uses().sent(connection, now);
        if ended {
            self.state().is_duplicated = true;
        }
        ended
    }

    /// The connections that used it.
    pub(super) fn log(&self) -> Vec<KeyUse> {
        self.uses().log()
    }

    /// A panic elsewhere leaves it whole: every change is a few stores.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn uses(&self) -> MutexGuard<'_, Uses> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keys that nobody has signed in with, one for each data centre: what a client has after its
/// first key exchange, which cannot be played because Telegram's own RSA keys are built into
/// clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// Name for the session.
    pub name: String,
    /// 0: nobody has signed in.
    pub user_id: i64,
    /// The data centre that a client asks first.
    pub dc_id: i32,
    /// Its address, `host:port`.
    pub address: SocketAddr,
    /// 256 bytes, in 512 hex digits.
    pub auth_key: String,
    /// The keys of the other data centres.
    pub others: Vec<OtherKey>,
}

/// A key of a data centre that is not asked first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OtherKey {
    /// The data centre.
    pub dc_id: i32,
    /// Its address, `host:port`.
    pub address: SocketAddr,
    /// 256 bytes, in 512 hex digits.
    pub auth_key: String,
}

impl Sim {
    /// Makes keys to sign in with, under a name for the session; nothing when there are too many.
    #[must_use]
    pub fn new_keys(&self, name: &str) -> Option<KeyInfo> {
        let identity = self.shared.world().identity;
        let address = self.shared.address();
        let mut made = Vec::new();
        for dc in DC_IDS {
            let auth = self
                .shared
                .add_key(MAX_KEYS, |n| Key::new(identity.guest_key(n), dc, None))?;
            made.push((dc, hex(auth.bytes())));
        }
        let (mut others, mut auth_key) = (Vec::new(), String::new());
        for (dc_id, key) in made {
            if dc_id == DC_ID {
                auth_key = key;
            } else {
                others.push(OtherKey {
                    dc_id,
                    address,
                    auth_key: key,
                });
            }
        }
        Some(KeyInfo {
            name: name.to_owned(),
            user_id: 0,
            dc_id: DC_ID,
            address,
            auth_key,
            others,
        })
    }
}
