//! The official BIP-39 word lists (from the `bip39` crate), asked by what a word looks like: letter
//! case, accents, width, fonts and invisible characters make no difference.

use bip39::Language;

use crate::disguise::{Fold, fold};

/// Where a word stands in one list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The number of the list.
    pub(super) list: u8,
    /// The number of the word, 11 bits.
    pub(super) index: u16,
}

/// Lists as bits of a set.
pub(super) type Lists = u16;

/// What a word looks like, reduced to a number. No two words of one list share it, and a word of
/// no list meets one that does with a probability of 10⁻⁹.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape(u64);

/// Shorter or longer words stand in no list; counted after accents and voicing marks are set apart.
const LETTERS: std::ops::RangeInclusive<u32> = 1..=16;

/// A power of two, so that a third stays empty and a look-up is short.
const SLOTS: usize = 1 << 15;

/// Bits of the first look: 16 KiB, which stay in the nearest cache.
const SEEN: usize = 1 << 17;

/// All lists in one table.
pub(super) struct Words {
    slots: Box<[Option<Slot>]>,
    /// A bit for each word, by its shape: clear for six of seven words of no list.
    seen: Box<[u64]>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// The half of the shape that does not choose the slot.
    tag: u32,
    place: Place,
}

impl Words {
    pub(super) fn new() -> Self {
        let mut slots = vec![None; SLOTS].into_boxed_slice();
        let mut seen = vec![0; SEEN / 64].into_boxed_slice();
        for (list, language) in (0..).zip(Language::ALL) {
            for (index, word) in (0..).zip(language.word_list()) {
                // Cannot fail: a test holds that every word has a shape.
                let Some(shape) = Shape::of(word) else { continue };
                let (at, bit) = shape.bit();
                seen[at] |= bit;
                let mut at = shape.slot();
                while slots[at].is_some() {
                    at = (at + 1) % SLOTS;
                }
                slots[at] = Some(Slot {
                    tag: shape.tag(),
                    place: Place { list, index },
                });
            }
        }
        Self { slots, seen }
    }

    /// Whether a word may stand in some list; a quick look that is wrong about one of seven words
    /// that do not.
    pub(super) fn may_hold(&self, shape: Shape) -> bool {
        let (at, bit) = shape.bit();
        self.seen[at] & bit != 0
    }

    /// Where a word stands: once for each list that holds it.
    pub(super) fn places(&self, shape: Shape) -> impl Iterator<Item = Place> + '_ {
        let tag = shape.tag();
        let mut at = shape.slot();
        // Ends: a third of the slots is empty.
        std::iter::from_fn(move || {
            let slot = self.slots[at]?;
            at = (at + 1) % SLOTS;
            Some(slot)
        })
        .filter(move |slot| slot.tag == tag)
        .map(|slot| slot.place)
    }

    /// The lists that hold a word.
    pub(super) fn lists(&self, shape: Shape) -> Lists {
        self.places(shape).fold(0, |lists, place| lists | 1 << place.list)
    }
}

/// The Chinese lists, whose words are single characters.
pub(super) fn is_chinese(list: u8) -> bool {
    let language = Language::ALL.get(usize::from(list));
    matches!(
        language,
        Some(Language::SimplifiedChinese | Language::TraditionalChinese)
    )
}

impl Shape {
    /// The shape of a word; `None` when no list has words of its length.
    #[inline]
    pub(super) fn of(word: &str) -> Option<Self> {
        if word.is_ascii() {
            // Nearly every word that is asked about; the lists have 3 to 9 Latin letters.
            if !(3..=9).contains(&word.len()) {
                return None;
            }
            let packed = word
                .bytes()
                .fold(0, |packed, byte| packed << 8 | u128::from(byte | 0x20));
            return Some(Self::packed(packed));
        }
        Self::of_any(word)
    }

    fn of_any(word: &str) -> Option<Self> {
        let mut hasher = Hasher::default();
        for c in word.chars() {
            hasher.read(c);
            if hasher.letters > *LETTERS.end() {
                return None;
            }
        }
        LETTERS.contains(&hasher.letters).then(|| hasher.finish())
    }

    fn packed(letters: u128) -> Self {
        Self::mixed(letters as u64 ^ ((letters >> 64) as u64).wrapping_mul(0x517c_c1b7_2722_0a95))
    }

    /// Spreads what tells words apart over all bits (the finisher of `SplitMix64`).
    fn mixed(state: u64) -> Self {
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self(mixed ^ (mixed >> 31))
    }

    fn bit(self) -> (usize, u64) {
        let bit = (self.0 >> 16) as usize % SEEN;
        (bit / 64, 1 << (bit % 64))
    }

    fn slot(self) -> usize {
        self.0 as usize % SLOTS
    }

