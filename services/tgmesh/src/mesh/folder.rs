//! The state folder: who holds it, and the secrets kept in it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use secrecy::{ExposeSecret as _, SecretString};

/// What signs and checks the gateway's tokens.
pub const JWT_SECRET: &str = "jwt.secret";
/// What seals Telegram sessions.
pub(super) const ENCRYPTION_KEY: &str = "telegram.key";
/// Where the database is; it holds a password.
pub(crate) const DATABASE_URL: &str = "database.url";
/// The same for those who only read.
pub(super) const READER_URL: &str = "database-reader.url";

/// The state folder of one mesh, held by one process at a time.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    /// The kernel releases the lock however this process ends.
    _lock: File,
}

impl Folder {
    /// Makes the folder if need be, and takes hold of it.
    ///
    /// # Errors
    /// When another process holds it; the message has its id.
    pub fn open(dir: &Path) -> Result<Self> {
        // Postgres, when it runs as another user than this process, has to pass through.
        DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(dir)
            .with_context(|| format!("couldn't make the state folder {}", dir.display()))?;
        let dir = dir
            .canonicalize()
            .with_context(|| format!("couldn't find {}", dir.display()))?;
        let path = dir.join("lock");
        let mut lock = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("couldn't open {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = lock.read_to_string(&mut holder);
                bail!(
                    "{} is in use by another tgmesh (pid {}): stop it, or choose another --state",
                    dir.display(),
                    holder.trim()
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("couldn't lock {}", path.display()));
            }
        }
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .with_context(|| format!("couldn't write {}", path.display()))?;
        let folder = Self { dir, _lock: lock };
        folder.ensure_random(JWT_SECRET)?;
        folder.ensure_random(ENCRYPTION_KEY)?;
        Ok(folder)
    }

    /// A path in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Writes a secret (mode 0600), replacing what was there in one step.
    ///
    /// # Errors
    /// When the file system says no.
    pub fn keep_secret(&self, name: &str, secret: &SecretString) -> Result<()> {
        let path = self.path(name);
        let half = self.path(&format!("{name}.new"));
        let write = || {
            let mut file = OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(true)
                .mode(0o600)
                .open(&half)?;
            file.write_all(secret.expose_secret().as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&half, &path)
        };
        write().with_context(|| format!("couldn't write {}", path.display()))
    }

    /// 32 random bytes in hex, made once. A folder that is used again has to open the sessions it
    /// sealed.
    fn ensure_random(&self, name: &str) -> Result<()> {
        if self.path(name).exists() {
            return Ok(());
        }
        self.keep_secret(name, &SecretString::from(random_secret()))
    }
}

/// The file of the key that seals the sessions of this state folder, made if need be: an account
/// may be signed in before the first start, or while somebody holds the folder.
pub(crate) fn encryption_key(dir: &Path) -> Result<PathBuf> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(dir)
        .with_context(|| format!("couldn't make the state folder {}", dir.display()))?;
    let path = dir.join(ENCRYPTION_KEY);
    let made = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path);
    match made {
        Ok(mut file) => file
            .write_all(random_secret().as_bytes())
            .and_then(|()| file.sync_all())
            .with_context(|| format!("couldn't write {}", path.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("couldn't make {}", path.display())),
    }
    Ok(path)
}

fn random_secret() -> String {
    format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn one_holder_at_a_time_and_secrets_that_last() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("deep/state");
        let folder = Folder::open(&dir).unwrap();
        let secret = std::fs::read_to_string(folder.path(JWT_SECRET)).unwrap();
        assert_eq!(secret.len(), 64);
        let mode = folder.path(JWT_SECRET).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        // A key that is there is the key, whoever holds the folder.
        let key = std::fs::read_to_string(encryption_key(&dir).unwrap()).unwrap();
        assert_eq!(key, std::fs::read_to_string(folder.path(ENCRYPTION_KEY)).unwrap());
        let other = parent.path().join("new");
        let key = encryption_key(&other).unwrap();
        assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);

        let error = Folder::open(&dir).unwrap_err().to_string();
        assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");

        drop(folder);
        let folder = Folder::open(&dir).unwrap();
        assert_eq!(std::fs::read_to_string(folder.path(JWT_SECRET)).unwrap(), secret);
    }
}
