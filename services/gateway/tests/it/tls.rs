//! TLS on the port for clients: WebSocket, HTTP/1.1 and HTTP/2, and a certificate that is replaced.

use std::path::Path;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;
use tempfile::TempDir;
use tgmesh_testkit::eventually;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::socket::{Opening, PATIENCE, Socket};
use crate::world::{World, detection, token};

/// A certificate for the loopback address.
struct Pair {
    certificate: String,
    key: String,
    der: CertificateDer<'static>,
}

impl Pair {
    fn new() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
        Self {
            certificate: cert.pem(),
            key: signing_key.serialize_pem(),
            der: cert.der().clone(),
        }
    }

    fn write(&self, folder: &Path) {
        std::fs::write(folder.join("tls.crt"), &self.certificate).expect("written");
        std::fs::write(folder.join("tls.key"), &self.key).expect("written");
    }

    /// A connection of somebody who trusts this pair alone.
    async fn connect(&self, port: u16, protocol: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a certificate");
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

/// A mesh whose gateway has this pair.
async fn world(pair: &Pair) -> (World, TempDir) {
    let folder = TempDir::new().expect("a folder");
    pair.write(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (certificate, key) = (path("tls.crt"), path("tls.key"));
    let mut world = World::without_gateway(&[("TLS_CERT", &certificate), ("TLS_KEY", &key)]).await;
    world.start_gateway().await;
    (world, folder)
}

#[tokio::test]
async fn a_websocket_over_tls() {
    let pair = Pair::new();
    let (world, _folder) = world(&pair).await;
    let stream = pair.connect(world.port, "http/1.1").await.expect("TLS");
    let (mut socket, _) = Socket::through(stream, world.port, &Opening::bearer(&token(&json!({}))))
        .await
        .expect("101");
    socket.expect("welcome").await;
    socket.send(&json!({"type": "subscribe", "id": "s"})).await;
    socket.expect("subscribed").await;
    let seq = world.publish(&detection(-1)).await;
    assert_eq!(socket.expect("detection").await["seq"], seq);
}

#[tokio::test]
async fn the_api_over_http2_many_requests_at_once() {
    let pair = Pair::new();
    let (world, _folder) = world(&pair).await;
    let stream = pair.connect(world.port, "h2").await.expect("TLS");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (sender, connection) = http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let bearer = format!("Bearer {}", token(&json!({})));
    let mut answers = tokio::task::JoinSet::new();
    for n in 0..40 {
        let (path, status) = match n % 4 {
            0 => ("/api/metrics/telegram-stream", 200),
            1 => ("/openapi.json", 200),
            2 => ("/api/nowhere", 404),
            _ => ("/readyz", 200),
        };
        let request = Request::get(format!("https://127.0.0.1:{}{path}", world.port))
            .header("authorization", &bearer)
            .body(Empty::new())
            .expect("a request");
        let mut sender = sender.clone();
        answers.spawn(async move {
            let response = sender.send_request(request).await.expect("it answers");
            assert_eq!(response.status(), status, "{path}");
            response.into_body().collect().await.expect("a body").to_bytes().len()
        });
    }
    assert!(answers.join_all().await.iter().all(|&length| length > 0));
    drop(sender);
    // With the last handle the connection ends in good order.
    connection.await.expect("it runs").expect("no error");
}

#[tokio::test]
async fn a_new_certificate_needs_no_restart_and_a_bad_one_does_no_harm() {
    let old = Pair::new();
    let (world, folder) = world(&old).await;
    let opening = Opening::bearer(&token(&json!({})));
    let stream = old.connect(world.port, "http/1.1").await.expect("TLS");
    let (mut socket, _) = Socket::through(stream, world.port, &opening).await.expect("101");
    socket.expect("welcome").await;

    std::fs::write(folder.path().join("tls.key"), "no key").expect("written");
    eventually(PATIENCE, "it is told", || async {
        world.counter("tls_unusable_total").await == 1
    })
    .await;
    assert!(
        old.connect(world.port, "http/1.1").await.is_ok(),
        "the former one is in force"
    );

    let new = Pair::new();
    new.write(folder.path());
    eventually(PATIENCE, "the new one is in force", || async {
        new.connect(world.port, "http/1.1").await.is_ok()
    })
    .await;
    assert!(
        old.connect(world.port, "http/1.1").await.is_err(),
        "nobody is shown the old one"
    );
    assert_eq!(world.counter("tls_reloads_total").await, 1);
    // Who was connected stays so.
    socket.send(&json!({"type": "ping", "t_ms": 1})).await;
    socket.expect("pong").await;
}

#[tokio::test]
async fn who_speaks_no_tls_is_let_go() {
    let pair = Pair::new();
    let (world, _folder) = world(&pair).await;
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"",
        &[0x16, 3, 1, 0xff, 0xff],
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", world.port)).await.expect("it listens");
        stream.write_all(bytes).await.expect("it takes them");
        let mut answer = Vec::new();
        // At once where it is no TLS, after the handshake's limit where nothing more comes.
        let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "{bytes:?}");
        assert!(answer.len() < 64, "an alert at most");
    }
    eventually(PATIENCE, "they are counted", || async {
        world.counter("tls_failed_handshakes_total").await == 3
    })
    .await;
}
