//! Makes well-formed addresses out of random bytes, independently of the detector.

use sha2::{Digest, Sha256};
use sha3::Keccak256;

/// A small generator with a seed, so that a failure comes back (xorshift64*).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// 0 to `end` − 1.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end
    }

    pub fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }

    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| (self.next() >> 40) as u8)
    }
}

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const BASE58: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

pub fn base58(bytes: &[u8]) -> String {
    let mut digits = Vec::new();
    for &byte in bytes {
        let mut carry = u32::from(byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 58) as u8;
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58) as u8);
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|&&b| b == 0).count();
    std::iter::repeat_n(0, zeros)
        .chain(digits.into_iter().rev())
        .map(|d| char::from(BASE58[usize::from(d)]))
        .collect()
}

pub fn solana(dice: &mut Dice) -> String {
    loop {
        let mut bytes = dice.bytes::<32>();
        bytes[0] = bytes[0].max(16);
        let key = base58(&bytes);
        // One key in 1,600 has no digit and reads like words; it needs a label to be believed.
        if key.bytes().any(|b| b.is_ascii_digit()) {
            return key;
        }
    }
}

/// Like the mints of a launchpad.
pub fn pump(dice: &mut Dice) -> String {
    loop {
        let head = solana(dice);
        let key = format!("{}pump", &head[..40]);
        let mut out = [0; 32];
        if five8::decode_32(&key, &mut out).is_ok() {
            return key;
        }
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

pub fn evm_lower(dice: &mut Dice) -> String {
    format!("0x{}", hex(&dice.bytes::<20>()))
}

/// EIP-55 over any spelling.
pub fn eip55(address: &str) -> String {
    let lower = address[2..].to_lowercase();
    let hash = hex(&Keccak256::digest(lower.as_bytes()));
    let digits = lower
        .chars()
        .zip(hash.chars())
        .map(|(c, h)| if h >= '8' { c.to_ascii_uppercase() } else { c });
    format!("0x{}", digits.collect::<String>())
}

pub fn evm(dice: &mut Dice) -> String {
    eip55(&evm_lower(dice))
}

pub fn tron(dice: &mut Dice) -> String {
    let mut bytes = vec![0x41];
    bytes.extend(dice.bytes::<20>());
    let sum = Sha256::digest(Sha256::digest(&bytes));
    bytes.extend(&sum[..4]);
    base58(&bytes)
}

pub fn ton(dice: &mut Dice) -> String {
    ton_of(&dice.bytes())
}

/// The friendly form of an account of the base workchain.
pub fn ton_of(hash: &[u8; 32]) -> String {
    let mut bytes = vec![0x11, 0];
    bytes.extend(hash);
    let mut crc = 0_u16;
    for &byte in &bytes {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
        }
    }
    bytes.extend(crc.to_be_bytes());
    let digit = |bits: u32| char::from(BASE64[(bits & 63) as usize]);
    bytes
        .chunks_exact(3)
        .flat_map(|b| {
            let bits = u32::from(b[0]) << 16 | u32::from(b[1]) << 8 | u32::from(b[2]);
            [18, 12, 6, 0].map(|shift| digit(bits >> shift))
        })
        .collect()
}

pub fn move_address(dice: &mut Dice) -> String {
    format!("0x{}", hex(&dice.bytes::<32>()))
}
