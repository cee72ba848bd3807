//! Addresses in pieces: spaces, line breaks, dots, dashes, emoji or quotes between chunks, one
//! character at a time, numbered parts, a prefix or suffix that stands apart.
//!
//! The text is cut into atoms (letters and digits without a break). What lies between two atoms is
//! soft when a person would skip it while copying, loose when it takes more to believe that, hard
//! when it separates things. Addresses with a
//! prefix or checksum are looked for from every atom that can begin one; Solana, which has neither,
//! only in whole groups between hard gaps, so that no sum of words becomes a key by chance.

mod group;
mod parts;
mod suffix;
mod ton;
mod words;

use std::ops::Range;

use crate::{
    Family,
    disguise::alphabet,
    families::{self, Proof, Seen, evm, tron},
    links,
    scan::Run,
};

/// The pieces of a text.
#[derive(Debug)]
pub(crate) struct Atoms<'a> {
    text: &'a str,
    atoms: Vec<Atom>,
}

/// Letters and digits without a break.
#[derive(Debug, Clone)]
struct Atom {
    range: Range<usize>,
    /// What lies between this atom and the next.
    gap: Gap,
    /// The same for gaps of the same characters.
    kind: u32,
}

/// What lies between two atoms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    /// Skipped while copying; the step that skipping it is.
    Soft(&'static str),
    /// It usually separates things, and is skipped only where all gaps are alike or a checksum
    /// holds.
    Loose(&'static str),
    /// It separates things.
    Hard,
}

/// An address put together.
#[derive(Debug)]
pub(crate) struct Joined {
    /// Its span runs from the first piece to the last.
    pub(crate) seen: Seen,
    /// How the pieces were joined.
    pub(crate) steps: Vec<&'static str>,
    /// Form alone does not carry it: a word must call it an address.
    pub(crate) needs_label: bool,
}

/// The longest form, `0x` and 64 hex digits.
const LONGEST: usize = 66;
/// The longest gap that is skipped, in characters.
const WIDEST_GAP: usize = 10;
/// The most line breaks in it.
const MOST_LINES: usize = 3;

/// Words whose letters are hex digits.
const HEX_WORDS: [&str; 20] = [
    "a", "be", "ad", "bad", "add", "dad", "fed", "bed", "fee", "cab", "ace", "dead", "deed", "face", "fade", "faded",
    "cafe", "beef", "bead", "decade",
];

impl<'a> Atoms<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        let bytes = text.as_bytes();
        let mut atoms: Vec<Atom> = Vec::new();
        let mut at = 0;
        // The last word with a slash in it, and whether it is a link.
        let mut link = (0..0, false);
        while at < bytes.len() {
            if !bytes[at].is_ascii_alphanumeric() {
                at += 1;
                continue;
            }
            let start = at;
            while at < bytes.len() && bytes[at].is_ascii_alphanumeric() {
                at += 1;
            }
            if let Some(last) = atoms.last_mut() {
                let fragment = is_fragment(text, &last.range) || is_fragment(text, &(start..at));
                if !fragment {
                    let between = &text[last.range.end..start];
                    last.gap = gap(between);
                    if between.contains(['/', ':', '?', '=', '&']) {
                        if !link.0.contains(&last.range.end) {
                            let word = links::word_around(text, last.range.end);
                            link = (word.clone(), links::is_link(&text[word]));
                        }
                        if link.1 {
                            last.gap = Gap::Hard;
                        }
                    }
                    last.kind = kind(between);
                }
            }
            atoms.push(Atom {
                range: start..at,
                gap: Gap::Hard,
                kind: 0,
            });
        }
        Self { text, atoms }
    }

    /// Hands every address in pieces to `found`.
    pub(crate) fn join(&self, found: &mut dyn FnMut(Joined)) {
        let mut taken = Vec::new();
        let told = (0..self.atoms.len()).any(|index| self.piece(index).eq_ignore_ascii_case("0x"));
        let mut proven = |joined: Joined| {
            taken.push(joined.seen.span.clone());
            found(joined);
        };
        for first in 0..self.atoms.len() {
            match self.beginning(first) {
                [b'0', b'x' | b'X'] => self.evm(first, &mut proven),
                [b'O' | b'o', b'x' | b'X'] => self.letter_for_digit(first, &mut proven),
                [b'T', b'A'..=b'Z' | b'1'..=b'9'] => self.tron(first, &mut proven),
                [b'E' | b'U' | b'k' | b'0', b'Q' | b'f'] => ton::join(self, first, &mut proven),
                _ => {}
            }
            self.bare_hex(first, &mut proven);
            if told {
                self.bare_pieces(first, &mut proven);
            }
        }
        suffix::suffixed(self, &mut proven);
        parts::numbered(self, &mut proven);
        group::solana(self, &taken, found);
    }

    /// What lies between a piece and the next; empty behind the last.
    fn between(&self, index: usize) -> &'a str {
        let from = self.atoms[index].range.end;
        let to = self.atoms.get(index + 1).map_or(from, |next| next.range.start);
        &self.text[from..to]
    }

    fn piece(&self, index: usize) -> &'a str {
        &self.text[self.atoms[index].range.clone()]
    }

    /// Pieces from `first` on until `length` characters are together; `None` when a hard gap comes
    /// first or the last piece goes beyond.
    fn collect(&self, first: usize, length: usize) -> Option<Collected> {
        let mut word = [0; LONGEST];
        let mut filled = 0;
        for (index, atom) in self.atoms.iter().enumerate().skip(first) {
            let piece = self.piece(index).as_bytes();
            word.get_mut(filled..filled + piece.len())?.copy_from_slice(piece);
            filled += piece.len();
            if filled >= length {
                // In one piece it is no disguise.
                let fits = filled == length && index > first;
                return fits.then_some(Collected {
                    word,
                    length,
                    last: index,
                });
            }
            if atom.gap == Gap::Hard {
                return None;
            }
        }
        None
    }

    /// Where the pieces from `first` to `last` stand.
    fn span(&self, first: usize, last: usize) -> Range<usize> {
        self.atoms[first].range.start..self.atoms[last].range.end
    }

    /// How the pieces from `first` to `last` were joined, each step once.
    fn steps(&self, first: usize, last: usize) -> Vec<&'static str> {
        let mut steps = Vec::new();
        for atom in &self.atoms[first..last] {
            if let Gap::Soft(step) | Gap::Loose(step) = atom.gap
                && !steps.contains(&step)
            {
                steps.push(step);
            }
        }
        steps
    }

    /// The first two characters from `first` on, in one piece or in two.
    fn beginning(&self, first: usize) -> [u8; 2] {
        let piece = self.piece(first).as_bytes();
        let second = match (piece.get(1), self.atoms.get(first + 1)) {
            (Some(&second), _) => second,
            (None, Some(next)) => self.text.as_bytes()[next.range.start],
            (None, None) => 0,
        };
        [piece[0], second]
    }

    fn evm(&self, first: usize, found: &mut dyn FnMut(Joined)) {
        let Some(pieces) = self.collect(first, 42) else { return };
        let digits = &pieces.as_str()[2..];
        let Some((_, proof)) = evm::canonical(digits) else {
            return;
        };
        let span = self.span(first, pieces.last);
        // "a dead one", behind an address that lacks a digit.
        let tail = self.text[..span.end]
            .rsplit(|c: char| !c.is_ascii_alphanumeric())
            .next();
        let reads = tail.is_some_and(|tail| HEX_WORDS.contains(&tail));
        if !reads || proof == Proof::Eip55 {
            offer_evm(digits, &span, self.steps(first, pieces.last), false, found);
        }
    }

    /// "Ox": only as a prefix, where it cannot be a digit.
    fn letter_for_digit(&self, first: usize, found: &mut dyn FnMut(Joined)) {
        let piece = self.piece(first);
        if piece.len() == 42 {
            offer_evm(&piece[2..], &self.atoms[first].range, vec!["fold:prefix"], false, found);
        } else if let Some(pieces) = self.collect(first, 42) {
            let mut steps = self.steps(first, pieces.last);
            steps.push("fold:prefix");
            offer_evm(
                &pieces.as_str()[2..],
                &self.span(first, pieces.last),
                steps,
                false,
                found,
            );
        }
    }

    /// 40 hex digits whose `0x` was left out. Without EIP-55 they may be a commit.
    fn bare_hex(&self, index: usize, found: &mut dyn FnMut(Joined)) {
        let piece = self.piece(index);
        let digits = if piece.len() == 41 {
            piece.strip_prefix(['x', 'X']).unwrap_or("")
        } else {
            piece
        };
        let prefixed =
            index > 0 && self.atoms[index - 1].gap != Gap::Hard && self.piece(index - 1).ends_with(['x', 'X']);
        if digits.len() == 40 && !prefixed {
            // "(add 0x in front)" calls it an address.
            let near = self.atoms[index.saturating_sub(8)..].iter().take(17);
            let named = near
                .clone()
                .any(|atom| self.text[atom.range.clone()].eq_ignore_ascii_case("0x"));
            offer_evm(digits, &self.atoms[index].range, vec!["fold:prefix"], !named, found);
        }
    }

    /// 40 hex digits in pieces without `0x`, in a text that names it ("add 0x in front").
    fn bare_pieces(&self, first: usize, found: &mut dyn FnMut(Joined)) {
        /// A shorter piece may be a word or a number before the digits.
        const FEWEST: usize = 4;
        let is_hex = |piece: &str| piece.bytes().all(|b| b.is_ascii_hexdigit());
        let begins = self.piece(first).len() >= FEWEST
            && is_hex(self.piece(first))
            && (first == 0 || self.atoms[first - 1].gap == Gap::Hard || !is_hex(self.piece(first - 1)));
        if !begins {
            return;
        }
        if let Some(pieces) = self.collect(first, 40) {
            let mut steps = self.steps(first, pieces.last);
            steps.push("fold:prefix");
            offer_evm(pieces.as_str(), &self.span(first, pieces.last), steps, false, found);
        }
    }

    fn tron(&self, first: usize, found: &mut dyn FnMut(Joined)) {
        if let Some(pieces) = self.collect(first, 34)
            && tron::is_address(pieces.as_str())
        {
            found(Joined {
                seen: Seen {
                    span: self.span(first, pieces.last),
                    families: &[Family::Tron],
                    address: pieces.as_str().to_owned(),
                    coin_type: None,
                    proof: Proof::Base58Check,
                },
                steps: self.steps(first, pieces.last),
                needs_label: false,
            });
        }
    }
}

