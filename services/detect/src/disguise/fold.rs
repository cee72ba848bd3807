//! One reading with everything undone that concerns single characters, tags and fillers.

use std::ops::Range;

use super::{
    Fillers, Reading,
    alphabet::{self, Fold, REGIONAL_A, REGIONAL_Z},
    entity, swap,
};

/// Tags that people's clients leave in a text.
const TAGS: [&str; 16] = [
    "b",
    "i",
    "u",
    "s",
    "a",
    "br",
    "em",
    "code",
    "pre",
    "strong",
    "span",
    "del",
    "ins",
    "tg-spoiler",
    "spoiler",
    "font",
];

pub(super) fn fold(text: &str, fillers: &Fillers) -> Reading {
    let mut reading = Reading {
        text: String::with_capacity(text.len()),
        origin: Vec::with_capacity(text.len()),
        marks: Vec::new(),
    };
    let fillers = fillers.find(text);
    let mut fillers = fillers.iter().peekable();
    let swaps = swap::find(text);
    let flags = flags(text);
    let numbered = is_numbered(text);
    let mut skip = 0;
    // Where the current word ends and whether its look-alikes are to be folded.
    let mut word = (0, false);
    for (at, c) in text.char_indices() {
        if at < skip {
            continue;
        }
        if let Some(filler) = fillers.next_if(|filler| filler.start <= at) {
            reading.mark("fold:filler");
            skip = filler.end;
            continue;
        }
        let mut c = c;
        let mut origin = at..at + c.len_utf8();
        if c == '<'
            && let Some(length) = tag(&text[at..])
        {
            reading.mark("fold:markup");
            skip = at + length;
            continue;
        }
        if c == '&'
            && let Some((named, length)) = entity::read(&text[at..])
        {
            reading.mark("fold:entity");
            skip = at + length;
            origin.end = skip;
            c = named;
        }
        if let Some(swap) = swaps.iter().find(|swap| swap.from == c)
            && touches(text, &origin)
        {
            reading.mark("fold:swap");
            if text[origin.end..].starts_with('\u{fe0f}') {
                skip = origin.end + '\u{fe0f}'.len_utf8();
                origin.end = skip;
            }
            reading.push(swap.to, origin);
            continue;
        }
        if c.is_ascii() {
            reading.push(c, origin);
            continue;
        }
        match alphabet::fold(c) {
            Fold::Invisible if c == KEYCAP && numbered && caps_a_number(text, at) => reading.push(c, origin),
            Fold::Font(_) if flags && is_regional(c) => reading.push(c, origin),
            Fold::Keep => reading.push(c, origin),
            Fold::Invisible => reading.mark("fold:zero-width"),
            Fold::Width(to) => {
                reading.mark("fold:width");
                reading.push(to, origin);
            }
            Fold::Font(to) => {
                reading.mark("fold:font");
                reading.push(to, origin);
            }
            Fold::LookAlike(to) => {
                if at >= word.0 {
                    word = mixed(text, at);
                }
                if word.1 {
                    reading.mark("fold:look-alike");
                    reading.push(to, origin);
                } else {
                    reading.push(c, origin);
                }
            }
        }
    }
    reading
}

/// Whether a letter or digit stands right before or after a place.
fn touches(text: &str, place: &Range<usize>) -> bool {
    let word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let after = text[place.end..].trim_start_matches('\u{fe0f}');
    word(text[..place.start].chars().next_back()) && word(after.chars().next())
        || (word(text[..place.start].chars().next_back()) || word(after.chars().next()))
            && !text[..place.start].ends_with(' ')
            && !text[..place.start].ends_with('\n')
}

fn is_regional(c: char) -> bool {
    (REGIONAL_A..=REGIONAL_Z).contains(&u32::from(c))
}

/// Whether the letters that make flags do so here: they always come in pairs.
fn flags(text: &str) -> bool {
    let mut run = 0_usize;
    let mut single = false;
    for c in text.chars() {
        if is_regional(c) {
            run += 1;
        } else {
            single |= run % 2 == 1;
            run = 0;
        }
    }
    !single && run.is_multiple_of(2)
}

/// What makes a key of the digit before it.
const KEYCAP: char = '\u{20e3}';

/// Whether keys number the pieces of a text ("1️⃣… 2️⃣…"), rather than stand for digits in them.
fn is_numbered(text: &str) -> bool {
    let numbers = |digit: char| {
        text.match_indices(KEYCAP)
            .any(|(at, _)| caps_a_number(text, at) && digit_before(text, at) == Some(digit))
    };
    numbers('1') && numbers('2')
}

/// The digit that a keycap stands behind.
fn digit_before(text: &str, at: usize) -> Option<char> {
    text[..at].trim_end_matches('\u{fe0f}').chars().next_back()
}

/// Whether what a keycap stands behind begins a word.
fn caps_a_number(text: &str, at: usize) -> bool {
    let lead = text[..at]
        .trim_end_matches('\u{fe0f}')
        .trim_end_matches(|c: char| c.is_ascii_digit());
    !lead.ends_with(|c: char| c.is_alphanumeric() || c == KEYCAP)
}

/// The end of the word around `at`, and whether it mixes ASCII with look-alikes or is a single
/// character. A word all of another script is a word of that script.
fn mixed(text: &str, at: usize) -> (usize, bool) {
    let belongs = |c: &char| c.is_ascii_alphanumeric() || (!c.is_ascii() && alphabet::fold(*c) != Fold::Keep);
    // Backwards only as far as matters: a plain character beside it is enough.
    let before = text[..at].chars().rev().take(64).take_while(belongs);
    let lead_ascii = before.clone().any(|c| c.is_ascii());
    let alone = !text[..at].ends_with(char::is_alphabetic);
    let mut end = at;
    let mut ascii = lead_ascii;
    let mut visible = 0;
    for c in text[at..].chars().take_while(belongs) {
        end += c.len_utf8();
        ascii |= c.is_ascii();
        visible += 1;
    }
    let alone = alone && visible == 1 && !text[end..].starts_with(char::is_alphabetic);
    (end, ascii || alone)
}

/// The length of an HTML tag at the start of `text`.
fn tag(text: &str) -> Option<usize> {
    const LONGEST: usize = 64;
    let end = text.bytes().take(LONGEST).position(|b| b == b'>')?;
    let inner = text[1..end].trim_start_matches('/');
    let name = inner.split([' ', '/']).next()?;
    TAGS.iter().any(|tag| name.eq_ignore_ascii_case(tag)).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        fold(text, &Fillers::new()).text
    }

    #[test]
    fn only_mixed_words_lose_their_script() {
        assert_eq!(folded("контракт 0хb1"), "контракт 0xb1");
        assert_eq!(folded("4Т4уkFТj"), "4T4ykFTj");
        assert_eq!(folded("ТОН и у"), "ТОН и y");
        assert_eq!(folded("часть первая"), "часть первая");
        assert_eq!(folded("1\u{fe0f}\u{20e3}aB 2\u{20e3}cD"), "1\u{20e3}aB 2\u{20e3}cD");
        assert_eq!(folded("a2\u{fe0f}\u{20e3}b 1\u{20e3}"), "a2b 1");
        assert_eq!(
            folded("<b>a</b><i>b</i> <https://x.io> 1<2>3"),
            "ab <https://x.io> 1<2>3"
        );
    }
}
