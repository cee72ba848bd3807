//! Characters that the message itself says to put in the place of others: "replace $ with a",
//! "@ = 0".

use super::alphabet::is_word;

/// Words between a character and what is to be written for it.
const LINKS: [&str; 30] = [
    "=",
    "->",
    "→",
    "➜",
    "➡",
    "=>",
    "with",
    "by",
    "to",
    "for",
    "is",
    "means",
    "на",
    "это",
    "con",
    "por",
    "para",
    "par",
    "durch",
    "mit",
    "ile",
    "dengan",
    "con la",
    "换成",
    "改成",
    "替换为",
    "替换成",
    "是",
    "を",
    "→",
];

/// The most replacements of one message.
const MOST: usize = 4;

/// What is to be written for a character that stands in an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Swap {
    pub(super) from: char,
    pub(super) to: char,
}

/// The replacements that `text` asks for.
pub(super) fn find(text: &str) -> Vec<Swap> {
    let mut swaps: Vec<Swap> = Vec::new();
    if !text.chars().any(stands_in) {
        return swaps;
    }
    let quotes = ['"', '\'', '“', '”', '«', '»', '`', '‘', '’'];
    for (at, from) in text.char_indices().filter(|&(_, c)| stands_in(c)) {
        let rest = &text[at + from.len_utf8()..];
        let rest = rest
            .trim_start_matches(['\u{fe0f}', ' '])
            .trim_start_matches(quotes)
            .trim_start();
        let Some(rest) = LINKS.iter().find_map(|link| {
            let rest = strip(rest, link)?;
            // "$a" is a name, "$ a" is none.
            (rest.starts_with([' ', '"', '\'', '“', '«', '`']) || !link.is_ascii() || link.len() < 3).then_some(rest)
        }) else {
            continue;
        };
        let rest = rest.trim_start().trim_start_matches(quotes);
        let mut after = rest.chars();
        let Some(to) = after.next().filter(char::is_ascii_alphanumeric) else {
            continue;
        };
        if after.next().is_some_and(char::is_alphanumeric) || swaps.iter().any(|swap| swap.from == from) {
            continue;
        }
        swaps.push(Swap { from, to });
        if swaps.len() == MOST {
            break;
        }
    }
    swaps
}

/// Whether people put this character in the place of another: marks and pictures, but none that
/// separates or wraps.
fn stands_in(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, '$' | '@' | '#' | '%' | '&' | '*' | '!' | '?' | '^' | '+' | '=' | '~');
    }
    !is_word(c)
        && !c.is_whitespace()
        && !matches!(
            c,
            '\u{fe0f}' | '\u{200d}' | '→' | '➜' | '➡' | '“' | '”' | '«' | '»' | '…' | '—' | '–' | '•' | '·'
        )
        || matches!(c, 'Ω' | 'Δ' | 'Σ' | 'π' | 'µ')
}

fn strip<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let head = text.get(..start.len())?;
    head.eq_ignore_ascii_case(start).then(|| &text[start.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swaps(text: &str) -> Vec<(char, char)> {
        find(text).into_iter().map(|swap| (swap.from, swap.to)).collect()
    }

    #[test]
    fn statements_are_read() {
        for text in [
            "0x12$4 (replace $ with a)",
            "0x12$4, $ = a",
            "0x12$4\n$=a",
            "0x12$4 замени $ на a",
            "0x12$4 ($ is a)",
            "0x12$4 replace \"$\" by \"a\"",
            "把$换成a",
        ] {
            assert_eq!(swaps(text), [('$', 'a')], "{text}");
        }
        assert_eq!(swaps("swap ⭐️ for 7 and @ -> B"), [('⭐', '7'), ('@', 'B')]);
    }

    #[test]
    fn prices_and_names_are_none() {
        for text in [
            "$a is at $5",
            "$ is king",
            "mail me @ noon",
            "up 5% to the moon",
            "a = b",
            "🚀 to the moon",
        ] {
            assert_eq!(swaps(text), [], "{text}");
        }
    }
}
