//! `/api`: every path of it needs a token, and answers with JSON or a problem document.

mod accept;
mod answers;
mod csv;
mod cursor;
mod detections;
mod events;
mod export;
mod facts;
mod fault;
mod filter;
mod ledgers;
mod live;
mod metrics;
mod openapi;
mod pace;
mod params;

pub use openapi::text as openapi;
pub use pace::Pace;

use std::sync::Arc;
use std::time::Instant;

use bytes::Buf;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use tgmesh_lifecycle::clock;
use tgmesh_stream::revocations;
use warp::reply::{Reply as _, Response};

use crate::address::Place;
use crate::auth::{Grant, MAX_NAME_BYTES};
use crate::gateway::Gateway;
use crate::reader::{Reader, Unanswered};
use crate::upgrade::bearer;
use fault::Fault;
use params::Params;

const METRICS: &str = "/api/metrics/telegram-stream";
const REVOCATIONS: &str = "/api/revocations";
const JSON: &str = "application/json";

/// A request whose token is good.
struct Call<'a> {
    gateway: &'a Arc<Gateway>,
    grant: Grant,
    query: &'a str,
    headers: &'a HeaderMap,
    /// `HEAD`: nobody reads the body.
    is_head: bool,
}

/// Answers a request below `/api`.
pub async fn answer(gateway: Arc<Gateway>, method: &Method, path: &str, query: &str, headers: &HeaderMap) -> Response {
    let answer = route(&gateway, method, path, query, headers).await;
    counted(&gateway, answer)
}

/// Answers `GET /api/stream`.
pub fn stream(
    gateway: &Arc<Gateway>,
    headers: &HeaderMap,
    query: &str,
    place: Place,
    on_start: impl FnOnce(),
) -> Response {
    counted(gateway, live::begin(gateway, headers, query, place, on_start))
}

/// The answer to one request, in the figures.
fn counted(gateway: &Gateway, answer: Result<Response, Fault>) -> Response {
    gateway.figures.api_requests.inc();
    answer.unwrap_or_else(|fault| {
        match &fault {
            Fault::Limited(_) | Fault::Crowded(_) => gateway.figures.api_limited.inc(),
            Fault::Unanswered(_) => gateway.figures.api_unanswered.inc(),
            _ => {}
        }
        fault.response()
    })
}

async fn route(
    gateway: &Arc<Gateway>,
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
) -> Result<Response, Fault> {
    let grant = admit(gateway, headers)?;
    if path == REVOCATIONS {
        return Err(Fault::Method("POST"));
    }
    let resource = Resource::of(path)?;
    if method != Method::GET && method != Method::HEAD {
        return Err(Fault::Method("GET, HEAD"));
    }
    let call = Call {
        gateway,
        grant,
        query,
        headers,
        is_head: method == Method::HEAD,
    };
    let mut response = match resource {
        Resource::Metrics => {
            call.accept_json()?;
            let view = gateway.mesh_stats.view(Instant::now(), clock::now_ms());
            reply(&metrics::metrics(&view, call.grant.rights.role.sees_instances()))
        }
        Resource::Detections => detections::answer(&call).await?,
        Resource::Address(address) => facts::address(&call, &address).await?,
        Resource::Chats => facts::chats(&call).await?,
        Resource::Sender(id) => facts::sender(&call, &id).await?,
        Resource::DeadLetters => ledgers::dead_letters(&call).await?,
        Resource::Audit => ledgers::audit(&call).await?,
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::VARY, HeaderValue::from_static("accept, authorization"));
    Ok(response)
}

/// Checks the token, and how often its subject asks.
fn admit(gateway: &Gateway, headers: &HeaderMap) -> Result<Grant, Fault> {
    let token = bearer(headers).ok_or(Fault::Unauthorized("Authorization: Bearer is missing"))?;
    let grant = gateway.verify(token).map_err(Fault::Unauthorized)?;
    if !gateway.revocations.are_known() {
        return Err(Fault::NotReady("not ready yet"));
    }
    gateway
        .pace
        .take(&grant.subject, Instant::now())
        .map_err(Fault::Limited)?;
    Ok(grant)
}

