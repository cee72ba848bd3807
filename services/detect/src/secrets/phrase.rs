//! Seed phrases: 12, 15, 18, 21 or 24 words of one list, whose last bits are a checksum over the
//! others (BIP-39).
//!
//! A phrase takes at least [`REACH`] bytes, so a look at the word at every so manieth byte rules
//! most messages out: that word would have to stand in a list. Only around one that does, its
//! neighbours are read.

use std::ops::Range;

use sha2::{Digest, Sha256};

use super::{
    Budget,
    letters::{Invisible, Letters, Word},
    words::{Lists, Shape, Words, is_chinese},
};

/// The numbers of words that a phrase can have.
const LENGTHS: [usize; 5] = [12, 15, 18, 21, 24];

/// The fewest bytes of a phrase: twelve words of three (Latin letters, or one Chinese character)
/// and what stands between them.
const REACH: usize = 12 * 3 + 11;

/// In a longer row of listed words some window has a valid checksum by chance: of the 12-word
/// windows one in sixteen, of the others fewer, all in all 99.7 % of such rows. So it is taken as a
/// whole, which also bounds what a row costs.
const LONGEST_ROW: usize = 64;

/// Words that stand before the words' numbers in "word 1: abandon".
const LABELS: [&str; 18] = [
    "word",
    "слово",
    "слова",
    "palabra",
    "mot",
    "wort",
    "parola",
    "palavra",
    "kelime",
    "kata",
    "słowo",
    "slovo",
    "ord",
    "woord",
    "từ",
    "단어",
    "単語",
    "单词",
];

/// What a row of Chinese characters without anything between them is called when it is a phrase.
/// Without such a word nothing tells it from a sentence, whose characters stand in the lists too.
const CALLED: [&str; 12] = [
    "助记词",
    "助記詞",
    "註記詞",
    "助记詞",
    "种子",
    "種子",
    "恢复词",
    "恢復詞",
    "私钥",
    "私鑰",
    "seed",
    "mnemonic",
];

/// A listed word in the text.
#[derive(Debug, Clone)]
struct Listed {
    range: Range<usize>,
    shape: Shape,
    lists: Lists,
    /// The number that stands before it.
    number: Option<u16>,
}

/// A word of one list.
#[derive(Debug, Clone)]
struct Step {
    range: Range<usize>,
    index: u16,
    number: Option<u16>,
}

/// What the first pass saw beside phrases.
#[derive(Default)]
struct Noted {
    /// Words with something invisible in them, which may be several.
    veiled: bool,
    chinese: bool,
}

/// Finds the phrases of a text.
pub(super) fn find(words: &Words, text: &str, budget: &mut Budget, found: &mut dyn FnMut(Range<usize>)) {
    if text.len() < REACH {
        return;
    }
    let mut noted = Noted::default();
    let joined = Letters {
        text,
        invisible: Invisible::Joins,
    };
    read(words, joined, &mut noted, budget, found);
    if noted.veiled {
        let parted = Letters {
            text,
            invisible: Invisible::Parts,
        };
        read(words, parted, &mut noted, budget, found);
    }
    if noted.chinese {
        unparted(words, joined, budget, found);
    }
}

fn read(
    words: &Words,
    letters: Letters<'_>,
    noted: &mut Noted,
    budget: &mut Budget,
    found: &mut dyn FnMut(Range<usize>),
) {
    // No phrase begins before `start` that is not found yet.
    let mut start = 0;
    loop {
        // Every phrase that begins from here to the probe holds the word at the probe.
        let probe = start + REACH - 1;
        if probe >= letters.text.len() {
            return;
        }
        let Some(mut word) = letters.at_or_after(probe, start) else {
            return;
        };
        let mut listed = may_be_listed(words, letters, &word, noted);
        while !listed && is_filler(letters, &word) {
            let Some(next) = letters.after(word.range.end) else {
                return;
            };
            word = next;
            listed = may_be_listed(words, letters, &word, noted);
        }
        if !listed {
            start = word.range.end;
            continue;
        }
        let (row, end) = row_around(words, letters, &word, start, noted);
        if let Some(row) = row {
            check(words, &row, budget, found);
            // "Word 1: abandon, word 2: ability": every second one is no word of the phrase.
            let is_label = |word: &&Option<Listed>| {
                let listed = word.as_ref();
                listed.is_some_and(|listed| is_label(&letters.text[listed.range.clone()]))
            };
            if row.iter().filter(is_label).count() >= LENGTHS[0] - 1 {
                let others: Vec<_> = row.iter().filter(|word| !is_label(word)).cloned().collect();
                check(words, &others, budget, found);
            }
        }
        start = end;
    }
}

