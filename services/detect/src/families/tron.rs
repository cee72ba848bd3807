//! Tron: base58check over 0x41 and 20 bytes; 34 characters that start with T.

use std::ops::Range;

use sha2::{Digest, Sha256};

use super::{Proof, Seen, base58};
use crate::Family;

pub(super) const LENGTH: usize = 34;
const PREFIX: u8 = 0x41;

pub(super) fn look(span: &Range<usize>, word: &str, found: &mut dyn FnMut(Seen)) {
    if is_address(word) {
        found(Seen {
            span: span.clone(),
            families: &[Family::Tron],
            address: word.to_owned(),
            coin_type: None,
            proof: Proof::Base58Check,
        });
    }
}

/// Whether `word` is a Tron address with a right checksum.
pub(crate) fn is_address(word: &str) -> bool {
    if word.len() != LENGTH || !word.starts_with('T') {
        return false;
    }
    let Some(bytes) = base58::decode::<25>(word) else {
        return false;
    };
    bytes[0] == PREFIX && Sha256::digest(Sha256::digest(&bytes[..21]))[..4] == bytes[21..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_decides() {
        // USDT on Tron.
        assert!(is_address("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"));
        assert!(!is_address("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6u"));
        assert!(!is_address("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6"));
        assert!(!is_address("tR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"));
    }
}
