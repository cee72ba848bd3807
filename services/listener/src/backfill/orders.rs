//! The bucket of orders.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tgmesh_proto::subject;
use tgmesh_stream::Mesh;
use tgmesh_stream::kv::{self, Bucket, Entry, KvError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::order::Order;

const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// An order, and the revision that a change of it replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Revision.
    pub revision: u64,
    /// What it says.
    pub order: Order,
}

/// All orders, as far as this process has seen. Clones share them.
#[derive(Clone)]
pub struct Orders {
    bucket: Bucket,
    kept: Arc<RwLock<BTreeMap<String, Kept>>>,
    changes: watch::Sender<u64>,
}

impl Orders {
    /// Opens the bucket.
    ///
    /// # Errors
    /// When it does not exist or does not answer.
    pub async fn open(mesh: &Mesh) -> Result<Self, KvError> {
        Ok(Self {
            bucket: Bucket::open(mesh, subject::BACKFILLS).await?,
            kept: Arc::default(),
            changes: watch::Sender::new(0),
        })
    }

    /// Follows changes until the token is cancelled.
    pub async fn follow(self, until: CancellationToken) {
        let open = || within(self.bucket.watch(">"));
        kv::follow("the orders for history", open, |entry| self.take(entry), &until).await;
    }

    /// Changes after each change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// All of them, by their ids.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, Kept> {
        self.read().clone()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Kept> {
        self.read().get(id).cloned()
    }

    /// Reads one as it is now.
    ///
    /// # Errors
    /// When the bucket does not answer.
    pub async fn load(&self, id: &str) -> Result<Option<Kept>, KvError> {
        match within(self.bucket.get(id)).await {
            Ok(entry) => {
                if let Some(entry) = &entry {
                    self.take(entry);
                }
                Ok(entry.as_ref().and_then(parsed))
            }
            Err(KvError::InvalidKey) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads all of them as they are now.
    ///
    /// # Errors
    /// When the bucket does not answer.
    pub async fn load_all(&self) -> Result<BTreeMap<String, Kept>, KvError> {
        let mut found = BTreeMap::new();
        for id in within(self.bucket.keys()).await? {
            if let Some(kept) = self.load(&id).await? {
                found.insert(id, kept);
            }
        }
        Ok(found)
    }

    /// Gives a new one.
    ///
    /// # Errors
    /// When the bucket does not answer, or has one with this id.
    pub async fn give(&self, id: &str, order: Order) -> Result<Kept, KvError> {
        let revision = within(self.bucket.create(id, encoded(&order))).await?;
        Ok(self.note(id, Kept { revision, order }))
    }

    /// Replaces one. Nothing when somebody else has changed it: what is there now is known then.
    ///
    /// # Errors
    /// When the bucket does not answer.
    pub async fn replace(&self, id: &str, revision: u64, order: Order) -> Result<Option<Kept>, KvError> {
        match within(self.bucket.update(id, encoded(&order), revision)).await {
            Ok(revision) => Ok(Some(self.note(id, Kept { revision, order }))),
            Err(KvError::Conflict) => {
                if self.load(id).await?.is_none() {
                    self.write().remove(id);
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn take(&self, entry: &Entry) {
        if entry.deleted {
            self.write().remove(&entry.key);
            self.changes.send_modify(|n| *n += 1);
        } else if let Some(kept) = parsed(entry) {
            self.note(&entry.key, kept);
        } else {
            tracing::warn!(id = entry.key, "an order for history cannot be read");
        }
    }

    fn note(&self, id: &str, kept: Kept) -> Kept {
        let mut all = self.write();
        if all.get(id).is_none_or(|known| known.revision < kept.revision) {
            all.insert(id.to_owned(), kept.clone());
            drop(all);
            self.changes.send_modify(|n| *n += 1);
        }
        kept
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Kept>> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<String, Kept>> {
        self.kept.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parsed(entry: &Entry) -> Option<Kept> {
    Some(Kept {
        revision: entry.revision,
        order: serde_json::from_slice(&entry.value).ok()?,
    })
}

fn encoded(order: &Order) -> Bytes {
    // Names and numbers can always be written.
    Bytes::from(serde_json::to_vec(order).unwrap_or_default())
}

fn within<T>(call: impl Future<Output = Result<T, KvError>>) -> impl Future<Output = Result<T, KvError>> {
    kv::within(CALL_TIMEOUT, call)
}
