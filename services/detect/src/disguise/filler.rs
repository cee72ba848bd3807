//! Words put between the characters of an address for people to leave out.

use std::ops::Range;

use aho_corasick::AhoCorasick;

/// Words that ask to be left out themselves, and that introduce what is to be left out.
const WORDS: [&str; 34] = [
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
            out.extend(between(text, found.range()).filter(|range| loud || range.len() > word.len()));
            if named.len() < 4
                && let Some(word) = named_filler(&text[found.end()..])
                && !named.contains(&word)
            {
                named.push(word);
            }
        }
        for word in named {
            out.extend(
                text.match_indices(word)
                    .filter_map(|(at, word)| between(text, at..at + word.len())),
            );
        }
        out.sort_by_key(|range| range.start);
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
    for lead in ["the word", "word", "слово", "the", "all", "every"] {
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

/// `word` with the marks around it, where letters or digits of an address touch it on both sides.
fn between(text: &str, word: Range<usize>) -> Option<Range<usize>> {
    const MOST_MARKS: usize = 4;
    // Dashes and underlines may belong to the address.
    let is_mark = |c: &char| !c.is_alphanumeric() && !matches!(c, '\n' | ':' | '-' | '_');
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
    let belongs = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (belongs(before)
        && belongs(after)
        && wraps(&text[range.start..word.start])
        && wraps(&text[word.end..range.end])
        && (lead > 0) == (tail > 0)
        // Three letters may well be part of the address.
        && (lead > 0 || word.len() > 3))
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
    }
}
