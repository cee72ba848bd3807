use std::collections::HashMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tgmesh_proto::detection::{Detection, EventKind};
use tgmesh_proto::{codec, subject};
use tgmesh_stream::window;

use crate::socket::{Socket, seq_of};
use crate::world::{World, detection, token};

const WITHIN: Duration = Duration::from_millis(400);

/// A client that goes away and comes back.
struct Client {
    filter: Value,
    /// After which sequence it began, and whether it says so when it comes back.
    since: Option<u64>,
    says_since: bool,
    epoch: Value,
    after: u64,
    got: Vec<u64>,
}

impl Client {
    async fn connect(&mut self, world: &World) -> Socket {
        let (mut socket, welcome) = Socket::welcomed(world.port, &token(&json!({}))).await;
        let resume = self.since.map(|since| {
            let mut resume = json!({"epoch": self.epoch, "after": self.after});
            if self.says_since {
                resume["since"] = json!(since);
            }
            resume
        });
        let subscribed = socket.subscribe("s", self.filter.clone(), resume).await;
        if self.since.is_none() {
            self.since = Some(seq_of(&subscribed));
            self.after = seq_of(&subscribed);
            self.epoch = welcome["epoch"].clone();
        }
        assert_eq!(subscribed["epoch"], self.epoch);
        socket
    }

    /// Takes so many detections, and stops early at this sequence.
    async fn take(&mut self, socket: &mut Socket, most: usize, until: u64) {
        for _ in 0..most {
            if self.after >= until {
                return;
            }
            self.after = seq_of(&socket.expect("detection").await);
            self.got.push(self.after);
        }
    }
}

/// What a client that is there all the time is told: the rule in its simplest words.
async fn expected(world: &World, since: u64, chat: i64, within: Duration) -> Vec<u64> {
    let mut told: HashMap<String, u64> = HashMap::new();
    let mut seqs = Vec::new();
    let mut all = window::read(&world.mesh, subject::DETECTIONS, since + 1, None, &[])
        .await
        .expect("the stream is there");
    while let Some(delivery) = all.next().await.expect("it can be read") {
        let event = codec::decode(&delivery.payload).expect("an event");
        if event.chat.id != chat {
            continue;
        }
        let at_us = delivery.published_us;
        let is_again = told
            .get(&event.address)
            .is_some_and(|&last_us| at_us < last_us + within.as_micros() as u64);
        if event.event == EventKind::Retracted {
            seqs.push(delivery.seq);
        } else if !is_again {
            told.insert(event.address, at_us);
            seqs.push(delivery.seq);
        }
    }
    seqs
}

fn call(chat: i64, address: u64) -> Detection {
    Detection {
        address: format!("Address{address}"),
        ..detection(chat)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_as_if_nobody_had_been_away() {
    let mut world = World::start().await;
    let mut random = StdRng::seed_from_u64(7);
    let client = |says_since| Client {
        filter: json!({"chats": [-1], "unique_within": "400ms"}),
        since: None,
        says_since,
        epoch: Value::Null,
        after: 0,
        got: Vec::new(),
    };
    // The first is there from the stream's beginning; the second begins when there is a past that it
    // was not told, and says since when.
    let mut clients = vec![client(false)];
    drop(clients[0].connect(&world).await);
    for round in 0..8 {
        if round == 3 {
            let mut late = client(true);
            drop(late.connect(&world).await);
            clients.push(late);
        }
        if round == 2 || round == 5 {
            world.kill_gateway().await;
            world.start_gateway().await;
        }
        let mut sockets = Vec::new();
        for n in 0..40 {
            if n == 20 {
                // The one half was missed, the other comes live.
                for client in &mut clients {
                    sockets.push(client.connect(&world).await);
                }
            }
            let mut event = call(-random.random_range(1..3), random.random_range(0..5));
            if random.random_ratio(1, 8) {
                event.event = EventKind::Retracted;
            }
            world.publish(&event).await;
            // The rule is about time, so the events need some.
            tokio::time::sleep(Duration::from_millis(random.random_range(0..25))).await;
        }
        // An address of its own, which nobody leaves out.
        let last = world.publish(&call(-1, 1_000 + round)).await;
        for (client, socket) in clients.iter_mut().zip(&mut sockets) {
            let most = if round == 7 {
                usize::MAX
            } else {
                random.random_range(0..30)
            };
            client.take(socket, most, last).await;
        }
    }
    for (n, client) in clients.iter().enumerate() {
        let expected = expected(&world, client.since.expect("it has begun"), -1, WITHIN).await;
        assert!(expected.len() > 30, "{}", expected.len());
        assert_eq!(client.got, expected, "client {n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_is_found_in_the_stream() {
    let mut world = World::start().await;
    let mut clients = Vec::new();
    world.publish(&call(-1, 1)).await;
    for says_since in [true, false] {
        let mut client = Client {
            filter: json!({"chats": [-1], "unique_within": "1h"}),
            since: None,
            says_since,
            epoch: Value::Null,
            after: 0,
            got: Vec::new(),
        };
        let mut socket = client.connect(&world).await;
        let told = world.publish(&call(-1, 2)).await;
        client.take(&mut socket, 1, told).await;
        clients.push(client);
    }
    // More than a gateway reads at its start: the place to look at lies before its memory.
    let after = world.publish_many(700, -2).await;
    world.publish_many(5_100, -2).await;
    world.kill_gateway().await;
    world.start_gateway().await;
    let (first, second) = (world.publish(&call(-1, 1)).await, world.publish(&call(-1, 2)).await);
    let new = world.publish(&call(-1, 3)).await;
    for client in &mut clients {
        client.after = after;
        let mut socket = client.connect(&world).await;
        let before = client.got.len();
        client.take(&mut socket, usize::MAX, new).await;
        // Of an address that was called before it began, one was not told; but only who says when
        // it began is known not to have been told.
        let expected = if client.says_since { vec![first, new] } else { vec![new] };
        assert_eq!(client.got[before..], expected, "not told again: {second}");
    }
}
