//! What is derived from the seed instead of being stored: keys, access hashes, salts.

use sha2::{Digest, Sha256};

use crate::mtproto::crypt::AuthKey;

/// Derives the world's secrets from its seed. They are worth nothing outside the simulator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    seed: u64,
}

impl Identity {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed }
    }

    fn digest(self, what: &str, a: i64, b: i64) -> [u8; 32] {
        Sha256::new()
            .chain_update(b"tgmesh-telegram-sim\0")
            .chain_update(self.seed.to_le_bytes())
            .chain_update(what.as_bytes())
            .chain_update(a.to_le_bytes())
            .chain_update(b.to_le_bytes())
            .finalize()
            .into()
    }

    /// A number that depends on the seed, a purpose and two values.
    pub(crate) fn number(self, what: &str, a: i64, b: i64) -> i64 {
        let digest = self.digest(what, a, b);
        let mut head = [0; 8];
        head.copy_from_slice(&digest[..8]);
        i64::from_le_bytes(head)
    }

    /// The authorization key of the account at this position.
    pub(crate) fn auth_key(self, account: usize) -> AuthKey {
        self.key("auth-key", account)
    }

    /// The authorization key at this position of those that nobody has signed in with.
    pub(crate) fn guest_key(self, n: usize) -> AuthKey {
        self.key("guest-key", n)
    }

    fn key(self, what: &str, n: usize) -> AuthKey {
        let mut data = [0; 256];
        for (i, part) in data.chunks_mut(32).enumerate() {
            part.copy_from_slice(&self.digest(what, n as i64, i as i64));
        }
        AuthKey::new(data)
    }

    /// The access hash under which the account `user_id` knows `peer` (a Bot-API id): another
    /// one for each account, as on Telegram.
    pub(crate) fn access_hash(self, user_id: i64, peer: i64) -> i64 {
        self.number("access-hash", user_id, peer)
    }

    /// The server salt of a key in the hour `hour` (hours since the epoch).
    pub(crate) fn salt(self, key_id: [u8; 8], hour: i64) -> i64 {
        self.number("salt", i64::from_le_bytes(key_id), hour)
    }
}
