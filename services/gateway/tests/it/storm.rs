//! No gap: clients of two gateways go through every fault there is, and each ends with exactly
//! what the stream holds for it.
//!
//! 30 seconds with a fixed seed; `TGMESH_SOAK=1` runs ten minutes with a new one.

mod client;
mod strikes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tgmesh_proto::detection::Detection;
use tgmesh_proto::id::EventId;
use tgmesh_proto::{codec, subject};
use tgmesh_stream::tail::{Start, Tail};
use tgmesh_testkit::process::Process;
use tgmesh_testkit::{eventually, free_port};
use tokio::sync::watch;

use crate::model;
use crate::socket::PATIENCE;
use crate::world::{World, outgoing, seed, soak, token};
use client::{Client, Told, Weather};
use strikes::{Strikes, struck};

const RATE: u32 = 300;
const CLIENTS: usize = 14;
/// Length of the text that a flood's events have: the longest that Telegram allows.
const FLOOD_TEXT: usize = 4096;

/// Everything that the stream ever held, by sequence. It is read as it comes, because a purge takes
/// it away.
type Record = Arc<Mutex<BTreeMap<u64, Stored>>>;

/// What the model says about an event.
struct Stored {
    id: EventId,
    /// Which clients see it.
    seen_by: Vec<bool>,
    /// Digests of what they are shown: viewers, and all others.
    reduced: u64,
    full: u64,
}

impl Stored {
    fn new(event: &Detection, plans: &[(Value, Value)]) -> Self {
        let json = serde_json::to_value(event).expect("encodes");
        let sees = |(claims, filter): &(Value, Value)| model::sees(claims, filter, &json);
        Self {
            id: event.id,
            seen_by: plans.iter().map(sees).collect(),
            reduced: model::digest(&model::shown(&json!({"role": "viewer"}), &json)),
            full: model::digest(&json),
        }
    }
}

async fn follow(world: &World, plans: Vec<(Value, Value)>) -> (Record, tokio::task::JoinHandle<()>) {
    let record = Record::default();
    let mut tail = Tail::open(&world.mesh, subject::DETECTIONS, Start::After(0), None)
        .await
        .expect("the stream is there");
    let into = Arc::clone(&record);
    let task = tokio::spawn(async move {
        loop {
            let delivery = tail.next().await.expect("the stream stays the same");
            let event = codec::decode(&delivery.payload).expect("an event");
            let stored = Stored::new(&event, &plans);
            into.lock().expect("whole").insert(delivery.seq, stored);
        }
    });
    (record, task)
}

fn recorded(record: &Record) -> u64 {
    record
        .lock()
        .expect("whole")
        .last_key_value()
        .map_or(0, |(&seq, _)| seq)
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    KillGateway,
    StopGateway,
    KillNats,
    StopNats,
    Flood,
    Purge,
}

/// The side of the servers: what fails, in turn.
struct Storm {
    world: World,
    ports: [u16; 2],
    admin: [u16; 2],
    gateways: [Option<Process>; 2],
    record: Record,
    /// Everything up to here may be gone from the stream.
    purged: u64,
    strikes: Arc<Strikes>,
    weather: watch::Sender<Weather>,
}

impl Storm {
    async fn start_gateway(&mut self, n: usize) {
        self.gateways[n] = Some(self.world.spawn_gateway(self.ports[n], self.admin[n]).await);
    }

    async fn kill_gateway(&mut self, n: usize) {
        let gateway = self.gateways[n].take().expect("it runs");
        gateway.kill();
        gateway.ended().await;
        struck(&self.strikes.gateway_killed);
    }

    async fn strike(&mut self, fault: Fault, random: &mut StdRng) {
        let n = random.random_range(0..2);
        match fault {
            Fault::KillGateway => {
                self.kill_gateway(n).await;
                self.start_gateway(n).await;
            }
            Fault::StopGateway => {
                let gateway = self.gateways[n].take().expect("it runs");
                gateway.terminate();
                let status = gateway.wait(PATIENCE).await.expect("it ends in time");
                assert!(status.success(), "{status}; {}", gateway.log_tail());
                struck(&self.strikes.gateway_stopped);
                self.start_gateway(n).await;
            }
            Fault::KillNats => {
                self.world.nats.kill().await;
                struck(&self.strikes.nats_killed);
                self.world.nats.start_again().await.expect("it starts again");
            }
            Fault::StopNats => {
                self.world.nats.stop().await;
                struck(&self.strikes.nats_stopped);
                self.world.nats.start_again().await.expect("it starts again");
            }
            Fault::Flood => self.flood(random).await,
            Fault::Purge => self.purge().await,
        }
    }