    fn tag(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// The shape of a word that is not written in ASCII, letter by letter.
#[derive(Default)]
struct Hasher {
    state: u64,
    /// The letters themselves, for words that turn out to be Latin ones.
    packed: u128,
    beyond_ascii: bool,
    letters: u32,
}

impl Hasher {
    /// One character, taken apart as Unicode's compatibility decomposition (NFKD) does, in small
    /// letters, without the accents of Latin ones.
    fn read(&mut self, c: char) {
        let code = c as u32;
        match code {
            0..=0x7f => self.push(code | 0x20),
            // Hangul syllables are made of their letters by arithmetic (Unicode, section 3.12).
            0xac00..=0xd7a3 => {
                let index = code - 0xac00;
                self.push(0x1100 + index / 588);
                self.push(0x1161 + index % 588 / 28);
                if !index.is_multiple_of(28) {
                    self.push(0x11a7 + index % 28);
                }
            }
            0x3041..=0x3096 => self.kana(code),
            // Katakana as hiragana.
            0x30a1..=0x30f6 => self.kana(code - 0x60),
            0xc0..=0x24f => {
                let small = c.to_lowercase().next().unwrap_or(c);
                match bare(small) {
                    Some(letter) => self.push(letter as u32),
                    None => self.fold(small),
                }
            }
            _ => self.fold(c),
        }
    }

    fn fold(&mut self, c: char) {
        match fold(c) {
            Fold::Invisible => {}
            Fold::Width(to) | Fold::Font(to) | Fold::LookAlike(to) => self.push(u32::from(to.to_ascii_lowercase())),
            Fold::Keep => self.push(c as u32),
        }
    }

    /// A kana and its voicing mark apart.
    fn kana(&mut self, code: u32) {
        const VOICED: u32 = 0x3099;
        const HALF_VOICED: u32 = 0x309a;
        let (base, mark) = match code {
            0x304c..=0x3062 if code.is_multiple_of(2) => (code - 1, Some(VOICED)),
            0x3065 | 0x3067 | 0x3069 => (code - 1, Some(VOICED)),
            0x3070..=0x307d => match (code - 0x306f) % 3 {
                1 => (code - 1, Some(VOICED)),
                2 => (code - 2, Some(HALF_VOICED)),
                _ => (code, None),
            },
            0x3094 => (0x3046, Some(VOICED)),
            _ => (code, None),
        };
        self.push(base);
        if let Some(mark) = mark {
            self.push(mark);
        }
    }

    fn push(&mut self, code: u32) {
        self.state = (self.state.rotate_left(5) ^ u64::from(code)).wrapping_mul(0x517c_c1b7_2722_0a95);
        self.packed = self.packed << 8 | u128::from(code as u8);
        self.beyond_ascii |= code > 0x7f;
        self.letters += 1;
    }

    fn finish(&self) -> Shape {
        if self.beyond_ascii {
            Shape::mixed(self.state)
        } else {
            Shape::packed(self.packed)
        }
    }
}

/// A small Latin letter without its accent.
fn bare(c: char) -> Option<char> {
    Some(match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ă' => 'a',
        'ç' | 'č' | 'ć' => 'c',
        'ď' => 'd',
        'è' | 'é' | 'ê' | 'ë' | 'ě' => 'e',
        'ì' | 'í' | 'î' | 'ï' => 'i',
        'ñ' | 'ň' | 'ń' => 'n',
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' => 'o',
        'ř' => 'r',
        'š' | 'ś' => 's',
        'ť' => 't',
        'ù' | 'ú' | 'û' | 'ü' | 'ů' => 'u',
        'ý' | 'ÿ' => 'y',
        'ž' | 'ź' | 'ż' => 'z',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_word_is_found_at_its_place_and_no_other_of_its_list() {
        let words = Words::new();
        assert_eq!(Language::ALL.len(), 10);
        for (list, language) in (0..).zip(Language::ALL) {
            for (index, word) in (0..).zip(language.word_list()) {
                let shape = Shape::of(word).unwrap_or_else(|| panic!("{word} has no shape"));
                assert!(words.may_hold(shape));
                let places: Vec<_> = words.places(shape).filter(|place| place.list == list).collect();
                assert_eq!(places, [Place { list, index }], "{word}");
            }
        }
    }

    #[test]
    fn tags_are_told_apart() {
        let shapes: BTreeSet<_> = Language::ALL
            .iter()
            .flat_map(|language| language.word_list())
            .map(|word| Shape::of(word).unwrap().0)
            .collect();
        // English and French share a hundred words, the Chinese lists most of theirs.
        assert!((18_000..20_480).contains(&shapes.len()), "{}", shapes.len());
        let words = Words::new();
        for other in ["the", "bitcoin", "hodl", "привет", "的的"] {
            assert_eq!(Shape::of(other).map_or(0, |shape| words.lists(shape)), 0, "{other}");
        }
        let known = |n: u32| Shape::of(&format!("x{n:05}")).is_some_and(|shape| words.may_hold(shape));
        let wrong = (0..10_000).filter(|&n| known(n)).count();
        assert!((500..2_500).contains(&wrong), "{wrong} of 10,000");
    }

    #[test]
    fn looks_do_not_matter() {
        let same = |a: &str, b: &str| assert_eq!(Shape::of(a), Shape::of(b), "{a} {b}");
        same("abandon", "ABANDON");
        same("abandon", "ａｂａｎｄｏｎ");
        same("abandon", "аb\u{200b}аndоn");
        same("abandon", "𝐚𝐛𝐚𝐧𝐝𝐨𝐧");
        same("ábaco", "a\u{301}baco");
        same("ÁBACO", "abaco");
        same("ñandú", "nandu");
        same("académie", "academie");
        same("がいこく", "か\u{3099}いこく");
        same("ぱいなっぷる", "は\u{309a}いなっふ\u{309a}る");
        same("ガイコク", "がいこく");
        same("가격", "\u{1100}\u{1161}\u{1100}\u{1167}\u{11a8}");
        assert_ne!(Shape::of("はいく"), Shape::of("ばいく"));
    }
}
