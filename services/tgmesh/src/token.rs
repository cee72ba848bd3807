//! `tgmesh token`: signs a token for the gateway.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::Value;
use tgmesh_lifecycle::settings::{self, Faults};
use tgmesh_proto::detection::Family;

use crate::cli::{Failure, Outcome};
use crate::mesh::JWT_SECRET;

/// A shorter secret can be guessed faster than the hash it keys.
const MIN_SECRET_BYTES: usize = 32;
const ROLES: [&str; 3] = ["viewer", "analyst", "operator"];

/// What `tgmesh token` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whom the token is for
    #[arg(long, value_name = "NAME")]
    sub: String,
    /// viewer, analyst or operator
    #[arg(long, default_value = "viewer")]
    role: String,
    /// Chats it may see: Bot API ids, comma separated, or '*' for all; none when absent
    #[arg(long, value_name = "IDS", allow_hyphen_values = true)]
    chats: Option<String>,
    /// Address families it may see, comma separated; all when absent
    #[arg(long, value_name = "FAMILIES")]
    families: Option<String>,
    /// Smallest confidence it may see, 0 to 1
    #[arg(long, value_name = "N")]
    min_confidence: Option<String>,
    /// Most connections at once
    #[arg(long, value_name = "N")]
    max_connections: Option<String>,
    /// Most frames a second from the client
    #[arg(long, value_name = "N")]
    rate: Option<String>,
    /// How long it is valid
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    ttl: String,
    /// HS256 with `JWT_SECRET`; RS256, ES256 or `EdDSA` with `JWT_PRIVATE_KEY` (PEM, PKCS#8); either also as
    /// `JWT_SECRET_FILE`, `JWT_PRIVATE_KEY_FILE`
    #[arg(long, env = "JWT_ALGORITHM", value_name = "NAME", default_value = "HS256")]
    jwt_algorithm: String,
    /// Name of the key in the gateway's key set, as `tgmesh keygen` told it; without it the gateway tries each key
    #[arg(long, value_name = "ID")]
    kid: Option<String>,
    /// Audience
    #[arg(long, env = "JWT_AUDIENCE", value_name = "NAME", default_value = "tgmesh")]
    jwt_audience: String,
    /// Issuer
    #[arg(long, env = "JWT_ISSUER", value_name = "NAME")]
    jwt_issuer: Option<String>,
    /// State folder of `tgmesh up`, whose secret signs when `JWT_SECRET` is not set
    #[arg(long, value_name = "DIR", default_value = ".tgmesh")]
    state: PathBuf,
}

/// The claims of section 4 of the contract.
#[derive(Debug, Serialize)]
pub struct Claims {
    /// Whom it is for.
    pub sub: String,
    /// `viewer`, `analyst` or `operator`.
    pub role: String,
    /// Bot API ids, or `"*"`.
    pub chats: Vec<Value>,
    /// Address families; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub families: Option<Vec<Family>>,
    /// Smallest confidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_confidence: Option<f64>,
    /// Most connections at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u64>,
    /// Most frames a second from the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
}

impl Claims {
    /// Everything that one may see, for `up` and `load`.
    #[must_use]
    pub fn operator(sub: &str) -> Self {
        Self {
            sub: sub.to_owned(),
            role: "operator".to_owned(),
            chats: vec![Value::from("*")],
            families: None,
            min_confidence: None,
            max_connections: None,
            rate: None,
        }
    }
}

/// The claims that the signer adds.
#[derive(Serialize)]
struct Signed<'a> {
    #[serde(flatten)]
    claims: &'a Claims,
    aud: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    iat: u64,
    exp: u64,
    jti: String,
}

/// A key with what it puts on each token.
pub struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
    audience: String,
    issuer: Option<String>,
    key_id: Option<String>,
}

impl Signer {
    /// HS256 with a secret of at least 32 bytes, audience `tgmesh`.
    #[must_use]
    pub fn shared(secret: &SecretString) -> Self {
        Self {
            algorithm: Algorithm::HS256,
            key: EncodingKey::from_secret(secret.expose_secret().as_bytes()),
            audience: "tgmesh".to_owned(),
            issuer: None,
            key_id: None,
        }
    }

    /// As [`Signer::read`], with the variables that `tgmesh token` reads through its flags.
    pub(crate) fn from_environment(state: &Path, faults: &mut Faults) -> Option<Self> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let algorithm = set("JWT_ALGORITHM").unwrap_or_else(|| "HS256".to_owned());
        let audience = set("JWT_AUDIENCE").unwrap_or_else(|| "tgmesh".to_owned());
        Self::read(&algorithm, &audience, set("JWT_ISSUER").as_deref(), state, faults)
    }

    /// Reads the key from the environment; where no `JWT_SECRET` is set, from the state folder of
    /// `tgmesh up`. Returns nothing only when `faults` got an entry.
    fn read(algorithm: &str, audience: &str, issuer: Option<&str>, state: &Path, faults: &mut Faults) -> Option<Self> {
        let audience = faults.value("JWT_AUDIENCE", audience, settings::text);
        let issuer = faults.optional("JWT_ISSUER", issuer, settings::text);
        let algorithm = faults.value("JWT_ALGORITHM", algorithm, self::algorithm)?;
        let key = if algorithm == Algorithm::HS256 {
            let given = faults.secret("JWT_SECRET", shared_key)?;
            given.or_else(|| kept_key(state, faults))
        } else {
            faults.required_secret("JWT_PRIVATE_KEY", |pem| private_key(algorithm, pem))
        };
        Some(Self {
            algorithm,
            key: key?,
            audience: audience?,
            issuer: issuer?,
            key_id: None,
        })
    }

    /// Signs a token that is valid for `ttl` from now.
    ///
    /// # Errors
    /// When the key does not fit the algorithm.
    pub fn sign(&self, claims: &Claims, ttl: Duration) -> Result<String> {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let signed = Signed {
            claims,
            aud: &self.audience,
            iss: self.issuer.as_deref(),
            iat: now.as_secs(),
            exp: now.saturating_add(ttl).as_secs(),
            jti: format!("{:032x}", rand::random::<u128>()),
        };
        let mut header = Header::new(self.algorithm);
        header.kid.clone_from(&self.key_id);
        jsonwebtoken::encode(&header, &signed, &self.key).context("couldn't sign the token")
    }
}

