//! The address families, one file each.
//!
//! A family is a function from a [`Run`] to the well-formed addresses in it. It decides form and
//! checksum; what the surroundings say is [`crate::evidence`]'s business. A new family is a file
//! here and a line in [`look`].

mod aptos;
pub(crate) mod base58;
pub(crate) mod evm;
mod move_vm;
pub(crate) mod solana;
mod sui;
pub(crate) mod ton;
pub(crate) mod tron;

use std::ops::Range;

use crate::{Family, scan::Run};

/// A well-formed address at a place in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Where it stands, in bytes.
    pub(crate) span: Range<usize>,
    /// What it may be; more than one where the form alone does not tell.
    pub(crate) families: &'static [Family],
    /// Canonical.
    pub(crate) address: String,
    /// Canonical, Sui and Aptos only.
    pub(crate) coin_type: Option<String>,
    /// What proves or supports the form.
    pub(crate) proof: Proof,
}

/// What proves or supports that a string is an address and not something that looks like one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Mixed-case hex that passes EIP-55.
    Eip55,
    /// Hex in one case: form and length alone.
    OneCase,
    /// Base58 with a double SHA-256 checksum.
    Base58Check,
    /// A CRC-16 holds.
    Crc16,
    /// `workchain:` and 64 hex digits.
    RawTon,
    /// 32 bytes of base58 that look random: form and length alone.
    Base58,
    /// The same, and it ends like the mints of a launchpad (`pump`, `bonk`, …).
    Base58Suffix(&'static str),
    /// Base58 that decodes to 32 bytes but reads like words: an address only where something else
    /// says so.
    Base58Words,
    /// 64 hex digits.
    Hex32,
    /// 64 hex digits with a Move type whose shape only this family uses.
    MoveType,
}

/// Hands every well-formed address of `run` to `found`.
pub(crate) fn look(run: &Run<'_>, found: &mut dyn FnMut(Seen)) {
    for (span, word) in run.words() {
        evm::look(run, &span, word, found);
        solana::look(run, &span, word, found);
        tron::look(&span, word, found);
        move_vm::look(run, &span, word, found);
        ton::look_raw(run, &span, word, found);
    }
    ton::look(run, found);
}

/// Whether a word has letters, all in capitals or all in small letters.
pub(crate) fn in_one_case(word: &str) -> bool {
    let lower = word.bytes().any(|b| b.is_ascii_lowercase());
    let upper = word.bytes().any(|b| b.is_ascii_uppercase());
    lower != upper
}

/// Whether `word` is an address of a family whose case matters, all in capitals or all in small
/// letters.
pub(crate) fn lost_case(word: &str, family: Family) -> bool {
    if !in_one_case(word) || word.bytes().all(|b| b.is_ascii_hexdigit()) {
        return false;
    }
    match family {
        Family::Solana => {
            solana::LENGTHS.contains(&word.len()) && word.bytes().all(|b| b.is_ascii_alphanumeric() && b != b'0')
        }
        Family::Tron => {
            word.len() == tron::LENGTH
                && word.starts_with(['t', 'T'])
                && word.bytes().all(|b| b.is_ascii_alphanumeric() && b != b'0')
        }
        Family::Ton => {
            word.len() == ton::LENGTH
                && ["eq", "uq", "ef", "uf"]
                    .iter()
                    .any(|tag| word[..2].eq_ignore_ascii_case(tag))
        }
        Family::Evm | Family::Sui | Family::Aptos => false,
    }
}
