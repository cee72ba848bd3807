//! TON: 36 bytes of base64 (either alphabet) with a CRC-16 at the end, or `workchain:hex`.
//!
//! Source: <https://docs.ton.org/foundations/addresses/formats>. The first byte says bounceable
//! (0x11) or not (0x51), plus 0x80 for the test network; the second is the workchain.

use std::ops::Range;

use super::{Proof, Seen};
use crate::{
    Family,
    scan::{Run, is_alnum},
};

pub(super) const LENGTH: usize = 48;
const BOUNCEABLE: u8 = 0x11;
const NOT_BOUNCEABLE: u8 = 0x51;
const TEST_NETWORK: u8 = 0x80;

const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The friendly form, anywhere in a run: joiners are part of it.
pub(super) fn look(run: &Run<'_>, found: &mut dyn FnMut(Seen)) {
    let bytes = run.text.as_bytes();
    let Some(last) = run.range.end.checked_sub(LENGTH) else {
        return;
    };
    let mut at = run.range.start;
    while at <= last {
        let span = at..at + LENGTH;
        if begins(&bytes[at..])
            && !is_alnum(run.before(at))
            && !is_alnum(run.after(span.end))
            && let Some(address) = canonical(&run.text[span.clone()])
        {
            at = span.end;
            found(Seen {
                span,
                families: &[Family::Ton],
                address,
                coin_type: None,
                proof: Proof::Crc16,
            });
        } else {
            at += 1;
        }
    }
}

/// Whether an address can begin so: its tag and a workchain of 0 or -1 leave few beginnings.
pub(crate) fn begins(word: &[u8]) -> bool {
    matches!(
        word,
        [b'E' | b'U' | b'k' | b'0', b'Q', b'A'..=b'D', ..]
            | [
                b'E' | b'U' | b'k' | b'0',
                b'f',
                b'8' | b'9' | b'-' | b'_' | b'+' | b'/',
                ..
            ]
    )
}

/// The raw form: 64 hex digits after `0:` or `-1:`.
pub(super) fn look_raw(run: &Run<'_>, span: &Range<usize>, word: &str, found: &mut dyn FnMut(Seen)) {
    if word.len() != 64 || !word.bytes().all(|b| b.is_ascii_hexdigit()) {
        return;
    }
    let lead = &run.text[..span.start];
    let (workchain, start) = if lead.ends_with("-1:") {
        (0xff, span.start - 3)
    } else if lead.ends_with("0:")
        && !lead[..span.start - 2].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == ':')
    {
        (0, span.start - 2)
    } else {
        return;
    };
    let mut hash = [0; 32];
    for (slot, pair) in hash.iter_mut().zip(word.as_bytes().chunks_exact(2)) {
        *slot = (hex(pair[0]) << 4) | hex(pair[1]);
    }
    found(Seen {
        span: start..span.end,
        families: &[Family::Ton],
        address: friendly(workchain, &hash),
        coin_type: None,
        proof: Proof::RawTon,
    });
}

/// The `EQ…` form of a friendly address; `None` when alphabet, tag, workchain or CRC are wrong, or
/// it belongs to the test network.
pub(crate) fn canonical(word: &str) -> Option<String> {
    let bytes = decode(word.as_bytes())?;
    let workchain = bytes[1];
    let well_formed = matches!(bytes[0], BOUNCEABLE | NOT_BOUNCEABLE)
        && matches!(workchain, 0 | 0xff)
        && crc16(&bytes[..34]).to_be_bytes() == bytes[34..];
    let mut hash = [0; 32];
    hash.copy_from_slice(&bytes[2..34]);
    debug_assert_eq!(BOUNCEABLE & TEST_NETWORK, 0);
    well_formed.then(|| friendly(workchain, &hash))
}

/// Whether 48 characters are an address with something wrong, so that its pieces are none of another
/// family: it begins like one, or would be one if its first two characters were right.
pub(crate) fn is_damaged(word: &str) -> bool {
    let [first, second, ..] = word.as_bytes() else {
        return false;
    };
    if word.len() != LENGTH {
        return false;
    }
    let begins = matches!(first, b'E' | b'U' | b'k' | b'0') && matches!(second, b'Q' | b'f');
    begins
        || word.get(2..).is_some_and(|rest| {
            ["EQ", "UQ", "Ef", "Uf"]
                .iter()
                .any(|begin| canonical(&format!("{begin}{rest}")).is_some())
        })
}

fn friendly(workchain: u8, hash: &[u8; 32]) -> String {
    let mut bytes = [0; 36];
    bytes[0] = BOUNCEABLE;
    bytes[1] = workchain;
    bytes[2..34].copy_from_slice(hash);
    let crc = crc16(&bytes[..34]).to_be_bytes();
    bytes[34..].copy_from_slice(&crc);
    let mut out = String::with_capacity(LENGTH);
    for three in bytes.chunks_exact(3) {
        let bits = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
        for shift in [18, 12, 6, 0] {
            out.push(char::from(URL_SAFE[(bits >> shift & 63) as usize]));
        }
    }
    out
}

/// Either base64 alphabet, but not both in one address.
fn decode(word: &[u8]) -> Option<[u8; 36]> {
    if word.len() != LENGTH {
        return None;
    }
    let url_safe = word.iter().any(|b| matches!(b, b'-' | b'_'));
    let standard = word.iter().any(|b| matches!(b, b'+' | b'/'));
    if url_safe && standard {
        return None;
    }
    let mut out = [0; 36];
    for (four, three) in word.chunks_exact(4).zip(out.chunks_exact_mut(3)) {
        let mut bits = 0_u32;
        for &byte in four {
            let value = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'-' | b'+' => 62,
                b'_' | b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        three.copy_from_slice(&bits.to_be_bytes()[1..]);
    }
    Some(out)
}

/// CRC-16/XMODEM, a byte at a time.
fn crc16(bytes: &[u8]) -> u16 {
    bytes
        .iter()
        .fold(0, |crc, &byte| (crc << 8) ^ CRC[usize::from((crc >> 8) as u8 ^ byte)])
}

const CRC: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_xmodem() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
    }

    #[test]
    fn all_spellings_become_one() {
        let eq = "EQCPGzW1dJURRybL41Q3KYfzX4fZdQUeY8-7-TKyeR7f-7cU";
        assert_eq!(
            canonical("UQCPGzW1dJURRybL41Q3KYfzX4fZdQUeY8-7-TKyeR7f--rR").as_deref(),
            Some(eq)
        );
        assert_eq!(canonical(eq).as_deref(), Some(eq));
        assert_eq!(canonical(&eq.replace('-', "+")).as_deref(), Some(eq));
        assert_eq!(canonical(&eq.replacen('-', "+", 1)), None, "two alphabets");
        assert_eq!(
            canonical("EQCPGzW1dJURRybL41Q3KYfzX4fZdQUeY8-7-TKyeR7f-7cV"),
            None,
            "CRC"
        );
    }
}
