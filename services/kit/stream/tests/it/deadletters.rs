use std::time::Duration;

use bytes::Bytes;
use tgmesh_stream::deadletter::{self, Letter, RetryError};
use tgmesh_stream::{Delivery, Mesh, window};

use crate::{fill, id, number, start, witness};

async fn deliveries(mesh: &Mesh) -> Vec<Delivery> {
    let mut window = window::read(mesh, "DETECTIONS", 1, None, &[]).await.unwrap();
    let mut deliveries = Vec::new();
    while let Some(delivery) = window.next().await.unwrap() {
        deliveries.push(delivery);
    }
    deliveries
}

async fn letters(mesh: &Mesh) -> Vec<Letter> {
    let mut shelf = deadletter::open(mesh).await.unwrap();
    let mut letters = Vec::new();
    while let Some(letter) = shelf.next().await.unwrap() {
        letters.push(letter);
    }
    letters
}

#[tokio::test]
async fn a_letter_tells_everything_and_goes_back_as_it_was() {
    let (_server, mesh) = start().await;
    fill(&mesh, 0..3).await;
    let original = deliveries(&mesh).await.remove(1);
    deadletter::copy(&mesh, "DETECTIONS", "archiver", &original, "no\x1b[2J good")
        .await
        .unwrap();
    let letter = letters(&mesh).await.remove(0);
    assert_eq!(
        (letter.consumer.as_str(), letter.stream.as_str()),
        ("archiver", "DETECTIONS")
    );
    assert_eq!((letter.stream_seq, letter.attempts, letter.cut_from), (2, 1, None));
    assert_eq!(letter.subject, original.subject);
    assert_eq!(letter.id, Some(id(1).to_string()));
    assert_eq!(letter.reason, "no [2J good");
    assert_eq!(number(&letter.payload), 1);
    assert!(letter.headers.iter().any(|(name, _)| name == "traceparent"));
    assert!(letter.headers.iter().all(|(name, _)| !name.starts_with("Nats-")));

    // Within the duplicate window the stream would take it for the first one.
    let stored = deadletter::retry(&mesh, &letter).await.unwrap();
    assert!(!stored.duplicate);
    assert_eq!(stored.seq, 4);
    assert!(deadletter::find(&mesh, letter.seq).await.unwrap().is_none());
    assert!(letters(&mesh).await.is_empty());
    let again = deliveries(&mesh).await.remove(3);
    assert_eq!((&again.subject, &again.payload), (&original.subject, &original.payload));
    assert_eq!(again.header("traceparent"), original.header("traceparent"));
    assert!(again.header(deadletter::REASON).is_none());
    // Twice at once, as two operators would: the stream takes one.
    assert!(deadletter::retry(&mesh, &letter).await.unwrap().duplicate);
    assert_eq!(deliveries(&mesh).await.len(), 4);
}

#[tokio::test]
async fn a_letter_is_dropped_once() {
    let (_server, mesh) = start().await;
    fill(&mesh, 0..2).await;
    for original in deliveries(&mesh).await {
        deadletter::copy(&mesh, "DETECTIONS", "archiver", &original, "no")
            .await
            .unwrap();
    }
    assert!(deadletter::remove(&mesh, 1).await.unwrap());
    assert!(!deadletter::remove(&mesh, 1).await.unwrap());
    assert!(!deadletter::remove(&mesh, 99).await.unwrap());
    assert_eq!(letters(&mesh).await.len(), 1);
}

#[tokio::test]
async fn what_was_cut_or_forged_is_not_sent_back() {
    let (server, mesh) = start().await;
    let witness = witness(&server).await;
    let huge = Bytes::from(vec![b'x'; (1 << 20) - 300]);
    let ack = witness.publish("tgmesh.v1.detections.1.evm", huge).await.unwrap();
    ack.await.unwrap();
    let original = deliveries(&mesh).await.remove(0);
    let reason = "too large ".repeat(100);
    deadletter::copy(&mesh, "DETECTIONS", "archiver", &original, &reason)
        .await
        .unwrap();
    let letter = letters(&mesh).await.remove(0);
    assert!(letter.payload.len() < original.payload.len());
    assert_eq!(letter.cut_from, Some(original.payload.len() as u64));
    let refused = deadletter::retry(&mesh, &letter).await.unwrap_err();
    assert!(matches!(refused, RetryError::Cut(_)), "{refused}");
    let forged = Letter {
        cut_from: None,
        subject: "$JS.API.STREAM.DELETE.DETECTIONS".to_owned(),
        ..letter.clone()
    };
    let refused = deadletter::retry(&mesh, &forged).await.unwrap_err();
    assert!(matches!(refused, RetryError::Subject(_)), "{refused}");
    // A subject of the mesh, but of another stream than the letter says.
    let forged = Letter {
        subject: "tgmesh.v1.audit.gateway.login".to_owned(),
        payload: Bytes::from_static(b"x"),
        ..forged
    };
    let refused = tokio::time::timeout(Duration::from_secs(20), deadletter::retry(&mesh, &forged)).await;
    assert!(matches!(refused.unwrap(), Err(RetryError::Stream(_))));
    assert_eq!(letters(&mesh).await.len(), 1, "it is still there");
}
