//! Addresses in links: where a site puts them, and what it says by that.
//!
//! What a site is known for is one row of [`table`]. A link of any other site still counts, with
//! less confidence, and pages of transactions and blocks never do.

mod inner;
mod parts;
mod refang;
mod start;
mod table;

use std::borrow::Cow;

use crate::{
    Family, Role, chains,
    evidence::Clue,
    families::{self, Proof, Seen},
    scan,
};
use inner::{Inner, innermost, name_chain};
use parts::Parts;

pub(crate) use parts::{is_link, word_around};

/// What a link tells about an address in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) clue: Clue,
    pub(crate) role: Role,
    /// From the site itself or a slug.
    pub(crate) chain: Option<&'static str>,
    /// The family of that chain.
    pub(crate) family: Option<Family>,
    /// It is what the link is about, not the coin it is paid with.
    pub(crate) subject: bool,
    /// Its host was written so that no client makes it clickable.
    pub(crate) broken: bool,
    /// How the address was packed into it.
    pub(crate) step: Option<&'static str>,
}

impl Told {
    fn of(clue: Clue) -> Self {
        Self {
            clue,
            role: Role::Unknown,
            chain: None,
            family: None,
            subject: true,
            broken: false,
            step: None,
        }
    }
}

/// Coins that a swap link pays with.
const QUOTES: [&str; 10] = [
    "So11111111111111111111111111111111111111112",
    "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
    "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB",
    "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2",
    "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
    "0xdAC17F958D2ee523a2206206994597C13D831ec7",
    "0xbb4CdB9CBd36B01bD1cBaEBF2De08d9173bc095c",
    "0x55d398326f99059fF775485246999027B3197955",
    "0x4200000000000000000000000000000000000006",
    "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
];

/// Of a longer link only so many bytes are read; what messengers and browsers take is shorter.
const LONGEST: usize = 4096;

/// What a link holds.
#[derive(Debug)]
pub(crate) enum Held {
    /// An address that can be read.
    Address(Seen, Told),
    /// The place of an address whose case is lost.
    Lost(Lost),
}

/// An address in one case, where the case is part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) site: &'static str,
    pub(crate) chain: &'static str,
    /// Its letters.
    pub(crate) raw: String,
    pub(crate) role: Role,
}

/// Hands what `link` holds to `found`, with what the link tells about it.
///
/// The spans count in `link`, or are those of the whole link when percent signs had to be decoded.
pub(crate) fn read(link: &str, found: &mut dyn FnMut(Held)) {
    let link = &link[..link.floor_char_boundary(LONGEST)];
    // What is escaped in an address of any family is at most the marks around it.
    if scan::runs(link).next().is_none() {
        return;
    }
    let (mended, gone) = refang::mend(link);
    let decoded = percent_decoded(&mended);
    let text: &str = &decoded;
    if let Some((mut seen, told)) = packed(text) {
        seen.span = 0..link.len();
        found(Held::Address(seen, told));
        return;
    }
    let mut seen = Vec::new();
    for run in scan::runs(text) {
        families::look(&run, &mut |s| seen.push(s));
    }
    if seen.is_empty() {
        lost(text, found);
        return;
    }
    let mut inner = Inner::new(text);
    let mut told: Vec<_> = seen
        .into_iter()
        .filter_map(|mut seen| {
            let told = fits(inner.tell(seen.span.start)?, &seen)?;
            let told = Told {
                subject: told.subject && !QUOTES.contains(&seen.address.as_str()),
                ..told
            };
            seen.span = match (&mended, &decoded) {
                (_, Cow::Owned(_)) => 0..link.len(),
                (Cow::Owned(_), _) => Some(refang::back(&seen.span, gone))
                    // What stands in the host itself was moved by less.
                    .filter(|moved| link.get(moved.clone()) == Some(&text[seen.span.clone()]))
                    .unwrap_or(0..link.len()),
                _ => seen.span,
            };
            Some((
                seen,
                Told {
                    broken: matches!(mended, Cow::Owned(_)),
                    ..told
                },
            ))
        })
        .collect();
    // A swap link names two coins: what it is paid with is left out where the other one is there.
    if told.iter().any(|(_, told)| told.subject) {
        told.retain(|(_, told)| told.subject);
    }
    for (seen, told) in told {
        found(Held::Address(seen, told));
    }
}

/// An address that a bot packed into its start parameter.
fn packed(link: &str) -> Option<(Seen, Told)> {
    let start = innermost(link);
    let parts = Parts::of(&link[start..])?;
    let host = parts.host_of(&table::BOTS)?;
    let packed = ["start", "startapp", "startattach"]
        .iter()
        .find_map(|key| parts.value(key).and_then(start::unpack))?;
    let mut told = Told::of(Clue::Page(host));
    name_chain(&mut told, packed.chain.and_then(chains::by_name));
    told.role = Role::Token;
    told.step = Some(packed.step);
    Some((packed.seen, told))
}

