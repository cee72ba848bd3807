//! One trace spans the mesh: an independent OTLP receiver sees every hop of a message, each under
//! its right parent.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use tgmesh_testkit::process::{Process, Spec};
use tgmesh_testkit::{Scratch, eventually, free_port, python, repo_root};

use crate::support::{Up, alone, state};

const LIMIT: Duration = Duration::from_mins(1);
const PUBLISH: &str = "publish tgmesh.v1.detections.{chat}.{family}";
const PROCESS: &str = "process tgmesh.v1.detections.{chat}.{family}";

#[tokio::test]
async fn every_hop_of_a_message_is_in_one_trace() {
    let _alone = alone().await;
    let scratch = Scratch::new().unwrap();
    let port = free_port();
    let script = repo_root().join("services/tgmesh/tests/otlp_receiver.py");
    // Its lines are read whole, so they go to a file rather than to the process's short memory.
    let lines = scratch.path().join("spans");
    let receiver = Process::spawn(Spec::new(python()).arg(script).arg(port.to_string()).log(&lines)).unwrap();
    eventually(LIMIT, "the receiver listens", || async {
        assert!(receiver.is_running(), "{}", receiver.log_tail());
        receiver.log_tail().contains("listening")
    })
    .await;

    let endpoint = format!("http://127.0.0.1:{port}");
    let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let _up = Up::start_with(&state(&scratch), &["--rate", "20"], env).await;
    eventually(LIMIT, "a trace with every hop", || async { whole_trace(&lines) }).await;
}

/// Whether some trace has `receive` at its root, `detect` and `publish` under it, `process` and
/// `fan-out` under `publish`, and an `insert` that links to it.
fn whole_trace(lines: &std::path::Path) -> bool {
    let text = std::fs::read_to_string(lines).unwrap_or_default();
    let spans: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let inserted: Vec<&str> = spans
        .iter()
        .filter(|span| span["name"] == "INSERT detections")
        .flat_map(|span| span["links"].as_array().into_iter().flatten().filter_map(Value::as_str))
        .collect();
    let mut traces: HashMap<&str, Vec<&Value>> = HashMap::new();
    for span in spans.iter().filter(|span| span["trace"].is_string()) {
        traces
            .entry(span["trace"].as_str().unwrap_or_default())
            .or_default()
            .push(span);
    }
    traces.iter().any(|(trace, spans)| {
        let under = |name: &str, parent: &Value| {
            spans
                .iter()
                .find(|span| span["name"] == name && span["parent"] == parent["span"])
                .copied()
        };
        let root = spans
            .iter()
            .find(|span| span["name"] == "receive" && span["parent"] == "");
        let Some(publish) = root.and_then(|root| under("detect", root).and(under(PUBLISH, root))) else {
            return false;
        };
        under(PROCESS, publish).is_some() && under("fan-out", publish).is_some() && inserted.contains(trace)
    })
}
