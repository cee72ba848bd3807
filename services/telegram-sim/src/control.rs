//! The control port: HTTP/JSON for tests and load tools.

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tgmesh_lifecycle::http::{Request, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::load::{LoadError, LoadSpec};
use crate::sim::Sim;
use crate::world::message::{Author, Button, Entity, Forward};
use crate::world::{Draft, WorldError};

/// Lines of the posted log in one answer, unless fewer are asked for.
const PAGE: usize = 1_000;
const MAX_PAGE: usize = 100_000;

/// Serves until `stop`.
pub(crate) async fn serve(listener: TcpListener, sim: Sim, stop: CancellationToken) {
    let handler = move |request| {
        let answer = answer(&sim, &request);
        async move { answer }
    };
    tgmesh_lifecycle::http::serve(listener, handler, stop).await;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewMessage {
    chat_id: i64,
    text: String,
    #[serde(default)]
    entities: Vec<Entity>,
    #[serde(default)]
    buttons: Vec<Button>,
    #[serde(default)]
    from: From,
    #[serde(default)]
    reply_to: Option<i32>,
    #[serde(default)]
    forward: Option<Forward>,
    /// For the posted log.
    #[serde(default)]
    addresses: Vec<String>,
}

/// Who writes: absent, `"anonymous"`, or a person's id.
#[derive(Default, Deserialize)]
#[serde(untagged)]
enum From {
    User(i64),
    Name(Anonymous),
    #[default]
    Nobody,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Anonymous {
    Anonymous,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangedMessage {
    chat_id: i64,
    message_id: i32,
    text: String,
    #[serde(default)]
    entities: Vec<Entity>,
    #[serde(default)]
    buttons: Vec<Button>,
    #[serde(default)]
    addresses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GoneMessages {
    chat_id: i64,
    message_ids: Vec<i32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    rate: f64,
}

fn answer(sim: &Sim, request: &Request) -> Response {
    let path = request.path.trim_end_matches('/');
    match (&request.method, path) {
        (&Method::GET, "/accounts") => ok(&sim.accounts()),
        (&Method::GET, "/chats") => ok(&sim.chats()),
        (&Method::GET, "/messages") => messages(sim, request),
        (&Method::POST, "/messages") => with(request, |new: NewMessage| post(sim, new)),
        (&Method::POST, "/messages/edit") => with(request, |changed: ChangedMessage| {
            let draft = Draft {
                chat_id: changed.chat_id,
                text: changed.text,
                entities: changed.entities,
                buttons: changed.buttons,
                addresses: changed.addresses,
                ..Draft::default()
            };
            match sim.edit(changed.message_id, draft) {
                Ok(change) => ok(&json!({
                    "message_id": change.message_id,
                    "edit_date": change.date,
                    "n": change.n,
                })),
                Err(error) => refused(error),
            }
        }),
        (&Method::POST, "/messages/delete") => with(request, |gone: GoneMessages| {
            match sim.delete(gone.chat_id, &gone.message_ids) {
                Ok(changes) => {
                    let ids: Vec<_> = changes.iter().map(|change| change.message_id).collect();
                    ok(&json!({ "message_ids": ids }))
                }
                Err(error) => refused(error),
            }
        }),
        (&Method::GET, "/scenario") => ok(&json!({ "rate": sim.scenario_rate() })),
        (&Method::POST, "/scenario") => with(request, |scenario: Scenario| {
            sim.set_scenario_rate(scenario.rate);
            ok(&json!({ "rate": sim.scenario_rate() }))
        }),
        (&Method::GET, "/load") => ok(&sim.load()),
        (&Method::POST, "/load") => with(request, |spec: LoadSpec| match sim.start_load(spec) {
            Ok(()) => ok(&sim.load()),
            Err(error @ LoadError::Running) => Response::error(StatusCode::CONFLICT, &error.to_string()),
            Err(error) => Response::error(StatusCode::BAD_REQUEST, &error.to_string()),
        }),
        (&Method::POST, "/load/stop") => {
            sim.stop_load();
            ok(&sim.load())
        }
        (&Method::GET, "/connections") => ok(&json!({ "subscribed": sim.connections() })),
        (&Method::POST, "/connections/close") => {
            sim.close_connections();
            ok(&json!({}))
        }
        (&Method::POST, "/connections/too-long") => {
            sim.send_too_long();
            ok(&json!({}))
        }
        _ => Response::error(StatusCode::NOT_FOUND, "there is nothing here"),
    }
}

fn post(sim: &Sim, new: NewMessage) -> Response {
    let draft = Draft {
        chat_id: new.chat_id,
        text: new.text,
        entities: new.entities,
        buttons: new.buttons,
        from: match new.from {
            From::User(id) => Author::User(id),
            From::Name(Anonymous::Anonymous) => Author::Anonymous,
            From::Nobody => Author::Default,
        },
        reply_to: new.reply_to,
        forward: new.forward,
        addresses: new.addresses,
    };
    match sim.post(draft) {
        Ok(change) => ok(&json!({
            "message_id": change.message_id,
            "date": change.date,
            "n": change.n,
        })),
        Err(error) => refused(error),
    }
}

fn messages(sim: &Sim, request: &Request) -> Response {
    let number = |name, default: u64| match request.parameter(name) {
        None => Ok(default),
        Some(raw) => raw
            .parse()
            .map_err(|_| Response::error(StatusCode::BAD_REQUEST, &format!("{name} has to be a whole number"))),
    };
    match (number("after", 0), number("limit", PAGE as u64)) {
        (Ok(after), Ok(limit)) => ok(&sim.posted(after, (limit as usize).min(MAX_PAGE))),
        (Err(response), _) | (_, Err(response)) => response,
    }
}

fn refused(error: WorldError) -> Response {
    let status = match error {
        WorldError::NoChat | WorldError::NoMessage | WorldError::NoUser => StatusCode::NOT_FOUND,
        WorldError::BadText => StatusCode::BAD_REQUEST,
    };
    Response::error(status, &error.to_string())
}

fn with<'r, T: Deserialize<'r>>(request: &'r Request, handle: impl FnOnce(T) -> Response) -> Response {
    match serde_json::from_slice(&request.body) {
        Ok(body) => handle(body),
        Err(error) => Response::error(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

fn ok(body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => Response {
            status: StatusCode::OK,
            content_type: "application/json",
            body: body.into(),
        },
        Err(error) => Response::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}
