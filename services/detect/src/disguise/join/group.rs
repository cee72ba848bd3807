//! Solana keys in pieces.
//!
//! Nothing proves such a key, so every window of pieces with the right length is rated first: whole
//! lines and groups before cuts through them, one kind of gap before many, chunks before words. The
//! best ones that decode are taken.

use std::{cmp::Reverse, ops::Range};

use super::{Atoms, Gap, Joined, ton::is_ton_like, whole};
use crate::{
    Family,
    families::{Proof, Seen, solana},
};

/// Suffixes that stand apart and look like words.
const SUFFIXES: [&str; 3] = ["pump", "bonk", "moon"];
/// Words that say where such a suffix goes.
const ADDS: [&str; 51] = [
    "add",
    "word",
    "append",
    "plus",
    "attach",
    "end",
    "ends",
    "ending",
    "then",
    "finish",
    "suffix",
    "last",
    "tail",
    "fin",
    "добав",
    "конец",
    "конце",
    "конч",
    "приб",
    "допи",
    "添加",
    "加",
    "结尾",
    "結尾",
    "末尾",
    "最后",
    "後",
    "끝",
    "追加",
    "añad",
    "agreg",
    "termin",
    "acab",
    "final",
    "ajout",
    "anhäng",
    "endung",
    "sonu",
    "ekle",
    "akhir",
    "tambah",
    "cuối",
    "thêm",
    "aggiung",
    "końc",
    "dodaj",
    "آخر",
    "أضف",
    "نهاية",
    "पीछे",
    "जोड़",
];
/// Short words of sentences and captions; a piece of an address is one of them by rare chance. None
/// of one letter: those are the pieces of an address that was spelled out.
const SHORT_WORDS: [&str; 37] = [
    "ca", "mc", "lp", "tg", "is", "my", "on", "at", "in", "of", "to", "it", "be", "or", "so", "we", "up", "the", "and",
    "for", "new", "now", "buy", "sol", "eth", "bsc", "bnb", "gem", "dev", "but", "not", "you", "all", "see", "get",
    "via", "lfg",
];
/// Words that ask to close gaps, so that even what looks whole may be a piece.
const CLOSES: [&str; 44] = [
    "space",
    "lines",
    "remove",
    "together",
    "combine",
    "pieces",
    "join",
    "merge",
    "glue",
    "пробел",
    "строк",
    "склей",
    "убери",
    "убрать",
    "соедин",
    "空格",
    "换行",
    "拼",
    "合并",
    "连起",
    "連",
    "espacio",
    "junta",
    "leerzeichen",
    "zusammen",
    "boşluk",
    "birleştir",
    "spasi",
    "gabung",
    "espaces",
    "colle",
    "spazi",
    "unisci",
    "khoảng",
    "nối",
    "스페이스",
    "띄어",
    "합치",
    "スペース",
    "つなげ",
    "spaties",
    "فاصله",
    "مسافات",
    "bez spacji",
];
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
    let mut windows = windows(atoms);
    windows.sort_by_key(|window| (Reverse(window.rating), window.first));
    let mut taken = taken.to_vec();
    for window in windows.iter().take(TRIES) {
        let span = atoms.atoms[window.first].range.start..atoms.atoms[window.last].range.end;
        if taken
            .iter()
            .any(|other| other.start < span.end && span.start < other.end)
        {
            continue;
        }
        if let Some(joined) = key(atoms, window, &span) {
            taken.push(span);
            found(joined);
        }
    }
}

/// Finds keys whose suffix stands apart, with words or marks before it that say so.
pub(super) fn suffixed(atoms: &Atoms<'_>, found: &mut dyn FnMut(Joined)) {
    for index in 0..atoms.atoms.len() {
        suffix(atoms, index, found);
    }
}

