//! The ledger in its bucket: one value a chat, written by compare-and-set.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tgmesh_proto::subject;
use tgmesh_stream::Mesh;
use tgmesh_stream::kv::{self, Bucket, KvError};
use tgmesh_stream::lease::Tenure;
use tokio_util::sync::CancellationToken;

use super::chapter::{Chapter, Outcome};
use super::marks::Marks;
use super::ranges::Ranges;
use super::{Inner, Ledger};
use crate::session::ChannelPosition;
use crate::stats::Stats;

/// Between two writings of what changed.
const FLUSH_EVERY: Duration = Duration::from_millis(500);
/// Between two tries while the bucket is away.
const RETRY: Duration = Duration::from_secs(1);
/// Values that are written at once.
const AT_ONCE: usize = 16;
/// For one read or write.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Of the values that this code writes.
const VERSION: u32 = 1;

/// One chat's value in the bucket.
#[derive(Debug, Serialize, Deserialize)]
struct Value {
    version: u32,
    /// Who wrote it: a write whose answer was lost is told from another owner's.
    by: String,
    first: i32,
    top: i32,
    done: Ranges,
    received: u64,
    recovered: u64,
    deleted: u64,
    unreachable: u64,
    #[serde(default)]
    reopened: u64,
    #[serde(default)]
    marks: Marks,
    #[serde(default)]
    place: ChannelPosition,
}

/// Why a ledger cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Somebody else writes it: two owners of one account.
    #[error("the ledger of chat {0} is written by somebody else")]
    Owner(i64),
    /// What is stored cannot be read.
    #[error("the ledger's value {0} cannot be read: {1}")]
    Value(String, String),
    /// The account's lease is over: another owner may be at work.
    #[error("the account's lease is over")]
    Lease,
    /// The bucket does not answer.
    #[error(transparent)]
    Store(#[from] KvError),
}

/// Keeps one account's ledger in the bucket.
pub struct Bookkeeper {
    ledger: Arc<Ledger>,
    bucket: Bucket,
    account: Arc<str>,
    /// Instance and lease epoch: two owners never have the same, even of one name.
    by: Arc<str>,
    tenure: Tenure,
    revisions: HashMap<i64, u64>,
}

impl Bookkeeper {
    /// Reads the ledger of an account; waits for nothing.
    ///
    /// # Errors
    /// See [`LedgerError`]; [`LedgerError::Store`] may pass.
    pub async fn load(
        mesh: &Mesh,
        account: Arc<str>,
        instance: &str,
        tenure: Tenure,
        stats: Stats,
    ) -> Result<Self, LedgerError> {
        let bucket = within(Bucket::open(mesh, subject::LEDGER)).await?;
        let prefix = format!("{account}.");
        let keys = within(bucket.keys()).await?;
        let chats: Vec<i64> = keys
            .iter()
            .filter_map(|key| key.strip_prefix(&prefix)?.parse().ok())
            .collect();
        let mut inner = Inner::default();
        let mut revisions = HashMap::new();
        let mut values = futures_util::stream::iter(chats)
            .map(|chat| {
                let (bucket, account) = (&bucket, &account);
                async move { (chat, within(bucket.get(&key(account, chat))).await) }
            })
            .buffer_unordered(AT_ONCE);
        while let Some((chat, entry)) = values.next().await {
            let Some(entry) = entry? else { continue };
            let chapter = Value::read(&entry.value).map_err(|why| LedgerError::Value(entry.key, why))?;
            inner.chapters.insert(chat, chapter);
            revisions.insert(chat, entry.revision);
        }
        drop(values);
        let ledger = Ledger::new(stats);
        *ledger.lock() = inner;
        Ok(Self {
            ledger: Arc::new(ledger),
            bucket,
            account,
            by: format!("{instance}/{}", tenure.epoch()).into(),
            tenure,
            revisions,
        })
    }

