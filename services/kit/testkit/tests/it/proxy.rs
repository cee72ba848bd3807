use std::time::{Duration, Instant};

use tgmesh_testkit::proxy::Proxy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(100);

/// A server that sends back what it gets.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    address
}

async fn round_trip(stream: &mut TcpStream) -> std::io::Result<Duration> {
    let start = Instant::now();
    stream.write_all(b"x").await?;
    let mut byte = [0];
    stream.read_exact(&mut byte).await?;
    Ok(start.elapsed())
}

#[tokio::test]
async fn cuts_and_heals() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    round_trip(&mut stream).await.unwrap();

    proxy.cut();
    timeout(LIMIT, round_trip(&mut stream)).await.unwrap().unwrap_err();
    TcpStream::connect(proxy.addr()).await.unwrap_err();

    proxy.heal();
    tgmesh_testkit::eventually(LIMIT, "it listens again", || async {
        match TcpStream::connect(proxy.addr()).await {
            Ok(mut stream) => round_trip(&mut stream).await.is_ok(),
            Err(_) => false,
        }
    })
    .await;
}

#[tokio::test]
async fn mutes_without_closing() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    round_trip(&mut stream).await.unwrap();
    proxy.mute();
    stream.write_all(b"late").await.unwrap();
    let mut bytes = [0; 4];
    assert!(timeout(SHORT, stream.read_exact(&mut bytes)).await.is_err());
    proxy.heal();
    // The cancelled read took nothing: nothing had arrived.
    timeout(LIMIT, stream.read_exact(&mut bytes)).await.unwrap().unwrap();
    assert_eq!(&bytes, b"late");
}

#[tokio::test]
async fn delays_both_ways() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    proxy.delay(Duration::from_millis(60));
    assert!(round_trip(&mut stream).await.unwrap() >= Duration::from_millis(120));
}

#[tokio::test]
async fn drops_connections_once() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    round_trip(&mut stream).await.unwrap();
    proxy.drop_connections();
    timeout(LIMIT, round_trip(&mut stream)).await.unwrap().unwrap_err();
    round_trip(&mut TcpStream::connect(proxy.addr()).await.unwrap())
        .await
        .unwrap();
}
