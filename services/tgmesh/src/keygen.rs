//! `tgmesh keygen`: a key that signs tokens, and the key set that a gateway checks them with.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tgmesh_lifecycle::settings::{self, Faults};

use crate::cli::{Failure, Outcome};
use crate::token::{algorithm, private_key};

/// Half a hash more than the 2,048 bits that RFC 7518 asks for at least: good past 2030 (NIST SP 800-57).
const RSA_SIZE: KeySize = KeySize::Rsa3072;
/// Bytes of a secret for HS256: as many as the hash has.
const SECRET_BYTES: usize = 32;
/// As the gateway: a set has a few kilobytes.
const MAX_JWKS_BYTES: u64 = 1 << 20;
/// As the gateway: keys of one algorithm.
const MAX_KEYS: usize = 16;
/// Members of a JWK that are secret; one in a set that everyone may read is a fault of its own.
const SECRET_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// What `tgmesh keygen` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A gateway takes the public keys with JWT_ALGORITHM and JWT_JWKS, `tgmesh token` signs with
JWT_ALGORITHM, JWT_PRIVATE_KEY_FILE and --kid; with HS256 both have JWT_SECRET_FILE.

To change keys without refusing anyone: keygen with --append, wait until every gateway has the new
set, sign with the new key, and take the old one out of the set when its last token has expired.")]
pub struct Args {
    /// HS256 (one secret for signing and checking), RS256, ES256 or `EdDSA`
    #[arg(long, value_name = "NAME", default_value = "ES256")]
    alg: String,
    /// File for the private key (PEM) or the secret, for its owner alone [default: jwt-private.pem, with HS256 jwt-secret]
    #[arg(long, value_name = "FILE")]
    private: Option<PathBuf>,
    /// File for the key set with the public key; none with HS256
    #[arg(long, value_name = "FILE", default_value = "jwks.json")]
    jwks: PathBuf,
    /// Name of the key in the set [default: its RFC 7638 thumbprint]
    #[arg(long, value_name = "ID")]
    kid: Option<String>,
    /// Add the public key to the set that is there, for a change of keys
    #[arg(long)]
    append: bool,
    /// Write over files that are there
    #[arg(long)]
    force: bool,
}

/// Makes a key and writes its files.
pub(crate) fn run(args: &Args) -> Outcome {
    let mut faults = Faults::default();
    let algorithm = faults.value("--alg", &args.alg, algorithm);
    let kid = faults.optional("--kid", args.kid.as_deref(), |kid| match kid.len() {
        1..=128 => settings::text(kid),
        _ => Err("must have 1 to 128 bytes".to_owned()),
    });
    if algorithm == Some(Algorithm::HS256) && (args.append || args.kid.is_some()) {
        faults.add("--alg", "HS256 has no key set: --append and --kid mean nothing");
    }
    if args.append && args.force {
        faults.add(
            "--append",
            "and --force exclude each other: one keeps the set, one replaces it",
        );
    }
    let (Some(algorithm), Some(kid), true) = (algorithm, kid, faults.is_empty()) else {
        return Err(Failure::Usage(faults));
    };
    let default = if algorithm == Algorithm::HS256 {
        "jwt-secret"
    } else {
        "jwt-private.pem"
    };
    let private = args.private.clone().unwrap_or_else(|| PathBuf::from(default));
    if !args.force && private.symlink_metadata().is_ok() {
        bail_existing(&private)?;
    }
    let name = &args.alg;
    if algorithm == Algorithm::HS256 {
        write_new(&private, secret()?.expose_secret().as_bytes(), 0o600, args.force)?;
        println!("{}: a secret for {name}", private.display());
        println!("gateway and `tgmesh token`: JWT_SECRET_FILE={}", private.display());
        return Ok(ExitCode::SUCCESS);
    }
    let pem = private_pem(algorithm)?;
    let (jwk, kid) = public(algorithm, &pem, kid)?;
    let set = if args.append {
        appended(&args.jwks, jwk, &kid, name)?
    } else {
        if !args.force && args.jwks.symlink_metadata().is_ok() {
            bail_existing(&args.jwks)?;
        }
        json!({ "keys": [jwk] })
    };
    let set = serde_json::to_string_pretty(&set).context("couldn't write the key set")? + "\n";
    // The private key first: a public key without it helps nobody.
    write_new(&private, pem.expose_secret().as_bytes(), 0o600, args.force)?;
    write_new(&args.jwks, set.as_bytes(), 0o644, args.append || args.force)?;
    let (private, jwks) = (private.display(), args.jwks.display());
    println!("{private}: the private key, for {name}");
    println!("{jwks}: the key set, with the public key {kid}");
    println!("gateway: JWT_ALGORITHM={name} JWT_JWKS={jwks}");
    println!("`tgmesh token --kid {kid}`: JWT_ALGORITHM={name} JWT_PRIVATE_KEY_FILE={private}");
    Ok(ExitCode::SUCCESS)
}

