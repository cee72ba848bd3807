//! The server's half of the password check: SRP 6a as Telegram uses it
//! (<https://core.telegram.org/api/srp>). The password itself is never kept.

use std::sync::LazyLock;

use hmac::Hmac;
use num_bigint::BigUint;
use sha2::{Digest as _, Sha256, Sha512};

/// Rounds that the algorithm's name fixes.
const ROUNDS: u32 = 100_000;
pub(crate) const G: i32 = 3;
const BYTES: usize = 256;

/// The prime that Telegram gives; clients check that it is a safe one.
const PRIME: &str = "c71caeb9c6b1c9048e6c522f70f13f73980d40238e3e21c14934d037563d930f48198a0aa7c14058229493d22530f4db\
                     fa336f6e0ac925139543aed44cce7c3720fd51f69458705ac68cd4fe6b6b13abdc9746512969328454f18faf8c595f64\
                     2477fe96bb2a941d5bcd1d4ac8cc49880708fa9b378e3c4f3a9060bee67cf9a4a4a695811051907e162753b56b0f6b41\
                     0dba74d8a84b2a14b3144e0ef1284754fd17ed950d5965b4b9dd46582db1178d169c6bc465b0d6ff9ca3928fef5b9ae4\
                     e418fc15e83ebea0f87fa9ff5eed70050ded2849f47bf959d956850ce929851f0d8115f635b105ee2e4e15d04b2454bf\
                     6f4fadf034b10403119cd8e3b92fcc5b";

static P: LazyLock<BigUint> = LazyLock::new(|| {
    // A constant in hex.
    BigUint::parse_bytes(PRIME.as_bytes(), 16).expect("the prime is written in hex")
});

/// An account's password, as far as a server knows it.
pub(crate) struct Password {
    pub(crate) salt1: Vec<u8>,
    pub(crate) salt2: Vec<u8>,
    pub(crate) hint: Option<String>,
    verifier: BigUint,
}

/// One question for a password; it is good for one answer.
pub(crate) struct Challenge {
    b: BigUint,
    /// What the client is told, [`BYTES`] long.
    pub(crate) g_b: Vec<u8>,
}

impl Password {
    pub(crate) fn new(password: &str, hint: Option<String>) -> Self {
        let (salt1, salt2) = (rand::random::<[u8; 40]>().to_vec(), rand::random::<[u8; 16]>().to_vec());
        let x = BigUint::from_bytes_be(&ph2(password.as_bytes(), &salt1, &salt2));
        Self {
            verifier: BigUint::from(G as u32).modpow(&x, &P),
            salt1,
            salt2,
            hint,
        }
    }

    pub(crate) fn challenge(&self) -> Challenge {
        let b = BigUint::from_bytes_be(&rand::random::<[[u8; 32]; 8]>().concat());
        let k = BigUint::from_bytes_be(&hash(&[&padded(&P), &padded(&BigUint::from(G as u32))]));
        let g_b = (k * &self.verifier + BigUint::from(G as u32).modpow(&b, &P)) % &*P;
        Challenge { b, g_b: padded(&g_b) }
    }

    /// Whether the answer to a challenge proves that the client knows the password.
    pub(crate) fn is_proved(&self, challenge: &Challenge, a: &[u8], m1: &[u8]) -> bool {
        let g_a = BigUint::from_bytes_be(a);
        let one = BigUint::from(1_u32);
        if a.len() > BYTES || g_a <= one || g_a >= &*P - &one {
            return false;
        }
        let g_a_bytes = padded(&g_a);
        let u = BigUint::from_bytes_be(&hash(&[&g_a_bytes, &challenge.g_b]));
        let s = (g_a * self.verifier.modpow(&u, &P)).modpow(&challenge.b, &P);
        let (h_p, h_g) = (hash(&[&padded(&P)]), hash(&[&padded(&BigUint::from(G as u32))]));
        let mixed: Vec<u8> = h_p.iter().zip(h_g).map(|(p, g)| p ^ g).collect();
        let (h1, h2, key) = (hash(&[&self.salt1]), hash(&[&self.salt2]), hash(&[&padded(&s)]));
        hash(&[&mixed, &h1, &h2, &g_a_bytes, &challenge.g_b, &key]) == m1
    }
}

/// The prime's bytes.
pub(crate) fn prime() -> Vec<u8> {
    padded(&P)
}

fn padded(number: &BigUint) -> Vec<u8> {
    let bytes = number.to_bytes_be();
    let mut out = vec![0; BYTES.saturating_sub(bytes.len())];
    out.extend(bytes);
    out
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

fn ph2(password: &[u8], salt1: &[u8], salt2: &[u8]) -> [u8; 32] {
    let salted = |data: &[u8], salt: &[u8]| hash(&[salt, data, salt]);
    let ph1 = salted(&salted(password, salt1), salt2);
    let mut derived = [0; 64];
    // Fails only for an HMAC key of a length that HMAC does not take; it takes all.
    pbkdf2::pbkdf2::<Hmac<Sha512>>(&ph1, salt1, ROUNDS, &mut derived).expect("HMAC takes any key");
    salted(&derived, salt2)
}

#[cfg(test)]
mod tests {
    use grammers_crypto::two_factor_auth::{calculate_2fa, check_p_and_g};

    use super::*;

    /// The client's half is the library's.
    #[test]
    fn a_password_is_proved_and_no_other_is() {
        assert!(check_p_and_g(&prime(), &G));
        let password = Password::new("correct horse", None);
        let answer = |challenge: &Challenge, text: &str| {
            let a = rand::random::<[[u8; 32]; 8]>().concat();
            let g_b = challenge.g_b.clone();
            calculate_2fa(&password.salt1, &password.salt2, &prime(), &G, g_b, a, text)
        };
        let challenge = password.challenge();
        let (m1, g_a) = answer(&challenge, "correct horse");
        assert!(password.is_proved(&challenge, &g_a, &m1));
        let (wrong, g_a_wrong) = answer(&challenge, "correct horsf");
        assert!(!password.is_proved(&challenge, &g_a_wrong, &wrong));
        // An answer is to one question.
        assert!(!password.is_proved(&password.challenge(), &g_a, &m1));
        // The trick of a client that knows nothing: A = 0 mod p makes the secret 0.
        for a in [vec![0; 256], prime(), vec![1], vec![0xff; 257]] {
            assert!(!password.is_proved(&challenge, &a, &m1));
        }
    }
}
