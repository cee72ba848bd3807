//! `/api`: every path of it needs a token.

use std::sync::Arc;
use std::time::Instant;

use bytes::Buf;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tgmesh_lifecycle::clock;
use tgmesh_proto::stats::HistogramSnapshot;
use tgmesh_stream::revocations;
use warp::reply::{Reply as _, Response};

use crate::auth::MAX_NAME_BYTES;
use crate::gateway::Gateway;
use crate::mesh_stats::View;
use crate::problem::problem;
use crate::upgrade::bearer;

const METRICS: &str = "/api/metrics/telegram-stream";
const REVOCATIONS: &str = "/api/revocations";
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

/// Answers a request below `/api`.
#[must_use]
pub fn answer(gateway: &Gateway, method: &Method, path: &str, headers: &HeaderMap) -> Response {
    let Some(token) = bearer(headers) else {
        return problem(StatusCode::UNAUTHORIZED, "Authorization: Bearer is missing");
    };
    let grant = match gateway.verify(token) {
        Ok(grant) => grant,
        Err(reason) => return problem(StatusCode::UNAUTHORIZED, reason),
    };
    if !gateway.revocations.are_known() {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "not ready yet");
    }
    if path == REVOCATIONS {
        return not_allowed("POST");
    }
    if path != METRICS {
        return problem(StatusCode::NOT_FOUND, "there is no such resource");
    }
    if method != Method::GET && method != Method::HEAD {
        return not_allowed("GET, HEAD");
    }
    let view = gateway.mesh_stats.view(Instant::now(), clock::now_ms());
    let mut response = warp::reply::json(&metrics(&view, grant.rights.role.sees_instances())).into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
        .headers_mut()
        .insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn not_allowed(allowed: &'static str) -> Response {
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "this resource has other methods");
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// `POST /api/revocations`: what to revoke.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Revocation {
    token_id: Option<String>,
    subject: Option<String>,
}

/// Takes a token, or all tokens of a subject, back.
pub async fn revoke<B, E>(gateway: Arc<Gateway>, headers: HeaderMap, body: impl Stream<Item = Result<B, E>>) -> Response
where
    B: Buf,
{
    let grant = match bearer(&headers).map(|token| gateway.verify(token)) {
        Some(Ok(grant)) => grant,
        Some(Err(reason)) => return problem(StatusCode::UNAUTHORIZED, reason),
        None => return problem(StatusCode::UNAUTHORIZED, "Authorization: Bearer is missing"),
    };
    if !grant.rights.role.administers() {
        return problem(StatusCode::FORBIDDEN, "only an operator may revoke");
    }
    let Some(body) = bounded(body).await else {
        return problem(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is larger than 4096 bytes, or broke off",
        );
    };
    let asked = serde_json::from_slice(&body).ok().and_then(|asked| match asked {
        Revocation {
            token_id: Some(name),
            subject: None,
        } => Some(("token", name)),
        Revocation {
            token_id: None,
            subject: Some(name),
        } => Some(("subject", name)),
        _ => None,
    });
    let Some((kind, name)) = asked.filter(|(_, name)| (1..=MAX_NAME_BYTES).contains(&name.len())) else {
        return problem(
            StatusCode::BAD_REQUEST,
            "the body has to be {\"token_id\": …} or {\"subject\": …}",
        );
    };
    let Some(mesh) = gateway.mesh.get() else {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "not ready yet");
    };
    if let Err(error) = revocations::revoke(mesh, &name, &grant.subject, clock::now_ms()).await {
        tracing::warn!(%error, "a revocation was not stored");
        return problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "the revocation was not stored, try again",
        );
    }
    gateway
        .audit
        .note("revoke", Some(&grant.subject), Some(&format!("{kind}:{name}")), []);
    warp::reply::with_status(warp::reply(), StatusCode::NO_CONTENT).into_response()
}

/// A body of at most 4,096 bytes.
async fn bounded<B: Buf, E>(body: impl Stream<Item = Result<B, E>>) -> Option<Vec<u8>> {
    const MOST: usize = 4096;
    let mut bytes = Vec::new();
    let mut body = std::pin::pin!(body);
    while let Some(part) = body.next().await {
        let mut part = part.ok()?;
        if bytes.len() + part.remaining() > MOST {
            return None;
        }
        while part.has_remaining() {
            let chunk = part.chunk();
            bytes.extend_from_slice(chunk);
            let read = chunk.len();
            part.advance(read);
        }
    }
    Some(bytes)
}

fn metrics(view: &View, with_instances: bool) -> Value {
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
