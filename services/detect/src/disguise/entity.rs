//! Characters written by number or name, as in the source of a web page (`&#48;`, `&#x200b;`,
//! `&zwnj;`).

/// Names that turn up in chats. The other two thousand do not.
const NAMES: [(&str, char); 24] = [
    ("nbsp", '\u{a0}'),
    ("ensp", ' '),
    ("emsp", ' '),
    ("thinsp", ' '),
    ("hairsp", ' '),
    ("zwnj", '\u{200c}'),
    ("zwj", '\u{200d}'),
    ("lrm", '\u{200e}'),
    ("rlm", '\u{200f}'),
    ("shy", '\u{ad}'),
    ("ZeroWidthSpace", '\u{200b}'),
    ("NoBreak", '\u{2060}'),
    ("lt", '<'),
    ("gt", '>'),
    ("amp", '&'),
    ("quot", '"'),
    ("apos", '\''),
    ("middot", '·'),
    ("bull", '•'),
    ("hellip", '…'),
    ("ndash", '–'),
    ("mdash", '—'),
    ("colon", ':'),
    ("sol", '/'),
];

/// The longest one that is looked for, `&ZeroWidthSpace;`.
const LONGEST: usize = 16;

/// The character that `text` begins with in this form, and how long it is written.
pub(super) fn read(text: &str) -> Option<(char, usize)> {
    let rest = text.strip_prefix('&')?;
    let end = rest.bytes().take(LONGEST).position(|b| b == b';')?;
    let name = &rest[..end];
    let length = end + 2;
    let c = if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => number.parse(),
        };
        code.ok().and_then(char::from_u32)?
    } else {
        NAMES.iter().find(|(known, _)| *known == name)?.1
    };
    Some((c, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_read() {
        assert_eq!(read("&#48;x"), Some(('0', 5)));
        assert_eq!(read("&#x200B;"), Some(('\u{200b}', 8)));
        assert_eq!(read("&ZeroWidthSpace;"), Some(('\u{200b}', 16)));
        assert_eq!(read("&nbsp; "), Some(('\u{a0}', 6)));
        for other in ["& co;", "&nothing;", "&#xd800;", "&#;", "&amp", "amp;"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
