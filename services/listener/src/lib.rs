//! Telegram → detections → `JetStream`.
//!
//! Each account is a pipeline of its own: a connection, a pump that makes one gapless sequence of
//! what the socket and the differences bring, a queue bounded in bytes, a worker that detects and
//! publishes, and a checkpoint that moves the account's stored place behind the stream's acks. So
//! the process can be killed at any moment: the next start asks Telegram for everything since the
//! stored place, and deterministic ids make the stream drop what it has already.
//!
//! Several processes share the accounts: each is leased to one of them at a time, and another one
//! takes it over when that one ends or is cut off.

mod account;
mod assignments;
mod backfill;
mod chats;
mod checkpoint;
pub mod commands;
mod connection;
mod edits;
mod event;
mod figures;
mod finding;
mod flood;
pub mod gate;
mod journey;
mod ledger;
mod login;
mod masking;
mod matches;
mod memory;
mod message;
mod peers;
mod plain;
mod pump;
mod queue;
mod races;
mod retention;
mod roster;
mod rules;
mod seen;
mod session;
pub mod settings;
mod slots;
mod stats;
mod stopped;
mod watch;
mod worker;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tgmesh_detect::Detector;
use tgmesh_lifecycle::health::Part;
use tgmesh_lifecycle::trace::late::Recent;
use tgmesh_lifecycle::{Process, clock, trace};
use tgmesh_stream::kv::KvError;
use tgmesh_stream::lease::Leases;
use tgmesh_stream::publish::{Flow, Limits, Publisher};
use tgmesh_stream::{Link, Mesh, stats as reports, topology, traces};
use tokio_util::sync::CancellationToken;

use crate::account::Shared;
use crate::assignments::Assignments;
use crate::backfill::Orders;
use crate::ledger::{Ledgers, Predecessors};
use crate::memory::Follower;
use crate::queue::Budgets;
use crate::races::Races;
use crate::roster::Roster;
use crate::session::{Store, StoreError};
use crate::settings::Config;
use crate::slots::Slots;
use crate::stats::Stats;

/// Events without an ack: more than about a thousand only starve the stream's readers.
const MAX_IN_FLIGHT: usize = 1024;
/// How often gauges and the publisher's counts are read.
const GAUGES_EVERY: Duration = Duration::from_secs(1);

