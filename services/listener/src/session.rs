//! A Telegram session: who owns it, where it is kept, and how it is sealed.
//!
//! A session is a bearer credential: whoever has the authorization key is the account. So it is
//! never written in clear; a copy in memory serves the connection, and every change of it is
//! sealed and stored a moment later.

mod content;
mod folder;
mod keeper;
mod kv;
mod memory;
mod seal;
mod store;

pub use content::{AccountPosition, ChannelPosition, Content, DcKey, MAX_ENTRIES, SavedChannel, SavedEntry};
pub use keeper::{Keeper, KeeperError, Saved};
pub use memory::MemorySession;
pub use seal::{Keyring, key_id};
pub use store::{Place, Store, StoreError, Version};

/// Whether this names an account: `[a-z0-9-]{1,32}`. The name stands in subjects, keys and paths.
#[must_use]
pub fn is_account_name(name: &str) -> bool {
    (1..=32).contains(&name.len()) && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}
