use std::time::{Duration, Instant};

use tgmesh_stream::Mesh;
use tgmesh_stream::kv::Bucket;
use tgmesh_stream::lease::{Board, Ended, Leases};
use tgmesh_stream::topology::{self, desired};
use tgmesh_testkit::nats::Server;
use tgmesh_testkit::{eventually, until};
use tokio_util::sync::CancellationToken;

use crate::{LONG, config};

const TIME: Duration = Duration::from_secs(2);

async fn leases(server: &Server, name: &str) -> Leases {
    let config = tgmesh_stream::NatsConfig {
        lease_time: TIME,
        ..config(server)
    };
    let mesh = Mesh::connect(&config, name).await.unwrap();
    topology::apply(&mesh, &desired(&config)).await.unwrap();
    Leases::open(&mesh, name).await.unwrap()
}

#[tokio::test]
async fn one_owner_at_a_time_and_epochs_that_rise() {
    let server = Server::start().await.unwrap();
    let (alpha, beta) = (leases(&server, "alpha").await, leases(&server, "beta").await);
    assert_eq!(alpha.time(), TIME);
    let lease = alpha.acquire("sim-1").await.unwrap().unwrap();
    let tenure = lease.tenure();
    assert!(beta.acquire("sim-1").await.unwrap().is_none());
    assert!(tenure.holds());
    // Given back, it is free at once.
    lease.release().await.unwrap();
    assert!(!tenure.holds());
    let mut next = beta.acquire("sim-1").await.unwrap().unwrap();
    assert!(next.epoch() > tenure.epoch());
    // It is kept for as long as its owner likes.
    let stop = CancellationToken::new();
    let epoch = next.epoch();
    let kept = {
        let stop = stop.clone();
        tokio::spawn(async move { (next.keep(&stop).await, next) })
    };
    assert!(!until(2 * TIME, async || alpha.acquire("sim-1").await.unwrap().is_some()).await);
    stop.cancel();
    let (ended, next) = kept.await.unwrap();
    assert_eq!((ended, next.epoch()), (Ended::Stopped, epoch));
    // What nobody renews runs out, after its owner has stopped believing in it.
    let tenure = next.tenure();
    drop(next);
    eventually(LONG, "the lease runs out", async || {
        let free = alpha.acquire("sim-1").await.unwrap().is_some();
        assert!(!free || !tenure.holds());
        free
    })
    .await;
}

#[tokio::test]
async fn an_owner_whose_server_is_away_stops_in_time() {
    let mut server = Server::start().await.unwrap();
    let alpha = leases(&server, "alpha").await;
    let mut lease = alpha.acquire("sim-1").await.unwrap().unwrap();
    let tenure = lease.tenure();
    server.stop().await;
    let before = Instant::now();
    let ended = lease.keep(&CancellationToken::new()).await;
    assert!(matches!(ended, Ended::Lost(_)), "{ended:?}");
    assert!(!tenure.holds() && before.elapsed() < TIME, "before it runs out");
}

#[tokio::test]
async fn an_owner_that_was_replaced_notices() {
    let server = Server::start().await.unwrap();
    let (alpha, beta) = (leases(&server, "alpha").await, leases(&server, "beta").await);
    let mut lease = alpha.acquire("sim-1").await.unwrap().unwrap();
    let mesh = Mesh::connect(&config(&server), "operator").await.unwrap();
    let bucket = Bucket::open(&mesh, "tgmesh_leases").await.unwrap();
    let mut watch = beta.watch().await.unwrap();
    let mut board = Board::new(TIME);
    board.note(&watch.next().await.unwrap().unwrap(), Instant::now());
    assert_eq!(board.holder("sim-1", Instant::now()).unwrap().instance, "alpha");
    bucket.delete("sim-1", None).await.unwrap();
    let next = beta.acquire("sim-1").await.unwrap().unwrap();
    let ended = lease.keep(&CancellationToken::new()).await;
    assert_eq!(ended, Ended::Lost("somebody else has it".to_owned()));
    // What it does late harms nobody.
    lease.release().await.unwrap();
    let mut last = None;
    while board
        .holder("sim-1", Instant::now())
        .is_none_or(|holder| holder.instance != "beta")
    {
        last = watch.next().await.unwrap();
        board.note(last.as_ref().unwrap(), Instant::now());
    }
    assert_eq!(last.unwrap().revision, next.epoch());
    assert!(bucket.get("sim-1").await.unwrap().is_some());
}
