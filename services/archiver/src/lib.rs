//! The archiver: durable pull consumers of DETECTIONS, MATCHES and AUDIT that write batches to
//! Postgres.
//!
//! A message is acked after the commit that holds its row, so what is in the stream is in the
//! database sooner or later, and at most once: the event's id is the row's key. What can never be
//! a row goes to the dead letters; what a sick database refuses is held until it is well.

mod archive;
mod database;
pub mod deadletters;
mod health;
mod meters;
pub mod migrate;
mod partitions;
mod retention;
mod roll_up;
mod settings;
mod spans;
mod standing;
mod table;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tgmesh_lifecycle::Process;
use tgmesh_lifecycle::health::Part;
use tgmesh_store::{DbConfig, Store};
use tgmesh_stream::consume::{self, BatchLimits, Consumer};
use tgmesh_stream::{Link, Mesh, NatsConfig, stats, topology};
use tokio_util::sync::CancellationToken;

use crate::archive::Archive;
use crate::database::{Database, Writes};
use crate::meters::Meters;
pub use crate::settings::{Args, Command, Config};
use crate::spans::Spans;
use crate::standing::Watch;
use crate::table::{Audit, Detections, Matches, Table};

/// Name of the durable consumer that all archivers share, the same on every stream.
pub const CONSUMER: &str = "archiver";

/// Batches of detections that are written at once: while one commits, the next is decoded and sent.
const IN_FLIGHT: usize = 2;
/// The side streams see a small part of what DETECTIONS sees.
const SIDE_ROWS: usize = 200;
/// Detections', those of the two side streams, and one more, so that the health check never waits
/// for them.
const CONNECTIONS: usize = IN_FLIGHT + 3;
/// Room in a batch for this many bytes a row keeps a batch of long texts from growing without bound.
const BYTES_PER_ROW: usize = 4096;
/// The roll-ups, and what else looks after the tables.
const UPKEEP_CONNECTIONS: usize = 2;
/// Messages that all archivers together may hold, in batches of one.
const HELD_BATCHES: usize = 16;
/// How often the database is asked whether it answers.
const PING_EVERY: Duration = Duration::from_secs(2);

/// Archives until the process is told to stop.
///
/// # Errors
/// When a consumer cannot be used, or the database cannot be migrated.
pub async fn run(config: Config, process: Process) -> anyhow::Result<()> {
    let soft = process.shutdown.soft();
    process.summary.tell(&meters::SUMMARY);
    let nats = process.health.part("nats");
    let postgres = process.health.part("postgres");
    let connected = async { tokio::join!(connect_nats(&config.nats), connect_postgres(&config.database)) };
    let Some((mesh, store)) = soft.run_until_cancelled(Box::pin(connected)).await else {
        return Ok(());
    };
    let (mesh, store) = (mesh?, store?.with_retention(config.retention));
    let database = Database::new(postgres);
    process
        .tasks
        .spawn("link", watch_link(mesh.clone(), nats, soft.clone()));
    process.tasks.spawn(
        "database",
        watch_database(store.clone(), database.clone(), soft.clone()),
    );

    let (streams, stop) = (mesh.clone(), soft.clone());
    process
        .tasks
        .spawn("epoch", async move { topology::keep(&streams, &stop).await });

    // Connections of their own, so that batches never wait for them.
    let upkeep = Store::new(&config.database, UPKEEP_CONNECTIONS)?.with_retention(config.retention);
    let metrics = &process.metrics;
    let tasks = &process.tasks;
    tasks.spawn("partitions", partitions::run(upkeep.clone(), soft.clone()));
    tasks.spawn("roll-ups", roll_up::run(upkeep.clone(), metrics.clone(), soft.clone()));
    tasks.spawn("postgres", health::run(upkeep.clone(), metrics.clone(), soft.clone()));
    tasks.spawn("retention", retention::run(upkeep, metrics.clone(), soft.clone()));

    let archivers = Archivers {
        spans: Spans::new(&process, &mesh),
        process,
        mesh,
        store,
        database,
    };
    let side_rows = config.batch_rows.min(SIDE_ROWS);
    let (detections, of_detections) = archivers.archive::<Detections>(config.batch_rows, config.batch_age, IN_FLIGHT);
    let (matches, of_matches) = archivers.archive::<Matches>(side_rows, config.batch_age, 1);
    let (audit, of_audit) = archivers.archive::<Audit>(side_rows, config.batch_age, 1);
    let take_over = move || {
        for meters in [&of_detections, &of_matches, &of_audit] {
            meters.take_over();
        }
    };
    let reporter = archivers.report(take_over.clone());
    let result = tokio::try_join!(detections, matches, audit);
    reporter.abort();
    take_over();
    // The last report tells what the drain did.
    let (mesh, process) = (&archivers.mesh, &archivers.process);
    let _ = stats::publish(mesh, "archiver", &process.instance, &process.metrics.snapshot()).await;
    result.map(|_| ())
}

