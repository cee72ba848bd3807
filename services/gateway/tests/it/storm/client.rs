//! A client as the contract wants it, with the worst of links.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tgmesh_testkit::proxy::Proxy;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

use super::strikes::{Strikes, struck};
use crate::model;
use crate::socket::{Opening, Socket, seq_of};

/// A client asks for a sign of life so often, and gives a link up that stays silent for longer.
const PING_EVERY: Duration = Duration::from_millis(500);
const SILENCE: Duration = Duration::from_secs(2);
/// Receive buffer of those who stop reading: what the kernel holds for them is not with the gateway.
const SMALL_BUFFER: u32 = 8 << 10;

/// What all clients are told.
#[derive(Debug, Default)]
pub struct Weather {
    /// Those who stall do not read.
    pub flood: bool,
    /// Nothing fails any more; a client is done when it has reached this sequence.
    pub end: Option<u64>,
}

pub struct Client {
    pub token: String,
    pub filter: Value,
    pub msgpack: bool,
    /// Whether it stops reading in a flood.
    pub stalls: bool,
    pub ports: [u16; 2],
    pub weather: watch::Receiver<Weather>,
    pub strikes: Arc<Strikes>,
    pub random: StdRng,
}

/// What a client was told over its life.
#[derive(Debug, Default)]
pub struct Told {
    /// Sequence after which it began.
    pub since: u64,
    /// Sequences, and digests of what came with them.
    pub events: Vec<(u64, u64)>,
    pub gaps: Vec<(u64, u64)>,
    pub connections: usize,
    epoch: Value,
    position: u64,
}

/// A link and what stands between.
struct Link {
    socket: Socket,
    proxy: Option<Proxy>,
}

/// Why a link is given up.
enum End {
    /// All was told.
    Done,
    /// By the other side, or silence.
    Lost,
    /// By a fault of the client's own.
    Struck,
}

impl Client {
    /// Lives until the end of the storm.
    pub async fn live(mut self) -> Told {
        let mut told = Told::default();
        // Half-open links stay until the end: to the gateway they look alive.
        let mut half_open = Vec::new();
        let mut before = None;
        loop {
            let n = self.random.random_range(0..2);
            let Some(mut link) = self.connect(n).await else {
                tokio::time::sleep(
                    self.random
                        .random_range(Duration::from_millis(10)..Duration::from_millis(100)),
                )
                .await;
                continue;
            };
            let Some(()) = self.subscribe(&mut link, &mut told).await else {
                continue;
            };
            told.connections += 1;
            if before.replace(n).is_some_and(|before| before != n) {
                struck(&self.strikes.switched);
            }
            match self.listen(&mut link, &mut told).await {
                End::Done => return told,
                End::Lost => {}
                End::Struck => {
                    if let Some(link) = self.strike(link).await {
                        half_open.push(link);
                    }
                    if self.random.random_bool(0.3) {
                        struck(&self.strikes.away);
                        let pause = self
                            .random
                            .random_range(Duration::from_millis(300)..Duration::from_secs(3));
                        tokio::time::sleep(pause).await;
                    }
                }
            }
        }
    }

    async fn connect(&mut self, n: usize) -> Option<Link> {
        let port = self.ports[n];
        let proxy = if self.stalls || self.random.random_bool(0.4) {
            None
        } else {
            Some(Proxy::start(format!("127.0.0.1:{port}")).await.expect("a proxy"))
        };
        let port = proxy.as_ref().map_or(port, Proxy::port);
        let stream = if self.stalls {
            let socket = TcpSocket::new_v4().ok()?;
            socket.set_recv_buffer_size(SMALL_BUFFER).ok()?;
            socket.connect(([127, 0, 0, 1], port).into()).await.ok()?
        } else {
            TcpStream::connect(("127.0.0.1", port)).await.ok()?
        };
        let opening = if self.msgpack {
            Opening {
                protocols: Some(format!("tgmesh.v1.msgpack, bearer, {}", self.token)),
                ..Opening::default()
            }
        } else {
            Opening::bearer(&self.token)
        };
        let opened = tokio::time::timeout(SILENCE, Socket::over(stream, &opening)).await;
        let (socket, _) = opened.ok()?.ok()?;
        Some(Link { socket, proxy })
    }

