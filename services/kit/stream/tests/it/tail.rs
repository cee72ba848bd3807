use std::time::Duration;

use tgmesh_stream::tail::{Start, Tail, TailError};
use tgmesh_stream::topology::{apply, desired, epoch};
use tgmesh_stream::{StreamError, window};
use tgmesh_testkit::proxy::Proxy;

use crate::{LONG, bare, config, fill, number, start, witness};

async fn numbers(tail: &mut Tail, n: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    for _ in 0..n {
        let delivery = tokio::time::timeout(LONG, tail.next())
            .await
            .expect("in time")
            .expect("a message");
        assert_eq!(delivery.seq, tail.position());
        assert_eq!(&*delivery.epoch, tail.epoch());
        numbers.push(number(&delivery.payload));
    }
    numbers
}

#[tokio::test]
async fn starts_where_it_is_told() {
    let (_server, mesh) = start().await;
    fill(&mesh, 0..100).await;
    let mut new = Tail::open(&mesh, "DETECTIONS", Start::New, None).await.unwrap();
    let mut after = Tail::open(&mesh, "DETECTIONS", Start::After(40), None).await.unwrap();
    let mut last = Tail::open(&mesh, "DETECTIONS", Start::Last(5), None).await.unwrap();
    let mut beyond = Tail::open(&mesh, "DETECTIONS", Start::After(u64::MAX), None)
        .await
        .unwrap();
    let mut chat = Tail::open(
        &mesh,
        "DETECTIONS",
        Start::After(0),
        Some("tgmesh.v1.detections.-103.>"),
    )
    .await
    .unwrap();
    fill(&mesh, 100..102).await;
    assert_eq!(numbers(&mut new, 2).await, [100, 101]);
    assert_eq!(numbers(&mut after, 62).await, (40..102).collect::<Vec<_>>());
    assert_eq!(numbers(&mut last, 7).await, (95..102).collect::<Vec<_>>());
    assert_eq!(numbers(&mut beyond, 2).await, [100, 101]);
    assert_eq!(
        numbers(&mut chat, 15).await,
        (0..102).filter(|n| n % 7 == 3).collect::<Vec<_>>()
    );
    assert_eq!(
        epoch(&mesh).await.unwrap(),
        new.epoch(),
        "a place behind the end renews no epoch"
    );
}

#[tokio::test]
async fn goes_on_after_the_last_sequence_over_restarts() {
    let (mut server, mesh) = start().await;
    let mut tail = Tail::open(&mesh, "DETECTIONS", Start::New, None).await.unwrap();
    fill(&mesh, 0..3000).await;
    assert_eq!(numbers(&mut tail, 1000).await, (0..1000).collect::<Vec<_>>());
    server.kill().await;
    server.start_again().await.unwrap();
    fill(&mesh, 3000..3100).await;
    assert_eq!(numbers(&mut tail, 2100).await, (1000..3100).collect::<Vec<_>>());
    server.stop().await;
    server.start_again().await.unwrap();
    fill(&mesh, 3100..3110).await;
    assert_eq!(numbers(&mut tail, 10).await, (3100..3110).collect::<Vec<_>>());
}

/// The server keeps a request that it cannot fill for half a minute: this is what lies behind it.
#[tokio::test]
async fn a_quiet_stream_is_read_on() {
    let (_server, mesh) = start().await;
    let mut tail = Tail::open(&mesh, "DETECTIONS", Start::New, None).await.unwrap();
    // One call that waits all the time: each new call would ask anew.
    let waiting = tokio::spawn(async move { numbers(&mut tail, 1).await });
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert!(!waiting.is_finished());
    fill(&mesh, 0..1).await;
    assert_eq!(waiting.await.unwrap(), [0]);
}

