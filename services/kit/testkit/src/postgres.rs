//! A real Postgres on loopback.

mod database;
mod deployed;
mod owner;

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::sync::OnceCell;

pub use database::Database;
pub use deployed::Deployed;

use crate::process::{Process, Signal};
use crate::scratch::Scratch;
use crate::{places, ports, until};
use owner::Owner;

const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_GRACE: Duration = Duration::from_secs(20);
/// How long a server of an earlier run, whose parent was killed, may take to leave its folder.
const FORMER_LIMIT: Duration = Duration::from_secs(15);
const USER: &str = "tgmesh";

/// A Postgres server with one superuser, `tgmesh`, and a random password (SCRAM). It listens on
/// 127.0.0.1 alone and has no Unix socket, whose path would limit how deep its folder may lie.
/// Dropping it ends it.
///
/// Postgres refuses to run as root. Started by root it runs as the user `postgres`, or `nobody`, and
/// owns its data folder. Where that user cannot reach the folder (a clone below `/root`), it
/// gets through with two ambient capabilities, set by util-linux's `setpriv`.
#[derive(Debug)]
pub struct Server {
    bin: PathBuf,
    dir: PathBuf,
    owner: Owner,
    port: u16,
    password: String,
    durable: bool,
    process: Option<Process>,
    _scratch: Option<Scratch>,
}

impl Server {
    /// Starts an empty one on a free port in a temporary folder. It does not sync to disk: a test's
    /// data need not survive the machine's power failure, only the server's own death.
    ///
    /// # Errors
    /// When there is no Postgres of at least 15, or it does not start.
    pub async fn start() -> Result<Self> {
        let scratch = Scratch::new()?;
        let dir = scratch.path().to_path_buf();
        let mut server = Self::prepare(&dir, ports::free_port(), false, Some(scratch)).await?;
        for _ in 0..3 {
            match server.start_again().await {
                Ok(()) => return Ok(server),
                Err(error) if error.to_string().contains("Address already in use") => {
                    server.port = ports::free_port();
                }
                Err(error) => return Err(error),
            }
        }
        bail!("no port for Postgres stayed free long enough");
    }

    /// Starts one with its data, password and log in `dir`, which may hold those of an earlier
    /// run. It syncs to disk.
    ///
    /// # Errors
    /// As [`Server::start`], and when the folder or the port is in use, or the data is of another
    /// major version.
    pub async fn start_in(dir: &Path, port: u16) -> Result<Self> {
        let mut server = Self::prepare(dir, port, true, None).await?;
        server.start_again().await?;
        Ok(server)
    }

    /// The one server that all tests of a process share; it ends with the process.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Server> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// A new, empty database, dropped when the value is.
    ///
    /// # Errors
    /// When the server is stopped.
    pub async fn database(&self) -> Result<Database> {
        Database::create(self.bin.join("psql"), self.url("postgres")).await
    }

    /// `postgres://tgmesh:…@127.0.0.1:<port>/<database>`: a secret, for it holds the password.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// Makes the database unless it is there, and gives its URL.
    ///
    /// # Errors
    /// When the server is stopped.
    pub async fn ensure_database(&self, name: &str) -> Result<String> {
        let postgres = self.url("postgres");
        let psql = self.bin.join("psql");
        let found = format!("SELECT 1 FROM pg_database WHERE datname = '{name}'");
        if database::psql(&psql, &postgres, &found).await?.is_empty() {
            database::psql(&psql, &postgres, &format!("CREATE DATABASE \"{name}\"")).await?;
        }
        Ok(self.url(name))
    }

    /// As [`query`], in one of its databases.
    ///
    /// # Errors
    /// What psql says.
    pub async fn query(&self, database: &str, sql: &str) -> Result<String> {
        database::psql(&self.bin.join("psql"), &self.url(database), sql).await
    }

