//! Tokens: who a client is and what it may see.
//!
//! The algorithm is the operator's choice, never the token's. What `jsonwebtoken` leaves open is
//! decided here: `aud` and `iss` count only when they are present there, times have a leeway of a
//! minute there; here both are required and the leeway is [`LEEWAY_S`].

mod fetch;
mod keys;
mod ring;

pub use fetch::Endpoint;
pub use keys::{Algorithm, Keys};
pub use ring::{Ring, RingFigures};

use std::fmt;
use std::sync::Arc;

use jsonwebtoken::Validation;
use serde::Deserialize;
use tgmesh_proto::detection::Family;

use crate::rights::{Chats, Rights, Role};

/// How far the clocks of the token's issuer and of this host may differ, in seconds.
pub const LEEWAY_S: i64 = 5;
/// Longest token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 12 * 1024;
/// Longest `sub` and `jti`, in bytes.
pub const MAX_NAME_BYTES: usize = 256;

/// Checks tokens.
pub struct Verifier {
    ring: Arc<Ring>,
    validation: Validation,
}

/// What a token allows.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// `sub`.
    pub subject: String,
    /// `jti`.
    pub token_id: String,
    /// `exp`, seconds since the epoch.
    pub expires_at: i64,
    /// What it may see.
    pub rights: Rights,
    /// Most connections of this subject at once.
    pub max_connections: Option<u32>,
    /// Most frames a second from the client.
    pub rate: Option<f64>,
}

/// Why a token is refused. What it says holds nothing of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No JWT, or longer than [`MAX_TOKEN_BYTES`].
    #[error("the token is malformed")]
    Malformed,
    /// Another algorithm, an unknown key or a wrong signature.
    #[error("the token's signature is not valid here")]
    Signature,
    /// The header asks for what is not understood here.
    #[error("the token's header asks for an extension that is not known here")]
    Header,
    /// No key is known yet.
    #[error("the keys are not known yet")]
    NoKeys,
    /// `exp` is over.
    #[error("the token has expired")]
    Expired,
    /// `iat` or `nbf` lies ahead.
    #[error("the token is not valid yet")]
    NotYet,
    /// `aud` or `iss` is another, or missing.
    #[error("the token is not for this service")]
    Audience,
    /// A claim is missing or out of bounds.
    #[error("the token's claim {0} is missing or not valid")]
    Claim(&'static str),
}

impl Refusal {
    /// The same in a word that fits into a close frame.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "the token is malformed",
            Self::Signature => "the token's signature is not valid here",
            Self::Header => "the token's header asks for an extension that is not known here",
            Self::NoKeys => "the keys are not known yet",
            Self::Expired => "the token has expired",
            Self::NotYet => "the token is not valid yet",
            Self::Audience => "the token is not for this service",
            Self::Claim(_) => "a claim of the token is missing or not valid",
        }
    }
}

impl Verifier {
    /// A verifier for one audience and, where it is given, one issuer.
    #[must_use]
    pub fn new(ring: Arc<Ring>, audience: &str, issuer: Option<&str>) -> Self {
        let mut validation = Validation::new(ring.algorithm().into());
        validation.set_audience(&[audience]);
        let mut required = vec!["aud", "sub", "exp"];
        if let Some(issuer) = issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        // Times are checked below, against a clock that tests can set.
        validation.validate_exp = false;
        validation.leeway = 0;
        Self { ring, validation }
    }

    /// The keys.
    #[must_use]
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// Gets ready to check a token: where it names a key that is not known, and keys come from a
    /// URL, they are fetched anew, within the bounds of [`Ring::learn`]. Whether there are keys.
    pub async fn learn(&self, token: &str) -> bool {
        let key_id = || {
            let header = jsonwebtoken::decode_header(token).ok()?;
            header
                .kid
                .filter(|_| token.len() <= MAX_TOKEN_BYTES && header.alg == self.ring.algorithm().into())
        };
        self.ring.learn(key_id).await
    }

    /// Checks a token at a time in seconds since the epoch.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn verify(&self, token: &str, now_s: i64) -> Result<Grant, Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::Malformed);
        }
        let keys = self.ring.current().ok_or(Refusal::NoKeys)?;
        let claims: Claims = keys.decode(token, &self.validation)?;
        claims.grant(now_s)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("algorithm", &self.ring.algorithm())
            .finish_non_exhaustive()
    }
}

/// The claims of the contract. `aud` and `iss` are checked before.
#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    iat: Option<f64>,
    jti: Option<String>,
    nbf: Option<f64>,
    role: Option<String>,
    chats: Option<Vec<ChatClaim>>,
    families: Option<Vec<String>>,
    min_confidence: Option<f64>,
    max_connections: Option<u32>,
    rate: Option<f64>,
}

/// An id as a number or as text, or `*`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ChatClaim {
    Id(i64),
    Text(String),
}

impl Claims {
    fn grant(self, now_s: i64) -> Result<Grant, Refusal> {
        // JSON numbers are finite; a cast of one that is too large saturates.
        let expires_at = self.exp.floor() as i64;
        let issued_at = self.iat.ok_or(Refusal::Claim("iat"))?.floor() as i64;
        let not_before = self.nbf.map_or(issued_at, |time| time.floor() as i64);
        if expires_at.saturating_add(LEEWAY_S) <= now_s {
            return Err(Refusal::Expired);
        }
        if issued_at.max(not_before) > now_s.saturating_add(LEEWAY_S) {
            return Err(Refusal::NotYet);
        }
        let name = |claim, value: Option<String>| {
            value
                .filter(|name| !name.is_empty() && name.len() <= MAX_NAME_BYTES)
                .ok_or(Refusal::Claim(claim))
        };
        let role = match self.role.as_deref() {
            // The least that a token can allow.
            None => Role::Viewer,
            Some(word) => Role::parse(word).ok_or(Refusal::Claim("role"))?,
        };
        let chats = self
            .chats
            .unwrap_or_default()
            .iter()
            .try_fold(Chats::none(), |chats, claim| match claim {
                ChatClaim::Id(id) => Ok(chats.with(*id)),
                ChatClaim::Text(text) if text == "*" => Ok(Chats::All),
                ChatClaim::Text(text) => text
                    .parse()
                    .map(|id| chats.with(id))
                    .map_err(|_| Refusal::Claim("chats")),
            })?;
        let min_confidence = self.min_confidence.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&min_confidence) {
            return Err(Refusal::Claim("min_confidence"));
        }
        if self.rate.is_some_and(|rate| !(rate > 0.0 && rate <= 1e6)) {
            return Err(Refusal::Claim("rate"));
        }
        Ok(Grant {
            subject: name("sub", Some(self.sub))?,
            token_id: name("jti", self.jti)?,
            expires_at,
            rights: Rights {
                role,
                chats,
                // A word of a later version allows nothing that this one knows.
                families: self
                    .families
                    .map(|words| words.iter().filter_map(|word| Family::parse(word)).collect()),
                min_confidence,
            },
            max_connections: self.max_connections,
            rate: self.rate,
        })
    }
}

#[cfg(test)]
mod tests;
