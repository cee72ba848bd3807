//! Where the database is.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode};

use crate::tls::Tls;

/// A checked `DATABASE_URL`. It holds a password, so it prints host and database only.
#[derive(Clone)]
pub struct DbConfig {
    pub(crate) pg: tokio_postgres::Config,
    pub(crate) tls: Tls,
}

impl DbConfig {
    /// Checks a URL `postgres://user:password@host:port/database`, or libpq's `key=value` form.
    ///
    /// `sslmode` is `disable` (also the default), or `verify-full`: TLS, with a certificate that an
    /// authority of `sslrootcert` (a PEM file) has signed for the host's name; without that
    /// parameter, one that the machine trusts. The two need the form of a URL.
    ///
    /// # Errors
    /// What is wrong with it, in words that do not repeat it.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (url, tls) = tls_parameters(url)?;
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
            return Err("asks for TLS without saying whom to trust: sslmode is to be verify-full".to_owned());
        }
        pg.ssl_mode(if tls.is_on() {
            SslMode::Require
        } else {
            SslMode::Disable
        });
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
        Ok(Self { pg, tls })
    }
}

/// Takes what is about TLS, and what the client does not know, out of a URL.
fn tls_parameters(url: &str) -> Result<(String, Tls), String> {
    let Some((place, query)) = url.split_once('?').filter(|_| url.contains("://")) else {
        return Ok((url.to_owned(), Tls::off()));
    };
    let (mut verify, mut roots, mut rest) = (false, None, Vec::new());
    for parameter in query.split('&') {
        match parameter.split_once('=') {
            Some(("sslmode", "verify-full")) => verify = true,
            Some(("sslrootcert", path)) => roots = Some(path),
            _ => rest.push(parameter),
        }
    }
    let url = if rest.is_empty() {
        place.to_owned()
    } else {
        format!("{place}?{}", rest.join("&"))
    };
    match (verify, roots) {
        (true, roots) => Ok((url, Tls::verified(roots.map(Path::new))?)),
        (false, Some(_)) => Err("has a sslrootcert without sslmode=verify-full".to_owned()),
        (false, None) => Ok((url, Tls::off())),
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
            "postgres://ann:hunter2@h/d?sslrootcert=/no/such/file",
            "postgres://ann:hunter2@h/d?sslmode=verify-full&sslrootcert=/no/such/file",
            "host=h user=ann password=hunter2 sslmode=verify-full",
        ] {
            let fault = DbConfig::parse(url).unwrap_err();
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }
}
