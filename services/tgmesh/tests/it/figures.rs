//! One run, and everybody who tells of it: the load's own report, `/api/metrics/telegram-stream`,
//! Prometheus, the lines in the logs. Counts are equal, percentiles lie close together; and what is
//! drawn, listed and written down about the metrics is there.

mod watcher;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tgmesh::load::drive::{Drive, Plan};
use tgmesh::mesh::{Mesh, Part};
use tgmesh::token::Claims;
use tgmesh_proto::id::EventId;
use tgmesh_stream::NatsConfig;
use tgmesh_stream::publish::{Outgoing, publish_one};
use tgmesh_testkit::process::Process;
use tgmesh_testkit::{Scratch, eventually, free_port, repo_root};

use self::watcher::Watcher;
use crate::operators::prometheus;
use crate::support::{alone, soak, tgmesh};

const LIMIT: Duration = Duration::from_mins(1);
const CLIENTS: u64 = 3;
/// Histograms have two buckets an octave: a bound is at most half as large again as the one below.
const BUCKET: f64 = 1.5;

/// Panels that are empty on a mesh that works, and why.
const EMPTY: [(&str, &str); 0] = [];

/// Names of metrics that are there only sometimes.
const SOMETIMES: [&str; 2] = ["tgmesh_listener_race_wins_total", "tgmesh_listener_race_lead_seconds"];

