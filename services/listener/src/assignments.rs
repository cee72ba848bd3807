//! Which account watches which channel.
//!
//! What several accounts see is watched by one of them, the first by rendezvous among the living
//! ([`rendezvous`]); an account lives while its lease is held. `tgmesh_assignments` says for each
//! chat who watches it, under which lease epoch, and who sees it. Every process follows both
//! buckets and computes the same; only the process of an account that is first *takes* a chat, by
//! compare-and-set, so an assignment is never moved by somebody who has seen less.
//!
//! A chat is handed over without a hole. The successor reads the ledger chapter of the account
//! that the assignment names, stores it as its own, then takes the assignment, and follows the
//! channel from the chapter's place. Until the old watcher sees that (it may be dead), both follow
//! the channel: event ids are the same for both, and what lies between is fetched by the difference
//! or by id. An old chapter is left where it is: an assignment says whose counts.
//!
//! A watcher that is gone is waited for for half a lease time, because another process takes its
//! account over soon; then the first one takes the chat, a lease time later the second, and so on.
//!
//! An account that Telegram takes no requests from that a chat needs, for long, *passes*: the next
//! one in the order takes the chat as above, and the first takes it back when the wait is over.
//!
//! Basic groups and private chats are not divided: there every account numbers the messages for
//! itself, so a successor could neither tell which of its messages the other one had, nor tell them
//! under the same ids. Every account that sees one tells of it; private chats have one anyway.

mod assigner;
mod duties;
mod rendezvous;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tgmesh_proto::subject;
use tgmesh_stream::Mesh;
use tgmesh_stream::kv::{self, Bucket, Entry, KvError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::chats::{Joins, joins};
pub use assigner::{Assigner, Racing};
pub use duties::{Duties, Start};

/// Most accounts that are noted as seeing a chat.
const MAX_SEEN_BY: usize = 1_000;
/// No pass is longer: a value from outside must not keep an account from a chat for good.
const LONGEST_PASS_MS: i64 = 25 * 3_600 * 1_000;
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// What is known of a chat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Who watches it; empty when nobody ever did.
    pub account: String,
    /// Under which lease epoch.
    pub epoch: u64,
    /// Who sees it, sorted.
    pub seen_by: Vec<String>,
    /// Who cannot watch it for a while.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<Pass>,
}

/// An account leaves a chat to others: Telegram takes no requests from it that the chat needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// Which one.
    pub account: String,
    /// Until when, ms since the epoch, by its clock. Clocks that differ move the chat's return,
    /// and nothing else.
    pub until_ms: i64,
}

/// An assignment, and the revision that a change of it replaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// Revision; 0 where there is none yet.
    pub revision: u64,
    /// What it says.
    pub assignment: Assignment,
}

/// All assignments, as far as this process has seen. Clones share them.
#[derive(Clone)]
pub struct Assignments {
    bucket: Bucket,
    rows: Arc<RwLock<HashMap<i64, Row>>>,
    /// Rows of another kind in the same bucket.
    joins: Joins,
    changes: watch::Sender<u64>,
}

impl Assignments {
    /// Opens the bucket, and reads what is there.
    ///
    /// # Errors
    /// When it does not exist or does not answer.
    pub async fn open(mesh: &Mesh) -> Result<Self, KvError> {
        let bucket = Bucket::open(mesh, subject::ASSIGNMENTS).await?;
        let assignments = Self {
            joins: Joins::new(bucket.clone()),
            bucket,
            rows: Arc::default(),
            changes: watch::Sender::new(0),
        };
        assignments.read_all().await?;
        Ok(assignments)
    }

    /// Follows changes until the token is cancelled.
    pub async fn follow(self, until: CancellationToken) {
        let open = || within(self.bucket.watch(">"));
        kv::follow("the assignments", open, |entry| self.take(entry), &until).await;
    }

    /// Who joins which chat.
    #[must_use]
    pub fn joins(&self) -> Joins {
        self.joins.clone()
    }

