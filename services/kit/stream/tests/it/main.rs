//! Tests against a real nats-server.

mod cluster;
mod consume;
mod deadletters;
mod kv_and_stats;
mod lease;
mod publish;
mod replay;
mod standing;
mod tail;
mod topology;

use std::time::Duration;

use bytes::Bytes;
use tgmesh_proto::id::EventId;
use tgmesh_proto::subject;
use tgmesh_stream::publish::{Limits, Outgoing, Publisher};
use tgmesh_stream::{Mesh, NatsConfig, topology as topo};
use tgmesh_testkit::nats::Server;

/// Long enough for a machine that does other things too.
const LONG: Duration = Duration::from_secs(40);

/// A server with the mesh's streams.
async fn start() -> (Server, Mesh) {
    let (server, mesh) = bare().await;
    topo::apply(&mesh, &topo::desired(&config(&server)))
        .await
        .expect("topology");
    (server, mesh)
}

/// A server without streams.
async fn bare() -> (Server, Mesh) {
    let server = Server::start().await.expect("nats-server");
    let mesh = Mesh::connect(&config(&server), "test").await.expect("connection");
    (server, mesh)
}

/// Small limits: several servers share the disk.
fn config(server: &Server) -> NatsConfig {
    NatsConfig {
        max_bytes: 64 << 20,
        ..NatsConfig::new(&server.url()).expect("url")
    }
}

/// The stream as a client sees it that shares no code with the crate's readers.
async fn witness(server: &Server) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(async_nats::connect(server.url()).await.expect("witness"))
}

fn id(n: u64) -> EventId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    EventId::from_bytes(bytes)
}

/// A message whose payload is its number.
fn outgoing(n: u64) -> Outgoing {
    Outgoing {
        subject: subject::detection(-100 - (n % 7) as i64, tgmesh_proto::detection::Family::Evm),
        id: id(n),
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00".to_owned(),
        payload: Bytes::from(n.to_string()),
    }
}

fn number(payload: &[u8]) -> u64 {
    std::str::from_utf8(payload).expect("digits").parse().expect("a number")
}

/// Publishes the numbers and waits until all are stored.
async fn fill(mesh: &Mesh, numbers: impl IntoIterator<Item = u64>) {
    let publisher = Publisher::new(mesh, Limits::default());
    let mut receipts = Vec::new();
    for n in numbers {
        receipts.push(publisher.publish(outgoing(n)).await);
    }
    for receipt in receipts {
        receipt.await.expect("stored");
    }
}
