//! One database a test, and SQL by psql.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

/// A database of its own, dropped with this value.
pub struct Database {
    psql: PathBuf,
    server: String,
    name: String,
    url: String,
}

impl Database {
    pub(super) async fn create(psql: PathBuf, server: String) -> Result<Self> {
        let name = format!("test_{:016x}", rand::random::<u64>());
        self::psql(&psql, &server, &format!("CREATE DATABASE {name} TEMPLATE template0")).await?;
        let url = match server.rsplit_once('/') {
            Some((server, _)) => format!("{server}/{name}"),
            None => bail!("a Postgres URL has no database"),
        };
        Ok(Self {
            psql,
            server,
            name,
            url,
        })
    }

    /// `postgres://tgmesh:…@127.0.0.1:<port>/<name>`: a secret, for it holds the password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs SQL by psql, a witness that shares no code with the project; rows as lines, columns
    /// separated by `|`.
    ///
    /// # Errors
    /// What psql says.
    pub async fn query(&self, sql: &str) -> Result<String> {
        psql(&self.psql, &self.url, sql).await
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // A server that is gone or stopped takes the database with it.
        let _ = std::process::Command::new(&self.psql)
            .args(arguments(&sql))
            .envs(environment(&self.server))
            .stdin(Stdio::null())
            .output();
    }
}

/// Runs SQL and gives its rows as text, trimmed.
pub(super) async fn psql(program: &Path, url: &str, sql: &str) -> Result<String> {
    let output = tokio::process::Command::new(program)
        .args(arguments(sql))
        .envs(environment(url))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("couldn't start {}", program.display()))?;
    if !output.status.success() {
        bail!("psql: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

fn arguments(sql: &str) -> [&str; 8] {
    ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]
}

/// The parts of a URL that [`super::Server::url`] made, as libpq's variables: an argument would
/// show the password to every user of the machine.
fn environment(url: &str) -> Vec<(&'static str, String)> {
    let rest = url.strip_prefix("postgres://").unwrap_or(url);
    let (login, place) = rest.split_once('@').unwrap_or(("", rest));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (address, database) = place.split_once('/').unwrap_or((place, "postgres"));
    let (host, port) = address.split_once(':').unwrap_or((address, "5432"));
    [
        ("PGUSER", user),
        ("PGPASSWORD", password),
        ("PGHOST", host),
        ("PGPORT", port),
        ("PGDATABASE", database),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into()
}
