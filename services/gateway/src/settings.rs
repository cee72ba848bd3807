//! The gateway's flags and variables.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use tgmesh_lifecycle::settings::{self, CommonArgs, Faults, Settings};
use tgmesh_store::DbConfig;
use tgmesh_stream::{NatsArgs, NatsConfig};

use crate::address::Proxies;
use crate::auth::{Algorithm, Endpoint, Keys, Ring, Verifier};
use crate::registry::Bounds;
use crate::tls::Tls;
use crate::upgrade::Origins;

/// Shortest secret for HS256 (RFC 7518, 3.2: at least as long as the hash).
const MIN_SECRET_BYTES: usize = 32;

/// Less would hold up clients that are not slow at all.
const MIN_BUFFERED_BYTES: u64 = 16 << 20;

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
    /// The same of one subject, where its token has no `max_connections`; unbounded when absent
    #[arg(long, env = "MAX_CONNECTIONS_PER_SUBJECT", value_name = "N")]
    max_connections_per_subject: Option<String>,
    /// The same from one address (of IPv6: one /64); unbounded when absent
    // Behind a proxy that is not in TRUSTED_PROXIES all clients have one address: a default would
    // lock them out.
    #[arg(long, env = "MAX_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    max_connections_per_address: Option<String>,
    /// Proxies whose X-Forwarded-For tells a client's address: addresses and networks, comma separated
    #[arg(long, env = "TRUSTED_PROXIES", value_name = "LIST")]
    trusted_proxies: Option<String>,
    /// Certificates for TLS on the port for clients, PEM, the server's own first; read again when
    /// they change. Without it the port speaks plain HTTP
    #[arg(long, env = "TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert, PEM
    #[arg(long, env = "TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Bytes that may wait for all clients together: as it fills, those with the most waiting are served
    /// from the stream later, and from then on nobody more is let in
    #[arg(long, env = "MAX_BUFFERED_BYTES", value_name = "SIZE", default_value = "256MiB")]
    max_buffered_bytes: String,
    #[arg(
        long,
        env = "JWT_ALGORITHM",
        value_name = "ALG",
        default_value = "HS256",
        help = "The one algorithm that tokens may be signed with: HS256 (variable JWT_SECRET or JWT_SECRET_FILE, at \
                least 32 bytes), or RS256, ES256, EdDSA (--jwt-jwks)"
    )]
    jwt_algorithm: String,
    /// JWKS with the public keys: a file, which is read again when it changes, or an https:// or
    /// http:// URL, which is asked again every few minutes and when a token names an unknown key
    #[arg(long, env = "JWT_JWKS", value_name = "FILE|URL")]
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
    /// TLS for clients; nothing where it ends before this process.
    pub tls: Option<Tls>,
    /// Checks tokens.
    pub verifier: Verifier,
    /// Web origins that may open a WebSocket.
    pub origins: Origins,
    /// Most WebSocket connections at once.
    pub bounds: Bounds,
    /// Whose word on a client's address is taken.
    pub proxies: Proxies,
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
        let per = |faults: &mut Faults, name: &str, raw: &Option<String>| {
            let count = faults.optional(name, raw.as_deref(), settings::count(1..=1_000_000))?;
            Some(count.map(|count| u32::try_from(count).unwrap_or(u32::MAX)))
        };
        let per_subject = per(faults, "MAX_CONNECTIONS_PER_SUBJECT", &self.max_connections_per_subject);
        let per_address = per(faults, "MAX_CONNECTIONS_PER_ADDRESS", &self.max_connections_per_address);
        let buffered = faults.value("MAX_BUFFERED_BYTES", &self.max_buffered_bytes, buffered_bytes);
        let proxies = faults.optional("TRUSTED_PROXIES", self.trusted_proxies.as_deref(), Proxies::parse);
        let tls = self.tls(faults);
        let ring = self.ring(faults);
        let audience = faults.value("JWT_AUDIENCE", &self.jwt_audience, not_empty);
        let issuer = faults.optional("JWT_ISSUER", self.jwt_issuer.as_deref(), settings::text);
        let nats = faults.absorb(self.nats.read());
        let database = faults.secret("DATABASE_URL", |url| DbConfig::parse(url.expose_secret()));
        Some(Config {
            listen: listen?,
            tls,
            verifier: Verifier::new(ring?, &audience?, issuer?.as_deref()),
            origins: origins?.unwrap_or_default(),
            bounds: Bounds {
                connections: usize::try_from(max_connections?).unwrap_or(usize::MAX),
                per_subject: per_subject?,
                per_address: per_address?,
                buffered_bytes: buffered?,
            },
            proxies: proxies?.unwrap_or_default(),
            nats: nats?,
            database: database?,
        })
    }
}

impl Args {
    /// Faults are noted, and nothing is read then.
    fn tls(&self, faults: &mut Faults) -> Option<Tls> {
        match (&self.tls_cert, &self.tls_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Tls::read(certificate, key)
                .map_err(|problem| faults.add("TLS_CERT", problem))
                .ok(),
            (Some(_), None) => {
                faults.add("TLS_KEY", "is required where TLS_CERT is set");
                None
            }
            (None, Some(_)) => {
                faults.add("TLS_CERT", "is required where TLS_KEY is set");
                None
            }
        }
    }

    fn ring(&self, faults: &mut Faults) -> Option<Arc<Ring>> {
        let algorithm = faults.value("JWT_ALGORITHM", &self.jwt_algorithm, Algorithm::parse);
        let secret = faults.secret("JWT_SECRET", secret);
        let jwks = faults.optional("JWT_JWKS", self.jwt_jwks.as_deref(), place);
        let (algorithm, secret, jwks) = (algorithm?, secret?, jwks?);
        match (algorithm, secret, jwks) {
            (_, Some(_), Some(_)) => {
                faults.add("JWT_JWKS", "and JWT_SECRET are both set: one of them verifies tokens");
                None
            }
            (Algorithm::Hs256, Some(secret), None) => Some(Ring::fixed(Keys::shared(&secret))),
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
            (algorithm, None, Some(Place::Url(endpoint))) => Some(Ring::of_url(algorithm, endpoint)),
            (algorithm, None, Some(Place::File(path))) => Ring::of_file(algorithm, path.clone())
                .map_err(|problem| faults.add("JWT_JWKS", format!("{} {problem}", path.display())))
                .ok(),
        }
    }
}

fn buffered_bytes(raw: &str) -> Result<usize, String> {
    let bytes = settings::bytes(raw)?;
    if bytes < MIN_BUFFERED_BYTES {
        return Err("must be at least 16MiB".to_owned());
    }
    Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// Where a key set is.
enum Place {
    File(PathBuf),
    Url(Endpoint),
}

fn place(raw: &str) -> Result<Place, String> {
    if raw.contains("://") {
        Endpoint::parse(raw).map(Place::Url)
    } else {
        Ok(Place::File(PathBuf::from(raw)))
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
