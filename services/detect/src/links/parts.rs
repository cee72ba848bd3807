//! A link taken apart, without copying it.

use std::ops::Range;

use super::refang;
use crate::Role;

/// Host, path and query of a link; all slices of it.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    link: &'a str,
    /// The scheme where it is not http, else empty.
    scheme: &'a str,
    host: &'a str,
    /// Path segments, `#` among them; for other schemes than http the host is the first.
    segments: Vec<Range<usize>>,
    /// Keys and values.
    query: Vec<(Range<usize>, Range<usize>)>,
}

/// What a pattern says about the address in a link.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page<'a> {
    pub(crate) role: Role,
    /// The slug of the chain, if the pattern has one and the link too.
    pub(crate) chain: Option<&'a str>,
    /// It is the coin that a swap is paid with.
    pub(crate) pays: bool,
}

/// Most segments and query pairs of a link that are looked at.
const MOST: usize = 32;

impl<'a> Parts<'a> {
    /// Takes `link` apart up to the first character that belongs to no link.
    pub(crate) fn of(link: &'a str) -> Option<Self> {
        let end = link.find(ends_link).unwrap_or(link.len());
        let link = &link[..end];
        let (scheme, start) = link.find("://").map_or(("", 0), |colon| (&link[..colon], colon + 3));
        let scheme = if scheme.len() >= 4 && scheme[..2].eq_ignore_ascii_case("ht")
            || scheme.len() >= 4 && scheme[..2].eq_ignore_ascii_case("hx")
        {
            ""
        } else {
            scheme
        };
        let host_end = link[start..].find(['/', '?', '#']).map_or(link.len(), |i| start + i);
        let host = link[start..host_end].rsplit('@').next()?;
        let host = host.split(':').next()?;
        let mut parts = Self {
            link,
            scheme,
            host: host
                .get(..4)
                .filter(|w| w.eq_ignore_ascii_case("www."))
                .map_or(host, |_| &host[4..]),
            segments: Vec::new(),
            query: Vec::new(),
        };
        if !scheme.is_empty() {
            parts.segments.push(start..host_end);
        }
        let mut at = host_end;
        while at < link.len() && parts.segments.len() + parts.query.len() < MOST {
            let mark = link.as_bytes()[at];
            let next = link[at + 1..]
                .find(['/', '?', '&', '#'])
                .map_or(link.len(), |i| at + 1 + i);
            let piece = at + 1..next;
            match mark {
                // A slash in a query value does not begin a segment.
                b'/' if parts.query.is_empty() || link[..at].ends_with('#') => parts.segments.push(piece),
                b'#' => parts.segments.push(at..next),
                _ => {
                    let value = link[piece.clone()].find('=').map_or(piece.end, |i| piece.start + i);
                    parts
                        .query
                        .push((piece.start..value, (value + 1).min(piece.end)..piece.end));
                }
            }
            at = next;
        }
        parts.segments.retain(|segment| !segment.is_empty());
        Some(parts)
    }

    /// Whether the link goes to `host` or a sub-domain of it; `scheme:` means that scheme.
    pub(crate) fn is_host(&self, host: &str) -> bool {
        if let Some(scheme) = host.strip_suffix(':') {
            return self.scheme.eq_ignore_ascii_case(scheme);
        }
        let Some(lead) = self.host.len().checked_sub(host.len()) else {
            return false;
        };
        self.scheme.is_empty()
            && self.host.is_char_boundary(lead)
            && self.host[lead..].eq_ignore_ascii_case(host)
            && (lead == 0 || self.host.as_bytes()[lead - 1] == b'.')
    }

    /// The first of `hosts` that the link goes to.
    pub(crate) fn host_of(&self, hosts: &[&'static str]) -> Option<&'static str> {
        hosts.iter().find(|host| self.is_host(host)).copied()
    }

    /// The path segments that end before `at`, with their ends.
    pub(crate) fn segments_before(&self, at: usize) -> impl Iterator<Item = (usize, &'a str)> {
        let link = self.link;
        self.segments
            .iter()
            .filter(move |segment| segment.end <= at)
            .map(move |segment| (segment.end, &link[segment.clone()]))
    }

    /// The value of a query key.
    pub(crate) fn value(&self, key: &str) -> Option<&'a str> {
        let (_, value) = self
            .query
            .iter()
            .find(|(k, _)| self.link[k.clone()].eq_ignore_ascii_case(key))?;
        Some(&self.link[value.clone()])
    }

    /// What `pattern` says about the address at `at`; `None` when the link has another shape.
    pub(crate) fn page(&self, pattern: &str, at: usize) -> Option<Page<'a>> {
        let (path, query) = pattern.split_once('?').unwrap_or((pattern, ""));
        let mut role = None;
        let mut chain = None;
        let mut segments = self.segments.iter();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let segment = segments.next()?;
            match part {
                "*" => {}
                "{chain}" => chain = Some(&self.link[segment.clone()]),
                "{token}-{chain}" => {
                    role = segment.contains(&at).then_some((Role::Token, false));
                    chain = Some(self.link[segment.clone()].rsplit_once('-')?.1);
                }
                _ => match slot(part) {
                    Some(slot) => role = Some(segment.contains(&at).then_some(slot)?),
                    None if self.link[segment.clone()].eq_ignore_ascii_case(part) => {}
                    None => return None,
                },
            }
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, part) = pair.split_once('=')?;
            let value = self
                .query
                .iter()
                .find(|(k, _)| self.link[k.clone()].eq_ignore_ascii_case(key))
                .map(|(_, value)| value);
            match (part, value) {
                ("{chain}", value) => chain = value.map(|value| &self.link[value.clone()]).or(chain),
                (part, Some(value)) if value.contains(&at) => role = slot(part),
                _ => return None,
            }
        }
        let (role, pays) = role?;
        Some(Page { role, chain, pays })
    }
}