/// What can be read.
enum Resource {
    Metrics,
    Detections,
    Address(String),
    Chats,
    Sender(String),
    DeadLetters,
    Audit,
}

impl Resource {
    fn of(path: &str) -> Result<Self, Fault> {
        let below = |start: &str| {
            let name = path.strip_prefix(start)?;
            (!name.is_empty() && !name.contains('/')).then(|| params::decode_path(name))
        };
        match path {
            METRICS => return Ok(Self::Metrics),
            "/api/detections" => return Ok(Self::Detections),
            "/api/chats" => return Ok(Self::Chats),
            "/api/deadletters" => return Ok(Self::DeadLetters),
            "/api/audit" => return Ok(Self::Audit),
            _ => {}
        }
        if let Some(address) = below("/api/addresses/") {
            return Ok(Self::Address(address?));
        }
        if let Some(id) = below("/api/senders/") {
            return Ok(Self::Sender(id?));
        }
        Err(Fault::NotFound)
    }
}

impl Call<'_> {
    fn reader(&self) -> Result<&Reader, Fault> {
        Ok(self.gateway.reader.as_ref().ok_or(Unanswered::Absent)?)
    }

    fn params(&self) -> Result<Params, Fault> {
        Ok(Params::parse(self.query)?)
    }

    /// For what has one form only.
    fn accept_json(&self) -> Result<(), Fault> {
        match accept::choose(self.headers, &[JSON]) {
            Some(_) => Ok(()),
            None => Err(Fault::NotAcceptable("this resource is application/json")),
        }
    }

    fn operator(&self) -> Result<(), Fault> {
        if self.grant.rights.role.administers() {
            Ok(())
        } else {
            Err(Fault::Forbidden("only an operator may see this"))
        }
    }
}

fn reply(answer: &impl Serialize) -> Response {
    warp::reply::json(answer).into_response()
}

/// `POST /api/revocations`: what to revoke.
#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Revocation {
    Token { token_id: String },
    Subject { subject: String },
}

/// Takes a token, or all tokens of a subject, back.
pub async fn revoke<B, E>(gateway: Arc<Gateway>, headers: HeaderMap, body: impl Stream<Item = Result<B, E>>) -> Response
where
    B: Buf,
{
    let stored = store_revocation(&gateway, &headers, body).await;
    let done = |()| warp::reply::with_status(warp::reply(), StatusCode::NO_CONTENT).into_response();
    counted(&gateway, stored.map(done))
}

async fn store_revocation<B, E>(
    gateway: &Gateway,
    headers: &HeaderMap,
    body: impl Stream<Item = Result<B, E>>,
) -> Result<(), Fault>
where
    B: Buf,
{
    let grant = admit(gateway, headers)?;
    if !grant.rights.role.administers() {
        return Err(Fault::Forbidden("only an operator may revoke"));
    }
    let body = bounded(body).await.ok_or(Fault::TooLarge)?;
    let asked = serde_json::from_slice(&body).ok().map(|asked| match asked {
        Revocation::Token { token_id } => ("token", token_id),
        Revocation::Subject { subject } => ("subject", subject),
    });
    let Some((kind, name)) = asked.filter(|(_, name)| (1..=MAX_NAME_BYTES).contains(&name.len())) else {
        return Err(Fault::Bad(params::Bad {
            parameter: None,
            problem: "the body has to be {\"token_id\": …} or {\"subject\": …}".to_owned(),
        }));
    };
    let mesh = gateway.mesh.get().ok_or(Fault::NotReady("not ready yet"))?;
    if let Err(error) = revocations::revoke(mesh, &name, &grant.subject, clock::now_ms()).await {
        tracing::warn!(%error, "a revocation was not stored");
        return Err(Fault::NotReady("the revocation was not stored, try again"));
    }
    gateway
        .audit
        .note("revoke", Some(&grant.subject), Some(&format!("{kind}:{name}")), []);
    Ok(())
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
