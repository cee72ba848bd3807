//! Labelled messages, one JSON object a line in `cases.jsonl`: what goes in, and all that has to
//! come out.

use serde_json::Value;
use tgmesh_detect::{Button, Detector, Entity, EntityKind, Findings, Input};

#[test]
fn every_case_gives_what_its_label_says() {
    let detector = Detector::new();
    let mut wrong = Vec::new();
    let cases: Vec<Value> = include_str!("cases.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(cases.len() >= 60, "cases.jsonl has lost its cases");
    for case in &cases {
        let list = |key: &str| case[key].as_array().cloned().unwrap_or_default();
        let (entities, buttons, links) = (list("entities"), list("buttons"), list("links"));
        let entities: Vec<Entity<'_>> = entities
            .iter()
            .map(|entity| Entity {
                kind: EntityKind::from_name(entity["kind"].as_str().unwrap()),
                offset: entity["offset"].as_u64().unwrap() as usize,
                length: entity["length"].as_u64().unwrap() as usize,
                url: entity["url"].as_str(),
            })
            .collect();
        let buttons: Vec<Button<'_>> = buttons
            .iter()
            .map(|button| match (button["url"].as_str(), button["copy"].as_str()) {
                (Some(url), _) => Button::Url(url),
                (None, copy) => Button::Copy(copy.unwrap()),
            })
            .collect();
        let links: Vec<&str> = links.iter().map(|link| link.as_str().unwrap()).collect();
        let text = case["text"].as_str().unwrap();
        let mut found = Findings::default();
        detector.find(
            &Input {
                text,
                entities: &entities,
                buttons: &buttons,
                links: &links,
                prior: case["prior"].as_str(),
                ..Input::default()
            },
            &mut found,
        );
        let got: Vec<Value> = found
            .finds
            .iter()
            .zip(list("expect").iter().chain(std::iter::repeat(&Value::Null)))
            .map(|(find, expected)| {
                // A label names only what matters to it.
                let all = serde_json::json!({
                    "family": find.family.as_str(), "chain": find.chain, "address": find.address, "coin_type": find.coin_type,
                    "role": find.role.as_str(), "method": find.method.as_str(), "evidence": find.evidence, "raw": find.raw,
                });
                let keys = expected.as_object().map_or_else(|| vec!["address".to_owned()], |e| e.keys().cloned().collect());
                let mut told = serde_json::Map::new();
                for key in keys {
                    told.insert(key.clone(), all[key.as_str()].clone());
                }
                Value::Object(told)
            })
            .collect();
        if got != list("expect") {
            wrong.push(format!(
                "{}\n  expected {}\n  got      {}",
                case["about"],
                Value::Array(list("expect")),
                Value::Array(got)
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}
