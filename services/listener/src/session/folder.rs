//! Sessions as files `<account>.session`, replaced in one step and readable by their owner alone.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::{fs, io};

use sha2::{Digest as _, Sha256};

use super::store::{StoreError, Version};

const SUFFIX: &str = ".session";
/// Largest file that is read: a session has a kilobyte, and some hundred bytes for each channel.
const MAX_BYTES: u64 = 8 << 20;

/// A folder of sealed sessions.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
        let folder = Self {
            path: path.to_path_buf(),
        };
        let path = folder.path.clone();
        blocking(move || fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)).await?;
        Ok(folder)
    }

    pub(super) async fn load(&self, account: &str) -> Result<Option<(Vec<u8>, Version)>, StoreError> {
        let path = self.file(account);
        blocking(move || read(&path)).await
    }

    pub(super) async fn save(
        &self,
        account: &str,
        sealed: &[u8],
        over: Option<Version>,
    ) -> Result<Version, StoreError> {
        let path = self.file(account);
        let sealed = sealed.to_vec();
        let saved = blocking(move || {
            let there = read(&path)?.map(|(_, version)| version);
            // Not proof against two writers within a millisecond; a folder has one owner.
            if there != over && there != Some(version_of(&sealed)) {
                return Ok(None);
            }
            replace(&path, &sealed)?;
            Ok(Some(version_of(&sealed)))
        });
        saved.await?.ok_or(StoreError::Conflict)
    }

    pub(super) async fn remove(&self, account: &str, version: Version) -> Result<(), StoreError> {
        let path = self.file(account);
        let removed = blocking(move || {
            let Some((_, there)) = read(&path)? else {
                return Ok(true);
            };
            if there != version {
                return Ok(false);
            }
            fs::remove_file(&path)?;
            fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(true)
        });
        removed.await?.then_some(()).ok_or(StoreError::Conflict)
    }

    pub(super) async fn list(&self) -> Result<Vec<String>, StoreError> {
        let path = self.path.clone();
        blocking(move || {
            let mut names = Vec::new();
            for entry in fs::read_dir(&path)? {
                let name = entry?.file_name();
                if let Some(account) = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)) {
                    names.push(account.to_owned());
                }
            }
            Ok(names)
        })
        .await
    }

    /// Account names hold no dots or slashes, so this never leaves the folder.
    fn file(&self, account: &str) -> PathBuf {
        self.path.join(format!("{account}{SUFFIX}"))
    }
}

fn read(path: &Path) -> io::Result<Option<(Vec<u8>, Version)>> {
    match fs::metadata(path) {
        Ok(meta) if meta.len() > MAX_BYTES => Err(io::Error::new(ErrorKind::InvalidData, "the file is too large")),
        Ok(_) => fs::read(path).map(|bytes| {
            let version = version_of(&bytes);
            Some((bytes, version))
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes beside the file and renames, so that a crash leaves the old or the new session.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension(format!("session.{:08x}", rand::random::<u32>()));
    let written = (|| {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        // An odd umask may have taken the owner's bits.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// A folder counts no writes, so a version is a digest: every sealing has a nonce of its own.
fn version_of(bytes: &[u8]) -> Version {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    Version(u64::from_be_bytes(first))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    done.map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::NotADirectory | ErrorKind::InvalidData => {
            StoreError::Refused(error.to_string())
        }
        _ => StoreError::Unavailable(error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn replaces_what_it_read() {
        let scratch = tgmesh_testkit::Scratch::new().unwrap();
        let path = scratch.path().join("a/b");
        let folder = Folder::open(&path).await.unwrap();
        assert_eq!(folder.load("alpha").await.unwrap(), None);
        let first = folder.save("alpha", b"one", None).await.unwrap();
        assert_eq!(folder.load("alpha").await.unwrap(), Some((b"one".to_vec(), first)));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path.join("alpha.session")), 0o600);
        assert_eq!(mode(&path), 0o700);

        let second = folder.save("alpha", b"two", Some(first)).await.unwrap();
        // Two owners: the one that did not see the latest write is told so.
        assert!(matches!(
            folder.save("alpha", b"three", Some(first)).await,
            Err(StoreError::Conflict)
        ));
        assert!(matches!(
            folder.save("alpha", b"three", None).await,
            Err(StoreError::Conflict)
        ));
        // A write that is repeated because its answer was lost is no conflict.
        assert_eq!(folder.save("alpha", b"two", Some(first)).await.unwrap(), second);
        assert_eq!(folder.list().await.unwrap(), ["alpha"]);
        assert!(matches!(folder.remove("alpha", first).await, Err(StoreError::Conflict)));
        // Nothing is left beside it.
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
        folder.remove("alpha", second).await.unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        folder.remove("alpha", second).await.unwrap();
    }
}
