//! Solana keys in pieces.
//!
//! Nothing proves such a key, so every window of pieces with the right length is rated first: whole
//! lines and groups before cuts through them, one kind of gap before many, chunks before words. The
//! best ones that decode are taken.

use std::{cmp::Reverse, ops::Range};

use super::{
    Atoms, Gap, Joined,
    suffix::{ends_in_one, ends_in_suffix, is_suffix},
    ton::is_ton_like,
    whole,
    words::{asks_to_close, is_word},
};
use crate::{
    Family,
    families::{Proof, Seen, solana},
};

/// The lengths of a key.
const SHORTEST: usize = 32;
const LONGEST: usize = 44;
/// How many windows of one text are decoded.
const TRIES: usize = 256;

/// A run of pieces with the length of a key.
#[derive(Debug)]
struct Window {
    rating: i32,
    first: usize,
    last: usize,
}

/// Finds keys in pieces outside of `taken`, which are addresses with a prefix or a checksum.
pub(super) fn solana(atoms: &Atoms<'_>, taken: &[Range<usize>], found: &mut dyn FnMut(Joined)) {
    let mut taken = taken.to_vec();
    for window in Pieces::of(atoms).windows() {
        let span = atoms.span(window.first, window.last);
        if taken
            .iter()
            .any(|other| other.start < span.end && span.start < other.end)
        {
            continue;
        }
        if let Some(joined) = key(atoms, &window, &span) {
            taken.push(span);
            found(joined);
        }
    }
}

/// The pieces of a text, with what every window asks about them; one entry a piece, but for the
/// sums.
#[derive(Debug)]
struct Pieces<'a> {
    atoms: &'a Atoms<'a>,
    /// Whether a piece reads like a word.
    words: Vec<bool>,
    /// Whether a piece ends in the suffix of a launchpad.
    suffixed: Vec<bool>,
    /// How far the gap behind a piece keeps it from the next.
    distances: Vec<u8>,
    /// The first piece from this one on behind which nothing may be joined.
    separate: Vec<usize>,
    /// The first piece from this one on with a loose gap behind it.
    loose: Vec<usize>,
    /// The first piece behind this one with another kind of gap behind it.
    differs: Vec<usize>,
    /// The characters of all pieces before each, and of those among them that read like words; one
    /// more than there are pieces.
    sums: Vec<(usize, usize)>,
    /// Whether the text asks for gaps to be closed.
    closes: bool,
}

impl<'a> Pieces<'a> {
    fn of(atoms: &'a Atoms<'a>) -> Self {
        let count = atoms.atoms.len();
        let closes = asks_to_close(atoms.text);
        let words: Vec<bool> = (0..count).map(|index| is_word(atoms.piece(index))).collect();
        let mut sums = Vec::with_capacity(count + 1);
        let mut sum = (0, 0);
        sums.push(sum);
        for (atom, word) in atoms.atoms.iter().zip(&words) {
            sum.0 += atom.range.len();
            sum.1 += if *word { atom.range.len() } else { 0 };
            sums.push(sum);
        }
        let (mut separate, mut loose, mut differs) = (vec![count; count], vec![count; count], vec![count; count]);
        for index in (0..count).rev() {
            let next = index + 1;
            let from_next = |list: &[usize]| list.get(next).copied().unwrap_or(count);
            separate[index] = if separates(atoms, index, closes) {
                index
            } else {
                from_next(&separate)
            };
            loose[index] = if matches!(atoms.atoms[index].gap, Gap::Loose(_)) {
                index
            } else {
                from_next(&loose)
            };
            differs[index] = if next < count && atoms.atoms[next].kind == atoms.atoms[index].kind {
                differs[next]
            } else {
                next
            };
        }
        Self {
            atoms,
            distances: (0..count).map(|index| distance(atoms, index)).collect(),
            words,
            suffixed: (0..count).map(|index| ends_in_one(atoms.piece(index))).collect(),
            separate,
            loose,
            differs,
            sums,
            closes,
        }
    }

    fn is_loose(&self, index: usize) -> bool {
        self.loose[index] == index
    }

    /// Whether the gap behind `before` separates what comes from a window that begins behind it.
    /// Pieces with a loose gap between them belong together only where all gaps are alike.
    fn parts(&self, before: usize) -> bool {
        let first = before + 1;
        let loose = self.is_loose(first) || self.is_loose(before);
        self.separate[before] == before || (loose && self.atoms.atoms[before].kind != self.atoms.atoms[first].kind)
    }

