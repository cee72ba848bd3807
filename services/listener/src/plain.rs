//! Text of others on a terminal: it is hostile, and must not steer it.

/// The text in one line, without what a terminal obeys rather than shows.
#[must_use]
pub fn plain(text: &str) -> String {
    let shown = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    shown.filter(|c| !obeys(*c)).collect()
}

/// C0 and C1 controls, DEL, and the marks that turn the direction of text or hide it.
fn obeys(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A time span in the two largest units that it has.
#[must_use]
pub fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// A number or name with its middle hidden, for lists that others may see.
#[must_use]
pub fn masked(text: &str) -> String {
    let count = text.chars().count();
    let hidden = |at: usize| (2..count.saturating_sub(2).max(2)).contains(&at);
    text.chars()
        .enumerate()
        .map(|(at, c)| if hidden(at) { '•' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(plain("a\x1b[2Jb\u{202e}c\r\nd\u{9b}e"), "a[2Jbc  de");
    }

    #[test]
    fn spans_and_masks() {
        assert_eq!((span(31), span(3_723)), ("31 s".to_owned(), "1 h 2 min".to_owned()));
        assert_eq!(span(90_000), "1 d 1 h");
        assert_eq!(masked("9996600001"), "99••••••01");
        assert_eq!(masked("1234"), "1234");
    }
}
