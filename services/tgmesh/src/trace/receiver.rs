//! The OTLP receiver of `tgmesh up`: takes spans on loopback, and answers `tgmesh trace`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use tgmesh_lifecycle::http::{self, Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::shelf::{Shelf, Span, Standing};

/// Where spans are sent, by the specification.
const SPANS: &str = "/v1/traces";
/// Where a trace is asked for.
const TRACES: &str = "/traces/";

/// A receiver that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Receiver {
    addr: SocketAddr,
    _until: DropGuard,
}

/// What is told of a trace.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) trace_id: String,
    /// Empty where it is not known.
    pub(super) spans: Vec<Span>,
    pub(super) shelf: Standing,
}

impl Receiver {
    /// Starts it on a port of its own.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("couldn't listen for spans")?;
        let addr = listener.local_addr().context("couldn't read the port for spans")?;
        let shelf = Arc::new(Mutex::new(Shelf::default()));
        let until = CancellationToken::new();
        let handler = move |request: Request| {
            let answer = handle(&shelf, &request);
            async move { answer }
        };
        tokio::spawn(http::serve(listener, handler, until.clone()));
        Ok(Self {
            addr,
            _until: until.drop_guard(),
        })
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

fn handle(shelf: &Mutex<Shelf>, request: &Request) -> Response {
    let shelf = || -> MutexGuard<'_, Shelf> { shelf.lock().unwrap_or_else(PoisonError::into_inner) };
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", SPANS) => match ExportTraceServiceRequest::decode(&request.body[..]) {
            Ok(spans) => {
                shelf().put(spans);
                // An ExportTraceServiceResponse that says nothing.
                Response {
                    status: StatusCode::OK,
                    content_type: "application/x-protobuf",
                    body: Bytes::new(),
                }
            }
            Err(error) => Response::error(StatusCode::BAD_REQUEST, &error.to_string()),
        },
        ("GET", path) if path.starts_with(TRACES) => {
            let id = &path[TRACES.len()..];
            let shelf = shelf();
            // Trace ids and event ids look the same.
            let by_trace = u128::from_str_radix(id, 16).ok();
            let found = by_trace
                .filter(|id| shelf.trace(*id).is_some())
                .or_else(|| shelf.of_event(id));
            let answer = Answer {
                trace_id: found.map(|id| format!("{id:032x}")).unwrap_or_default(),
                spans: found.and_then(|id| shelf.trace(id)).unwrap_or_default().to_vec(),
                shelf: shelf.standing().clone(),
            };
            Response::json(StatusCode::OK, &serde_json::json!(answer))
        }
        _ => Response::error(StatusCode::NOT_FOUND, "there is nothing here"),
    }
}