    /// The best windows that begin and end where a person could begin and end to copy, best first.
    fn windows(&self) -> Vec<Window> {
        let mut best = Best::default();
        let mut nearest = 0;
        for first in 0..self.words.len() {
            while self
                .sums
                .get(nearest)
                .is_some_and(|sum| sum.0 < self.sums[first].0 + SHORTEST)
            {
                nearest += 1;
            }
            self.windows_from(first, (first + 1).max(nearest - 1), &mut best);
        }
        best.windows.sort_by_key(|window| Reverse(window.rating));
        best.windows.truncate(TRIES);
        best.windows
    }

    /// The windows from `first` to `nearest` or beyond.
    fn windows_from(&self, first: usize, nearest: usize, best: &mut Best) {
        let atoms = &self.atoms.atoms;
        let begins = match first.checked_sub(1) {
            None => 2,
            Some(before) if self.parts(before) => 2,
            Some(before) if self.words[before] || self.differs[before] == first => 1 - self.decorated(before),
            Some(_) => return,
        };
        // Nothing goes on behind this one.
        let end = self.separate[first].min(if self.is_loose(first) {
            self.differs[first]
        } else {
            self.loose[first]
        });
        let (before, words_before) = self.sums[first];
        for last in nearest..=end.min(atoms.len() - 1) {
            let (length, reads) = (self.sums[last + 1].0 - before, self.sums[last + 1].1 - words_before);
            if length > LONGEST {
                break;
            }
            let uniform = last <= self.differs[first];
            let ends = if last == end {
                2
            } else if self.words.get(last + 1) == Some(&true) || atoms[last].kind != atoms[first].kind {
                1 - self.decorated(last)
            } else {
                continue;
            };
            // A third of it may read like words by chance, half of it where the rest is in order.
            let share = if uniform || ends + begins == 4 { 2 } else { 3 };
            let wordy = if reads == 0 { 0 } else { (reads * 10 / length) as i32 };
            let suffixed =
                self.suffixed[last] || (ends == 2 && atoms[last].range.len() < 4 && ends_in_suffix(self.atoms, last));
            let rating = begins + ends + 3 * i32::from(uniform) + 3 * i32::from(suffixed) - wordy;
            if reads * share <= length
                && best.takes(rating)
                && self.alike(first, last)
                && !self.joins_a_sentence(first, last)
                && (self.closes || !self.captioned(first, last))
            {
                best.add(Window { rating, first, last });
            }
        }
    }

    /// Whether the gaps of a window, should they be loose, have something that joins them.
    fn alike(&self, first: usize, last: usize) -> bool {
        !matches!(self.atoms.atoms[first].gap, Gap::Loose(_))
            || last >= first + FEWEST_LOOSE
            || tight(self.atoms, first, last)
            || (!self.words[first] && !self.words[last] && self.asked(first))
    }

    /// Whether the text asks for pieces to be put together, or offers something right before them.
    fn asked(&self, first: usize) -> bool {
        let at = self.atoms.atoms[first].range.start;
        self.closes || self.atoms.text[..at].trim_end().ends_with([':', '：'])
    }

    /// What a cut at a gap costs that has a mark in it: marks are put into addresses as well as
    /// around them, and leaving a piece out makes another key.
    fn decorated(&self, index: usize) -> i32 {
        if self.distances[index] == 0 { 2 } else { 0 }
    }

    /// Whether a window begins or ends with small letters alone that are no suffix: a caption before
    /// a code, or what a sentence goes on with.
    fn captioned(&self, first: usize, last: usize) -> bool {
        let small = |index: usize, fewest: usize| {
            let piece = self.atoms.piece(index);
            piece.len() >= fewest && piece.bytes().all(|b| b.is_ascii_lowercase())
        };
        let labelled = || first > 0 && self.atoms.between(first - 1).contains(':');
        let next_small = || last + 1 < self.words.len() && self.distances[last] == 1 && small(last + 1, 2);
        (small(first, 4) && self.distances[first] > 0 && !labelled())
            || (small(last, 2) && self.distances[last - 1] > 0 && !is_suffix(self.atoms.piece(last)) && next_small())
    }

    /// Whether a window begins or ends with a word that belongs to what goes on outside of it rather
    /// than to the pieces inside.
    fn joins_a_sentence(&self, first: usize, last: usize) -> bool {
        let outside = |inner: usize, outer: Option<usize>| {
            let apart = outer.map_or(3, |outer| self.distances[outer]);
            self.distances[inner] >= apart
                || (self.distances[inner] > 0 && self.atoms.atoms[inner].kind != self.atoms.atoms[first].kind)
        };
        (self.words[first] && outside(first, first.checked_sub(1)))
            || (self.words[last] && !self.suffixed[last] && outside(last - 1, Some(last)))
    }
}

/// The first and best windows, [`TRIES`] and some that better ones have replaced.
#[derive(Debug, Default)]
struct Best {
    windows: Vec<Window>,
    /// How many there are of each rating from [`WORST`] on.
    counts: [u16; RATINGS],
    /// The highest rating that no longer matters, as an index into `counts`, plus one.
    done: usize,
}

