//! All literals of a file, in one automaton for each of the two ways to compare letters.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::Scratch;
use super::file::{Found, LooksFor};

#[derive(Debug, Default)]
pub(super) struct Literals {
    exact: Option<Automaton>,
    /// Of folded texts.
    folded: Option<Automaton>,
}

#[derive(Debug)]
struct Automaton {
    patterns: AhoCorasick,
    /// Indices of the rules that look for each pattern.
    owners: Vec<Vec<u32>>,
}

impl Literals {
    /// The literals of these rules.
    pub fn new(rules: &[Found]) -> Result<Self, String> {
        let (mut exact, mut folded) = (BTreeMap::new(), BTreeMap::new());
        for (at, rule) in (0..).zip(rules) {
            let LooksFor::Literals(texts) = &rule.looks_for else {
                continue;
            };
            for text in texts {
                let owners: &mut Vec<u32> = if rule.case_sensitive {
                    exact.entry(text.clone()).or_default()
                } else {
                    let mut key = String::new();
                    fold(text, &mut key);
                    folded.entry(key).or_default()
                };
                owners.push(at);
            }
        }
        Ok(Self {
            exact: Automaton::new(exact, false)?,
            folded: Automaton::new(folded, true)?,
        })
    }

    /// Notes the rules whose literals stand in a text.
    pub fn find(&self, text: &str, scratch: &mut Scratch) {
        if let Some(exact) = &self.exact {
            exact.find(text, &mut scratch.hits);
        }
        if let Some(folded) = &self.folded {
            if text.is_ascii() {
                folded.find(text, &mut scratch.hits);
            } else {
                scratch.folded.clear();
                fold(text, &mut scratch.folded);
                folded.find(&scratch.folded, &mut scratch.hits);
            }
        }
    }
}

impl Automaton {
    fn new(patterns: BTreeMap<String, Vec<u32>>, ignore_ascii_case: bool) -> Result<Option<Self>, String> {
        if patterns.is_empty() {
            return Ok(None);
        }
        let (patterns, owners): (Vec<_>, Vec<_>) = patterns.into_iter().unzip();
        let patterns = AhoCorasick::builder()
            .ascii_case_insensitive(ignore_ascii_case)
            .build(patterns)
            .map_err(|error| format!("the literals are too many or too long together: {error}"))?;
        Ok(Some(Self { patterns, owners }))
    }

    fn find(&self, text: &str, hits: &mut Vec<u32>) {
        // Most texts have none, and a plain search is faster than one for overlapping ones.
        if !self.patterns.is_match(text) {
            return;
        }
        // Each pattern counts once, however often it stands there.
        let mut is_new = vec![true; self.owners.len()];
        for found in self.patterns.find_overlapping_iter(text) {
            let pattern = found.pattern().as_usize();
            if let (Some(is_new), Some(owners)) = (is_new.get_mut(pattern), self.owners.get(pattern))
                && std::mem::take(is_new)
            {
                hits.extend(owners);
            }
        }
    }
}

/// Appends the text with letters that have the same capital form made the same, in any script. A
/// letter may become two: ß is SS in capitals, and so is the same as ss.
fn fold(text: &str, out: &mut String) {
    out.reserve(text.len());
    let table = &*TABLE;
    for letter in text.chars() {
        match table.get(letter as usize) {
            Some(&Some(folded)) => out.push(folded),
            None if has_no_case(letter) => out.push(letter),
            _ => out.extend(folded(letter)),
        }
    }
}

fn folded(letter: char) -> impl Iterator<Item = char> {
    letter.to_uppercase().flat_map(char::to_lowercase)
}

/// Latin, Greek, Cyrillic, Armenian, Hebrew: the folded letter, where it is one. The general way
/// searches two tables for each letter and takes ten times as long.
static TABLE: LazyLock<Vec<Option<char>>> = LazyLock::new(|| {
    let one = |letter: char| {
        let mut folded = folded(letter);
        folded.next().filter(|_| folded.next().is_none())
    };
    ('\0'..'\u{600}').map(one).collect()
});

/// Large ranges of scripts without capitals: Arabic to Burmese, Chinese, Japanese, Korean, emoji.
fn has_no_case(letter: char) -> bool {
    matches!(letter, '\u{600}'..='\u{109f}' | '\u{3000}'..='\u{a63f}' | '\u{ac00}'..='\u{d7ff}' | '\u{1f000}'..='\u{1faff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_cuts_lead_to_the_same_letters() {
        let mut text = String::new();
        for letter in '\0'..=char::MAX {
            text.clear();
            fold(letter.encode_utf8(&mut [0; 4]), &mut text);
            assert!(text.chars().eq(folded(letter)), "{letter:?} becomes {text:?}");
        }
    }

    #[test]
    fn letters_of_one_capital_form_are_the_same() {
        for (a, b) in [
            ("ЗАПУСК", "запуск"),
            ("Straße", "STRASSE"),
            ("ΟΔΟΣ", "οδος"),
            ("οδός", "ΟΔΌΣ"),
            ("ＧＥＭ", "ｇｅｍ"),
            ("ﬁnance", "FINANCE"),
            ("ԱԲԳ", "աբգ"),
        ] {
            let (mut left, mut right) = (String::new(), String::new());
            fold(a, &mut left);
            fold(b, &mut right);
            assert_eq!(left, right, "{a} {b}");
        }
    }
}
