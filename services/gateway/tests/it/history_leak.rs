//! Random tokens, random filters and random rows against a small model: what the API tells is what
//! the model says, no row and no count more or less.

mod model;

use std::collections::BTreeMap;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tgmesh_proto::detection::{Detection, EventKind};

use crate::history_leak::model::{Asked, Claims, Rows, one};
use crate::past::Past;

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
