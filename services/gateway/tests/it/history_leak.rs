//! Random tokens, random filters and random rows against a small model: what the API tells is what
//! the model says, no row and no count more or less.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tgmesh_proto::detection::{Detection, EventKind, Family};
use tgmesh_proto::matched::Match;

use crate::past::Past;
use crate::world::{detection, matched, token};

/// 2026-11-16T00:00:00Z: all rows lie in the six days after it.
const BASE_MS: i64 = 1_794_787_200_000;
const FAMILIES: [Family; 3] = [Family::Solana, Family::Evm, Family::Ton];

#[derive(Debug)]
struct Claims {
    role: &'static str,
    chats: Option<BTreeSet<i64>>,
    families: Option<BTreeSet<Family>>,
    min_confidence: f64,
}

#[derive(Debug, Default)]
struct Asked {
    chats: Option<Vec<i64>>,
    families: Option<Vec<Family>>,
    chains: Option<Vec<&'static str>>,
    addresses: Option<Vec<String>>,
    senders: Option<Vec<i64>>,
    rules: Option<Vec<&'static str>>,
    min_confidence: Option<f64>,
    events: Option<Vec<&'static str>>,
    unique_within_h: Option<i64>,
    backfill: bool,
    matches: bool,
    text: bool,
    since_ms: Option<i64>,
    until_ms: Option<i64>,
}

