//! Key-value buckets.

use std::time::Duration;

use async_nats::jetstream::kv;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::mesh::Mesh;
use crate::state::{StreamError, describe};

/// After a watch that ended or broke.
const FOLLOW_PAUSE: Duration = Duration::from_secs(1);

/// A bucket that `topology apply` made.
#[derive(Clone)]
pub struct Bucket {
    store: kv::Store,
}

/// A value and its place in the bucket's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Key, without the bucket's name.
    pub key: String,
    /// Value; empty after a deletion.
    pub value: Bytes,
    /// Revision: rises with every write to the bucket.
    pub revision: u64,
    /// Whether this is a deletion.
    pub deleted: bool,
}

/// Waits for a call to a bucket, which may have no end of its own.
///
/// # Errors
/// As the call; [`KvError::Unavailable`] when there is no answer within the limit.
pub async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, KvError>>) -> Result<T, KvError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer,
        Err(_) => Err(KvError::Unavailable("no answer in time".to_owned())),
    }
}

/// Hands every change on until the token is cancelled. A watch that ends or breaks is opened anew;
/// `what` is for the log.
pub async fn follow<F>(what: &str, open: impl Fn() -> F, mut take: impl FnMut(&Entry), until: &CancellationToken)
where
    F: Future<Output = Result<Watch, KvError>>,
{
    let following = async {
        loop {
            if let Err(error) = follow_once(&open, &mut take).await {
                tracing::warn!(%error, "couldn't follow {what}, trying again");
            }
            tokio::time::sleep(FOLLOW_PAUSE).await;
        }
    };
    let _: Option<()> = until.run_until_cancelled(Box::pin(following)).await;
}

async fn follow_once<F>(open: &impl Fn() -> F, take: &mut impl FnMut(&Entry)) -> Result<(), KvError>
where
    F: Future<Output = Result<Watch, KvError>>,
{
    let mut watch = open().await?;
    while let Some(entry) = watch.next().await? {
        take(&entry);
    }
    Ok(())
}

/// Why a bucket did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum KvError {
    /// [`Bucket::create`]: the key has a value. [`Bucket::update`]: it has another revision.
    #[error("the key has another revision")]
    Conflict,
    /// Not a key: `[-/_=.a-zA-Z0-9]+` without dots at its ends.
    #[error("no valid key")]
    InvalidKey,
    /// The bucket does not exist.
    #[error("bucket {0} does not exist: `tgmesh topology apply` creates it")]
    NotFound(String),
    /// No answer now; a later try may succeed. A write may or may not have happened.
    #[error("JetStream does not answer: {0}")]
    Unavailable(String),
}

impl Bucket {
    /// Opens a bucket.
    ///
    /// # Errors
    /// When it does not exist or `JetStream` does not answer.
    pub async fn open(mesh: &Mesh, name: &str) -> Result<Self, KvError> {
        // Asked apart, because the client's error does not tell the two cases from each other.
        match crate::state::info(mesh, &format!("KV_{name}")).await {
            Ok(_) => {}
            Err(StreamError::NotFound(_)) => return Err(KvError::NotFound(name.to_owned())),
            Err(error) => return Err(KvError::Unavailable(error.to_string())),
        }
        let store = mesh
            .jetstream()
            .get_key_value(name)
            .await
            .map_err(|error| unavailable(&error))?;
        Ok(Self { store })
    }

    /// A key's value; nothing when it has none.
    ///
    /// # Errors
    /// See [`KvError`].
    pub async fn get(&self, key: &str) -> Result<Option<Entry>, KvError> {
        let entry = self.store.entry(key).await.map_err(|error| match error.kind() {
            kv::EntryErrorKind::InvalidKey => KvError::InvalidKey,
            _ => unavailable(&error),
        })?;
        Ok(entry.map(Entry::from).filter(|entry| !entry.deleted))
    }

    /// Writes a value whatever is there; returns its revision.
    ///
    /// # Errors
    /// See [`KvError`].
    pub async fn put(&self, key: &str, value: Bytes) -> Result<u64, KvError> {
        self.store.put(key, value).await.map_err(|error| match error.kind() {
            kv::PutErrorKind::InvalidKey => KvError::InvalidKey,
            _ => unavailable(&error),
        })
    }

    /// Writes a value where there is none; returns its revision.
    ///
    /// # Errors
    /// [`KvError::Conflict`] when the key has a value.
    pub async fn create(&self, key: &str, value: Bytes) -> Result<u64, KvError> {
        self.store.create(key, value).await.map_err(|error| match error.kind() {
            kv::CreateErrorKind::AlreadyExists => KvError::Conflict,
            kv::CreateErrorKind::InvalidKey => KvError::InvalidKey,
            _ => unavailable(&error),
        })
    }

    /// Writes a value over the one with this revision; returns the new revision.
    ///
    /// # Errors
    /// [`KvError::Conflict`] when the key has another revision.
    pub async fn update(&self, key: &str, value: Bytes, revision: u64) -> Result<u64, KvError> {
        self.store
            .update(key, value, revision)
            .await
            .map_err(|error| written(&error))
    }

    /// Deletes a key; with a revision, only if the key has it.
    ///
    /// # Errors
    /// [`KvError::Conflict`] when the key has another revision.
    pub async fn delete(&self, key: &str, revision: Option<u64>) -> Result<(), KvError> {
        self.store
            .delete_expect_revision(key, revision)
            .await
            .map_err(|error| written(&error))
    }

    /// Keys that have values, in no order.
    ///
    /// # Errors
    /// See [`KvError`].
    pub async fn keys(&self) -> Result<Vec<String>, KvError> {
        let mut keys = self.store.keys().await.map_err(|error| unavailable(&error))?;
        let mut found = Vec::new();
        while let Some(key) = keys.next().await {
            found.push(key.map_err(|error| unavailable(&error))?);
        }
        Ok(found)
    }

    /// Follows keys (`*` one token, `>` all): first every value that is there, then each change.
    ///
    /// # Errors
    /// See [`KvError`].
    pub async fn watch(&self, keys: &str) -> Result<Watch, KvError> {
        let watch = self
            .store
            .watch_with_history(keys)
            .await
            .map_err(|error| unavailable(&error))?;
        Ok(Watch { watch })
    }
}

/// Changes of a bucket's keys.
pub struct Watch {
    watch: kv::Watch,
}

impl Watch {
    /// The next change; nothing when the watch has ended and must be opened anew. Safe to cancel.
    ///
    /// # Errors
    /// When the watch broke: open a new one.
    pub async fn next(&mut self) -> Result<Option<Entry>, KvError> {
        match self.watch.next().await {
            None => Ok(None),
            Some(Ok(entry)) => Ok(Some(entry.into())),
            Some(Err(error)) => Err(unavailable(&error)),
        }
    }
}

impl From<kv::Entry> for Entry {
    fn from(entry: kv::Entry) -> Self {
        Self {
            key: entry.key,
            value: entry.value,
            revision: entry.revision,
            deleted: entry.operation != kv::Operation::Put,
        }
    }
}

fn unavailable(error: &dyn std::error::Error) -> KvError {
    KvError::Unavailable(describe(error))
}

fn written(error: &kv::UpdateError) -> KvError {
    match error.kind() {
        kv::UpdateErrorKind::WrongLastRevision => KvError::Conflict,
        kv::UpdateErrorKind::InvalidKey => KvError::InvalidKey,
        _ => unavailable(error),
    }
}
