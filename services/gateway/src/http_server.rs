//! The port for clients: accepts, routes, upgrades.

mod requests;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tgmesh_lifecycle::admin;
use tgmesh_lifecycle::health::Health;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use warp::Filter;
use warp::reply::{Reply, Response};

use crate::address::Place;
use crate::client::Arrival;
use crate::connection::Connection;
use crate::gateway::Gateway;
use crate::problem::problem;
use crate::tls::Tls;
use crate::upgrade::{Handshake, bearer};
use crate::{api, assets, client};
use requests::Requests;

/// How long a request's head may take. It bounds idle keep-alive connections, too.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request with a body may take, its answer included.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Room for a request's head, the token included.
const MAX_HEAD_BYTES: usize = 32 << 10;
/// Connections that are not (yet) WebSockets. Each costs up to `MAX_HEAD_BYTES`.
const MAX_HTTP_CONNECTIONS: usize = 1024;
/// How long an HTTP/2 connection may be without a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Requests of one HTTP/2 connection at once.
const MAX_STREAMS: u32 = 64;
/// After a failed accept, mostly for want of descriptors: time for some to come free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Who is at the other end of the connection.
#[derive(Debug, Clone, Copy)]
struct Peer(IpAddr);

/// What every request of a connection is told.
struct With {
    peer: Peer,
    permit: Permit,
}

/// A connection's place among those that are no clients (yet). Requests have it, too.
#[derive(Debug, Clone)]
struct Permit(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Permit {
    fn give_back(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Serves the port until the process stops; requests in flight are answered.
pub async fn serve(listener: TcpListener, tls: Option<Tls>, gateway: Arc<Gateway>, health: Health) {
    let service = TowerToHyperService::new(warp::service(routes(&gateway, health)));
    let soft = gateway.shutdown.soft();
    let connections = TaskTracker::new();
    let room = Arc::new(Semaphore::new(MAX_HTTP_CONNECTIONS));
    loop {
        let permit = tokio::select! {
            // The semaphore is never closed.
            permit = Arc::clone(&room).acquire_owned() => Permit(Arc::new(Mutex::new(permit.ok()))),
            () = soft.cancelled() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = soft.cancelled() => break,
        };
        let (stream, peer): (TcpStream, SocketAddr) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "couldn't accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (service, tls, gateway) = (service.clone(), tls.clone(), Arc::clone(&gateway));
        connections.spawn(async move {
            let with = With {
                peer: Peer(peer.ip()),
                permit: permit.clone(),
            };
            if let Err(error) = connection(stream, with, tls, &gateway, service).await {
                tracing::debug!(error, %peer, "a connection failed");
            }
            permit.give_back();
        });
    }
    drop(listener);
    connections.close();
    let _ = tokio::time::timeout(HEADER_TIMEOUT / 5, connections.wait()).await;
}

/// Serves one connection until it is over, or has become a WebSocket.
async fn connection<S>(
    stream: TcpStream,
    with: With,
    tls: Option<Tls>,
    gateway: &Gateway,
    service: S,
) -> Result<(), String>
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Send + Sync + 'static,
    S::Future: Send,
{
    // A frame must not wait for the ack of the one before it.
    stream
        .set_nodelay(true)
        .map_err(|error| format!("couldn't set TCP_NODELAY: {error}"))?;
    let stream = match tls {
        None => Connection::Plain(stream),
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => Connection::Tls(Box::new(stream)),
            Err(error) => {
                gateway.figures.tls.failed_handshakes.inc();
                return Err(format!("no TLS: {error}"));
            }
        },
    };
    let requests = Arc::new(Requests::default());
    let counted = Arc::clone(&requests);
    let with_peer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(with.peer);
        request.extensions_mut().insert(with.permit.clone());
        let running = counted.begin();
        let answer = service.call(request);
        async move {
            let _running = running;
            answer.await
        }
    });
    let soft = gateway.shutdown.soft();
    if stream.speaks_http2() {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEAD_BYTES as u32)
            .keep_alive_interval(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), with_peer);
        let mut connection = std::pin::pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = either(soft.cancelled(), requests.none_for(IDLE_TIMEOUT)) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        return result.map_err(|error| error.to_string());
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), with_peer)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = soft.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    result.map_err(|error| error.to_string())
}

async fn either(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    tokio::select! {
        () = one => {}
        () = other => {}
    }
}