/// Listens until the process is told to stop.
///
/// # Errors
/// When NATS's credentials cannot be read, or no session can be opened with the keys at hand.
pub async fn run(config: Config, process: Process) -> anyhow::Result<()> {
    let soft = process.shutdown.soft();
    let stats = Stats::new(&process.metrics);
    process.summary.tell(&stats::SUMMARY);
    let nats = process.health.part("nats");
    let stream = process.health.part("stream");
    let roster = Roster::new(&config.accounts, process.health.part("telegram"));

    let name = format!("tgmesh-listener {}", process.instance);
    let mesh = tokio::select! {
        () = soft.cancelled() => return Ok(()),
        mesh = Mesh::connect(&config.nats, &name) => mesh.context("couldn't connect to NATS")?,
    };
    let ready = async {
        topology::wait(&mesh).await;
        let store = open_store(&config, &mesh).await?;
        let leases = patiently("leases", || Leases::open(&mesh, &process.instance)).await;
        let assignments = patiently("assignments", || Assignments::open(&mesh)).await;
        let predecessors = patiently("ledger", || Predecessors::open(&mesh)).await;
        let orders = patiently("backfills", || Orders::open(&mesh)).await;
        let seen = Arc::new(seen::Memory::new(config.seen_window, stats.crowded_out.clone()));
        let (edits, read) = memory::rebuild(&mesh, config.edit_window, &config.accounts, &seen).await;
        let matches = matches::rebuild(&mesh, config.edit_window, &config.accounts).await;
        let buckets = (leases, assignments, predecessors, orders);
        anyhow::Ok((store, buckets, edits, matches, seen, read))
    };
    let (store, (leases, assignments, predecessors, orders), edits, matches, seen, read) = tokio::select! {
        () = soft.cancelled() => return Ok(()),
        ready = ready => ready?,
    };
    process
        .tasks
        .spawn("nats health", watch_link(mesh.clone(), nats, soft.clone()));
    let edits = Arc::new(Mutex::new(edits));
    let (matches, behind) = matches;
    let matches = Arc::new(Mutex::new(matches));
    let told_matches = matches::Tail::new(Arc::clone(&matches), &config.accounts, &process.instance, behind);
    process
        .tasks
        .spawn("told matches", told_matches.clone().follow(mesh.clone(), soft.clone()));
    let races = Races::new(config.racing.clone(), &config.accounts, &process.metrics);
    let told = Follower::new(
        Arc::clone(&seen),
        Arc::clone(&edits),
        &config.accounts,
        &process.instance,
        races.clone(),
        read,
    );
    process
        .tasks
        .spawn("told", told.clone().follow(mesh.clone(), soft.clone()));
    let (rules, keeping) = rules::keep(config.rules, stats.clone(), soft.clone());
    process.tasks.spawn("watch rules", keeping);
    let reporter = {
        let metrics = process.metrics.clone();
        reports::spawn_reporter(&mesh, "listener", &process.instance, move || metrics.snapshot())
    };

    let hops = follow_tracing(&mesh, &process);

    let shared = Shared {
        api_id: config.api_id,
        dc: config.dc,
        wanted: config.wanted,
        store,
        keyring: config.sessions.keyring,
        detector: Arc::new(Detector::new()),
        edits,
        told,
        races,
        matches,
        told_matches,
        rules,
        seen,
        publisher: Publisher::new(
            &mesh,
            Limits {
                max_in_flight: MAX_IN_FLIGHT,
                ..Limits::default()
            },
        ),
        budgets: Budgets::default(),
        ledgers: Ledgers::default(),
        turns: chats::Turns::new(
            stats.chats_missing.clone(),
            &config.accounts,
            Some(assignments.joins()),
            Instant::now(),
        ),
        assignments,
        racing: config.racing,
        polls_per_minute: config.polls_per_minute,
        predecessors,
        orders,
        pages: backfill::pages(),
        past: backfill::Figures::new(&process.metrics),
        mesh: mesh.clone(),
        roster: roster.clone(),
        hops,
        stats,
        process: process.clone(),
    };
    process.tasks.spawn("retention", retention::watch(shared.clone()));
    process.tasks.spawn("gauges", read_gauges(shared.clone()));
    process.tasks.spawn(
        "stream health",
        watch_flow(shared.publisher.clone(), stream, soft.clone()),
    );
    let accounts = tokio_util::task::TaskTracker::new();
    let slots = Slots::new(leases, config.slots, config.accounts.len());
    process.tasks.spawn("leases", slots.clone().follow(soft.clone()));
    process
        .tasks
        .spawn("assignments", shared.assignments.clone().follow(soft.clone()));
    process
        .tasks
        .spawn("orders", shared.orders.clone().follow(soft.clone()));
    let mut order: Vec<_> = (0_u32..).zip(&config.accounts).collect();
    // Each process begins with other accounts.
    order.sort_by_key(|_| rand::random::<u64>());
    for (number, account) in order {
        accounts.spawn(slots::seat(shared.clone(), slots.clone(), Arc::clone(account), number));
    }
    accounts.close();
    let result = tokio::select! {
        () = soft.cancelled() => Ok(()),
        why = roster.all_unusable() => Err(anyhow::anyhow!(why)),
    };
    process.shutdown.trigger();
    accounts.wait().await;
    reporter.abort();
    result
}