    /// Subscribes where it was. Nothing when the link ends before.
    async fn subscribe(&mut self, link: &mut Link, told: &mut Told) -> Option<()> {
        let next = async |link: &mut Link| tokio::time::timeout(SILENCE * 3, link.socket.next()).await.ok()?.ok();
        let welcome = next(link).await?;
        if welcome["type"] == "reconnect" {
            return None;
        }
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        let mut subscribe = json!({"type": "subscribe", "id": "s", "filter": self.filter});
        let is_first = told.epoch.is_null();
        if !is_first {
            subscribe["resume"] = json!({"epoch": told.epoch, "after": told.position});
        }
        link.socket.send(&subscribe).await;
        let subscribed = next(link).await?;
        if subscribed["type"] == "reconnect" {
            return None;
        }
        assert_eq!(subscribed["type"], "subscribed", "{subscribed}");
        if is_first {
            told.epoch = subscribed["epoch"].clone();
            told.position = seq_of(&subscribed);
            told.since = told.position;
        } else {
            assert_eq!(subscribed["epoch"], told.epoch);
            let oldest = subscribed["oldest"].as_u64();
            if subscribed["recovered"] == true {
                assert_eq!(oldest, None, "{subscribed}");
            } else {
                // Only a purge can have done that; the gap is told next.
                let oldest = oldest.expect("it is told how far back the stream goes");
                assert!(oldest > told.position + 1, "{subscribed} after {}", told.position);
            }
        }
        Some(())
    }

    async fn listen(&mut self, link: &mut Link, told: &mut Told) -> End {
        let fault_in = self
            .random
            .random_range(Duration::from_millis(200)..Duration::from_secs(6));
        let fault = tokio::time::sleep(fault_in);
        tokio::pin!(fault);
        let mut pings = tokio::time::interval(PING_EVERY);
        let mut heard = Instant::now();
        loop {
            let (flood, end) = {
                let weather = self.weather.borrow_and_update();
                (weather.flood, weather.end)
            };
            if end.is_some_and(|end| told.position >= end) {
                return End::Done;
            }
            if self.stalls && flood {
                struck(&self.strikes.stalled);
                // The sender outlives the clients.
                let _ = self.weather.wait_for(|weather| !weather.flood).await;
                heard = Instant::now();
            }
            tokio::select! {
                frame = link.socket.next() => match frame {
                    Ok(frame) => {
                        heard = Instant::now();
                        self.note(told, &frame);
                    }
                    Err(_) => return End::Lost,
                },
                () = &mut fault, if end.is_none() => return End::Struck,
                _ = pings.tick() => {
                    if heard.elapsed() > SILENCE {
                        return End::Lost;
                    }
                    link.socket.send(&json!({"type": "ping", "t_ms": 1.0})).await;
                }
                _ = self.weather.changed() => {}
            }
        }
    }

    fn note(&self, told: &mut Told, frame: &Value) {
        match frame["type"].as_str() {
            Some("detection") => {
                let seq = seq_of(frame);
                assert!(seq > told.position, "{seq} after {}", told.position);
                told.position = seq;
                told.events.push((seq, model::digest(&frame["data"])));
            }
            Some("position") => {
                assert_eq!(frame["epoch"], told.epoch);
                assert!(seq_of(frame) >= told.position, "{frame} after {}", told.position);
                told.position = seq_of(frame);
            }
            Some("gap") => {
                let bound = |name: &str| frame[name].as_u64().expect("a sequence");
                assert!(bound("from") > told.position, "{frame} after {}", told.position);
                told.position = bound("to");
                told.gaps.push((bound("from"), bound("to")));
            }
            Some("reconnect") => struck(&self.strikes.sent_away),
            Some("pong") => {}
            _ => panic!("{frame}"),
        }
    }

    /// Ends a link in one of the ways in which links end. A half-open one is handed back.
    async fn strike(&mut self, mut link: Link) -> Option<Link> {
        match (&link.proxy, self.random.random_range(0..3)) {
            (Some(proxy), 0) => {
                proxy.mute();
                // It finds out by the silence, as it would of a router that was switched off.
                while tokio::time::timeout(SILENCE, link.socket.next())
                    .await
                    .is_ok_and(|frame| frame.is_ok())
                {}
                struck(&self.strikes.half_open);
                return Some(link);
            }
            (Some(proxy), _) => {
                proxy.drop_connections();
                struck(&self.strikes.cut);
            }
            (None, 0) => {
                let _ = tokio::time::timeout(SILENCE, link.socket.stream.close(None)).await;
                struck(&self.strikes.closed);
            }
            (None, _) => {
                link.socket.stream.get_ref().set_zero_linger().expect("a TCP option");
                self.strikes.reset.fetch_add(1, Ordering::Relaxed);
            }
        }
        None
    }
}
