//! Words put between the characters of an address for people to leave out.

use std::{cmp::Reverse, ops::Range};

use aho_corasick::AhoCorasick;

use super::alphabet::{Fold, fold, is_letter, is_word};

/// Words that ask to be left out themselves, and that introduce what is to be left out.
const WORDS: [&str; 39] = [
    "del",
    "remove",
    "removeme",
    "removethis",
    "delete",
    "deleteme",
    "deletethis",
    "erase",
    "omit",
    "ignore",
    "without",
    "minus",
    "nobots",
    "nobot",
    "удали",
    "удалить",
    "удалите",
    "убери",
    "убрать",
    "уберите",
    "删除",
    "去掉",
    "删掉",
    "削除",
    "quita",
    "quitar",
    "borra",
    "borrar",
    "elimina",
    "supprime",
    "supprimer",
    "entfernen",
    "hapus",
    "rimuovi",
    "skip",
    "take out",
    "take",
    "cut out",
    "drop",
];

/// The filler words, ready to be searched for.
#[derive(Debug)]
pub(crate) struct Fillers {
    search: AhoCorasick,
}

impl Fillers {
    pub(crate) fn new() -> Self {
        let search = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(aho_corasick::MatchKind::LeftmostLongest)
            .build(WORDS)
            // Cannot fail: it does so only when the patterns need more than 2^31 states.
            .expect("a few fixed words");
        Self { search }
    }

    /// The parts of `text` to leave out: fillers with the marks around them, between two
    /// characters of an address. In order, without overlaps.
    pub(super) fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut out: Vec<Range<usize>> = Vec::new();
        let mut named: Vec<&str> = Vec::new();
        for found in self.search.find_iter(text) {
            let word = &text[found.range()];
            // Without marks around it, small letters may be part of the address.
            let loud = word.len() >= 5 && !word.chars().any(char::is_lowercase);
            out.extend(between(text, found.range(), 4).filter(|range| loud || range.len() > word.len()));
            out.extend(in_spaces(text, found.range()));
            out.extend(in_dashes(text, found.range()));
            if named.len() < 4
                && let Some(word) = named_filler(&text[found.end()..])
                && !named.contains(&word)
            {
                named.push(word);
            }
        }
        out.extend(in_brackets(text));
        named.extend(shown(text).filter(|word| !named.contains(word)).collect::<Vec<_>>());
        for word in named {
            out.extend(
                text.match_indices(word)
                    .filter_map(|(at, word)| between(text, at..at + word.len(), 3)),
            );
        }
        // The longer of two that begin together: "ELIMINAR" holds "ELIMINA".
        out.sort_by_key(|range| (range.start, Reverse(range.end)));
        let mut end = 0;
        out.retain(|range| {
            let keep = range.start >= end;
            end = end.max(range.end);
            keep
        });
        out
    }
}

/// The word that "remove …" names: quoted, or in capitals, so that "remove spaces" names none.
fn named_filler(rest: &str) -> Option<&str> {
    let mut rest = rest;
    for lead in [
        "the word",
        "word",
        "слово",
        "la palabra",
        "palabra",
        "a palavra",
        "palavra",
        "le mot",
        "la parola",
        "parola",
        "das wort",
        "kata",
        "the",
        "all",
        "every",
    ] {
        if let Some(tail) = rest.trim_start().strip_prefix(lead)
            && tail.starts_with(' ')
        {
            rest = tail;
        }
    }
    let rest = rest.trim_start_matches(' ');
    let quoted = rest.strip_prefix(['"', '\'', '`', '«', '“', '„', '[', '(']);
    let word = quoted.unwrap_or(rest);
    let end = word.find(|c: char| !c.is_alphanumeric()).unwrap_or(word.len());
    let word = &word[..end];
    let loud = word.chars().all(char::is_uppercase);
    ((2..=24).contains(&word.len()) && (quoted.is_some() || loud)).then_some(word)
}

/// Words in capitals that a message shows by themselves and also has more than once inside of
/// something, where no word stands: whatever the language says about them, they are what to leave
/// out.
fn shown(text: &str) -> impl Iterator<Item = &str> {
    /// How many words are tried.
    const MOST: usize = 8;
    let is_loud = |word: &&str| {
        (2..=24).contains(&word.len()) && word.chars().nth(1).is_some() && word.chars().all(char::is_uppercase)
    };
    text.split(|c: char| !is_part(c) && !is_letter(c))
        .filter(is_loud)
        .take(MOST)
        .filter(move |word| {
            let mut inside = text
                .match_indices(*word)
                .filter(|(at, _)| between(text, *at..at + word.len(), 2).is_some());
            inside.nth(1).is_some()
        })
}

/// Whether an address can have this character, or one that is made to look like it.
fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '-' | '_')
        || matches!(fold(c), Fold::Width(_) | Fold::Font(_) | Fold::LookAlike(_))
}