    /// Changes after each change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What is known of a chat.
    #[must_use]
    pub fn row(&self, chat_id: i64) -> Option<Row> {
        self.rows
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&chat_id)
            .cloned()
    }

    /// The chats that an account is known to see.
    #[must_use]
    pub fn seen_by(&self, account: &str) -> Vec<i64> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let sees = |row: &Row| row.assignment.seen_by.iter().any(|known| known == account);
        rows.iter()
            .filter(|(_, row)| sees(row))
            .map(|(&chat, _)| chat)
            .collect()
    }

    /// Replaces a row. Nothing when somebody else has changed it: what is there now is known then.
    ///
    /// # Errors
    /// When the bucket does not answer.
    pub async fn replace(&self, chat_id: i64, revision: u64, assignment: Assignment) -> Result<Option<Row>, KvError> {
        let key = chat_id.to_string();
        // Names and numbers can always be written.
        let value = Bytes::from(serde_json::to_vec(&assignment).unwrap_or_default());
        let written = if revision == 0 {
            within(self.bucket.create(&key, value)).await
        } else {
            within(self.bucket.update(&key, value, revision)).await
        };
        match written {
            Ok(revision) => {
                let row = Row { revision, assignment };
                self.note(chat_id, row.clone());
                Ok(Some(row))
            }
            Err(KvError::Conflict) => {
                if let Some(entry) = within(self.bucket.get(&key)).await? {
                    self.take(&entry);
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn read_all(&self) -> Result<(), KvError> {
        use futures_util::{StreamExt as _, TryStreamExt as _};
        let keys = within(self.bucket.keys()).await?;
        let reads = futures_util::stream::iter(keys).map(|key| async move { within(self.bucket.get(&key)).await });
        let mut entries = reads.buffer_unordered(16);
        while let Some(entry) = entries.try_next().await? {
            if let Some(entry) = entry {
                self.take(&entry);
            }
        }
        Ok(())
    }

    fn take(&self, entry: &Entry) {
        if entry.key.starts_with(joins::PREFIX) {
            return self.joins.note(entry);
        }
        let Ok(chat_id) = entry.key.parse::<i64>() else { return };
        let assignment = if entry.deleted {
            Assignment::default()
        } else {
            // What cannot be read is written anew by whoever sees the chat.
            serde_json::from_slice::<Assignment>(&entry.value).unwrap_or_default()
        };
        let row = Row {
            // A deleted key is created anew.
            revision: if entry.deleted { 0 } else { entry.revision },
            assignment,
        };
        self.note(chat_id, row);
    }

    fn note(&self, chat_id: i64, row: Row) {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        let known = rows.get(&chat_id);
        if known.is_some_and(|known| row.revision != 0 && known.revision >= row.revision) {
            return;
        }
        rows.insert(chat_id, row);
        drop(rows);
        self.changes.send_modify(|n| *n += 1);
    }
}

impl Assignment {
    /// The same, seen by this account too.
    fn and_seen_by(mut self, account: &str) -> Self {
        if let Err(at) = self.seen_by.binary_search_by(|known| known.as_str().cmp(account))
            && self.seen_by.len() < MAX_SEEN_BY
        {
            self.seen_by.insert(at, account.to_owned());
        }
        self
    }

    /// The same, left to others by this account.
    fn and_passed_by(mut self, account: &str, until_ms: i64, now_ms: i64) -> Self {
        self.passed
            .retain(|pass| pass.account != account && pass.until_ms > now_ms);
        if self.passed.len() < MAX_SEEN_BY {
            self.passed.push(Pass {
                account: account.to_owned(),
                until_ms,
            });
        }
        self
    }

    /// Whether an account cannot watch it now. Nobody is kept from it for longer than Telegram's
    /// longest waits.
    fn is_passed_by(&self, account: &str, now_ms: i64) -> bool {
        let until = |pass: &Pass| (now_ms..now_ms + LONGEST_PASS_MS).contains(&(pass.until_ms - 1));
        self.passed.iter().any(|pass| pass.account == account && until(pass))
    }

    fn is_seen_by(&self, account: &str) -> bool {
        self.seen_by
            .binary_search_by(|known| known.as_str().cmp(account))
            .is_ok()
    }
}

fn within<T>(call: impl Future<Output = Result<T, KvError>>) -> impl Future<Output = Result<T, KvError>> {
    kv::within(CALL_TIMEOUT, call)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_over_when_its_time_is() {
        let assignment = Assignment::default()
            .and_passed_by("a", 2_000, 1_000)
            .and_passed_by("b", 9_000, 1_000);
        assert!(assignment.is_passed_by("a", 1_999) && !assignment.is_passed_by("a", 2_000));
        let later = assignment.and_passed_by("b", 12_000, 5_000);
        assert_eq!(later.passed.len(), 1, "those that are over are forgotten");
        let foolish = Assignment::default().and_passed_by("a", i64::MAX, 0);
        assert!(!foolish.is_passed_by("a", 1_000));
    }

    #[test]
    fn who_sees_a_chat_is_noted_once_and_in_order() {
        let seen = ["b", "a", "b", "c"];
        let assignment = seen.iter().fold(Assignment::default(), |assignment, account| {
            assignment.and_seen_by(account)
        });
        assert_eq!(assignment.seen_by, ["a", "b", "c"]);
        assert!(assignment.is_seen_by("a") && !assignment.is_seen_by("d"));
    }
}
