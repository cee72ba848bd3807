use tgmesh_stream::{Mesh, replay, window};

use crate::{config, fill, number, start};

async fn copied(mesh: &Mesh) -> Vec<(u64, String, u64)> {
    let mut window = window::read(mesh, "REPLAY_x", 1, None, &[]).await.unwrap();
    let mut copied = Vec::new();
    while let Some(delivery) = window.next().await.unwrap() {
        let seq = delivery.header(replay::SEQ).unwrap().parse().unwrap();
        copied.push((number(&delivery.payload), delivery.subject.clone(), seq));
    }
    copied
}

#[tokio::test]
async fn a_range_is_copied_once_with_its_places() {
    let (server, mesh) = start().await;
    fill(&mesh, 0..1000).await;
    let read = async || window::read(&mesh, "DETECTIONS", 301, None, &[]).await.unwrap();
    let stored = replay::copy(&mesh, &config(&server), "x", &mut read().await)
        .await
        .unwrap();
    assert_eq!(stored, 700);
    let copies = copied(&mesh).await;
    assert_eq!(copies.len(), 700);
    assert_eq!(
        copies[0],
        (300, "tgmesh.v1.replay.x.detections.-106.evm".to_owned(), 301)
    );
    assert!(copies.iter().all(|(n, _, seq)| n + 1 == *seq));
    let again = replay::copy(&mesh, &config(&server), "x", &mut read().await)
        .await
        .unwrap();
    assert_eq!((again, copied(&mesh).await.len()), (0, 700));
}
