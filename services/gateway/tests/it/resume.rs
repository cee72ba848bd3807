use serde_json::{Value, json};
use tgmesh_testkit::eventually;

use crate::socket::{PATIENCE, Socket, seq_of};
use crate::world::{World, detection, token};

fn after(epoch: &Value, seq: u64) -> Value {
    json!({"epoch": epoch, "after": seq})
}

#[tokio::test(flavor = "multi_thread")]
async fn from_memory_and_from_the_stream_then_live() {
    let mut world = World::start().await;
    // More than the ring reads ahead at a start, so that a restart leaves the beginning to the stream.
    let last = world.publish_many(6_000, -1).await;
    for restarted in [false, true] {
        if restarted {
            world.kill_gateway().await;
            world.start_gateway().await;
        }
        let (mut socket, welcome) = Socket::welcomed(world.port, &token(&json!({}))).await;
        for (n, start) in [0, 10, 5_500, last].into_iter().enumerate() {
            let subscribed = socket
                .subscribe(&format!("s{n}"), json!({}), Some(after(&welcome["epoch"], start)))
                .await;
            assert_eq!(subscribed["recovered"], true, "{subscribed}");
            if start < last {
                assert_eq!(socket.seqs_until(last).await, (start + 1..=last).collect::<Vec<_>>());
            }
            socket
                .send(&json!({"type": "unsubscribe", "id": format!("s{n}")}))
                .await;
        }
        let live = socket
            .subscribe("live", json!({}), Some(after(&welcome["epoch"], last)))
            .await;
        assert_eq!(seq_of(&live), last);
    }
    let (mut socket, welcome) = Socket::welcomed(world.port, &token(&json!({}))).await;
    socket
        .subscribe("s", json!({}), Some(after(&welcome["epoch"], last)))
        .await;
    let next = world.publish(&detection(-1)).await;
    assert_eq!(socket.seqs_until(next).await, [next]);
}

