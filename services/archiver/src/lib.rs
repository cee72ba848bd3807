//! The archiver: a durable pull consumer of DETECTIONS that writes batches to Postgres.
//!
//! A message is acked after the commit that holds its row, so what is in the stream is in the
//! database sooner or later, and at most once: the event's id is the row's key. What can never be
//! a row goes to the dead letters; what a sick database refuses is held until it is well.

mod archive;
mod meters;
mod partitions;
mod retention;
mod roll_up;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tgmesh_lifecycle::Process;
use tgmesh_lifecycle::health::Part;
use tgmesh_proto::subject;
use tgmesh_store::{DbConfig, Store};
use tgmesh_stream::consume::{self, BatchLimits, Consumer};
use tgmesh_stream::{Link, Mesh, NatsConfig, stats, topology};
use tokio_util::sync::CancellationToken;

use crate::archive::Archive;
use crate::meters::Meters;
pub use crate::settings::{Args, Config};

/// Name of the durable consumer that all archivers share.
pub const CONSUMER: &str = "archiver";

/// Batches that are written at once: while one commits, the next is decoded and sent.
const IN_FLIGHT: usize = 2;
/// Room in a batch for this many bytes a row keeps a batch of long texts from growing without bound.
const BYTES_PER_ROW: usize = 4096;
/// The roll-ups, and what else looks after the tables.
const UPKEEP_CONNECTIONS: usize = 2;
/// Messages that all archivers together may hold, in batches of one.
const HELD_BATCHES: usize = 16;

/// Archives until the process is told to stop.
///
/// # Errors
/// When the consumer cannot be used, or the database cannot be migrated.
pub async fn run(config: Config, process: Process) -> anyhow::Result<()> {
    let soft = process.shutdown.soft();
    let nats = process.health.part("nats");
    let postgres = process.health.part("postgres");
    let connected = async { tokio::join!(connect_nats(&config.nats), connect_postgres(&config.database)) };
    let Some((mesh, store)) = soft.run_until_cancelled(Box::pin(connected)).await else {
        return Ok(());
    };
    let (mesh, store) = (mesh?, store?.with_retention(config.retention));
    process
        .tasks
        .spawn("link", watch_link(mesh.clone(), nats, soft.clone()));
    process.tasks.spawn(
        "database",
        watch_database(store.clone(), postgres.clone(), soft.clone()),
    );

    // Connections of their own, so that batches never wait for them.
    let upkeep = Store::new(&config.database, UPKEEP_CONNECTIONS)?.with_retention(config.retention);
    let metrics = &process.metrics;
    let tasks = &process.tasks;
    tasks.spawn("partitions", partitions::run(upkeep.clone(), soft.clone()));
    tasks.spawn("roll-ups", roll_up::run(upkeep.clone(), metrics.clone(), soft.clone()));
    tasks.spawn("retention", retention::run(upkeep, metrics.clone(), soft.clone()));

    let counts = Arc::new(consume::Counts::default());
    let meters = Meters::new(&process.metrics, Arc::clone(&counts), mesh.clone());
    process.tasks.spawn("meters", meters.clone().keep_up(soft.clone()));
    let reporter = {
        let (metrics, meters) = (process.metrics.clone(), meters.clone());
        stats::spawn_reporter(&mesh, "archiver", &process.instance, move || {
            meters.take_over();
            metrics.snapshot()
        })
    };

    let consumer = Consumer {
        stream: subject::DETECTIONS.to_owned(),
        durable: CONSUMER.to_owned(),
        batch: BatchLimits {
            rows: config.batch_rows,
            bytes: (config.batch_rows * BYTES_PER_ROW).max(1 << 20),
            age: config.batch_age,
        },
        // Several archivers share the consumer, and a dead one's messages count until they come back.
        max_ack_pending: (config.batch_rows * HELD_BATCHES).max(8192),
        in_flight: IN_FLIGHT,
    };
    let archive = Arc::new(Archive::new(store, meters.clone(), postgres));
    let result = consume::run(&mesh, consumer, archive, counts, soft).await;
    reporter.abort();
    meters.take_over();
    // The last report tells what the drain did.
    let _ = stats::publish(&mesh, "archiver", &process.instance, &process.metrics.snapshot()).await;
    result.context("couldn't consume DETECTIONS")
}

async fn connect_nats(config: &NatsConfig) -> anyhow::Result<Mesh> {
    let mesh = Mesh::connect(config, "tgmesh-archiver").await?;
    topology::wait(&mesh).await;
    Ok(mesh)
}

async fn connect_postgres(config: &DbConfig) -> anyhow::Result<Store> {
    // One more than batches, so that the health check never waits for them.
    let store = Store::connect(config, IN_FLIGHT + 1).await?;
    let mut wait = Duration::from_millis(200);
    while let Err(error) = store.migrate().await {
        if !error.is_transient() {
            return Err(error).context("couldn't migrate the database");
        }
        tracing::warn!(%error, retry_ms = wait.as_millis() as u64, "couldn't migrate the database, waiting");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(10));
    }
    Ok(store)
}

async fn watch_link(mesh: Mesh, nats: Part, soft: CancellationToken) {
    let mut link = mesh.link();
    loop {
        match *link.borrow_and_update() {
            Link::Up => nats.up(),
            Link::Down => nats.down("no connection"),
        }
        if !matches!(soft.run_until_cancelled(link.changed()).await, Some(Ok(()))) {
            return;
        }
    }
}

async fn watch_database(store: Store, postgres: Part, soft: CancellationToken) {
    let mut ticks = tokio::time::interval(Duration::from_secs(2));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while soft.run_until_cancelled(ticks.tick()).await.is_some() {
        match store.ping().await {
            Ok(()) => postgres.up(),
            Err(error) => postgres.down(error.to_string()),
        }
    }
}
