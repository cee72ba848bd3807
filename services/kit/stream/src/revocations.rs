//! The bucket of revoked tokens and subjects.
//!
//! A key is a token id or a subject in base64url. That it is there is what counts; its value tells
//! people who wrote it and when.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use tgmesh_proto::subject;

use crate::kv::{Bucket, KvError};
use crate::mesh::Mesh;

/// Revokes a token id or all tokens of a subject. `by` and `at_ms` are for people.
///
/// # Errors
/// When `JetStream` does not take it.
pub async fn revoke(mesh: &Mesh, name: &str, by: &str, at_ms: i64) -> Result<(), KvError> {
    let bucket = Bucket::open(mesh, subject::REVOCATIONS).await?;
    let value = serde_json::json!({ "by": by, "at_ms": at_ms }).to_string();
    bucket.put(&URL_SAFE_NO_PAD.encode(name), Bytes::from(value)).await?;
    Ok(())
}

/// Takes a revocation back. One that was never there is no fault.
///
/// # Errors
/// When `JetStream` does not take it.
pub async fn restore(mesh: &Mesh, name: &str) -> Result<(), KvError> {
    let bucket = Bucket::open(mesh, subject::REVOCATIONS).await?;
    bucket.delete(&URL_SAFE_NO_PAD.encode(name), None).await
}

/// The token id or subject behind a key. A key that is no base64url was written by hand, and means
/// itself.
#[must_use]
pub fn name(key: &str) -> String {
    URL_SAFE_NO_PAD
        .decode(key.trim_end_matches('='))
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_else(|| key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_back_to_names() {
        for subject in ["ann", "ann@example.org", "團隊/7", "a=b", "x"] {
            assert_eq!(name(&URL_SAFE_NO_PAD.encode(subject)), subject);
        }
        assert_eq!(name("not.base64"), "not.base64");
        assert_eq!(name("YW5u="), "ann", "padding is no part of it");
    }
}