/// The windows that begin and end where a person could begin and end to copy.
fn windows(atoms: &Atoms<'_>) -> Vec<Window> {
    let count = atoms.atoms.len();
    let words: Vec<bool> = (0..count).map(|index| is_word(atoms.piece(index))).collect();
    let text = atoms.text.to_lowercase();
    let closes = CLOSES.iter().any(|word| text.contains(word));
    let separate: Vec<bool> = (0..count).map(|index| separates(atoms, index, closes)).collect();
    let mut windows = Vec::new();
    for first in 0..count {
        let (gap, kind) = (atoms.atoms[first].gap, atoms.atoms[first].kind);
        // Pieces with a loose gap between them belong together only where all gaps are alike.
        let apart = |index: usize| {
            let loose = matches!(gap, Gap::Loose(_)) || matches!(atoms.atoms[index].gap, Gap::Loose(_));
            separate[index] || (loose && atoms.atoms[index].kind != kind)
        };
        let begins = match first.checked_sub(1) {
            None => 2,
            Some(before) if apart(before) => 2,
            Some(before) if words[before] || atoms.atoms[before].kind != kind => 1 - decorated(atoms, before),
            Some(_) => continue,
        };
        let mut length = 0;
        let mut reads = 0;
        let mut uniform = true;
        for last in first..count {
            let piece = atoms.piece(last);
            length += piece.len();
            reads += if words[last] { piece.len() } else { 0 };
            uniform &= last < first + 2 || atoms.atoms[last - 1].kind == kind;
            if length > 44 {
                break;
            }
            let ends = if apart(last) {
                2
            } else if words.get(last + 1) == Some(&true) || atoms.atoms[last].kind != kind {
                1 - decorated(atoms, last)
            } else {
                -9
            };
            // A third of it may read like words by chance, half of it where the rest is in order.
            let sentence = joins_a_sentence(atoms, &words, first, last) || (!closes && captioned(atoms, first, last));
            let chunks = !sentence && reads * if uniform || ends + begins == 4 { 2 } else { 3 } <= length;
            let alike = !matches!(gap, Gap::Loose(_))
                || tight(atoms, first, last)
                || last >= first + FEWEST_LOOSE
                || (asked(atoms, first, closes) && !words[first] && !words[last]);
            if last > first && length >= 32 && ends > -9 && chunks && alike {
                let suffixed = SUFFIXES.iter().any(|suffix| piece.ends_with(suffix))
                    || (piece.len() < 4 && ends == 2 && ends_in_suffix(atoms, last));
                let rating =
                    begins + ends + 3 * i32::from(uniform) + 3 * i32::from(suffixed) - (reads * 10 / length) as i32;
                windows.push(Window { rating, first, last });
            }
            if apart(last) {
                break;
            }
        }
    }
    windows
}

/// So many loose gaps of one kind are no accident.
const FEWEST_LOOSE: usize = 3;

/// Whether the text asks for pieces to be put together, or offers something right before them.
fn asked(atoms: &Atoms<'_>, first: usize, closes: bool) -> bool {
    let at = atoms.atoms[first].range.start;
    closes || atoms.text[..at].trim_end().ends_with([':', '：'])
}

/// Whether no gap of a window has a space: what touches both pieces is put into something.
fn tight(atoms: &Atoms<'_>, first: usize, last: usize) -> bool {
    (first..last).all(|index| {
        let between = atoms.between(index);
        !between.contains(char::is_whitespace) && !between.is_ascii()
    })
}

/// What a cut at a gap costs that has a mark in it: marks are put into addresses as well as around
/// them, and leaving a piece out makes another key.
fn decorated(atoms: &Atoms<'_>, index: usize) -> i32 {
    if distance(atoms, index) == 0 { 2 } else { 0 }
}

/// Whether a window begins or ends with small letters alone that are no suffix: a caption before a
/// code, or what a sentence goes on with.
fn captioned(atoms: &Atoms<'_>, first: usize, last: usize) -> bool {
    if first == last {
        return false;
    }
    let small = |index: usize, fewest: usize| {
        let piece = atoms.piece(index);
        piece.len() >= fewest && piece.bytes().all(|b| b.is_ascii_lowercase())
    };
    let labelled = first > 0 && atoms.between(first - 1).contains(':');
    let next_small = last + 1 < atoms.atoms.len() && distance(atoms, last) == 1 && small(last + 1, 2);
    (small(first, 4) && !labelled && distance(atoms, first) > 0)
        || (small(last, 2) && next_small && distance(atoms, last - 1) > 0 && !is_suffix(atoms.piece(last)))
}

fn is_suffix(piece: &str) -> bool {
    SUFFIXES
        .iter()
        .any(|suffix| suffix.ends_with(piece) || piece.ends_with(suffix))
}

