use std::collections::HashSet;
use std::time::Duration;

use async_nats::jetstream::stream::DiscardPolicy;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tgmesh_stream::publish::{Flow, Limits, Outgoing, PublishError, Publisher, Stored};
use tgmesh_stream::topology::{apply, desired};
use tgmesh_stream::{StreamError, stream_state};
use tgmesh_testkit::eventually;

use crate::{LONG, bare, config, id, number, outgoing, start, witness};

#[tokio::test]
async fn stored_in_order_with_the_headers_of_the_contract() {
    let (server, mesh) = start().await;
    let publisher = Publisher::new(&mesh, Limits::default());
    for n in 0..3000 {
        drop(publisher.publish(outgoing(n)).await);
    }
    assert_eq!(publisher.drain(LONG).await, 0);
    let counts = publisher.counts();
    assert_eq!(
        (counts.published, counts.acked, counts.duplicates, counts.failures),
        (3000, 3000, 0, 0)
    );
    assert!(publisher.publish(outgoing(1)).await.await == Err(PublishError::Closed));

    let stream = witness(&server).await.get_stream("DETECTIONS").await.unwrap();
    for seq in [1, 2, 1500, 3000] {
        let message = stream.get_raw_message(seq).await.unwrap();
        assert_eq!(number(&message.payload), seq - 1);
        let header = |name: &str| message.headers.get(name).map(|value| value.as_str().to_owned());
        assert_eq!(header("Nats-Msg-Id"), Some(id(seq - 1).to_string()));
        assert_eq!(header("traceparent"), Some(outgoing(0).traceparent));
        assert_eq!(header("tracestate").as_deref(), Some(""));
        assert_eq!(header("Tgmesh-Schema").as_deref(), Some("1.0.0"));
        assert_eq!(header("Content-Type").as_deref(), Some("application/msgpack"));
    }
}

#[tokio::test]
async fn the_same_id_is_stored_once() {
    let (_server, mesh) = start().await;
    let publisher = Publisher::new(&mesh, Limits::default());
    let first = publisher.publish(outgoing(7)).await.await.unwrap();
    let again = publisher.publish(outgoing(7)).await.await.unwrap();
    assert_eq!(
        (first, again),
        (
            Stored {
                seq: 1,
                duplicate: false,
                resent: None,
            },
            Stored {
                seq: 1,
                duplicate: true,
                resent: None,
            }
        )
    );
    assert_eq!(publisher.counts().duplicates, 1);
}

