//! A subscription's filter, made ready for matching.
//!
//! Matching has two steps. [`Matcher::wants`] is cheap, keeps no state and runs in the fan-out, for
//! every event and candidate. [`Matcher::text_matches`] and [`Unique`] are neither, so they run in
//! the client's own task, where a costly pattern slows nobody else.

mod unique;

pub use unique::{Lookback, Unique};

use std::collections::HashSet;
use std::time::Duration;

use regex::{Regex, RegexBuilder};
use tgmesh_lifecycle::settings::positive_duration;
use tgmesh_proto::detection::{Detection, Family};
use tgmesh_proto::frame::{EventName, Filter, MAX_PATTERN_BYTES};
use tgmesh_proto::matched::Match;

/// Most entries of a list.
const MAX_LIST: usize = 1000;
/// Memory of a compiled pattern and of its cache; what needs more is refused. It also bounds the
/// time: a pattern of 256 bytes can otherwise unfold to millions of states.
const MAX_PATTERN_MEMORY: usize = 256 << 10;
/// Longest `unique_within`.
const MAX_UNIQUE_WITHIN: Duration = Duration::from_hours(7 * 24);
/// Why a filter is refused; for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadFilter(String);

/// A compiled filter.
#[derive(Debug)]
pub struct Matcher {
    chats: Option<HashSet<i64>>,
    families: Option<Vec<Family>>,
    chains: Option<HashSet<String>>,
    addresses: Option<HashSet<String>>,
    senders: Option<HashSet<i64>>,
    rules: Option<HashSet<String>>,
    min_confidence: f64,
    events: Option<Vec<EventName>>,
    backfill: bool,
    matches: bool,
    text: Option<Regex>,
    unique_within: Option<Duration>,
}

impl Matcher {
    /// Checks and compiles a filter.
    ///
    /// # Errors
    /// When a key is out of bounds; the message names it.
    pub fn compile(filter: &Filter) -> Result<Self, BadFilter> {
        fn set<T: Clone + Eq + std::hash::Hash>(
            key: &str,
            list: Option<&Vec<T>>,
        ) -> Result<Option<HashSet<T>>, BadFilter> {
            match list {
                Some(list) if list.len() > MAX_LIST => {
                    Err(BadFilter(format!("{key} has more than {MAX_LIST} entries")))
                }
                list => Ok(list.map(|list| list.iter().cloned().collect())),
            }
        }
        let min_confidence = filter.min_confidence.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&min_confidence) {
            return Err(BadFilter("min_confidence is not between 0 and 1".to_owned()));
        }
        let addresses = set("addresses", filter.addresses.as_ref())?;
        Ok(Self {
            chats: set("chats", filter.chats.as_ref())?,
            families: set("families", filter.families.as_ref())?.map(|set| set.into_iter().collect()),
            chains: set("chains", filter.chains.as_ref())?,
            addresses: addresses.map(|set| set.iter().map(|address| address_key(address)).collect()),
            senders: set("senders", filter.senders.as_ref())?,
            rules: set("rules", filter.rules.as_ref())?,
            min_confidence,
            events: set("events", filter.events.as_ref())?.map(|set| set.into_iter().collect()),
            backfill: filter.backfill,
            matches: filter.matches,
            text: filter.text.as_deref().map(pattern).transpose()?,
            unique_within: filter.unique_within.as_deref().map(unique_within).transpose()?,
        })
    }

    /// Whether everything but the text and `unique_within` lets the event pass. `address_key` is
    /// [`address_key`] of its address.
    #[must_use]
    pub fn wants(&self, event: &Detection, address_key: &str) -> bool {
        let sender = || event.sender.as_ref().map(|sender| sender.id);
        (self.backfill || !event.listener.backfill)
            && event.confidence >= self.min_confidence
            && self
                .families
                .as_ref()
                .is_none_or(|families| families.contains(&event.family))
            && self
                .events
                .as_ref()
                .is_none_or(|events| events.contains(&event.event.into()))
            && self.chats.as_ref().is_none_or(|chats| chats.contains(&event.chat.id))
            && self
                .addresses
                .as_ref()
                .is_none_or(|addresses| addresses.contains(address_key))
            && self
                .chains
                .as_ref()
                .is_none_or(|chains| event.chain.as_ref().is_some_and(|chain| chains.contains(chain)))
            && self
                .senders
                .as_ref()
                .is_none_or(|senders| sender().is_some_and(|id| senders.contains(&id)))
            && self
                .rules
                .as_ref()
                .is_none_or(|rules| event.rules.iter().any(|rule| rules.contains(rule)))
    }

    /// As [`Matcher::wants`], for a match. Keys are AND: one about an address lets no match pass,
    /// because a match has none, nor a family or a confidence; it may have a chain.
    #[must_use]
    pub fn wants_match(&self, event: &Match) -> bool {
        let sender = || event.sender.as_ref().map(|sender| sender.id);
        self.matches
            && self.families.is_none()
            && self.addresses.is_none()
            && self.min_confidence <= 0.0
            && (self.backfill || !event.listener.backfill)
            && self
                .events
                .as_ref()
                .is_none_or(|events| events.contains(&event.event.into()))
            && self.chats.as_ref().is_none_or(|chats| chats.contains(&event.chat.id))
            && self
                .chains
                .as_ref()
                .is_none_or(|chains| event.chain.as_ref().is_some_and(|chain| chains.contains(chain)))
            && self
                .senders
                .as_ref()
                .is_none_or(|senders| sender().is_some_and(|id| senders.contains(&id)))
            && self
                .rules
                .as_ref()
                .is_none_or(|rules| event.rules.iter().any(|rule| rules.contains(rule)))
    }

    /// Whether matches are wanted at all.
    #[must_use]
    pub fn wants_matches(&self) -> bool {
        self.matches
    }

    /// Whether the text of a message matches, in time linear in its length.
    #[must_use]
    pub fn text_matches(&self, text: &str) -> bool {
        self.text.as_ref().is_none_or(|pattern| pattern.is_match(text))
    }

    /// The memory that `unique_within` needs, where the filter has it.
    #[must_use]
    pub fn unique(&self) -> Option<Unique> {
        self.unique_within.map(Unique::new)
    }

    /// What finds out the memory that a subscription had at an earlier place.
    #[must_use]
    pub fn lookback(&self) -> Option<Lookback> {
        self.unique_within.map(Lookback::new)
    }

    /// What a fan-out can look up: the narrowest of the lists, so that most events are not even
    /// compared with this filter.
    #[must_use]
    pub fn key(&self) -> Key<'_> {
        match (&self.addresses, &self.chats) {
            (Some(addresses), _) => Key::Addresses(addresses),
            (None, Some(chats)) => Key::Chats(chats),
            (None, None) => Key::Everything,
        }
    }
}

