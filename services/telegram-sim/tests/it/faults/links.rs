//! Connections that end, that do not come about, and that say nothing; keys in two places.

use std::io::Read;
use std::time::{Duration, Instant};

use grammers_client::tl::functions;
use grammers_session::updates::UpdatesLike;
use tgmesh_telegram_sim::{ChatKind, Fault, FaultError, FaultKind, Refusal, Running};
use tgmesh_testkit::eventually;

use super::{arrival, hits, inject, next_post, post, refusal};
use crate::client::{SOON, Telegram, chat_of, connect, connect_with, dial, rpc_error, simulator};

/// As long as nothing has to happen.
const NOTHING: Duration = Duration::from_millis(300);

fn key(running: &Running, account: usize) -> [u8; 256] {
    let hex = &running.sim.accounts()[account].auth_key;
    let bytes: Vec<u8> = (0..256)
        .map(|i| u8::from_str_radix(&hex[i * 2..i * 2 + 2], 16).unwrap())
        .collect();
    bytes.try_into().unwrap()
}

async fn is_answered(telegram: &Telegram) -> bool {
    let ask = functions::updates::GetState {};
    matches!(
        tokio::time::timeout(NOTHING, telegram.client.invoke(&ask)).await,
        Ok(Ok(_))
    )
}

#[tokio::test]
async fn one_accounts_connections_close() {
    let running = simulator(2, 10).await;
    let (mut first, second) = (connect(&running, 0).await, connect(&running, 1).await);
    let fault = inject(&running, Fault::new(FaultKind::Close).account("sim-1"));
    assert!(matches!(arrival(&mut first).await, UpdatesLike::ConnectionClosed));
    assert_eq!(hits(&running, &fault), 1);
    assert!(!running.sim.faults()[0].active, "it happens once");
    assert!(is_answered(&second).await);
    first.pts().await;
    assert_eq!(running.sim.connections(), 2);
    assert_eq!(running.sim.close_connections_of(Some("sim-2")), Ok(1));
    assert_eq!(
        running.sim.close_connections_of(Some("sim-3")),
        Err(FaultError::NoAccount)
    );
    running.stop().await;
}

