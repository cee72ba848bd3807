//! Keys that stand in one long word.

use std::{collections::HashSet, ops::Range};

use super::{
    Budget, Secret, SecretKind,
    encodings::{is_bech32, is_extended, is_wif},
    near::{Near, Place},
    pair::is_pair,
};
use crate::disguise::{Fold, fold};

/// The fewest characters of a key: an uncompressed one in WIF.
const SHORTEST: usize = 51;
/// The most: 64 bytes of hex with `0x`.
const LONGEST: usize = 130;

/// 64 hex digits that may be a key or a hash.
#[derive(Debug)]
struct Digits {
    span: Range<usize>,
    value: [u8; 32],
    is_key: bool,
}

/// Adds the keys of a text to the secrets that were found in it before, from `first` on.
pub(super) fn find(near: &Near, text: &str, budget: &mut Budget, first: usize, out: &mut Vec<Secret>) {
    let others = out.len();
    let mut digits: Vec<Digits> = Vec::new();
    for run in runs(text) {
        pieces(text, run, &mut |piece, span| match look(piece, budget) {
            Look::Nothing => {}
            Look::Secret(kind) => out.push(Secret { kind, span }),
            Look::Digits(lead, value) => {
                // Something may stand before "0x" in the same word.
                let zero = text[span.clone()].find(['0', '０']).filter(|_| lead > 0);
                let span = span.start + zero.unwrap_or(0)..span.end;
                let place = Place {
                    text,
                    others: &out[first..others],
                    follows: out[others..]
                        .iter()
                        .map(|key| key.span.end)
                        .chain(digits.iter().filter(|other| other.is_key).map(|other| other.span.end))
                        .max(),
                };
                let is_key = near.calls_it_a_key(&place, &span);
                digits.push(Digits { span, value, is_key });
            }
        });
    }
    // What is called a key once is one wherever it stands.
    let keys: HashSet<_> = digits
        .iter()
        .filter(|some| some.is_key)
        .map(|some| some.value)
        .collect();
    let keys = digits.into_iter().filter(|some| keys.contains(&some.value));
    out.extend(keys.map(|some| Secret {
        kind: SecretKind::PrivateKey,
        span: some.span,
    }));
}

enum Look {
    Nothing,
    Secret(SecretKind),
    /// So many characters before the `0x` or the digits, and their value.
    Digits(usize, [u8; 32]),
}

fn look(piece: &str, budget: &mut Budget) -> Look {
    let bytes = piece.as_bytes();
    let lead = piece.find("0x").or_else(|| piece.find("0X"));
    let digits = lead.map_or(bytes, |lead| &bytes[lead + 2..]);
    if let Some(value) = hex::<32>(digits) {
        return Look::Digits(lead.unwrap_or(0), value);
    }
    if let Some(pair) = hex::<64>(digits) {
        if is_pair(&pair, budget) {
            return Look::Secret(SecretKind::SecretKey);
        }
        return Look::Nothing;
    }
    if is_wif(piece) || is_extended(piece) || is_bech32(piece) {
        return Look::Secret(SecretKind::PrivateKey);
    }
    if (64..=88).contains(&bytes.len()) {
        let mut pair = [0; 64];
        if five8::decode_64(bytes, &mut pair).is_ok() && is_pair(&pair, budget) {
            return Look::Secret(SecretKind::SecretKey);
        }
    }
    Look::Nothing
}

/// Exactly `N` bytes of hex.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = (high << 4 | low) as u8;
    }
    Some(bytes)
}

/// The letters and digits of a run with disguises taken off, each unbroken piece that can be a key
/// with its place in the text.
fn pieces(text: &str, run: Range<usize>, each: &mut dyn FnMut(&str, Range<usize>)) {
    let word = &text[run.clone()];
    if word.is_ascii() {
        if word.len() <= LONGEST {
            each(word, run);
        }
        return;
    }
    let mut piece = [0_u8; LONGEST];
    let mut length = 0;
    let mut span = run.start..run.start;
    let mut end = |piece: &[u8], span: Range<usize>| {
        // Cannot fail: the piece is ASCII. Longer ones are none.
        if let Ok(piece) = std::str::from_utf8(piece)
            && piece.len() >= SHORTEST
        {
            each(piece, span);
        }
    };
    for (at, c) in word.char_indices() {
        let at = run.start + at;
        let plain = match fold(c) {
            Fold::Invisible => continue,
            Fold::Keep => c,
            Fold::Width(to) | Fold::Font(to) | Fold::LookAlike(to) => to,
        };
        if plain.is_ascii_alphanumeric() {
            if length == 0 {
                span.start = at;
            }
            if let Some(place) = piece.get_mut(length) {
                *place = plain as u8;
            }
            length += 1;
            span.end = at + c.len_utf8();
        } else {
            end(piece.get(..length).unwrap_or_default(), span.clone());
            length = 0;
        }
    }
    end(piece.get(..length).unwrap_or_default(), span);
}

/// The stretches of letters, digits and what is not ASCII that are long enough for a key.
///
/// A look at every 51st byte is enough to rule a message out; see [`crate::scan`].
fn runs(text: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = text.as_bytes();
    let belongs = |at: usize| CLASS[bytes[at] as usize];
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let probe = at + SHORTEST - 1;
            if probe >= bytes.len() {
                return None;
            }
            let mut start = probe + 1;
            while start > at && belongs(start - 1) {
                start -= 1;
            }
            if start > at {
                at = start;
                continue;
            }
            let mut end = probe + 1;
            while end < bytes.len() && belongs(end) {
                end += 1;
            }
            at = end;
            return Some(start..end);
        }
    })
}

const CLASS: [bool; 256] = {
    let mut class = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        class[byte] = byte >= 128 || (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    class
};

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, &str)> {
        let mut found = Vec::new();
        for run in runs(text) {
            pieces(text, run, &mut |piece, span| {
                found.push((piece.to_owned(), &text[span]));
            });
        }
        found
    }

    #[test]
    fn pieces_are_whole_and_plain() {
        let long = "aB3".repeat(20);
        assert_eq!(found(&format!("x {long}, y")), [(long.clone(), long.as_str())]);
        assert_eq!(found(&long[..50]), []);
        let veiled = format!("a\u{200b}B３{}", &long[3..]);
        assert_eq!(found(&format!("私钥{veiled}。")), [(long.clone(), veiled.as_str())]);
        assert_eq!(found(&"aB3".repeat(44)), []);
        assert_eq!(found(&format!("私{}", "aB3".repeat(44))), []);
        assert_eq!(found(&"私钥".repeat(44)), []);
    }
}