#[tokio::test]
async fn a_wire_that_falls_silent_is_noticed() {
    let (server, direct) = start().await;
    let proxy = Proxy::start(format!("127.0.0.1:{}", server.port())).await.unwrap();
    let mut config = config(&server);
    config.servers = tgmesh_stream::NatsConfig::new(&format!("nats://{}", proxy.addr()))
        .unwrap()
        .servers;
    let mesh = tgmesh_stream::Mesh::connect(&config, "test").await.unwrap();
    let mut tail = Tail::open(&mesh, "DETECTIONS", Start::New, None).await.unwrap();
    fill(&direct, 0..10).await;
    assert_eq!(numbers(&mut tail, 10).await, (0..10).collect::<Vec<_>>());
    proxy.mute();
    fill(&direct, 10..20).await;
    let silent = tokio::time::timeout(Duration::from_millis(500), tail.next()).await;
    assert!(silent.is_err());
    proxy.drop_connections();
    proxy.heal();
    assert_eq!(numbers(&mut tail, 10).await, (10..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_made_anew_is_told_and_read_from_its_beginning() {
    let (server, mesh) = start().await;
    fill(&mesh, 0..10).await;
    let mut tail = Tail::open(&mesh, "DETECTIONS", Start::After(0), None).await.unwrap();
    let old = tail.epoch().to_owned();
    numbers(&mut tail, 10).await;
    witness(&server).await.delete_stream("DETECTIONS").await.unwrap();
    apply(&mesh, &desired(&config(&server))).await.unwrap();
    fill(&mesh, 50..53).await;
    let error = loop {
        match tokio::time::timeout(LONG, tail.next()).await.expect("in time") {
            // While the stream was away.
            Err(TailError::Stream(StreamError::NotFound(_))) => {}
            other => break other.expect_err("no message before the epoch"),
        }
    };
    let TailError::Epoch { epoch } = error else {
        panic!("{error}")
    };
    assert!(epoch != old && epoch == tail.epoch());
    assert_eq!(numbers(&mut tail, 3).await, [50, 51, 52]);
}

#[tokio::test]
async fn a_stream_that_lost_its_end_gets_a_new_epoch() {
    let (server, mesh) = start().await;
    fill(&mesh, 0..10).await;
    let mut tail = Tail::open(&mesh, "DETECTIONS", Start::After(0), None).await.unwrap();
    let old = tail.epoch().to_owned();
    numbers(&mut tail, 10).await;
    let witness = witness(&server).await;
    let config = witness
        .get_stream("DETECTIONS")
        .await
        .unwrap()
        .cached_info()
        .config
        .clone();
    witness.delete_stream("DETECTIONS").await.unwrap();
    // With the old epoch in its metadata, as a restored backup has it.
    witness.create_stream(config).await.unwrap();
    fill(&mesh, 50..53).await;
    let error = loop {
        match tokio::time::timeout(LONG, tail.next()).await.expect("in time") {
            Err(TailError::Stream(StreamError::NotFound(_))) => {}
            other => break other.expect_err("no message before the epoch"),
        }
    };
    assert!(matches!(error, TailError::Epoch { epoch } if epoch != old));
    assert_ne!(epoch(&mesh).await.unwrap(), old);
    assert_eq!(numbers(&mut tail, 3).await, [50, 51, 52]);
}

#[tokio::test]
async fn a_window_ends_by_itself() {
    let (server, mesh) = start().await;
    fill(&mesh, 0..2000).await;
    let read = async |from, to, filters: &[&str]| {
        let mut window = window::read(&mesh, "DETECTIONS", from, to, filters).await.unwrap();
        let mut numbers = Vec::new();
        while let Some(delivery) = tokio::time::timeout(LONG, window.next())
            .await
            .expect("it ends")
            .expect("it can be read")
        {
            numbers.push(number(&delivery.payload));
        }
        assert!(window.next().await.unwrap().is_none());
        numbers
    };
    assert_eq!(read(1, None, &[]).await, (0..2000).collect::<Vec<_>>());
    assert_eq!(read(101, Some(200), &[]).await, (100..200).collect::<Vec<_>>());
    assert_eq!(read(0, Some(1), &[]).await, [0]);
    assert_eq!(read(5, Some(4), &[]).await, Vec::<u64>::new());
    assert_eq!(read(3000, None, &[]).await, Vec::<u64>::new());
    assert_eq!(read(1, None, &["tgmesh.v1.detections.-999.>"]).await, Vec::<u64>::new());
    let two = ["tgmesh.v1.detections.-101.>", "tgmesh.v1.detections.-102.evm"];
    assert_eq!(
        read(1, Some(50), &two).await,
        (0..50).filter(|n| n % 7 == 1 || n % 7 == 2).collect::<Vec<_>>()
    );
    // Its consumers are gone at once.
    let mut stream = witness(&server).await.get_stream("DETECTIONS").await.unwrap();
    assert_eq!(stream.info().await.unwrap().state.consumer_count, 0);
}

#[tokio::test]
async fn a_window_ends_though_the_rest_of_it_is_discarded() {
    let (server, mesh) = start().await;
    fill(&mesh, 0..3000).await;
    let mut window = window::read(&mesh, "DETECTIONS", 1, None, &[]).await.unwrap();
    assert_eq!(number(&window.next().await.unwrap().unwrap().payload), 0);
    let stream = witness(&server).await.get_stream("DETECTIONS").await.unwrap();
    stream.purge().await.unwrap();
    let mut read = 1;
    while tokio::time::timeout(LONG, window.next())
        .await
        .expect("it ends")
        .unwrap()
        .is_some()
    {
        read += 1;
    }
    assert!(read < 3000, "the purge fell into the reading");
}

#[tokio::test]
async fn a_missing_stream_is_an_error() {
    let (_server, mesh) = bare().await;
    let tail = Tail::open(&mesh, "DETECTIONS", Start::New, None).await;
    assert!(matches!(tail.err(), Some(StreamError::NotFound(name)) if name == "DETECTIONS"));
    assert!(matches!(
        window::read(&mesh, "DETECTIONS", 1, None, &[]).await.err(),
        Some(StreamError::NotFound(_))
    ));
}

#[tokio::test]
async fn a_time_is_turned_into_a_sequence() {
    let (_server, mesh) = start().await;
    let at = async |us| window::start_at(&mesh, "DETECTIONS", us).await.unwrap();
    assert_eq!(at(0).await, 1, "an empty stream");
    fill(&mesh, 0..20).await;
    let mut times = Vec::new();
    let mut all = window::read(&mesh, "DETECTIONS", 1, None, &[]).await.unwrap();
    while let Some(delivery) = all.next().await.unwrap() {
        times.push(delivery.published_us);
    }
    assert_eq!(times.len(), 20);
    for (n, &time) in times.iter().enumerate() {
        // Several may be stored within one microsecond.
        let first = times.iter().position(|other| *other >= time).unwrap() as u64 + 1;
        assert_eq!(at(time).await, first, "message {n}");
    }
    assert_eq!(at(0).await, 1);
    assert_eq!(at(times[19] + 1).await, 21, "after the end");
    assert!(matches!(
        window::start_at(&mesh, "NONE", 0).await,
        Err(StreamError::NotFound(_))
    ));
}
