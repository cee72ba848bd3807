//! Words of a text: stretches of letters, in any script.

use std::ops::Range;

use crate::disguise::{Fold, fold};

/// What a character is to a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    /// Nobody sees it: it may stand in a word or between two.
    Invisible,
    Other,
}

fn class(c: char) -> Class {
    // Letters that most texts are written in need no longer look.
    if matches!(c, '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{24f}' | '\u{400}'..='\u{481}'
        | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}')
    {
        return Class::Letter;
    }
    match fold(c) {
        // Accents belong to their letters in any reading.
        Fold::Invisible if matches!(c, '\u{300}'..='\u{36f}') => Class::Letter,
        Fold::Invisible => Class::Invisible,
        Fold::Width(to) | Fold::Font(to) | Fold::LookAlike(to) if to.is_ascii_alphabetic() => Class::Letter,
        // The voicing marks of kana stand apart in decomposed text.
        Fold::LookAlike(_) | Fold::Keep if c.is_alphabetic() || matches!(c, '\u{3099}' | '\u{309a}') => Class::Letter,
        // Also circled digits and the like: they number words.
        Fold::Width(_) | Fold::Font(_) | Fold::LookAlike(_) | Fold::Keep => Class::Other,
    }
}

fn ascii(byte: u8) -> Class {
    if byte.is_ascii_alphabetic() {
        Class::Letter
    } else {
        Class::Other
    }
}

/// What invisible characters do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Invisible {
    /// Nothing: `aban\u{200b}don` is one word.
    Joins,
    /// They stand between words.
    Parts,
}

/// A text as a row of words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Letters<'a> {
    pub(super) text: &'a str,
    pub(super) invisible: Invisible,
}

/// Where a word stands, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) range: Range<usize>,
    /// Something invisible stands in it.
    pub(super) veiled: bool,
}

impl<'a> Letters<'a> {
    /// The word at `at`, or the first one behind it. Its begin is not looked for before `floor`.
    pub(super) fn at_or_after(&self, at: usize, floor: usize) -> Option<Word> {
        let bytes = self.text.as_bytes();
        let mut start = self.text.floor_char_boundary(at);
        while start > floor && bytes[start - 1].is_ascii_alphabetic() {
            start -= 1;
        }
        while let Some((before, Class::Letter | Class::Invisible)) = self.back(start, floor) {
            start = before;
        }
        self.after(start)
    }

    /// The first word that begins at `at` or behind it.
    pub(super) fn after(&self, mut at: usize) -> Option<Word> {
        let bytes = self.text.as_bytes();
        while bytes.get(at).is_some_and(|b| b.is_ascii() && !b.is_ascii_alphabetic()) {
            at += 1;
        }
        let start = at;
        while bytes.get(at).is_some_and(u8::is_ascii_alphabetic) {
            at += 1;
        }
        if at > start && bytes.get(at).is_none_or(u8::is_ascii) {
            return Some(Word {
                range: start..at,
                veiled: false,
            });
        }
        self.after_any(start)
    }

    /// The same for any script.
    fn after_any(&self, mut at: usize) -> Option<Word> {
        loop {
            match self.forward(at)? {
                (_, Class::Letter) => break,
                (next, _) => at = next,
            }
        }
        let start = at;
        let mut end = at;
        let mut veiled = false;
        while let Some((next, class)) = self.forward(at) {
            match class {
                Class::Letter => {
                    // What is invisible behind the last letter belongs to no word.
                    veiled |= at > end;
                    end = next;
                }
                Class::Invisible => {}
                Class::Other => break,
            }
            at = next;
        }
        Some(Word {
            range: start..end,
            veiled,
        })
    }

    /// The last word that ends at `at` or before it, and begins at `floor` or behind it.
    pub(super) fn before(&self, mut at: usize, floor: usize) -> Option<Word> {
        let bytes = self.text.as_bytes();
        while at > floor && bytes[at - 1].is_ascii() && !bytes[at - 1].is_ascii_alphabetic() {
            at -= 1;
        }
        let end = at;
        while at > floor && bytes[at - 1].is_ascii_alphabetic() {
            at -= 1;
        }
        if at < end && (at == floor || bytes[at - 1].is_ascii()) {
            return Some(Word {
                range: at..end,
                veiled: false,
            });
        }
        self.before_any(end, floor)
    }

