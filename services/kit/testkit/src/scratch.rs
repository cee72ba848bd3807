//! Folders that are gone afterwards, whatever happens.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::lifeline;

/// A temporary folder, removed on drop and, where the process dies first, by its lifeline.
///
/// Others may pass through it but not list it (mode 0711), so that a server under another user can
/// reach its own folder below.
#[derive(Debug)]
pub struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    /// Makes a folder whose name begins with `tgmesh-`.
    ///
    /// # Errors
    /// When the file system says no.
    pub fn new() -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("tgmesh-")
            .permissions(std::fs::Permissions::from_mode(0o711))
            .tempdir()
            .context("couldn't make a temporary folder")?;
        lifeline::remove_afterwards(dir.path());
        Ok(Self { dir })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}
