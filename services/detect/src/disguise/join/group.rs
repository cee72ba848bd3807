//! Solana keys in pieces.

use super::{Atoms, Gap, Joined, LONGEST, whole};
use crate::{
    Family,
    families::{Proof, Seen, solana},
};

/// Suffixes that stand apart and look like words.
const SUFFIXES: [&str; 3] = ["pump", "bonk", "moon"];
/// Words that say where such a suffix goes.
const ADDS: [&str; 16] = [
    "add",
    "append",
    "plus",
    "attach",
    "end",
    "ends",
    "ending",
    "then",
    "finish",
    "добав",
    "конец",
    "конце",
    "添加",
    "加",
    "结尾",
    "añad",
];
/// Short words of sentences and captions; a piece of an address is one of them by rare chance. None
/// of one letter: those are the pieces of an address that was spelled out.
const SHORT_WORDS: [&str; 37] = [
    "ca", "mc", "lp", "tg", "is", "my", "on", "at", "in", "of", "to", "it", "be", "or", "so", "we", "up", "the", "and",
    "for", "new", "now", "buy", "sol", "eth", "bsc", "bnb", "gem", "dev", "but", "not", "you", "all", "see", "get",
    "via", "lfg",
];
/// How many pieces may be left off at either end of a group.
const TRIMS: usize = 3;

/// Groups of pieces between hard gaps, first as a whole without the words at their ends, then cut
/// at words.
pub(super) fn solana(atoms: &Atoms<'_>, found: &mut dyn FnMut(Joined)) {
    let count = atoms.atoms.len();
    let mut first = 0;
    while first < count {
        let mut last = first;
        while last + 1 < count
            && atoms.atoms[last].gap != Gap::Hard
            && !is_whole(atoms.piece(last))
            && !is_whole(atoms.piece(last + 1))
        {
            last += 1;
        }
        if !group(atoms, first, last, found) {
            let mut from = first;
            for at in first..=last + 1 {
                if at > last || is_word(atoms.piece(at)) {
                    if from < at {
                        // A suffix that stands apart is a word too.
                        let to = if at <= last && is_suffix(atoms.piece(at)) {
                            at
                        } else {
                            at - 1
                        };
                        if (from, to) != (first, last) {
                            group(atoms, from, to, found);
                        }
                    }
                    from = at + 1;
                }
            }
        }
        first = last + 1;
    }
    for index in 0..count {
        suffix(atoms, index, found);
    }
}

/// Tries the pieces from `first` to `last`; whether an address was found.
fn group(atoms: &Atoms<'_>, first: usize, last: usize, found: &mut dyn FnMut(Joined)) -> bool {
    let mut first = first;
    while first < last && is_word(atoms.piece(first)) {
        first += 1;
    }
    let mut last = last;
    while last > first && is_word(atoms.piece(last)) && !is_suffix(atoms.piece(last)) {
        last -= 1;
    }
    for (left, right) in (0..=TRIMS).flat_map(|sum| (0..=sum).map(move |left| (left, sum - left))) {
        if first + left >= last.saturating_sub(right) {
            continue;
        }
        if let Some(joined) = key(atoms, first + left, last - right) {
            found(joined);
            return true;
        }
    }
    false
}

fn key(atoms: &Atoms<'_>, first: usize, last: usize) -> Option<Joined> {
    let span = atoms.atoms[first].range.start..atoms.atoms[last].range.end;
    let pieces = first..=last;
    let length: usize = pieces.clone().map(|index| atoms.piece(index).len()).sum();
    if !(32..=44).contains(&length) {
        return None;
    }
    let mut word = String::with_capacity(LONGEST);
    let mut steps = Vec::new();
    let mut words = 0;
    for index in pieces.clone() {
        let piece = atoms.piece(index);
        word.push_str(piece);
        words += if is_word(piece) { piece.len() } else { 0 };
        if index < last
            && let Gap::Soft(step) = atoms.atoms[index].gap
            && !steps.contains(&step)
        {
            steps.push(step);
        }
    }
    let seen = whole(&word)?;
    let Seen {
        families: &[Family::Solana],
        proof,
        ..
    } = seen
    else {
        return None;
    };
    // Words that add up to a key: too much of it reads like language, or nothing proves more.
    let chunky = words * 3 <= length && word.bytes().filter(u8::is_ascii_digit).count() >= 2;
    let suffixed = matches!(proof, Proof::Base58Suffix(_)) && words * 2 <= length;
    (chunky || suffixed).then_some(Joined {
        seen: Seen { span, ..seen },
        steps,
        needs_label: false,
    })
}