/// A quick look that is wrong about some words that stand in no list.
fn may_be_listed(words: &Words, letters: Letters<'_>, word: &Word, noted: &mut Noted) -> bool {
    let text = letters.of(word);
    noted.veiled |= word.veiled;
    // From U+4000 on: nearly all of the Chinese characters, and Hangul, which does no harm.
    noted.chinese |= text.as_bytes().first().is_some_and(|lead| (0xe4..=0xe9).contains(lead));
    Shape::of(text).is_some_and(|shape| words.may_hold(shape))
}

/// The row of words around one of them, if it is long enough for a phrase, with nothing in the place
/// of those that stand in no list; and the end of what has been read.
fn row_around(
    words: &Words,
    letters: Letters<'_>,
    word: &Word,
    floor: usize,
    noted: &mut Noted,
) -> (Option<Vec<Option<Listed>>>, usize) {
    let mut count = 1;
    let mut first = word.range.start;
    while let Some(before) = letters.before(first, floor) {
        if may_be_listed(words, letters, &before, noted) {
            count += 1;
        } else if !is_filler(letters, &before) {
            break;
        }
        first = before.range.start;
    }
    let mut last = word.range.end;
    let mut end = letters.text.len();
    while let Some(next) = letters.after(last) {
        if may_be_listed(words, letters, &next, noted) {
            count += 1;
        } else if !is_filler(letters, &next) {
            end = next.range.end;
            break;
        }
        last = next.range.end;
    }
    if count < LENGTHS[0] {
        return (None, end);
    }
    let mut row = Vec::with_capacity(count);
    let mut at = first;
    while let Some(word) = letters.after(at).filter(|word| word.range.start < last) {
        at = word.range.end;
        let listed = Shape::of(letters.of(&word)).map(|shape| (shape, words.lists(shape)));
        match listed {
            Some((shape, lists)) if lists != 0 && !super::is_mask(letters.text, word.range.start) => {
                row.push(Some(Listed {
                    number: number_before(letters.text, word.range.start),
                    range: word.range,
                    shape,
                    lists,
                }));
            }
            _ if is_filler(letters, &word) => {}
            _ => row.push(None),
        }
    }
    (Some(row), end)
}

/// Whether a word stands between others without being one of them: a tag, the letter of a list, a
/// label before a number.
fn is_filler(letters: Letters<'_>, word: &Word) -> bool {
    let bytes = letters.text.as_bytes();
    let Range { start, end } = word.range;
    let before = start.checked_sub(1).map_or(0, |at| bytes[at]);
    let after = bytes.get(end).copied().unwrap_or(0);
    let is_tag = matches!(before, b'<' | b'/') && matches!(after, b'>' | b'/') && end - start <= 10;
    let is_point = end - start == 1 && after == b')';
    // A number behind it, with little between.
    let is_numbered = || {
        let gap = bytes[end..].iter().take(6);
        let gap = gap.take_while(|&&b| matches!(b, b' ' | b'#' | b'_' | b'-') || "№".as_bytes().contains(&b));
        bytes.get(end + gap.count()).is_some_and(u8::is_ascii_digit)
    };
    is_tag || is_point || (is_numbered() && is_label(letters.of(word)))
}

fn is_label(word: &str) -> bool {
    word.len() <= 16 && LABELS.contains(&word.to_lowercase().as_str())
}

/// The number before a word: "12. zoo".
fn number_before(text: &str, at: usize) -> Option<u16> {
    let lead = &text.as_bytes()[..at];
    let gap = lead
        .iter()
        .rev()
        .take(4)
        .take_while(|b| !b.is_ascii_alphanumeric() && b.is_ascii())
        .count();
    let lead = &lead[..at - gap];
    let digits = lead.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    if !(1..=2).contains(&digits) {
        return None;
    }
    let number = lead[lead.len() - digits..].iter();
    Some(number.fold(0, |number, digit| number * 10 + u16::from(digit - b'0')))
}

/// Checks a row list by list.
fn check(words: &Words, row: &[Option<Listed>], budget: &mut Budget, found: &mut dyn FnMut(Range<usize>)) {
    let all = row.iter().flatten().fold(0, |all, word| all | word.lists);
    let mut steps: Vec<Step> = Vec::with_capacity(row.len());
    for list in (0..16).filter(|list| all & (1 << list) != 0) {
        for word in row {
            let Some(word) = word.as_ref().filter(|word| word.lists & (1 << list) != 0) else {
                check_steps(&steps, budget, found);
                steps.clear();
                continue;
            };
            let place = words.places(word.shape).find(|place| place.list == list);
            steps.extend(place.map(|place| Step {
                range: word.range.clone(),
                index: place.index,
                number: word.number,
            }));
        }
        check_steps(&steps, budget, found);
        steps.clear();
    }
}

