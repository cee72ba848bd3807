//! Under which user Postgres runs when the parent is root.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process::Spec;

/// The user that Postgres runs as.
#[derive(Clone, Debug)]
pub(super) enum Owner {
    /// The parent's own.
    Oneself,
    /// Another one, which reaches every folder on the way.
    Dropped { uid: u32, gid: u32 },
    /// Another one that could not reach the data or the programs by itself.
    Capable { setpriv: PathBuf, uid: u32, gid: u32 },
}

impl Owner {
    /// The user for a server with its data below `dir` and its programs in `bin`.
    pub(super) fn of(dir: &Path, bin: &Path) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Oneself);
        }
        let Some((uid, gid)) = unprivileged_user() else {
            bail!("Postgres refuses to run as root, and /etc/passwd has neither `postgres` nor `nobody` to run it as");
        };
        if reaches(dir, uid, gid) && reaches(bin, uid, gid) {
            return Ok(Self::Dropped { uid, gid });
        }
        let setpriv = ["/usr/bin/setpriv", "/bin/setpriv"]
            .map(PathBuf::from)
            .into_iter()
            .find(|path| path.is_file());
        match setpriv {
            Some(setpriv) => Ok(Self::Capable { setpriv, uid, gid }),
            None => bail!(
                "Postgres refuses to run as root, and the user {uid} can't reach {} or {}: install util-linux's setpriv, or choose a folder outside root's home",
                dir.display(),
                bin.display()
            ),
        }
    }

    /// Makes a folder this user's.
    pub(super) fn give(&self, dir: &Path) -> Result<()> {
        match *self {
            Self::Oneself => Ok(()),
            Self::Dropped { uid, gid } | Self::Capable { uid, gid, .. } => chown(dir, Some(uid), Some(gid))
                .with_context(|| format!("couldn't give {} to the user {uid}", dir.display())),
        }
    }

    /// A child that runs as this user.
    pub(super) fn spec(&self, program: &Path) -> Spec {
        match self {
            Self::Oneself => Spec::new(program),
            Self::Dropped { uid, gid } => Spec::new(program).user(*uid, *gid),
            Self::Capable { setpriv, uid, gid } => Spec::new(setpriv).args(capable(*uid, *gid)).arg(program),
        }
    }

    /// The same for a program that is waited for.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command;
        match self {
            Self::Oneself => command = Command::new(program),
            Self::Dropped { uid, gid } => {
                command = Command::new(program);
                command.uid(*uid).gid(*gid);
            }
            Self::Capable { setpriv, uid, gid } => {
                command = Command::new(setpriv);
                command.args(capable(*uid, *gid)).arg(program);
            }
        }
        command.current_dir("/");
        command
    }
}

/// Search and read anywhere, nothing else; kept over the change of user by being ambient.
fn capable(uid: u32, gid: u32) -> [String; 5] {
    [
        format!("--reuid={uid}"),
        format!("--regid={gid}"),
        "--clear-groups".to_owned(),
        "--inh-caps=-all,+dac_read_search,+dac_override".to_owned(),
        "--ambient-caps=-all,+dac_read_search,+dac_override".to_owned(),
    ]
}

fn unprivileged_user() -> Option<(u32, u32)> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let ids = |name: &str| {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    ids("postgres").or_else(|| ids("nobody"))
}

/// Whether the user may search every folder down to this one.
fn reaches(dir: &Path, uid: u32, gid: u32) -> bool {
    dir.ancestors().all(|dir| {
        dir.metadata().is_ok_and(|meta| {
            let shift = if meta.uid() == uid {
                6
            } else if meta.gid() == gid {
                3
            } else {
                0
            };
            meta.mode() >> shift & 1 == 1
        })
    })
}
