//! Signing in, from the side of the people behind the accounts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tgmesh_lifecycle::http::{Request, Response};

use super::{ok, with};
use crate::sim::{LoginError, Person, Sim};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKeys {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    account: String,
    /// As in the link that the QR code holds: base64url.
    token: String,
}

/// Answers what is about signing in; nothing for anything else.
pub(super) fn answer(sim: &Sim, request: &Request, path: &str) -> Option<Response> {
    let post = request.method == Method::POST;
    Some(match path {
        "/logins" if request.method == Method::GET => ok(&sim.codes()),
        "/logins/expire" if post => {
            sim.expire_logins();
            ok(&json!({}))
        }
        "/logins/accept" if post => with(request, |accepted: Accepted| {
            match URL_SAFE_NO_PAD.decode(accepted.token.trim_end_matches('=')) {
                Ok(token) => told(sim.accept_token(&accepted.account, &token)),
                Err(_) => Response::error(StatusCode::BAD_REQUEST, "the token is no base64url"),
            }
        }),
        "/keys" if post => with(request, |new: NewKeys| match sim.new_keys(&new.name) {
            Some(keys) => ok(&[keys]),
            None => Response::error(StatusCode::CONFLICT, "there are too many keys"),
        }),
        _ => {
            let name = path.strip_prefix("/accounts/").filter(|_| post)?;
            with(request, |person: Person| told(sim.change(name, person)))
        }
    })
}

fn told(done: Result<(), LoginError>) -> Response {
    match done {
        Ok(()) => ok(&json!({})),
        Err(error @ LoginError::NoAccount) => Response::error(StatusCode::NOT_FOUND, &error.to_string()),
        Err(error) => Response::error(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}
