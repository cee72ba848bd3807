//! A look that tells most messages from disguised ones, one pass and no allocation.

use std::ops::Range;

use super::{
    alphabet::{self, Fold},
    entity,
};

/// What a message gives reason to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Suspicion {
    /// Characters that are not what they seem stand where an address could.
    pub(crate) characters: bool,
    /// Pieces that look like parts of an address lie around.
    pub(crate) pieces: bool,
}

/// So many characters in pieces that no word has (letters and digits mixed, capitals inside).
const ODD: usize = 12;
/// So many words of one or two characters.
const SHORT: usize = 24;
/// So many letters and digits together, some of which are not what they seem.
const TOGETHER: usize = 12;

/// Letters and digits of any look without a break.
#[derive(Debug, Default)]
struct Stretch {
    plain: usize,
    foreign: usize,
    alike: usize,
    hidden: usize,
    /// A long one with something odd about it was there.
    found: bool,
    /// One of any length.
    some: bool,
}

impl Stretch {
    fn end(&mut self) {
        // A word all of another script is a word of that script.
        let odd = self.foreign > 0 || (self.plain > 0 && self.alike + self.hidden > 0);
        self.found |= odd && self.plain + self.foreign + self.alike >= TOGETHER;
        self.some |= odd || self.alike == 1;
        (self.plain, self.foreign, self.alike, self.hidden) = (0, 0, 0, 0);
    }
}

impl Suspicion {
    /// What all of a text gives reason to try.
    pub(crate) fn of(text: &str) -> Self {
        Self::besides(text, &[])
    }

    /// The same, apart from what is `known` of it: an address in the open is as odd as a part of a
    /// hidden one, and most messages with an address have no other.
    pub(crate) fn besides(text: &str, known: &[Range<usize>]) -> Self {
        let bytes = text.as_bytes();
        let (mut odd, mut short) = (0, 0);
        let mut known = known.iter();
        let mut next = known.next();
        let mut written = false;
        let mut stretch = Stretch::default();
        let mut at = 0;
        while at < bytes.len() {
            let start = at;
            let (mut digit, mut letter, mut inner_capital) = (false, false, false);
            let mut last_small = false;
            while at < bytes.len() {
                match bytes[at] {
                    b'0'..=b'9' => {
                        digit = true;
                        last_small = false;
                    }
                    b'a'..=b'z' => {
                        letter = true;
                        last_small = true;
                    }
                    b'A'..=b'Z' => {
                        letter = true;
                        inner_capital |= last_small;
                        last_small = false;
                    }
                    _ => break,
                }
                at += 1;
            }
            let length = at - start;
            if length > 2 {
                if (digit && letter) || inner_capital {
                    while next.is_some_and(|known| known.end <= start) {
                        next = known.next();
                    }
                    if next.is_none_or(|known| at <= known.start) {
                        odd += length;
                    }
                }
            } else {
                short += length.min(1);
            }
            stretch.plain += length;
            match bytes.get(at) {
                Some(&byte @ 0..=0x7f) => {
                    written |= byte == b'&' && entity::read(&text[at..]).is_some();
                    stretch.end();
                    at += 1;
                }
                Some(_) => {
                    // Cannot fail: everything before was ASCII or whole characters.
                    let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) else {
                        break;
                    };
                    match alphabet::fold(c) {
                        Fold::Keep => stretch.end(),
                        Fold::Width(_) | Fold::Font(_) => stretch.foreign += 1,
                        Fold::LookAlike(_) => stretch.alike += 1,
                        Fold::Invisible => stretch.hidden += 1,
                    }
                    at += c.len_utf8();
                }
                None => break,
            }
        }
        stretch.end();
        let pieces = odd >= ODD || short >= SHORT;
        Self {
            characters: stretch.found || written || (stretch.some && pieces),
            pieces,
        }
    }

    pub(crate) fn any(self) -> bool {
        self.characters || self.pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chat_raises_no_suspicion() {
        for text in [
            "gm everyone, $BTC at 67,250 today, up 3.4% since 9am",
            "Сегодня взяли 3 позиции по 0.5 ETH, итог +115%",
            "今日 BTC 涨了 5%，大家怎么看？",
            "LFG 🚀🚀🚀 who's still holding? 💎🙌",
        ] {
            assert!(!Suspicion::of(text).any(), "{text}");
        }
    }

    #[test]
    fn disguises_do() {
        for text in [
            "0x 302ab9ae394D675676Ddb41E294169224824fc9A",
            "B.w.r.q.B.H.y.v.B.S.L.v.c.J.4.P.W.g.e.8.Y.E.f.M.M",
            "8ECmPCbqnK\nVSWZe6VJsXU",
            "0х302ab9ae394D675676Ddb41E294169224824fc9A",
        ] {
            assert!(Suspicion::of(text).any(), "{text}");
        }
        assert!(Suspicion::of("０ｘ４４９８ｃｄ８ｂａ０４５ｅ００６７３４").characters);
    }
}
