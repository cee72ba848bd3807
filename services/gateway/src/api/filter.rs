//! The filter of a query, cut to the token's rights, as the tables understand it.

use std::sync::Arc;
use std::time::Duration;

use sha3::{Digest as _, Keccak256};
use tgmesh_lifecycle::settings::positive_duration;
use tgmesh_proto::detection::Family;
use tgmesh_proto::frame::{EventName, Filter};
use tgmesh_store::history::Wanted;
use tgmesh_store::known::Allowed;

use super::params::{self, Bad, Params};
use crate::filter::Matcher;
use crate::rights::{Chats, Rights};

/// Longest time that a search in texts may span.
const MAX_TEXT_SPAN: Duration = Duration::from_hours(7 * 24);

/// What a request asks for, within its rights.
#[derive(Debug)]
pub struct Asked {
    /// For the database.
    pub wanted: Wanted,
    /// Whether matches are wanted, too.
    pub matches: bool,
    /// For the texts, which the database does not search: its patterns take time without bound.
    pub text: Option<Arc<Matcher>>,
}

impl Asked {
    /// Reads the filter's parameters. `now_us` is the time, µs since the epoch.
    ///
    /// # Errors
    /// When one cannot be read, or the search in texts is too wide.
    pub fn read(params: &mut Params, rights: &Rights, now_us: i64) -> Result<Self, Bad> {
        let filter = filter(params)?;
        let since_us = params.read("since", params::time)?;
        let until_us = params.read("until", params::time)?;
        let matcher = compile(&filter)?;
        if filter.text.is_some() {
            check_text(&filter, since_us, until_us, now_us)?;
        }
        let within = filter
            .unique_within
            .as_deref()
            .and_then(|text| positive_duration(text).ok());
        let filter = rights.cut(filter);
        Ok(Self {
            matches: filter.matches,
            text: filter.text.is_some().then(|| Arc::new(matcher)),
            wanted: Wanted {
                chats: filter.chats,
                families: filter.families,
                chains: filter.chains,
                addresses: filter.addresses,
                senders: filter.senders,
                rules: filter.rules,
                min_confidence: filter.min_confidence.unwrap_or(0.0),
                events: filter.events,
                // At most 7 days.
                unique_within_us: within.map(|within| within.as_micros() as i64),
                backfill: filter.backfill,
                since_us,
                until_us,
            },
        })
    }
}

/// Reads the filter's own parameters: the names of the WebSocket's filter.
///
/// # Errors
/// When one cannot be read.
pub fn filter(params: &mut Params) -> Result<Filter, Bad> {
    Ok(Filter {
        chats: params.list("chats", params::id)?,
        families: params.list("families", family)?,
        chains: params.list("chains", params::text)?,
        addresses: params.list("addresses", |text| params::text(text).map(|text| canonical(&text)))?,
        senders: params.list("senders", params::id)?,
        rules: params.list("rules", params::text)?,
        text: params.read("text", params::text)?,
        min_confidence: params.read("min_confidence", |text| {
            text.parse().map_err(|_| "must be a number from 0 to 1".to_owned())
        })?,
        events: params.list("events", event)?,
        unique_within: params.read("unique_within", params::text)?,
        backfill: params.read("backfill", params::flag)?.unwrap_or_default(),
        matches: params.read("matches", params::flag)?.unwrap_or_default(),
    })
}

/// Makes a matcher of it, within the bounds of live subscriptions.
///
/// # Errors
/// When one of its values is out of them.
pub fn compile(filter: &Filter) -> Result<Matcher, Bad> {
    Matcher::compile(filter).map_err(|bad| {
        // Its message begins with the name.
        let message = bad.to_string();
        let (name, problem) = message.split_once([' ', ':']).unwrap_or(("filter", &message));
        Bad::new(name, problem.trim())
    })
}

/// Which events these rights let see.
pub fn allowed(rights: &Rights) -> Allowed {
    Allowed {
        chats: match &rights.chats {
            Chats::All => None,
            Chats::Only(ids) => Some(ids.iter().copied().collect()),
        },
        families: rights
            .families
            .as_ref()
            .map(|families| families.iter().copied().collect()),
        min_confidence: rights.min_confidence,
    }
}

