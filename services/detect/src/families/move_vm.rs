//! What Sui and Aptos share: `0x` and 64 hex digits, and Move types `0x…::module::NAME`.
//!
//! The same digits may be a transaction hash, and the same form serves both chains, so these are
//! only offered; a word, a link or the shape of the type has to name the chain.

use std::ops::Range;

use super::{Proof, Seen, aptos, sui};
use crate::{Family, scan::Run};

const DIGITS: usize = 64;
/// Leading zeros may be missing where a type follows; shorter ones are the systems' own modules.
const FEWEST_DIGITS: usize = 56;

pub(super) fn look(run: &Run<'_>, span: &Range<usize>, word: &str, found: &mut dyn FnMut(Seen)) {
    let Some(prefix) = word.find("0x").or_else(|| word.find("0X")) else {
        return;
    };
    let digits = &word[prefix + 2..];
    if !(FEWEST_DIGITS..=DIGITS).contains(&digits.len())
        || !digits.bytes().all(|b| b.is_ascii_hexdigit())
        || !word[..prefix].bytes().all(|b| b.is_ascii_alphabetic())
    {
        return;
    }
    let address = format!("0x{:0>DIGITS$}", digits.to_ascii_lowercase());
    let start = span.start + prefix;
    match type_path(&run.text[span.end..]) {
        Some((length, module, name)) => {
            let families: &[Family] = if sui::is_coin(module, name) {
                sui::ONLY
            } else if aptos::is_coin(module, name) {
                aptos::ONLY
            } else {
                &[Family::Sui, Family::Aptos]
            };
            let proof = if families.len() == 1 {
                Proof::MoveType
            } else {
                Proof::Hex32
            };
            let coin_type = Some(format!("{address}::{module}::{name}"));
            found(Seen {
                span: start..span.end + length,
                families,
                address,
                coin_type,
                proof,
            });
        }
        None if digits.len() == DIGITS => found(Seen {
            span: start..span.end,
            families: &[Family::Sui, Family::Aptos],
            address,
            coin_type: None,
            proof: Proof::Hex32,
        }),
        None => {}
    }
}

/// `::module::NAME` at the start of `rest`: its length, module and name. Generic arguments are
/// left off.
fn type_path(rest: &str) -> Option<(usize, &str, &str)> {
    let module = identifier(rest.strip_prefix("::")?)?;
    let name = identifier(rest[2 + module.len()..].strip_prefix("::")?)?;
    Some((4 + module.len() + name.len(), module, name))
}

fn identifier(text: &str) -> Option<&str> {
    let end = text
        .bytes()
        .position(|b| !b.is_ascii_alphanumeric() && b != b'_')
        .unwrap_or(text.len());
    (1..=128).contains(&end).then(|| &text[..end])
}