    /// The ledger itself.
    #[must_use]
    pub fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.ledger)
    }

    /// Writes everything as it was loaded: what an earlier owner writes from here on conflicts.
    ///
    /// # Errors
    /// [`LedgerError::Owner`] when some of it was written since it was loaded: load it again.
    pub async fn claim(&mut self) -> Result<(), LedgerError> {
        self.ledger.lock().dirty.extend(self.revisions.keys());
        self.flush().await
    }

    /// Stores changes until the token is cancelled.
    ///
    /// # Errors
    /// When somebody else writes it too. While the bucket is only away, this goes on trying.
    pub async fn run(&mut self, stop: &CancellationToken) -> Result<(), LedgerError> {
        let mut wait = FLUSH_EVERY;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.ledger.changed.notified() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(wait) => {}
            }
            wait = match self.flush().await {
                Ok(()) => FLUSH_EVERY,
                Err(LedgerError::Store(error)) => {
                    tracing::warn!(account = %self.account, %error, "couldn't store the ledger, trying again");
                    self.ledger.changed.notify_one();
                    RETRY
                }
                Err(error) => return Err(error),
            };
        }
    }

    /// Stores what changed.
    ///
    /// # Errors
    /// See [`LedgerError`]. What was not stored is stored the next time.
    pub async fn flush(&mut self) -> Result<(), LedgerError> {
        if !self.tenure.holds() {
            return Err(LedgerError::Lease);
        }
        let values: Vec<(i64, Bytes)> = {
            let mut inner = self.ledger.lock();
            let dirty = std::mem::take(&mut inner.dirty);
            let dirty = dirty
                .into_iter()
                .filter_map(|chat| Some((chat, inner.chapters.get(&chat)?)));
            dirty
                .map(|(chat, chapter)| (chat, Value::of(chapter, &self.by).write()))
                .collect()
        };
        let mut writes = futures_util::stream::iter(values)
            .map(|(chat, value)| {
                let (bucket, account, by) = (&self.bucket, &self.account, &self.by);
                let revision = self.revisions.get(&chat).copied();
                async move {
                    let key = key(account, chat);
                    (chat, write(bucket, &key, value, revision, by).await)
                }
            })
            .buffer_unordered(AT_ONCE);
        let mut written = Vec::new();
        let mut failed = Vec::new();
        while let Some((chat, result)) = writes.next().await {
            match result {
                Ok(Some(revision)) => written.push((chat, revision)),
                Ok(None) => failed.push((chat, LedgerError::Owner(chat))),
                Err(error) => failed.push((chat, error.into())),
            }
        }
        drop(writes);
        {
            let mut inner = self.ledger.lock();
            let inner = &mut *inner;
            // What changed meanwhile may have been taken over.
            let stored = written.iter().filter(|(chat, _)| !inner.dirty.contains(chat));
            inner.stored.extend(stored.map(|(chat, _)| *chat));
            inner.dirty.extend(failed.iter().map(|(chat, _)| *chat));
        }
        self.ledger.flushed.notify_waiters();
        self.revisions.extend(written);
        // Another owner matters most.
        failed.sort_by_key(|(_, error)| matches!(error, LedgerError::Store(_)));
        failed.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }
}

/// The chapters of other accounts.
#[derive(Clone)]
pub struct Predecessors {
    bucket: Bucket,
}

impl Predecessors {
    /// Opens the bucket.
    ///
    /// # Errors
    /// When it does not exist or does not answer.
    pub async fn open(mesh: &Mesh) -> Result<Self, KvError> {
        let bucket = within(Bucket::open(mesh, subject::LEDGER)).await?;
        Ok(Self { bucket })
    }

    /// An account's chapter of a chat, as it was written last.
    ///
    /// # Errors
    /// See [`LedgerError`].
    pub async fn chapter(&self, account: &str, chat: i64) -> Result<Option<Chapter>, LedgerError> {
        let Some(entry) = within(self.bucket.get(&key(account, chat))).await? else {
            return Ok(None);
        };
        let chapter = Value::read(&entry.value).map_err(|why| LedgerError::Value(entry.key, why))?;
        Ok(Some(chapter))
    }
}

