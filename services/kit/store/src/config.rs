//! Where the database is.

use std::fmt;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode};

/// A checked `DATABASE_URL`. It holds a password, so it prints host and database only.
#[derive(Clone)]
pub struct DbConfig {
    pub(crate) pg: tokio_postgres::Config,
}

impl DbConfig {
    /// Checks a URL `postgres://user:password@host:port/database`, or libpq's `key=value` form.
    ///
    /// # Errors
    /// What is wrong with it, in words that do not repeat it.
    pub fn parse(url: &str) -> Result<Self, String> {
        let mut pg: tokio_postgres::Config = url
            .parse()
            .map_err(|_| "is no address like postgres://user:password@host:5432/database".to_owned())?;
        if pg.get_hosts().is_empty() {
            return Err("names no host".to_owned());
        }
        if pg.get_user().is_none() {
            return Err("names no user".to_owned());
        }
        if pg.get_ssl_mode() == SslMode::Require {
            return Err(
                "asks for TLS, which is not built: use a local socket, a sidecar, or a private network".to_owned(),
            );
        }
        if pg.get_application_name().is_none() {
            pg.application_name("tgmesh");
        }
        if pg.get_connect_timeout().is_none() {
            pg.connect_timeout(Duration::from_secs(5));
        }
        if pg.get_tcp_user_timeout().is_none() {
            // A server that vanished without a word is noticed in seconds, not after the kernel's 15 minutes.
            pg.tcp_user_timeout(Duration::from_secs(15));
        }
        Ok(Self { pg })
    }
}

impl fmt::Display for DbConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports = self.pg.get_ports();
        for (n, host) in self.pg.get_hosts().iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            let port = ports.get(n).or(ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(host) => write!(f, "{comma}{host}:{port}")?,
                Host::Unix(path) => write!(f, "{comma}{}:{port}", path.display())?,
            }
        }
        write!(f, "/{}", self.pg.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for DbConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_no_password() {
        let config = DbConfig::parse("postgres://ann:hunter2@db.example:5433/tgmesh").unwrap();
        assert_eq!(
            format!("{config} {config:?}"),
            "db.example:5433/tgmesh db.example:5433/tgmesh"
        );
    }

    #[test]
    fn faults_do_not_repeat_the_url() {
        for url in [
            "",
            "hunter2",
            "mysql://ann:hunter2@h/d",
            "postgres://hunter2:x@h:port/d",
            "postgres://ann:hunter2@h/d?sslmode=require",
        ] {
            let fault = DbConfig::parse(url).unwrap_err();
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }
}