/// Waits for the other side to close, or for nothing to happen; true if it closed.
fn closes(address: std::net::SocketAddr, patience: Duration) -> bool {
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(patience)).unwrap();
    match socket.read(&mut [0; 16]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_connections_get_nowhere() {
    let running = simulator(1, 10).await;
    let address = running.mtproto_addr;
    let old = connect(&running, 0).await;
    let refuse = |how| Fault::new(FaultKind::Refuse { how });
    let fault = inject(&running, refuse(Refusal::Close));
    let end = tokio::task::spawn_blocking(move || closes(address, SOON))
        .await
        .unwrap();
    assert!(end, "accepted and closed");
    assert!(is_answered(&old).await, "those that are there are well");
    assert_eq!(running.sim.heal(&fault).unwrap().hits, 1);

    let fault = inject(&running, refuse(Refusal::Ignore).count(1));
    let new = dial(address, key(&running, 0)).await;
    assert!(!is_answered(&new).await, "left alone");
    assert_eq!(hits(&running, &fault), 1);
    // Its count is used up: the next one is well.
    drop(old);
    assert!(is_answered(&dial(address, key(&running, 0)).await).await);
    let waiting = tokio::spawn(async move { new.client.invoke(&functions::updates::GetState {}).await });
    running.sim.heal(&fault);
    // Closed now, and the client tries again.
    waiting.await.unwrap().unwrap();
    running.stop().await;
}

#[tokio::test]
async fn one_accounts_new_connections_get_nowhere_for_a_while() {
    let running = simulator(2, 10).await;
    let fault = Fault::new(FaultKind::Refuse { how: Refusal::Ignore })
        .account("sim-1")
        .lasts(Duration::from_secs(1));
    let id = inject(&running, fault);
    let first = dial(running.mtproto_addr, key(&running, 0)).await;
    assert!(!is_answered(&first).await);
    connect(&running, 1).await;
    assert_eq!(hits(&running, &id), 1);
    eventually(SOON, "the account is let in", || is_answered(&first)).await;
    running.stop().await;
}

#[tokio::test]
async fn a_mute_data_centre_reads_and_says_nothing() {
    let running = simulator(2, 10).await;
    let (mut first, second) = (connect(&running, 0).await, connect(&running, 1).await);
    let chat = chat_of(&running, ChatKind::Channel);
    let fault = inject(&running, Fault::new(FaultKind::Mute).account("sim-1"));
    post(&running, &chat, "not heard");
    assert!(!is_answered(&first).await);
    assert!(is_answered(&second).await);
    assert!(hits(&running, &fault) >= 2, "a push and a request");
    assert!(first.updates.try_recv().is_err(), "not even an end");
    let late = dial(running.mtproto_addr, key(&running, 0)).await;
    assert!(!is_answered(&late).await, "new connections meet the same silence");
    drop(late);
    running.sim.heal(&fault);
    assert!(is_answered(&first).await, "over the same connection");
    let id = post(&running, &chat, "heard");
    assert_eq!(next_post(&mut first).await.0, id);
    running.stop().await;
}

#[tokio::test]
async fn a_half_open_connection_never_speaks_again() {
    let running = simulator(1, 10).await;
    let chat = chat_of(&running, ChatKind::Channel);
    let mut old = connect(&running, 0).await;
    let fault = inject(&running, Fault::new(FaultKind::HalfOpen));
    assert_eq!((hits(&running, &fault), running.sim.connections()), (1, 0));
    post(&running, &chat, "not heard");
    assert!(!is_answered(&old).await);
    running.sim.heal(&fault);
    assert!(!is_answered(&old).await, "healing does not bring it back");
    let mut new = connect(&running, 0).await;
    let id = post(&running, &chat, "heard");
    assert_eq!(next_post(&mut new).await.0, id);
    assert!(!is_answered(&old).await);
    assert!(old.updates.try_recv().is_err(), "neither pushes nor an end");
    running.stop().await;
}

#[tokio::test]
async fn packets_are_refused_and_sent_again() {
    let running = simulator(1, 10).await;
    let telegram = connect(&running, 0).await;
    for kind in [FaultKind::BadSalt, FaultKind::BadMessage { code: 16 }] {
        let fault = inject(&running, Fault::new(kind.clone()).account("sim-1").count(2));
        // The client library sends it again until it is taken.
        telegram.pts().await;
        assert_eq!(hits(&running, &fault), 2, "{kind:?}");
    }
    inject(&running, Fault::new(FaultKind::BadMessage { code: 64 }).count(1));
    let answer = telegram.client.invoke(&functions::updates::GetState {}).await;
    assert!(answer.is_err(), "this one it gives up: {answer:?}");
    telegram.pts().await;
    running.stop().await;
}

#[tokio::test]
async fn a_key_in_two_places_is_no_key_any_more() {
    let running = simulator(2, 10).await;
    let (first, other) = (connect(&running, 0).await, connect(&running, 1).await);
    let second = connect(&running, 0).await;
    let begin = Instant::now();
    let ask = functions::updates::GetState {};
    // Side by side for a moment is no harm.
    first.client.invoke(&ask).await.unwrap();
    second.client.invoke(&ask).await.unwrap();
    let refused = loop {
        for telegram in [&first, &second] {
            if let Err(error) = telegram.client.invoke(&ask).await {
                assert!(begin.elapsed() > Duration::from_secs(2), "{error}");
            }
        }
        let answer = first.client.invoke(&ask).await;
        if answer.is_err() {
            break refusal(answer);
        }
        assert!(begin.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let duplicated = (406, "AUTH_KEY_DUPLICATED".to_owned());
    assert_eq!((refused.0, refused.1), duplicated);
    assert_eq!(rpc_error(second.client.invoke(&ask).await), duplicated);
    // For good, and for this key alone.
    let third = dial(running.mtproto_addr, key(&running, 0)).await;
    assert_eq!(rpc_error(third.client.invoke(&ask).await), duplicated);
    other.pts().await;
    assert_eq!(running.sim.connections(), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_successor_takes_over_in_peace() {
    let running = simulator(1, 10).await;
    let first = connect(&running, 0).await;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(2_500) {
        first.pts().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The first stays open, as one does whose end nobody noticed.
    let second = connect_with(running.mtproto_addr, key(&running, 0)).await;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(2_500) {
        second.pts().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    running.stop().await;
}
