//! Who of all accounts, on whatever process, is in a listed chat or tries to join it: one join is
//! enough, and nobody else should have to try.
//!
//! A row for each name and invitation, beside the assignments: `join.` and the first 16 hex digits
//! of a hash, because whoever reads an invitation can accept it. Rows are followed with the
//! assignments, and changed by compare-and-set.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tgmesh_lifecycle::clock;
use tgmesh_stream::kv::{self, Bucket, Entry, KvError};

/// What rows' keys begin with.
pub const PREFIX: &str = "join.";
/// How long a try may last; then its owner is taken for dead.
const TRY: Duration = Duration::from_mins(3);
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Tries of a write that others came before.
const TRIES: usize = 5;
/// Most accounts in a row.
const MAX_ACCOUNTS: usize = 1_000;

/// What is known of an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Whether an account sees what the entry stands for; absent: it has not looked.
    pub states: BTreeMap<String, bool>,
    /// Who tries now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trying: Option<Trying>,
}

/// A try under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trying {
    /// The account.
    pub account: String,
    /// When it is over at the latest, ms since the epoch.
    pub until_ms: i64,
}

/// All rows, as far as this process has seen. Clones share them.
#[derive(Clone)]
pub struct Joins {
    bucket: Bucket,
    rows: Arc<Mutex<HashMap<String, (u64, Join)>>>,
}

impl Joins {
    /// In this bucket. Somebody else follows it.
    #[must_use]
    pub fn new(bucket: Bucket) -> Self {
        Self {
            bucket,
            rows: Arc::default(),
        }
    }

    /// Takes note of a row.
    pub fn note(&self, entry: &Entry) {
        // What cannot be read is written anew.
        let join = serde_json::from_slice(&entry.value).unwrap_or_default();
        let (revision, join) = if entry.deleted {
            (0, Join::default())
        } else {
            (entry.revision, join)
        };
        let mut rows = self.rows();
        let known = rows.get(&entry.key).map_or(0, |(known, _)| *known);
        if entry.deleted || revision > known {
            rows.insert(entry.key.clone(), (revision, join));
        }
    }

    /// What is known of an entry.
    #[must_use]
    pub fn of(&self, entry: &str) -> Join {
        self.rows()
            .get(&key(entry))
            .map(|(_, join)| join.clone())
            .unwrap_or_default()
    }

    /// Says that the account tries now; whether nobody else does.
    ///
    /// # Errors
    /// When the bucket does not answer.
    pub async fn claim(&self, entry: &str, account: &str) -> Result<bool, KvError> {
        let now_ms = clock::now_ms();
        let (revision, mut join) = self.row(entry);
        let is_over = |trying: &Trying| trying.account == account || !trying.is_on(now_ms);
        if !join.trying.as_ref().is_none_or(is_over) {
            return Ok(false);
        }
        join.trying = Some(Trying {
            account: account.to_owned(),
            until_ms: now_ms + i64::try_from(TRY.as_millis()).unwrap_or(0),
        });
        self.write(entry, revision, join).await
    }

    /// Says whether the account sees what the entry stands for, and that it does not try any more.
    ///
    /// # Errors
    /// When the bucket does not answer, or others write all the time.
    pub async fn tell(&self, entry: &str, account: &str, sees: bool) -> Result<(), KvError> {
        for _ in 0..TRIES {
            let (revision, mut join) = self.row(entry);
            let is_trying = join.trying.as_ref().is_some_and(|trying| trying.account == account);
            if !is_trying && join.states.get(account) == Some(&sees) {
                return Ok(());
            }
            if is_trying {
                join.trying = None;
            }
            if join.states.len() < MAX_ACCOUNTS || join.states.contains_key(account) {
                join.states.insert(account.to_owned(), sees);
            }
            if self.write(entry, revision, join).await? {
                return Ok(());
            }
        }
        Err(KvError::Conflict)
    }

    /// Whether it was written; if not, what is there now is known.
    async fn write(&self, entry: &str, revision: u64, join: Join) -> Result<bool, KvError> {
        let key = key(entry);
        // Names and numbers can always be written.
        let value = Bytes::from(serde_json::to_vec(&join).unwrap_or_default());
        let written = if revision == 0 {
            kv::within(CALL_TIMEOUT, self.bucket.create(&key, value)).await
        } else {
            kv::within(CALL_TIMEOUT, self.bucket.update(&key, value, revision)).await
        };
        match written {
            Ok(revision) => {
                let mut rows = self.rows();
                if rows.get(&key).is_none_or(|(known, _)| revision > *known) {
                    rows.insert(key, (revision, join));
                }
                Ok(true)
            }
            Err(KvError::Conflict) => {
                if let Some(entry) = kv::within(CALL_TIMEOUT, self.bucket.get(&key)).await? {
                    self.note(&entry);
                }
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn row(&self, entry: &str) -> (u64, Join) {
        self.rows().get(&key(entry)).cloned().unwrap_or_default()
    }

    fn rows(&self) -> MutexGuard<'_, HashMap<String, (u64, Join)>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trying {
    /// Whether it may still be under way. One that would last longer than any is a foolish value.
    pub fn is_on(&self, now_ms: i64) -> bool {
        let longest = i64::try_from(TRY.as_millis()).unwrap_or(0) * 2;
        (now_ms..=now_ms.saturating_add(longest)).contains(&self.until_ms)
    }
}

fn key(entry: &str) -> String {
    let digest = Sha256::new()
        .chain_update(b"tgmesh join")
        .chain_update(entry)
        .finalize();
    let mut key = PREFIX.to_owned();
    for byte in &digest[..8] {
        // Writing to a String does not fail.
        let _ = write!(key, "{byte:02x}");
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invitations_do_not_show_in_keys() {
        let key = key("+AbCdEf-_12");
        assert!(key.starts_with(PREFIX) && key.len() == PREFIX.len() + 16 && !key.contains("AbCdEf"));
        assert_ne!(key, super::key("+AbCdEf-_13"));
    }

    #[test]
    fn a_try_does_not_last_for_ever() {
        let trying = |until_ms| Trying {
            account: "a".to_owned(),
            until_ms,
        };
        assert!(trying(2_000).is_on(1_000) && !trying(2_000).is_on(2_001) && !trying(i64::MAX).is_on(1_000));
    }
}
