//! `/api/stream`: the same filters, rights and resume as a WebSocket, in the body of an answer.

use std::collections::VecDeque;

use reqwest::{Client, Response};
use serde_json::{Value, json};
use tgmesh_testkit::eventually;

use crate::socket::PATIENCE;
use crate::world::{World, detection, token};

/// A reader of the format (WHATWG HTML, 9.2.6), as far as the gateway uses it.
struct Events {
    response: Response,
    text: String,
    ready: VecDeque<Event>,
}

#[derive(Debug, Clone, PartialEq)]
struct Event {
    id: Option<String>,
    data: Value,
}

impl Events {
    async fn open(world: &World, token: &str, query: &str, last: Option<&str>) -> Self {
        let response = ask(world, Some(token), query, last).await;
        assert_eq!(response.status(), 200, "{:?}", response.text().await);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self {
            response,
            text: String::new(),
            ready: VecDeque::new(),
        }
    }

    /// The next event; nothing at the end of the body.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk());
            let chunk = chunk.await.expect("no event in time").ok()??;
            self.text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let mut event = Event {
                    id: None,
                    data: Value::Null,
                };
                for line in block.lines() {
                    match line.split_once(": ") {
                        Some(("id", id)) => event.id = Some(id.to_owned()),
                        Some(("data", data)) => event.data = serde_json::from_str(data).expect("JSON"),
                        _ => assert!(line.starts_with(':'), "{line}"),
                    }
                }
                self.ready.push_back(event);
                let rest = rest.to_owned();
                self.text = rest;
            }
        }
    }

    /// The next one of a type.
    async fn expect(&mut self, kind: &str) -> Event {
        loop {
            let event = self.next().await.unwrap_or_else(|| panic!("it ended before {kind}"));
            if event.data["type"] == kind {
                return event;
            }
        }
    }
}

async fn ask(world: &World, token: Option<&str>, query: &str, last: Option<&str>) -> Response {
    let mut request = Client::new().get(world.url(&format!("/api/stream{query}")));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    request.send().await.expect("it answers")
}

#[tokio::test]
async fn events_are_the_frames_of_a_websocket_within_the_rights() {
    let world = World::start().await;
    let token = token(&json!({"role": "viewer", "chats": [-1, -2]}));
    let mut events = Events::open(&world, &token, "?chats=-1,-3", None).await;
    events.expect("welcome").await;
    let subscribed = events.expect("subscribed").await;
    assert_eq!(subscribed.data["filter"]["chats"], json!([-1]), "cut to the rights");
    for chat in [-1, -2, -3, -1] {
        world.publish(&detection(chat)).await;
    }
    for seq in [1, 4] {
        let event = events.expect("detection").await;
        let epoch = subscribed.data["epoch"].as_str().expect("an epoch");
        assert_eq!(event.id.as_deref(), Some(format!("{epoch}:{seq}").as_str()));
        assert_eq!(event.data["seq"], seq);
        assert_eq!(event.data["data"]["chat"]["id"], -1);
        assert!(
            event.data["data"].get("sender").is_none_or(Value::is_null),
            "a viewer sees no sender"
        );
    }
    // A quiet stream tells its position, too, so that it does not age out.
    let position = events.expect("position").await;
    assert_eq!(position.data["seq"], 4);
    assert!(position.id.is_some_and(|id| id.ends_with(":4")));
    // Who goes gives the place back.
    assert_eq!(world.counter("clients").await, 1);
    drop(events);
    eventually(PATIENCE, "the place is free", || async {
        world.counter("clients").await == 0
    })
    .await;
}

