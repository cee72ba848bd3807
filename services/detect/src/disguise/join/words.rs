//! Pieces that are words, and words that speak of pieces.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

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

/// Whether a text asks for its pieces to be put together.
pub(super) fn asks_to_close(text: &str) -> bool {
    static SEARCH: LazyLock<AhoCorasick> = LazyLock::new(|| {
        // Cannot fail: it does so only when the patterns need more than 2^31 states.
        AhoCorasick::new(CLOSES).expect("a few dozen fixed patterns")
    });
    SEARCH.is_match(&text.to_lowercase())
}

/// Whether a piece reads like a word of a sentence (letters alone, in one of the three usual
/// cases) or like a name of several (`RotateEachWord64`).
pub(super) fn is_word(piece: &str) -> bool {
    if piece.len() < 4 {
        return piece.len() > 1 && SHORT_WORDS.iter().any(|word| piece.eq_ignore_ascii_case(word));
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
