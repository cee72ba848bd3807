//! Match frames: to whom, in what form, and to whom never.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tgmesh_proto::matched::{Match, MatchKind};

use crate::socket::{Opening, Socket, seq_of};
use crate::world::{World, detection, matched, token};

const CHATS: [i64; 3] = [-1, -2, -3];

#[tokio::test(flavor = "multi_thread")]
async fn a_match_arrives_as_it_was_published_in_both_formats() {
    let world = World::start().await;
    for protocol in ["tgmesh.v1.json", "tgmesh.v1.msgpack"] {
        let protocols = Some(format!("{protocol}, bearer, {}", token(&json!({}))));
        let opening = Opening {
            protocols,
            ..Opening::default()
        };
        let (mut socket, _) = Socket::open(world.port, &opening).await.expect("101");
        let welcome = socket.expect("welcome").await;
        let subscribed = socket
            .subscribe("one", json!({"matches": true, "chats": [-7]}), None)
            .await;
        assert_eq!(subscribed["filter"]["matches"], true);
        // With a resume as well: matches begin with `subscribed`.
        let resume = json!({"epoch": welcome["epoch"], "after": welcome["seq"]});
        socket
            .subscribe(
                "two",
                json!({"matches": true, "events": ["rule_matched"]}),
                Some(resume),
            )
            .await;
        let event = matched(-7);
        let seq = world.publish_match(&event).await;
        let mut ids = Vec::new();
        for _ in 0..2 {
            let frame = socket.expect("match").await;
            assert_eq!(seq_of(&frame), seq);
            assert_eq!(frame["data"], serde_json::to_value(&event).expect("encodes"));
            ids.push(frame["id"].as_str().expect("text").to_owned());
        }
        ids.sort();
        assert_eq!(ids, ["one", "two"]);
        socket.send(&json!({"type": "unsubscribe", "id": "two"})).await;
        let other = world.publish_match(&matched(-8)).await;
        let last = world.publish_match(&matched(-7)).await;
        assert!(last > other);
        assert_eq!(seq_of(&socket.expect("match").await), last);
    }
}

/// The page's words as code, written without a look at the gateway's.
fn allowed(claims: &Value, filter: &Value, event: &Match) -> bool {
    let lists =
        |of: &Value, key: &str, value: Value| of[key].is_null() || of[key].as_array().expect("a list").contains(&value);
    let narrow = |of: &Value| !of["families"].is_null() || of["min_confidence"].as_f64().unwrap_or(0.0) > 0.0;
    let sees_senders = claims["role"] == "analyst";
    filter["matches"] == true
        && (claims["chats"] == json!(["*"]) || lists(claims, "chats", json!(event.chat.id)))
        && !narrow(claims)
        && !narrow(filter)
        && filter["addresses"].is_null()
        && lists(filter, "chats", json!(event.chat.id))
        && lists(filter, "events", json!(event.event.as_str()))
        && lists(filter, "chains", json!(event.chain))
        && (filter["rules"].is_null() || event.rules.iter().any(|rule| lists(filter, "rules", json!(rule))))
        && (filter["senders"].is_null()
            || (sees_senders && lists(filter, "senders", json!(event.sender.as_ref().map(|sender| sender.id)))))
        && filter["text"]
            .as_str()
            .is_none_or(|text| event.message.text.contains(text))
        && (filter["backfill"] == true || !event.listener.backfill)
}

