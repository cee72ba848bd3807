//! One client's connection, from the upgrade to the close code.

mod bucket;
mod requests;
mod session;
mod socket;
mod subscription;
mod transport;

pub(crate) use transport::{EventStream, event_stream};

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt as _;
use tgmesh_lifecycle::clock;
use tgmesh_lifecycle::metrics::Counter;
use tgmesh_proto::frame::{ClientFrame, CloseCode, Filter, Resume, ServerFrame};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::address::Place;
use crate::auth::Grant;
use crate::connection::Connection;
use crate::gateway::{Gateway, REVOKED};
use crate::registry::{Limit, Seat};
use crate::wire::{Format, Unreadable};
use bucket::Bucket;
use session::Session;
use socket::{Socket, Turn};
use transport::{Transport, WebSocket};

/// How long a client may take to send its token.
const AUTH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an authenticated client waits for a gateway that is still catching up.
const START_TIMEOUT: Duration = Duration::from_secs(5);
/// Frames a second, where the token says nothing: a person's browser needs far fewer.
const DEFAULT_RATE: f64 = 50.0;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gone {
    /// The gateway ends it and says why.
    Closed(CloseCode, &'static str),
    /// The peer ends it, or is gone: there is nobody to tell.
    Left,
}

const fn end(code: CloseCode, reason: &'static str) -> Gone {
    Gone::Closed(code, reason)
}

/// How an order to this or all connections is told.
const fn ordered(code: CloseCode) -> Gone {
    match code {
        CloseCode::Expired => end(code, "the token was revoked"),
        code => end(code, "going away"),
    }
}

/// What a client that does not speak subscribes to by coming.
pub struct Request {
    /// Id of the subscription.
    pub id: String,
    /// What it wants.
    pub filter: Filter,
    /// From where.
    pub resume: Option<Resume>,
}

/// Serves a client whose task may panic: it ends alone.
pub async fn alone(panics: Counter, serving: impl Future<Output = ()>) {
    if AssertUnwindSafe(serving).catch_unwind().await.is_err() {
        panics.inc();
        tracing::error!("a client's task panicked; its connection is closed");
    }
}

/// Serves a WebSocket until one side ends it. `token` is what came with the upgrade.
pub async fn serve(
    gateway: Arc<Gateway>,
    connection: Connection,
    read: Bytes,
    format: Format,
    token: Option<String>,
    place: Place,
) {
    let timer = tokio::time::sleep(AUTH_TIMEOUT);
    let web_socket = WebSocket::new(connection, &read).await;
    drop(read);
    let mut socket = Socket::new(web_socket, format, timer);
    let mut subject = None;
    let gone = match gateway.registry.admit(place) {
        Ok(seat) => attend(&gateway, &mut socket, seat, token, &mut subject).await,
        Err(limit) => end(CloseCode::RateLimited, limit.reason()),
    };
    part(&gateway, socket, gone, subject.as_deref(), place).await;
}

/// Serves a client whose token was checked, and who only listens, until one side ends it.
pub async fn serve_events(gateway: Arc<Gateway>, stream: EventStream, seat: Seat, grant: Grant, request: Request) {
    let (subject, place) = (grant.subject.clone(), seat.place());
    let mut socket = Socket::new(stream, Format::Json, tokio::time::sleep(AUTH_TIMEOUT));
    // It never sends a frame.
    let bucket = Bucket::new(DEFAULT_RATE, Instant::now());
    let mut session = Session::new(&gateway, seat, grant, bucket);
    let gone = session.run(&mut socket, Some(request)).await;
    session.leave();
    drop(session);
    part(&gateway, socket, gone, Some(&subject), place).await;
}

/// Tells a client why it is over, and counts it.
async fn part<T: Transport>(gateway: &Gateway, socket: Socket<T>, gone: Gone, subject: Option<&str>, place: Place) {
    if let Gone::Closed(code, reason) = gone {
        if let Some(limit) = Limit::of_reason(reason) {
            gateway.limited(limit, subject, place);
        }
        gateway.figures.closed(code);
        // Spread out, so that a restart does not bring everyone back at the same moment.
        let after_ms = rand::random_range(200..2_000);
        let before = (code == CloseCode::GoingAway).then_some(ServerFrame::Reconnect { after_ms });
        socket.close(code, reason, before).await;
    }
}

/// The connection's life. Returns why it ends; the seat is given back by then.
async fn attend<T>(
    gateway: &Arc<Gateway>,
    socket: &mut Socket<T>,
    mut seat: Seat,
    token: Option<String>,
    subject: &mut Option<String>,
) -> Gone
where
    T: Transport,
{
    // After the seat was taken: an order to all either comes before this or reaches the mailbox.
    if gateway.shutdown.soft().is_cancelled() {
        return end(CloseCode::GoingAway, "going away");
    }
    let mut bucket = Bucket::new(DEFAULT_RATE, Instant::now());
    let token = match token {
        Some(token) => token,
        None => match first_token(socket, &seat, &mut bucket).await {
            Ok(token) => token,
            Err(gone) => return gone,
        },
    };
    if !gateway.verifier.learn(&token).await {
        return end(CloseCode::GoingAway, "not ready yet");
    }
    let grant = match gateway.verify(&token) {
        Ok(grant) => grant,
        Err(reason) => return end(CloseCode::Unauthorized, reason),
    };
    drop(token);
    *subject = Some(grant.subject.clone());
    // What it may send at once is known only now; the few frames before are bounded by themselves.
    if let Some(rate) = grant.rate {
        bucket = Bucket::new(rate, Instant::now());
    }
    if !seat.belongs_to(&grant) {
        return end(CloseCode::RateLimited, Limit::Subject.reason());
    }
    if let Err(gone) = opened(gateway, socket, &seat).await {
        return gone;
    }
    // Behind its registration: a revocation either is seen here or reaches the mailbox.
    if gateway.revocations.hold(&grant) {
        gateway.refuse_token(REVOKED);
        return end(CloseCode::Unauthorized, REVOKED);
    }
    let mut session = Session::new(gateway, seat, grant, bucket);
    let gone = session.run(socket, None).await;
    session.leave();
    gone
}

/// Waits for `{"type":"auth","token":"…"}`.
async fn first_token<T>(socket: &mut Socket<T>, seat: &Seat, bucket: &mut Bucket) -> Result<String, Gone>
where
    T: Transport,
{
    loop {
        match socket.turn(seat.mailbox()).await {
            Turn::Tick => return Err(end(CloseCode::Unauthorized, Limit::Handshake.reason())),
            Turn::Ordered(code) => return Err(ordered(code)),
            Turn::Ended(error) => return Err(meaning(error.as_ref())),
            Turn::Inbound(message) => {
                if !bucket.take(Instant::now()) {
                    return Err(end(CloseCode::RateLimited, Limit::Frames.reason()));
                }
                match message {
                    Message::Ping(_) => socket.owes_flush(),
                    Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
                    message => {
                        return match socket.format().decode(&message) {
                            Ok(ClientFrame::Auth { token }) => Ok(token),
                            Ok(_) | Err(Unreadable::Refused { .. }) => {
                                Err(end(CloseCode::Unauthorized, "the first frame has to be auth"))
                            }
                            Err(Unreadable::Malformed) => Err(end(CloseCode::Malformed, "malformed frame")),
                        };
                    }
                }
            }
            Turn::Mail | Turn::Flushed => {}
        }
    }
}

/// Waits until the hub has caught up with the stream, and the revocations are known.
async fn opened<T>(gateway: &Gateway, socket: &mut Socket<T>, seat: &Seat) -> Result<(), Gone>
where
    T: Transport,
{
    if gateway.hub.place().is_some() && gateway.revocations.are_known() {
        return Ok(());
    }
    let mut epoch = gateway.hub.epoch();
    let open = async {
        gateway.revocations.known().await;
        // The sender lives as long as the hub, and the hub as long as the gateway.
        let _ = epoch.wait_for(Option::is_some).await;
    };
    let told = async {
        loop {
            match socket.turn(seat.mailbox()).await {
                Turn::Ordered(code) => return ordered(code),
                Turn::Ended(error) => return meaning(error.as_ref()),
                Turn::Inbound(Message::Ping(_) | Message::Pong(_)) | Turn::Mail | Turn::Flushed => {}
                Turn::Inbound(_) => return end(CloseCode::GoingAway, "not ready yet"),
                Turn::Tick => socket.timer.as_mut().reset(tokio::time::Instant::now() + START_TIMEOUT),
            }
        }
    };
    tokio::select! {
        () = open => Ok(()),
        gone = told => Err(gone),
        () = tokio::time::sleep(START_TIMEOUT) => Err(end(CloseCode::GoingAway, "not ready yet")),
    }
}

/// What the end of the inbound stream means.
fn meaning(error: Option<&Error>) -> Gone {
    match error {
        Some(Error::Capacity(_)) => end(CloseCode::TooLarge, Limit::FrameSize.reason()),
        Some(Error::Protocol(error)) => match error {
            // No closing handshake, no more bytes: gone.
            ProtocolError::ResetWithoutClosingHandshake
            | ProtocolError::ReceivedAfterClosing
            | ProtocolError::SendAfterClosing => Gone::Left,
            _ => end(CloseCode::Malformed, "malformed frame"),
        },
        Some(Error::Utf8(_)) => end(CloseCode::Malformed, "malformed text"),
        _ => Gone::Left,
    }
}

/// Time until a token's rights end. One that is accepted only because of the leeway ends with it.
fn until_expiry(grant: &Grant) -> Duration {
    let left_us = |end_s: i64| end_s.saturating_mul(1_000_000).saturating_sub(clock::now_us());
    let left = left_us(grant.expires_at);
    let left = if left > 0 {
        left
    } else {
        left_us(grant.expires_at.saturating_add(crate::auth::LEEWAY_S))
    };
    Duration::from_micros(u64::try_from(left).unwrap_or(0))
}