/// Places where a site has an address of a family whose case matters, and something wrote the link
/// in one case. Many keys fold to the same letters, and the one that they spell is another.
fn lost(link: &str, found: &mut dyn FnMut(Held)) {
    let mut inner = Inner::new(link);
    for run in scan::runs(link) {
        // Dashes and underlines belong to some of these addresses.
        let mut at = run.range.start;
        let pieces = link[run.range.clone()].split(['/', '+']).map(|piece| {
            let start = at;
            at += piece.len() + 1;
            (start..start + piece.len(), piece)
        });
        for (span, word) in run.words().chain(pieces) {
            // No place of any family is shorter, and a link may have a thousand pieces.
            if word.len() < scan::SHORTEST || !families::in_one_case(word) {
                continue;
            }
            let Some(told) = inner.tell(span.start) else { continue };
            let (Clue::Page(site) | Clue::Site(site), Some(family)) = (&told.clue, told.family) else {
                continue;
            };
            if families::lost_case(word, family) {
                found(Held::Lost(Lost {
                    site: site.trim_end_matches(':'),
                    chain: told.chain.unwrap_or(family.as_str()),
                    raw: word.to_owned(),
                    role: told.role,
                }));
                return;
            }
        }
    }
}

/// A page of another chain says nothing about an address that has a checksum, and speaks against
/// one that has only its form.
fn fits(mut told: Told, seen: &Seen) -> Option<Told> {
    if told.family.is_some_and(|family| !seen.families.contains(&family)) {
        if matches!(seen.proof, Proof::Base58 | Proof::Base58Words | Proof::Hex32) {
            return None;
        }
        told.chain = None;
        told.family = None;
    }
    Some(told)
}

/// Percent signs decoded, twice where a link was wrapped twice. Bytes that are no UTF-8 stay as
/// they are.
fn percent_decoded(link: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(link);
    for _ in 0..2 {
        if !text.contains('%') {
            break;
        }
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((&byte, tail)) = rest.split_first() {
            let hex = |i: usize| tail.get(i).and_then(|b| char::from(*b).to_digit(16));
            if byte == b'%'
                && let (Some(high), Some(low)) = (hex(0), hex(1))
            {
                bytes.push((high * 16 + low) as u8);
                rest = &tail[2..];
            } else {
                bytes.push(byte);
                rest = tail;
            }
        }
        match String::from_utf8(bytes) {
            Ok(decoded) if decoded != *text => text = Cow::Owned(decoded),
            _ => break,
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINT: &str = "GGmEN2TvE3dgEVK2Je5qG5S34MeWSZA1Udj5xoKkpump";
    const EVM: &str = "0x7420b4b9a0110cdc71fb720908340c03f9bc03ec";

    fn one(link: &str) -> (String, Told) {
        let mut all = Vec::new();
        read(link, &mut |held| {
            if let Held::Address(seen, told) = held {
                all.push((seen.address, told));
            }
        });
        assert_eq!(all.len(), 1, "{link}: {all:?}");
        all.remove(0)
    }

    fn none(link: &str) {
        read(link, &mut |held| {
            if let Held::Address(seen, told) = held {
                panic!("{link}: {seen:?} {told:?}");
            }
        });
    }

    #[test]
    fn rows_tell_role_and_chain() {
        let (_, told) = one(&format!("https://dexscreener.com/base/{EVM}"));
        assert_eq!(
            (told.clue, told.role, told.chain),
            (Clue::Page("dexscreener.com"), Role::Pool, Some("base"))
        );
        let (_, told) = one(&format!("bscscan.com/token/{EVM}#balances"));
        assert_eq!((told.role, told.chain), (Role::Token, Some("bsc")));
        let (_, told) = one(&format!(
            "https://neo.bullx.io/terminal?chainId=1399811149&address={MINT}&r=AB"
        ));
        assert_eq!((told.role, told.chain), (Role::Token, Some("solana")));
        let (_, told) = one(&format!("https://t.me/BananaGunSniper_bot?start=snp_alphacalls_{EVM}"));
        assert_eq!(told.clue, Clue::Page("t.me"));
        let (_, told) = one(&format!("tg://resolve?domain=paris_trojanbot&start=d-vip-{MINT}"));
        assert_eq!(told.clue, Clue::Page("tg:"));
        let (_, told) = one(&format!("https://unheard.example/x/{MINT}"));
        assert_eq!((told.clue, told.chain), (Clue::OtherSite, None));
    }

    #[test]
    fn wrapped_links_are_unwrapped() {
        let (address, told) = one(
            "https://t.me/share/url?url=https%3A%2F%2Fwww.defined.fi%2Fbsc%2F0xf3edd4f14a018df4b6f02bf1b2cf17a8120519a2",
        );
        assert_eq!(
            (address.as_str(), told.chain),
            ("0xf3eDD4f14a018df4b6f02Bf1b2cF17A8120519A2", Some("bsc"))
        );
        let (address, _) = one(&format!(
            "https://t.me/share/url?url=https%253A%252F%252Fsolscan.io%252Ftoken%252F{MINT}"
        ));
        assert_eq!(address, MINT);
    }

    #[test]
    fn the_coin_paid_with_is_left_out() {
        let sol = QUOTES[0];
        assert_eq!(
            one(&format!("https://raydium.io/swap/?inputMint={sol}&outputMint={MINT}")).0,
            MINT
        );
        assert_eq!(
            one(&format!("https://raydium.io/swap/?inputMint={MINT}&outputMint=sol")).0,
            MINT
        );
        assert_eq!(one(&format!("https://jup.ag/swap/SOL-{MINT}")).0, MINT);
    }

    #[test]
    fn other_pages_give_nothing() {
        none("https://arbiscan.io/block/0x986d5bc7d1ebad7b6aa48b90d79ba2498e5e223dad50971c48f147ab6395bdd2");
        none(&format!("https://solscan.io/tx/{MINT}"));
        none(&format!("https://dexscreener.com/solana/{}", MINT.to_lowercase()));
    }
}
