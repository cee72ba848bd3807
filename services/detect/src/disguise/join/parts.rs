//! Addresses in numbered parts, in any order: "part 2: … part 1: …", "1) … 2) …", "1/2 …".

use std::ops::Range;

use super::{Atoms, Joined, LONGEST, whole};
use crate::families::Seen;

/// More parts than this nobody writes.
const MOST: usize = 8;

pub(super) fn numbered(atoms: &Atoms<'_>, found: &mut dyn FnMut(Joined)) {
    let mut parts: [Option<Range<usize>>; MOST] = [const { None }; MOST];
    for index in 1..atoms.atoms.len() {
        let Some((number, part)) = part(atoms, index) else {
            continue;
        };
        let slot = &mut parts[number - 1];
        // A second "1" begins a second address.
        if slot.is_some() && number == 1 {
            assemble(atoms, &parts, found);
            parts = [const { None }; MOST];
        }
        parts[number - 1].get_or_insert(part);
    }
    assemble(atoms, &parts, found);
}

/// The number that stands before atom `index`, and the piece there with the dashes and underlines
/// that may belong to it.
fn part(atoms: &Atoms<'_>, index: usize) -> Option<(usize, Range<usize>)> {
    let number: usize = atoms.piece(index - 1).parse().ok()?;
    let label = &atoms.text[atoms.atoms[index - 1].range.end..atoms.atoms[index].range.start];
    // A dash that touches the piece behind a space belongs to it.
    let own = label.len() - label.trim_end_matches(['-', '_']).len();
    let own = if label[..label.len() - own].ends_with([' ', '\n']) {
        own
    } else {
        0
    };
    let label = &label[..label.len() - own];
    let marks = label.trim();
    let tight_dash = label == "-" || label == "–";
    let labels = !tight_dash
        && matches!(
            marks,
            ":" | "." | ")" | "]" | "-" | "–" | "—" | "=" | "：" | "）" | ".)" | "):" | "]:" | "➜" | "→" | "⃣" | "/"
        )
        && label.len() <= 8;
    if !labels || !(1..=MOST).contains(&number) {
        return None;
    }
    let start = atoms.atoms[index].range.start - own;
    let rest = &atoms.text[start..];
    let end = start
        + rest
            .bytes()
            .position(|b| !b.is_ascii_alphanumeric() && b != b'-' && b != b'_')
            .unwrap_or(rest.len());
    let long_enough = (3..LONGEST).contains(&(end - start));
    // "1/2: …": the number is the one before the slash.
    if long_enough
        && index >= 2
        && marks != "/"
        && atoms.text[atoms.atoms[index - 2].range.end..atoms.atoms[index - 1].range.start] == *"/"
    {
        let number: usize = atoms.piece(index - 2).parse().ok()?;
        return (1..=MOST).contains(&number).then_some((number, start..end));
    }
    (long_enough && marks != "/").then_some((number, start..end))
}

fn assemble(atoms: &Atoms<'_>, parts: &[Option<Range<usize>>], found: &mut dyn FnMut(Joined)) {
    let parts: Vec<_> = parts.iter().map_while(Option::as_ref).collect();
    let (Some(start), Some(end)) = (
        parts.iter().map(|part| part.start).min(),
        parts.iter().map(|part| part.end).max(),
    ) else {
        return;
    };
    let length: usize = parts.iter().map(|part| part.len()).sum();
    if parts.len() < 2 || length > LONGEST {
        return;
    }
    let mut word = String::with_capacity(LONGEST);
    for part in parts {
        word.push_str(&atoms.text[part.clone()]);
    }
    if let Some(seen) = whole(&word) {
        found(Joined {
            seen: Seen {
                span: start..end,
                ..seen
            },
            steps: vec!["join:parts"],
            needs_label: false,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(text: &str) -> Vec<String> {
        let mut out = Vec::new();
        numbered(&Atoms::of(text), &mut |joined| out.push(joined.seen.address));
        out
    }

    #[test]
    fn parts_come_together_in_order() {
        let key = "9dR6KNm4EnhfE1ecpJoGUj9x7c9XJz2ZtrSMfkWYhqZT";
        let (a, b) = key.split_at(15);
        assert_eq!(joined(&format!("часть 1: {a}\nчасть 2: {b}")), [key]);
        assert_eq!(joined(&format!("Part 2 - {b}\nPart 1 - {a}")), [key]);
        assert_eq!(joined(&format!("1/2: {a} and 2/2: {b}")), [key]);
        assert_eq!(joined("1. copy 2. paste 3. pray"), [""; 0]);
        assert_eq!(joined(&format!("1. $AAA {a}\n2. $BBB {b}")), [""; 0]);
    }
}
