//! A Postgres with the configuration that Kubernetes and compose use.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::owner::Owner;
use super::{START_LIMIT, is_ready};
use crate::cluster::Secrets;
use crate::process::{Process, Signal, Spec};
use crate::scratch::Scratch;
use crate::{places, ports, until};

/// The superuser's, for `initdb`.
const PASSWORD: &str = "superuser";
/// Where `deploy/make_secrets.py` tells clients that the server and its authority are.
const ADDRESS: &str = "postgres.tgmesh.svc:5432/tgmesh?";
const AUTHORITY: &str = "/etc/tgmesh/postgres-ca/ca.crt";

/// A server made as the image's entrypoint makes it: `initdb` with the manifest's arguments, the
/// files of `deploy/postgres` as they are, passwords and certificates of `deploy/make_secrets.py`,
/// and `roles.sql` run by its superuser from within. Dropping it ends it.
///
/// What differs on loopback is given by flag: port, address and folders. It does not sync to disk.
#[derive(Debug)]
pub struct Deployed {
    bin: PathBuf,
    dir: PathBuf,
    owner: Owner,
    port: u16,
    /// In the abstract namespace: no path, whose length would be limited.
    socket: String,
    secrets: Secrets,
    process: Option<Process>,
    _scratch: Scratch,
}

impl Deployed {
    /// Starts one without tables: they are the migrations' business.
    ///
    /// # Errors
    /// When there is no Postgres of at least 15 that speaks TLS, no Python or no `openssl`, or it does not start.
    pub async fn start() -> Result<Self> {
        let secrets = Secrets::make().await?;
        // initdb takes about a second.
        let mut server = tokio::task::spawn_blocking(move || Self::prepare(secrets))
            .await
            .context("couldn't prepare a data folder")??;
        server.launch().await?;
        let roles = deployed("roles.sql").display().to_string();
        server.inside("postgres", &["-f", &roles]).await?;
        Ok(server)
    }

    /// Keys, certificates and passwords.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The address that a part of the mesh (`migrate`, `archiver`, `gateway`) is given, password
    /// and all, under the server's own name, which its certificate must hold; only that the name is
    /// found on loopback.
    ///
    /// # Errors
    /// When the script writes it differently.
    pub fn url(&self, part: &str) -> Result<String> {
        let path = self.secrets.path(&format!("{part}/database-url"));
        let url = std::fs::read_to_string(&path).with_context(|| format!("couldn't read {}", path.display()))?;
        if !url.contains(ADDRESS) || !url.contains(AUTHORITY) {
            bail!("{} names another server or authority", path.display());
        }
        let here = format!("postgres.tgmesh.svc:{}/tgmesh?hostaddr=127.0.0.1&", self.port);
        let authority = self.secrets.path("postgres-tls/ca.crt");
        let url = url.replace(ADDRESS, &here);
        Ok(url.trim().replace(AUTHORITY, &authority.to_string_lossy()))
    }

    /// What SQL gives when it comes over the network, in this database, by libpq, a client that
    /// shares no code with the project.
    ///
    /// # Errors
    /// What psql says.
    pub async fn query(&self, user: &str, database: &str, sslmode: &str, sql: &str) -> Result<String> {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(["-c", sql])
            .env("PGHOST", "postgres.tgmesh.svc")
            .env("PGHOSTADDR", "127.0.0.1")
            .env("PGUSER", user)
            .env("PGPASSWORD", self.password(user)?)
            .env("PGDATABASE", database)
            .env("PGSSLMODE", sslmode)
            .env("PGSSLROOTCERT", self.secrets.path("postgres-tls/ca.crt"));
        self.psql(psql).await
    }

    /// What SQL gives its superuser, from within, in this database.
    ///
    /// # Errors
    /// What psql says.
    pub async fn superuser(&self, database: &str, sql: &str) -> Result<String> {
        self.inside(database, &["-c", sql]).await
    }

    async fn inside(&self, database: &str, what: &[&str]) -> Result<String> {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(what)
            .env("PGHOST", &self.socket)
            .env("PGUSER", "postgres")
            .env("PGPASSWORD", self.password("postgres")?)
            .env("PGDATABASE", database)
            .env("POSTGRES_PASSWORDS", self.secrets.path("postgres"));
        self.psql(psql).await
    }

    fn password(&self, user: &str) -> Result<String> {
        let path = self.secrets.path(&format!("postgres/{user}"));
        std::fs::read_to_string(&path).with_context(|| format!("couldn't read {}", path.display()))
    }