/// What every table's archiving needs.
struct Archivers {
    process: Process,
    mesh: Mesh,
    store: Store,
    database: Database,
    spans: Spans,
}

impl Archivers {
    /// Archives one stream until the process is told to stop.
    fn archive<T: Table>(
        &self,
        rows: usize,
        age: Duration,
        in_flight: usize,
    ) -> (impl Future<Output = anyhow::Result<()>> + use<T>, Meters) {
        let soft = self.process.shutdown.soft();
        let mesh = self.mesh.clone();
        let counts = Arc::new(consume::Counts::default());
        let meters = Meters::new(
            &self.process.metrics,
            (T::STREAM, T::PREFIX),
            Arc::clone(&counts),
            mesh.clone(),
        );
        self.process.tasks.spawn("meters", meters.clone().keep_up(soft.clone()));
        let consumer = Consumer {
            stream: T::STREAM.to_owned(),
            durable: CONSUMER.to_owned(),
            batch: BatchLimits {
                rows,
                bytes: (rows * BYTES_PER_ROW).max(1 << 20),
                age,
            },
            // Several archivers share the consumer, and a dead one's messages count until they come back.
            max_ack_pending: (rows * HELD_BATCHES).max(8192),
            in_flight,
        };
        let mut watch = Watch::new(
            mesh.clone(),
            T::STREAM,
            T::PREFIX,
            Arc::clone(&self.process.instance),
            &self.process.metrics,
            Arc::clone(&counts),
        );
        let tasks = self.process.tasks.clone();
        let writes = Writes::new(T::NAME, self.database.clone(), meters.held_up.clone());
        let archive = Arc::new(Archive::<T>::new(
            self.store.clone(),
            meters.clone(),
            writes,
            self.spans.clone(),
        ));
        let archiving = async move {
            soft.run_until_cancelled(watch.begin()).await;
            tasks.spawn("standing", watch.run(soft.clone()));
            let result = consume::run(&mesh, consumer, archive, counts, soft).await;
            result.with_context(|| format!("couldn't consume {}", T::STREAM))
        };
        (archiving, meters)
    }

    fn report(&self, take_over: impl Fn() + Send + 'static) -> tokio::task::JoinHandle<()> {
        let metrics = self.process.metrics.clone();
        stats::spawn_reporter(&self.mesh, "archiver", &self.process.instance, move || {
            take_over();
            metrics.snapshot()
        })
    }
}

async fn connect_nats(config: &NatsConfig) -> anyhow::Result<Mesh> {
    let mesh = Mesh::connect(config, "tgmesh-archiver").await?;
    topology::wait(&mesh).await;
    Ok(mesh)
}

async fn connect_postgres(config: &DbConfig) -> anyhow::Result<Store> {
    let store = Store::connect(config, CONNECTIONS).await?;
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

async fn watch_database(store: Store, database: Database, soft: CancellationToken) {
    let mut ticks = tokio::time::interval(PING_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while soft.run_until_cancelled(ticks.tick()).await.is_some() {
        let fault = store.ping().await.err().map(|error| error.to_string());
        database.found("ping", fault);
    }
}
