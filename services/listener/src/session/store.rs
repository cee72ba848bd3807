//! Where sealed sessions are kept: a bucket that all pods see, or a folder.

use std::fmt;
use std::path::{Path, PathBuf};

use tgmesh_stream::Mesh;

use super::folder::Folder;
use super::kv::Bucket;

/// `SESSION_STORE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// KV bucket `tgmesh_sessions`.
    Kv,
    /// Files `<account>.session`.
    Folder(PathBuf),
}

/// A store of sealed sessions. It never sees their content.
#[derive(Clone)]
pub enum Store {
    /// Bucket.
    Kv(Box<Bucket>),
    /// Folder.
    Folder(Folder),
}

/// Which write of a session this is; a write names the one it replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version(pub u64);

/// Why a store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else has written the session since.
    #[error("somebody else has written the session since it was read")]
    Conflict,
    /// It does not answer now; a later try may succeed. A write may or may not have happened.
    #[error("the session store does not answer: {0}")]
    Unavailable(String),
    /// It says no, and will do so again.
    #[error("the session store refuses: {0}")]
    Refused(String),
}

impl Store {
    /// Opens a store.
    ///
    /// # Errors
    /// When it does not exist or does not answer.
    pub async fn open(place: &Place, mesh: &Mesh) -> Result<Self, StoreError> {
        match place {
            Place::Kv => Ok(Self::Kv(Box::new(Bucket::open(mesh).await?))),
            Place::Folder(path) => Self::folder(path).await,
        }
    }

    /// Opens a folder, which needs no NATS.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn folder(path: &Path) -> Result<Self, StoreError> {
        Ok(Self::Folder(Folder::open(path).await?))
    }

    /// A session's sealed bytes; nothing when there is none.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn load(&self, account: &str) -> Result<Option<(Vec<u8>, Version)>, StoreError> {
        match self {
            Self::Kv(bucket) => bucket.load(account).await,
            Self::Folder(folder) => folder.load(account).await,
        }
    }

    /// Writes a session over the one with this version, or a new one.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another version is there.
    pub async fn save(&self, account: &str, sealed: &[u8], over: Option<Version>) -> Result<Version, StoreError> {
        match self {
            Self::Kv(bucket) => bucket.save(account, sealed, over).await,
            Self::Folder(folder) => folder.save(account, sealed, over).await,
        }
    }

    /// Removes the session with this version.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another version is there.
    pub async fn remove(&self, account: &str, version: Version) -> Result<(), StoreError> {
        match self {
            Self::Kv(bucket) => bucket.remove(account, version).await,
            Self::Folder(folder) => folder.remove(account, version).await,
        }
    }

    /// Names of the accounts that have a session, sorted.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn list(&self) -> Result<Vec<String>, StoreError> {
        let mut names = match self {
            Self::Kv(bucket) => bucket.list().await?,
            Self::Folder(folder) => folder.list().await?,
        };
        names.retain(|name| super::is_account_name(name));
        names.sort_unstable();
        Ok(names)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kv => f.write_str("bucket tgmesh_sessions"),
            Self::Folder(path) => write!(f, "folder {}", path.display()),
        }
    }
}