fn slot(part: &str) -> Option<(Role, bool)> {
    Some(match part {
        "{token}" => (Role::Token, false),
        "{pool}" => (Role::Pool, false),
        "{account}" => (Role::Account, false),
        "{address}" => (Role::Unknown, false),
        "{pays}" => (Role::Unknown, true),
        _ => return None,
    })
}

/// Characters that end a link in running text. Everything beyond ASCII does: people write
/// "看https://…，" without a space.
fn ends_link(c: char) -> bool {
    !c.is_ascii_graphic()
        || matches!(
            c,
            '<' | '>' | '"' | '\'' | '`' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '\\' | '^' | '*'
        )
}

/// The widest stretch around `at` without a character that ends a link, broken marks of a host
/// excepted.
pub(crate) fn word_around(text: &str, at: usize) -> Range<usize> {
    let start = text[..at]
        .char_indices()
        .rev()
        .find(|&(_, c)| ends_link(c))
        .map_or(0, |(i, c)| i + c.len_utf8());
    let start = refang::begin(text, start, ends_link);
    let end = text[at..].find(ends_link).map_or(text.len(), |i| at + i);
    start..end
}

/// Whether such a stretch is a link: it has a scheme, or begins with a host and a path.
pub(crate) fn is_link(word: &str) -> bool {
    let word: &str = &refang::mend(word).0;
    if word.contains("://") {
        return true;
    }
    let Some(path) = word.find(['/', '?']) else {
        return false;
    };
    let host = &word[..path];
    let Some((rest, top)) = host.rsplit_once('.') else {
        return false;
    };
    !rest.is_empty()
        && (2..=12).contains(&top.len())
        && top.bytes().all(|b| b.is_ascii_alphabetic())
        && rest
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_match_with_their_sub_domains_only() {
        let parts = Parts::of("https://www.App.Uniswap.org:443/x").unwrap();
        assert!(parts.is_host("uniswap.org"));
        assert!(!parts.is_host("swap.org"));
        assert!(!Parts::of("https://notuniswap.org/").unwrap().is_host("uniswap.org"));
        assert!(
            !Parts::of("https://uniswap.org.evil.example/")
                .unwrap()
                .is_host("uniswap.org")
        );
        assert!(
            !Parts::of("https://uniswap.org@evil.example/")
                .unwrap()
                .is_host("uniswap.org")
        );
        assert!(Parts::of("tg://resolve?domain=x").unwrap().is_host("tg:"));
    }

    #[test]
    fn patterns_find_the_slot() {
        let link = "https://tronscan.org/#/token20/TADDR/code?x=1";
        let at = link.find("TADDR").unwrap();
        let parts = Parts::of(link).unwrap();
        assert_eq!(
            parts.page("/#/token20/{token}", at),
            Some(Page {
                role: Role::Token,
                chain: None,
                pays: false
            })
        );
        assert_eq!(parts.page("/#/address/{account}", at), None);
        assert_eq!(parts.page("/#/*/*/{token}", at), None, "another segment");
        let link = "https://app.uniswap.org/swap?chain=bsc&outputCurrency=0xabc";
        let parts = Parts::of(link).unwrap();
        let at = link.find("0xabc").unwrap();
        assert_eq!(
            parts.page("/swap?outputCurrency={token}&chain={chain}", at),
            Some(Page {
                role: Role::Token,
                chain: Some("bsc"),
                pays: false
            })
        );
        assert_eq!(parts.page("/swap?inputCurrency={pays}&chain={chain}", at), None);
    }

    #[test]
    fn words_and_links() {
        let text = "see (https://a.example/b?c=d) 看solscan.io/token/x，";
        let at = text.find("b?c").unwrap();
        assert_eq!(&text[word_around(text, at)], "https://a.example/b?c=d");
        let at = text.find("token").unwrap();
        assert_eq!(&text[word_around(text, at)], "solscan.io/token/x");
        assert!(is_link("solscan.io/token/x") && is_link("ton://transfer/x") && is_link("t.me/x?start=1"));
        assert!(!is_link("c/a") && !is_link("hi.there") && !is_link("1.2/3") && !is_link("/x.io/"));
    }
}
