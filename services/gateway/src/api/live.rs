//! `/api/stream`: live detections as Server-Sent Events, out of the same sessions as a WebSocket's.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use tgmesh_proto::frame::{MAX_LAST, Resume};
use warp::reply::{Reply as _, Response};

use super::fault::Fault;
use super::params::{self, Bad, Params};
use super::{accept, admit, filter};
use crate::address::Place;
use crate::client::{self, Request};
use crate::gateway::{Gateway, REVOKED};
use crate::registry::Limit;

const EVENT_STREAM: &str = "text/event-stream";
/// What the frames call the one subscription.
const SUBSCRIPTION: &str = "stream";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Begins a stream of events. `on_start` is called once it is certain that one will run.
///
/// # Errors
/// See [`Fault`].
pub fn begin(
    gateway: &Arc<Gateway>,
    headers: &HeaderMap,
    query: &str,
    place: Place,
    on_start: impl FnOnce(),
) -> Result<Response, Fault> {
    let grant = admit(gateway, headers)?;
    if accept::choose(headers, &[EVENT_STREAM]).is_none() {
        return Err(Fault::NotAcceptable("this resource is text/event-stream"));
    }
    let mut params = Params::parse(query)?;
    let wanted = filter::filter(&mut params)?;
    let last = params.read("last", params::number(1..=MAX_LAST.into()))?;
    params.finish()?;
    filter::compile(&wanted)?;
    let resume = match (position(headers)?, last) {
        // A client that comes back brings the parameters that it came with, too.
        (Some(position), _) => Some(position),
        (None, Some(last)) => Some(Resume::Last { last: last as u32 }),
        (None, None) => None,
    };
    let stopping = gateway.shutdown.soft().is_cancelled();
    let Some(now) = gateway.hub.place().filter(|_| !stopping) else {
        return Err(Fault::NotReady("not ready yet"));
    };
    let refuse = |limit: Limit| {
        gateway.limited(limit, Some(&grant.subject), place);
        Fault::Crowded(limit.reason())
    };
    let mut seat = gateway.registry.admit(place).map_err(refuse)?;
    if !seat.belongs_to(&grant) {
        return Err(refuse(Limit::Subject));
    }
    // Behind its registration: a revocation either is seen here or reaches the mailbox.
    if gateway.revocations.hold(&grant) {
        gateway.refuse_token(REVOKED);
        return Err(Fault::Unauthorized(REVOKED));
    }
    on_start();
    gateway.figures.event_streams.inc();
    let (stream, body) = client::event_stream(now.epoch);
    let request = Request {
        id: SUBSCRIPTION.to_owned(),
        filter: wanted,
        resume,
    };
    let serving = client::serve_events(Arc::clone(gateway), stream, seat, grant, request);
    gateway
        .clients
        .spawn(client::alone(gateway.figures.panics.clone(), serving));
    let mut response = warp::reply::stream(body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // What nginx and its kin look at: an event that is held back until a buffer is full is late.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// `Last-Event-ID: epoch:seq`. A browser that never had one sends none, or an empty one.
fn position(headers: &HeaderMap) -> Result<Option<Resume>, Bad> {
    let Some(value) = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let position = value.to_str().ok().and_then(|text| {
        let (epoch, seq) = text.rsplit_once(':')?;
        let after = seq.parse().ok()?;
        (!epoch.is_empty()).then(|| Resume::After {
            epoch: epoch.to_owned(),
            after,
            since: None,
        })
    });
    position
        .map(Some)
        .ok_or_else(|| Bad::new("Last-Event-ID", "must be an id that an event had: epoch:seq"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_or_refused() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LAST_EVENT_ID, text.parse().expect("a header"));
            position(&headers)
        };
        assert_eq!(position(&HeaderMap::new()), Ok(None));
        assert_eq!(of(""), Ok(None));
        let at = |epoch: &str, after| {
            let (epoch, since) = (epoch.to_owned(), None);
            Ok(Some(Resume::After { epoch, after, since }))
        };
        assert_eq!(of("e1:7"), at("e1", 7));
        assert_eq!(of("2026:e:0"), at("2026:e", 0));
        for bad in ["7", ":7", "e1:", "e1:-1", "e1:x", "e1:18446744073709551616"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
