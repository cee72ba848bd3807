//! What a token and a filter let pass, written from the contract's page without a look at the
//! gateway's code: over plain JSON, one key after the other. And random tokens, filters and events
//! that it can be tried with.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use regex::Regex;
use serde_json::{Value, json};
use tgmesh_proto::detection::{Detection, EventKind, Family, Sender, SenderKind};
use tgmesh_proto::id::EventId;

use crate::world::detection;

pub const CHATS: i64 = 24;
const SENDERS: i64 = 6;
const RULES: [&str; 3] = ["launch", "whale", "night"];
const CHAINS: [&str; 4] = ["solana", "ethereum", "base", "ton"];
const WORDS: [&str; 4] = ["gm", "pump", "rug", "🚀"];
const KINDS: [EventKind; 3] = [EventKind::Called, EventKind::AddedByEdit, EventKind::Retracted];

/// Whether a token with these claims may see the event at all.
pub fn permitted(claims: &Value, event: &Value) -> bool {
    let chats = claims["chats"].as_array().map_or(&[][..], Vec::as_slice);
    (chats.contains(&json!("*")) || chats.contains(&event["chat"]["id"]))
        && is_among(&claims["families"], &event["family"])
        && event["confidence"].as_f64() >= Some(claims["min_confidence"].as_f64().unwrap_or(0.0))
}

/// Whether a filter lets the event pass; `unique_within` is not looked at.
pub fn passes(filter: &Value, event: &Value) -> bool {
    let hexadecimal = |address: &str| {
        let digits = address.strip_prefix("0x").or_else(|| address.strip_prefix("0X"));
        digits.is_some_and(|digits| digits.chars().all(|digit| digit.is_ascii_hexdigit()))
    };
    let same_address = |wanted: &Value| {
        let (wanted, is) = (text(wanted), text(&event["address"]));
        wanted == is || hexadecimal(is) && wanted.eq_ignore_ascii_case(is)
    };
    is_among(&filter["chats"], &event["chat"]["id"])
        && is_among(&filter["families"], &event["family"])
        && is_among(&filter["chains"], &event["chain"])
        && is_among(&filter["senders"], &event["sender"]["id"])
        && is_among(&filter["events"], &event["event"])
        && filter["addresses"]
            .as_array()
            .is_none_or(|list| list.iter().any(same_address))
        && filter["rules"].as_array().is_none_or(|list| {
            let rules = event["rules"].as_array().expect("a list");
            list.iter().any(|rule| rules.contains(rule))
        })
        && filter["text"].as_str().is_none_or(|pattern| {
            let pattern = Regex::new(pattern).expect("a pattern of the test");
            pattern.is_match(text(&event["message"]["text"]))
        })
        && event["confidence"].as_f64() >= Some(filter["min_confidence"].as_f64().unwrap_or(0.0))
        && (filter["backfill"] == true || event["listener"]["backfill"] == false)
}

/// Whether this client is to be sent this event.
pub fn sees(claims: &Value, filter: &Value, event: &Value) -> bool {
    let names_senders = !filter["senders"].is_null();
    permitted(claims, event) && passes(filter, event) && (claims["role"] != "viewer" || !names_senders)
}

/// What of an event a client of this role is shown.
pub fn shown(claims: &Value, event: &Value) -> Value {
    let mut event = event.clone();
    if claims["role"] == "viewer" {
        event["sender"] = Value::Null;
        event["seen_before"] = Value::Null;
    }
    event
}

