//! What ends the children when their parent is killed.
//!
//! A small shell process reads from a pipe whose only writer is this process. It is told of every
//! child that starts and ends; when the pipe closes, which the kernel sees to however this process
//! dies, it asks the remaining children to stop, kills those that do not, and removes the temporary
//! folders. (The kernel's own parent-death signal needs unsafe code in the forked child, and is
//! lost when the child changes its user, as Postgres under root does.)
//!
//! What is left: a child started within the last microseconds before a SIGKILL may not have been
//! told of yet.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::process::Signal;

const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
live=
set --
while read -r what signal rest; do
    case $what in
    +) live="$live $signal:$rest" ;;
    -)
        kept=
        for one in $live; do [ "${one#*:}" = "$rest" ] || kept="$kept $one"; done
        live=$kept
        ;;
    d) set -- "$@" "$rest" ;;
    esac
done
for one in $live; do kill "-${one%%:*}" "-${one#*:}"; done
tries=0
while [ $tries -lt 60 ]; do
    left=
    for one in $live; do kill -0 "${one#*:}" && left=1; done
    [ -n "$left" ] || break
    sleep 0.1
    tries=$((tries + 1))
done
for one in $live; do kill -KILL "-${one#*:}"; done
for dir; do rm -rf -- "$dir"; done
"#;

#[derive(Default)]
struct Lifeline {
    pipe: Option<ChildStdin>,
    children: BTreeMap<u32, Signal>,
    dirs: BTreeSet<PathBuf>,
}

static LIFELINE: LazyLock<Mutex<Lifeline>> = LazyLock::new(Mutex::default);

/// Have `pid` and its process group end with this process, by `farewell` first.
pub(crate) fn hold(pid: u32, farewell: Signal) {
    with(|line| {
        line.children.insert(pid, farewell);
        line.say(format!("+ {} {pid}\n", farewell.name()).as_bytes());
    });
}

/// `pid` has ended.
pub(crate) fn release(pid: u32) {
    with(|line| {
        if line.children.remove(&pid).is_some() {
            line.say(format!("- - {pid}\n").as_bytes());
        }
    });
}

/// Have the folder removed when this process ends.
pub(crate) fn remove_afterwards(dir: &Path) {
    if dir.as_os_str().as_bytes().contains(&b'\n') {
        return;
    }
    with(|line| {
        line.dirs.insert(dir.to_path_buf());
        line.say(&folder_line(dir));
    });
}

fn with(change: impl FnOnce(&mut Lifeline)) {
    change(&mut LIFELINE.lock().unwrap_or_else(PoisonError::into_inner));
}

fn folder_line(dir: &Path) -> Vec<u8> {
    [b"d - ", dir.as_os_str().as_bytes(), b"\n"].concat()
}

impl Lifeline {
    /// Tells the shell; where there is none (yet, or someone ended it), a new one is told all.
    fn say(&mut self, line: &[u8]) {
        if let Some(pipe) = &mut self.pipe
            && pipe.write_all(line).is_ok()
        {
            return;
        }
        match self.start() {
            Ok(pipe) => self.pipe = Some(pipe),
            Err(error) => tracing::warn!(%error, "couldn't start the lifeline: children may outlive this process"),
        }
    }

    fn start(&self) -> std::io::Result<ChildStdin> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "tgmesh-lifeline"])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C reaches the terminal's process group: not this one.
            .process_group(0)
            .spawn()?;
        // It was asked for just above.
        let mut pipe = child.stdin.take().expect("the lifeline has a pipe");
        for (pid, farewell) in &self.children {
            pipe.write_all(format!("+ {} {pid}\n", farewell.name()).as_bytes())?;
        }
        for dir in &self.dirs {
            pipe.write_all(&folder_line(dir))?;
        }
        Ok(pipe)
    }
}
