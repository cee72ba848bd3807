//! Encodings of keys that prove themselves by a checksum.

use sha2::{Digest, Sha256};

use crate::families::base58;

/// Bech32's digits, by value (BIP-173).
const BECH32: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// What private keys in bech32 begin with: Sui, Nostr.
const BECH32_KEYS: [&str; 2] = ["suiprivkey", "nsec"];

/// A key for import into a wallet (WIF): version, 32 bytes, for compressed public keys a 1, and a
/// checksum. The version is the coin's.
pub(super) fn is_wif(text: &str) -> bool {
    match text.len() {
        51 => base58_check::<37>(text).is_some(),
        52 => base58_check::<38>(text).is_some_and(|bytes| bytes[33] == 1),
        _ => false,
    }
}

/// An extended private key (BIP-32): where public ones have 2 or 3, the key itself has a zero before
/// it.
pub(super) fn is_extended(text: &str) -> bool {
    text.len() == 111 && base58_check::<82>(text).is_some_and(|bytes| bytes[45] == 0)
}

/// Decodes `N` bytes of base58 of which the last four are the checksum of the others.
fn base58_check<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0_u8; N];
    for digit in text.bytes() {
        let mut carry = u32::from(base58::value(digit)?);
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 58;
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry != 0 {
            return None;
        }
    }
    let (payload, checksum) = bytes.split_at(N - 4);
    (Sha256::digest(Sha256::digest(payload))[..4] == *checksum).then_some(bytes)
}

/// A private key in bech32 (BIP-173).
pub(super) fn is_bech32(text: &str) -> bool {
    let lead = |name: &&str| {
        text.as_bytes().get(name.len()) == Some(&b'1')
            && text
                .get(..name.len())
                .is_some_and(|lead| lead.eq_ignore_ascii_case(name))
    };
    let Some(name) = BECH32_KEYS.iter().find(|name| lead(name)) else {
        return false;
    };
    let mut state = 1_u32;
    let mut add = |value: u8| {
        const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
        let top = state >> 25;
        state = (state & 0x1ff_ffff) << 5 ^ u32::from(value);
        for (bit, part) in GENERATOR.iter().enumerate() {
            if top >> bit & 1 == 1 {
                state ^= part;
            }
        }
    };
    name.bytes().for_each(|byte| add(byte >> 5));
    add(0);
    name.bytes().for_each(|byte| add(byte & 31));
    for digit in text.bytes().skip(name.len() + 1) {
        match BECH32.iter().position(|&d| d == digit.to_ascii_lowercase()) {
            Some(value) => add(value as u8),
            None => return false,
        }
    }
    state == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_keys_are_known() {
        // The Bitcoin wiki's example of a private key, in both forms.
        assert!(is_wif("5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ"));
        assert!(is_wif("KwdMAjGmerYanjeui5SHS7JkmpZvVipYvB2LJGU1ZxJwYvP98617"));
        assert!(!is_wif("5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTj"));
        // BIP-32, test vector 1.
        assert!(is_extended(
            "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi"
        ));
        assert!(!is_extended(
            "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8"
        ));
        // NIP-19's example.
        assert!(is_bech32(
            "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5"
        ));
        assert!(!is_bech32(
            "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe4"
        ));
        assert!(!is_bech32(
            "npub180cvv07tjdrrgpa0j7j7tmnyl2yr6yr7l8j4s3evf6u64th6gkwsyjh6w6"
        ));
    }
}
