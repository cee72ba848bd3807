//! The control port: HTTP/JSON for tests and load tools.

mod people;

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tgmesh_lifecycle::http::{Request, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::faults::{Fault, FaultError};
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

/// Which connections; all of them when nothing is said.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Connections {
    #[serde(default)]
    account: Option<String>,
    /// For `updateChannelTooLong` of a channel instead of `updatesTooLong`.
    #[serde(default)]
    chat_id: Option<i64>,
    #[serde(default)]
    pts: bool,
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
        (&Method::POST, "/connections/close") => with_any(request, |which: Connections| {
            told(sim.close_connections_of(which.account.as_deref()))
        }),
        (&Method::POST, "/connections/too-long") => with_any(request, |which: Connections| {
            let account = which.account.as_deref();
            told(match which.chat_id {
                None => sim.send_too_long_to(account),
                Some(chat) => sim.send_channel_too_long(chat, account, which.pts),
            })
        }),
        (&Method::GET, "/faults") => ok(&sim.faults()),
        (&Method::POST, "/faults") => match Fault::from_json(&request.body).and_then(|fault| sim.inject(fault)) {
            Ok(id) => ok(&json!({ "id": id })),
            Err(error) => unfit(&error),
        },
        (&Method::DELETE, "/faults") => ok(&sim.heal_all()),
        (method, path) => people::answer(sim, request, path)
            .or_else(|| named(sim, request, method, path))
            .unwrap_or_else(|| Response::error(StatusCode::NOT_FOUND, "there is nothing here")),
    }
}

/// Paths with a name in them.
fn named(sim: &Sim, request: &Request, method: &Method, path: &str) -> Option<Response> {
    if method == Method::DELETE {
        let report = sim.heal(path.strip_prefix("/faults/")?)?;
        return Some(ok(&report));
    }
    let chat = path.strip_prefix("/chats/")?.strip_suffix("/ids")?.parse().ok()?;
    (method == Method::GET).then(|| match sim.ids(chat, request.parameter("account")) {
        Ok(ids) => ok(&ids),
        Err(error) => refused(error),
    })
}

fn told(connections: Result<u64, FaultError>) -> Response {
    match connections {
        Ok(connections) => ok(&json!({ "connections": connections })),
        Err(error) => unfit(&error),
    }
}

fn unfit(error: &FaultError) -> Response {
    let status = match error {
        FaultError::NoAccount | FaultError::NoChat => StatusCode::NOT_FOUND,
        FaultError::Bad(_) => StatusCode::BAD_REQUEST,
    };
    Response::error(status, &error.to_string())
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

/// The same, where no body at all means that nothing is said.
fn with_any<'r, T: Default + Deserialize<'r>>(request: &'r Request, handle: impl FnOnce(T) -> Response) -> Response {
    if request.body.is_empty() {
        return handle(T::default());
    }
    with(request, handle)
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
