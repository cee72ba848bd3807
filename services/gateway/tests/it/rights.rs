use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tgmesh_proto::detection::{Detection, Family};

use crate::socket::{Socket, seq_of};
use crate::world::{World, detection, token};

const CHATS: [i64; 4] = [-1, -2, -3, -4];

fn pick<T: Clone>(random: &mut StdRng, of: &[T]) -> Vec<T> {
    of.iter().filter(|_| random.random_bool(0.5)).cloned().collect()
}

/// The contract's words as code, written without a look at the gateway's.
fn allowed(claims: &Value, filter: &Value, event: &Detection) -> bool {
    let lists =
        |of: &Value, key: &str, value: Value| of[key].is_null() || of[key].as_array().expect("a list").contains(&value);
    let at_least = |of: &Value| event.confidence >= of["min_confidence"].as_f64().unwrap_or(0.0);
    let may = (claims["chats"] == json!(["*"]) || lists(claims, "chats", json!(event.chat.id)))
        && lists(claims, "families", json!(event.family.as_str()))
        && at_least(claims);
    may && lists(filter, "chats", json!(event.chat.id))
        && lists(filter, "families", json!(event.family.as_str()))
        && lists(filter, "addresses", json!(event.address))
        && at_least(filter)
}

#[tokio::test(flavor = "multi_thread")]
async fn random_tokens_and_filters_against_a_model() {
    let mut world = World::start().await;
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let families = ["solana", "evm", "ton"];
    let mut sockets = Vec::new();
    for n in 0..24 {
        let mut claims = json!({"role": if n % 2 == 0 { "viewer" } else { "analyst" }});
        claims["chats"] = if random.random_bool(0.2) {
            json!(["*"])
        } else {
            json!(pick(&mut random, &CHATS))
        };
        let mut filter = json!({});
        if random.random_bool(0.5) {
            filter["chats"] = json!(pick(&mut random, &CHATS));
        }
        for of in [&mut claims, &mut filter] {
            if random.random_bool(0.3) {
                of["families"] = json!(pick(&mut random, &families));
            }
            if random.random_bool(0.3) {
                of["min_confidence"] = json!(f64::from(random.random_range(0..10_u32)) / 10.0);
            }
        }
        let (mut socket, welcome) = Socket::welcomed(world.port, &token(&claims)).await;
        let subscribed = socket.subscribe("live", filter.clone(), None).await;
        if claims["chats"] != json!(["*"]) {
            let permitted: BTreeSet<i64> = serde_json::from_value(claims["chats"].clone()).expect("ids");
            let told: BTreeSet<i64> = serde_json::from_value(subscribed["filter"]["chats"].clone()).expect("ids");
            assert!(told.is_subset(&permitted), "{subscribed}");
        }
        sockets.push((socket, welcome, claims, filter));
    }
    let mut events = Vec::new();
    for _ in 0..300 {
        let mut event = detection(CHATS[random.random_range(0..CHATS.len())]);
        event.family = [Family::Solana, Family::Evm, Family::Ton][random.random_range(0..3)];
        event.confidence = f64::from(random.random_range(0..=10_u32)) / 10.0;
        let seq = world.publish(&event).await;
        events.push((seq, event));
    }
    let last = events[events.len() - 1].0;
    let check = async |socket: &mut Socket, claims: &Value, filter: &Value| {
        let mut expected = events.iter().filter(|(_, event)| allowed(claims, filter, event));
        // A position at or after the end says that nothing more will come.
        loop {
            let frame = socket.next().await.expect("a frame");
            match frame["type"].as_str() {
                Some("detection") => {
                    let (seq, event) = expected.next().expect("nothing beyond the rights and the filter");
                    assert_eq!(seq_of(&frame), *seq, "{claims} {filter}");
                    let sees_all = claims["role"] == "analyst";
                    assert_eq!(frame["data"]["sender"].is_null(), !sees_all);
                    assert_eq!(frame["data"]["seen_before"].is_null(), !sees_all);
                    assert_eq!(frame["data"]["address"], json!(event.address));
                }
                Some("position") if seq_of(&frame) >= last => break,
                Some("position") => {}
                _ => panic!("{frame}"),
            }
        }
        assert!(expected.next().is_none(), "something is missing: {claims} {filter}");
    };
    for (socket, _, claims, filter) in &mut sockets {
        check(socket, claims, filter).await;
    }
    // The same by resume, out of memory and, after a restart, whatever the ring has.
    let specs: Vec<_> = sockets
        .into_iter()
        .map(|(_, welcome, claims, filter)| (welcome, claims, filter))
        .collect();
    world.kill_gateway().await;
    world.start_gateway().await;
    let mut resumed = Vec::new();
    for (welcome, claims, filter) in &specs {
        let (mut socket, _) = Socket::welcomed(world.port, &token(claims)).await;
        let resume = json!({"epoch": welcome["epoch"], "after": 0});
        socket.subscribe("resumed", filter.clone(), Some(resume)).await;
        resumed.push((socket, claims, filter));
    }
    for (socket, claims, filter) in &mut resumed {
        check(socket, claims, filter).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_one_chat_never_sees_another() {
    let world = World::start().await;
    let last = world.publish_many(20, -2).await;
    let (mut socket, welcome) = Socket::welcomed(world.port, &token(&json!({"chats": [-1], "role": "viewer"}))).await;
    let asks = [
        json!({}),
        json!({"chats": [-2]}),
        json!({"chats": [-1, -2]}),
        json!({"senders": [4242]}),
    ];
    for (n, filter) in asks.into_iter().enumerate() {
        for (m, resume) in [
            None,
            Some(json!({"last": 100})),
            Some(json!({"epoch": welcome["epoch"], "after": 0})),
        ]
        .into_iter()
        .enumerate()
        {
            socket.subscribe(&format!("{n}-{m}"), filter.clone(), resume).await;
        }
    }
    world.publish_many(20, -2).await;
    let mine = world.publish_many(1, -1).await;
    assert!(mine > last);
    let mut got = BTreeSet::new();
    for _ in 0..6 {
        let frame = socket.expect("detection").await;
        assert_eq!(seq_of(&frame), mine);
        assert_eq!(frame["data"]["chat"]["id"], -1);
        got.insert(frame["id"].as_str().expect("text").to_owned());
    }
    let expected = ["0-0", "0-1", "0-2", "2-0", "2-1", "2-2"].map(str::to_owned);
    assert_eq!(got, BTreeSet::from(expected), "a viewer's senders let nothing pass");
    let (mut none, _) = Socket::welcomed(world.port, &token(&json!({"chats": null}))).await;
    let subscribed = none.subscribe("s", json!({}), None).await;
    assert_eq!(
        subscribed["filter"]["chats"],
        json!([]),
        "a token without chats sees none"
    );
}