#[tokio::test(flavor = "multi_thread")]
async fn random_tokens_and_filters_never_see_more_or_less() {
    let world = World::start().await;
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut sockets = Vec::new();
    for n in 0..40 {
        let mut claims = json!({"role": if n % 2 == 0 { "viewer" } else { "analyst" }, "chats": ["*"]});
        if random.random_bool(0.6) {
            let chats: Vec<_> = CHATS.iter().filter(|_| random.random_bool(0.5)).collect();
            claims["chats"] = json!(chats);
        }
        let mut filter = json!({"matches": random.random_bool(0.9)});
        for (of, key, value, chance) in [
            (0, "families", json!(["solana"]), 0.1),
            (0, "min_confidence", json!(0.5), 0.1),
            (1, "chats", json!([-1, -3]), 0.3),
            (1, "families", json!(["solana"]), 0.1),
            (1, "addresses", json!(["x"]), 0.1),
            (1, "min_confidence", json!(0.1), 0.1),
            (1, "events", json!(["rule_matched", "called"]), 0.2),
            (1, "chains", json!(["solana"]), 0.2),
            (1, "rules", json!(["launch", "x"]), 0.3),
            (1, "senders", json!([4242]), 0.2),
            (1, "text", json!("now"), 0.2),
            (1, "backfill", json!(true), 0.5),
        ] {
            if random.random_bool(chance) {
                (if of == 0 { &mut claims } else { &mut filter })[key] = value;
            }
        }
        let (mut socket, _) = Socket::welcomed(world.port, &token(&claims)).await;
        let subscribed = socket.subscribe("s", filter.clone(), None).await;
        let may = claims["families"].is_null() && claims["min_confidence"].is_null();
        assert_eq!(subscribed["filter"]["matches"], json!(filter["matches"] == true && may));
        sockets.push((socket, claims, filter));
    }
    let mut events = Vec::new();
    for n in 0..150 {
        let mut event = matched(CHATS[random.random_range(0..CHATS.len())]);
        if random.random_bool(0.5) {
            event.event = MatchKind::UnresolvedLink;
            event.chain = Some(if random.random_bool(0.5) { "solana" } else { "tron" }.to_owned());
            event.rules = if random.random_bool(0.5) {
                vec!["gems".to_owned()]
            } else {
                Vec::new()
            };
        }
        if random.random_bool(0.2) {
            event.sender = None;
        }
        if random.random_bool(0.3) {
            event.message.text = format!("gm {n}");
        }
        event.listener.backfill = random.random_bool(0.2);
        let seq = world.publish_match(&event).await;
        events.push((seq, event));
    }
    // Every match stands in each mailbox before a detection that is published after it was told to
    // somebody who sees all.
    let (mut all, _) = Socket::welcomed(world.port, &token(&json!({}))).await;
    all.subscribe("s", json!({"matches": true}), None).await;
    let mut end = matched(-99);
    end.listener.backfill = false;
    let last = world.publish_match(&end).await;
    // It may be told of some that were published before it came, but read after.
    while seq_of(&all.expect("match").await) < last {}
    for (socket, claims, filter) in &mut sockets {
        socket.send(&json!({"type": "ping", "t_ms": 1})).await;
        let mut expected = events.iter().filter(|(_, event)| allowed(claims, filter, event));
        loop {
            let frame = socket.next().await.expect("a frame");
            match frame["type"].as_str() {
                // Frames to a client keep their order, but an answer may overtake what waits: one
                // more round says that nothing did.
                Some("pong") if frame["t_ms"] == 1.0 => {
                    socket.send(&json!({"type": "ping", "t_ms": 2})).await;
                }
                Some("pong") => break,
                Some("match") if frame["data"]["chat"]["id"] == -99 => {}
                Some("match") => {
                    let (seq, event) = expected.next().unwrap_or_else(|| panic!("{claims} {filter} {frame}"));
                    assert_eq!(seq_of(&frame), *seq, "{claims} {filter}");
                    let shown = event.sender.is_some() && claims["role"] == "analyst";
                    assert_eq!(!frame["data"]["sender"].is_null(), shown, "{claims}");
                }
                Some("position") => {}
                _ => panic!("{frame}"),
            }
        }
        assert!(expected.next().is_none(), "something is missing: {claims} {filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_narrows_ends_matches_and_detections_go_on() {
    let world = World::start().await;
    let claims = |extra: Value| {
        let mut claims = json!({"sub": "ann"});
        for (name, value) in extra.as_object().expect("a map") {
            claims[name] = value.clone();
        }
        token(&claims)
    };
    let (mut socket, _) = Socket::welcomed(world.port, &claims(json!({}))).await;
    socket.subscribe("s", json!({"matches": true}), None).await;
    let first = world.publish_match(&matched(-1)).await;
    assert_eq!(seq_of(&socket.expect("match").await), first);
    let narrow = claims(json!({"families": ["solana"]}));
    socket.send(&json!({"type": "auth", "token": narrow})).await;
    socket.expect("welcome").await;
    world.publish_match(&matched(-1)).await;
    let seq = world.publish(&detection(-1)).await;
    assert_eq!(seq_of(&socket.expect("detection").await), seq);
}
