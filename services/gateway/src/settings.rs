//! The gateway's flags and variables.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use tgmesh_lifecycle::settings::{self, CommonArgs, Faults, Settings};
use tgmesh_store::DbConfig;
use tgmesh_stream::{NatsArgs, NatsConfig};

use crate::auth::{Algorithm, Keys, Verifier};
use crate::upgrade::Origins;

/// Shortest secret for HS256 (RFC 7518, 3.2: at least as long as the hash).
const MIN_SECRET_BYTES: usize = 32;
/// A JWKS file is a few kilobytes; what is larger is no key set.
const MAX_JWKS_BYTES: u64 = 1 << 20;

/// Serves detections to WebSocket clients, the HTTP API and the dashboard.
///
/// The past is read from the database of the variable `DATABASE_URL`
/// (postgres://user:password@host:port/name), or of `DATABASE_URL_FILE`, the path of a file that
/// holds it. Without it, /api/detections and the like answer 503.
#[derive(Debug, clap::Parser)]
#[command(name = "tgmesh-gateway", version)]
pub struct Args {
    /// Address for clients: the dashboard, /ws and /api
    #[arg(long, env = "GATEWAY_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8080")]
    gateway_listen: String,
    /// Web origins that may open a WebSocket besides the gateway's own, comma separated
    #[arg(long, env = "ALLOWED_ORIGINS", value_name = "LIST")]
    allowed_origins: Option<String>,
    /// Most WebSocket connections at once
    // 5 KiB each when idle: 50 MiB. A pod's descriptor limit is the next bound above it.
    #[arg(long, env = "MAX_CONNECTIONS", value_name = "N", default_value = "10000")]
    max_connections: String,
    #[arg(
        long,
        env = "JWT_ALGORITHM",
        value_name = "ALG",
        default_value = "HS256",
        help = "The one algorithm that tokens may be signed with: HS256 (variable JWT_SECRET or JWT_SECRET_FILE, at \
                least 32 bytes), or RS256, ES256, EdDSA (--jwt-jwks)"
    )]
    jwt_algorithm: String,
    /// JWKS file with the public keys
    #[arg(long, env = "JWT_JWKS", value_name = "FILE")]
    jwt_jwks: Option<String>,
    /// What a token's audience (aud) must be
    #[arg(long, env = "JWT_AUDIENCE", value_name = "NAME", default_value = "tgmesh")]
    jwt_audience: String,
    /// What a token's issuer (iss) must be; without it, the issuer is not looked at
    #[arg(long, env = "JWT_ISSUER", value_name = "NAME")]
    jwt_issuer: Option<String>,
    #[command(flatten)]
    nats: NatsArgs,
    #[command(flatten)]
    common: CommonArgs,
}

/// What the gateway is given.
#[derive(Debug)]
pub struct Config {
    /// Address for clients.
    pub listen: SocketAddr,
    /// Checks tokens.
    pub verifier: Verifier,
    /// Web origins that may open a WebSocket.
    pub origins: Origins,
    /// Most WebSocket connections at once.
    pub max_connections: usize,
    /// Where NATS is.
    pub nats: NatsConfig,
    /// Where the past is.
    pub database: Option<DbConfig>,
}

impl Settings for Args {
    type Config = Config;

    fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn read(self, faults: &mut Faults) -> Option<Config> {
        let listen = faults.value("GATEWAY_LISTEN", &self.gateway_listen, settings::listen_addr);
        let origins = faults.optional("ALLOWED_ORIGINS", self.allowed_origins.as_deref(), Origins::parse);
        let max_connections = faults.value("MAX_CONNECTIONS", &self.max_connections, settings::count(1..=1_000_000));
        let keys = self.keys(faults);
        let audience = faults.value("JWT_AUDIENCE", &self.jwt_audience, not_empty);
        let issuer = faults.optional("JWT_ISSUER", self.jwt_issuer.as_deref(), settings::text);
        let nats = faults.absorb(self.nats.read());
        let database = faults.secret("DATABASE_URL", |url| DbConfig::parse(url.expose_secret()));
        Some(Config {
            listen: listen?,
            verifier: Verifier::new(keys?, &audience?, issuer?.as_deref()),
            origins: origins?.unwrap_or_default(),
            max_connections: usize::try_from(max_connections?).unwrap_or(usize::MAX),
            nats: nats?,
            database: database?,
        })
    }
}

impl Args {
    fn keys(&self, faults: &mut Faults) -> Option<Keys> {
        let algorithm = faults.value("JWT_ALGORITHM", &self.jwt_algorithm, Algorithm::parse);
        let secret = faults.secret("JWT_SECRET", secret);
        let jwks = faults.optional("JWT_JWKS", self.jwt_jwks.as_deref(), settings::path);
        let (algorithm, secret, jwks) = (algorithm?, secret?, jwks?);
        match (algorithm, secret, jwks) {
            (_, Some(_), Some(_)) => {
                faults.add("JWT_JWKS", "and JWT_SECRET are both set: one of them verifies tokens");
                None
            }
            (Algorithm::Hs256, Some(secret), None) => Some(Keys::shared(&secret)),
            (Algorithm::Hs256, None, None) => {
                faults.add("JWT_SECRET", "is required (or JWT_SECRET_FILE) for JWT_ALGORITHM HS256");
                None
            }
            (Algorithm::Hs256, None, Some(_)) => {
                faults.add("JWT_ALGORITHM", "must be RS256, ES256 or EdDSA where JWT_JWKS is set");
                None
            }
            (_, Some(_), None) => {
                faults.add("JWT_ALGORITHM", "must be HS256 where JWT_SECRET is set");
                None
            }
            (_, None, None) => {
                faults.add(
                    "JWT_JWKS",
                    format!("is required for JWT_ALGORITHM {}", algorithm.name()),
                );
                None
            }
            (algorithm, None, Some(path)) => {
                let keys = read_bounded(&path).and_then(|bytes| Keys::from_jwks(algorithm, &bytes));
                keys.map_err(|problem| faults.add("JWT_JWKS", format!("{} {problem}", path.display())))
                    .ok()
            }
        }
    }
}

fn secret(secret: &SecretString) -> Result<SecretString, String> {
    let bytes = secret.expose_secret().len();
    if bytes < MIN_SECRET_BYTES {
        return Err(format!("has {bytes} bytes, HS256 needs at least {MIN_SECRET_BYTES}"));
    }
    Ok(secret.clone())
}

fn not_empty(raw: &str) -> Result<String, String> {
    if raw.is_empty() {
        Err("must not be empty".to_owned())
    } else {
        Ok(raw.to_owned())
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, String> {
    let size = std::fs::metadata(path)
        .map_err(|error| format!("cannot be read: {error}"))?
        .len();
    if size > MAX_JWKS_BYTES {
        return Err("is larger than a key set can be".to_owned());
    }
    std::fs::read(PathBuf::from(path)).map_err(|error| format!("cannot be read: {error}"))
}