/// Spans that are asked for after the fact, and the share of messages that is sampled.
fn follow_tracing(mesh: &Mesh, process: &Process) -> Arc<Recent<journey::Hop>> {
    let (hops, asked) = Recent::new(journey::REMEMBERED, &process.metrics);
    let hops = Arc::new(hops);
    if trace::exports() {
        let (hearing, relaying) = (Arc::clone(&hops), mesh.clone());
        hops.answer(process, async move {
            traces::relay(&relaying, asked, |id| hearing.want(id)).await;
        });
        let soft = process.shutdown.soft();
        let sampled = mesh.clone();
        process.tasks.spawn("sampling", async move {
            let following = traces::follow_sampling(&sampled, clock::now_ms, trace::resample);
            soft.run_until_cancelled(following).await;
        });
    }
    hops
}

/// Waits for the store, which may be a bucket that the topology makes a moment later.
async fn open_store(config: &Config, mesh: &Mesh) -> anyhow::Result<Store> {
    let mut pause = Duration::from_millis(200);
    loop {
        match Store::open(&config.sessions.place, mesh).await {
            Ok(store) => return Ok(store),
            Err(StoreError::Unavailable(why)) => {
                tracing::warn!(
                    why,
                    retry_ms = pause.as_millis() as u64,
                    "the session store is away, waiting for it"
                );
            }
            Err(error) => {
                return Err(error).with_context(|| format!("couldn't open SESSION_STORE, {}", config.sessions.place));
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(30));
    }
}

/// Waits for a bucket.
async fn patiently<T, F>(name: &str, open: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, KvError>>,
{
    let mut pause = Duration::from_millis(200);
    loop {
        match open().await {
            Ok(bucket) => return bucket,
            Err(error) => {
                tracing::warn!(name, %error, retry_ms = pause.as_millis() as u64, "a bucket is away, waiting for it");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(30));
    }
}

async fn watch_link(mesh: Mesh, part: Part, soft: CancellationToken) {
    let mut link = mesh.link();
    loop {
        match *link.borrow_and_update() {
            Link::Up => part.up(),
            Link::Down => part.down("not connected"),
        }
        tokio::select! {
            () = soft.cancelled() => return,
            changed = link.changed() => if changed.is_err() { return },
        }
    }
}

/// A store that takes nothing holds everything up: what is received waits, then is left to history.
async fn watch_flow(publisher: Publisher, part: Part, soft: CancellationToken) {
    let mut flow = publisher.flow();
    loop {
        match &*flow.borrow_and_update() {
            Flow::Free => part.up(),
            Flow::Held(why) => part.down(why),
        }
        tokio::select! {
            () = soft.cancelled() => return,
            changed = flow.changed() => if changed.is_err() { return },
        }
    }
}

async fn read_gauges(shared: Shared) {
    let soft = shared.process.shutdown.soft();
    let mut ticks = tokio::time::interval(GAUGES_EVERY);
    let mut retries = 0;
    loop {
        tokio::select! {
            () = soft.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let stats = &shared.stats;
        stats.accounts.set(shared.ledgers.all().len() as f64);
        stats.queue_bytes.set(shared.budgets.used() as f64);
        let (open, unreadable) = shared.ledgers.open_ids();
        stats.ledger_open.set(open as f64);
        stats.ledger_unreadable.set(unreadable as f64);
        let remembered = shared.edits.lock().unwrap_or_else(PoisonError::into_inner).len();
        stats.remembered.set(remembered as f64);
        let remembered = shared.matches.lock().unwrap_or_else(PoisonError::into_inner).len();
        stats.remembered_matches.set(remembered as f64);
        shared.seen.forget(clock::now_us() / 1_000_000);
        let (addresses, sightings) = shared.seen.len();
        stats.seen_addresses.set(addresses as f64);
        stats.seen_sightings.set(sightings as f64);
        shared
            .past
            .orders(shared.orders.all().values().map(|kept| kept.order.state));
        let now = shared.publisher.counts().retries;
        stats.publish_retries.add(now.saturating_sub(retries));
        retries = now;
    }
}
