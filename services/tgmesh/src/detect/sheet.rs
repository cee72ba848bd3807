//! Chat text in rows and columns of a terminal.

use std::ops::Range;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::terminal;

/// Marks that may stand on one character; more are a prank, and are spelled out.
const MOST_MARKS: usize = 6;

/// A character with the marks on it, as it is shown.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) shown: String,
    /// Columns.
    pub(super) width: usize,
    /// The bytes of the text that it stands for.
    pub(super) at: Range<usize>,
}

/// The rows of `text`, each at most so many columns wide.
///
/// What a terminal would obey is spelled out; a mark without a character to stand on gets one; a
/// character and its marks are as wide as they are together (an emoji with its selector has two
/// columns).
pub(super) fn rows(text: &str, columns: usize) -> Vec<Vec<Cell>> {
    let mut rows = vec![Vec::new()];
    let (mut marks, mut used) = (0, 0);
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        // There is always one.
        let Some(row) = rows.last_mut() else { break };
        if c == '\n' {
            rows.push(Vec::new());
            used = 0;
            continue;
        }
        let shown = if c == '\t' {
            "    ".to_owned()
        } else if terminal::obeys(c) {
            c.escape_unicode().to_string()
        } else if c.width() == Some(0) {
            if let Some(cell) = row
                .last_mut()
                .filter(|cell: &&mut Cell| marks < MOST_MARKS && cell.at.end == at)
            {
                marks += 1;
                cell.shown.push(c);
                used -= cell.width;
                cell.width = cell.shown.width();
                used += cell.width;
                cell.at.end = end;
                continue;
            }
            if marks < MOST_MARKS {
                format!("◌{c}")
            } else {
                c.escape_unicode().to_string()
            }
        } else {
            marks = 0;
            c.to_string()
        };
        let cell = Cell {
            width: shown.width(),
            shown,
            at: at..end,
        };
        used += cell.width;
        if used > columns && !row.is_empty() {
            used = cell.width;
            rows.push(vec![cell]);
        } else {
            row.push(cell);
        }
    }
    rows
}

/// Chat text without what a terminal would obey.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if terminal::obeys(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// `text` in exactly so many columns: cut with an ellipsis, or filled up.
pub(crate) fn fitted(text: &str, columns: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    let cut = text.width() > columns;
    let room = columns - usize::from(cut);
    for cell in rows(text, usize::MAX).into_iter().flatten() {
        if used + cell.width > room {
            break;
        }
        used += cell.width;
        out += &cell.shown;
    }
    if cut {
        out.push('…');
        used += 1;
    }
    out.extend(std::iter::repeat_n(' ', columns.saturating_sub(used)));
    out
}

/// Whether a terminal may show a row from right to left, so that columns tell nothing.
pub(super) fn turns(row: &[Cell]) -> bool {
    row.iter().any(|cell| {
        cell.shown.chars().any(|c| {
            matches!(c,
                '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' | '\u{10800}'..='\u{10fff}'
                | '\u{1e800}'..='\u{1efff}')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, columns: usize) -> Vec<String> {
        rows(text, columns)
            .iter()
            .map(|row| row.iter().map(|cell| cell.shown.as_str()).collect())
            .collect()
    }

    #[test]
    fn rows_are_no_wider_than_asked() {
        assert_eq!(shown("abcdef\ngh", 4), ["abcd", "ef", "gh"]);
        // Two columns each.
        assert_eq!(shown("今日は", 5), ["今日", "は"]);
        assert_eq!(shown("", 4), [""]);
        // One that is wider than a row has one of its own.
        assert_eq!(shown("a\u{200b}b", 4), ["a", "\\u{200b}", "b"]);
    }

    #[test]
    fn marks_stand_on_their_character() {
        let rows = rows("e\u{301}❤\u{fe0f}x", 80);
        let widths: Vec<usize> = rows[0].iter().map(|cell| cell.width).collect();
        assert_eq!(widths, [1, 2, 1]);
        assert_eq!(rows[0][1].at, 3..9);
        assert_eq!(shown("\u{301}a", 80), ["◌\u{301}a"]);
        let zalgo = format!("a{}b", "\u{301}".repeat(50));
        assert!(shown(&zalgo, 1000)[0].ends_with("\\u{301}b"));
    }

    #[test]
    fn cut_and_filled_to_columns() {
        assert_eq!(fitted("abc", 5), "abc  ");
        assert_eq!(fitted("abcdef", 5), "abcd…");
        assert_eq!(fitted("今日は晴れ", 6), "今日… ");
    }

    #[test]
    fn text_that_turns_is_known() {
        assert!(turns(&rows("CA صباح", 80)[0]));
        assert!(!turns(&rows("CA 今日 привет 🔥", 80)[0]));
    }
}
