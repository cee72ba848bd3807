//! Start parameters of bots that hold an address in another alphabet.
//!
//! A parameter has at most 64 letters, digits, dashes and underlines, so some bots pack what they
//! are given. Only what decodes in one way is taken: a form of fixed width with its own marks, or
//! base64 that turns out to be text with an address in it.

use crate::{
    chains,
    families::{self, Proof, Seen, base58, evm},
    scan,
};

/// What a parameter holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packed {
    /// Its span is not set.
    pub(super) seen: Seen,
    /// The chain, where the parameter names it.
    pub(super) chain: Option<&'static str>,
    /// How it was packed.
    pub(super) step: &'static str,
}

/// The packed forms of all bots. A new one is one more line.
pub(super) fn unpack(parameter: &str) -> Option<Packed> {
    cove(parameter).or_else(|| text(parameter))
}

/// `g_` and `gs_` (an amount, a chain, a token), `b_` (a chain, a token), each with fourteen
/// characters for who shared it or without; tokens are base62 of fixed width.
///
/// Source: <https://docs.cove.trade/builders/deep-links>.
fn cove(parameter: &str) -> Option<Packed> {
    const TAIL: usize = 14;
    const LONGEST_AMOUNT: usize = 4;
    let (order, rest) = parameter.split_once('_')?;
    let amount = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == 'd').len();
    let rest = match order {
        "g" | "gs" if (1..=LONGEST_AMOUNT).contains(&amount) => &rest[amount..],
        "b" if amount == 0 => rest,
        _ => return None,
    };
    let code = rest.bytes().next()?;
    let name = match code {
        b'e' => "ethereum",
        b'b' => "base",
        b'n' => "bsc",
        b'm' => "megaeth",
        b's' => "solana",
        b't' => "tempo",
        b'o' => "monad",
        b'y' => "story",
        b'h' => "hyperevm",
        b'p' => "plasma",
        _ => return None,
    };
    let token = &rest[1..];
    let width = if code == b's' { 43 } else { 27 };
    if token.len() != width && token.len() != width + TAIL {
        return None;
    }
    let token = token.get(..width)?;
    let seen = if code == b's' {
        let address = base58::encode(&base62::<32>(token)?);
        let families = &[crate::Family::Solana];
        Seen {
            span: 0..0,
            families,
            address,
            coin_type: None,
            proof: Proof::Base58,
        }
    } else {
        let hex = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
        let bytes = base62::<20>(token)?;
        let digits: String = bytes
            .iter()
            .flat_map(|byte| [hex(byte >> 4), hex(byte & 0xf)])
            .collect();
        let (address, proof) = evm::canonical(&digits)?;
        let families = &[crate::Family::Evm];
        Seen {
            span: 0..0,
            families,
            address,
            coin_type: None,
            proof,
        }
    };
    let chain = chains::by_name(name).map(|chain| chain.name);
    Some(Packed {
        seen,
        chain,
        step: "base62",
    })
}

/// Big-endian base62 (digits, capitals, small letters), padded with zeros to a fixed width.
fn base62<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for digit in text.bytes() {
        let mut carry = u32::from(match digit {
            b'0'..=b'9' => digit - b'0',
            b'A'..=b'Z' => digit - b'A' + 10,
            b'a'..=b'z' => digit - b'a' + 36,
            _ => return None,
        });
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 62;
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(bytes)
}

/// Base64 of printable text with exactly one address in it (`{"ca":"0x…"}`, `ref_…_<address>`).
/// Random bytes are printable all through once in 10^15.
fn text(parameter: &str) -> Option<Packed> {
    const SHORTEST: usize = 43;
    const LONGEST: usize = 512;
    if !(SHORTEST..=LONGEST).contains(&parameter.len()) {
        return None;
    }
    let mut decoded = String::with_capacity(parameter.len());
    for four in parameter.trim_end_matches('=').as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for &byte in four {
            bits = bits << 6 | u32::from(base64(byte)?);
        }
        bits <<= 6 * (4 - four.len());
        for &byte in &bits.to_be_bytes()[1..four.len().max(1)] {
            if !(byte.is_ascii_graphic() || byte == b' ') {
                return None;
            }
            decoded.push(char::from(byte));
        }
    }
    let mut all = Vec::new();
    for run in scan::runs(&decoded) {
        families::look(&run, &mut |seen| all.push(seen));
    }
    let seen = all.pop().filter(|_| all.is_empty())?;
    Some(Packed {
        seen: Seen { span: 0..0, ..seen },
        chain: None,
        step: "base64",
    })
}

fn base64(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' | b'+' => 62,
        b'_' | b'/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(parameter: &str) -> Option<(String, Option<&'static str>, &'static str)> {
        unpack(parameter).map(|packed| (packed.seen.address, packed.chain, packed.step))
    }

    #[test]
    fn fixed_width_forms_are_unpacked() {
        // 0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913 and EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v,
        // packed by an independent implementation.
        let (evm, solana) = (
            "IijFpu04rs5LVwAcoeDlFf6aRYB",
            "lBOyOI9Ae1AZSXgdHm4Js3Q4nTaCZtB72HxBpJ6YOO1",
        );
        let usdc = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913".to_owned();
        let spl = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v".to_owned();
        assert_eq!(
            packed(&format!("b_b{evm}")),
            Some((usdc.clone(), Some("base"), "base62"))
        );
        assert_eq!(
            packed(&format!("g_0d05b{evm}")),
            Some((usdc.clone(), Some("base"), "base62"))
        );
        assert_eq!(
            packed(&format!("gs_50e{evm}00000000000000")),
            Some((usdc, Some("ethereum"), "base62"))
        );
        assert_eq!(packed(&format!("g_10s{solana}")), Some((spl, Some("solana"), "base62")));
        assert_eq!(packed(&format!("b_s{evm}")), None, "another width");
        assert_eq!(packed(&format!("b_b{evm}0")), None, "another tail");
        assert_eq!(packed(&format!("x_b{evm}")), None, "another order");
        assert_eq!(packed(&format!("b_b{}", "z".repeat(27))), None, "more than 20 bytes");
    }

    #[test]
    fn base64_counts_when_it_is_text() {
        let usdc = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913".to_owned();
        assert_eq!(
            packed("MHg4MzM1ODlmQ0Q2ZURiNkUwOGY0YzdDMzJENGY3MWI1NGJkQTAyOTEz"),
            Some((usdc, None, "base64"))
        );
        assert_eq!(packed("EQCPGzW1dJURRybL41Q3KYfzX4fZdQUeY8-7-TKyeR7f-7cU"), None);
        assert_eq!(packed("ref_k7x_ca_8y3LEAzvkcrdRegg93CxnxAHfk7UXB6hPs12EAxQfwJL"), None);
    }
}
