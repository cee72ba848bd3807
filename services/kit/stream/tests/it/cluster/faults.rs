//! Servers die, one after the other, and one is cut off, while a listener publishes and a gateway
//! reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tgmesh_proto::subject::DETECTIONS;
use tgmesh_stream::publish::{Limits, Publisher, Receipt, Stored};
use tgmesh_stream::tail::{Start, Tail};
use tgmesh_stream::{Mesh, window};
use tgmesh_testkit::cluster::{Cluster, NODES};
use tgmesh_testkit::eventually;

use super::{connect, start};
use crate::{LONG, number, outgoing};

/// An election takes four to nine seconds, and so does leaving a server that was cut off; the rest is
/// for a machine that has other things to do.
const STALL_LIMIT: Duration = Duration::from_mins(1);
/// So many more, acked and read, and the mesh works.
const ENOUGH: u64 = 200;

fn soak() -> bool {
    std::env::var_os("TGMESH_SOAK").is_some_and(|soak| soak == "1")
}

/// Every acked message is in the stream, and once, whatever happens to one server at a time; a
/// reader gets each, in order. How long nothing was acked or read is printed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acked_is_lost_when_servers_fail_in_turn() {
    let mut cluster = start().await;
    let listener = connect(&cluster, "listener").await;
    let load = Load::start(&listener, &connect(&cluster, "gateway").await).await;
    load.flows("nothing happened").await;

    for round in 0..if soak() { 10 } else { 1 } {
        let leader = leader(&cluster).await;
        cluster.kill(leader).await;
        load.flows("the leader was killed").await;
        cluster.start_again(leader).await.expect("back");

        for n in (0..NODES).filter(|n| *n != leader) {
            cluster.kill(n).await;
            load.flows(&format!("server {n} was killed")).await;
            cluster.start_again(n).await.expect("back");
        }
        for n in 0..if soak() { NODES } else { 1 } {
            cluster.retire(n).await.expect("retired");
            load.flows(&format!("server {n} was retired")).await;
            cluster.start_again(n).await.expect("back");
        }

        let isolated = self::leader(&cluster).await;
        cluster.cut_off(isolated);
        load.flows("the leader was cut off").await;
        cluster.heal(isolated);
        if soak() {
            cluster.whole().await.expect("whole again");
        }
        println!("round {round}: {} acked", load.acked.count());
    }

    let (acked, read) = load.finish().await;
    let mut stored = held(&connect(&cluster, "gateway").await, acked.len()).await;
    assert_read_in_order(&read, &stored);
    stored.sort_unstable();
    let count = stored.len();
    stored.dedup();
    assert_eq!(count, stored.len(), "stored twice within the window");
    let lost: Vec<_> = acked.iter().filter(|n| stored.binary_search(n).is_err()).collect();
    assert!(lost.is_empty(), "acked and lost: {lost:?}");
    assert!(!cluster.log().contains("Permissions Violation"), "a right is missing");
}

/// A server that has lost the others is up for its clients, and of no use to them: they leave it,
/// although nothing tells them. One that leads does not know it itself for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_leave_a_server_that_lost_the_others() {
    let cluster = start().await;
    let home = leader(&cluster).await;
    let listener = connect_to(&cluster, "listener", home).await;
    let gateway = connect_to(&cluster, "gateway", home).await;
    let load = Load::start(&listener, &gateway).await;
    load.flows("nothing happened").await;

    cluster.part(home);
    load.flows("their server lost the others").await;
    assert_ne!(cluster.home_of("tgmesh-listener").await, Some(home));
    assert_ne!(cluster.home_of("tgmesh-gateway").await, Some(home));

    cluster.heal(home);
    load.flows("it has them again").await;
    let (acked, read) = load.finish().await;
    let stored = held(&listener, acked.len()).await;
    assert_read_in_order(&read, &stored);
    let lost: Vec<_> = acked.iter().filter(|n| !stored.contains(n)).collect();
    assert!(lost.is_empty(), "acked and lost: {lost:?}");
}

/// Connects to this server: the client chooses at random.
async fn connect_to(cluster: &Cluster, user: &str, server: usize) -> Mesh {
    let name = format!("tgmesh-{user}");
    for _ in 0..50 {
        let mesh = connect(cluster, user).await;
        if cluster.home_of(&name).await == Some(server) {
            return mesh;
        }
        drop(mesh);
        eventually(LONG, "it is gone", || async { cluster.home_of(&name).await.is_none() }).await;
    }
    panic!("50 connections, and none to server {server}");
}

/// What was read is what is stored, from the first on.
fn assert_read_in_order(read: &[u64], stored: &[u64]) {
    let apart = read.iter().zip(stored).position(|(read, stored)| read != stored);
    if let Some(at) = apart {
        let around = at.saturating_sub(3)..at + 4;
        let of = |numbers: &[u64]| numbers.get(around.clone()).map(<[u64]>::to_vec);
        panic!(
            "message {at} was read as {:?} and is stored as {:?}",
            of(read),
            of(stored)
        );
    }
}

