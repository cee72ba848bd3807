//! The keys that tokens are checked with.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{DecodingKey, Validation};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Refusal;

/// Most keys of a set: each may have to be tried for a token without a key id.
const MAX_KEYS: usize = 16;
/// Members of a JWK that are secret (RFC 7518, 6.2.2, 6.3.2 and 6.4.1).
const SECRET_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

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
        let verifies = key
            .common
            .key_operations
            .as_ref()
            .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        kind && named && signs && verifies
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

    /// The keys of a JWKS document that fit the algorithm. Keys of kinds that are not known here are
    /// passed over, as RFC 7517, 5 asks.
    ///
    /// # Errors
    /// When it is no JWKS, has no fitting key or too many, one of them cannot be used, or one of any
    /// kind is a private key: whoever serves that has lost it.
    pub fn from_jwks(algorithm: Algorithm, document: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Map<String, Value>>,
        }
        let set: Set = serde_json::from_slice(document)
            .map_err(|error| format!("is no JWKS document (line {}, column {})", error.line(), error.column()))?;
        let is_secret = |key: &Map<String, Value>| SECRET_MEMBERS.iter().any(|member| key.contains_key(*member));
        if set.keys.iter().any(is_secret) {
            return Err(
                "holds a private or shared key: that key is known to whoever read it, make a new one".to_owned(),
            );
        }
        let fitting: Vec<Jwk> = set
            .keys
            .into_iter()
            .filter_map(|key| serde_json::from_value(Value::Object(key)).ok())
            .filter(|key| algorithm.fits(key))
            .collect();
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
                let key = DecodingKey::from_jwk(&jwk).map_err(|_| "holds a key that cannot be used".to_owned())?;
                Ok((jwk.common.key_id, key))
            })
            .collect::<Result<_, String>>()?;
        Ok(Self { algorithm, keys })
    }

    /// The one algorithm that is accepted.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// Whether a token that names this key could be checked: a key without a name may be the one.
    pub(super) fn may_hold(&self, key_id: &str) -> bool {
        self.keys
            .iter()
            .any(|(have, _)| have.as_deref().is_none_or(|have| have == key_id))
    }

    pub(super) fn decode<T: DeserializeOwned>(&self, token: &str, validation: &Validation) -> Result<T, Refusal> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refusal::Malformed)?;
        // What a header calls critical has to be understood, and nothing that could be is here
        // (RFC 7515, 4.1.11); `b64` changes what is signed (RFC 7797).
        if header.crit.is_some() || header.extras.inner().contains_key("b64") {
            return Err(Refusal::Header);
        }
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
