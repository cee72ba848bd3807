//! Random claims, filters and rows, and which rows pass: from the contract's page, not from the
//! gateway's code.

use std::collections::BTreeSet;

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;
use tgmesh_proto::detection::{Detection, EventKind, Family};
use tgmesh_proto::matched::Match;

use crate::world::{detection, matched, token};

/// 2026-11-16T00:00:00Z: all rows lie in the six days after it.
pub const BASE_MS: i64 = 1_794_787_200_000;
pub const FAMILIES: [Family; 3] = [Family::Solana, Family::Evm, Family::Ton];

#[derive(Debug)]
pub struct Claims {
    pub role: &'static str,
    pub chats: Option<BTreeSet<i64>>,
    pub families: Option<BTreeSet<Family>>,
    pub min_confidence: f64,
}

#[derive(Debug, Default)]
pub struct Asked {
    pub chats: Option<Vec<i64>>,
    pub families: Option<Vec<Family>>,
    pub chains: Option<Vec<&'static str>>,
    pub addresses: Option<Vec<String>>,
    pub senders: Option<Vec<i64>>,
    pub rules: Option<Vec<&'static str>>,
    pub min_confidence: Option<f64>,
    pub events: Option<Vec<&'static str>>,
    pub unique_within_h: Option<i64>,
    pub backfill: bool,
    pub matches: bool,
    pub text: bool,
    pub since_ms: Option<i64>,
    pub until_ms: Option<i64>,
}

impl Claims {
    pub fn random(random: &mut StdRng) -> Self {
        Self {
            role: ["viewer", "analyst", "operator"][random.random_range(0..3)],
            chats: random
                .random_bool(0.7)
                .then(|| some(random, &[-1, -2, -3, -4, -5, -6, -99]).into_iter().collect()),
            families: random
                .random_bool(0.3)
                .then(|| some(random, &FAMILIES).into_iter().collect()),
            min_confidence: if random.random_bool(0.3) { 0.5 } else { 0.0 },
        }
    }

    pub fn token(&self) -> String {
        let mut claims = json!({"role": self.role});
        claims["chats"] = match &self.chats {
            Some(chats) => json!(chats),
            None => json!(["*"]),
        };
        if let Some(families) = &self.families {
            claims["families"] = json!(families);
        }
        if self.min_confidence > 0.0 {
            claims["min_confidence"] = json!(self.min_confidence);
        }
        token(&claims)
    }

    pub fn sees_everything(&self) -> bool {
        self.role != "viewer"
    }

    pub fn permits_chat(&self, id: i64) -> bool {
        self.chats.as_ref().is_none_or(|chats| chats.contains(&id))
    }

    pub fn permits(&self, event: &Detection) -> bool {
        self.permits_chat(event.chat.id)
            && self
                .families
                .as_ref()
                .is_none_or(|families| families.contains(&event.family))
            && event.confidence >= self.min_confidence
    }

    pub fn sees_every_event(&self) -> bool {
        self.families.is_none() && self.min_confidence <= 0.0
    }
}

impl Asked {
    pub fn random(random: &mut StdRng, addresses: &[String]) -> Self {
        let mut asked = Self {
            chats: random.random_bool(0.4).then(|| some(random, &[-1, -2, -3, -4, -5, -6])),
            families: random.random_bool(0.2).then(|| some(random, &FAMILIES)),
            chains: random
                .random_bool(0.2)
                .then(|| some(random, &["base", "solana", "bsc"])),
            addresses: random.random_bool(0.3).then(|| some(random, addresses)),
            senders: random.random_bool(0.2).then(|| some(random, &[41, 42, 43, 44])),
            rules: random
                .random_bool(0.2)
                .then(|| some(random, &["launch", "whale", "none"])),
            min_confidence: random.random_bool(0.2).then_some(0.75),
            events: random
                .random_bool(0.3)
                .then(|| some(random, &["called", "added_by_edit", "retracted", "rule_matched"])),
            unique_within_h: random.random_bool(0.2).then(|| random.random_range(1..100)),
            backfill: random.random_bool(0.5),
            matches: random.random_bool(0.4),
            text: false,
            since_ms: random
                .random_bool(0.3)
                .then(|| BASE_MS + random.random_range(0..400_000_000)),
            until_ms: random
                .random_bool(0.3)
                .then(|| BASE_MS + random.random_range(0..400_000_000)),
        };
        if random.random_bool(0.2) && (asked.chats.is_some() || asked.addresses.is_some()) {
            asked.text = true;
            asked.unique_within_h = None;
            asked.since_ms = Some(BASE_MS);
            asked.until_ms = asked.until_ms.or(Some(BASE_MS + 6 * 86_400_000));
        }
        asked
    }