#[tokio::test]
async fn everybody_tells_the_same_of_a_run() {
    let _alone = alone().await;
    let scratch = Scratch::new().unwrap();
    let messages = if soak() { 30_000 } else { 2_000 };
    let plan = Plan {
        rate: Some(400.0),
        messages,
        chats: 10,
        ws_clients: CLIENTS as usize,
        env: vec![
            // Sampled, so that there are exemplars; nobody listens there, which must not matter.
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(),
                format!("http://127.0.0.1:{}", free_port()),
            ),
            ("OTEL_TRACES_SAMPLER".to_owned(), "parentbased_always_on".to_owned()),
            ("LOG_FORMAT".to_owned(), "json".to_owned()),
            ("RUST_LOG".to_owned(), "info".to_owned()),
            ("PPROF_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
        ],
    };
    let mut drive = Drive::start(&plan).await.unwrap();
    let watcher = Watcher::start(drive.mesh(), scratch.path()).await;
    drive.send().await.unwrap();
    drive.drained(Duration::from_secs(30)).await.unwrap();
    // Its percentiles are those of the last minute: they are asked for while that is all there is,
    // and once the archiver's report, which is the last one, has all of it.
    eventually(LIMIT, "rows", || async {
        watcher.number("sum(tgmesh_archiver_rows_total)").await == Some(messages as f64)
    })
    .await;
    let batches = watcher.number("sum(tgmesh_archiver_batches_total)").await;
    let soon = api(drive.mesh(), |answer| {
        told(answer, messages) && answer["batchesWritten"].as_f64() == batches
    })
    .await;
    poison(drive.mesh()).await;

    // Prometheus.
    let total = (messages * CLIENTS) as f64;
    let counts = [
        ("messages", "sum(tgmesh_listener_messages_total)", messages as f64),
        ("detections", "sum(tgmesh_listener_detections_total)", messages as f64),
        ("rows", "sum(tgmesh_archiver_rows_total)", messages as f64),
        ("deliveries", "sum(tgmesh_gateway_deliveries_total)", total),
        ("queue", "sum(tgmesh_archiver_unacked_messages)", 0.0),
        ("dead letters", "sum(tgmesh_archiver_matches_deadletters_total)", 1.0),
        ("undecodable", "sum(tgmesh_gateway_undecodable_events_total)", 1.0),
    ];
    for (what, query, expected) in counts {
        eventually(LIMIT, what, || async { watcher.number(query).await == Some(expected) }).await;
    }
    let batches = watcher.number("sum(tgmesh_archiver_batches_total)").await.unwrap();

    // The API.
    let mesh = drive.mesh();
    let api = api(mesh, |answer| {
        told(answer, messages) && answer["batchesWritten"].as_f64() == Some(batches) && answer["errors"] == 2
    })
    .await;
    assert_eq!(api["messagesProcessed"], messages);
    assert_eq!(api["contractsDetected"], messages);
    assert_eq!(api["websocketDeliveries"], messages * CLIENTS);
    assert_eq!(api["streamQueueSize"], 0);
    assert_eq!(api["errors"], 2);
    assert_eq!(api["websocketClients"], CLIENTS);

    let mut quantiles = BTreeMap::new();
    for (hop, metric) in [
        ("detect", "tgmesh_listener_received_to_detected_seconds"),
        ("streamToWebSocket", "tgmesh_gateway_stream_to_client_seconds"),
        ("streamToDatabase", "tgmesh_archiver_stream_to_commit_seconds"),
    ] {
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
            let query = format!("histogram_quantile({quantile}, sum by (le) ({metric}_bucket)) * 1000");
            let scraped = watcher.number(&query).await.unwrap();
            let told = soon["latency"][hop][name].as_f64().unwrap();
            assert!(
                close(told, scraped, BUCKET),
                "{hop} {name}: {told} in the API, {scraped} in Prometheus"
            );
            quantiles.insert((hop, name), told);
        }
    }

    pages(mesh).await;
    drawn(&watcher).await;
    profiles(mesh).await;
    doctor(mesh, true).await;

    // The logs, once everything has ended.
    let logs: Vec<PathBuf> = [Part::Listener, Part::Archiver, Part::Gateway]
        .iter()
        .map(|part| mesh.folder().path(&format!("logs/{part}.log")))
        .collect();
    for part in [Part::Listener, Part::Archiver, Part::Gateway] {
        let (status, _) = mesh.terminate(part).await.unwrap();
        assert!(status.success(), "{part}: {status}");
    }
    doctor(mesh, false).await;
    let [listener, archiver, gateway] = [0, 1, 2].map(|n| summary(&logs[n]));
    let expect = |line: &str, words: &str| assert!(line.contains(words), "{words} is not in: {line}");
    expect(&listener, &format!("summary: {messages} messages ("));
    expect(&listener, &format!(", {messages} detections ("));
    expect(&listener, ", 0 errors");
    expect(&archiver, &format!("summary: {messages} rows ("));
    expect(&archiver, &format!(", {batches} batches ("));
    expect(&archiver, ", 1 errors");
    expect(&gateway, &format!(", {} deliveries (", messages * CLIENTS));
    expect(&gateway, ", 1 errors");

    secrets_are_nowhere(&mut drive, &logs).await;

    // The load's own report, made from what was sent and what arrived.
    let report = serde_json::to_value(drive.finish().await.unwrap()).unwrap();
    assert_eq!(
        (&report["messages"], &report["expected"]),
        (&messages.into(), &messages.into())
    );
    assert_eq!((&report["lost"], &report["duplicated"]), (&0.into(), &0.into()));
    assert_eq!(report["hops"]["store_to_client"]["count"], messages * CLIENTS);
    assert_eq!(report["hops"]["store_to_row"]["count"], messages);
    for (hop, name, own) in [
        ("detect", "p50", "receive_to_detect"),
        ("detect", "p99", "receive_to_detect"),
        ("streamToWebSocket", "p50", "store_to_client"),
        ("streamToDatabase", "p50", "store_to_row"),
    ] {
        let measured = report["hops"][own][format!("{name}_ms")].as_f64().unwrap();
        let told = quantiles[&(hop, name)];
        // Where two clocks stop at other moments, a busy machine lies between them: the gateway's
        // when it has written and the client's when it has read, the archiver's and Postgres' at
        // the commit. The listener's own times are the events'.
        let between = if hop == "detect" { 0.0 } else { 20.0 };
        let agree = close(told, measured, BUCKET) || (told - measured).abs() <= between;
        assert!(
            agree,
            "{hop} {name}: {told} in the API, {measured} in the load's report"
        );
    }
}

/// Within a factor, or both too short to be told apart.
fn close(a: f64, b: f64, factor: f64) -> bool {
    let (low, high) = (a.min(b), a.max(b));
    high <= low * factor || high < 0.05
}

/// A message that is no event: one error for each who reads it.
async fn poison(mesh: &Mesh) {
    let nats = NatsConfig::new(&mesh.nats_url()).unwrap();
    let nats = tgmesh_stream::Mesh::connect(&nats, "test").await.unwrap();
    let message = Outgoing {
        // The load's report reads all detections, and takes one that is none for a fault of the mesh.
        subject: "tgmesh.v1.matches.-1".to_owned(),
        id: EventId::from_bytes([7; 16]),
        traceparent: format!("00-{:032x}-{:016x}-00", 1, 1),
        payload: (&b"no event"[..]).into(),
    };
    publish_one(&nats, &message).await.unwrap();
}

/// Whether the answer knows of all messages and frames.
fn told(answer: &Value, messages: u64) -> bool {
    answer["messagesProcessed"] == messages && answer["websocketDeliveries"] == messages * CLIENTS
}

