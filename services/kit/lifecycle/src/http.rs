//! A small JSON server for control ports, so that a crate that needs one needs no web framework.

use std::future::Future;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use warp::Filter;
pub use warp::http::StatusCode;
use warp::http::{self, Method, header};

/// Largest request body, in bytes.
const MAX_BODY_BYTES: u64 = 1 << 20;

/// What was asked.
#[derive(Debug)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Path with its leading slash, as sent.
    pub path: String,
    /// Query without the question mark; empty when there is none.
    pub query: String,
    /// Body, at most 1 MiB.
    pub body: Bytes,
}

/// What is answered.
#[derive(Debug)]
pub struct Response {
    /// Status code.
    pub status: StatusCode,
    /// Media type.
    pub content_type: &'static str,
    /// Body.
    pub body: Bytes,
}

impl Request {
    /// The value of a query parameter, as sent (nothing is unescaped).
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

impl Response {
    /// A JSON answer.
    #[must_use]
    pub fn json(status: StatusCode, body: &serde_json::Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            body: Bytes::from(body.to_string()),
        }
    }

    /// `{"error": message}`.
    #[must_use]
    pub fn error(status: StatusCode, message: &str) -> Self {
        Self::json(status, &serde_json::json!({ "error": message }))
    }
}

/// Serves requests until the token is cancelled.
pub async fn serve<H, F>(listener: TcpListener, handler: H, until: CancellationToken)
where
    H: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send,
{
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let body = warp::body::content_length_limit(MAX_BODY_BYTES)
        .and(warp::body::bytes())
        .or(warp::get().or(warp::delete()).unify().map(Bytes::new))
        .unify();
    let route = warp::method().and(warp::path::full()).and(query).and(body).then(
        move |method, path: warp::path::FullPath, query, body| {
            let answer = handler(Request {
                method,
                path: path.as_str().to_owned(),
                query,
                body,
            });
            async move {
                let Response {
                    status,
                    content_type,
                    body,
                } = answer.await;
                let mut response = http::Response::new(body);
                *response.status_mut() = status;
                response
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
                response
            }
        },
    );
    warp::serve(route)
        .incoming(listener)
        .graceful(until.cancelled_owned())
        .run()
        .await;
}