#[tokio::test(flavor = "multi_thread")]
async fn last_gives_the_most_recent_that_match() {
    let mut world = World::start().await;
    let wanted: Vec<u64> = vec![
        world.publish_many(1, -1).await,
        {
            world.publish_many(300, -2).await;
            world.publish_many(1, -1).await
        },
        {
            world.publish_many(300, -2).await;
            world.publish_many(1, -1).await
        },
    ];
    let end = world.publish_many(5_200, -2).await;
    eventually(PATIENCE, "the gateway has read all of it", || async {
        seq_of(&Socket::welcomed(world.port, &token(&json!({}))).await.1) == end
    })
    .await;
    for restarted in [false, true] {
        if restarted {
            world.kill_gateway().await;
            world.start_gateway().await;
        }
        let (mut socket, _) = Socket::welcomed(world.port, &token(&json!({}))).await;
        let subscribed = socket
            .subscribe("s", json!({"chats": [-1]}), Some(json!({"last": 2})))
            .await;
        assert_eq!(seq_of(&subscribed), end);
        assert_eq!(
            socket.seqs_until(wanted[2]).await,
            wanted[1..],
            "restarted: {restarted}"
        );
        let subscribed = socket.subscribe("all", json!({}), Some(json!({"last": 1000}))).await;
        assert_eq!(subscribed["recovered"], false);
        assert_eq!(socket.seqs_until(end).await, (end - 999..=end).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_stream_lost_is_told() {
    let mut world = World::start().await;
    let last = world.publish_many(200, -1).await;
    world.purge_before(101).await;
    let check = async |world: &World, in_memory: bool| {
        let (mut socket, welcome) = Socket::welcomed(world.port, &token(&json!({}))).await;
        let epoch = &welcome["epoch"];
        if !in_memory {
            let subscribed = socket.subscribe("lost", json!({}), Some(after(epoch, 50))).await;
            assert_eq!(
                (&subscribed["recovered"], &subscribed["oldest"]),
                (&json!(false), &json!(101))
            );
            let gap = socket.next().await.expect("a frame");
            assert_eq!(
                (&gap["type"], &gap["from"], &gap["to"]),
                (&json!("gap"), &json!(51), &json!(100))
            );
            assert_eq!(socket.seqs_until(last).await, (101..=last).collect::<Vec<_>>());
        }
        let whole = socket.subscribe("whole", json!({}), Some(after(epoch, 100))).await;
        assert_eq!(whole["recovered"], true);
        assert_eq!(socket.seqs_until(last).await, (101..=last).collect::<Vec<_>>());
        let foreign = socket
            .subscribe("foreign", json!({}), Some(after(&json!("another"), 150)))
            .await;
        assert_eq!((&foreign["recovered"], &foreign["epoch"]), (&json!(false), epoch));
        let gap = socket.next().await.expect("a frame");
        assert_eq!((&gap["from"], &gap["to"]), (&json!(101), &json!(last)));
        let ahead = socket.subscribe("ahead", json!({}), Some(after(epoch, last + 1))).await;
        assert_eq!(ahead["recovered"], false);
    };
    check(&world, true).await;
    world.kill_gateway().await;
    world.start_gateway().await;
    check(&world, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_is_told_in_its_place() {
    let mut world = World::start().await;
    let last = world.publish_many(6_000, -1).await;
    world.kill_gateway().await;
    // The first two are left to the stream, the last is read into memory at the start.
    let gone = [150, 151, 700, 5_500];
    for seq in gone {
        world.delete_message(seq).await;
    }
    world.start_gateway().await;
    // Again and again, because what was read for the first is kept for the others.
    for start in [100, 149, 150] {
        let (mut socket, welcome) = Socket::welcomed(world.port, &token(&json!({}))).await;
        socket
            .subscribe("s", json!({}), Some(after(&welcome["epoch"], start)))
            .await;
        let mut told = Vec::new();
        while told.last() != Some(&last) {
            let frame = socket.next().await.expect("a frame");
            match frame["type"].as_str() {
                Some("detection") => {
                    assert!(!gone.contains(&seq_of(&frame)), "{frame}");
                    told.push(seq_of(&frame));
                }
                Some("gap") => {
                    let (from, to) = (frame["from"].as_u64(), frame["to"].as_u64());
                    told.extend(from.expect("a sequence")..=to.expect("a sequence"));
                }
                _ => assert_eq!(frame["type"], "position", "{frame}"),
            }
        }
        assert_eq!(told, (start + 1..=last).collect::<Vec<_>>());
    }
}

/// A client as the contract wants it: comes back whenever it is closed and resumes where it was.
async fn persistent(port: u16, token: String, filter: Value, until: tokio::sync::watch::Receiver<u64>) -> Vec<u64> {
    let (mut seqs, mut resume, mut position) = (Vec::new(), None::<Value>, 0);
    loop {
        let Ok(stream) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            continue;
        };
        drop(stream);
        let Ok(mut socket) = tokio::spawn({
            let token = token.clone();
            async move {
                Socket::open(port, &crate::socket::Opening::bearer(&token))
                    .await
                    .expect("101")
                    .0
            }
        })
        .await
        else {
            continue;
        };
        let Ok(welcome) = socket.next().await else { continue };
        if welcome["type"] != "welcome" {
            continue;
        }
        let start = resume
            .clone()
            .unwrap_or_else(|| json!({"epoch": welcome["epoch"], "after": welcome["seq"]}));
        socket
            .send(&json!({"type": "subscribe", "id": "s", "filter": filter, "resume": start}))
            .await;
        loop {
            let end = *until.borrow();
            if end > 0 && position >= end {
                return seqs;
            }
            let Ok(frame) = socket.next().await else { break };
            match frame["type"].as_str() {
                Some("subscribed") => assert_eq!(frame["recovered"], true, "{frame}"),
                Some("detection") => {
                    seqs.push(seq_of(&frame));
                    position = seq_of(&frame);
                }
                Some("position") => position = position.max(seq_of(&frame)),
                Some("reconnect") => {}
                _ => panic!("{frame}"),
            }
            resume = Some(json!({"epoch": welcome["epoch"], "after": position}));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_over_kills_of_the_gateway_and_of_nats() {
    let mut world = World::start().await;
    let (end, until) = tokio::sync::watch::channel(0);
    let filters = [json!({}), json!({"chats": [-1]}), json!({"chats": [-2, -3]})];
    let clients: Vec<_> = filters
        .iter()
        .cycle()
        .take(6)
        .map(|filter| tokio::spawn(persistent(world.port, token(&json!({})), filter.clone(), until.clone())))
        .collect();
    // Each has subscribed: from here on everything counts.
    let token = token(&json!({"role": "operator"}));
    let url = world.url("/api/metrics/telegram-stream");
    eventually(PATIENCE, "all clients are there", || async {
        let answer = reqwest::Client::new()
            .get(&url)
            .bearer_auth(&token)
            .send()
            .await
            .expect("answers");
        let metrics: Value = answer.json().await.expect("JSON");
        metrics["instances"][0]["gauges"]["live_subscriptions"] == json!(6.0)
    })
    .await;
    let mut chats = Vec::new();
    for round in 0..6 {
        let mut receipts = Vec::new();
        for n in 0..200 {
            let chat = -(n % 3) - 1;
            chats.push(chat);
            receipts.push(world.send(&detection(chat)).await);
        }
        match round {
            1 | 4 => {
                world.kill_gateway().await;
                world.start_gateway().await;
            }
            2 => {
                world.nats.stop().await;
                world.nats.start_again().await.expect("it starts again");
            }
            _ => {}
        }
        for receipt in receipts {
            receipt.await.expect("it is stored");
        }
    }
    let last = chats.len() as u64;
    end.send_replace(last);
    for (n, client) in clients.into_iter().enumerate() {
        let wanted = filters[n % filters.len()]["chats"].as_array().cloned();
        let wants = |chat: &i64| wanted.as_ref().is_none_or(|chats| chats.contains(&json!(chat)));
        // Sequences begin with 1, in the order of publishing only where nothing was sent again: so
        // the counts are compared, and that each sequence came once, in order.
        let seqs = tokio::time::timeout(PATIENCE * 3, client)
            .await
            .expect("in time")
            .expect("no panic");
        assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "not rising");
        assert_eq!(
            seqs.len(),
            chats.iter().filter(|chat| wants(chat)).count(),
            "client {n}"
        );
    }
}