/// The answer, once it is as it will be: each process reports every five seconds.
async fn api(mesh: &Mesh, is_whole: impl Fn(&Value) -> bool) -> Value {
    let token = mesh.signer().unwrap().sign(&Claims::operator("test"), LIMIT).unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = || async {
        let url = format!("{}/api/metrics/telegram-stream", mesh.url());
        let answer = http.get(url).bearer_auth(&token).send().await.ok()?;
        answer.json::<Value>().await.ok()
    };
    eventually(LIMIT, "the API tells everything", || async {
        ask().await.is_some_and(|answer| is_whole(&answer))
    })
    .await;
    ask().await.unwrap()
}

/// `/metrics` of each service: clean, and just what the page of all metrics lists.
async fn pages(mesh: &Mesh) {
    let listed = listed();
    let promtool = prometheus().join("promtool");
    let mut found = BTreeSet::new();
    for part in Part::SERVICES {
        let url = mesh.admin_url(part).unwrap() + "/metrics";
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let page = http.get(&url).send().await.unwrap().text().await.unwrap();
        let mut check = Command::new(&promtool)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        check.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let check = check.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&[check.stdout, check.stderr].concat()).into_owned();
        assert!(check.status.success() && said.trim().is_empty(), "{part}: {said}");
        for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').unwrap();
            found.insert((name.to_owned(), kind.to_owned()));
        }
        // The other form has exemplars where it should.
        if part != Part::Simulator {
            let open = http
                .get(&url)
                .header("accept", "application/openmetrics-text;version=1.0.0");
            let open = open.send().await.unwrap().text().await.unwrap();
            assert!(open.ends_with("# EOF\n") && open.contains(" # {trace_id=\""), "{part}");
        }
    }
    let missing: Vec<_> = found.difference(&listed).collect();
    assert!(missing.is_empty(), "not in deploy/METRICS.md: {missing:?}");
    let gone: Vec<_> = listed
        .difference(&found)
        .filter(|(name, _)| !SOMETIMES.contains(&name.as_str()))
        .collect();
    assert!(
        gone.is_empty(),
        "listed in deploy/METRICS.md, and in no process: {gone:?}"
    );
}

/// Names and types in `deploy/METRICS.md`.
fn listed() -> BTreeSet<(String, String)> {
    let text = std::fs::read_to_string(repo_root().join("deploy/METRICS.md")).unwrap();
    let mut all = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("| `tgmesh_")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert!(cells.len() == 5 && cells[4].contains('?'), "{line}");
        let name = cells[0].trim_matches('`');
        for of in ["", "matches_", "audit_"] {
            for service in ["listener", "archiver", "gateway", "telegram_sim"] {
                let name = name.replace("<of>", of).replace("<service>", service);
                all.insert((name, cells[1].to_owned()));
            }
        }
    }
    all
}

/// Every query of every panel gives something, the rules can be evaluated, and exemplars are kept.
async fn drawn(watcher: &Watcher) {
    let mut queries = BTreeMap::new();
    for entry in std::fs::read_dir(repo_root().join("deploy/grafana/dashboards")).unwrap() {
        let dashboard: Value = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let title = format!("{}: {}", dashboard["title"], panel["title"]);
                let query = target["expr"].as_str().unwrap();
                let query = query.replace("$__rate_interval", "2m").replace("$instance", ".*");
                queries.insert((title, target["refId"].to_string()), query);
            }
        }
    }
    assert!(queries.len() > 100, "{}", queries.len());
    for ((title, _), query) in &queries {
        if EMPTY.iter().any(|(empty, _)| title.contains(empty)) {
            continue;
        }
        let mut last = Ok(Vec::new());
        for _ in 0..20 {
            last = watcher.query(query).await;
            if last.as_ref().is_ok_and(|series| !series.is_empty()) {
                break;
            }
            // The next scrape may bring it.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert!(
            last.as_ref().is_ok_and(|series| !series.is_empty()),
            "{title}: {query} gives {last:?}"
        );
    }
    let rules = watcher.get("rules", &[]).await.unwrap();
    let groups = rules["data"]["groups"].as_array().unwrap();
    let rules: Vec<_> = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .collect();
    assert!(rules.len() > 50, "{}", rules.len());
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    let (query, start, end) = ("tgmesh_gateway_received_to_client_seconds_bucket", "0", "9999999999");
    let kept = watcher
        .get("query_exemplars", &[("query", query), ("start", start), ("end", end)])
        .await
        .unwrap();
    let trace = kept["data"][0]["exemplars"][0]["labels"]["trace_id"]
        .as_str()
        .unwrap_or_default();
    assert_eq!(trace.len(), 32, "{kept}");
}

