//! Errors of the HTTP side as RFC 9457 problem documents.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use warp::reply::{Reply as _, Response};

/// A problem document. `detail` must hold nothing secret.
#[must_use]
pub fn problem(status: StatusCode, detail: &str) -> Response {
    respond(status, detail, None)
}

/// As [`problem`], naming the parameter of the query that is wrong.
#[must_use]
pub fn bad_parameter(detail: &str, parameter: Option<&str>) -> Response {
    respond(StatusCode::BAD_REQUEST, detail, parameter)
}

/// As [`problem`], telling when it makes sense to try again.
#[must_use]
pub fn try_again(status: StatusCode, detail: &str, after: Duration) -> Response {
    let mut response = problem(status, detail);
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    response
}

fn respond(status: StatusCode, detail: &str, parameter: Option<&str>) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let mut body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    if let Some(parameter) = parameter {
        body["parameter"] = parameter.into();
    }
    let mut response = warp::reply::with_status(body.to_string(), status).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"tgmesh\""),
        );
    }
    response
}
