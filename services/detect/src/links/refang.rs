//! Links that were broken so that no client makes them clickable: `hxxps[://]site[.]com/…`,
//! `site(dot)com/…`, `site dot com/…`.
//!
//! Only what stands before the path is mended, so that every place behind it stays where it was.

use std::{borrow::Cow, ops::Range};

/// What is written for a mark of a host, and the mark.
const BROKEN: [(&str, &str); 15] = [
    ("[.]", "."),
    ("(.)", "."),
    ("{.}", "."),
    ("[dot]", "."),
    ("(dot)", "."),
    ("{dot}", "."),
    ("[точка]", "."),
    ("(точка)", "."),
    ("[://]", "://"),
    ("(://)", "://"),
    ("[:]", ":"),
    ("(:)", ":"),
    ("[/]", "/"),
    (" dot ", "."),
    (" [.] ", "."),
];

/// The longest of them.
const LONGEST: usize = 12;

/// The longest host that is looked for, its scheme and marks included.
const LONGEST_HOST: usize = 128;

/// Where a link begins whose readable part begins at `start`: further left when what stands before
/// it is a broken mark.
pub(super) fn begin(text: &str, start: usize, ends: fn(char) -> bool) -> usize {
    let path = start;
    let mut start = start;
    while let Some((broken, mark)) = broken_before(&text[..start]) {
        let rest = &text[start..];
        // A sentence has spaced words too: what follows must be the end of a host.
        let host = rest.find(['/', '?', ':', ' ', '\n']).map_or(rest, |end| &rest[..end]);
        let fits = mark != "." || start < path || host.contains('.') || is_top(host);
        let lead = &text[..start - broken.len()];
        if !fits || !lead.ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | ']' | ')')) {
            break;
        }
        let from = lead.floor_char_boundary(path.saturating_sub(LONGEST_HOST).min(lead.len()));
        let next = lead[from..]
            .char_indices()
            .rev()
            .find(|&(_, c)| ends(c))
            .map_or(from, |(at, c)| from + at + c.len_utf8());
        // Inside a path nothing needs to be mended.
        if !is_in_host(&lead[next..]) {
            break;
        }
        start = next;
        if start == lead.len() && !mark.contains('/') && broken_before(lead).is_none() {
            break;
        }
    }
    start
}

/// The link with its host mended, and how many bytes that took away before the path; the link as
/// it is when nothing is broken.
pub(super) fn mend(link: &str) -> (Cow<'_, str>, usize) {
    let end = host_end(link);
    let host = &link[..end];
    if !host.contains(['[', '(', '{', ' ']) {
        return (Cow::Borrowed(link), 0);
    }
    let mut mended = String::with_capacity(link.len());
    let mut rest = host;
    while !rest.is_empty() {
        let found = BROKEN.iter().find(|(broken, _)| starts(rest, broken));
        if let Some((broken, mark)) = found {
            mended.push_str(mark);
            rest = &rest[broken.len()..];
        } else {
            let first = rest.chars().next().map_or(1, char::len_utf8);
            mended.push_str(&rest[..first]);
            rest = &rest[first..];
        }
    }
    let gone = end - mended.len();
    mended.push_str(&link[end..]);
    (Cow::Owned(mended), gone)
}

/// Where the path begins.
fn host_end(link: &str) -> usize {
    let scheme = ["://", "[://]", "(://)", "[:]//", "(:)//"]
        .iter()
        .filter_map(|mark| Some(link.find(mark)? + mark.len()))
        .min()
        .unwrap_or(0);
    let rest = &link[scheme..];
    let Some(at) = rest.find(['/', '?', '#']) else {
        return link.len();
    };
    // "[/]" is the first slash of the path.
    let wrapped = rest[..at].ends_with('[') && rest[at + 1..].starts_with(']');
    scheme + at + if wrapped { 2 } else { 0 }
}

/// Whether a stretch before a mark can belong to a host, with or without its scheme.
fn is_in_host(stretch: &str) -> bool {
    let host = stretch.rsplit_once("//").map_or(stretch, |(_, host)| host);
    !host.contains(['/', '?', '#']) && matches!(stretch.len() - host.len(), 0 | 2..=16)
}

fn broken_before(text: &str) -> Option<(&'static str, &'static str)> {
    let from = text.floor_char_boundary(text.len().saturating_sub(LONGEST));
    let tail = &text[from..];
    BROKEN
        .iter()
        .find(|(broken, _)| {
            tail.len()
                .checked_sub(broken.len())
                .is_some_and(|at| tail.is_char_boundary(at) && starts(&tail[at..], broken))
        })
        .copied()
}

fn starts(text: &str, with: &str) -> bool {
    text.get(..with.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(with))
}

fn is_top(host: &str) -> bool {
    (2..=12).contains(&host.len()) && host.bytes().all(|b| b.is_ascii_alphabetic())
}

/// Moves a place in a mended link to where it stands in the link as written.
pub(super) fn back(span: &Range<usize>, gone: usize) -> Range<usize> {
    span.start + gone..span.end + gone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_mended_and_places_kept() {
        for (link, mended) in [
            ("hxxps://dexscreener[.]com/base/X", "hxxps://dexscreener.com/base/X"),
            ("hxxps[://]www[.]solscan[.]io/token/X", "hxxps://www.solscan.io/token/X"),
            ("pump(dot)fun/coin/X", "pump.fun/coin/X"),
            ("pump dot fun/coin/X", "pump.fun/coin/X"),
            ("https[:]//etherscan{DOT}io/token/X", "https://etherscan.io/token/X"),
            ("t[.]me[/]bot?start=X", "t.me/bot?start=X"),
            ("t.me/bot?start=[.]X", "t.me/bot?start=[.]X"),
        ] {
            let (text, gone) = mend(link);
            assert_eq!(text, mended, "{link}");
            let at = text.len() - 1;
            assert_eq!(&link[back(&(at..at + 1), gone)], "X", "{link}");
        }
    }

    #[test]
    fn a_broken_link_begins_before_its_marks() {
        let ends = |c: char| c.is_whitespace() || matches!(c, '[' | ']' | '(' | ')');
        for (text, path, link) in [
            (
                "see hxxps://dexscreener[.]com/base",
                "com/base",
                "hxxps://dexscreener[.]com/base",
            ),
            ("see www[.]pump[dot]fun/x", "fun/x", "www[.]pump[dot]fun/x"),
            ("see pump dot fun/x", "fun/x", "pump dot fun/x"),
            ("connect the dot a/b/c", "a/b/c", "a/b/c"),
            ("[.]com/x", "com/x", "com/x"),
            ("hxxps[://]a.io/x", "a.io/x", "hxxps[://]a.io/x"),
        ] {
            let start = text.find(path).unwrap();
            assert_eq!(&text[begin(text, start, ends)..], link, "{text}");
        }
    }
}