/// Profiles are there, one at a time, and bounded.
async fn profiles(mesh: &Mesh) {
    let log = std::fs::read_to_string(mesh.folder().path("logs/gateway.log")).unwrap();
    let addr = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|line| Some(line["pprof_addr"].as_str()?.to_owned()))
        .expect("the gateway says where its profiles are");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = |path: &'static str| {
        let asked = http.get(format!("http://{addr}{path}")).send();
        async move {
            let answer = asked.await.unwrap();
            (answer.status().as_u16(), answer.bytes().await.unwrap())
        }
    };
    assert_eq!(get("/debug/pprof/profile?seconds=0").await.0, 400);
    assert_eq!(get("/debug/pprof/profile?seconds=100000").await.0, 400);
    let (first, second) = tokio::join!(get("/debug/pprof/profile?seconds=2"), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        get("/debug/pprof/heap").await
    });
    assert_eq!((first.0, second.0), (200, 429));
    assert!(!first.1.is_empty());
    let (status, heap) = get("/debug/pprof/heap").await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&heap));
    // gzip, as pprof's own tools write it.
    assert_eq!(heap[..2], [0x1f, 0x8b]);
}

/// A mesh that works has no failure; one whose services are gone has.
async fn doctor(mesh: &Mesh, works: bool) {
    let state = mesh.folder().path("");
    let output = tempfile::NamedTempFile::new().unwrap();
    let spec = tgmesh(&["doctor", "--json", "--state"]).arg(&state).log(output.path());
    let process = Process::spawn(spec).unwrap();
    let status = process.wait(LIMIT).await.unwrap();
    let said = std::fs::read_to_string(output.path()).unwrap();
    let findings: Vec<Value> = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    let of = |level: &str| -> Vec<String> {
        let found = findings.iter().filter(|finding| finding["level"] == level);
        found
            .map(|finding| format!("{}: {}", finding["subject"], finding["found"]))
            .collect()
    };
    let is_about = |list: &[String], words: &str| list.iter().any(|line| line.contains(words));
    let (warn, fail) = (of("WARN"), of("FAIL"));
    assert!(is_about(&warn, "1 messages could not be handled"), "{said}");
    if works {
        // A disk that is nearly full is the machine's.
        let ours: Vec<_> = fail.iter().filter(|line| !line.contains("\"disk\"")).collect();
        assert!(ours.is_empty(), "{ours:?}");
        assert_eq!(
            of("OK").iter().filter(|line| line.contains("is ready")).count(),
            4,
            "{said}"
        );
    } else {
        assert_eq!(status.code(), Some(1));
        for service in ["listener", "archiver", "gateway"] {
            assert!(is_about(&fail, &format!("\"{service}\": \"does not answer")), "{said}");
        }
        assert!(is_about(&fail, "with no living listener"), "{said}");
        let runbook = std::fs::read_to_string(repo_root().join("deploy/RUNBOOK.md"))
            .unwrap()
            .to_lowercase();
        for link in findings.iter().filter_map(|finding| finding["runbook"].as_str()) {
            let anchor = link.split_once('#').unwrap().1;
            assert!(runbook.contains(&format!("## {anchor}\n")), "{link}");
        }
    }
}

/// The last line that tells how a service is doing.
fn summary(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("no JSON: {line}")));
    let mut messages = lines.filter_map(|line| Some(line["message"].as_str()?.to_owned()));
    messages.rfind(|line| line.starts_with("summary: ")).expect("a summary")
}

/// What was posted, and what is secret, is in no log.
async fn secrets_are_nowhere(drive: &mut Drive, logs: &[PathBuf]) {
    let folder = drive.mesh().folder();
    let mut hidden: Vec<String> = ["jwt.secret", "telegram.key", "database.url"]
        .map(|name| std::fs::read_to_string(folder.path(name)).unwrap().trim().to_owned())
        .into();
    let posted = drive.mesh().simulator().unwrap().posted().await.unwrap();
    hidden.extend(posted.into_iter().flat_map(|post| post.addresses));
    assert!(hidden.len() > 1_000);
    for log in logs {
        let text = std::fs::read_to_string(log).unwrap();
        assert!(text.lines().count() > 3, "{}", log.display());
        let shown = hidden.iter().find(|secret| text.contains(secret.as_str()));
        assert_eq!(shown, None, "in {}", log.display());
    }
}
