//! Finds the stretches of text that are long enough to hold an address.
//!
//! Every address form has a stretch of at least [`SHORTEST`] characters of one small alphabet, so a
//! look at every 32nd byte is enough to rule a message out: ordinary chat is dismissed after a
//! handful of bytes. No regex: a Unicode `\b` alone would cost more than the whole scan.

use std::ops::Range;

/// The fewest characters that anything of interest has: an address has 32 or more, a bot's start
/// parameter with a packed one 30.
pub(crate) const SHORTEST: usize = 30;

const ALNUM: u8 = 1;
const JOINER: u8 = 2;

/// Letters and digits, and the four characters that base64 adds to them.
const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        if (byte as u8).is_ascii_alphanumeric() {
            class[byte] = ALNUM;
        }
        byte += 1;
    }
    class[b'-' as usize] = JOINER;
    class[b'_' as usize] = JOINER;
    class[b'+' as usize] = JOINER;
    class[b'/' as usize] = JOINER;
    class
};

/// A stretch of letters, digits and base64 joiners in a text, as long as it goes in both
/// directions.
#[derive(Debug, Clone)]
pub(crate) struct Run<'a> {
    /// All of the text, so that a family can look over the stretch's edges.
    pub(crate) text: &'a str,
    /// Where the stretch stands, in bytes. It is ASCII, so both ends are character boundaries.
    pub(crate) range: Range<usize>,
}

impl<'a> Run<'a> {
    /// The pieces of letters and digits alone that are long enough, with their places in the text.
    pub(crate) fn words(&self) -> impl Iterator<Item = (Range<usize>, &'a str)> + use<'a> {
        let text = self.text;
        let end = self.range.end;
        let mut at = self.range.start;
        std::iter::from_fn(move || {
            while at < end {
                let start = at;
                while at < end && is_alnum(text.as_bytes()[at]) {
                    at += 1;
                }
                let word = start..at;
                at += 1;
                if word.len() >= SHORTEST {
                    return Some((word.clone(), &text[word]));
                }
            }
            None
        })
    }

    /// The byte before `at`, zero at the start of the text.
    pub(crate) fn before(&self, at: usize) -> u8 {
        at.checked_sub(1).map_or(0, |i| self.text.as_bytes()[i])
    }

    /// The byte at `at`, zero at the end of the text.
    pub(crate) fn after(&self, at: usize) -> u8 {
        self.text.as_bytes().get(at).copied().unwrap_or(0)
    }
}

/// The stretches of `text` with at least [`SHORTEST`] characters, left to right.
pub(crate) fn runs(text: &str) -> Runs<'_> {
    Runs { text, at: 0 }
}

/// Iterator of [`runs`].
#[derive(Debug)]
pub(crate) struct Runs<'a> {
    text: &'a str,
    /// Everything before is behind us; `at` is the start of the text or follows a byte that belongs
    /// to no stretch.
    at: usize,
}

impl<'a> Iterator for Runs<'a> {
    type Item = Run<'a>;

    fn next(&mut self) -> Option<Run<'a>> {
        let bytes = self.text.as_bytes();
        loop {
            let probe = self.at + SHORTEST - 1;
            if probe >= bytes.len() {
                return None;
            }
            // Backwards from the last byte a stretch that starts here would have: the first byte
            // that is none of it is where the next try begins.
            let mut start = probe + 1;
            while start > self.at && CLASS[bytes[start - 1] as usize] != 0 {
                start -= 1;
            }
            if start > self.at {
                self.at = start;
                continue;
            }
            let mut end = probe + 1;
            while end < bytes.len() && CLASS[bytes[end] as usize] != 0 {
                end += 1;
            }
            self.at = end;
            return Some(Run {
                text: self.text,
                range: start..end,
            });
        }
    }
}

/// An ASCII letter or digit.
pub(crate) fn is_alnum(byte: u8) -> bool {
    CLASS[byte as usize] & ALNUM != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        runs(text).map(|run| &text[run.range]).collect()
    }

    #[test]
    fn stretches_are_whole_and_long_enough() {
        let long = "a".repeat(32);
        assert_eq!(found(&long), [long.as_str()]);
        assert_eq!(found(&long[..SHORTEST - 1]), [""; 0]);
        assert_eq!(found(&format!("x {long}1 y")), [format!("{long}1").as_str()]);
        assert_eq!(found(&format!("я{long}я{long}b")), [long.clone(), format!("{long}b")]);
        assert_eq!(
            found("the quick brown fox jumps over the lazy dog and runs away"),
            [""; 0]
        );
    }

    #[test]
    fn every_offset_is_seen() {
        let long = "Q".repeat(SHORTEST);
        for lead in 0..100 {
            for word in 1..8 {
                let text: String = (0..lead)
                    .map(|i| if i % word == word - 1 { ' ' } else { 'z' })
                    .collect();
                let text = format!("{text} {long} {text}");
                assert!(found(&text).contains(&long.as_str()), "{text:?}");
            }
        }
    }

    #[test]
    fn words_are_the_pieces_between_joiners() {
        let (a, b) = ("a".repeat(40), "B".repeat(32));
        let text = format!("-{a}_short/{b}+");
        let run = runs(&text).next().unwrap();
        let words: Vec<_> = run
            .words()
            .map(|(range, word)| (range.start, word.to_owned()))
            .collect();
        assert_eq!(words, [(1, a.clone()), (1 + 40 + 7, b.clone())]);
    }
}