/// Pieces put together, on the stack: most of them are no address.
#[derive(Debug)]
struct Collected {
    word: [u8; LONGEST],
    length: usize,
    /// The last piece.
    last: usize,
}

impl Collected {
    fn as_str(&self) -> &str {
        // Cannot fail: atoms are ASCII.
        str::from_utf8(&self.word[..self.length]).unwrap_or_default()
    }
}

fn offer_evm(digits: &str, span: &Range<usize>, steps: Vec<&'static str>, bare: bool, found: &mut dyn FnMut(Joined)) {
    if let Some((address, proof)) = evm::canonical(digits) {
        let seen = Seen {
            span: span.clone(),
            families: &[Family::Evm],
            address,
            coin_type: None,
            proof,
        };
        found(Joined {
            seen,
            steps,
            needs_label: bare && proof == Proof::OneCase,
        });
    }
}

/// The address that `word` is from end to end.
fn whole(word: &str) -> Option<Seen> {
    let mut whole = None;
    families::look(
        &Run {
            text: word,
            range: 0..word.len(),
        },
        &mut |seen| {
            if seen.span == (0..word.len()) {
                whole = Some(seen);
            }
        },
    );
    whole
}

/// Whether a person would skip what lies between two pieces, and what kind of skipping that is.
fn gap(between: &str) -> Gap {
    let mut step = None;
    let mut lines = 0;
    let mut loose = false;
    for (count, c) in between.chars().enumerate() {
        let kind = match c {
            '\n' | '\r' => {
                lines += usize::from(c == '\n');
                "join:line"
            }
            c if c.is_whitespace() => "join:space",
            '.' | '·' | '…' | '•' | '∙' | '。' => "join:dot",
            '-' | '_' | '–' | '—' | '~' | '‐' | '‑' | '−' => "join:dash",
            '`' | '*' | '"' | '\'' | '|' | '+' | '\\' | '^' | '“' | '”' | '„' | '«' | '»' | '[' | ']' | '{' | '}' => {
                "join:mark"
            }
            // Pointing somewhere, naming something or counting is not decoration.
            '→' | '➜' | '➡' | '👉' | '👇' | '👈' | '⬇' => {
                loose |= between.contains(char::is_whitespace);
                "join:emoji"
            }
            c if alphabet::is_word(c) => return Gap::Hard,
            c if c.is_ascii() || is_punctuation(c) => {
                loose = true;
                "join:mark"
            }
            _ => "join:emoji",
        };
        if count >= WIDEST_GAP || lines > MOST_LINES {
            return Gap::Hard;
        }
        if step.is_none() || step == Some("join:space") {
            step = Some(kind);
        }
    }
    match step {
        Some(step) if loose || lines > 1 => Gap::Loose(step),
        Some(step) => Gap::Soft(step),
        None => Gap::Hard,
    }
}