    /// Some clients stop reading while more comes than their sockets hold, until a gateway puts one
    /// of them behind.
    async fn flood(&mut self, random: &mut StdRng) {
        let before = self.slowed().await;
        let mut behind = 0;
        // It may find all of them away or still catching up: then it comes again.
        for _ in 0..5 {
            self.weather.send_modify(|weather| weather.flood = true);
            for _ in 0..15 {
                let mut last = None;
                for _ in 0..100 {
                    let mut event = model::event(random);
                    event.message.text = "🌊".repeat(FLOOD_TEXT);
                    event.listener.backfill = false;
                    last = Some(self.world.send(&event).await);
                }
                last.expect("some").await.expect("it is stored");
                behind = self.slowed().await - before;
                if behind > 0 {
                    break;
                }
            }
            self.weather.send_modify(|weather| weather.flood = false);
            if behind > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        self.strikes.slowed.fetch_add(behind, Ordering::Relaxed);
    }

    /// Takes away what nobody was told: both gateways are gone while it is there.
    async fn purge(&mut self) {
        for n in 0..2 {
            self.kill_gateway(n).await;
        }
        let since = recorded(&self.record);
        eventually(PATIENCE, "more is published", || async {
            recorded(&self.record) > since + 50
        })
        .await;
        let until = recorded(&self.record);
        self.world.purge_before(until + 1).await;
        self.purged = until;
        struck(&self.strikes.purged);
        for n in 0..2 {
            self.start_gateway(n).await;
        }
    }

    /// Times that the gateways, as they run now, put a subscription behind.
    async fn slowed(&self) -> u64 {
        let mut sum = 0;
        for port in self.admin {
            let answer = reqwest::get(format!("http://127.0.0.1:{port}/metrics"))
                .await
                .expect("answers");
            let text = answer.text().await.expect("text");
            let line = text
                .lines()
                .find(|line| line.starts_with("tgmesh_gateway_slowed_total"));
            let value = line.and_then(|line| line.split_whitespace().last()).expect("a metric");
            sum += value.parse::<f64>().expect("a number") as u64;
        }
        sum
    }
}

/// Claims and filters of the clients: a few that see everything, the rest random ones that see
/// something.
fn clients(random: &mut StdRng) -> Vec<(Value, Value)> {
    let everything = (json!({"role": "operator", "chats": ["*"]}), json!({"backfill": true}));
    let mut all = vec![everything; 4];
    let sample: Vec<_> = (0..400)
        .map(|_| serde_json::to_value(model::event(random)).expect("encodes"))
        .collect();
    while all.len() < CLIENTS {
        let (claims, filter) = (model::claims(random), model::filter(random));
        let seen = sample
            .iter()
            .filter(|event| model::sees(&claims, &filter, event))
            .count();
        // A filter that passes nothing proves something, too; most have to pass something.
        if seen > 10 || all.len() == CLIENTS - 1 {
            all.push((claims, filter));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_ends_with_what_the_stream_holds_for_it() {
    let mut random = StdRng::seed_from_u64(seed());
    let length = Duration::from_secs(if soak() { 600 } else { 30 });
    let world = World::without_gateway(&[]).await;
    let plans = clients(&mut random);
    let (record, recorder) = follow(&world, plans.clone()).await;
    let publisher = Arc::clone(&world.publisher);
    let mut storm = Storm {
        world,
        ports: [free_port(), free_port()],
        admin: [free_port(), free_port()],
        gateways: [None, None],
        record: Arc::clone(&record),
        purged: 0,
        strikes: Arc::default(),
        weather: watch::Sender::new(Weather::default()),
    };
    for n in 0..2 {
        storm.start_gateway(n).await;
    }

    let tasks: Vec<_> = plans
        .iter()
        .enumerate()
        .map(|(n, (claims, filter))| {
            let client = Client {
                token: token(claims),
                filter: filter.clone(),
                msgpack: n % 2 == 1,
                stalls: n < 3,
                ports: storm.ports,
                weather: storm.weather.subscribe(),
                strikes: Arc::clone(&storm.strikes),
                random: StdRng::seed_from_u64(random.random()),
            };
            tokio::spawn(client.live())
        })
        .collect();
    let mut publishing = StdRng::seed_from_u64(random.random());
    let (over, mut is_over) = watch::channel(false);
    let events = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
        while !*is_over.borrow_and_update() {
            ticks.tick().await;
            drop(publisher.publish(outgoing(&model::event(&mut publishing))).await);
        }
    });

    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < length || rounds == 0 {
        use Fault::{Flood, KillGateway, KillNats, Purge, StopGateway, StopNats};
        let mut faults = [KillGateway, StopGateway, KillNats, StopNats, Flood, Purge, KillGateway];
        faults.shuffle(&mut random);
        for fault in faults {
            tokio::time::sleep(random.random_range(Duration::from_millis(500)..Duration::from_secs(4))).await;
            storm.strike(fault, &mut random).await;
        }
        rounds += 1;
    }
    over.send_replace(true);
    events.await.expect("no panic");
    assert_eq!(storm.world.publisher.drain(PATIENCE).await, 0, "everything is stored");
    let counts = storm.world.publisher.counts();
    let stored = counts.acked - counts.duplicates;
    eventually(PATIENCE, "all of it is read back", || async {
        record.lock().expect("whole").len() as u64 >= stored
    })
    .await;
    let last = recorded(&record);
    storm.weather.send_modify(|weather| weather.end = Some(last));

    let mut told = Vec::new();
    for task in tasks {
        let end = tokio::time::timeout(PATIENCE * 3, task).await;
        told.push(end.expect("every client arrives").expect("no panic"));
    }
    recorder.abort();
    let counts = storm.strikes.counts();
    println!("{rounds} rounds, {last} events: {counts:?}");
    for (what, count) in counts {
        assert!(count > 0, "no {what}");
    }
    let events = record.lock().expect("whole");
    for (n, ((claims, filter), told)) in plans.iter().zip(&told).enumerate() {
        println!(
            "client {n}: {} events on {} connections, {} gaps; {claims} {filter}",
            told.events.len(),
            told.connections,
            told.gaps.len()
        );
        check(&events, storm.purged, n, claims["role"] == "viewer", told);
    }
    assert!(
        told.iter().any(|told| !told.gaps.is_empty()),
        "nobody missed what was purged"
    );
}

/// Compares what the client of this number was told with the model.
fn check(events: &BTreeMap<u64, Stored>, purged: u64, n: usize, is_viewer: bool, told: &Told) {
    let mut ids = BTreeSet::new();
    let expected: BTreeMap<u64, &Stored> = events
        .iter()
        .filter(|(_, event)| ids.insert(event.id))
        .filter(|&(&seq, event)| seq > told.since && event.seen_by[n])
        .map(|(&seq, event)| (seq, event))
        .collect();
    for (from, to) in &told.gaps {
        assert!(from <= to && *to <= purged, "a gap {from}..={to} over what is there");
    }
    let in_gap = |seq: u64| told.gaps.iter().any(|(from, to)| (*from..=*to).contains(&seq));
    assert!(
        told.events.windows(2).all(|pair| pair[0].0 < pair[1].0),
        "not strictly rising, or twice"
    );
    for (seq, digest) in &told.events {
        let event = expected.get(seq).unwrap_or_else(|| panic!("{seq} was not for it"));
        assert_eq!(*digest, if is_viewer { event.reduced } else { event.full }, "{seq}");
        assert!(!in_gap(*seq), "{seq} came and was told missing");
    }
    let got: BTreeSet<u64> = told.events.iter().map(|(seq, _)| *seq).collect();
    let missing: Vec<_> = expected
        .keys()
        .filter(|&&seq| !got.contains(&seq) && !in_gap(seq))
        .collect();
    assert!(missing.is_empty(), "missing {missing:?}");
}
