//! Two gateways that are replaced one after the other: a client that resumes notices a pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tgmesh_testkit::free_port;
use tokio::net::TcpStream;

use crate::socket::{Opening, PATIENCE, Socket, seq_of};
use crate::world::{World, detection, token};

const CLIENTS: usize = 60;
const CHATS: i64 = 6;
/// Longest time that a gateway may ask a few clients to stay away.
const LONGEST_AWAY_MS: u64 = 2_000;

/// A client as the contract has it: comes back where it may, and goes on behind the last position.
struct Client {
    chat: i64,
    ports: [u16; 2],
    turn: usize,
    position: Option<(Value, u64)>,
    seqs: Vec<u64>,
    told_to_leave: usize,
}

impl Client {
    /// Follows its chat until it has this sequence.
    async fn follow(mut self, until: Arc<tokio::sync::OnceCell<u64>>) -> Self {
        let reached = |client: &Self| {
            until
                .get()
                .is_some_and(|last| client.position.as_ref().is_some_and(|at| at.1 >= *last))
        };
        while !reached(&self) {
            let port = self.ports[self.turn % 2];
            self.turn += 1;
            let Some(mut socket) = open(port).await else {
                // It is being replaced.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            if socket.next().await.is_ok_and(|frame| frame["type"] == "welcome") {
                let mut subscribe = json!({"type": "subscribe", "id": "s", "filter": {"chats": [self.chat]}});
                if let Some((epoch, after)) = &self.position {
                    subscribe["resume"] = json!({"epoch": epoch, "after": after});
                }
                socket.send(&subscribe).await;
                while !reached(&self) {
                    match tokio::time::timeout(Duration::from_millis(200), socket.next()).await {
                        Ok(Ok(frame)) => self.take(&frame),
                        Ok(Err(_)) => break,
                        // Time to look at what is the last.
                        Err(_) => {}
                    }
                }
            }
        }
        self
    }

    fn take(&mut self, frame: &Value) {
        match frame["type"].as_str() {
            Some("subscribed") => {
                assert_ne!(frame["recovered"], json!(self.position.is_none()), "{frame}");
                if self.position.is_none() {
                    self.position = Some((frame["epoch"].clone(), seq_of(frame)));
                }
            }
            Some("detection") => {
                self.seqs.push(seq_of(frame));
                self.position.as_mut().expect("subscribed came first").1 = seq_of(frame);
            }
            Some("position") => self.position.as_mut().expect("subscribed came first").1 = seq_of(frame),
            Some("reconnect") => {
                let after_ms = frame["after_ms"].as_u64().expect("a time");
                assert!(after_ms <= LONGEST_AWAY_MS, "{frame}");
                self.told_to_leave += 1;
            }
            _ => panic!("{frame}"),
        }
    }
}

async fn open(port: u16) -> Option<Socket> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let opened = Socket::over(stream, &Opening::bearer(&token(&json!({})))).await;
    opened.ok().map(|(socket, _)| socket)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_are_replaced_under_load_and_every_client_has_all() {
    let world = Arc::new(World::without_gateway(&[]).await);
    let ports = [free_port(), free_port()];
    let mut gateways = Vec::new();
    for port in ports {
        gateways.push(world.spawn_gateway(port, free_port()).await);
    }
    let last = Arc::new(tokio::sync::OnceCell::new());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let client = Client {
                chat: -1 - n as i64 % CHATS,
                ports,
                turn: n,
                position: None,
                seqs: Vec::new(),
                told_to_leave: 0,
            };
            tokio::spawn(client.follow(Arc::clone(&last)))
        })
        .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn({
        let (world, stop) = (Arc::clone(&world), Arc::clone(&stop));
        async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(4));
            let mut published = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                ticks.tick().await;
                let chat = -1 - published.len() as i64 % CHATS;
                published.push((chat, world.send(&detection(chat)).await));
            }
            let mut by_chat = vec![Vec::new(); CHATS as usize];
            for (chat, receipt) in published {
                let seq = receipt.await.expect("it is stored").seq;
                by_chat[usize::try_from(-1 - chat).expect("a chat of ours")].push(seq);
            }
            by_chat
        }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (n, port) in ports.into_iter().enumerate() {
        gateways[n].terminate();
        let status = gateways[n].wait(Duration::from_secs(10)).await.expect("in time");
        assert_eq!(status.code(), Some(0), "{}", gateways[n].log_tail());
        gateways[n] = world.spawn_gateway(port, free_port()).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let by_chat = load.await.expect("it published");
    // The last of all chats: each client's position reaches it, whatever it follows.
    let newest = by_chat.iter().flatten().copied().max().expect("events");
    last.set(newest).expect("once");
    let mut told_to_leave = 0;
    for (n, client) in clients.into_iter().enumerate() {
        let client = tokio::time::timeout(PATIENCE * 3, client)
            .await
            .expect("in time")
            .expect("no panic");
        let all = &by_chat[n % CHATS as usize];
        // What was published before it came is not its own.
        let first = client.seqs.first().expect("some came");
        let from = all.partition_point(|seq| seq < first);
        assert_eq!(client.seqs, all[from..], "client {n}");
        assert!(from < all.len() / 2, "client {n} came in time");
        told_to_leave += client.told_to_leave;
    }
    assert!(
        told_to_leave >= CLIENTS,
        "a restart says so before it closes: {told_to_leave}"
    );
}