#[tokio::test]
async fn who_comes_back_with_the_last_id_misses_nothing() {
    let mut world = World::start().await;
    let token = token(&json!({"chats": ["*"]}));
    let mut events = Events::open(&world, &token, "", None).await;
    let mut place = events.expect("subscribed").await.id.expect("where to go on from");
    let mut got = Vec::new();
    for round in 0..4 {
        world.publish_many(50, -7).await;
        // Some of them, and gone in the midst; in the last round all that there are.
        let until = if round == 3 { 200 } else { 50 * round + 20 };
        while got.last().copied().unwrap_or(0) < until {
            let event = events.next().await.expect("more to come");
            if event.data["type"] == "detection" {
                got.push(event.data["seq"].as_u64().expect("a number"));
            }
            assert_ne!(event.data["type"], "gap");
            place = event.id.unwrap_or(place);
        }
        drop(events);
        if round == 1 {
            world.kill_gateway().await;
            world.start_gateway().await;
        }
        events = Events::open(&world, &token, "", Some(&place)).await;
        assert_eq!(events.expect("subscribed").await.data["recovered"], true);
    }
    assert_eq!(got, (1..=200).collect::<Vec<u64>>());
    // Of another epoch nobody can tell what is missing, and it says so.
    let mut events = Events::open(&world, &token, "", Some("another:5")).await;
    assert_eq!(events.expect("subscribed").await.data["recovered"], false);
    assert_eq!(events.expect("gap").await.data["to"], 200);
    let mut events = Events::open(&world, &token, "?last=3", None).await;
    for seq in [198, 199, 200] {
        assert_eq!(events.expect("detection").await.data["seq"], seq);
    }
}

#[tokio::test]
async fn it_ends_with_a_reason() {
    let world = World::start().await;
    let short = token(&json!({"exp": crate::world::now_s() + 2, "sub": "short"}));
    let mut events = Events::open(&world, &short, "", None).await;
    let last = events.expect("close").await;
    assert_eq!((&last.data["code"], events.next().await), (&json!(4409), None));

    let mut events = Events::open(&world, &token(&json!({"sub": "long"})), "", None).await;
    events.expect("subscribed").await;
    world.gateway().terminate();
    let wait = events.expect("reconnect").await.data["after_ms"].as_u64();
    assert!(wait.is_some_and(|wait| wait > 0));
    assert_eq!(events.expect("close").await.data["code"], 1001);
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn what_cannot_be_answered_is_a_problem_document() {
    let world = World::start_with(&[("MAX_CONNECTIONS_PER_SUBJECT", "1")]).await;
    let good = token(&json!({"sub": "one"}));
    let status = async |token: Option<&str>, query: &str, last: Option<&str>| {
        let response = ask(&world, token, query, last).await;
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        response.status().as_u16()
    };
    assert_eq!(status(None, "", None).await, 401);
    assert_eq!(status(Some("x.y.z"), "", None).await, 401);
    assert_eq!(status(Some(&good), "?nonsense=1", None).await, 400);
    assert_eq!(status(Some(&good), "?text=(", None).await, 400);
    assert_eq!(status(Some(&good), "?last=0", None).await, 400);
    assert_eq!(status(Some(&good), "", Some("7")).await, 400);
    let mut held = Events::open(&world, &good, "", None).await;
    held.expect("subscribed").await;
    assert_eq!(status(Some(&good), "", None).await, 429, "one of this subject is here");
    drop(held);
    eventually(PATIENCE, "the place is free", || async {
        ask(&world, Some(&good), "", None).await.status() == 200
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_stands_still_holds_up_nobody() {
    let world = World::start().await;
    let mut still = Events::open(&world, &token(&json!({"sub": "still"})), "", None).await;
    still.expect("subscribed").await;
    let mut other = Events::open(&world, &token(&json!({"sub": "other"})), "", None).await;
    other.expect("subscribed").await;
    // More than the kernel and the gateway keep for one client.
    let mut large = detection(-5);
    large.message.text = "x".repeat(4_000);
    let mut receipts = Vec::new();
    for n in 0..3_000 {
        let mut event = detection(-5);
        event.message.text.clone_from(&large.message.text);
        event.message.id = n;
        receipts.push(world.send(&event).await);
    }
    for seq in 1..=3_000_u64 {
        assert_eq!(other.expect("detection").await.data["seq"], seq);
    }
    for receipt in receipts {
        receipt.await.expect("it is stored");
    }
    assert!(world.counter("slowed_total").await > 0, "it was put behind");
    // What it did not take is there when it reads on.
    for seq in 1..=3_000_u64 {
        assert_eq!(still.expect("detection").await.data["seq"], seq);
    }
}
