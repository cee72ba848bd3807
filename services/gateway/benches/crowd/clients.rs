//! The process of the clients. Orders come as lines of JSON on standard input, answers go to
//! standard output.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use bytes::{Buf as _, BytesMut};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpSocket;
use tokio::sync::watch;

use crate::frame::{self, CLOSE, PING, PONG, TEXT};
use crate::protocol::Protocol;
use crate::stream::Dialer;

/// Handshakes of one process at a time: what a listener's backlog takes.
const CONNECTING: usize = 256;
const RETRY: Duration = Duration::from_millis(100);

/// What the driver can ask for; each is answered by one line.
#[derive(Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
enum Order {
    /// Clients that stay until the end: one token and filter each. Answered when all subscribed.
    Connect {
        group: String,
        tokens: Vec<String>,
        filters: Vec<String>,
        /// Whether their events are numbered one by one, so that each client can tell what it misses.
        counts: bool,
        /// Receive buffer, where it is not the system's.
        buffer: Option<u32>,
        /// Each connection ends by itself after a time between these, and comes back by its position.
        stays_ms: Option<(u64, u64)>,
    },
    /// Begins a measurement.
    Measure,
    /// Ends it: latencies and faults of each group.
    Report,
    /// A group stops reading, or goes on.
    Read { group: String, reads: bool },
    /// A group's connections are dropped at once and come back by their positions. Answered when
    /// every one of them has an event that was published after it came back.
    Drop { group: String, away_ms: u64 },
    /// Answered when every client of a group has had the last event of its chat, or after a time: how
    /// many have not. The nth client takes the numbers in turn.
    Whole {
        group: String,
        numbers: Vec<u64>,
        within_ms: u64,
    },
    /// All clients leave for good.
    Leave,
}

/// Clients of one kind.
struct Group {
    counts: bool,
    buffer: Option<u32>,
    reads: watch::Sender<bool>,
    /// Number of drops so far, and how long to stay away.
    drops: watch::Sender<(u64, Duration)>,
    subscribed: AtomicUsize,
    whole: Mutex<Vec<Duration>>,
    dropped_at: Mutex<Instant>,
    latencies: Mutex<Vec<u32>>,
    faults: AtomicU64,
    gaps: AtomicU64,
    closes: Mutex<HashMap<u64, u64>>,
    stays_ms: Option<(u64, u64)>,
    /// The number of the last event of each client, where they are numbered.
    numbers: Vec<AtomicU64>,
    /// Times from the end of a connection to the next event, where that comes, µs.
    interruptions: Mutex<Vec<u32>>,
    tasks: Mutex<Vec<tokio::task::AbortHandle>>,
}

struct Crowd {
    ports: Vec<u16>,
    protocol: Protocol,
    dialer: Dialer,
    measures: AtomicBool,
    connecting: tokio::sync::Semaphore,
}