#[tokio::test]
async fn a_killed_server_loses_and_doubles_nothing() {
    let (mut server, mesh) = start().await;
    let publisher = Publisher::new(&mesh, Limits::default());
    let total = 30_000;
    let sender = tokio::spawn({
        let publisher = publisher.clone();
        async move {
            let mut receipts = Vec::new();
            for n in 0..total {
                receipts.push(publisher.publish(outgoing(n)).await);
            }
            let mut seqs = HashSet::new();
            for receipt in receipts {
                assert!(seqs.insert(receipt.await.expect("stored").seq));
            }
        }
    });
    for mark in [3_000, 12_000] {
        eventually(LONG, "messages flow", async || publisher.counts().acked > mark).await;
        server.kill().await;
        server.start_again().await.unwrap();
    }
    tokio::time::timeout(LONG, sender)
        .await
        .expect("all are stored")
        .unwrap();
    assert!(publisher.counts().retries > 0, "the kills fell into the load");

    let witness = witness(&server).await.get_stream("DETECTIONS").await.unwrap();
    let consumer = witness
        .create_consumer(async_nats::jetstream::consumer::pull::OrderedConfig::default())
        .await
        .unwrap();
    let mut messages = consumer.messages().await.unwrap();
    let mut seen = HashSet::new();
    for _ in 0..total {
        let message = tokio::time::timeout(LONG, messages.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert!(
            seen.insert(number(&message.payload)),
            "{:?} is there twice",
            message.payload
        );
    }
    assert_eq!(stream_state(&mesh, "DETECTIONS").await.unwrap().messages, total);
}

#[tokio::test]
async fn a_missing_stream_holds_messages_until_it_is_there() {
    let (server, mesh) = bare().await;
    let publisher = Publisher::new(&mesh, Limits::default());
    let mut receipts = Vec::new();
    for n in 0..200 {
        receipts.push(publisher.publish(outgoing(n)).await);
    }
    eventually(LONG, "it is tried again", async || publisher.counts().retries > 2).await;
    assert_eq!(publisher.counts().acked, 0);
    apply(&mesh, &desired(&config(&server))).await.unwrap();
    for (n, receipt) in receipts.into_iter().enumerate() {
        let stored = tokio::time::timeout(LONG, receipt).await.unwrap().unwrap();
        assert_eq!(stored.seq, n as u64 + 1, "in the order of the calls");
    }
}

#[tokio::test]
async fn a_full_stream_holds_messages_until_there_is_room() {
    let (server, mesh) = start().await;
    let witness = witness(&server).await;
    let mut config = witness
        .get_stream("DETECTIONS")
        .await
        .unwrap()
        .cached_info()
        .config
        .clone();
    (config.max_messages, config.discard) = (100, DiscardPolicy::New);
    witness.update_stream(config).await.unwrap();
    let publisher = Publisher::new(&mesh, Limits::default());
    let mut receipts = Vec::new();
    for n in 0..150 {
        receipts.push(publisher.publish(outgoing(n)).await);
    }
    eventually(LONG, "it is tried again", async || publisher.counts().retries > 2).await;
    assert_eq!((publisher.counts().acked, publisher.counts().failures), (100, 0));
    let flow = publisher.flow().borrow().clone();
    assert!(
        matches!(&flow, Flow::Held(why) if why.contains("maximum messages")),
        "{flow:?}"
    );
    witness.get_stream("DETECTIONS").await.unwrap().purge().await.unwrap();
    for (n, receipt) in receipts.into_iter().enumerate() {
        let stored = tokio::time::timeout(LONG, receipt).await.unwrap().unwrap();
        assert_eq!(stored.seq, n as u64 + 1, "in the order of the calls");
    }
    assert_eq!(*publisher.flow().borrow(), Flow::Free);
}

#[tokio::test]
async fn a_message_that_no_server_takes_fails_alone() {
    let (_server, mesh) = start().await;
    let publisher = Publisher::new(&mesh, Limits::default());
    let before = publisher.publish(outgoing(1)).await;
    let huge = publisher
        .publish(Outgoing {
            payload: Bytes::from(vec![0; 2 << 20]),
            ..outgoing(2)
        })
        .await;
    let after = publisher.publish(outgoing(3)).await;
    assert!(matches!(huge.await, Err(PublishError::Refused(_))));
    assert_eq!((before.await.unwrap().seq, after.await.unwrap().seq), (1, 2));
    assert_eq!(publisher.counts().failures, 1);
}

#[tokio::test]
async fn what_is_under_way_is_bounded() {
    let (mut server, mesh) = start().await;
    let publisher = Publisher::new(
        &mesh,
        Limits {
            max_in_flight: 10,
            max_bytes: 32 << 20,
        },
    );
    server.stop().await;
    let mut receipts = Vec::new();
    for n in 0..10 {
        receipts.push(publisher.publish(outgoing(n)).await);
    }
    let eleventh = tokio::time::timeout(Duration::from_millis(300), publisher.publish(outgoing(10))).await;
    assert!(eleventh.is_err(), "the eleventh waits");
    assert_eq!(
        publisher.drain(Duration::from_millis(300)).await,
        10,
        "drain tells what is not stored"
    );
    server.start_again().await.unwrap();
    for receipt in receipts {
        tokio::time::timeout(LONG, receipt)
            .await
            .unwrap()
            .expect("stored after all");
    }
}

#[tokio::test]
async fn one_message_that_need_not_be_fast() {
    let (_server, mesh) = start().await;
    let audit = Outgoing {
        subject: tgmesh_proto::subject::audit("test", "started"),
        ..outgoing(1)
    };
    assert_eq!(tgmesh_stream::publish::publish_one(&mesh, &audit).await.unwrap().seq, 1);
    let nowhere = Outgoing {
        subject: "nowhere.at.all".to_owned(),
        ..outgoing(1)
    };
    let error = tgmesh_stream::publish::publish_one(&mesh, &nowhere).await.unwrap_err();
    assert!(matches!(error, StreamError::Unavailable(_)), "{error}");
}