/// A value in a few bytes, to be compared with others.
pub fn digest(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn is_among(list: &Value, value: &Value) -> bool {
    list.as_array().is_none_or(|list| list.contains(value))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

/// Claims about what may be seen.
pub fn claims(random: &mut StdRng) -> Value {
    let role = ["viewer", "analyst", "operator"].choose(random);
    let chats = match random.random_range(0..8) {
        0..=2 => json!(["*"]),
        3 => json!([]),
        _ => json!(some_chats(random)),
    };
    let mut claims = json!({ "role": role, "chats": chats });
    if random.random_bool(0.3) {
        claims["families"] = families(random);
    }
    if random.random_bool(0.3) {
        claims["min_confidence"] = eighths(random);
    }
    claims
}

/// A filter. It may ask for what the client may not see.
pub fn filter(random: &mut StdRng) -> Value {
    let mut filter = json!({});
    let wanted = |random: &mut StdRng| random.random_bool(0.2);
    if random.random_bool(0.5) {
        filter["chats"] = json!(some_chats(random));
    }
    if wanted(random) {
        filter["families"] = families(random);
    }
    if wanted(random) {
        filter["chains"] = words(&CHAINS, random);
    }
    if wanted(random) {
        let addresses = (0..random.random_range(1..30)).map(|_| {
            let address = address(family(random), random.random_range(0..8));
            match random.random_range(0..3) {
                0 => address.to_ascii_uppercase(),
                1 => address.to_ascii_lowercase(),
                _ => address,
            }
        });
        filter["addresses"] = addresses.collect();
    }
    if wanted(random) {
        filter["senders"] = (0..2).map(|_| random.random_range(1..=SENDERS)).collect();
    }
    if wanted(random) {
        filter["rules"] = words(&RULES, random);
    }
    if wanted(random) {
        filter["text"] = words(&["(?i)PUMP", "^gm", "rug|🚀", "So0+[1-4]"], random)[0].take();
    }
    if wanted(random) {
        filter["min_confidence"] = eighths(random);
    }
    if wanted(random) {
        filter["events"] = words(&["called", "added_by_edit", "retracted", "rule_matched"], random);
    }
    if random.random_bool(0.5) {
        filter["backfill"] = json!(true);
    }
    filter
}

/// An event like those that filters ask for.
pub fn event(random: &mut StdRng) -> Detection {
    let family = family(random);
    let mut event = detection(-random.random_range(1..=CHATS));
    // The seed alone decides about everything that matters, the id included.
    event.id = EventId::from_bytes(random.random());
    event.family = family;
    event.event = if random.random_bool(0.7) {
        KINDS[0]
    } else {
        *KINDS.choose(random).expect("some")
    };
    event.chain = random
        .random_bool(0.7)
        .then(|| (*CHAINS.choose(random).expect("some")).to_owned());
    event.address = address(family, random.random_range(0..8));
    event.confidence = f64::from(random.random_range(0..=8)) / 8.0;
    event.sender = random.random_bool(0.8).then(|| Sender {
        id: random.random_range(1..=SENDERS),
        username: None,
        name: "Mallory".to_owned(),
        kind: SenderKind::User,
    });
    let rules = random.random_range(0..=2);
    event.rules = RULES.sample(random, rules).map(|&rule| rule.to_owned()).collect();
    event.message.text = (0..random.random_range(1..6))
        .map(|_| *WORDS.choose(random).expect("some"))
        .chain([event.address.as_str()])
        .collect::<Vec<_>>()
        .join(" ");
    event.listener.backfill = random.random_bool(0.1);
    event
}

fn family(random: &mut StdRng) -> Family {
    *Family::ALL.choose(random).expect("some")
}

fn address(family: Family, n: u32) -> String {
    match family {
        Family::Evm => format!("0xAbCdEf{n:034X}"),
        Family::Sui | Family::Aptos => format!("0x{n:064x}"),
        Family::Solana => format!("So{n:042}"),
        Family::Tron => format!("TTron{n:029}"),
        Family::Ton => format!("EQTon{n:043}"),
    }
}

/// Two of them.
fn words(all: &[&str], random: &mut StdRng) -> Value {
    all.sample(random, 2).copied().collect()
}

fn families(random: &mut StdRng) -> Value {
    let count = random.random_range(1..5);
    Family::ALL
        .sample(random, count)
        .map(|family| family.as_str())
        .collect()
}

fn some_chats(random: &mut StdRng) -> Vec<i64> {
    (0..random.random_range(1..12))
        .map(|_| -random.random_range(1..=CHATS))
        .collect()
}

fn eighths(random: &mut StdRng) -> Value {
    json!(f64::from(random.random_range(1..8)) / 8.0)
}