/// Checks neighbouring words of one list.
fn check_steps(steps: &[Step], budget: &mut Budget, found: &mut dyn FnMut(Range<usize>)) {
    if steps.len() < LENGTHS[0] {
        return;
    }
    if steps.len() > LONGEST_ROW {
        found(steps[0].range.start..steps[steps.len() - 1].range.end);
        return;
    }
    check_windows(steps, budget, found);
}

fn check_windows(steps: &[Step], budget: &mut Budget, found: &mut dyn FnMut(Range<usize>)) {
    for length in LENGTHS {
        for window in steps.windows(length) {
            let valid = is_valid(window.iter().map(|step| step.index), length, budget)
                || by_number(window).is_some_and(|order| is_valid(order.into_iter(), length, budget));
            if valid {
                found(window[0].range.start..window[length - 1].range.end);
            }
        }
    }
}

/// The words in the order of the numbers before them, when that is another than they stand in:
/// phrases are shown in columns.
fn by_number(window: &[Step]) -> Option<Vec<u16>> {
    let first = window.iter().map(|step| step.number).min()??;
    if first > 1 || window.is_sorted_by_key(|step| step.number) {
        return None;
    }
    let mut order = vec![None; window.len()];
    for step in window {
        let place = order.get_mut(usize::from(step.number? - first))?;
        if place.replace(step.index).is_some() {
            return None;
        }
    }
    order.into_iter().collect()
}

/// Whether the last bits of a phrase, one for every three words, are the first of SHA-256 over the
/// others.
fn is_valid(indices: impl Iterator<Item = u16>, length: usize, budget: &mut Budget) -> bool {
    // What costs more than any message should is rather masked than left.
    if !budget.checksum() {
        return true;
    }
    let mut bytes = [0_u8; 33];
    let mut at = 0;
    let (mut bits, mut held) = (0_u32, 0);
    for index in indices {
        bits = bits << 11 | u32::from(index);
        held += 11;
        while held >= 8 {
            held -= 8;
            bytes[at] = (bits >> held) as u8;
            at += 1;
        }
    }
    // 132 and 198 bits end inside of a byte.
    if held > 0 {
        bytes[at] = (bits << (8 - held)) as u8;
    }
    let entropy = length * 4 / 3;
    let checksum_bits = length / 3;
    let differ = Sha256::digest(&bytes[..entropy])[0] ^ bytes[entropy];
    differ >> (8 - checksum_bits) == 0
}

/// Chinese phrases without anything between their characters, where the text says so.
fn unparted(words: &Words, letters: Letters<'_>, budget: &mut Budget, found: &mut dyn FnMut(Range<usize>)) {
    if !CALLED.iter().any(|name| letters.text.contains(name)) {
        return;
    }
    let mut at = 0;
    while let Some(word) = letters.after(at) {
        at = word.range.end;
        let mut row = letters.of(&word);
        // "助记词的一是…": its name in front.
        row = CALLED.iter().find_map(|name| row.strip_prefix(name)).unwrap_or(row);
        let length = row.chars().take(LENGTHS[4] + 1).count();
        if !LENGTHS.contains(&length) {
            continue;
        }
        let shapes: Option<Vec<_>> = row.chars().map(|c| Shape::of(c.encode_utf8(&mut [0; 4]))).collect();
        let Some(shapes) = shapes else { continue };
        for list in (0..16).filter(|&list| is_chinese(list)) {
            let index = |&shape: &Shape| words.places(shape).find(|place| place.list == list);
            let indices: Option<Vec<_>> = shapes.iter().map(|s| index(s).map(|place| place.index)).collect();
            if indices.is_some_and(|indices| is_valid(indices.into_iter(), length, budget)) {
                found(at - row.len()..at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid(indices: &[u16]) -> bool {
        is_valid(indices.iter().copied(), indices.len(), &mut Budget::default())
    }

    #[test]
    fn checksums_of_known_phrases() {
        // "abandon" is 0 and "zoo" 2047; the vectors of BIP-39 with zeros and ones alone.
        for (length, last) in [(12, 3), (18, 39), (24, 102)] {
            let mut indices = vec![0; length];
            assert!(!valid(&indices));
            indices[length - 1] = last;
            assert!(valid(&indices), "{length}");
        }
        for (length, last) in [(12, 2037), (18, 2001), (24, 1967)] {
            let mut indices = vec![2047; length];
            assert!(!valid(&indices));
            indices[length - 1] = last;
            assert!(valid(&indices), "{length}");
        }
    }

    #[test]
    fn numbers_stand_before_words() {
        let number = |text: &str| number_before(text, text.len());
        assert_eq!(number("1. "), Some(1));
        assert_eq!(number("\n24) "), Some(24));
        assert_eq!(number("24"), Some(24));
        assert_eq!(number("124 "), None);
        assert_eq!(number("word "), None);
        assert_eq!(number(""), None);
    }
}
