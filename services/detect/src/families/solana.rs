//! Solana: 32 bytes of base58 and nothing that proves them.
//!
//! A random string of 43 base58 characters is 32 bytes with p ≈ 0.95, so form decides little: what
//! reads like words is set apart, and the surroundings carry the confidence.

use std::ops::Range;

use super::{Proof, Seen, base58, ton};
use crate::{Family, scan::Run};

pub(super) const LENGTHS: std::ops::RangeInclusive<usize> = 32..=44;

/// Launchpads that grind a suffix into their mints.
const SUFFIXES: [&str; 5] = ["pump", "bonk", "moon", "BAGS", "jups"];

/// Fewer different characters than this is a pattern, not a key. Of 44 random base58 characters
/// fewer than 18 different ones come once in 10^7.
const FEWEST_DIFFERENT: u32 = 16;

/// The length of a TON address.
const TON: usize = 48;

/// How far back the beginning of a JWT is looked for, in bytes.
const LONGEST_TOKEN: usize = 1024;

pub(super) fn look(run: &Run<'_>, span: &Range<usize>, word: &str, found: &mut dyn FnMut(Seen)) {
    if !is_key(word) || in_blob(run, span) {
        return;
    }
    if let Some(proof) = proof(word) {
        found(Seen {
            span: span.clone(),
            families: &[Family::Solana],
            address: word.to_owned(),
            coin_type: None,
            proof,
        });
    }
}

/// Whether `word` is base58 of exactly 32 bytes.
pub(crate) fn is_key(word: &str) -> bool {
    LENGTHS.contains(&word.len()) && word.bytes().all(|b| base58::value(b).is_some()) && {
        let mut key = [0; 32];
        five8::decode_32(word, &mut key).is_ok()
    }
}

/// What speaks for a key; `None` when it is surely no address.
///
/// A key without a capital letter is a link that something lower-cased, and decodes to another
/// key: (34/58)^44 of all keys have none, so nothing is lost by refusing them all.
pub(crate) fn proof(word: &str) -> Option<Proof> {
    let mut seen = 0_u128;
    for byte in word.bytes() {
        seen |= 1 << (byte & 0x7f);
    }
    let has_upper = word.bytes().any(|b| b.is_ascii_uppercase());
    let has_lower = word.bytes().any(|b| b.is_ascii_lowercase());
    if !has_upper || !has_lower || seen.count_ones() < FEWEST_DIFFERENT || repeats(word.as_bytes()) {
        return None;
    }
    if let Some(&suffix) = SUFFIXES.iter().find(|&&s| word.ends_with(s)) {
        return Some(Proof::Base58Suffix(suffix));
    }
    // 44 characters without a digit come once in 1,600 keys, and always in words run together.
    let has_digit = word.bytes().any(|b| b.is_ascii_digit());
    Some(if has_digit { Proof::Base58 } else { Proof::Base58Words })
}

/// Whether most of the word is one piece over and over ("hahaha…", "lollol…").
fn repeats(word: &[u8]) -> bool {
    (1..=12).any(|period| {
        let same = word
            .iter()
            .zip(&word[period..])
            .filter(|(a, b)| a.eq_ignore_ascii_case(b))
            .count();
        same * 4 >= (word.len() - period) * 3
    })
}

/// Whether the word is a piece of a longer base64 text that happens to have no joiner for 32
/// bytes: a digest, a JWT, a key file.
fn in_blob(run: &Run<'_>, span: &Range<usize>) -> bool {
    let (before, after) = (run.before(span.start), run.after(span.end));
    if after == b'=' && !run.after(span.end + 1).is_ascii_alphanumeric() {
        return true;
    }
    // A TON address with a wrong character is not the key that one of its pieces decodes to.
    let joined = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let bytes = run.text.as_bytes();
    let head = bytes[run.range.start..span.start]
        .iter()
        .rev()
        .take(TON)
        .take_while(|b| joined(b))
        .count();
    let tail = bytes[span.end..run.range.end]
        .iter()
        .take(TON)
        .take_while(|b| joined(b))
        .count();
    if ton::is_damaged(&run.text[span.start - head..span.end + tail]) {
        return true;
    }
    // The parts of a JWT are separated by dots, and the first is JSON in base64.
    let from = run.text.floor_char_boundary(span.start.saturating_sub(LONGEST_TOKEN));
    let lead = &run.text[from..span.start];
    let token = lead.rsplit(char::is_whitespace).next().unwrap_or("");
    // One key in 195,000 begins so, too.
    let goes_on = run.range != *span || (after == b'.' && run.after(span.end + 1).is_ascii_alphanumeric());
    if (run.text[run.range.clone()].starts_with("eyJ") && goes_on) || (before == b'.' && token.contains("eyJ")) {
        return true;
    }
    if ["sha1-", "sha256-", "sha384-", "sha512-", "SHA256:"]
        .iter()
        .any(|name| lead.ends_with(name))
    {
        return true;
    }
    (before == b'+' || after == b'+') && run.range.len() > span.len() + 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_32_bytes() {
        assert!(is_key("FvaExVNHCACXXeTDj6hpZFLCyhYekT8zxpfPXiMtba51"));
        assert!(is_key("So11111111111111111111111111111111111111112"));
        assert!(!is_key("3pVf9xEQvnK32iS5dHZmx68Rihq9tZQT5zQL1HaEDRX"), "31 bytes");
        assert!(!is_key("D52GrvZK2cWDeE3HyK8NF71r8WrjPsbhXtMgskrFCTvoa"), "33 bytes");
        assert!(
            !is_key("FvaExVNHCACXXeTDj6hpZFLCyhYekT8zxpfPXiMtba50"),
            "0 is no base58 digit"
        );
    }

    #[test]
    fn words_are_no_keys() {
        assert_eq!(proof(&"kek".repeat(15)[..44]), None);
        assert_eq!(proof(&"HaHa".repeat(11)), None);
        assert_eq!(proof(&"z".repeat(44)), None);
        assert_eq!(
            proof("fvaexvnhcacxxetdj6hpzf4cyhyekt8zxpfpxi7tba51"),
            None,
            "lower-cased"
        );
        assert_eq!(
            proof("FvaExVNHCACXXeTDj6hpZFLCyhYekT8zxpfPXiMtba51"),
            Some(Proof::Base58)
        );
        assert_eq!(
            proof("GN3nuzt5Xdh9aAUU1k7mNyHTQ1YRvwgJ6v7MhEDbpump"),
            Some(Proof::Base58Suffix("pump"))
        );
    }
}
