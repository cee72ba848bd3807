//! A look that tells most messages from disguised ones, one pass and no allocation.

use super::alphabet::{self, Fold};

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
/// So many letters and digits of another font or width.
const FOREIGN: usize = 20;

impl Suspicion {
    pub(crate) fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let (mut odd, mut short, mut foreign) = (0, 0, 0);
        let mut touching = false;
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
                    odd += length;
                }
            } else {
                short += length.min(1);
            }
            match bytes.get(at) {
                Some(0..=0x7f) => at += 1,
                Some(_) => {
                    // Cannot fail: everything before was ASCII or whole characters.
                    let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) else {
                        break;
                    };
                    let next = at + c.len_utf8();
                    match alphabet::fold(c) {
                        Fold::Keep => {}
                        Fold::Width(_) | Fold::Font(_) => foreign += 1,
                        Fold::Invisible | Fold::LookAlike(_) => {
                            touching |= length > 0 || bytes.get(next).is_some_and(u8::is_ascii_alphanumeric);
                        }
                    }
                    at = next;
                }
                None => break,
            }
        }
        let pieces = odd >= ODD || short >= SHORT;
        // A few letters beside a joiner ("K️" of an emoji) do not make an address.
        let characters = foreign >= FOREIGN || (touching && (odd + short + foreign >= ODD));
        Self {
            characters: characters || (foreign > 0 && pieces),
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
