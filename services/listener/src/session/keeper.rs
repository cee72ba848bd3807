//! Seals a session's changes and stores them a moment later.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::content::{Content, Malformed};
use super::memory::MemorySession;
use super::seal::{Keyring, SealError};
use super::store::{Store, StoreError, Version};

/// Time between a change and its writing: what a crash may have to fetch again.
const DEBOUNCE: Duration = Duration::from_millis(500);
/// Between two tries while the store is away.
const RETRY: Duration = Duration::from_secs(1);
/// Writes without an answer that are remembered.
const MAX_UNSURE: usize = 4;
/// For one read or write.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Keeps one account's session in its store.
pub struct Keeper {
    account: Arc<str>,
    store: Store,
    keyring: Arc<Keyring>,
    session: Arc<MemorySession>,
    version: Option<Version>,
    changes: watch::Receiver<u64>,
    debounce: Duration,
    /// Whether what is stored differs from what is in memory.
    dirty: bool,
    /// Writes without an answer: they may have happened, or may still.
    unsure: Vec<Vec<u8>>,
}

/// A session that was loaded.
pub struct Saved {
    /// Its copy in memory.
    pub session: Arc<MemorySession>,
    /// What writes its changes.
    pub keeper: Keeper,
}

/// Why a session cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// It cannot be opened.
    #[error("the session of account {account} cannot be opened: {error}")]
    Sealed {
        /// Account.
        account: Arc<str>,
        /// Why not.
        error: SealError,
    },
    /// Its content cannot be read.
    #[error("the session of account {account} cannot be read: {error}")]
    Content {
        /// Account.
        account: Arc<str>,
        /// Why not.
        error: Malformed,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Keeper {
    /// Loads an account's session; nothing when it has none.
    ///
    /// # Errors
    /// See [`KeeperError`].
    pub async fn load(store: Store, keyring: Arc<Keyring>, account: Arc<str>) -> Result<Option<Saved>, KeeperError> {
        let Some((sealed, version)) = within(store.load(&account)).await? else {
            return Ok(None);
        };
        let opened = keyring.open(&account, &sealed);
        let plain = opened.map_err(|error| KeeperError::Sealed {
            account: Arc::clone(&account),
            error,
        })?;
        let content = Content::decode(&plain).map_err(|error| KeeperError::Content {
            account: Arc::clone(&account),
            error,
        })?;
        let session = Arc::new(MemorySession::new(content));
        let keeper = Self {
            account,
            store,
            debounce: DEBOUNCE,
            // A session under an older key is sealed anew at once.
            dirty: !keyring.is_current(&sealed),
            keyring,
            changes: session.changes(),
            session: Arc::clone(&session),
            version: Some(version),
            unsure: Vec::new(),
        };
        Ok(Some(Saved { session, keeper }))
    }

    /// Writes the session as it was loaded: what an earlier owner writes from here on conflicts.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it was written since it was loaded: load it again.
    pub async fn claim(&mut self) -> Result<(), StoreError> {
        self.dirty = true;
        self.flush().await
    }

    /// Stores changes until the token is cancelled.
    ///
    /// # Errors
    /// When somebody else writes the session too: two owners of one key kill it, so ours must go.
    /// While the store is only away, this goes on trying.
    pub async fn run(&mut self, stop: &CancellationToken) -> Result<(), StoreError> {
        loop {
            if !self.dirty {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return Ok(()),
                    // The session lives as long as this keeper.
                    _ = self.changes.changed() => self.dirty = true,
                }
            }
            let mut at = Instant::now() + self.debounce;
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return Ok(()),
                    () = self.session.begun() => {}
                    () = sleep_until(at) => {}
                }
                match self.flush().await {
                    Ok(()) => break,
                    Err(StoreError::Unavailable(why)) => {
                        tracing::warn!(account = %self.account, why, "couldn't store the session, trying again");
                        at = Instant::now() + RETRY;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Stores what has changed, now.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn flush(&mut self) -> Result<(), StoreError> {
        self.dirty |= self.changes.has_changed().unwrap_or(false);
        if !self.dirty {
            return Ok(());
        }
        // Before the copy is taken: a change after it is another one.
        self.changes.mark_unchanged();
        let sealed = self.keyring.seal(&self.account, &self.session.content().encode());
        match within(self.store.save(&self.account, &sealed, self.version)).await {
            Ok(version) => {
                self.version = Some(version);
                self.unsure.clear();
                self.dirty = false;
                Ok(())
            }
            Err(StoreError::Unavailable(why)) => {
                if self.unsure.len() == MAX_UNSURE {
                    self.unsure.remove(0);
                }
                self.unsure.push(sealed);
                Err(StoreError::Unavailable(why))
            }
            Err(StoreError::Conflict) => self.adopt().await,
            Err(error) => Err(error),
        }
    }

    /// After a conflict: what is there may be an earlier write of ours whose answer was lost.
    async fn adopt(&mut self) -> Result<(), StoreError> {
        match within(self.store.load(&self.account)).await? {
            Some((there, version)) if self.unsure.contains(&there) => {
                self.version = Some(version);
                Err(StoreError::Unavailable("an earlier write came late".to_owned()))
            }
            _ => Err(StoreError::Conflict),
        }
    }
}

async fn within<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let late = |_| Err(StoreError::Unavailable("no answer in time".to_owned()));
    timeout(CALL_TIMEOUT, call).await.unwrap_or_else(late)
}

#[cfg(test)]
mod tests {
    use super::super::content::{AUTH_KEY_BYTES, AccountPosition, ChannelPosition, DcKey, Positions};
    use super::*;

    const LIMIT: Duration = Duration::from_mins(1);

    /// What a first start follows from is stored without the usual wait, here one that never ends.
    #[tokio::test]
    async fn the_first_places_are_stored_at_once() {
        let scratch = tgmesh_testkit::Scratch::new().unwrap();
        let store = Store::folder(scratch.path()).await.unwrap();
        let keyring = Arc::new(Keyring::parse(&"07".repeat(32).into()).unwrap());
        let key = DcKey {
            dc_id: 2,
            address: "127.0.0.1:1".parse().unwrap(),
            auth_key: vec![1; AUTH_KEY_BYTES],
        };
        let sealed = keyring.seal("sim-1", &Content::new(77, key).encode());
        store.save("sim-1", &sealed, None).await.unwrap();
        let loaded = Keeper::load(store.clone(), Arc::clone(&keyring), "sim-1".into()).await;
        let Saved { session, mut keeper } = loaded.unwrap().unwrap();
        keeper.debounce = Duration::from_hours(24);
        let stop = CancellationToken::new();
        let running = {
            let stop = stop.clone();
            tokio::spawn(async move { keeper.run(&stop).await })
        };
        let holds = async |places: Positions| {
            let stored = async || {
                let (sealed, _) = store.load("sim-1").await.unwrap().unwrap();
                let plain = keyring.open("sim-1", &sealed).unwrap();
                Content::decode(&plain).unwrap().positions == places
            };
            tgmesh_testkit::eventually(LIMIT, "the places are stored", stored).await;
        };
        let account = AccountPosition {
            pts: 7,
            ..AccountPosition::default()
        };
        let channel = ChannelPosition { pts: 9, last_id: 4 };
        session.advance(Some(account), []);
        let mut places = Positions {
            account: Some(account),
            ..Positions::default()
        };
        holds(places.clone()).await;
        session.advance(None, [(5, channel)]);
        places.channels.insert(5, channel);
        holds(places).await;
        stop.cancel();
        running.await.unwrap().unwrap();
    }
}