/// Where a filter stands in an index.
#[derive(Debug, Clone, Copy)]
pub enum Key<'a> {
    /// Under each of these addresses, see [`address_key`].
    Addresses(&'a HashSet<String>),
    /// Under each of these chats.
    Chats(&'a HashSet<i64>),
    /// Every event has to be compared with it.
    Everything,
}

/// The form in which addresses are compared: hexadecimal ones in lower case, because EVM's mixed
/// case is only a checksum; all others as they are, because their case is part of the address.
#[must_use]
pub fn address_key(address: &str) -> String {
    let hexadecimal = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    match address.split_at_checked(2) {
        Some(("0x" | "0X", digits)) if hexadecimal(digits) => address.to_ascii_lowercase(),
        _ => address.to_owned(),
    }
}

fn pattern(text: &str) -> Result<Regex, BadFilter> {
    if text.len() > MAX_PATTERN_BYTES {
        return Err(BadFilter(format!("text is longer than {MAX_PATTERN_BYTES} bytes")));
    }
    RegexBuilder::new(text)
        .size_limit(MAX_PATTERN_MEMORY)
        .dfa_size_limit(MAX_PATTERN_MEMORY)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => BadFilter("text unfolds to too large a pattern".to_owned()),
            // The syntax error points into the pattern over several lines; the last one says what it is.
            error => BadFilter(format!(
                "text: {}",
                error.to_string().lines().last().unwrap_or("no regular expression")
            )),
        })
}

fn unique_within(text: &str) -> Result<Duration, BadFilter> {
    let within = positive_duration(text).map_err(|problem| BadFilter(format!("unique_within {problem}")))?;
    if within > MAX_UNIQUE_WITHIN {
        Err(BadFilter("unique_within is longer than 7d".to_owned()))
    } else {
        Ok(within)
    }
}

#[cfg(test)]
mod tests;