/// "…Yfs (add pump at the end)".
fn suffix(atoms: &Atoms<'_>, index: usize, found: &mut dyn FnMut(Joined)) {
    let piece = atoms.piece(index);
    if !(34..=41).contains(&piece.len()) || solana::is_key(piece) {
        return;
    }
    let from = atoms.atoms[index].range.end;
    for next in index + 1..atoms.atoms.len().min(index + 9) {
        let word = atoms.piece(next);
        let Some(suffix) = SUFFIXES.iter().find(|suffix| word.eq_ignore_ascii_case(suffix)) else {
            continue;
        };
        let between = atoms.text[from..atoms.atoms[next].range.start].to_lowercase();
        let tail: String = atoms.text[atoms.atoms[next].range.end..]
            .chars()
            .take(24)
            .collect::<String>()
            .to_lowercase();
        if !ADDS.iter().any(|add| between.contains(add) || tail.contains(add)) {
            continue;
        }
        if let Some(seen) = whole(&format!("{piece}{suffix}")) {
            let span = atoms.atoms[index].range.clone();
            found(Joined {
                seen: Seen { span, ..seen },
                steps: vec!["fold:suffix"],
                needs_label: false,
            });
        }
        return;
    }
}

/// An address by itself, which is no piece of another.
fn is_whole(piece: &str) -> bool {
    piece.len() >= 32 && whole(piece).is_some()
}

fn is_suffix(piece: &str) -> bool {
    SUFFIXES.contains(&piece)
}

/// Whether a piece reads like a word of a sentence (letters alone, in one of the three usual
/// cases) or like a name of several ("RotateEachWord64").
fn is_word(piece: &str) -> bool {
    if SHORT_WORDS.iter().any(|word| piece.eq_ignore_ascii_case(word)) {
        return true;
    }
    let letters = piece.trim_end_matches(|c: char| c.is_ascii_digit());
    if letters.len() < 4 || !letters.bytes().all(|b| b.is_ascii_alphabetic()) {
        return false;
    }
    let small = letters.bytes().filter(u8::is_ascii_lowercase).count();
    // Seven in ten: of a random piece of ten characters one in fifty is like that.
    small * 10 >= letters.len() * 7 || (small == 0 && letters.len() == piece.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(text: &str) -> Vec<String> {
        let mut out = Vec::new();
        solana(&Atoms::of(text), &mut |joined| out.push(joined.seen.address));
        out
    }

    #[test]
    fn chunks_are_joined() {
        let pump = "4rZ9hnzsmfpqRWMVK7nG5GGPjXpkptk1rmcZe6VCpump";
        assert_eq!(
            joined("CA (remove spaces):\n4rZ9hnzsmfpqRW  MV  K7nG5GGPjXpkptk1  rmcZe6VCpump\n"),
            [pump]
        );
        assert_eq!(
            joined("ape into 4rZ9hnzsmfpqRW MVK7nG5GGPjXpkptk1 rmcZe6VC pump before noon"),
            [pump]
        );
        assert_eq!(
            joined("4rZ9hnzsmfpqRWMVK7nG5GGPjXpkptk1rmcZe6VC (add pump at the end)"),
            [pump]
        );
        assert_eq!(
            joined(&pump.chars().map(|c| format!("{c}.")).collect::<String>()),
            [pump]
        );
    }

    #[test]
    fn words_and_lists_are_not() {
        assert_eq!(joined("the quick brown fox jumps very fast now ok"), [""; 0]);
        assert_eq!(joined("FUVpXU15YFGh8PyBgqQfj59NmwiRMDe53uqm6sreaj2D\n2"), [""; 0]);
        assert_eq!(
            joined("3pVf9xEQvnK32iS5dHZmx68Rihq9tZQT5zQL1HaEDRX was invalid"),
            [""; 0]
        );
        assert_eq!(joined("Swap64 + RotateEachWord64 + RotateEachWord32 + BSwap"), [""; 0]);
        assert_eq!(joined("Apple Banana Cherry Damson Grape Honey"), [""; 0]);
    }
}