fn bail_existing(path: &Path) -> Result<()> {
    bail!(
        "{} is there already: another name, or --force to write over it",
        path.display()
    )
}

fn secret() -> Result<SecretString> {
    let mut bytes = [0; SECRET_BYTES];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| anyhow::anyhow!("couldn't get random bytes"))?;
    Ok(SecretString::from(URL_SAFE_NO_PAD.encode(bytes) + "\n"))
}

/// A new private key as PKCS#8 in PEM.
fn private_pem(algorithm: Algorithm) -> Result<SecretString> {
    let failed = |_| anyhow::anyhow!("couldn't make a key");
    let random = SystemRandom::new();
    let der = match algorithm {
        Algorithm::RS256 => {
            let key = aws_lc_rs::rsa::KeyPair::generate(RSA_SIZE).map_err(failed)?;
            let der: Pkcs8V1Der<'_> = key.as_der().map_err(failed)?;
            SecretString::from(STANDARD.encode(der.as_ref()))
        }
        Algorithm::ES256 => {
            let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(failed)?;
            SecretString::from(STANDARD.encode(der.as_ref()))
        }
        _ => {
            let der = Ed25519KeyPair::generate_pkcs8v1(&random).map_err(failed)?;
            SecretString::from(STANDARD.encode(der.as_ref()))
        }
    };
    let base64 = der.expose_secret();
    let mut pem = String::with_capacity(base64.len() + base64.len() / 64 + 64);
    pem.push_str("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = base64;
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    Ok(SecretString::from(pem))
}

/// The public half as a JWK, and its name.
fn public(algorithm: Algorithm, pem: &SecretString, kid: Option<String>) -> Result<(Value, String)> {
    let key = private_key(algorithm, pem).map_err(anyhow::Error::msg)?;
    let mut jwk = Jwk::from_encoding_key(&key, algorithm).context("couldn't take the public key out")?;
    let kid = match kid {
        Some(kid) => kid,
        None => thumbprint(&jwk)?,
    };
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    jwk.common.key_id = Some(kid.clone());
    Ok((serde_json::to_value(jwk).context("couldn't write the public key")?, kid))
}

/// RFC 7638.
fn thumbprint(jwk: &Jwk) -> Result<String> {
    jwk.thumbprint(ThumbprintHash::SHA256)
        .context("couldn't name the public key")
}

/// The set that is there, with one more key. Everything in it that is not known here stays.
fn appended(path: &Path, jwk: Value, kid: &str, algorithm: &str) -> Result<Value> {
    let shown = path.display();
    let size = std::fs::metadata(path)
        .with_context(|| format!("couldn't read {shown}"))?
        .len();
    if size > MAX_JWKS_BYTES {
        bail!("{shown} is larger than a key set can be");
    }
    let content = std::fs::read(path).with_context(|| format!("couldn't read {shown}"))?;
    let mut set: Value = serde_json::from_slice(&content).with_context(|| format!("{shown} is no key set"))?;
    let Some(keys) = set.get_mut("keys").and_then(Value::as_array_mut) else {
        bail!("{shown} is no key set");
    };
    if keys
        .iter()
        .any(|key| SECRET_MEMBERS.iter().any(|member| key.get(member).is_some()))
    {
        bail!("{shown} holds a private key: that key is known to whoever read the set");
    }
    if keys.iter().any(|key| key["kid"] == kid) {
        bail!("{shown} has a key with the name {kid} already");
    }
    if keys.iter().filter(|key| key["alg"] == algorithm).count() >= MAX_KEYS {
        bail!("{shown} has {MAX_KEYS} keys for {algorithm}, and a gateway takes no more: take old ones out");
    }
    keys.push(jwk);
    Ok(set)
}

/// Writes a file that is not there yet, or replaces one as a whole.
fn write_new(path: &Path, content: &[u8], mode: u32, replace: bool) -> Result<()> {
    let create = |path: &Path| -> io::Result<()> {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    let shown = path.display();
    if replace {
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.new", std::process::id()));
        let beside = PathBuf::from(beside);
        create(&beside)
            .and_then(|()| std::fs::rename(&beside, path))
            .inspect_err(|_| drop(std::fs::remove_file(&beside)))
            .with_context(|| format!("couldn't write {shown}"))
    } else {
        create(path).with_context(|| format!("couldn't write {shown}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7638, 3.1.
    #[test]
    fn a_key_is_named_as_its_standard_says() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let jwk: Jwk =
            serde_json::from_value(json!({"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256"})).expect("a JWK");
        assert_eq!(
            thumbprint(&jwk).expect("it has one"),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }

    #[test]
    fn a_public_key_has_nothing_of_the_private_one() {
        for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
            let pem = private_pem(algorithm).expect("a key");
            let (jwk, kid) = public(algorithm, &pem, None).expect("a public key");
            assert_eq!(jwk["kid"], kid.as_str());
            assert_eq!(kid.len(), 43, "a SHA-256");
            for member in SECRET_MEMBERS {
                assert!(jwk.get(member).is_none(), "{algorithm:?} {member}");
            }
        }
    }
}