/// FNV-1a over the beginning of a gap. Two kinds with one number would cost a rating, no more.
fn kind(between: &str) -> u32 {
    let hash = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    between.as_bytes().iter().take(32).fold(0x811c_9dc5, hash)
}

/// Whether a piece is a part of a word with accents ("V" of "Vốn"). Other scripts stand beside
/// addresses without a space.
fn is_fragment(text: &str, piece: &Range<usize>) -> bool {
    let is_latin = |c: Option<char>| c.is_some_and(|c| matches!(c, 'À'..='ɏ' | 'Ḁ'..='ỿ'));
    is_latin(text[..piece.start].chars().next_back()) || is_latin(text[piece.end..].chars().next())
}

/// Sentence marks beyond ASCII.
fn is_punctuation(c: char) -> bool {
    matches!(
        c,
        '，' | '、'
            | '：'
            | '；'
            | '？'
            | '！'
            | '（'
            | '）'
            | '【'
            | '】'
            | '《'
            | '》'
            | '¿'
            | '¡'
            | '،'
            | '؛'
            | '؟'
            | '।'
            | '€'
            | '£'
            | '¥'
            | '₽'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(text: &str) -> Vec<(String, Vec<&'static str>)> {
        let mut out = Vec::new();
        Atoms::of(text).join(&mut |joined| out.push((joined.seen.address, joined.steps)));
        out
    }

    #[test]
    fn what_has_a_prefix_or_checksum_is_joined() {
        let evm = "0x302ab9ae394D675676Ddb41E294169224824fc9A".to_owned();
        assert_eq!(
            joined("contract 0x 302ab9ae394D675676Ddb41E294169224824fc9A"),
            [(evm.clone(), vec!["join:space"])]
        );
        assert_eq!(
            joined("0x302ab9ae394D67 ⭐ 5676Ddb41E29 ⭐ 4169224824fc9A"),
            [(evm.clone(), vec!["join:emoji"])]
        );
        assert_eq!(
            joined("302ab9ae394D675676Ddb41E294169224824fc9A"),
            [(evm.clone(), vec!["fold:prefix"])]
        );
        assert_eq!(joined(&evm), [], "in one piece");
        assert_eq!(
            joined("0x302ab9ae394d675676ddb41e29 (aaa), 4169224824fc9a"),
            [],
            "a word separates"
        );
        assert_eq!(
            joined("EQCPGzW1dJURRybL41Q3KYfzX4fZdQUeY8-7 -TKyeR7f-7cU"),
            [(
                "EQCPGzW1dJURRybL41Q3KYfzX4fZdQUeY8-7-TKyeR7f-7cU".to_owned(),
                vec!["join:dash"]
            )]
        );
        assert_eq!(
            joined("TFDZHQVP23xKq6cD7rD...iCBBCgxmdHnfsrR"),
            [("TFDZHQVP23xKq6cD7rDiCBBCgxmdHnfsrR".to_owned(), vec!["join:dot"])]
        );
    }
}
