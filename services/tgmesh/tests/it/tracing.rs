//! One trace spans the mesh: an independent OTLP receiver sees every hop of every message, each
//! under its right parent, whatever dies meanwhile; and `tgmesh trace` shows it.

mod client;
mod collector;
mod whole;

use std::time::{Duration, Instant};

use tgmesh::mesh::{LoadOrder, Mesh, Options, Part, Telegram};
use tgmesh_testkit::process::Process;
use tgmesh_testkit::{Scratch, eventually, postgres, until};

use crate::support::{Up, alone, soak, state, tgmesh};
use client::{Client, Told};
use collector::Collector;

const LIMIT: Duration = Duration::from_mins(1);
/// What counts as slow.
const SLOW: Duration = Duration::from_secs(2);

struct Run {
    mesh: Mesh,
    client: Client,
    sent: u64,
    database: String,
    _state: Scratch,
}

impl Run {
    async fn start(endpoint: &str) -> Self {
        let scratch = Scratch::new().unwrap();
        let env = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
            ("OTEL_TRACES_SAMPLER", "parentbased_always_off"),
            ("TRACE_SLOW", &format!("{}ms", SLOW.as_millis())),
        ];
        let mesh = Mesh::start(Options {
            dir: state(&scratch),
            telegram: Telegram::Simulated {
                seed: 11,
                chats: 12,
                rate: 0.0,
            },
            nats: None,
            database: None,
            gateway: "127.0.0.1:0".parse().unwrap(),
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        });
        let mesh = mesh.await.unwrap();
        let database = std::fs::read_to_string(state(&scratch).join("database.url")).unwrap();
        let client = Client::connect(&mesh).await;
        Self {
            mesh,
            client,
            sent: 0,
            database,
            _state: scratch,
        }
    }

    /// Posts messages with an address each.
    async fn post(&mut self, messages: u64) {
        let order = LoadOrder {
            messages: Some(messages),
            rate: Some(100.0),
            chats: Some(8),
            address_share: 1.0,
            seed: 5,
        };
        self.mesh.simulator().unwrap().load(&order).await.unwrap();
        self.sent += messages;
    }

    /// Waits until the client has seen them all.
    async fn seen(&self) {
        eventually(LIMIT, "the client sees every message", || async {
            self.client.told().len() as u64 >= self.sent
        })
        .await;
    }

    async fn rows(&self) -> u64 {
        let count = postgres::query(&self.database, "SELECT count(*) FROM detections").await;
        count.unwrap().parse().unwrap()
    }

    /// Waits until each of these messages has one whole trace.
    async fn whole(&self, told: &[Told], collector: &Collector, rendered: whole::Rendered) {
        let faults = || {
            let spans = collector.spans();
            let faults = told
                .iter()
                .filter_map(|told| whole::check(told, &spans, rendered).err());
            faults.collect::<Vec<_>>()
        };
        let is_whole = until(LIMIT, || async { faults().is_empty() }).await;
        assert!(is_whole, "{}", faults().join("\n"));
    }

    /// Waits until the database has them all.
    async fn stored(&self) {
        eventually(LIMIT, "every message is stored", || async {
            self.rows().await == self.sent
        })
        .await;
    }

    /// Keeps everybody from writing to the table, until [`Run::release`].
    async fn hold_up(&self) {
        let url = self.database.clone();
        tokio::spawn(async move {
            let sql = "BEGIN; LOCK TABLE detections IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)";
            // Its end is that it is terminated.
            let _ = postgres::query(&url, sql).await;
        });
        eventually(LIMIT, "the table is locked", || async {
            let locks = "SELECT count(*) FROM pg_locks WHERE granted AND mode = 'AccessExclusiveLock' \
                         AND relation = 'detections'::regclass";
            postgres::query(&self.database, locks)
                .await
                .is_ok_and(|count| count != "0")
        })
        .await;
    }

    async fn release(&self) {
        let sleeping = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                        WHERE wait_event = 'PgSleep' AND pid <> pg_backend_pid()";
        assert_eq!(postgres::query(&self.database, sleeping).await.unwrap(), "1");
    }

    /// Waits until somebody is kept from writing.
    async fn held_up(&self) {
        eventually(LIMIT, "an insert waits for the table", || async {
            let waiting =
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ILIKE '%insert into%'";
            postgres::query(&self.database, waiting)
                .await
                .is_ok_and(|count| count != "0")
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_has_one_whole_trace() {
    let _alone = alone().await;
    let scratch = Scratch::new().unwrap();
    let mut collector = Collector::start(scratch.path()).await;
    let mut run = Run::start(&collector.endpoint()).await;

    // Nothing is sampled, and nothing is slow. On a busy machine that may take some tries.
    let quick = loop {
        let (before, began) = (run.client.told().len(), Instant::now());
        run.post(10).await;
        run.seen().await;
        run.stored().await;
        if began.elapsed() < SLOW {
            break run.client.told().split_off(before);
        }
    };
    assert!(quick.iter().all(|told| told.traceparent.ends_with("-00")));

    // The archiver is slow: it asks, and all tell their hops afterwards.
    let before = run.client.told().len();
    run.hold_up().await;
    run.post(5).await;
    run.seen().await;
    // That time passes is what is tested here.
    tokio::time::sleep(SLOW).await;
    run.release().await;
    run.stored().await;
    let late = run.client.told().split_off(before);
    assert!(late.iter().all(|told| told.traceparent.ends_with("-00")));
    // An unsampled message's client has nothing to close.
    run.whole(&late, &collector, whole::Rendered::No).await;
    let spans = collector.spans();
    for told in &quick {
        assert!(
            !spans.iter().any(|span| span.trace == told.trace()),
            "a message that was neither sampled nor slow has spans: {told:?}"
        );
    }

    // Everything is sampled from now on, without a restart.
    let sampling = Process::spawn(tgmesh(&[
        "trace",
        "--sampling",
        "1",
        "--nats-url",
        &run.mesh.nats_url(),
    ]))
    .unwrap();
    let status = sampling.wait(LIMIT).await.unwrap();
    assert!(status.success(), "{}", sampling.log_tail());
    let deadline = Instant::now() + LIMIT;
    while !run.client.told().last().unwrap().traceparent.ends_with("-01") {
        assert!(Instant::now() < deadline, "the listener does not sample");
        run.post(1).await;
        run.seen().await;
    }
    let unsampled = run.sent - 1;
    let (some, all) = if soak() { (2_000, 10_000) } else { (30, 100) };

    run.post(some).await;
    run.seen().await;

    // The archiver dies with a batch between its insert and its ack. What it had not sent of its
    // earlier spans would be gone with it.
    let before = run.client.told().len();
    let told = run.client.told().split_off(unsampled as usize);
    run.whole(&told, &collector, whole::Rendered::Once).await;
    run.hold_up().await;
    run.post(20).await;
    run.seen().await;
    run.held_up().await;
    run.mesh.kill(Part::Archiver).await;
    run.release().await;
    run.mesh.start_again(Part::Archiver).await.unwrap();
    run.stored().await;
    let redelivered = run.client.told().split_off(before);

    // NATS is restarted between messages.
    run.post(20).await;
    run.mesh.kill(Part::Nats).await;
    run.mesh.start_again(Part::Nats).await.unwrap();
    run.seen().await;

    // The collector is away: nobody notices, and nothing is lost that there is room for.
    collector.stop().await;
    run.post(all - some - 40).await;
    run.seen().await;
    run.stored().await;
    collector.start_again().await;

    let told = run.client.told().split_off(unsampled as usize);
    assert_eq!(told.len() as u64, all + 1);
    run.whole(&told, &collector, whole::Rendered::Once).await;
    let spans = collector.spans();
    whole::assert_no_doubles(&spans);
    assert!(
        redelivered.iter().any(|told| whole::was_redelivered(told, &spans)),
        "no message was delivered twice"
    );
    run.mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_s_way_is_shown() {
    let _alone = alone().await;
    let scratch = Scratch::new().unwrap();
    let state = state(&scratch);
    let folder = state.to_str().unwrap().to_owned();
    let up = Up::start(&state, &["--rate", "20"]).await;
    let url = std::fs::read_to_string(state.join("database.url")).unwrap();
    let id = || async {
        let id = postgres::query(&url, "SELECT id FROM detections ORDER BY stream_seq DESC LIMIT 1").await;
        id.unwrap_or_default()
    };
    eventually(LIMIT, "a row", || async { !id().await.is_empty() }).await;
    // Its spans are here a moment later; the command waits for them.
    let event = id().await;
    let shown = shows(&["trace", &event, "--state", &folder], Some(0)).await;
    let hops = [
        "receive",
        "  detect",
        "  publish ",
        "    process ",
        "      INSERT detections",
        "    fan-out",
    ];
    for hop in hops {
        assert!(
            shown.lines().any(|line| line.starts_with(hop)),
            "no {hop:?} in\n{shown}"
        );
    }
    assert!(
        shown.contains(&event.replace('-', "")) && !shown.contains("missing"),
        "{shown}"
    );

    let json = shows(&["trace", &event, "--json", "--state", &folder], Some(0)).await;
    let trace: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(trace["spans"].as_array().unwrap().len() >= hops.len(), "{json}");
    let by_trace = shows(
        &["trace", trace["trace_id"].as_str().unwrap(), "--state", &folder],
        Some(0),
    )
    .await;
    assert!(by_trace.contains("INSERT detections"), "{by_trace}");

    let unknown = shows(&["trace", &"f".repeat(32), "--state", &folder], Some(1)).await;
    assert!(unknown.contains("neither a trace nor"), "{unknown}");
    drop(up);
    let over = shows(&["trace", &event, "--state", &folder], Some(1)).await;
    assert!(
        over.contains("has that `tgmesh up` ended?") || over.contains("no `tgmesh up` runs"),
        "{over}"
    );
    shows(&["trace", "nonsense"], Some(64)).await;
}

async fn shows(args: &[&str], code: Option<i32>) -> String {
    let process = Process::spawn(tgmesh(args)).unwrap();
    let status = process.wait(LIMIT).await.unwrap();
    assert_eq!(status.code(), code, "{args:?}: {}", process.log_tail());
    process.log_tail()
}
