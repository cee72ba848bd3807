//! Chains that a text names, and which of them an address belongs to.

use std::{borrow::Cow, ops::Range};

use aho_corasick::{AhoCorasick, MatchKind};

use crate::{
    Family,
    chains::{CHAINS, Chain},
};

/// How much of a frame a name needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Name,
    Ticker,
    Word,
}

/// The names of all chains, ready to be searched for.
#[derive(Debug)]
pub(crate) struct Names {
    search: AhoCorasick,
    meanings: Vec<(&'static Chain, Kind)>,
}

/// A chain named in a text.
#[derive(Debug, Clone)]
pub(crate) struct Mention {
    pub(crate) chain: &'static Chain,
    /// Where, in bytes.
    pub(crate) span: Range<usize>,
}

impl Names {
    pub(crate) fn new() -> Self {
        let mut patterns: Vec<Cow<'static, str>> = Vec::new();
        let mut meanings = Vec::new();
        for chain in CHAINS {
            for (names, kind) in [
                (chain.names, Kind::Name),
                (chain.tickers, Kind::Ticker),
                (chain.words, Kind::Word),
            ] {
                for &name in names {
                    patterns.push(Cow::Borrowed(name));
                    meanings.push((chain, kind));
                }
            }
            // CAIP-2: "eip155:8453:0x…".
            if chain.family == Family::Evm {
                let ids = chain
                    .slugs
                    .iter()
                    .filter(|slug| slug.bytes().all(|b| b.is_ascii_digit()));
                for id in ids {
                    patterns.push(Cow::Owned(format!("eip155:{id}")));
                    meanings.push((chain, Kind::Name));
                }
            }
        }
        let search = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .build(patterns.iter().map(|pattern| pattern.as_bytes()))
            // Cannot fail: it does so only when the patterns need more than 2^31 states.
            .expect("a few hundred fixed patterns");
        Self { search, meanings }
    }

    /// Every chain that `text` names, left to right.
    pub(crate) fn read(&self, text: &str) -> Vec<Mention> {
        self.search
            .find_iter(text)
            .filter_map(|found| {
                let (chain, kind) = self.meanings[found.pattern().as_usize()];
                let span = found.range();
                let means = stands_alone(text, &span)
                    && match kind {
                        Kind::Name => true,
                        Kind::Ticker => !counts(text, &span),
                        Kind::Word => {
                            let before_hex =
                                matches!(chain.family, Family::Sui | Family::Aptos) && leads_to_hex(text, span.end);
                            !counts(text, &span) && (before_hex || framed(text, &span))
                        }
                    };
                means.then_some(Mention { chain, span })
            })
            .collect()
    }
}

/// The mention nearest to `at` among chains of these families: what stands before the address
/// counts as nearer than what follows, because lists put the name first.
pub(crate) fn nearest<'a>(mentions: &'a [Mention], at: &Range<usize>, families: &[Family]) -> Option<&'a Mention> {
    // A hundred names between the address and its own do not occur.
    const NEARBY: usize = 100;
    let middle = mentions.partition_point(|mention| mention.span.end <= at.start);
    let fits = |mention: &&Mention| families.contains(&mention.chain.family);
    let before = mentions[..middle].iter().rev().take(NEARBY).find(fits);
    let after = mentions[middle..].iter().take(NEARBY).find(fits);
    before.into_iter().chain(after).min_by_key(|mention| {
        if mention.span.end <= at.start {
            2 * (at.start - mention.span.end)
        } else {
            3 * mention.span.start.saturating_sub(at.end) + 1
        }
    })
}

/// No letter or digit of its own script goes on at either end. (Chinese puts names and verbs
/// side by side, so only ASCII letters matter to an ASCII name.)
fn stands_alone(text: &str, span: &Range<usize>) -> bool {
    let ends = |c: Option<char>| c.is_none_or(|c| !(c.is_ascii_alphanumeric() || c == '_'));
    let ascii = text[span.clone()].is_ascii();
    !ascii || (ends(text[..span.start].chars().next_back()) && ends(text[span.end..].chars().next()))
}

/// The name counts or prices something, or is one half of a pair.
fn counts(text: &str, span: &Range<usize>) -> bool {
    let before = text[..span.start].trim_end_matches([' ', '\u{a0}']);
    let touches = before.len() == span.start;
    let after = &text[span.end..];
    match before.chars().next_back() {
        Some('$' | '@' | '/' | '.') if touches => true,
        // "7.1 ETH" counts; "2. ETH" and "#1 ETH" do not occur as amounts. An address is no number.
        Some(c) if c.is_ascii_digit() => {
            let digits = before.trim_end_matches(|c: char| c.is_ascii_digit());
            !digits.ends_with(|c: char| c.is_ascii_alphabetic())
        }
        // "5K SOL", "1.2M BNB".
        Some('k' | 'K' | 'm' | 'M' | 'b' | 'B') => before[..before.len() - 1].ends_with(|c: char| c.is_ascii_digit()),
        _ => after.starts_with('/') || after.starts_with("-USD") || after.starts_with('.'),
    }
}

