//! Accounts whose session Telegram ended: no process takes them until another session is stored.
//!
//! A mark beside the sessions, `stopped.<account>` in `tgmesh_sessions`, names the key that is
//! dead. A key that is used again after that makes it worse for the account, and a crash or a
//! successor would do just that. Signing in gives a new key, which the mark does not name: so
//! nobody has to take the mark away. Signing in again under the same key counts as another session.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tgmesh_lifecycle::clock;
use tgmesh_lifecycle::trace::TraceParent;
use tgmesh_proto::audit::AuditEvent;
use tgmesh_proto::subject;
use tgmesh_stream::Mesh;
use tgmesh_stream::kv::{Bucket, KvError};
use tgmesh_stream::publish::{Outgoing, publish_one};

use crate::session::Content;

/// Names the key of a session and betrays nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint(String);

/// What is known of an account that was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The key that is dead.
    pub key: Fingerprint,
    /// What Telegram said.
    pub why: String,
    /// When, ms since the epoch.
    pub at_ms: i64,
    /// Which process was told.
    pub instance: String,
}

impl Fingerprint {
    /// Of a session's home key, whose 2048 random bits make it impossible to guess, and of when it
    /// was signed in: who signs in again may do so with the same key.
    #[must_use]
    pub fn of(content: &Content) -> Self {
        let key = content.home_key().map_or(&[][..], |key| &key.auth_key);
        let digest = Sha256::new()
            .chain_update(b"tgmesh stopped key")
            .chain_update(content.since_s.to_be_bytes())
            .chain_update(key)
            .finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Self(format!("{:016x}", u64::from_be_bytes(first)))
    }
}

/// The mark of an account, if it has one.
///
/// # Errors
/// When the bucket does not answer.
pub async fn mark_of(mesh: &Mesh, account: &str) -> Result<Option<Mark>, KvError> {
    let bucket = Bucket::open(mesh, subject::SESSIONS).await?;
    let entry = bucket.get(&key(account)).await?;
    // What cannot be read is no mark: the account is tried, and marked anew.
    Ok(entry.and_then(|entry| serde_json::from_slice(&entry.value).ok()))
}

/// Marks an account, and tells AUDIT.
pub async fn stop(mesh: &Mesh, account: &str, mark: &Mark) {
    if let Err(error) = write(mesh, account, mark).await {
        tracing::error!(account, %error, "couldn't mark the account as stopped: others will try it too");
    }
    let entry = AuditEvent::new(
        ("listener", &mark.instance),
        "account_stopped",
        clock::now_us(),
        Some(account),
        Some(&format!("account:{account}")),
        [("why", mark.why.clone())],
    );
    let traceparent = TraceParent::unrelated().to_string();
    let Ok(outgoing) = Outgoing::audit(&entry, traceparent) else {
        // Some short strings.
        return;
    };
    if let Err(error) = publish_one(mesh, &outgoing).await {
        tracing::warn!(%error, "couldn't write to AUDIT that an account is stopped");
    }
}

async fn write(mesh: &Mesh, account: &str, mark: &Mark) -> Result<(), KvError> {
    let bucket = Bucket::open(mesh, subject::SESSIONS).await?;
    // Strings and a number can always be written.
    let value = serde_json::to_vec(mark).unwrap_or_default();
    bucket.put(&key(account), Bytes::from(value)).await.map(|_| ())
}

/// No account has a dot in its name.
fn key(account: &str) -> String {
    format!("stopped.{account}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::DcKey;

    #[test]
    fn another_key_has_another_fingerprint() {
        let content = |byte| {
            let key = DcKey {
                dc_id: 2,
                address: "127.0.0.1:1".parse().unwrap(),
                auth_key: vec![byte; 256],
            };
            Content::new(77, key)
        };
        assert_eq!(Fingerprint::of(&content(1)), Fingerprint::of(&content(1)));
        assert_ne!(Fingerprint::of(&content(1)), Fingerprint::of(&content(2)));
        assert_eq!(Fingerprint::of(&content(1)).0.len(), 16);
    }
}