async fn leader(cluster: &Cluster) -> usize {
    eventually(LONG, "DETECTIONS has a leader", || async {
        cluster.leader(DETECTIONS).await.is_some()
    })
    .await;
    cluster.leader(DETECTIONS).await.expect("a leader")
}

/// All that is stored, at least so many. A cluster that was torn a moment ago may not answer at once,
/// and a server that has not caught up yet answers with what it has.
async fn held(mesh: &Mesh, at_least: usize) -> Vec<u64> {
    let numbers = tokio::sync::Mutex::new(Vec::new());
    eventually(LONG, "all that was acked is read", || async {
        let Ok(mut window) = window::read(mesh, DETECTIONS, 1, None, &[]).await else {
            return false;
        };
        let mut numbers = numbers.lock().await;
        numbers.clear();
        loop {
            match window.next().await {
                Ok(Some(delivery)) => numbers.push(number(&delivery.payload)),
                Ok(None) => return numbers.len() >= at_least,
                Err(_) => return false,
            }
        }
    })
    .await;
    numbers.into_inner()
}

/// How many came, and the longest time without one.
#[derive(Default)]
struct Pace {
    count: AtomicU64,
    stall_ms: AtomicU64,
}

impl Pace {
    fn note(&self, last: &mut Instant) {
        let waited = u64::try_from(last.elapsed().as_millis()).unwrap_or(u64::MAX);
        *last = Instant::now();
        self.stall_ms.fetch_max(waited, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

/// About 200 messages a second, and when each was acked and read.
struct Load {
    acked: Arc<Pace>,
    read: Arc<Pace>,
    stop: Arc<AtomicBool>,
    sending: tokio::task::JoinHandle<Vec<u64>>,
    reading: tokio::task::JoinHandle<Vec<u64>>,
}

impl Load {
    async fn start(listener: &Mesh, gateway: &Mesh) -> Self {
        let (acked, read) = (Arc::<Pace>::default(), Arc::<Pace>::default());
        let stop = Arc::new(AtomicBool::new(false));
        let tail = Tail::open(gateway, DETECTIONS, Start::After(0), None)
            .await
            .expect("tail");
        let publisher = Publisher::new(listener, Limits::default());
        Self {
            sending: tokio::spawn(send(publisher, Arc::clone(&acked), Arc::clone(&stop))),
            reading: tokio::spawn(follow(tail, Arc::clone(&read), Arc::clone(&stop))),
            acked,
            read,
            stop,
        }
    }

    /// Waits until messages are acked and read that were not before, and prints the longest stalls.
    async fn flows(&self, after: &str) {
        let (acked, read) = (self.acked.count(), self.read.count());
        eventually(STALL_LIMIT, &format!("messages flow again after {after}"), || async {
            self.acked.count() > acked + ENOUGH && self.read.count() > read + ENOUGH
        })
        .await;
        let stall = |pace: &Pace| pace.stall_ms.swap(0, Ordering::Relaxed);
        println!(
            "{after}: nothing was acked for {} ms, nothing was read for {} ms",
            stall(&self.acked),
            stall(&self.read)
        );
    }

    /// The numbers of all that was acked, and of all that was read.
    async fn finish(self) -> (Vec<u64>, Vec<u64>) {
        self.stop.store(true, Ordering::Relaxed);
        (
            self.sending.await.expect("the load"),
            self.reading.await.expect("the reader"),
        )
    }
}

async fn follow(mut tail: Tail, pace: Arc<Pace>, stop: Arc<AtomicBool>) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut last = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        if let Ok(delivery) = tokio::time::timeout(Duration::from_millis(100), tail.next()).await {
            numbers.push(number(
                &delivery.expect("the stream is the same one all the time").payload,
            ));
            pace.note(&mut last);
        }
    }
    numbers
}

async fn send(publisher: Publisher, pace: Arc<Pace>, stop: Arc<AtomicBool>) -> Vec<u64> {
    let (receipts, mut taken) = tokio::sync::mpsc::unbounded_channel::<(u64, Receipt)>();
    let reading = tokio::spawn(async move {
        let mut numbers = Vec::new();
        let mut last = Instant::now();
        while let Some((n, receipt)) = taken.recv().await {
            let stored: Stored = receipt.await.expect("everything is stored in the end");
            assert!(stored.seq > 0);
            numbers.push(n);
            pace.note(&mut last);
        }
        numbers
    });
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let receipt = publisher.publish(outgoing(n)).await;
        let _ = receipts.send((n, receipt));
        n += 1;
    }
    assert_eq!(publisher.drain(STALL_LIMIT).await, 0);
    drop(receipts);
    reading.await.expect("the reader")
}
