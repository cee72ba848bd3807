//! TON addresses in pieces.

use std::ops::Range;

use super::{Atoms, Gap, Joined, WIDEST_GAP};
use crate::{
    Family,
    families::{Proof, Seen, ton},
};

/// TON addresses contain the dashes and underlines that others put between pieces. All readings
/// are tried: those that touch a piece belong to it, all do, or none does.
pub(super) fn join(atoms: &Atoms<'_>, first: usize, found: &mut dyn FnMut(Joined)) {
    let mut last = String::new();
    for joiners in [touching as fn(&str, &mut String), every, none] {
        let Some((word, span, steps)) = collect(atoms, first, joiners) else {
            continue;
        };
        if steps.is_empty() {
            // In one piece, and its dashes are its own.
            return;
        }
        if word == last {
            continue;
        }
        if let Some(address) = ton::canonical(&word) {
            let seen = Seen {
                span,
                families: &[Family::Ton],
                address,
                coin_type: None,
                proof: Proof::Crc16,
            };
            found(Joined {
                seen,
                steps,
                needs_label: false,
            });
            return;
        }
        last = word;
    }
}

fn collect(
    atoms: &Atoms<'_>,
    first: usize,
    joiners: fn(&str, &mut String),
) -> Option<(String, Range<usize>, Vec<&'static str>)> {
    const LENGTH: usize = 48;
    let mut word = String::with_capacity(LENGTH);
    let mut steps = Vec::new();
    let mut begun = false;
    for (index, atom) in atoms.atoms.iter().enumerate().skip(first) {
        word.push_str(atoms.piece(index));
        let mut end = atom.range.end;
        if !begun && word.len() >= 3 {
            begun = ton::begins(word.as_bytes());
            if !begun {
                return None;
            }
        }
        if word.len() < LENGTH {
            let next = atoms
                .atoms
                .get(index + 1)
                .map_or(atoms.text.len(), |next| next.range.start);
            let between = &atoms.text[atom.range.end..next];
            joiners(between, &mut word);
            if word.len() >= LENGTH {
                // The last characters of an address may be dashes too.
                let last = between.rfind(['-', '_']).map_or(0, |at| at + 1);
                end = atom.range.end + last;
                word.truncate(LENGTH);
            }
            if word.len() < LENGTH {
                match atom.gap {
                    _ if !between.is_empty() && between.bytes().all(is_joiner) && word.ends_with(between) => {}
                    Gap::Soft(step) | Gap::Loose(step) if !steps.contains(&step) => steps.push(step),
                    Gap::Soft(_) | Gap::Loose(_) => {}
                    Gap::Hard => return None,
                }
                continue;
            }
        }
        return (word.len() == LENGTH).then(|| (word, atoms.atoms[first].range.start..end, steps));
    }
    None
}

fn is_joiner(byte: u8) -> bool {
    matches!(byte, b'-' | b'_')
}

/// Adds the dashes and underlines of a gap that touch the pieces on either side.
fn touching(between: &str, word: &mut String) {
    let lead = between.bytes().take_while(|&b| is_joiner(b)).count();
    let tail = between.bytes().rev().take_while(|&b| is_joiner(b)).count();
    word.push_str(&between[..lead]);
    if lead < between.len() {
        word.push_str(&between[between.len() - tail..]);
    }
}

/// Adds every dash and underline of a gap.
fn every(between: &str, word: &mut String) {
    word.extend(between.chars().take(WIDEST_GAP).filter(|c| matches!(c, '-' | '_')));
}

fn none(_: &str, _: &mut String) {}

/// Whether a place in a text is part of what has the shape of a TON address, so that its pieces are
/// none of another family.
pub(super) fn is_ton_like(text: &str, span: &Range<usize>) -> bool {
    let belongs = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let lead = text.as_bytes()[..span.start]
        .iter()
        .rev()
        .take(48)
        .take_while(|b| belongs(b))
        .count();
    let tail = text.as_bytes()[span.end..]
        .iter()
        .take(48)
        .take_while(|b| belongs(b))
        .count();
    let text = &text[span.start - lead..span.end + tail];
    let word: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    ton::is_damaged(&word)
        && word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'+' | b'/'))
}
