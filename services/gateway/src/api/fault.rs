//! Why a request is not answered as its client hoped.

use std::error::Error as _;
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

use super::params::Bad;
use crate::problem::{bad_parameter, problem, try_again};
use crate::reader::Unanswered;

/// What a problem document tells.
#[derive(Debug)]
pub enum Fault {
    /// The request cannot be read.
    Bad(Bad),
    /// No token, or a bad one.
    Unauthorized(&'static str),
    /// The role does not allow it.
    Forbidden(&'static str),
    /// There is no such thing, as far as the token may know.
    NotFound,
    /// Only these methods are there.
    Method(&'static str),
    /// None of the forms that are there is accepted.
    NotAcceptable(&'static str),
    /// The body is too large.
    TooLarge,
    /// Too many requests.
    Limited(Duration),
    /// Too many clients, of one kind or in all.
    Crowded(&'static str),
    /// The gateway, or what it needs, is not there yet.
    NotReady(&'static str),
    /// The database gave no answer.
    Unanswered(Unanswered),
}

impl Fault {
    /// The problem document.
    pub fn response(&self) -> Response {
        match self {
            Self::Bad(bad) => bad_parameter(&bad.to_string(), bad.parameter.as_deref()),
            Self::Unauthorized(detail) => problem(StatusCode::UNAUTHORIZED, detail),
            Self::Forbidden(detail) => problem(StatusCode::FORBIDDEN, detail),
            Self::NotFound => problem(StatusCode::NOT_FOUND, "there is no such resource"),
            Self::Method(allowed) => {
                let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "this resource has other methods");
                let headers = response.headers_mut();
                headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
                response
            }
            Self::NotAcceptable(offers) => problem(StatusCode::NOT_ACCEPTABLE, offers),
            Self::TooLarge => problem(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is larger than 4096 bytes, or broke off",
            ),
            Self::Limited(wait) => try_again(StatusCode::TOO_MANY_REQUESTS, "too many requests, wait a little", *wait),
            Self::Crowded(detail) => try_again(StatusCode::TOO_MANY_REQUESTS, detail, Duration::from_secs(5)),
            Self::NotReady(detail) => try_again(StatusCode::SERVICE_UNAVAILABLE, detail, Duration::from_secs(1)),
            Self::Unanswered(unanswered) => refuse(unanswered),
        }
    }
}

impl From<Bad> for Fault {
    fn from(bad: Bad) -> Self {
        Self::Bad(bad)
    }
}

impl From<Unanswered> for Fault {
    fn from(unanswered: Unanswered) -> Self {
        Self::Unanswered(unanswered)
    }
}

fn refuse(unanswered: &Unanswered) -> Response {
    let away = |detail, seconds| {
        let after = Duration::from_secs(seconds);
        try_again(StatusCode::SERVICE_UNAVAILABLE, detail, after)
    };
    match unanswered {
        Unanswered::Absent => away("this gateway has no database: only live events are served", 60),
        Unanswered::Busy => away("too many queries at once, wait a little", 1),
        Unanswered::TooLong => away("the query took too long: ask for fewer chats or a shorter time", 5),
        Unanswered::Away(_) => {
            tracing::warn!(error = unanswered.source(), "the past cannot be read");
            away("the database is away, wait a little", 2)
        }
        Unanswered::Refused(_) => {
            tracing::error!(error = unanswered.source(), "the database refused a query");
            problem(StatusCode::INTERNAL_SERVER_ERROR, "the query failed; the log tells why")
        }
    }
}