    async fn psql(&self, mut psql: Command) -> Result<String> {
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "--no-password"])
            .env("PGPORT", self.port.to_string())
            .stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || psql.output())
            .await?
            .context("couldn't start psql")?;
        if !output.status.success() {
            bail!("psql: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    fn prepare(secrets: Secrets) -> Result<Self> {
        let scratch = Scratch::new()?;
        let dir = scratch
            .path()
            .canonicalize()
            .context("couldn't find a temporary folder")?;
        let bin = places::postgres_bin_with_tls()?;
        let owner = Owner::of(&dir, &bin)?;
        let server = Self {
            bin,
            owner,
            port: ports::free_port(),
            socket: format!("@tgmesh-{:016x}", rand::random::<u64>()),
            secrets,
            process: None,
            dir,
            _scratch: scratch,
        };
        server.configure()?;
        server.init()?;
        Ok(server)
    }

    /// What the pod mounts.
    fn configure(&self) -> Result<()> {
        for name in ["postgresql.conf", "pg_hba.conf"] {
            self.give(&deployed(name), name)?;
        }
        for name in ["tls.crt", "tls.key"] {
            self.give(&self.secrets.path(&format!("postgres-tls/{name}")), name)?;
        }
        self.give(&self.secrets.path("postgres/postgres"), PASSWORD)
    }

    /// A copy that the server's user alone may read.
    fn give(&self, from: &Path, name: &str) -> Result<()> {
        let to = self.dir.join(name);
        std::fs::copy(from, &to).with_context(|| format!("couldn't copy {}", from.display()))?;
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600))?;
        self.owner.give(&to)
    }

    fn init(&self) -> Result<()> {
        let data = self.dir.join("data");
        std::fs::create_dir(&data).with_context(|| format!("couldn't make {}", data.display()))?;
        self.owner.give(&data)?;
        let mut initdb = self.owner.command(&self.bin.join("initdb"));
        initdb.arg("-D").arg(&data).arg("--pwfile").arg(self.dir.join(PASSWORD));
        initdb.args(["--username=postgres", "--encoding=UTF8", "--no-locale"]);
        initdb
            .args(initdb_arguments()?)
            .args(["--no-instructions", "--no-sync"]);
        let output = initdb.stdin(Stdio::null()).output().context("couldn't start initdb")?;
        if !output.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    async fn launch(&mut self) -> Result<()> {
        let data = self.dir.join("data");
        let file = |name: &str| self.dir.join(name).display().to_string();
        let settings = [
            format!("config_file={}", file("postgresql.conf")),
            format!("hba_file={}", file("pg_hba.conf")),
            format!("ssl_cert_file={}", file("tls.crt")),
            format!("ssl_key_file={}", file("tls.key")),
            format!("unix_socket_directories={}", self.socket),
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".to_owned(),
            "fsync=off".to_owned(),
        ];
        let mut spec: Spec = self.owner.spec(&self.bin.join("postgres")).arg("-D").arg(&data);
        for setting in &settings {
            spec = spec.args(["-c", setting]);
        }
        let spec = spec.current_dir("/").farewell(Signal::Int).dropped_with(Signal::Quit);
        let process = Process::spawn(spec)?;
        let pid_file = data.join("postmaster.pid");
        let pid = process.pid().to_string();
        until(START_LIMIT, || async {
            !process.is_running() || is_ready(&pid_file, &pid)
        })
        .await;
        if !process.is_running() || !is_ready(&pid_file, &pid) {
            bail!("Postgres did not start; its log ends:\n{}", process.log_tail());
        }
        self.process = Some(process);
        Ok(())
    }
}

/// A file of the configuration that is deployed.
fn deployed(name: &str) -> PathBuf {
    places::repo_root().join("deploy/postgres").join(name)
}

/// `POSTGRES_INITDB_ARGS` of the stateful set.
fn initdb_arguments() -> Result<Vec<String>> {
    let path = places::repo_root().join("k8s/base/postgres/postgres.yaml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("couldn't read {}", path.display()))?;
    let (_, rest) = text
        .split_once("name: POSTGRES_INITDB_ARGS")
        .context("the manifest has no POSTGRES_INITDB_ARGS")?;
    let value = rest.lines().nth(1).and_then(|line| line.trim().strip_prefix("value: "));
    let value = value.context("POSTGRES_INITDB_ARGS of the manifest has no value")?;
    Ok(value.split(' ').map(str::to_owned).collect())
}
