//! `/api/metrics/telegram-stream`: the whole mesh in figures.

use serde_json::{Value, json};
use tgmesh_proto::stats::HistogramSnapshot;

use crate::mesh_stats::View;

/// Name of the durable consumer whose pods share the work of writing to Postgres.
const CONSUMER_GROUP: &str = "archiver";

/// Latencies, in the order of a message's way: name in the answer, service, histogram.
const HOPS: [(&str, &str, &str); 5] = [
    ("detect", "listener", "received_to_detected_seconds"),
    ("listenerToStream", "listener", "received_to_published_seconds"),
    ("streamToWebSocket", "gateway", "stream_to_client_seconds"),
    ("streamToDatabase", "archiver", "stream_to_commit_seconds"),
    ("databaseBatch", "archiver", "batch_seconds"),
];

/// What counts as an error of the mesh: something was lost, failed or has to be looked at. A
/// client's mistakes are not among them.
const ERRORS: [(&str, &str); 10] = [
    ("listener", "publish_failures_total"),
    ("listener", "unreachable_total"),
    ("archiver", "batch_errors_total"),
    ("archiver", "deadletters_total"),
    ("archiver", "matches_batch_errors_total"),
    ("archiver", "matches_deadletters_total"),
    ("archiver", "audit_batch_errors_total"),
    ("archiver", "audit_deadletters_total"),
    ("gateway", "undecodable_events_total"),
    ("gateway", "client_panics_total"),
];

/// The answer.
pub fn metrics(view: &View, with_instances: bool) -> Value {
    let histogram = |name: &str| {
        let hop = HOPS.iter().find(|hop| hop.0 == name);
        hop.map_or_else(HistogramSnapshot::default, |&(_, service, metric)| {
            view.histogram(service, metric)
        })
    };
    let average_ms = |name: &str| histogram(name).mean_us().map(|us| us / 1000.0);
    let (rss, heap) = view.memory();
    let latency: serde_json::Map<_, _> = HOPS
        .iter()
        .map(|&(name, ..)| (name.to_owned(), percentiles(&histogram(name))))
        .collect();
    let mut body = json!({
        "messagesProcessed": view.counter("listener", "messages_total"),
        "contractsDetected": view.counter("listener", "detections_total"),
        "streamQueueSize": view.largest("archiver", "lag_messages") as u64,
        "avgListenerToStreamLatency": average_ms("listenerToStream"),
        "avgStreamToWebSocketLatency": average_ms("streamToWebSocket"),
        "avgDatabaseBatchLatency": average_ms("databaseBatch"),
        "batchesWritten": view.counter("archiver", "batches_total"),
        "websocketDeliveries": view.counter("gateway", "deliveries_total"),
        "websocketClients": view.gauge("gateway", "clients") as u64,
        "errors": ERRORS.iter().map(|(service, name)| view.counter(service, name)).sum::<u64>(),
        "uptime": view.uptime_ms(),
        "memoryUsage": { "rss": rss, "heap": heap },
        "consumerGroupId": CONSUMER_GROUP,
        "latency": latency,
    });
    if with_instances {
        let instances = view.instances().into_iter().map(|living| {
            json!({
                "service": living.last.service,
                "instance": living.last.instance,
                "uptime": view.age_ms(living),
                "memoryUsage": { "rss": living.last.rss_bytes, "heap": living.last.heap_bytes },
                "counters": living.last.counters,
                "gauges": living.last.gauges,
            })
        });
        body["instances"] = instances.collect();
    }
    body
}

/// In milliseconds; nothing where nothing was observed within the window.
fn percentiles(histogram: &HistogramSnapshot) -> Value {
    let quantile = |q| histogram.quantile_us(q).map(|us| us as f64 / 1000.0);
    json!({ "p50": quantile(0.5), "p99": quantile(0.99), "p999": quantile(0.999) })
}