fn routes(
    gateway: &Arc<Gateway>,
    health: Health,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + use<> {
    let with_gateway = {
        let gateway = Arc::clone(gateway);
        warp::any().map(move || Arc::clone(&gateway))
    };
    let socket = warp::path("ws")
        .and(warp::path::end())
        .and(warp::get())
        .and(with_gateway.clone())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<OnUpgrade>())
        .and(warp::ext::get::<Peer>())
        .map(|gateway, headers: HeaderMap, on_upgrade, peer| upgrade(gateway, &headers, on_upgrade, peer));
    let stream = warp::path!("api" / "stream")
        .and(warp::get())
        .and(query())
        .and(with_gateway.clone())
        .and(warp::header::headers_cloned())
        .and(warp::ext::get::<Peer>())
        .and(warp::ext::get::<Permit>())
        .then(
            |query: String, gateway: Arc<Gateway>, headers: HeaderMap, peer: Peer, permit: Permit| async move {
                let place = Place::of(gateway.proxies.client(peer.0, &headers));
                match ready(&gateway, &headers).await {
                    // It has a place among the clients from now on.
                    Ok(()) => api::stream(&gateway, &headers, &query, place, || permit.give_back()),
                    Err(response) => response,
                }
            },
        );
    let api = warp::path("api")
        .and(warp::method())
        .and(warp::path::full())
        .and(query())
        .and(with_gateway.clone())
        .and(warp::header::headers_cloned())
        .then(
            |method, path: warp::path::FullPath, query: String, gateway: Arc<Gateway>, headers| async move {
                match ready(&gateway, &headers).await {
                    Ok(()) => api::answer(gateway, &method, path.as_str(), &query, &headers).await,
                    Err(response) => response,
                }
            },
        );
    let description = warp::path!("openapi.json")
        .and(warp::get().or(warp::head()).unify())
        .map(|| document(api::openapi()));
    let revocation = warp::path!("api" / "revocations")
        .and(warp::post())
        .and(with_gateway)
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(
            async |gateway: Arc<Gateway>, headers, body| match ready(&gateway, &headers).await {
                // A body that trickles in would hold one of the few places of connections without a token.
                Ok(()) => tokio::time::timeout(BODY_TIMEOUT, api::revoke(gateway, headers, body))
                    .await
                    .unwrap_or_else(|_| problem(StatusCode::REQUEST_TIMEOUT, "the request took too long")),
                Err(response) => response,
            },
        );
    let probes = admin::probes(health).map(Reply::into_response);
    let frames = warp::path!("asyncapi.json")
        .and(warp::get().or(warp::head()).unify())
        .map(|| document(tgmesh_proto::ASYNCAPI));
    let page = warp::get()
        .or(warp::head())
        .unify()
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and_then(|path: warp::path::FullPath, headers: HeaderMap| {
            std::future::ready(assets::serve(path.as_str(), &headers).ok_or_else(warp::reject::not_found))
        });
    socket
        .or(description)
        .unify()
        .or(revocation)
        .unify()
        .or(stream)
        .unify()
        .or(api)
        .unify()
        .or(frames)
        .unify()
        .or(probes)
        .unify()
        .or(page)
        .unify()
        .recover(refusal)
        .unify()
}

/// What stands behind the question mark.
fn query() -> impl Filter<Extract = (String,), Error = Infallible> + Copy {
    warp::query::raw().or(warp::any().map(String::new)).unify()
}

/// Waits for what a request's token needs in order to be checked.
async fn ready(gateway: &Gateway, headers: &HeaderMap) -> Result<(), Response> {
    if gateway.verifier.learn(bearer(headers).unwrap_or_default()).await {
        Ok(())
    } else {
        Err(problem(StatusCode::SERVICE_UNAVAILABLE, "not ready yet"))
    }
}

/// `/openapi.json`, `/asyncapi.json`: what there is, for everyone.
fn document(text: &'static str) -> Response {
    let mut response = Response::new(text.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What no route answers. warp does not tell which of them came closest, but its reply's status does.
async fn refusal(rejection: warp::Rejection) -> Result<Response, Infallible> {
    let status = if rejection.is_not_found() {
        StatusCode::NOT_FOUND
    } else if rejection.find::<warp::reject::MethodNotAllowed>().is_some() {
        StatusCode::METHOD_NOT_ALLOWED
    } else {
        StatusCode::BAD_REQUEST
    };
    Ok(problem(status, "see /openapi.json for what there is"))
}

fn upgrade(gateway: Arc<Gateway>, headers: &HeaderMap, on_upgrade: Option<OnUpgrade>, peer: Peer) -> Response {
    let (handshake, on_upgrade) = match (Handshake::check(headers, &gateway.origins), on_upgrade) {
        (Ok(handshake), Some(on_upgrade)) => (handshake, on_upgrade),
        (Ok(_), None) => return problem(StatusCode::BAD_REQUEST, "this connection cannot be upgraded"),
        (Err(refused), _) => {
            gateway.figures.refused.inc();
            return refused.response();
        }
    };
    gateway.figures.connections.inc();
    let place = Place::of(gateway.proxies.client(peer.0, headers));
    let response = handshake.response();
    let (clients, panics) = (gateway.clients.clone(), gateway.figures.panics.clone());
    let arriving = Box::pin(upgraded(handshake, on_upgrade));
    clients.spawn(client::alone(panics, client::serve(gateway, arriving, place)));
    response
}

async fn upgraded(handshake: Handshake, on_upgrade: OnUpgrade) -> Option<Arrival> {
    let upgraded = on_upgrade.await;
    let upgraded = upgraded.inspect_err(|error| tracing::debug!(%error, "an upgrade failed"));
    // `connection` above made it.
    let Ok(parts) = upgraded.ok()?.downcast::<TokioIo<Connection>>() else {
        tracing::error!("an upgraded connection is none of ours");
        return None;
    };
    Some(Arrival {
        connection: parts.io.into_inner(),
        read: parts.read_buf,
        format: handshake.format,
        token: handshake.token,
    })
}
