//! The admin port: `/healthz` (the process lives), `/readyz` (it takes work), `/metrics`.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use warp::http::{Response, StatusCode, header};
use warp::{Filter, Reply};

use crate::health::Health;
use crate::metrics::{Form, Metrics};

/// Serves the admin port until the token is cancelled.
pub(crate) async fn serve(listener: TcpListener, health: Health, metrics: Metrics, until: CancellationToken) {
    let is_ready = health.clone();
    let accept = warp::header::optional::<String>("accept");
    let page = warp::path("metrics")
        .and(warp::path::end())
        .and(accept)
        .map(move |accept: Option<String>| {
            let form = Form::for_accept(accept.as_deref());
            let page = metrics.page(form, is_ready.is_ready());
            warp::reply::with_header(page, header::CONTENT_TYPE, form.media_type())
        });
    // Boxed, because the routes' own type names lifetimes that a spawned future may not.
    let routes = warp::get().and(probes(health).or(page)).boxed();
    warp::serve(routes)
        .incoming(listener)
        .graceful(until.cancelled_owned())
        .run()
        .await;
}

/// `/healthz` and `/readyz`, for services that answer them on their main port, too.
#[must_use]
pub fn probes(health: Health) -> impl Filter<Extract = (Response<String>,), Error = warp::Rejection> + Clone {
    let alive = warp::path("healthz")
        .and(warp::path::end())
        .map(|| json(StatusCode::OK, "{\"alive\":true}".to_owned()));
    let ready = warp::path("readyz").and(warp::path::end()).map(move || {
        let status = if health.is_ready() {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        json(status, health.report().to_string())
    });
    warp::get().and(alive.or(ready).unify())
}

/// Binds an address, with an error that names it and what to do.
///
/// # Errors
/// When the address is taken or not of this host.
pub async fn bind(addr: SocketAddr, variable: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).await.map_err(|error| {
        anyhow::Error::new(error).context(format!("couldn't listen on {addr}: set {variable} to a free address"))
    })
}

fn json(status: StatusCode, body: String) -> Response<String> {
    let mut response = warp::reply::with_status(body.clone(), status)
        .into_response()
        .map(|_| body);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    response
}