    /// The same for any script.
    fn before_any(&self, mut at: usize, floor: usize) -> Option<Word> {
        loop {
            match self.back(at, floor)? {
                (_, Class::Letter) => break,
                (before, _) => at = before,
            }
        }
        let end = at;
        let mut start = at;
        let mut veiled = false;
        while let Some((before, class)) = self.back(at, floor) {
            match class {
                Class::Letter => {
                    veiled |= at < start;
                    start = before;
                }
                Class::Invisible => {}
                Class::Other => break,
            }
            at = before;
        }
        Some(Word {
            range: start..end,
            veiled,
        })
    }

    pub(super) fn of(&self, word: &Word) -> &'a str {
        &self.text[word.range.clone()]
    }

    fn forward(&self, at: usize) -> Option<(usize, Class)> {
        let byte = *self.text.as_bytes().get(at)?;
        if byte.is_ascii() {
            return Some((at + 1, ascii(byte)));
        }
        let c = self.text.get(at..)?.chars().next()?;
        Some((at + c.len_utf8(), self.class(c)))
    }

    fn back(&self, at: usize, floor: usize) -> Option<(usize, Class)> {
        if at <= floor {
            return None;
        }
        let byte = *self.text.as_bytes().get(at - 1)?;
        if byte.is_ascii() {
            return Some((at - 1, ascii(byte)));
        }
        let c = self.text.get(..at)?.chars().next_back()?;
        Some((at - c.len_utf8(), self.class(c)))
    }

    fn class(&self, c: char) -> Class {
        match class(c) {
            Class::Invisible if self.invisible == Invisible::Parts => Class::Other,
            class => class,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str, invisible: Invisible) -> Vec<(&str, bool)> {
        let letters = Letters { text, invisible };
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(word) = letters.after(at) {
            at = word.range.end;
            found.push((letters.of(&word), word.veiled));
        }
        // The same from behind.
        let mut behind = Vec::new();
        let mut at = text.len();
        while let Some(word) = letters.before(at, 0) {
            at = word.range.start;
            behind.push((letters.of(&word), word.veiled));
        }
        behind.reverse();
        assert_eq!(found, behind);
        found
    }

    #[test]
    fn words_are_letters_of_any_script() {
        let plain = |text| -> Vec<&str> {
            words(text, Invisible::Joins)
                .into_iter()
                .map(|(word, _)| word)
                .collect()
        };
        assert_eq!(
            plain("1. abandon,2)ability •able\u{3000}ａbout"),
            ["abandon", "ability", "able", "ａbout"]
        );
        assert_eq!(plain("①zoo②的③가격🔥あいさつ、"), ["zoo", "的", "가격", "あいさつ"]);
        assert_eq!(
            plain("e\u{301}tude が か\u{3099}"),
            ["e\u{301}tude", "が", "か\u{3099}"]
        );
        assert_eq!(plain(" \u{200b} 1"), [""; 0]);
    }

    #[test]
    fn the_invisible_joins_or_parts() {
        let text = "\u{200b}zo\u{200b}o\u{feff}\u{200b} wrong\u{fe0f}";
        assert_eq!(words(text, Invisible::Joins), [("zo\u{200b}o", true), ("wrong", false)]);
        assert_eq!(
            words(text, Invisible::Parts),
            [("zo", false), ("o", false), ("wrong", false)]
        );
    }

    #[test]
    fn a_word_is_found_from_inside() {
        let letters = Letters {
            text: "a abandon b",
            invisible: Invisible::Joins,
        };
        for at in 2..9 {
            assert_eq!(letters.at_or_after(at, 0).unwrap().range, 2..9, "{at}");
        }
        assert_eq!(letters.at_or_after(1, 0).unwrap().range, 0..1);
        assert_eq!(letters.at_or_after(4, 3).unwrap().range, 3..9);
        assert_eq!(letters.at_or_after(10, 0).unwrap().range, 10..11);
        assert_eq!(letters.at_or_after(11, 11), None);
    }
}