/// Serves orders until standard input ends.
pub async fn serve(ports: Vec<u16>, protocol: Protocol, certificate: Option<&Path>) -> Result<()> {
    let crowd = Arc::new(Crowd {
        ports,
        protocol,
        dialer: Dialer::new(certificate)?,
        measures: AtomicBool::new(false),
        connecting: tokio::sync::Semaphore::new(CONNECTING),
    });
    let mut groups: HashMap<String, Arc<Group>> = HashMap::new();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = match serde_json::from_str(&line).context("an order")? {
            Order::Connect {
                group,
                tokens,
                filters,
                counts,
                buffer,
                stays_ms,
            } => {
                let (count, name) = (tokens.len(), group);
                let group = Arc::new(Group::new(count, counts, buffer, stays_ms));
                groups.insert(name, Arc::clone(&group));
                for (index, (token, filter)) in tokens.into_iter().zip(filters).enumerate() {
                    let client = Client::new(index, token, filter).live(Arc::clone(&crowd), Arc::clone(&group));
                    lock(&group.tasks).push(tokio::spawn(client).abort_handle());
                }
                until(|| group.subscribed.load(Ordering::Relaxed) == count).await;
                json!({ "connected": count })
            }
            Order::Measure => {
                for group in groups.values() {
                    lock(&group.latencies).clear();
                }
                crowd.measures.store(true, Ordering::Relaxed);
                json!({})
            }
            Order::Whole {
                group,
                numbers,
                within_ms,
            } => {
                let group = groups.get(&group).context("a group")?;
                let behind = || group.behind(&numbers);
                let waited = tokio::time::timeout(Duration::from_millis(within_ms), until(|| behind() == 0));
                let _ = waited.await;
                json!({"behind": behind()})
            }
            Order::Leave => {
                for group in groups.values() {
                    lock(&group.tasks).drain(..).for_each(|task| task.abort());
                }
                json!({})
            }
            Order::Report => {
                crowd.measures.store(false, Ordering::Relaxed);
                groups
                    .iter()
                    .map(|(name, group)| (name.clone(), group.report()))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            }
            Order::Read { group, reads } => {
                groups.get(&group).context("a group")?.reads.send_replace(reads);
                json!({})
            }
            Order::Drop { group, away_ms } => {
                let group = groups.get(&group).context("a group")?;
                let count = group.subscribed.load(Ordering::Relaxed);
                lock(&group.whole).clear();
                *lock(&group.dropped_at) = Instant::now();
                group
                    .drops
                    .send_modify(|drops| *drops = (drops.0 + 1, Duration::from_millis(away_ms)));
                until(|| lock(&group.whole).len() == count).await;
                let mut whole: Vec<_> = lock(&group.whole).iter().map(Duration::as_secs_f64).collect();
                whole.sort_by(f64::total_cmp);
                json!({"clients": count, "whole_p50_s": whole[count / 2], "whole_all_s": whole[count - 1]})
            }
        };
        println!("{answer}");
    }
    Ok(())
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Group {
    fn new(clients: usize, counts: bool, buffer: Option<u32>, stays_ms: Option<(u64, u64)>) -> Self {
        Self {
            stays_ms,
            numbers: (0..clients).map(|_| AtomicU64::new(0)).collect(),
            interruptions: Mutex::default(),
            tasks: Mutex::default(),
            counts,
            buffer,
            reads: watch::Sender::new(true),
            drops: watch::Sender::new((0, Duration::ZERO)),
            subscribed: AtomicUsize::new(0),
            whole: Mutex::default(),
            dropped_at: Mutex::new(Instant::now()),
            latencies: Mutex::default(),
            faults: AtomicU64::new(0),
            gaps: AtomicU64::new(0),
            closes: Mutex::default(),
        }
    }

    /// Clients that have not had the last event of their chat.
    fn behind(&self, numbers: &[u64]) -> usize {
        let has = |index: usize| self.numbers[index].load(Ordering::Relaxed) >= numbers[index % numbers.len()];
        (0..self.numbers.len()).filter(|&index| !has(index)).count()
    }

    fn report(&self) -> Value {
        let all = sorted(&self.latencies);
        let at = |q: f64| quantile_ms(&all, q);
        let away = sorted(&self.interruptions);
        json!({
            "interruptions": away.len(), "interrupted_p50_ms": quantile_ms(&away, 0.5),
            "interrupted_max_ms": quantile_ms(&away, 1.0),
            "frames": all.len(), "p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "p999_ms": at(0.999),
            "max_ms": at(1.0), "lost_or_doubled": self.faults.load(Ordering::Relaxed),
            "gaps": self.gaps.load(Ordering::Relaxed), "closes": *lock(&self.closes),
        })
    }
}

/// Takes the values out.
fn sorted(values: &Mutex<Vec<u32>>) -> Vec<u32> {
    let mut values = std::mem::take(&mut *lock(values));
    values.sort_unstable();
    values
}

fn quantile_ms(sorted_us: &[u32], q: f64) -> Option<f64> {
    let at = ((sorted_us.len().max(1) - 1) as f64 * q) as usize;
    sorted_us.get(at).map(|&us| f64::from(us) / 1000.0)
}

struct Client {
    index: usize,
    /// Connections so far: the next goes to the next server.
    connections: usize,
    ended_at: Option<Instant>,
    token: String,
    filter: String,
    position: Option<(String, u64)>,
    /// Number of the last event, where events are numbered.
    number: Option<u64>,
    /// When it subscribed again after a drop, until it is whole, µs since the epoch.
    came_back_us: Option<u64>,
}

impl Client {
    fn new(index: usize, token: String, filter: String) -> Self {
        Self {
            index,
            connections: index,
            ended_at: None,
            token,
            filter,
            position: None,
            number: None,
            came_back_us: None,
        }
    }

    async fn live(mut self, crowd: Arc<Crowd>, group: Arc<Group>) {
        let mut drops = group.drops.subscribe();
        loop {
            tokio::select! {
                end = self.connection(&crowd, &group) => {
                    self.ended_at.get_or_insert_with(Instant::now);
                    let after = match end {
                        Ok(after) => after,
                        Err(error) => {
                            // With one server, none is to be away.
                            if crowd.ports.len() == 1 {
                                eprintln!("a client: {error:#}");
                            }
                            RETRY
                        }
                    };
                    tokio::time::sleep(after).await;
                }
                () = stay(group.stays_ms) => {
                    self.ended_at.get_or_insert_with(Instant::now);
                }
                _ = drops.changed() => {
                    let (_, away) = *drops.borrow_and_update();
                    self.came_back_us = Some(u64::MAX);
                    tokio::time::sleep(away).await;
                }
            }
        }
    }