/// Writes a value over the revision that is known; nothing when somebody else wrote it.
async fn write(
    bucket: &Bucket,
    key: &str,
    value: Bytes,
    revision: Option<u64>,
    by: &str,
) -> Result<Option<u64>, KvError> {
    let mut revision = revision;
    for _ in 0..2 {
        let written = match revision {
            Some(revision) => within(bucket.update(key, value.clone(), revision)).await,
            None => within(bucket.create(key, value.clone())).await,
        };
        match written {
            Err(KvError::Conflict) => {}
            written => return written.map(Some),
        }
        // An earlier write of ours whose answer was lost looks like this too.
        let Some(entry) = within(bucket.get(key)).await? else {
            revision = None;
            continue;
        };
        if rmp_serde::from_slice::<Value>(&entry.value).is_ok_and(|value| value.by == by) {
            revision = Some(entry.revision);
            continue;
        }
        return Ok(None);
    }
    Ok(None)
}

impl Value {
    fn of(chapter: &Chapter, by: &str) -> Self {
        let count = |outcome: Outcome| chapter.counts[outcome as usize];
        Self {
            version: VERSION,
            by: by.to_owned(),
            first: chapter.first,
            top: chapter.top,
            done: chapter.done.clone(),
            received: count(Outcome::Received),
            recovered: count(Outcome::Recovered),
            deleted: count(Outcome::Deleted),
            unreachable: count(Outcome::Unreachable),
            reopened: chapter.reopened,
            marks: chapter.marks.clone(),
            place: chapter.place,
        }
    }

    fn write(&self) -> Bytes {
        // Numbers, a string and pairs of numbers can always be written.
        rmp_serde::to_vec_named(self).unwrap_or_default().into()
    }

    fn read(bytes: &[u8]) -> Result<Chapter, String> {
        let value: Self = rmp_serde::from_slice(bytes).map_err(|error| error.to_string())?;
        if value.version != VERSION {
            return Err(format!("its version {} is not {VERSION}", value.version));
        }
        if !value.done.is_sound() || value.first < 0 || !value.marks.is_sound() {
            return Err("its ranges are in disorder".to_owned());
        }
        let counts = [value.received, value.recovered, value.deleted, value.unreachable];
        let top = value.top.max(value.done.last().unwrap_or(0));
        let mut chapter = Chapter::resume(value.first, top, value.done, counts, Instant::now());
        chapter.reopened = value.reopened;
        chapter.marks = value.marks;
        chapter.place = value.place;
        Ok(chapter)
    }
}

fn key(account: &str, chat: i64) -> String {
    format!("{account}.{chat}")
}

fn within<T>(call: impl Future<Output = Result<T, KvError>>) -> impl Future<Output = Result<T, KvError>> {
    kv::within(CALL_TIMEOUT, call)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chapter_comes_back_as_it_was() {
        let now = Instant::now();
        let mut chapter = Chapter::begin(7, now);
        for id in [7, 8, 11] {
            chapter.account(id, Outcome::Received);
        }
        chapter.account(9, Outcome::Deleted);
        chapter.raise(20);
        chapter.stored(8, 100, 5);
        let read = Value::read(&Value::of(&chapter, "a").write()).unwrap();
        assert_eq!(
            (read.first, read.top, &read.done, read.counts),
            (7, 20, &chapter.done, chapter.counts)
        );
        assert_eq!((read.open(), read.marks), (chapter.open(), chapter.marks));
    }

    #[test]
    fn odd_values_are_refused() {
        let value = |done: &str, version| Value {
            version,
            by: String::new(),
            first: 1,
            top: 1,
            done: serde_json::from_str(done).unwrap(),
            received: 0,
            recovered: 0,
            deleted: 0,
            unreachable: 0,
            reopened: 0,
            marks: Marks::default(),
            place: ChannelPosition::default(),
        };
        assert!(Value::read(&value("[[1,2],[4,4]]", VERSION).write()).is_ok());
        assert!(Value::read(&value("[[4,4],[1,2]]", VERSION).write()).is_err());
        assert!(Value::read(&value("[]", VERSION + 1).write()).is_err());
        assert!(Value::read(b"\xc1").is_err());
    }
}
