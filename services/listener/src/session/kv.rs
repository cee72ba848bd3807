//! Sessions in the bucket `tgmesh_sessions`, written by compare-and-set.

use bytes::Bytes;
use tgmesh_proto::subject;
use tgmesh_stream::Mesh;
use tgmesh_stream::kv::{self, KvError};

use super::store::{StoreError, Version};

/// The bucket of sealed sessions.
#[derive(Clone)]
pub struct Bucket {
    bucket: kv::Bucket,
}

impl Bucket {
    pub(super) async fn open(mesh: &Mesh) -> Result<Self, StoreError> {
        let bucket = kv::Bucket::open(mesh, subject::SESSIONS).await?;
        Ok(Self { bucket })
    }

    pub(super) async fn load(&self, account: &str) -> Result<Option<(Vec<u8>, Version)>, StoreError> {
        let entry = self.bucket.get(account).await?;
        Ok(entry.map(|entry| (entry.value.to_vec(), Version(entry.revision))))
    }

    pub(super) async fn save(
        &self,
        account: &str,
        sealed: &[u8],
        over: Option<Version>,
    ) -> Result<Version, StoreError> {
        let value = Bytes::copy_from_slice(sealed);
        let written = match over {
            Some(Version(revision)) => self.bucket.update(account, value.clone(), revision).await,
            None => self.bucket.create(account, value.clone()).await,
        };
        match written {
            Ok(revision) => Ok(Version(revision)),
            // The ack of our own earlier write may have been lost: then these very bytes are there.
            Err(KvError::Conflict) => match self.bucket.get(account).await? {
                Some(entry) if entry.value == value => Ok(Version(entry.revision)),
                _ => Err(StoreError::Conflict),
            },
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn remove(&self, account: &str, Version(revision): Version) -> Result<(), StoreError> {
        Ok(self.bucket.delete(account, Some(revision)).await?)
    }

    pub(super) async fn list(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.bucket.keys().await?)
    }
}

impl From<KvError> for StoreError {
    fn from(error: KvError) -> Self {
        match error {
            KvError::Conflict => Self::Conflict,
            KvError::Unavailable(why) => Self::Unavailable(why),
            other => Self::Refused(other.to_string()),
        }
    }
}