    /// One connection, until it ends. Returns how long to stay away.
    async fn connection(&mut self, crowd: &Crowd, group: &Group) -> Result<Duration> {
        let turn = crowd.connecting.acquire().await?;
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = group.buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let port = crowd.ports[self.connections % crowd.ports.len()];
        self.connections += 1;
        let stream = socket.connect(([127, 0, 0, 1], port).into()).await?;
        stream.set_nodelay(true)?;
        let mut stream = crowd.dialer.dress(stream).await?;
        let stream = &mut *stream;
        let mut buffer = BytesMut::with_capacity(4096);
        frame::upgrade(stream, crowd.protocol.path(), &self.token, &mut buffer).await?;
        for greeting in crowd.protocol.greetings() {
            frame::send(stream, TEXT, greeting).await?;
        }
        if let Some(welcome) = crowd.protocol.welcome() {
            // What comes before it breaks the connection.
            loop {
                while frame::head(&buffer).is_none() {
                    if stream.read_buf(&mut buffer).await? == 0 {
                        bail!("closed before it was let in");
                    }
                }
                let (head, length, _) = frame::head(&buffer).context("a frame")?;
                buffer.advance(head);
                if buffer.split_to(length).starts_with(welcome) {
                    break;
                }
            }
        }
        let resume = match &self.position {
            Some((epoch, after)) => format!(r#","resume":{{"epoch":"{epoch}","after":{after}}}"#),
            None => String::new(),
        };
        let subscribe = format!(r#"{{"type":"subscribe","id":"s","filter":{}{resume}}}"#, self.filter);
        frame::send(stream, TEXT, &crowd.protocol.wrap(subscribe)).await?;
        drop(turn);
        if self.came_back_us.is_some() {
            self.came_back_us = Some(now_us());
        }
        let mut reads = group.reads.subscribe();
        let mut after = RETRY;
        loop {
            // The sender lives as long as the group.
            let _ = reads.wait_for(|reads| *reads).await;
            if buffer.capacity() - buffer.len() < 1024 {
                buffer.reserve(4096);
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                bail!("closed without a close frame");
            }
            let now_us = now_us();
            while let Some((head, length, opcode)) = frame::head(&buffer) {
                buffer.advance(head);
                let payload = buffer.split_to(length);
                match opcode {
                    TEXT => match crowd.protocol.unwrap(&payload) {
                        Ok(payload) if payload.starts_with(br#"{"type":"reconnect""#) => {
                            let ms = frame::first_number(payload, br#""after_ms":"#).context("no time")?;
                            after = Duration::from_millis(ms);
                        }
                        Ok(payload) => self.take(crowd, group, payload, now_us)?,
                        Err(answer) => frame::send(stream, TEXT, answer).await?,
                    },
                    PING => frame::send(stream, PONG, &payload).await?,
                    CLOSE => {
                        let code = payload
                            .get(..2)
                            .map_or(1005, |code| u64::from(code[0]) << 8 | u64::from(code[1]));
                        *lock(&group.closes).entry(code).or_default() += 1;
                        // The closing handshake's other half.
                        frame::send(stream, CLOSE, &payload).await?;
                        return Ok(after);
                    }
                    _ => {}
                }
            }
        }
    }

    fn take(&mut self, crowd: &Crowd, group: &Group, payload: &[u8], now_us: u64) -> Result<()> {
        let seq = || frame::first_number(payload, br#""seq":"#).context("a frame without seq");
        if payload.starts_with(br#"{"type":"detection""#) {
            let seq = seq()?;
            let published_us = frame::last_number(payload, br#""published_us":"#).context("no time")?;
            let (_, position) = self.position.as_mut().context("a detection before subscribed")?;
            let is_rising = seq > *position;
            *position = seq;
            let number = group
                .counts
                .then(|| frame::first_number(payload, br#""message":{"id":"#))
                .flatten();
            let is_next = self.number.zip(number).is_none_or(|(last, number)| number == last + 1);
            if !is_rising || !is_next {
                eprintln!(
                    "a client of {}: seq {seq} has number {number:?} behind {:?}",
                    self.filter, self.number
                );
                group.faults.fetch_add(1, Ordering::Relaxed);
            }
            self.number = number;
            if let Some(number) = number {
                group.numbers[self.index].store(number, Ordering::Relaxed);
            }
            if let Some(ended_at) = self.ended_at.take() {
                let us = u32::try_from(ended_at.elapsed().as_micros()).unwrap_or(u32::MAX);
                lock(&group.interruptions).push(us);
            }
            if self.came_back_us.is_some_and(|back_us| published_us > back_us) {
                self.came_back_us = None;
                let since = lock(&group.dropped_at).elapsed();
                lock(&group.whole).push(since);
            }
            if crowd.measures.load(Ordering::Relaxed) {
                lock(&group.latencies).push(u32::try_from(now_us.saturating_sub(published_us)).unwrap_or(u32::MAX));
            }
        } else if payload.starts_with(br#"{"type":"position""#) {
            if let Some((_, position)) = &mut self.position {
                *position = seq()?;
            }
        } else if payload.starts_with(br#"{"type":"subscribed""#) {
            if self.position.is_none() {
                self.position = Some((frame::word(payload, br#""epoch":""#)?, seq()?));
                group.subscribed.fetch_add(1, Ordering::Relaxed);
            }
        } else if payload.starts_with(br#"{"type":"gap""#) {
            group.gaps.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Waits for a time between these; forever where there are none.
async fn stay(between_ms: Option<(u64, u64)>) {
    match between_ms {
        Some((least, most)) => tokio::time::sleep(Duration::from_millis(rand::random_range(least..=most))).await,
        None => std::future::pending().await,
    }
}

fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
