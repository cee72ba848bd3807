//! Links in links, and what the innermost one tells about a place in it.

use std::cell::OnceCell;

use super::{Told, parts::Parts, table};
use crate::{
    Role,
    chains::{self, Chain},
    evidence::Clue,
};

/// Path segments whose page shows something that is no address.
const NOT_ADDRESSES: [&str; 12] = [
    "tx",
    "txs",
    "txn",
    "txblock",
    "transaction",
    "transactions",
    "block",
    "blocks",
    "userop",
    "batch",
    "nonce",
    "hash",
];

/// Sites full of long ids, none of which is an address.
const FOREIGN: [&str; 18] = [
    "google.com",
    "youtube.com",
    "youtu.be",
    "tiktok.com",
    "instagram.com",
    "facebook.com",
    "reddit.com",
    "spotify.com",
    "notion.so",
    "github.com",
    "githubusercontent.com",
    "dropbox.com",
    "medium.com",
    "npmjs.com",
    "discord.com",
    "discordapp.com",
    "zoom.us",
    "ipfs.io",
];

/// Of all the links in a link so many bytes together, and of each no less than the second figure.
const LONGEST_INNER: (usize, usize) = (4096, 256);

/// A text of links in links: sharing and redirects wrap them. Each is taken apart once for all
/// places in it.
#[derive(Debug)]
pub(super) struct Inner<'a> {
    text: &'a str,
    /// Where links begin, behind where their schemes end.
    starts: Vec<(usize, usize)>,
    /// The one that was asked about last.
    link: Option<Link<'a>>,
}

/// A link, and what it is for every place in it.
#[derive(Debug)]
struct Link<'a> {
    start: usize,
    parts: Parts<'a>,
    rows: Vec<&'static table::Site>,
    /// The first chain that its path names, and where the name ends.
    slug: OnceCell<Option<(usize, &'static Chain)>>,
}

impl<'a> Inner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let starts = text
            .match_indices("://")
            .map(|(colon, mark)| (colon + mark.len(), scheme_start(text, colon)));
        Self {
            text,
            starts: starts.collect(),
            link: None,
        }
    }

    /// What the link tells about whatever stands at `at`; `None` on pages that show no address.
    pub(super) fn tell(&mut self, at: usize) -> Option<Told> {
        let next = self.starts.partition_point(|(end, _)| *end <= at);
        let start = next.checked_sub(1).map_or(0, |last| self.starts[last].1);
        if self.link.as_ref().is_none_or(|link| link.start != start) {
            let (all, each) = LONGEST_INNER;
            let longest = (all / self.starts.len().max(1)).max(each);
            let end = self.text.floor_char_boundary(start + longest);
            let parts = Parts::of(&self.text[start..end])?;
            let rows = table::SITES.iter().filter(|row| parts.is_host(row.host)).collect();
            self.link = Some(Link {
                start,
                parts,
                rows,
                slug: OnceCell::new(),
            });
        }
        self.link.as_ref()?.tell(at - start)
    }
}

impl Link<'_> {
    fn tell(&self, at: usize) -> Option<Told> {
        let parts = &self.parts;
        if parts
            .segments_before(at)
            .any(|(_, segment)| NOT_ADDRESSES.iter().any(|no| segment.eq_ignore_ascii_case(no)))
        {
            return None;
        }
        let mut told = Told::of(Clue::OtherSite);
        for row in &self.rows {
            let fixed = (!row.chain.is_empty()).then(|| chains::by_name(row.chain)).flatten();
            if let Some(page) = parts.page(row.pattern, at) {
                name_chain(&mut told, page.chain.and_then(chains::by_slug).or(fixed));
                told.clue = Clue::Page(row.host);
                told.role = page.role;
                told.subject = page.role != Role::Unknown || !page.pays;
                return Some(told);
            }
            if told.clue == Clue::OtherSite {
                told.clue = Clue::Site(row.host);
                name_chain(&mut told, fixed);
            }
        }
        if told.chain.is_none() {
            let named = self.named(at);
            if told.clue != Clue::OtherSite || named.is_some_and(|chain| chain.slugs.iter().any(|slug| slug.len() > 2))
            {
                name_chain(&mut told, named);
            }
        }
        if told.clue == Clue::OtherSite && FOREIGN.iter().any(|host| parts.is_host(host)) {
            told.clue = Clue::ForeignSite;
        }
        Some(told)
    }

    /// Most sites put the chain into a segment before the address or a `chain=` of their own.
    fn named(&self, at: usize) -> Option<&'static Chain> {
        let first = self.slug.get_or_init(|| {
            let mut segments = self.parts.segments_before(usize::MAX);
            segments.find_map(|(end, segment)| Some((end, chains::by_slug(segment)?)))
        });
        let in_path = first.filter(|(end, _)| *end <= at).map(|(_, chain)| chain);
        in_path.or_else(|| {
            ["chain", "chainId", "network"]
                .iter()
                .filter_map(|key| self.parts.value(key))
                .find_map(chains::by_slug)
        })
    }
}

/// Where the last link in `text` begins.
pub(super) fn innermost(text: &str) -> usize {
    text.rfind("://").map_or(0, |colon| scheme_start(text, colon))
}

/// Where the scheme before a colon begins.
fn scheme_start(text: &str, colon: usize) -> usize {
    let scheme = text.as_bytes()[..colon].iter().rev();
    colon - scheme.take_while(|byte| byte.is_ascii_alphanumeric()).count()
}

/// Notes a chain that a link names, if it names one.
pub(super) fn name_chain(told: &mut Told, chain: Option<&'static Chain>) {
    if let Some(chain) = chain {
        told.chain = Some(chain.name);
        told.family = Some(chain.family);
    }
}
