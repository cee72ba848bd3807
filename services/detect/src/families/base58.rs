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

/// Decodes `text` into exactly `N` bytes; `None` when a character is foreign or the length is
/// another.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut out = [0_u8; N];
    for byte in text.bytes() {
        let mut carry = u32::from(value(byte)?);
        for slot in out.iter_mut().rev() {
            carry += u32::from(*slot) * 58;
            *slot = carry as u8;
            carry >>= 8;
        }
        if carry != 0 {
            return None;
        }
    }
    let ones = text.bytes().take_while(|&b| b == b'1').count();
    let zeros = out.iter().take_while(|&&b| b == 0).count();
    (ones == zeros).then_some(out)
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