/// Words in brackets with parts of an address touching both sides, whatever they say: nobody puts
/// a remark inside a word.
fn in_brackets(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    /// Letters and digits that have to stand on either side.
    const BESIDE: usize = 2;
    /// Bytes of a remark.
    const LONGEST: usize = 48;
    text.match_indices(['(', '[', '{', '（', '【', '«'])
        .filter_map(move |(at, open)| {
            let inner = &text[at + open.len()..];
            let inner = &inner[..inner.ceil_char_boundary(LONGEST.min(inner.len()))];
            let end = inner.find([')', ']', '}', '）', '】', '»'])?;
            let close = inner[end..].chars().next()?.len_utf8();
            let word = &inner[..end];
            // Small ASCII letters may be a call or a caption; a remark has no digits in any case.
            let is_remark = word.chars().filter(|&c| is_letter(c)).count() >= 2
                && !word
                    .chars()
                    .any(|c| c.is_numeric() || matches!(c, '\n' | ',' | ';' | ':' | '/'));
            let range = at..at + open.len() + end + close;
            let before = text[..range.start]
                .chars()
                .rev()
                .take(BESIDE)
                .filter(|&c| is_part(c))
                .count();
            let after = text[range.end..].chars().take(BESIDE).filter(|&c| is_part(c)).count();
            (is_remark && before.min(after) == BESIDE).then_some(range)
        })
}

/// `word` with single spaces around it, where pieces on both sides look like no word.
fn in_spaces(text: &str, word: Range<usize>) -> Option<Range<usize>> {
    /// Characters of such a piece.
    const FEWEST: usize = 6;
    let before = text[..word.start].strip_suffix(' ')?;
    let after = text[word.end..].strip_prefix(' ')?;
    // An invisible character belongs to what it stands in.
    let belongs = |c: &char| is_part(*c) || matches!(fold(*c), Fold::Invisible);
    let is_odd = |piece: &mut dyn Iterator<Item = char>| {
        let (mut parts, mut odd) = (0, false);
        for c in piece.take(44).take_while(belongs) {
            let c = match fold(c) {
                Fold::Width(to) | Fold::Font(to) | Fold::LookAlike(to) => to,
                Fold::Invisible => continue,
                Fold::Keep => c,
            };
            parts += 1;
            odd |= c.is_ascii_digit() || (parts > 1 && c.is_ascii_uppercase());
        }
        parts >= FEWEST && odd
    };
    (is_odd(&mut before.chars().rev()) && is_odd(&mut after.chars())).then(|| before.len()..word.end + 1)
}

/// `word` in capitals with one dash or underline on either side, inside of something.
fn in_dashes(text: &str, word: Range<usize>) -> Option<Range<usize>> {
    let loud = !text[word.clone()].chars().any(char::is_lowercase);
    let before = text[..word.start].strip_suffix(['-', '_'])?;
    let after = text[word.end..].strip_prefix(['-', '_'])?;
    let inside = before.ends_with(is_part) && after.starts_with(is_part);
    (loud && inside).then(|| before.len()..word.end + 1)
}

/// `word` with the marks around it, where letters or digits of an address touch it on both sides;
/// without marks only where it has at least `fewest` bytes.
fn between(text: &str, word: Range<usize>, fewest: usize) -> Option<Range<usize>> {
    const MOST_MARKS: usize = 4;
    // Dashes and underlines may belong to the address.
    let is_mark = |&c: &char| !is_word(c) && !matches!(c, '\n' | ':' | '-' | '_');
    let lead: usize = text[..word.start]
        .chars()
        .rev()
        .take(MOST_MARKS)
        .take_while(is_mark)
        .map(char::len_utf8)
        .sum();
    let tail: usize = text[word.end..]
        .chars()
        .take(MOST_MARKS)
        .take_while(is_mark)
        .map(char::len_utf8)
        .sum();
    let range = word.start - lead..word.end + tail;
    // Spaces alone are no wrapping: that is a sentence.
    let wraps = |part: &str| part.is_empty() || part.chars().any(|c| c != ' ');
    let before = text[..range.start].chars().next_back()?;
    let after = text[range.end..].chars().next()?;
    (is_part(before)
        && is_part(after)
        && wraps(&text[range.start..word.start])
        && wraps(&text[word.end..range.end])
        && (lead > 0) == (tail > 0)
        // A few letters may well be part of the address.
        && (lead > 0 || word.len() >= fewest))
        .then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> String {
        let mut out = text.to_owned();
        for range in Fillers::new().find(text).into_iter().rev() {
            out.replace_range(range, "");
        }
        out
    }

    #[test]
    fn fillers_go_and_sentences_stay() {
        assert_eq!(cut("0xe8❌REMOVE❌49❌REMOVE❌9d"), "0xe8499d");
        assert_eq!(cut("7rD(удали)iCB"), "7rDiCB");
        assert_eq!(cut("abcMOON12 (remove MOON)"), "abc12 (remove MOON)");
        assert_eq!(
            cut("ab[X]12[X]c, delete the word \"X1\""),
            "ab[X]12[X]c, delete the word \"X1\""
        );
        assert_eq!(cut("CA (remove spaces):\nabc def"), "CA (remove spaces):\nabc def");
        assert_eq!(cut("please remove it now"), "please remove it now");
        assert_eq!(cut("XAZ8(bỏ)z7Pnr[ลบ]nRJj"), "XAZ8z7PnrnRJj");
        assert_eq!(cut("f(x) and abc (see below) 123"), "f(x) and abc (see below) 123");
    }
}