    pub fn query(&self, random: &mut StdRng) -> String {
        let mut query = String::new();
        let mut add = |name: &str, value: &str| query.extend(["&", name, "=", value]);
        let mut list = |name: &str, values: Option<Vec<String>>| {
            let Some(values) = values else { return };
            if random.random_bool(0.5) {
                add(name, &values.join(","));
            } else {
                for value in values {
                    add(name, &value);
                }
            }
        };
        list("chats", words(self.chats.as_ref()));
        let families = self.families.as_ref();
        list(
            "families",
            families.map(|all| all.iter().map(|family| family.as_str().to_owned()).collect()),
        );
        list("chains", words(self.chains.as_ref()));
        // EVM in any case.
        let addresses = self.addresses.as_ref();
        list(
            "addresses",
            addresses.map(|all| {
                let any = |address: &String| {
                    if address.starts_with("0x") {
                        address.to_uppercase()
                    } else {
                        address.clone()
                    }
                };
                all.iter().map(any).collect()
            }),
        );
        list("senders", words(self.senders.as_ref()));
        list("rules", words(self.rules.as_ref()));
        list("events", words(self.events.as_ref()));
        let mut one = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                query.extend(["&", name, "=", &value]);
            }
        };
        one("min_confidence", self.min_confidence.map(|least| least.to_string()));
        one("unique_within", self.unique_within_h.map(|hours| format!("{hours}h")));
        one("backfill", self.backfill.then(|| "true".to_owned()));
        one("matches", self.matches.then(|| "true".to_owned()));
        one("text", self.text.then(|| "m[o0]on%5B0-4%5D".to_owned()));
        one("since", self.since_ms.map(|ms| ms.to_string()));
        one("until", self.until_ms.map(|ms| ms.to_string()));
        query
    }

    /// Everything but the times and `unique_within`.
    pub fn wants(&self, claims: &Claims, event: &Detection) -> bool {
        fn within<T: PartialEq>(list: Option<&Vec<T>>, value: Option<&T>) -> bool {
            list.is_none_or(|list| value.is_some_and(|value| list.contains(value)))
        }
        let sender = event.sender.as_ref().map(|sender| sender.id);
        claims.permits(event)
            && within(self.chats.as_ref(), Some(&event.chat.id))
            && within(self.families.as_ref(), Some(&event.family))
            && within(self.chains.as_ref(), event.chain.as_deref().as_ref())
            && within(self.addresses.as_ref(), Some(&event.address))
            && within(
                self.senders.as_ref(),
                sender.as_ref().filter(|_| claims.sees_everything()),
            )
            && within(self.events.as_ref(), Some(&event.event.as_str()))
            && self
                .rules
                .as_ref()
                .is_none_or(|rules| event.rules.iter().any(|rule| rules.contains(&rule.as_str())))
            && self.min_confidence.is_none_or(|least| event.confidence >= least)
            && (self.backfill || !event.listener.backfill)
            && (!self.text || (0..=4).any(|n| event.message.text.contains(&format!("moon{n}"))))
    }

    pub fn wants_match(&self, claims: &Claims, event: &Match) -> bool {
        self.matches
            && claims.permits_chat(event.chat.id)
            && claims.sees_every_event()
            && self.families.is_none()
            && self.addresses.is_none()
            && self.min_confidence.is_none()
            && self.chains.is_none()
            && self.chats.as_ref().is_none_or(|chats| chats.contains(&event.chat.id))
            && self
                .events
                .as_ref()
                .is_none_or(|events| events.contains(&event.event.as_str()))
            && self
                .rules
                .as_ref()
                .is_none_or(|rules| event.rules.iter().any(|rule| rules.contains(&rule.as_str())))
            && self.senders.as_ref().is_none_or(|senders| {
                claims.sees_everything() && event.sender.as_ref().is_some_and(|sender| senders.contains(&sender.id))
            })
            && (self.backfill || !event.listener.backfill)
            && (!self.text || (0..=4).any(|n| event.message.text.contains(&format!("moon{n}"))))
    }

    pub fn in_time(&self, date_ms: i64) -> bool {
        self.since_ms.is_none_or(|since| date_ms >= since) && self.until_ms.is_none_or(|until| date_ms < until)
    }

    /// Ids in the order of the answer.
    pub fn expected(&self, claims: &Claims, rows: &Rows) -> Vec<String> {
        let mut found = Vec::new();
        for event in rows.detections.iter().filter(|event| self.wants(claims, event)) {
            let key = (event.message.date_ms, event.id);
            let is_repeat = |earlier: &Detection| {
                let within_ms = self.unique_within_h.unwrap_or(0) * 3_600_000;
                earlier.event != EventKind::Retracted
                    && (&earlier.address, earlier.family, &earlier.coin_type)
                        == (&event.address, event.family, &event.coin_type)
                    && (earlier.message.date_ms, earlier.id) < key
                    && earlier.message.date_ms > key.0 - within_ms
                    && self.wants(claims, earlier)
            };
            let is_left_out = self.unique_within_h.is_some()
                && event.event != EventKind::Retracted
                && rows.detections.iter().any(is_repeat);
            if self.in_time(key.0) && !is_left_out {
                found.push(key);
            }
        }
        for event in rows.matches.iter().filter(|event| self.wants_match(claims, event)) {
            if self.in_time(event.message.date_ms) {
                found.push((event.message.date_ms, event.id));
            }
        }
        found.sort_unstable();
        found.iter().rev().map(|(_, id)| id.to_string()).collect()
    }
}