/// Prints a token.
pub(crate) fn run(args: &Args) -> Outcome {
    let mut faults = Faults::default();
    let claims = claims(args, &mut faults);
    let ttl = faults.value("--ttl", &args.ttl, settings::positive_duration);
    let issuer = args.jwt_issuer.as_deref();
    let signer = Signer::read(
        &args.jwt_algorithm,
        &args.jwt_audience,
        issuer,
        &args.state,
        &mut faults,
    );
    let (Some(claims), Some(ttl), Some(mut signer), true) = (claims, ttl, signer, faults.is_empty()) else {
        return Err(Failure::Usage(faults));
    };
    signer.key_id.clone_from(&args.kid);
    println!("{}", signer.sign(&claims, ttl)?);
    Ok(ExitCode::SUCCESS)
}

fn claims(args: &Args, faults: &mut Faults) -> Option<Claims> {
    let sub = faults.value("--sub", &args.sub, |sub| {
        if sub.is_empty() {
            Err("must not be empty".to_owned())
        } else {
            Ok(sub.to_owned())
        }
    });
    let role = faults.value("--role", &args.role, |role| {
        if ROLES.contains(&role) {
            Ok(role.to_owned())
        } else {
            Err(format!("must be {}", ROLES.join(", ")))
        }
    });
    let chats = faults.optional("--chats", args.chats.as_deref(), settings::list(chat));
    let families = faults.optional("--families", args.families.as_deref(), settings::list(family));
    let min_confidence = faults.optional("--min-confidence", args.min_confidence.as_deref(), settings::ratio);
    let positive = 1..=u64::from(u32::MAX);
    let max_connections = faults.optional(
        "--max-connections",
        args.max_connections.as_deref(),
        settings::count(positive.clone()),
    );
    let rate = faults.optional("--rate", args.rate.as_deref(), settings::count(positive));
    Some(Claims {
        sub: sub?,
        role: role?,
        chats: chats?.unwrap_or_default(),
        families: families?,
        min_confidence: min_confidence?,
        max_connections: max_connections?,
        rate: rate?,
    })
}

/// An algorithm by its name in RFC 7518 or RFC 8037.
pub(crate) fn algorithm(name: &str) -> Result<Algorithm, String> {
    match name {
        "HS256" => Ok(Algorithm::HS256),
        "RS256" => Ok(Algorithm::RS256),
        "ES256" => Ok(Algorithm::ES256),
        "EdDSA" => Ok(Algorithm::EdDSA),
        _ => Err("must be HS256, RS256, ES256 or EdDSA".to_owned()),
    }
}

fn chat(raw: &str) -> Result<Value, String> {
    match raw {
        "*" => Ok(Value::from("*")),
        id => id
            .parse::<i64>()
            .map(Value::from)
            .map_err(|_| "is neither a Bot API id nor '*'".to_owned()),
    }
}

/// A family's word, as in the subjects.
pub(crate) fn family(raw: &str) -> Result<Family, String> {
    Family::parse(raw).ok_or_else(|| {
        let all: Vec<_> = Family::ALL.iter().map(|family| family.as_str()).collect();
        format!("must be one of {}", all.join(", "))
    })
}

fn shared_key(secret: &SecretString) -> Result<EncodingKey, String> {
    let bytes = secret.expose_secret().as_bytes();
    if bytes.len() < MIN_SECRET_BYTES {
        return Err(format!(
            "must have at least {MIN_SECRET_BYTES} bytes, has {}",
            bytes.len()
        ));
    }
    Ok(EncodingKey::from_secret(bytes))
}

fn kept_key(state: &Path, faults: &mut Faults) -> Option<EncodingKey> {
    let kept = std::fs::read_to_string(state.join(JWT_SECRET));
    if kept.is_err() {
        let state = state.display();
        let problem = format!("is required (or JWT_SECRET_FILE, or --state of a `tgmesh up`; {state} has none)");
        faults.add("JWT_SECRET", problem);
    }
    kept.ok()
        .map(|secret| EncodingKey::from_secret(secret.trim().as_bytes()))
}

/// A private key in PEM. What is wrong with it is told without its content.
pub(crate) fn private_key(algorithm: Algorithm, pem: &SecretString) -> Result<EncodingKey, String> {
    let bytes = pem.expose_secret().as_bytes();
    let key = match algorithm {
        Algorithm::RS256 => EncodingKey::from_rsa_pem(bytes),
        Algorithm::ES256 => EncodingKey::from_ec_pem(bytes),
        _ => EncodingKey::from_ed_pem(bytes),
    };
    // The error's text names what is wrong with the form, never the content.
    key.map_err(|error| format!("is no PEM key for this algorithm: {error}"))
}