    /// Its port, the same after [`Server::start_again`].
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref().filter(|process| process.is_running())
    }

    /// Stops it in order (fast shutdown) and waits for its end. Its data stays.
    pub async fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop(STOP_GRACE).await;
        }
    }

    /// Ends it as a crash would (immediate shutdown) and waits for its end. Its data stays and is
    /// recovered from the log at the next start.
    pub async fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.signal(Signal::Quit);
            if process.wait(STOP_GRACE).await.is_err() {
                process.kill();
                process.ended().await;
            }
        }
    }

    /// Starts it with the same port and data; does nothing while it runs.
    ///
    /// # Errors
    /// When it is not ready within 60 s; the message has the end of its log.
    pub async fn start_again(&mut self) -> Result<()> {
        if self.process().is_some() {
            return Ok(());
        }
        self.await_former().await?;
        let settings: &[&str] = if self.durable {
            &["max_connections=100", "shared_buffers=128MB"]
        } else {
            &[
                "max_connections=200",
                "shared_buffers=64MB",
                "fsync=off",
                "full_page_writes=off",
            ]
        };
        let log = self.dir.join("postgres.log");
        let mut spec = self
            .owner
            .spec(&self.bin.join("postgres"))
            .arg("-D")
            .arg(self.data())
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .args(["-c", &format!("port={}", self.port)])
            .args(["-c", "timezone=UTC", "-c", "log_timezone=UTC"])
            // Lets a witness ask when a row was committed, which no column can tell.
            .args(["-c", "track_commit_timestamp=on"])
            .log(&log)
            .current_dir("/")
            // Fast shutdown: SIGTERM would wait for every client to leave.
            .farewell(Signal::Int)
            // SIGKILL would leave shared memory behind.
            .dropped_with(Signal::Quit);
        for setting in settings {
            spec = spec.args(["-c", setting]);
        }
        let process = Process::spawn(spec)?;
        let pid_file = self.data().join("postmaster.pid");
        let pid = process.pid().to_string();
        until(START_LIMIT, || async {
            !process.is_running() || is_ready(&pid_file, &pid)
        })
        .await;
        if !process.is_running() || !is_ready(&pid_file, &pid) {
            bail!(
                "Postgres did not start on port {}; its log ends:\n{}",
                self.port,
                process.log_tail()
            );
        }
        self.process = Some(process);
        Ok(())
    }

    async fn prepare(dir: &Path, port: u16, durable: bool, scratch: Option<Scratch>) -> Result<Self> {
        let dir = dir.to_path_buf();
        // initdb takes about a second.
        tokio::task::spawn_blocking(move || Self::prepare_blocking(&dir, port, durable, scratch))
            .await
            .context("couldn't prepare a data folder")?
    }

    fn prepare_blocking(dir: &Path, port: u16, durable: bool, scratch: Option<Scratch>) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("couldn't make {}", dir.display()))?;
        let dir = dir
            .canonicalize()
            .with_context(|| format!("couldn't find {}", dir.display()))?;
        let bin = places::postgres_bin()?;
        let owner = Owner::of(&dir, &bin)?;
        let password = password(&dir.join("postgres.password"))?;
        let server = Self {
            bin,
            dir,
            owner,
            port,
            password,
            durable,
            process: None,
            _scratch: scratch,
        };
        server.init()?;
        Ok(server)
    }

    fn data(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    /// `initdb`, unless it was done. It works in a folder of another name, so that one that was
    /// interrupted is not taken for a whole one.
    fn init(&self) -> Result<()> {
        let data = self.data();
        if let Ok(found) = std::fs::read_to_string(data.join("PG_VERSION")) {
            return self.check_version(found.trim());
        }
        let half = self.dir.join("postgres.new");
        if half.exists() {
            std::fs::remove_dir_all(&half).with_context(|| format!("couldn't remove {}", half.display()))?;
        }
        std::fs::create_dir(&half).with_context(|| format!("couldn't make {}", half.display()))?;
        self.owner.give(&half)?;
        // A pipe would be the parent's own and closed to another user.
        let told = self.dir.join("postgres.initdb");
        let _ = std::fs::remove_file(&told);
        keep(&told, &self.password)?;
        self.owner.give(&told)?;
        let mut initdb = self.owner.command(&self.bin.join("initdb"));
        initdb.arg("-D").arg(&half).arg("--pwfile").arg(&told);
        initdb.args([
            "-U",
            USER,
            "--auth=scram-sha-256",
            "--no-locale",
            "-E",
            "UTF8",
            "--no-instructions",
        ]);
        if !self.durable {
            initdb.arg("--no-sync");
        }
        let output = initdb.stdin(Stdio::null()).output().context("couldn't start initdb");
        let _ = std::fs::remove_file(&told);
        let output = output?;
        if !output.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        std::fs::rename(&half, &data).with_context(|| format!("couldn't make {}", data.display()))
    }

    fn check_version(&self, found: &str) -> Result<()> {
        let output = Command::new(self.bin.join("postgres")).arg("--version").output()?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let wanted = version
            .rsplit(' ')
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        if wanted
            .and_then(|wanted| wanted.split('.').next())
            .is_some_and(|major| major != found)
        {
            bail!(
                "{} holds data of Postgres {found}, but the server found is {version}: move the folder away to begin anew",
                self.data().display()
            );
        }
        Ok(())
    }

    async fn await_former(&self) -> Result<()> {
        let Ok(text) = std::fs::read_to_string(self.data().join("postmaster.pid")) else {
            return Ok(());
        };
        let pid = text.lines().next().unwrap_or_default().trim().to_owned();
        let data = self.data();
        if until(FORMER_LIMIT, || async {
            !crate::process::command_line_has(&pid, data.as_os_str())
        })
        .await
        {
            return Ok(());
        }
        bail!("another Postgres (pid {pid}) uses {}", self.dir.display());
    }
}

/// Runs SQL by psql, a witness that shares no code with the project; rows as lines, columns
/// separated by `|`. The URL is of the form that [`Server::url`] gives.
///
/// # Errors
/// What psql says.
pub async fn query(url: &str, sql: &str) -> Result<String> {
    database::psql(&places::postgres_bin()?.join("psql"), url, sql).await
}

/// Postgres writes its state into the eighth line of its lock file, which spares a connection.
fn is_ready(pid_file: &Path, pid: &str) -> bool {
    let text = std::fs::read_to_string(pid_file).unwrap_or_default();
    let mut lines = text.lines();
    lines.next().is_some_and(|line| line.trim() == pid) && lines.nth(6).is_some_and(|line| line.trim() == "ready")
}

/// The password kept in this file, or a new random one.
fn password(path: &Path) -> Result<String> {
    if let Ok(text) = std::fs::read_to_string(path) {
        return Ok(text.trim().to_owned());
    }
    let password = format!("{:032x}", rand::random::<u128>());
    keep(path, &password)?;
    Ok(password)
}

/// Writes a secret into a new file that its owner alone may read.
fn keep(path: &Path, secret: &str) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(secret.as_bytes()))
        .with_context(|| format!("couldn't write {}", path.display()))
}