/// How far a frame is looked for on either side, in bytes.
const REACH: usize = 96;
/// Marks that introduce a value; a sentence would not put them before a word.
const MARKS: [char; 17] = [
    ':', '：', '#', '⛓', '→', '➜', '➡', '>', '=', '|', '(', '[', '（', '【', '👉', '🔗', '•',
];

/// Words that a chain's name follows.
const LEADS: [&str; 33] = [
    "on",
    "chain",
    "network",
    "blockchain",
    "auf",
    "su",
    "sur",
    "en",
    "em",
    "na",
    "op",
    "pe",
    "di",
    "på",
    "на",
    "сети",
    "сеть",
    "в",
    "ağ",
    "ağı",
    "red",
    "rede",
    "réseau",
    "trên",
    "체인은",
    "체인",
    "ネットワーク",
    "мережа",
    "мережі",
    "चेन",
    "เชน",
    "شبكة",
    "شبکه",
];

/// Words that follow a chain's name.
const TAILS: [&str; 14] = [
    "chain",
    "network",
    "mainnet",
    "blockchain",
    "token",
    "链",
    "鏈",
    "チェーン",
    "체인",
    "の",
    "پر",
    "l2",
    "ağı",
    "ağında",
];

/// Something around an ordinary word says that a chain is meant.
fn framed(text: &str, span: &Range<usize>) -> bool {
    let from = text.floor_char_boundary(span.start.saturating_sub(REACH));
    let to = text.ceil_char_boundary(span.end + REACH);
    let before = text[from..span.start].rsplit('\n').next().unwrap_or("").trim_end();
    let after = text[span.end..to].split('\n').next().unwrap_or("").trim_start();
    let alone = |side: &str| !side.chars().any(char::is_alphanumeric);
    if alone(before) && alone(after) {
        return true;
    }
    let before = before.trim_end_matches(['\u{fe0f}', ' ']);
    if before.ends_with(MARKS) {
        return true;
    }
    let previous = last_word(before.trim_end_matches([' ', '-', '–', '—'])).to_lowercase();
    if LEADS.contains(&previous.as_str()) {
        return true;
    }
    TAILS.iter().any(|tail| {
        after
            .get(..tail.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(tail))
            && !after[tail.len()..].starts_with(|c: char| c.is_ascii_alphanumeric())
    }) || before.ends_with(['在', '于', '上'])
}

/// A value in hex follows on the line, a word or two further on.
fn leads_to_hex(text: &str, from: usize) -> bool {
    let near = &text[from..text.ceil_char_boundary((from + 24).min(text.len()))];
    near.split('\n').next().is_some_and(|line| line.contains("0x"))
}

fn last_word(text: &str) -> &str {
    let start = text
        .char_indices()
        .rev()
        .find(|(_, c)| !c.is_alphanumeric())
        .map_or(0, |(i, c)| i + c.len_utf8());
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Vec<&'static str> {
        Names::new().read(text).iter().map(|m| m.chain.name).collect()
    }

    #[test]
    fn names_mean_the_chain_and_amounts_do_not() {
        assert_eq!(named("Live on ETH chain with 171 SOL pooled"), ["ethereum"]);
        assert_eq!(named("MC 572K | Liq 11.9 ETH"), [""; 0]);
        assert_eq!(named("$ETH is up, SOL/USDT too, 5K BNB bought"), [""; 0]);
        assert_eq!(named("Nieuwe call op ETH: GALA"), ["ethereum"]);
        assert_eq!(named("Ağ: BEP20"), ["bsc"]);
        assert_eq!(named("Aptos链,税0/0"), ["aptos"]);
    }

    #[test]
    fn ordinary_words_need_a_frame() {
        for text in [
            "Chain: base",
            "⛓ Base",
            "#Base",
            "on base",
            "⛓️ BASE",
            "live on base now",
            "base",
            "1. $X (Base) $5",
        ] {
            assert_eq!(named(text), ["base"], "{text}");
        }
        for text in [
            "all your base are belong to us",
            "Based Hotdog",
            "a solid base, I scroll on",
            "ton of money",
            "i suoi sui generis",
        ] {
            assert_eq!(named(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn the_nearer_name_wins() {
        let text = "1. $A (Base)\nAAAA\n2. $B (BSC)\nBBBB";
        let mentions = Names::new().read(text);
        let at = |needle: &str| {
            let start = text.find(needle).unwrap();
            nearest(&mentions, &(start..start + 4), &[Family::Evm])
                .unwrap()
                .chain
                .name
        };
        assert_eq!((at("AAAA"), at("BBBB")), ("base", "bsc"));
    }
}
