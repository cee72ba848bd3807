//! The port for clients: accepts, routes, upgrades.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tgmesh_lifecycle::admin;
use tgmesh_lifecycle::health::Health;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use warp::Filter;
use warp::reply::{Reply, Response};

use crate::address::Place;
use crate::gateway::Gateway;
use crate::problem::problem;
use crate::upgrade::{Handshake, bearer};
use crate::{api, assets, client};

/// How long a request's head may take. It bounds idle keep-alive connections, too.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request with a body may take, its answer included.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Room for a request's head, the token included.
const MAX_HEAD_BYTES: usize = 32 << 10;
/// Connections that are not (yet) WebSockets. Each costs up to `MAX_HEAD_BYTES`.
const MAX_HTTP_CONNECTIONS: usize = 1024;
/// After a failed accept, mostly for want of descriptors: time for some to come free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Who is at the other end of the connection.
#[derive(Debug, Clone, Copy)]
struct Peer(IpAddr);

/// Serves the port until the process stops; requests in flight are answered.
pub async fn serve(listener: TcpListener, gateway: Arc<Gateway>, health: Health) {
    let service = warp::service(routes(&gateway, health));
    let soft = gateway.shutdown.soft();
    let connections = TaskTracker::new();
    let room = Arc::new(Semaphore::new(MAX_HTTP_CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let permit = tokio::select! {
            permit = Arc::clone(&room).acquire_owned() => permit,
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
        // A frame must not wait for the ack of the one before it.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, %peer, "couldn't set TCP_NODELAY");
        }
        let routed = TowerToHyperService::new(service.clone());
        let with_peer = service_fn(move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer.ip()));
            routed.call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), with_peer)
            .with_upgrades();
        let soft = soft.clone();
        connections.spawn(async move {
            let _permit = permit;
            let mut connection = std::pin::pin!(connection);
            let result = tokio::select! {
                result = connection.as_mut() => result,
                () = soft.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = result {
                tracing::debug!(%error, %peer, "an HTTP connection failed");
            }
        });
    }
    drop(listener);
    connections.close();
    let _ = tokio::time::timeout(HEADER_TIMEOUT / 5, connections.wait()).await;
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
    let clients = gateway.clients.clone();
    clients.spawn(async move {
        let figures = gateway.figures.clone();
        // A client that makes its task panic ends alone.
        if AssertUnwindSafe(upgraded(gateway, handshake, on_upgrade, place))
            .catch_unwind()
            .await
            .is_err()
        {
            figures.panics.inc();
            tracing::error!("a client's task panicked; its connection is closed");
        }
    });
    response
}

async fn upgraded(gateway: Arc<Gateway>, handshake: Handshake, on_upgrade: OnUpgrade, place: Place) {
    let parts = match on_upgrade.await {
        // The accept loop above made it: it is a TcpStream.
        Ok(upgraded) => upgraded.downcast::<TokioIo<TcpStream>>(),
        Err(error) => {
            tracing::debug!(%error, "an upgrade failed");
            return;
        }
    };
    if let Ok(parts) = parts {
        let read: Bytes = parts.read_buf;
        let (format, token) = (handshake.format, handshake.token);
        client::serve(gateway, parts.io.into_inner(), read, format, token, place).await;
    } else {
        tracing::error!("an upgraded connection is no TCP stream");
    }
}
