//! Secret keys that carry their public key: 32 bytes of seed, then the ed25519 public key of it.

use curve25519_dalek::EdwardsPoint;
use sha2::{Digest, Sha512};

use super::Budget;

/// Whether the second half is the public key of the first (RFC 8032, section 5.1.5).
pub(super) fn is_pair(bytes: &[u8; 64], budget: &mut Budget) -> bool {
    let (seed, public) = bytes.split_at(32);
    // The same bytes over and over, an empty account's number.
    if seed == public {
        return false;
    }
    // What costs more than any message should is rather masked than left.
    if !budget.pair() {
        return true;
    }
    let digest = Sha512::digest(seed);
    let mut scalar = [0; 32];
    scalar.copy_from_slice(&digest[..32]);
    EdwardsPoint::mul_base_clamped(scalar).compress().as_bytes() == public
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_vector_of_the_rfc() {
        let hex = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60\
                   d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let mut pair = [0; 64];
        for (byte, digits) in pair.iter_mut().zip(hex.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
        }
        assert!(is_pair(&pair, &mut Budget::default()));
        pair[63] ^= 1;
        assert!(!is_pair(&pair, &mut Budget::default()));
        assert!(!is_pair(&[7; 64], &mut Budget::default()));
    }
}