/// Below all ratings, and how many there are.
const WORST: i32 = -16;
const RATINGS: usize = 32;

impl Best {
    fn place(rating: i32) -> usize {
        ((rating - WORST).max(0) as usize).min(RATINGS - 1)
    }

    /// Whether a window of this rating can be among the best.
    fn takes(&self, rating: i32) -> bool {
        Self::place(rating) >= self.done
    }

    fn add(&mut self, window: Window) {
        let place = Self::place(window.rating);
        if place < self.done {
            return;
        }
        self.counts[place] += 1;
        self.windows.push(window);
        let mut better = 0;
        for place in (self.done..RATINGS).rev() {
            better += usize::from(self.counts[place]);
            if better >= TRIES {
                self.done = place + 1;
                return;
            }
        }
    }
}

/// So many loose gaps of one kind are no accident.
const FEWEST_LOOSE: usize = 3;

/// Whether no gap of a window has a space: what touches both pieces is put into something.
fn tight(atoms: &Atoms<'_>, first: usize, last: usize) -> bool {
    (first..last).all(|index| {
        let between = atoms.between(index);
        !between.contains(char::is_whitespace) && !between.is_ascii()
    })
}

/// How far a gap keeps pieces apart: a mark is put between pieces of one thing, a space between
/// words, a line break between lines.
fn distance(atoms: &Atoms<'_>, index: usize) -> u8 {
    let between = atoms.between(index);
    match atoms.atoms[index].gap {
        Gap::Hard => 3,
        Gap::Soft(_) | Gap::Loose(_) if between.contains(|c: char| !c.is_whitespace()) => 0,
        Gap::Soft(_) | Gap::Loose(_) => 1 + u8::from(between.contains('\n')),
    }
}

/// Whether nothing may be joined across the gap behind a piece: it is hard, or a space beside an
/// address that is whole by itself.
fn separates(atoms: &Atoms<'_>, index: usize, closes: bool) -> bool {
    let is_whole = |index: usize| {
        let piece = atoms.piece(index);
        piece.len() >= 32 && whole(piece).is_some()
    };
    atoms.atoms[index].gap == Gap::Hard
        || (!closes && atoms.between(index).contains(char::is_whitespace) && (is_whole(index) || is_whole(index + 1)))
}

fn key(atoms: &Atoms<'_>, window: &Window, span: &Range<usize>) -> Option<Joined> {
    let mut word = String::with_capacity(LONGEST);
    for index in window.first..=window.last {
        word.push_str(atoms.piece(index));
    }
    // Most windows end here.
    if !solana::is_key(&word) {
        return None;
    }
    let proof = solana::proof(&word)?;
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    if (digits < 2 && !matches!(proof, Proof::Base58Suffix(_)))
        || is_list(atoms, window)
        || is_key_and_word(atoms, window)
        || is_ton_like(atoms.text, span)
    {
        return None;
    }
    let seen = whole(&word).filter(|seen| seen.families == [Family::Solana])?;
    Some(Joined {
        seen: Seen {
            span: span.clone(),
            ..seen
        },
        steps: atoms.steps(window.first, window.last),
        needs_label: false,
    })
}

/// Whether a window is a list of short codes, numbered and parted ("3.c4 exd6 4.Nf3 h3"): gaps of two
/// kinds between pieces that are no single characters.
fn is_list(atoms: &Atoms<'_>, window: &Window) -> bool {
    let pieces = window.last - window.first + 1;
    let letters: usize = (window.first..=window.last).map(|index| atoms.piece(index).len()).sum();
    let kind = atoms.atoms[window.first].kind;
    let mixed = (window.first..window.last).any(|index| atoms.atoms[index].kind != kind);
    mixed && pieces >= 8 && letters > pieces && letters < 5 * pieces
}

/// Whether a window is one long piece and a small word of the sentence around it.
fn is_key_and_word(atoms: &Atoms<'_>, window: &Window) -> bool {
    let small = |index: usize| {
        let piece = atoms.piece(index);
        (2..=5).contains(&piece.len()) && piece.bytes().all(|b| b.is_ascii_lowercase()) && !is_suffix(piece)
    };
    window.last == window.first + 1
        && atoms.between(window.first).contains(' ')
        && (small(window.first) || small(window.last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(text: &str) -> Vec<String> {
        let mut out = Vec::new();
        Atoms::of(text).join(&mut |joined| out.push(joined.seen.address));
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
            joined("4rZ9hnzsm\nfpqRWMVK7nG5GG\nPjXpkptk1rmcZe6\nVCpump\nEntra antes de 1M"),
            [pump]
        );
        assert_eq!(joined(&pump.chars().flat_map(|c| [c, '.']).collect::<String>()), [pump]);
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
