use async_nats::jetstream::consumer::{AckPolicy, pull};
use futures_util::StreamExt as _;
use tgmesh_stream::consume;

use crate::{fill, start, witness};

#[tokio::test]
async fn a_consumer_s_place_in_its_stream() {
    let (server, mesh) = start().await;
    assert_eq!(consume::standing(&mesh, "DETECTIONS", "x").await.unwrap(), None);
    fill(&mesh, 0..10).await;
    let stream = witness(&server).await.get_stream("DETECTIONS").await.unwrap();
    let config = pull::Config {
        durable_name: Some("x".to_owned()),
        ack_policy: AckPolicy::Explicit,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.unwrap();
    let mut batch = consumer.fetch().max_messages(5).messages().await.unwrap();
    for n in 0..5 {
        let message = batch.next().await.unwrap().unwrap();
        if n < 3 {
            message.double_ack().await.unwrap();
        }
    }
    let standing = consume::standing(&mesh, "DETECTIONS", "x").await.unwrap().unwrap();
    assert_eq!((standing.first_seq, standing.last_seq, standing.pending), (1, 10, 5));
    assert_eq!((standing.delivered, standing.deliveries, standing.acked), (5, 5, 3));
    assert_eq!((standing.unacked(), standing.still), (7, true));
    assert!(standing.max_bytes.is_some() && standing.max_age.is_some());
    let at = consume::stored_at(&mesh, "DETECTIONS", 4).await.unwrap().unwrap();
    let info = stream.get_raw_message(4).await.unwrap();
    assert_eq!(i128::from(at), info.time.unix_timestamp_nanos() / 1000);
    assert_eq!(consume::stored_at(&mesh, "DETECTIONS", 11).await.unwrap(), None);

    // The stream forgets its beginning.
    stream.purge().sequence(9).await.unwrap();
    let standing = consume::standing(&mesh, "DETECTIONS", "x").await.unwrap().unwrap();
    assert_eq!((standing.first_seq, standing.unacked()), (9, 2));
}