/// Whether a window begins or ends with a word that belongs to what goes on outside of it rather
/// than to the pieces inside.
fn joins_a_sentence(atoms: &Atoms<'_>, words: &[bool], first: usize, last: usize) -> bool {
    if first == last {
        return false;
    }
    let outside = |inner: usize, outer: Option<usize>| {
        let apart = outer.map_or(3, |outer| distance(atoms, outer));
        distance(atoms, inner) >= apart
            || (distance(atoms, inner) > 0 && atoms.atoms[inner].kind != atoms.atoms[first].kind)
    };
    let ends_in_suffix = SUFFIXES.iter().any(|suffix| atoms.piece(last).ends_with(suffix));
    (words[first] && outside(first, first.checked_sub(1)))
        || (words[last] && !ends_in_suffix && outside(last - 1, Some(last)))
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

/// Whether the pieces up to `last` spell a suffix.
fn ends_in_suffix(atoms: &Atoms<'_>, last: usize) -> bool {
    let mut tail = String::new();
    for index in (last.saturating_sub(3)..=last).rev() {
        tail.insert_str(0, atoms.piece(index));
    }
    SUFFIXES.iter().any(|suffix| tail.ends_with(suffix))
}

fn key(atoms: &Atoms<'_>, window: &Window, span: &Range<usize>) -> Option<Joined> {
    if is_ton_like(atoms.text, span) {
        return None;
    }
    let mut word = String::with_capacity(44);
    let mut steps = Vec::new();
    for index in window.first..=window.last {
        word.push_str(atoms.piece(index));
        if index < window.last
            && let Gap::Soft(step) | Gap::Loose(step) = atoms.atoms[index].gap
            && !steps.contains(&step)
        {
            steps.push(step);
        }
    }
    if is_list(atoms, window) || is_key_and_word(atoms, window) {
        return None;
    }
    let seen = whole(&word)?;
    let Seen {
        families: &[Family::Solana],
        proof,
        ..
    } = seen
    else {
        return None;
    };
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    (digits >= 2 || matches!(proof, Proof::Base58Suffix(_))).then(|| Joined {
        seen: Seen {
            span: span.clone(),
            ..seen
        },
        steps,
        needs_label: false,
    })
}

/// "…Yfs (add pump at the end)", "…Yfs (+pump)", "…Yfs ends with pump".
fn suffix(atoms: &Atoms<'_>, index: usize, found: &mut dyn FnMut(Joined)) {
    let piece = atoms.piece(index);
    if !(34..=41).contains(&piece.len()) || solana::is_key(piece) {
        return;
    }
    if let Some(suffix) = told_before(atoms, index)
        && let Some(seen) = whole(&format!("{piece}{suffix}"))
    {
        let span = atoms.atoms[index].range.clone();
        found(Joined {
            seen: Seen { span, ..seen },
            steps: vec!["fold:suffix"],
            needs_label: false,
        });
        return;
    }
    let from = atoms.atoms[index].range.end;
    for next in index + 1..atoms.atoms.len().min(index + 9) {
        let word = atoms.piece(next);
        let Some(suffix) = SUFFIXES.iter().find(|suffix| word.eq_ignore_ascii_case(suffix)) else {
            continue;
        };
        let between = &atoms.text[from..atoms.atoms[next].range.start];
        let touches = next == index + 1 && between.chars().count() <= WIDEST_MARK && !between.contains('$');
        let between = between.to_lowercase();
        let tail: String = atoms.text[atoms.atoms[next].range.end..]
            .chars()
            .take(24)
            .collect::<String>()
            .to_lowercase();
        if !touches && !ADDS.iter().any(|add| between.contains(add) || tail.contains(add)) {
            continue;
        }
        if let Some(seen) = whole(&format!("{piece}{suffix}")) {
            let end = if touches { atoms.atoms[next].range.end } else { from };
            let span = atoms.atoms[index].range.start..end;
            found(Joined {
                seen: Seen { span, ..seen },
                steps: vec!["fold:suffix"],
                needs_label: false,
            });
        }
        return;
    }
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

/// "append pump: 4rZ9…", "结尾加 pump：4rZ9…": the suffix that an order right before a piece names.
fn told_before(atoms: &Atoms<'_>, index: usize) -> Option<&'static str> {
    /// How far before the piece the order may begin, in bytes.
    const REACH: usize = 64;
    let at = atoms.atoms[index].range.start;
    let lead = &atoms.text[atoms.text.ceil_char_boundary(at.saturating_sub(REACH))..at];
    let lead = lead.trim_end();
    // It ends in a colon, or on the line above.
    let order = lead.strip_suffix([':', '：', '👉', '→'])?;
    let order = order.rsplit('\n').next()?.to_lowercase();
    let words: Vec<&str> = order.split(|c: char| !c.is_ascii_alphabetic()).collect();
    let suffix = SUFFIXES.iter().find(|suffix| words.contains(suffix))?;
    let told = order.contains("without") || ADDS.iter().any(|add| order.contains(add));
    told.then_some(*suffix)
}

/// How many marks may stand between a key and its suffix.
const WIDEST_MARK: usize = 6;

/// Whether a piece reads like a word of a sentence (letters alone, in one of the three usual
/// cases) or like a name of several (`RotateEachWord64`).
fn is_word(piece: &str) -> bool {
    if SHORT_WORDS.iter().any(|word| piece.eq_ignore_ascii_case(word)) {
        return true;
    }
    let letters = piece.trim_end_matches(|c: char| c.is_ascii_digit());
    if letters.len() < 4 || !letters.bytes().all(|b| b.is_ascii_alphabetic()) {
        return false;
    }
    let small = letters.bytes().filter(u8::is_ascii_lowercase).count();
    let jagged = letters
        .as_bytes()
        .windows(2)
        .any(|pair| pair.iter().all(u8::is_ascii_uppercase));
    // Seven in ten: of a random piece of ten characters one in fifty is like that.
    (small * 10 >= letters.len() * 7 && !jagged) || (small == 0 && letters.len() == piece.len())
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
