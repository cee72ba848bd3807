//! The keys that tokens are checked with.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{DecodingKey, Validation};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;

use super::Refusal;

/// Most keys of a set: each may have to be tried for a token without a key id.
const MAX_KEYS: usize = 16;

/// How tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256 and a shared secret.
    Hs256,
    /// RSA with SHA-256 (PKCS#1 v1.5).
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Reads the name of RFC 7518 or RFC 8037.
    ///
    /// # Errors
    /// For every other name, `none` among them.
    pub fn parse(raw: &str) -> Result<Self, String> {
        [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa]
            .into_iter()
            .find(|algorithm| algorithm.name() == raw)
            .ok_or_else(|| "must be HS256, RS256, ES256 or EdDSA".to_owned())
    }

    /// Its name in a token's header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    fn fits(self, key: &Jwk) -> bool {
        let kind = match (&key.algorithm, self) {
            (AlgorithmParameters::RSA(_), Self::Rs256) => true,
            (AlgorithmParameters::EllipticCurve(key), Self::Es256) => key.curve == EllipticCurve::P256,
            (AlgorithmParameters::OctetKeyPair(key), Self::EdDsa) => key.curve == EllipticCurve::Ed25519,
            _ => false,
        };
        let named = key
            .common
            .key_algorithm
            .is_none_or(|name| name.to_string() == self.name());
        let signs = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
        kind && named && signs
    }
}

impl From<Algorithm> for jsonwebtoken::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Hs256 => Self::HS256,
            Algorithm::Rs256 => Self::RS256,
            Algorithm::Es256 => Self::ES256,
            Algorithm::EdDsa => Self::EdDSA,
        }
    }
}

/// The keys of one algorithm.
pub struct Keys {
    algorithm: Algorithm,
    keys: Vec<(Option<String>, DecodingKey)>,
}

impl Keys {
    /// A shared secret for HS256.
    #[must_use]
    pub fn shared(secret: &SecretString) -> Self {
        let key = DecodingKey::from_secret(secret.expose_secret().as_bytes());
        Self {
            algorithm: Algorithm::Hs256,
            keys: vec![(None, key)],
        }
    }

    /// The keys of a JWKS document that fit the algorithm.
    ///
    /// # Errors
    /// When it is no JWKS, has no fitting key or too many, or one of them cannot be used.
    pub fn from_jwks(algorithm: Algorithm, document: &[u8]) -> Result<Self, String> {
        let set: JwkSet = serde_json::from_slice(document)
            .map_err(|error| format!("is no JWKS document (line {}, column {})", error.line(), error.column()))?;
        let fitting: Vec<&Jwk> = set.keys.iter().filter(|key| algorithm.fits(key)).collect();
        if fitting.is_empty() || fitting.len() > MAX_KEYS {
            let name = algorithm.name();
            return Err(format!(
                "must hold 1 to {MAX_KEYS} keys for {name}, it holds {}",
                fitting.len()
            ));
        }
        let keys = fitting
            .into_iter()
            .map(|jwk| {
                let key = DecodingKey::from_jwk(jwk).map_err(|_| "holds a key that cannot be used".to_owned())?;
                Ok((jwk.common.key_id.clone(), key))
            })
            .collect::<Result<_, String>>()?;
        Ok(Self { algorithm, keys })
    }

    /// The one algorithm that is accepted.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn decode<T: DeserializeOwned>(&self, token: &str, validation: &Validation) -> Result<T, Refusal> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refusal::Malformed)?;
        let mut refusal = Refusal::Signature;
        for (key_id, key) in &self.keys {
            // A token that names its key is checked with that one; a key without a name fits all.
            if let (Some(wanted), Some(have)) = (&header.kid, key_id)
                && wanted != have
            {
                continue;
            }
            match jsonwebtoken::decode(token, key, validation) {
                Ok(data) => return Ok(data.claims),
                Err(error) => refusal = meaning(error.kind()),
            }
            if refusal != Refusal::Signature {
                break;
            }
        }
        Err(refusal)
    }
}

fn meaning(kind: &ErrorKind) -> Refusal {
    match kind {
        ErrorKind::InvalidAudience | ErrorKind::InvalidIssuer => Refusal::Audience,
        ErrorKind::MissingRequiredClaim(claim) => match claim.as_str() {
            "aud" | "iss" => Refusal::Audience,
            "exp" => Refusal::Claim("exp"),
            _ => Refusal::Claim("sub"),
        },
        ErrorKind::Json(_) => Refusal::Claim("set"),
        ErrorKind::InvalidToken | ErrorKind::Base64(_) | ErrorKind::Utf8(_) => Refusal::Malformed,
        _ => Refusal::Signature,
    }
}
