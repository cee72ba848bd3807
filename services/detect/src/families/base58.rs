//! Base58 of lengths that `five8` has no function for.

/// The Bitcoin alphabet, by value.
pub(crate) const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

const NONE: u8 = 0xff;

const VALUE: [u8; 128] = {
    let mut value = [NONE; 128];
    let mut i = 0;
    while i < ALPHABET.len() {
        value[ALPHABET[i] as usize] = i as u8;
        i += 1;
    }
    value
};

/// The value of a base58 digit.
pub(crate) fn value(byte: u8) -> Option<u8> {
    VALUE.get(byte as usize).copied().filter(|&v| v != NONE)
}

/// The base58 of 32 bytes.
pub(crate) fn encode(bytes: &[u8; 32]) -> String {
    let mut out = [0; 44];
    let length = usize::from(five8::encode_32(bytes, &mut out));
    out[..length].iter().map(|&byte| char::from(byte)).collect()
}

/// Decodes `text` into exactly `N` bytes, at most 32; `None` when a character is foreign or the
/// length is another.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    /// 32 bits each, least first, and one more for what overflows.
    const LIMBS: usize = 9;
    const { assert!(N <= 32) };
    let mut limbs = [0_u32; LIMBS];
    // Five digits at a time: 58^5 fits 30 bits.
    for digits in text.as_bytes().chunks(5) {
        let mut carry = 0_u64;
        let mut scale = 1_u64;
        for &digit in digits {
            carry = carry * 58 + u64::from(value(digit)?);
            scale *= 58;
        }
        for limb in &mut limbs {
            carry += u64::from(*limb) * scale;
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry != 0 {
            return None;
        }
    }
    let mut bytes = [0; LIMBS * 4];
    for (four, limb) in bytes.chunks_exact_mut(4).zip(limbs.iter().rev()) {
        four.copy_from_slice(&limb.to_be_bytes());
    }
    let (high, low) = bytes.split_at(LIMBS * 4 - N);
    let ones = text.bytes().take_while(|&b| b == b'1').count();
    let zeros = low.iter().take_while(|&&b| b == 0).count();
    if ones != zeros || high.iter().any(|&b| b != 0) {
        return None;
    }
    low.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_vectors_decode() {
        assert_eq!(decode::<3>("ZiCa"), Some(*b"abc"));
        assert_eq!(decode::<4>("1ZiCa"), Some(*b"\0abc"));
        assert_eq!(decode::<3>("1ZiCa"), None);
        assert_eq!(decode::<4>("ZiCa"), None);
        assert_eq!(decode::<3>("ZiC0"), None);
    }
}
