//! Servers die, one after the other, and one is cut off, while a listener publishes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tgmesh_proto::subject::DETECTIONS;
use tgmesh_stream::publish::{Limits, Publisher, Stored};
use tgmesh_stream::{Mesh, window};
use tgmesh_testkit::cluster::{Cluster, NODES};
use tgmesh_testkit::eventually;

use super::{connect, start};
use crate::{LONG, number, outgoing};

/// A leader is missed after four to nine seconds, and clients look for another server meanwhile.
const STALL_LIMIT: Duration = Duration::from_mins(1);
/// How long the leader is cut off: the others have elected a new one by then.
const CUT_OFF: Duration = Duration::from_secs(10);

fn soak() -> bool {
    std::env::var_os("TGMESH_SOAK").is_some_and(|soak| soak == "1")
}

/// Every acked message is in the stream, and once, whatever happens to one server at a time. How
/// long nothing was acked is printed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "nothing acked is lost, but now and then nothing is acked for more than a minute: to be found out"]
async fn nothing_acked_is_lost_when_servers_fail_in_turn() {
    let mut cluster = start().await;
    let listener = connect(&cluster, "listener").await;
    let load = Load::start(&listener);
    load.flows("before").await;

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

        let isolated = self::leader(&cluster).await;
        cluster.cut_off(isolated);
        // A publisher that hangs on the one that was cut off stays there: nothing tells it that its
        // server has no quorum. It goes on when the cluster is whole again, and nothing is lost.
        tokio::time::sleep(CUT_OFF).await;
        cluster.heal(isolated);
        cluster.ready().await.expect("whole again");
        load.flows("the leader was cut off").await;

        for n in 0..if soak() { NODES } else { 1 } {
            cluster.retire(n).await.expect("retired");
            load.flows(&format!("server {n} was retired")).await;
            cluster.start_again(n).await.expect("back");
        }
        println!("round {round}: {} acked", load.acked.load(Ordering::Relaxed));
    }

    let acked = load.finish().await;
    let mut stored = held(&connect(&cluster, "gateway").await).await;
    stored.sort_unstable();
    let count = stored.len();
    stored.dedup();
    assert_eq!(count, stored.len(), "stored twice within the window");
    let lost: Vec<_> = acked.iter().filter(|n| stored.binary_search(n).is_err()).collect();
    assert!(lost.is_empty(), "acked and lost: {lost:?}");
    assert!(!cluster.log().contains("Permissions Violation"), "a right is missing");
}

async fn leader(cluster: &Cluster) -> usize {
    eventually(LONG, "DETECTIONS has a leader", || async {
        cluster.leader(DETECTIONS).await.is_some()
    })
    .await;
    cluster.leader(DETECTIONS).await.expect("a leader")
}

async fn held(mesh: &Mesh) -> Vec<u64> {
    let mut window = window::read(mesh, DETECTIONS, 1, None, &[]).await.expect("window");
    let mut numbers = Vec::new();
    while let Some(delivery) = window.next().await.expect("message") {
        numbers.push(number(&delivery.payload));
    }
    numbers
}

/// About 200 messages a second, and when each was acked.
struct Load {
    acked: Arc<AtomicU64>,
    /// Longest time without an ack since the last look, in ms.
    stall: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    sending: tokio::task::JoinHandle<Vec<u64>>,
}

impl Load {
    fn start(mesh: &Mesh) -> Self {
        let (acked, stall) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let stop = Arc::new(AtomicBool::new(false));
        let publisher = Publisher::new(mesh, Limits::default());
        let sending = tokio::spawn(send(
            publisher,
            Arc::clone(&acked),
            Arc::clone(&stall),
            Arc::clone(&stop),
        ));
        Self {
            acked,
            stall,
            stop,
            sending,
        }
    }

    /// Waits until messages that were sent from now on are acked, and prints the longest stall.
    async fn flows(&self, after: &str) {
        let from = self.acked.load(Ordering::Relaxed);
        eventually(
            STALL_LIMIT,
            &format!("messages are acked again after {after}"),
            || async { self.acked.load(Ordering::Relaxed) > from + 600 },
        )
        .await;
        let stall_ms = self.stall.swap(0, Ordering::Relaxed);
        println!("{after}: nothing was acked for {stall_ms} ms");
    }

    /// The numbers of all that was acked.
    async fn finish(self) -> Vec<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.sending.await.expect("the load")
    }
}

async fn send(publisher: Publisher, acked: Arc<AtomicU64>, stall: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> Vec<u64> {
    let (receipts, mut taken) = tokio::sync::mpsc::unbounded_channel();
    let reading = tokio::spawn(async move {
        let mut numbers = Vec::new();
        let mut last = Instant::now();
        while let Some((n, receipt)) = taken.recv().await {
            let receipt: tgmesh_stream::publish::Receipt = receipt;
            let stored: Stored = receipt.await.expect("everything is stored in the end");
            assert!(stored.seq > 0);
            numbers.push(n);
            let waited = u64::try_from(last.elapsed().as_millis()).unwrap_or(u64::MAX);
            last = Instant::now();
            stall.fetch_max(waited, Ordering::Relaxed);
            acked.fetch_add(1, Ordering::Relaxed);
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
