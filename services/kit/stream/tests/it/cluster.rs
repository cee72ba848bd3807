//! Three servers with the configuration that is deployed: faults under load, and who may do what.

mod faults;
mod permissions;

use tgmesh_stream::{Mesh, NatsConfig, topology};
use tgmesh_testkit::cluster::Cluster;
use tgmesh_testkit::eventually;

use crate::LONG;

/// A cluster with the mesh's streams, three copies of each, made by the user whose job it is.
async fn start() -> Cluster {
    let cluster = Cluster::start().await.expect("cluster");
    let job = connect(&cluster, "topology").await;
    let desired = topology::desired(&config(&cluster, "topology"));
    // Healthy servers may still be choosing the one of them that makes streams.
    eventually(LONG, "the topology is applied", || async {
        topology::apply(&job, &desired).await.is_ok()
    })
    .await;
    cluster
}

fn config(cluster: &Cluster, user: &str) -> NatsConfig {
    NatsConfig {
        creds: Some(cluster.secrets().path(&format!("{user}/nats.nk"))),
        ca: Some(cluster.secrets().path("nats-tls/ca.crt")),
        replicas: 3,
        max_bytes: 64 << 20,
        ..NatsConfig::new(&cluster.urls()).expect("urls")
    }
}

/// As the part of the mesh that this user is for.
async fn connect(cluster: &Cluster, user: &str) -> Mesh {
    let name = format!("tgmesh-{user}");
    Mesh::connect(&config(cluster, user), &name).await.expect("connection")
}