impl Claims {
    fn random(random: &mut StdRng) -> Self {
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

    fn token(&self) -> String {
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

    fn sees_everything(&self) -> bool {
        self.role != "viewer"
    }

    fn permits_chat(&self, id: i64) -> bool {
        self.chats.as_ref().is_none_or(|chats| chats.contains(&id))
    }

    fn permits(&self, event: &Detection) -> bool {
        self.permits_chat(event.chat.id)
            && self
                .families
                .as_ref()
                .is_none_or(|families| families.contains(&event.family))
            && event.confidence >= self.min_confidence
    }

    fn sees_every_event(&self) -> bool {
        self.families.is_none() && self.min_confidence <= 0.0
    }
}

impl Asked {
    fn random(random: &mut StdRng, addresses: &[String]) -> Self {
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

    fn query(&self, random: &mut StdRng) -> String {
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
    fn wants(&self, claims: &Claims, event: &Detection) -> bool {
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

    fn wants_match(&self, claims: &Claims, event: &Match) -> bool {
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

    fn in_time(&self, date_ms: i64) -> bool {
        self.since_ms.is_none_or(|since| date_ms >= since) && self.until_ms.is_none_or(|until| date_ms < until)
    }

    /// Ids in the order of the answer.
    fn expected(&self, claims: &Claims, rows: &Rows) -> Vec<String> {
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

struct Rows {
    detections: Vec<Detection>,
    matches: Vec<Match>,
    addresses: Vec<String>,
}

impl Rows {
    fn random(random: &mut StdRng) -> Self {
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

fn about(
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

fn words<T: ToString>(values: Option<&Vec<T>>) -> Option<Vec<String>> {
    Some(values?.iter().map(ToString::to_string).collect())
}

fn one<T: Clone>(random: &mut StdRng, of: &[T]) -> T {
    of[random.random_range(0..of.len())].clone()
}

/// One or more.
fn some<T: Clone>(random: &mut StdRng, of: &[T]) -> Vec<T> {
    let mut some: Vec<T> = of.iter().filter(|_| random.random_bool(0.4)).cloned().collect();
    if some.is_empty() {
        some.push(one(random, of));
    }
    some
}

fn ids(items: &[Value]) -> Vec<String> {
    items
        .iter()
        .map(|item| item["id"].as_str().expect("an id").to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outside_the_rights_is_ever_told() {
    let is_soak = std::env::var_os("TGMESH_SOAK").is_some_and(|soak| soak == "1");
    let seed = if is_soak { rand::random() } else { 6 };
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let past = Past::start().await;
    let rows = Rows::random(&mut random);
    past.keep(&rows.detections).await;
    past.keep_matches(&rows.matches).await;
    past.count().await;
    let mut told = 0;
    for round in 0..if is_soak { 3000 } else { 120 } {
        let claims = Claims::random(&mut random);
        let token = claims.token();
        let asked = Asked::random(&mut random, &rows.addresses);
        let query = asked.query(&mut random);
        let hint = format!("round {round}: {claims:?} {query}");
        let expected = asked.expected(&claims, &rows);
        told += expected.len();
        let limit = one(&mut random, &[37, 100, 1000]);
        let path = format!("/api/detections?limit={limit}{query}");
        let (items, _) = past.pages(&path, &token).await;
        assert_eq!(ids(&items), expected, "{hint}");
        for item in &items {
            if !claims.sees_everything() {
                let is_reduced = item["sender"].is_null() && item.get("seen_before").is_none_or(Value::is_null);
                assert!(is_reduced, "{hint}: {item}");
            }
        }
        exports(&past, &claims, &token, &query, &expected, &hint).await;
        facts(&past, &claims, &token, &rows, &hint).await;
    }
    assert!(told > 1000, "the filters let hardly anything pass: {told}");
}

async fn exports(past: &Past, claims: &Claims, token: &str, query: &str, expected: &[String], hint: &str) {
    let path = format!("/api/detections?{query}");
    let (status, _, lines) = past.fetch(&path, token, "application/x-ndjson").await;
    let (table_status, _, table) = past.fetch(&path, token, "text/csv").await;
    if !claims.sees_everything() {
        assert_eq!((status, table_status), (403, 403), "{hint}");
        return;
    }
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(ids(&lines), expected, "{hint}");
    // No id holds a comma, and no line within a cell begins with one.
    let of_table: Vec<&str> = table
        .split("\r\n")
        .skip(1)
        .filter_map(|line| line.split(',').next().filter(|id| id.len() == 32))
        .collect();
    assert_eq!(of_table, expected, "{hint}");
}

async fn facts(past: &Past, claims: &Claims, token: &str, rows: &Rows, hint: &str) {
    let seen: Vec<&Detection> = rows.detections.iter().filter(|event| claims.permits(event)).collect();
    for address in &rows.addresses[..2] {
        let mine: Vec<_> = seen.iter().filter(|event| event.address == *address).copied().collect();
        let (status, answer) = past.get(&format!("/api/addresses/{address}"), token).await;
        if mine.is_empty() {
            assert_eq!(status, 404, "{hint}");
            continue;
        }
        let found = &answer["found"][0];
        assert_eq!(found["counts"], counts(&mine), "{hint}");
        let mut firsts: BTreeMap<i64, (i64, i64, i64)> = BTreeMap::new();
        for event in mine.iter().filter(|event| event.event != EventKind::Retracted) {
            let edited = event
                .message
                .edit_date_ms
                .filter(|_| event.event == EventKind::AddedByEdit);
            let at = edited.unwrap_or(0).max(event.message.date_ms);
            let claim = (at, event.chat.id, event.message.id);
            let first = firsts.entry(event.chat.id).or_insert(claim);
            *first = claim.min(*first);
        }
        let mut order: Vec<_> = firsts.into_values().collect();
        order.sort_unstable();
        let spread: Vec<_> = found["spread"].as_array().expect("a list").iter().map(place).collect();
        assert_eq!(spread, order, "{hint}");
        assert_eq!(found["chats"], order.len(), "{hint}");
        if !claims.sees_everything() {
            assert!(!answer.to_string().contains("\"sender_id\":4"), "{hint}: {answer}");
        }
    }
    let (chats, _) = past.pages("/api/chats?limit=4", token).await;
    let permitted: Vec<i64> = (-6..0).filter(|id| claims.permits_chat(*id)).collect();
    assert_eq!(
        chats
            .iter()
            .map(|chat| chat["id"].as_i64().expect("an id"))
            .collect::<Vec<_>>(),
        permitted,
        "{hint}"
    );
    for chat in &chats {
        let mine: Vec<_> = rows
            .detections
            .iter()
            .filter(|event| chat["id"] == event.chat.id)
            .collect();
        let statistics = &chat["statistics"];
        if claims.sees_everything() && claims.sees_every_event() {
            assert_eq!(statistics["called"], counts(&mine)["called"], "{hint}");
            let matched = rows.matches.iter().filter(|event| chat["id"] == event.chat.id).count();
            assert_eq!(statistics["matched"], matched, "{hint}");
        } else {
            assert!(statistics.is_null(), "{hint}: {chat}");
        }
    }
    let (status, sender) = past.get("/api/senders/42", token).await;
    let is_mine = |sender: Option<&tgmesh_proto::detection::Sender>| sender.is_some_and(|sender| sender.id == 42);
    let mine: Vec<_> = seen
        .iter()
        .filter(|event| is_mine(event.sender.as_ref()))
        .copied()
        .collect();
    let without_address = rows.matches.iter().filter(|event| {
        is_mine(event.sender.as_ref()) && claims.permits_chat(event.chat.id) && claims.sees_every_event()
    });
    let matched = without_address.count();
    if !claims.sees_everything() {
        assert_eq!(status, 403, "{hint}");
    } else if mine.is_empty() && matched == 0 {
        assert_eq!(status, 404, "{hint}");
    } else {
        for kind in ["called", "added_by_edit", "retracted"] {
            assert_eq!(sender["statistics"][kind], counts(&mine)[kind], "{hint}: {sender}");
        }
        let told = claims.sees_every_event().then_some(matched);
        assert_eq!(sender["statistics"]["matched"], json!(told), "{hint}: {sender}");
    }
}

fn counts(of: &[&Detection]) -> Value {
    let count = |kind| of.iter().filter(|event| event.event == kind).count();
    json!({
        "called": count(EventKind::Called), "added_by_edit": count(EventKind::AddedByEdit),
        "retracted": count(EventKind::Retracted),
    })
}

fn place(value: &Value) -> (i64, i64, i64) {
    let first = &value["first"];
    let number = |value: &Value| value.as_i64().expect("a number");
    (
        number(&first["at_ms"]),
        number(&first["chat_id"]),
        number(&first["message_id"]),
    )
}
