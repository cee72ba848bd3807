//! Addresses that are valid and were never used: nobody owns them.

use rand::Rng;
use rand::RngExt;
use sha3::{Digest, Keccak256};

/// Random bytes in base58, as every Solana account is named.
pub(crate) fn solana(rng: &mut impl Rng) -> String {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    encode(&bytes)
}

/// A mint as pump.fun makes them: its name ends with `pump`.
pub(crate) fn pump(rng: &mut impl Rng) -> String {
    loop {
        let mut name = solana(rng);
        name.truncate(name.len() - 4);
        name.push_str("pump");
        // The exchanged end changes the number, which may leave the 32 bytes.
        if five8::decode_32(name.as_bytes(), &mut [0; 32]).is_ok() {
            return name;
        }
    }
}

/// Random bytes with the checksum of EIP-55 in the letters' case.
pub(crate) fn evm(rng: &mut impl Rng) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut name = String::with_capacity(42);
    let bytes: [u8; 20] = rng.random();
    for byte in bytes {
        name.push(char::from(DIGITS[usize::from(byte >> 4)]));
        name.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    let hash = Keccak256::digest(name.as_bytes());
    let mixed: String = name
        .char_indices()
        .map(|(i, digit)| {
            let nibble = hash[i / 2] >> if i % 2 == 0 { 4 } else { 0 } & 15;
            if nibble >= 8 { digit.to_ascii_uppercase() } else { digit }
        })
        .collect();
    format!("0x{mixed}")
}

/// A transaction's signature: 64 bytes, so no address, though it looks like one.
pub(crate) fn signature(rng: &mut impl Rng) -> String {
    let mut bytes = [0; 64];
    rng.fill_bytes(&mut bytes);
    let mut out = [0; 88];
    let len = five8::encode_64(&bytes, &mut out);
    String::from_utf8_lossy(&out[..usize::from(len)]).into_owned()
}

fn encode(bytes: &[u8; 32]) -> String {
    let mut out = [0; 44];
    let len = five8::encode_32(bytes, &mut out);
    String::from_utf8_lossy(&out[..usize::from(len)]).into_owned()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    #[test]
    fn solana_names_are_32_bytes() {
        let rng = &mut SmallRng::seed_from_u64(1);
        for _ in 0..200 {
            assert!(five8::decode_32(solana(rng).as_bytes(), &mut [0; 32]).is_ok());
            let pump = pump(rng);
            assert!(pump.ends_with("pump"));
            assert!(five8::decode_32(pump.as_bytes(), &mut [0; 32]).is_ok());
            assert!(signature(rng).len() > 80);
        }
    }

    /// The letters' case of the standard's own examples comes out when the hash does.
    #[test]
    fn evm_names_carry_the_checksum() {
        let rng = &mut SmallRng::seed_from_u64(1);
        for _ in 0..200 {
            let name = evm(rng);
            let lower = name[2..].to_lowercase();
            let hash = Keccak256::digest(lower.as_bytes());
            for (i, c) in name[2..].chars().enumerate() {
                let nibble = (hash[i / 2] >> (4 * (1 - i % 2))) & 0xf;
                assert_eq!(
                    c.is_ascii_uppercase(),
                    c.is_ascii_alphabetic() && nibble > 7,
                    "{name} at {i}"
                );
            }
        }
    }
}