pub struct Rows {
    pub detections: Vec<Detection>,
    pub matches: Vec<Match>,
    pub addresses: Vec<String>,
}

impl Rows {
    pub fn random(random: &mut StdRng) -> Self {
        // Written canonically, as the listener does.
        let addresses: Vec<String> = [
            "So11111111111111111111111111111111111111112",
            "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "EQDrjaLahLkMB-hMCmkzOyBuHJ139ZUYmPHu6RRBKnbdLIYI",
        ]
        .map(str::to_owned)
        .into();
        let detections = (0..400)
            .map(|_| {
                let mut event = detection(random.random_range(-6..0));
                event.address = one(random, &addresses);
                event.family = match event.address.as_bytes() {
                    [b'0', ..] => Family::Evm,
                    [b'E', ..] => Family::Ton,
                    _ => Family::Solana,
                };
                event.chain = random
                    .random_bool(0.7)
                    .then(|| one(random, &["base", "solana", "bsc"]).to_owned());
                event.event = one(
                    random,
                    &[
                        EventKind::Called,
                        EventKind::Called,
                        EventKind::AddedByEdit,
                        EventKind::Retracted,
                    ],
                );
                event.confidence = one(random, &[0.25, 0.5, 0.75, 1.0]);
                event.rules = some(random, &["launch".to_owned(), "whale".to_owned(), "other".to_owned()]);
                event.listener.backfill = random.random_bool(0.3);
                about(random, &mut event.message, &mut event.sender);
                event
            })
            .collect();
        let matches = (0..80)
            .map(|_| {
                let mut event = matched(random.random_range(-6..0));
                event.rules = some(random, &["launch".to_owned(), "whale".to_owned()]);
                event.listener.backfill = random.random_bool(0.3);
                about(random, &mut event.message, &mut event.sender);
                event
            })
            .collect();
        Self {
            detections,
            matches,
            addresses,
        }
    }
}

pub fn about(
    random: &mut StdRng,
    message: &mut tgmesh_proto::detection::Message,
    sender: &mut Option<tgmesh_proto::detection::Sender>,
) {
    // Whole seconds, many of them shared.
    message.date_ms = BASE_MS + random.random_range(0..200) * 2_000_000;
    message.edit_date_ms = random
        .random_bool(0.3)
        .then(|| message.date_ms + random.random_range(0..5000) * 1000);
    message.text = format!("gm =moon{} \"x\",\r\ny", random.random_range(0..10));
    if random.random_bool(0.2) {
        *sender = None;
    } else if let Some(sender) = sender {
        sender.id = random.random_range(41..45);
    }
}

pub fn words<T: ToString>(values: Option<&Vec<T>>) -> Option<Vec<String>> {
    Some(values?.iter().map(ToString::to_string).collect())
}

pub fn one<T: Clone>(random: &mut StdRng, of: &[T]) -> T {
    of[random.random_range(0..of.len())].clone()
}

/// One or more.
pub fn some<T: Clone>(random: &mut StdRng, of: &[T]) -> Vec<T> {
    let mut some: Vec<T> = of.iter().filter(|_| random.random_bool(0.4)).cloned().collect();
    if some.is_empty() {
        some.push(one(random, of));
    }
    some
}