/// The form in which addresses are stored: EIP-55 for EVM, lower case for longer hexadecimal ones, all
/// others as they are.
pub fn canonical(address: &str) -> String {
    let Some(("0x" | "0X", digits)) = address.split_at_checked(2) else {
        return address.to_owned();
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return address.to_owned();
    }
    let lower = digits.to_ascii_lowercase();
    if lower.len() != 40 {
        return format!("0x{lower}");
    }
    let hash = Keccak256::digest(&lower);
    let nibbles = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = lower.chars().zip(nibbles);
    let mixed = digits.map(|(digit, nibble)| if nibble >= 8 { digit.to_ascii_uppercase() } else { digit });
    "0x".chars().chain(mixed).collect()
}

/// A pattern is compared with texts one by one, so the rows have to be few.
fn check_text(filter: &Filter, since_us: Option<i64>, until_us: Option<i64>, now_us: i64) -> Result<(), Bad> {
    if filter.chats.is_none() && filter.addresses.is_none() {
        return Err(Bad::new("text", "needs chats or addresses beside it"));
    }
    if filter.unique_within.is_some() {
        return Err(Bad::new("unique_within", "cannot be combined with text"));
    }
    let Some(since_us) = since_us else {
        return Err(Bad::new("since", "is needed beside text: at most 7 days are searched"));
    };
    let until_us = until_us.unwrap_or(now_us);
    if until_us.saturating_sub(since_us) > MAX_TEXT_SPAN.as_micros() as i64 {
        return Err(Bad::new(
            "since",
            "and until are more than 7 days apart, too far for text",
        ));
    }
    Ok(())
}

fn family(word: &str) -> Result<Family, String> {
    Family::parse(word).ok_or_else(|| "names no address family".to_owned())
}

fn event(word: &str) -> Result<EventName, String> {
    let found = EventName::ALL.into_iter().find(|event| event.as_str() == word);
    found.ok_or_else(|| "names no kind of event".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rights::Role;

    /// 2026-11-23T12:00:00Z.
    const NOW_US: i64 = 1_795_435_200_000_000;

    fn read(query: &str) -> Result<Asked, Bad> {
        let rights = Rights {
            role: Role::Analyst,
            chats: Chats::All,
            families: None,
            min_confidence: 0.0,
        };
        Asked::read(&mut Params::parse(query)?, &rights, NOW_US)
    }

    #[test]
    fn canonical_forms() {
        // The examples of EIP-55.
        for address in [
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            for form in [address.to_lowercase(), address.to_uppercase(), address.to_owned()] {
                assert_eq!(canonical(&form), address);
            }
        }
        let long = format!("0x{}", "AB".repeat(32));
        assert_eq!(canonical(&long), long.to_lowercase());
        for other in ["EQDrjaLahLkMB-hMCmkzOyBuHJ139ZUYmPHu6RRBKnbdLIYI", "0x", "", "0xg", "é"] {
            assert_eq!(canonical(other), other);
        }
    }

    #[test]
    fn text_needs_a_place_and_a_week() {
        let parameter = |query: &str| read(query).expect_err(query).parameter.expect("a name");
        assert_eq!(parameter("text=a"), "text");
        assert_eq!(parameter("text=a&chats=1"), "since");
        assert_eq!(parameter("text=a&chats=1&since=2026-11-16T11:59:59Z"), "since");
        assert_eq!(
            parameter("text=a&chats=1&since=2026-11-20T00:00:00Z&unique_within=1h"),
            "unique_within"
        );
        assert_eq!(parameter("text=(&chats=1&since=2026-11-20T00:00:00Z"), "text");
        let long = "a".repeat(257);
        assert_eq!(
            parameter(&format!("text={long}&chats=1&since=2026-11-20T00:00:00Z")),
            "text"
        );
        assert!(read("text=a&chats=1&since=2026-11-16T12:00:00Z").is_ok());
        assert!(read("text=a&addresses=x&since=2026-01-01T00:00:00Z&until=2026-01-08T00:00:00Z").is_ok());
    }

    #[test]
    fn each_fault_names_its_parameter() {
        for (query, name) in [
            ("chats=a", "chats"),
            ("families=doge", "families"),
            ("senders=x", "senders"),
            ("events=called,posted", "events"),
            ("min_confidence=2", "min_confidence"),
            ("min_confidence=NaN", "min_confidence"),
            ("min_confidence=much", "min_confidence"),
            ("unique_within=10", "unique_within"),
            ("unique_within=8d", "unique_within"),
            ("backfill=1", "backfill"),
            ("matches=yes", "matches"),
            ("since=soon", "since"),
            ("until=-5", "until"),
            ("chains=a%00", "chains"),
        ] {
            assert_eq!(
                read(query).expect_err(query).parameter.as_deref(),
                Some(name),
                "{query}"
            );
        }
    }
}
