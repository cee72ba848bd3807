//! EVM: `0x` and 40 hex digits; letters in both cases have to pass EIP-55.

use std::ops::Range;

use sha3::{Digest, Keccak256};

use super::{Proof, Seen};
use crate::{Family, scan::Run};

const DIGITS: usize = 40;

pub(super) fn look(_run: &Run<'_>, span: &Range<usize>, word: &str, found: &mut dyn FnMut(Seen)) {
    let Some(prefix) = word.len().checked_sub(DIGITS + 2) else {
        return;
    };
    let bytes = word.as_bytes();
    // Words may be glued to the front ("CA0x…"), digits may not: they could be the missing part of
    // something longer.
    if bytes[prefix] != b'0' || bytes[prefix + 1] | 0x20 != b'x' || !bytes[..prefix].iter().all(u8::is_ascii_alphabetic)
    {
        return;
    }
    if let Some((address, proof)) = canonical(&word[prefix + 2..]) {
        found(Seen {
            span: span.start + prefix..span.end,
            families: &[Family::Evm],
            address,
            coin_type: None,
            proof,
        });
    }
}

/// The EIP-55 form of 40 hex digits, and what supports it; `None` when they are no hex, or mix
/// cases in a way that EIP-55 does not.
///
/// Source: <https://eips.ethereum.org/EIPS/eip-55>.
pub(crate) fn canonical(digits: &str) -> Option<(String, Proof)> {
    if digits.len() != DIGITS || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut checked = String::with_capacity(DIGITS + 2);
    checked.push_str("0x");
    let mut lower = [0_u8; DIGITS];
    for (slot, byte) in lower.iter_mut().zip(digits.bytes()) {
        *slot = byte.to_ascii_lowercase();
    }
    let hash = Keccak256::digest(lower);
    for (i, &byte) in lower.iter().enumerate() {
        let nibble = if i % 2 == 0 {
            hash[i / 2] >> 4
        } else {
            hash[i / 2] & 0xf
        };
        checked.push(char::from(if nibble >= 8 { byte.to_ascii_uppercase() } else { byte }));
    }
    let has_upper = digits.bytes().any(|b| b.is_ascii_uppercase());
    let has_lower = digits.bytes().any(|b| b.is_ascii_lowercase());
    match (has_upper && has_lower, checked[2..] == *digits) {
        (true, true) => Some((checked, Proof::Eip55)),
        (true, false) => None,
        (false, _) => Some((checked, Proof::OneCase)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of the EIP itself.
    const EIP: [&str; 4] = [
        "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "fB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "dbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "D1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ];

    #[test]
    fn the_vectors_of_the_eip_pass() {
        for digits in EIP {
            let expected = format!("0x{digits}");
            assert_eq!(canonical(digits), Some((expected.clone(), Proof::Eip55)));
            assert_eq!(
                canonical(&digits.to_lowercase()),
                Some((expected.clone(), Proof::OneCase))
            );
            assert_eq!(canonical(&digits.to_uppercase()), Some((expected, Proof::OneCase)));
        }
    }

    #[test]
    fn wrong_case_and_wrong_length_fail() {
        assert_eq!(canonical("5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"), None);
        assert_eq!(canonical("5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe"), None);
        assert_eq!(canonical("5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeg"), None);
    }
}
