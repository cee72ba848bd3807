use std::net::TcpStream;
use std::time::Duration;

use tgmesh_testkit::{Scratch, free_port, nats, until};

#[tokio::test]
async fn comes_back_to_its_port_and_store() {
    let mut server = nats::Server::start().await.unwrap();
    let url = server.url();
    let address = ("127.0.0.1", server.port());
    assert_eq!(url, format!("nats://127.0.0.1:{}", server.port()));
    TcpStream::connect(address).unwrap();

    server.stop().await;
    assert!(server.process().is_none());
    TcpStream::connect(address).unwrap_err();

    server.start_again().await.unwrap();
    assert_eq!(server.url(), url);
    TcpStream::connect(address).unwrap();

    server.kill().await;
    TcpStream::connect(address).unwrap_err();
    server.start_again().await.unwrap();
    TcpStream::connect(address).unwrap();

    let pid = server.process().unwrap().pid();
    drop(server);
    assert!(
        until(Duration::from_secs(5), || async {
            !std::path::Path::new(&format!("/proc/{pid}")).exists()
        })
        .await
    );
}

#[tokio::test]
async fn never_shares_a_store() {
    let scratch = Scratch::new().unwrap();
    let first = nats::Server::start_in(scratch.path(), free_port()).await.unwrap();
    let pid = first.process().unwrap().pid();
    let second = nats::Server::start_in(scratch.path(), free_port()).await.unwrap_err();
    assert!(second.to_string().contains(&format!("pid {pid}")), "{second}");
}
