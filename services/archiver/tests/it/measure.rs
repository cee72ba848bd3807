//! Figures, printed. Short: they show that nothing is slower by an order, and are run by hand at
//! length (`cargo test --release -p tgmesh-archiver --test it measure -- --nocapture --ignored`).

use std::time::{Duration, Instant};

use tgmesh_stream::publish::{Limits, Publisher};
use tgmesh_testkit::eventually;

use crate::{LONG, Place, event, outgoing};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, best alone on a quiet machine"]
async fn publish_and_drain() {
    let events = 200_000_u64;
    let place = Place::new().await;
    let prepared: Vec<_> = (0..events).map(|n| outgoing(&event(n))).collect();
    let bytes: usize = prepared.iter().map(|message| message.payload.len()).sum();
    let publisher = Publisher::new(&place.mesh, Limits::default());
    let began = Instant::now();
    for message in prepared {
        drop(publisher.publish(message).await);
    }
    assert_eq!(publisher.drain(LONG).await, 0);
    let took = began.elapsed().as_secs_f64();
    println!(
        "publish: {:.0} msg/s of {} B",
        events as f64 / took,
        bytes as u64 / events
    );

    let archiver = place.archiver();
    let began = Instant::now();
    eventually(LONG, "the first rows", async || {
        archiver.metric("tgmesh_archiver_rows_total").await > 0
    })
    .await;
    let (at, rows) = (Instant::now(), archiver.metric("tgmesh_archiver_rows_total").await);
    eventually(LONG, "drained", async || {
        archiver.metric("tgmesh_archiver_rows_total").await >= events
    })
    .await;
    println!(
        "drain: {:.0} rows/s with the start of the process, {:.0} rows/s after it",
        events as f64 / began.elapsed().as_secs_f64(),
        (events - rows) as f64 / at.elapsed().as_secs_f64()
    );
    assert_eq!(place.rows().await, Some(events));
    assert!(archiver.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, best alone on a quiet machine"]
async fn latency_at_a_steady_rate() {
    let place = Place::new().await;
    let archiver = place.archiver();
    archiver.ready().await;
    for rate in [1000_u64, 5000] {
        let publisher = Publisher::new(&place.mesh, Limits::default());
        let began = Instant::now();
        let events = rate * 10;
        for n in 0..events {
            let due = began + Duration::from_micros(n * 1_000_000 / rate);
            if let Some(wait) = due
                .checked_duration_since(Instant::now())
                .filter(|wait| wait.as_micros() > 1000)
            {
                tokio::time::sleep(wait).await;
            }
            drop(publisher.publish(outgoing(&event(rate * 1_000_000 + n))).await);
        }
        assert_eq!(publisher.drain(LONG).await, 0);
        tokio::time::sleep(Duration::from_millis(500)).await;
        let quantiles = format!(
            "SELECT count(*), percentile_disc(ARRAY[0.5, 0.99, 0.999]) WITHIN GROUP (ORDER BY \
             (extract(epoch FROM archived_at - published_at) * 1000)::numeric(10, 2)) FROM detections \
             WHERE message_id > {}",
            rate * 1_000_000
        );
        let row = place.postgres.query("tgmesh", &quantiles).await.unwrap();
        println!("publish -> row at {rate}/s, ms: {}", row.trim());
    }
    let page = archiver.get("/metrics").await.unwrap();
    for line in page
        .lines()
        .filter(|line| line.contains("stream_to_commit") || line.contains("batches_total"))
    {
        println!("{line}");
    }
    assert!(archiver.stop().await.success());
}
