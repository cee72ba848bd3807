//! Errors of the HTTP side as RFC 9457 problem documents.

use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use warp::reply::{Reply as _, Response};

/// A problem document. `detail` must hold nothing secret.
#[must_use]
pub fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    let mut response = warp::reply::with_status(body.to_string(), status).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"tgmesh\""),
        );
    }
    response
}
