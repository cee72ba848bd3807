//! What each service is told: its variables, its log, its sessions.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use secrecy::SecretString;
use tgmesh_testkit::find_binary;
use tgmesh_testkit::process::{Process, Spec};

use super::folder::{DATABASE_URL, ENCRYPTION_KEY, JWT_SECRET, READER_URL};
use super::{Mesh, Part, Simulator, Telegram};

/// The account that the simulator's chats are seen through.
const ACCOUNT: &str = "sim-1";
const IMPORT_LIMIT: Duration = Duration::from_secs(20);

/// Where a service's profiles are: `PPROF_LISTEN` is the listener's, and the others have the next
/// ports. What is no address is for the service to refuse.
fn profiles_of(part: Part) -> Option<SocketAddr> {
    let mut addr: SocketAddr = std::env::var("PPROF_LISTEN").ok()?.trim().parse().ok()?;
    let number = [Part::Listener, Part::Archiver, Part::Gateway, Part::Simulator]
        .iter()
        .position(|other| *other == part)?;
    // Port 0 is a free one for each.
    if addr.port() > 0 {
        addr.set_port(addr.port().checked_add(number as u16)?);
    }
    Some(addr)
}

impl Mesh {
    pub(super) fn spawn(&self, part: Part) -> Result<Process> {
        let mut spec = self.service(part)?;
        for (name, value) in &self.options.env {
            spec = spec.env(name, value);
        }
        Process::spawn(spec).with_context(|| format!("couldn't start the {part}"))
    }

    /// Seals the simulator's accounts as a login would have done.
    pub(super) async fn import_sessions(&self, simulator: &Simulator) -> Result<()> {
        let accounts = simulator.accounts().await?;
        // Sessions of an earlier run belong to a simulated world that is gone.
        let sessions = self.sessions();
        if sessions.exists() {
            std::fs::remove_dir_all(&sessions).with_context(|| format!("couldn't remove {}", sessions.display()))?;
        }
        std::fs::create_dir_all(&sessions).with_context(|| format!("couldn't make {}", sessions.display()))?;
        let file = "accounts.json";
        self.folder.keep_secret(file, &SecretString::from(accounts))?;
        let import = Process::spawn(
            self.service(Part::Listener)?
                .args(["sessions", "import"])
                .arg(self.folder.path(file)),
        )?;
        let status = import.wait(IMPORT_LIMIT).await;
        std::fs::remove_file(self.folder.path(file)).context("couldn't remove the imported accounts")?;
        if !status?.success() {
            bail!(
                "couldn't import the simulator's sessions; the listener's log ends:\n{}",
                import.log_tail()
            );
        }
        Ok(())
    }

    fn service(&self, part: Part) -> Result<Spec> {
        let binary = part.binary().with_context(|| format!("the {part} is no service"))?;
        let admin = self.admin.get(&part).context("a service without an admin port")?;
        let spec = Spec::new(find_binary(binary)?)
            .log(self.folder.path(&format!("logs/{part}.log")))
            .env("ADMIN_LISTEN", format!("127.0.0.1:{admin}"))
            // One name for all would make their figures one.
            .env_remove("INSTANCE");
        let spec = match profiles_of(part) {
            Some(addr) => spec.env("PPROF_LISTEN", addr.to_string()),
            None => spec,
        };
        let spec = match part {
            Part::Simulator => self.simulator_spec(spec),
            Part::Listener => self.listener_spec(spec),
            Part::Archiver => self.with_database(spec, DATABASE_URL),
            Part::Gateway => self
                .with_tokens(self.with_database(spec, READER_URL))
                .env("GATEWAY_LISTEN", self.gateway.to_string()),
            Part::Nats | Part::Postgres => spec,
        };
        Ok(match part {
            Part::Simulator => spec,
            _ => spec.env("NATS_URL", self.nats_url()),
        })
    }

    fn simulator_spec(&self, spec: Spec) -> Spec {
        let Telegram::Simulated { seed, chats, .. } = &self.options.telegram else {
            return spec;
        };
        spec.arg("--listen")
            .arg(format!("127.0.0.1:{}", self.mtproto))
            .arg("--control")
            .arg(format!("127.0.0.1:{}", self.control))
            // Silent until the mesh is ready.
            .args(["--accounts", "1", "--rate", "0"])
            .args([
                "--seed".to_owned(),
                seed.to_string(),
                "--chats".to_owned(),
                chats.to_string(),
            ])
    }

    fn listener_spec(&self, spec: Spec) -> Spec {
        let spec = match &self.options.telegram {
            Telegram::Simulated { .. } => spec
                // The simulator asks for none; these are no one's.
                .env("TELEGRAM_API_ID", "1")
                .env("TELEGRAM_API_HASH", "00000000000000000000000000000000")
                .env_remove("TELEGRAM_API_HASH_FILE")
                .env("TELEGRAM_DC", format!("127.0.0.1:{}", self.mtproto))
                .env("TELEGRAM_ACCOUNTS", ACCOUNT)
                .env("MONITORED_CHATS", "*"),
            Telegram::Real => spec,
        };
        let spec = spec.env("SESSION_STORE", self.sessions());
        self.secret_by_file(spec, "TELEGRAM_ENCRYPTION_KEY", ENCRYPTION_KEY)
    }

    fn sessions(&self) -> PathBuf {
        match (&self.options.telegram, std::env::var_os("SESSION_STORE")) {
            (Telegram::Real, Some(dir)) if !dir.is_empty() => PathBuf::from(dir),
            (Telegram::Real, _) => self.folder.path(super::SESSIONS),
            (Telegram::Simulated { .. }, _) => self.folder.path("sessions-simulated"),
        }
    }

    fn with_database(&self, spec: Spec, file: &str) -> Spec {
        spec.env_remove("DATABASE_URL")
            .env("DATABASE_URL_FILE", self.folder.path(file))
    }

    fn with_tokens(&self, spec: Spec) -> Spec {
        if std::env::var_os("JWT_JWKS").is_some_and(|jwks| !jwks.is_empty()) {
            return spec;
        }
        self.secret_by_file(spec, "JWT_SECRET", JWT_SECRET)
    }

    /// Points to the folder's own secret unless the operator gave one.
    fn secret_by_file(&self, spec: Spec, name: &str, file: &str) -> Spec {
        let given = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let variable = format!("{name}_FILE");
        if given(name) || given(&variable) {
            spec
        } else {
            spec.env(variable, self.folder.path(file))
        }
    }
}
