//! Child processes: their log, their signals, their end.
//!
//! Each child leads a process group of its own, so that Ctrl-C in a terminal reaches the parent
//! alone, which then stops its children in order. A child ends with its [`Process`] value, and with
//! the parent process however that ends: a small shell process holds the lifeline, a pipe that
//! closes when the parent dies.

mod log;
mod spec;

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, WaitId, WaitIdOptions};
use tokio::sync::watch;

pub use spec::{Signal, Spec};

use crate::lifeline;
use crate::scratch::Scratch;

/// How long a dropped child may take to end by its farewell signal before it is killed.
const DROP_GRACE: Duration = Duration::from_secs(5);

/// A child process. Dropping it ends it.
pub struct Process {
    name: String,
    pid: u32,
    log: PathBuf,
    farewell: Signal,
    dropped_with: Signal,
    shared: Arc<Shared>,
    _scratch: Option<Scratch>,
}

struct Shared {
    // Held while a signal is sent and while the child is reaped: a pid never gets a signal after it
    // was given back to the system.
    status: Mutex<Option<ExitStatus>>,
    ended: Condvar,
    watch: watch::Sender<Option<ExitStatus>>,
}

impl Process {
    /// Starts a program.
    ///
    /// # Errors
    /// When it cannot be started or its log cannot be written.
    pub fn spawn(spec: Spec) -> Result<Self> {
        let name = spec
            .program
            .file_name()
            .map_or_else(|| "?".to_owned(), |name| name.to_string_lossy().into_owned());
        let (log, scratch) = if let Some(path) = spec.log {
            (path, None)
        } else {
            let scratch = Scratch::new()?;
            (scratch.path().join(format!("{name}.log")), Some(scratch))
        };
        let output = log::open(&log)?;
        let mut command = Command::new(&spec.program);
        command
            .args(&spec.args)
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("couldn't share a log")?)
            .stderr(output)
            .process_group(0);
        for (name, value) in &spec.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(dir) = &spec.dir {
            command.current_dir(dir);
        }
        if let Some((uid, gid)) = spec.user {
            command.uid(uid).gid(gid);
        }
        let child = command
            .spawn()
            .with_context(|| format!("couldn't start {}", spec.program.display()))?;
        let pid = child.id();
        lifeline::hold(pid, spec.farewell);
        let shared = Arc::new(Shared {
            status: Mutex::new(None),
            ended: Condvar::new(),
            watch: watch::Sender::new(None),
        });
        let for_thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name(format!("reap-{name}"))
            .spawn(move || reap(child, &for_thread))
            .context("couldn't start a thread")?;
        Ok(Self {
            name,
            pid,
            log,
            farewell: spec.farewell,
            dropped_with: spec.dropped_with,
            shared,
            _scratch: scratch,
        })
    }

    /// The program's file name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id, which is also its process group's.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn status(&self) -> Option<ExitStatus> {
        *self.shared.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.status().is_none()
    }

    /// Sends a signal to the process; SIGKILL to its whole group. Nothing happens once it has ended.
    pub fn signal(&self, signal: Signal) {
        let status = self.shared.status.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(pid) = Pid::from_raw(self.pid.cast_signed()) else {
            return;
        };
        if status.is_some() {
            return;
        }
        let sent = if signal == Signal::Kill {
            rustix::process::kill_process_group(pid, signal.number())
        } else {
            rustix::process::kill_process(pid, signal.number())
        };
        if let Err(error) = sent {
            tracing::debug!(name = self.name, pid = self.pid, %error, "couldn't send a signal");
        }
    }

    /// Asks it to stop: SIGTERM. Returns at once.
    pub fn terminate(&self) {
        self.signal(Signal::Term);
    }

    /// SIGKILL. Returns at once.
    pub fn kill(&self) {
        self.signal(Signal::Kill);
    }

    /// Freezes it: SIGSTOP.
    pub fn pause(&self) {
        self.signal(Signal::Stop);
    }

    /// Lets it go on: SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::Cont);
    }

    /// Waits for its end.
    pub async fn ended(&self) -> ExitStatus {
        let mut watch = self.shared.watch.subscribe();
        loop {
            if let Some(status) = *watch.borrow_and_update() {
                return status;
            }
            if watch.changed().await.is_err() {
                // The sender lives in `self.shared`: this cannot happen while `self` is borrowed.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits for its end, at most this long.
    ///
    /// # Errors
    /// When it still runs then; the message has the end of its log.
    pub async fn wait(&self, limit: Duration) -> Result<ExitStatus> {
        match tokio::time::timeout(limit, self.ended()).await {
            Ok(status) => Ok(status),
            Err(_) => bail!(
                "{} (pid {}) still runs after {limit:?}; its log ends:\n{}",
                self.name,
                self.pid,
                self.log_tail()
            ),
        }
    }

    /// Asks it to stop, and kills it when it has not done so within the grace period.
    pub async fn stop(&self, grace: Duration) -> ExitStatus {
        self.signal(self.farewell);
        if let Ok(status) = tokio::time::timeout(grace, self.ended()).await {
            return status;
        }
        tracing::warn!(
            name = self.name,
            pid = self.pid,
            grace_s = grace.as_secs_f64(),
            "killing a process that did not stop"
        );
        self.kill();
        self.ended().await
    }

    /// Where it writes what it prints.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// The last 16 KiB of what it printed.
    #[must_use]
    pub fn log_tail(&self) -> String {
        log::tail(&self.log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(self.dropped_with);
        // A frozen process gets only SIGKILL and SIGCONT.
        self.signal(Signal::Cont);
        if !self.shared.wait_blocking(DROP_GRACE) {
            self.kill();
            self.shared.wait_blocking(DROP_GRACE);
        }
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process")
            .field("name", &self.name)
            .field("pid", &self.pid)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn wait_blocking(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        while status.is_none() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            status = self
                .ended
                .wait_timeout(status, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }
}

/// Waits for the child's end, then reaps it under the lock that signals are sent under.
fn reap(mut child: Child, shared: &Shared) {
    let pid = child.id();
    if let Some(id) = Pid::from_raw(pid.cast_signed()) {
        while let Err(error) = rustix::process::waitid(WaitId::Pid(id), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            if error != rustix::io::Errno::INTR {
                break;
            }
        }
    }
    let mut status = shared.status.lock().unwrap_or_else(PoisonError::into_inner);
    // It has ended: this returns at once. It fails only for a child that was waited for elsewhere.
    let ended = child.wait().unwrap_or_default();
    *status = Some(ended);
    drop(status);
    lifeline::release(pid);
    shared.ended.notify_all();
    shared.watch.send_replace(Some(ended));
}

/// Whether a process with this id runs and has `word` among its arguments.
pub(crate) fn command_line_has(pid: &str, word: &OsStr) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    if pid.is_empty() || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    std::fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| line.split(|byte| *byte == 0).any(|arg| arg == word.as_bytes()))
}
