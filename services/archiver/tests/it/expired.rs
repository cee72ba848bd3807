//! What the stream discards before it was archived.

use tgmesh_stream::stream_state;
use tgmesh_testkit::eventually;

use crate::{Archiver, LONG, Place, fill};

const EXPIRED: &str = "tgmesh_archiver_expired_total";

async fn expired(archivers: &[&Archiver]) -> u64 {
    let mut expired = 0;
    for archiver in archivers {
        expired += archiver.metric(EXPIRED).await;
    }
    expired
}

/// Messages that AUDIT says were lost, and the first range.
async fn told(place: &Place) -> (u64, String) {
    let sum = "SELECT coalesce(sum((detail->>'messages')::bigint), 0) FROM audit_log \
               WHERE event = 'expired_detections' AND target = 'stream:DETECTIONS'";
    let first = "SELECT detail->>'from' FROM audit_log WHERE event = 'expired_detections' ORDER BY at LIMIT 1";
    (place.ask(sum).await.parse().unwrap_or(0), place.ask(first).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_discarded_before_it_was_archived_is_counted_once_and_told() {
    // Room for a good thousand messages.
    let mut place = Place::with_stream_of(1 << 20).await;
    let archiver = place.archiver();
    fill(&place.mesh, 0..100).await;
    place.eventually_rows(100).await;
    assert!(archiver.stop().await.success());
    fill(&place.mesh, 100..5000).await;
    let first = stream_state(&place.mesh, "DETECTIONS").await.unwrap().first_seq;
    assert!(first > 1000, "{first}");

    // Two at once, and one of them tells.
    let (one, two) = (place.archiver_named("one"), place.archiver_named("two"));
    let lost = first - 101;
    place.eventually_rows(5000 - lost).await;
    eventually(LONG, "the loss is counted", async || {
        expired(&[&one, &two]).await == lost
    })
    .await;
    eventually(LONG, "the loss is told", async || {
        told(&place).await == (lost, "101".to_owned())
    })
    .await;
    eventually(LONG, "all is archived: nothing is near its end", async || {
        one.gauge("tgmesh_archiver_headroom_ratio").await > Some(0.99)
    })
    .await;

    // Now while they live: they hold what they have, and the stream runs over behind them.
    place.postgres.stop().await;
    fill(&place.mesh, 5000..30_000).await;
    eventually(LONG, "no room is left", async || {
        one.gauge("tgmesh_archiver_headroom_ratio").await < Some(0.1)
    })
    .await;
    assert!(one.gauge("tgmesh_archiver_oldest_unacked_seconds").await > Some(0.0));
    place.postgres.start_again().await.unwrap();
    eventually(LONG, "rows and losses make up the whole", async || {
        let rows = place.rows().await.unwrap_or(0);
        let lost = expired(&[&one, &two]).await;
        rows + lost == 30_000 && told(&place).await.0 == lost
    })
    .await;
    assert!(expired(&[&one, &two]).await > lost);
    // A third one finds nothing new to tell.
    assert!(one.stop().await.success());
    let three = place.archiver_named("three");
    three.ready().await;
    fill(&place.mesh, 30_000..30_100).await;
    let seen = "SELECT count(*) FROM detections WHERE message_id > 30000";
    eventually(LONG, "new rows", async || place.ask(seen).await == "100").await;
    assert_eq!(three.metric(EXPIRED).await, 0);
    assert!(two.stop().await.success() && three.stop().await.success());
}
