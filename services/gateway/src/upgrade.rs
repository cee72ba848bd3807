//! From an HTTP request to a WebSocket, by hand.
//!
//! warp's own `ws()` costs 136 KiB a connection, because it hides the read buffer's size, and it
//! cannot answer with a subprotocol. Here the request is checked as RFC 6455 (4.2.1) asks, and the
//! bare TCP stream comes out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tgmesh_proto::frame::SUBPROTOCOL_BEARER;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use warp::reply::Response;

use crate::problem::problem;
use crate::wire::Format;

/// Web origins that may open a WebSocket besides the gateway's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(Vec<String>);

/// A request that may be upgraded.
#[derive(Debug, PartialEq, Eq)]
pub struct Handshake {
    /// How frames are written.
    pub format: Format,
    /// The token, where the request brought one.
    pub token: Option<String>,
    accept: String,
    subprotocol: Option<String>,
}

/// A request that may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Status of the answer.
    pub status: StatusCode,
    detail: &'static str,
}

impl Origins {
    /// Reads a comma list of origins: `https://example.com`, `http://localhost:5173`.
    ///
    /// # Errors
    /// For an entry that is no origin.
    pub fn parse(raw: &str) -> Result<Self, String> {
        let entries = raw.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries
            .map(|entry| {
                let (scheme, authority) = entry.split_once("://").unwrap_or_default();
                let is_origin = matches!(scheme, "http" | "https")
                    && !authority.is_empty()
                    && !authority.contains(['/', '?', '#', '@', '*'])
                    && !authority.contains(char::is_whitespace);
                if is_origin {
                    Ok(entry.to_ascii_lowercase())
                } else {
                    Err(format!(
                        "holds {entry:?}, which is no origin such as https://example.com"
                    ))
                }
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a page of this origin may connect to a gateway that it calls `host`.
    fn allow(&self, origin: &str, host: Option<&str>) -> bool {
        let origin = origin.to_ascii_lowercase();
        let Some((scheme, authority)) = origin.split_once("://") else {
            return false;
        };
        // The scheme of our own page is not known: TLS may end before this process.
        let own = host.is_some_and(|host| {
            let port = if scheme == "https" { ":443" } else { ":80" };
            let host = host.to_ascii_lowercase();
            matches!(scheme, "http" | "https") && host.strip_suffix(port).unwrap_or(&host) == authority
        });
        own || self.0.contains(&origin)
    }
}

impl Handshake {
    /// Checks a request.
    ///
    /// # Errors
    /// 403 for an Origin that is not allowed, 426 for another version of the protocol, otherwise 400.
    pub fn check(headers: &HeaderMap, origins: &Origins) -> Result<Self, Refused> {
        if !lists(headers, header::UPGRADE, "websocket") || !lists(headers, header::CONNECTION, "upgrade") {
            return refuse(
                StatusCode::BAD_REQUEST,
                "this is a WebSocket: the request has to ask for an upgrade to it",
            );
        }
        // RFC 6455, 11.3.1: once each. Of two, a proxy may have looked at the other.
        for name in [
            header::SEC_WEBSOCKET_KEY,
            header::SEC_WEBSOCKET_VERSION,
            header::AUTHORIZATION,
        ] {
            if headers.get_all(&name).iter().nth(1).is_some() {
                return refuse(
                    StatusCode::BAD_REQUEST,
                    "Sec-WebSocket-Key, Sec-WebSocket-Version and Authorization may be there once",
                );
            }
        }
        if header_text(headers, header::SEC_WEBSOCKET_VERSION) != Some("13") {
            return refuse(
                StatusCode::UPGRADE_REQUIRED,
                "the version of the WebSocket protocol has to be 13",
            );
        }
        let key = header_text(headers, header::SEC_WEBSOCKET_KEY).unwrap_or_default();
        if STANDARD.decode(key).map(|bytes| bytes.len()) != Ok(16) {
            return refuse(
                StatusCode::BAD_REQUEST,
                "Sec-WebSocket-Key has to be 16 bytes in base64",
            );
        }
        let mut origin = headers.get_all(header::ORIGIN).iter();
        match (origin.next().map(HeaderValue::to_str), origin.next()) {
            // No browser: the token decides alone.
            (None, _) => {}
            (Some(Ok(origin)), None) if origins.allow(origin, header_text(headers, header::HOST)) => {}
            _ => return refuse(StatusCode::FORBIDDEN, "this Origin is not allowed"),
        }
        let offer = Offer::read(headers)?;
        let bearer = bearer(headers).map(str::to_owned).or(offer.token);
        Ok(Self {
            format: offer.format.unwrap_or(Format::Json),
            token: bearer,
            accept: derive_accept_key(key.as_bytes()),
            subprotocol: offer.subprotocol,
        })
    }

    /// The answer: 101.
    #[must_use]
    pub fn response(&self) -> Response {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        let optional = [
            (header::SEC_WEBSOCKET_ACCEPT, Some(self.accept.as_str())),
            (header::SEC_WEBSOCKET_PROTOCOL, self.subprotocol.as_deref()),
        ];
        for (name, value) in optional {
            // Base64 and the names of our own subprotocols are header values.
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
                headers.insert(name, value);
            }
        }
        response
    }
}

impl Refused {
    /// The answer: a problem document.
    #[must_use]
    pub fn response(self) -> Response {
        let mut response = problem(self.status, self.detail);
        if self.status == StatusCode::UPGRADE_REQUIRED {
            response
                .headers_mut()
                .insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        response
    }
}

/// The token of `Authorization: Bearer`. Another scheme is a token, too: a bad one.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().unwrap_or_default();
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Some(token.trim()),
        _ => Some(""),
    }
}

/// What `Sec-WebSocket-Protocol` offers.
#[derive(Default)]
struct Offer {
    format: Option<Format>,
    subprotocol: Option<String>,
    token: Option<String>,
}

impl Offer {
    fn read(headers: &HeaderMap) -> Result<Self, Refused> {
        let mut offer = Self::default();
        let mut names = words(headers, header::SEC_WEBSOCKET_PROTOCOL).peekable();
        let is_empty = names.peek().is_none();
        while let Some(name) = names.next() {
            if name == SUBPROTOCOL_BEARER {
                offer.token = Some(names.next().unwrap_or_default().to_owned());
            } else if let (None, Some(format)) = (offer.format, Format::of_subprotocol(name)) {
                offer.format = Some(format);
                offer.subprotocol = Some(name.to_owned());
            }
        }
        if offer.format.is_none() && !is_empty {
            refuse(
                StatusCode::BAD_REQUEST,
                "none of the offered subprotocols is tgmesh.v1.json or tgmesh.v1.msgpack",
            )
        } else {
            Ok(offer)
        }
    }
}

fn refuse<T>(status: StatusCode, detail: &'static str) -> Result<T, Refused> {
    Err(Refused { status, detail })
}

fn header_text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The entries of a comma list that may be spread over several headers.
fn words(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

fn lists(headers: &HeaderMap, name: HeaderName, wanted: &str) -> bool {
    words(headers, name).any(|word| word.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests;
