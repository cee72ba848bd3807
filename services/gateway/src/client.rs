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
use futures_util::future::BoxFuture;
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
/// Over which clients come back, however few they are.
const SHORTEST_SPREAD_MS: u64 = 1_800;
/// Clients that are asked to come back in a second: a core does two to three times as many.
const RECONNECTS_PER_S: u64 = 2_000;
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

/// A connection that was upgraded, and what the request said.
pub struct Arrival {
    /// To the client.
    pub connection: Connection,
    /// What came behind the request.
    pub read: Bytes,
    /// How frames are written.
    pub format: Format,
    /// What came with the upgrade.
    pub token: Option<String>,
}

/// A client's way in, until it may stay; or why it may not, and whose token it showed.
type Entered = (Box<Socket<WebSocket>>, Result<Box<Session>, (Gone, Option<String>)>);

/// Serves a WebSocket, once it arrives, until one side ends it.
pub async fn serve(gateway: Arc<Gateway>, arriving: BoxFuture<'static, Option<Arrival>>, place: Place) {
    // The way in and the way out have boxes of their own: what they need besides is much, and must
    // not be kept for as long as a client stays.
    let Some((mut socket, entered)) = Box::pin(enter(&gateway, arriving, place)).await else {
        return;
    };
    let (gone, subject) = match entered {
        Ok(mut session) => (session.run(&mut socket, None).await, Some(session.leave())),
        Err(refused) => refused,
    };
    Box::pin(part(&gateway, *socket, gone, subject, place)).await;
}

/// Serves a client whose token was checked, and who only listens, until one side ends it.
pub async fn serve_events(gateway: Arc<Gateway>, stream: EventStream, seat: Seat, grant: Grant, request: Request) {
    let place = seat.place();
    let mut socket = Box::new(Socket::new(stream, Format::Json));
    // It never sends a frame.
    let bucket = Bucket::new(DEFAULT_RATE, Instant::now());
    let mut session = Box::new(Session::new(&gateway, seat, grant, bucket));
    let gone = session.run(&mut socket, Some(Box::new(request))).await;
    let subject = session.leave();
    Box::pin(part(&gateway, *socket, gone, Some(subject), place)).await;
}

async fn enter(gateway: &Arc<Gateway>, arriving: BoxFuture<'static, Option<Arrival>>, place: Place) -> Option<Entered> {
    let arrival = arriving.await?;
    let web_socket = WebSocket::new(arrival.connection, &arrival.read).await;
    let mut socket = Box::new(Socket::new(web_socket, arrival.format));
    let mut subject = None;
    let session = match gateway.registry.admit(place) {
        Ok(seat) => attend(gateway, &mut socket, seat, arrival.token, &mut subject).await,
        Err(limit) => Err(end(CloseCode::RateLimited, limit.reason())),
    };
    Some((socket, session.map(Box::new).map_err(|gone| (gone, subject))))
}

/// Tells a client why it is over, and counts it.
async fn part<T: Transport>(gateway: &Gateway, socket: Socket<T>, gone: Gone, subject: Option<String>, place: Place) {
    if let Gone::Closed(code, reason) = gone {
        if let Some(limit) = Limit::of_reason(reason) {
            gateway.limited(limit, subject.as_deref(), place);
        }
        gateway.figures.closed(code);
        let reconnect = (code == CloseCode::GoingAway).then(|| ServerFrame::Reconnect {
            after_ms: away_ms(gateway.registry.told_to_end()),
        });
        socket.close(code, reason, reconnect).await;
    }
}

/// How long to stay away: spread out, so that a restart does not bring everyone back at the same
/// moment, and the longer the more there are.
fn away_ms(clients: usize) -> u64 {
    let spread = SHORTEST_SPREAD_MS.max(clients as u64 * 1000 / RECONNECTS_PER_S);
    rand::random_range(200..200 + spread)
}

/// Asks for the token and checks it. On an error the seat is given back by then.
async fn attend<T>(
    gateway: &Arc<Gateway>,
    socket: &mut Socket<T>,
    mut seat: Seat,
    token: Option<String>,
    subject: &mut Option<String>,
) -> Result<Session, Gone>
where
    T: Transport,
{
    // After the seat was taken: an order to all either comes before this or reaches the mailbox.
    if gateway.shutdown.soft().is_cancelled() {
        return Err(end(CloseCode::GoingAway, "going away"));
    }
    seat.wake_at(Instant::now() + AUTH_TIMEOUT);
    let mut bucket = Bucket::new(DEFAULT_RATE, Instant::now());
    let token = match token {
        Some(token) => token,
        None => first_token(socket, &seat, &mut bucket).await?,
    };
    if !gateway.verifier.learn(&token).await {
        return Err(end(CloseCode::GoingAway, "not ready yet"));
    }
    let grant = gateway
        .verify(&token)
        .map_err(|reason| end(CloseCode::Unauthorized, reason))?;
    drop(token);
    *subject = Some(grant.subject.clone());
    // What it may send at once is known only now; the few frames before are bounded by themselves.
    if let Some(rate) = grant.rate {
        bucket = Bucket::new(rate, Instant::now());
    }
    if !seat.belongs_to(&grant) {
        return Err(end(CloseCode::RateLimited, Limit::Subject.reason()));
    }
    opened(gateway, socket, &seat).await?;
    // Behind its registration: a revocation either is seen here or reaches the mailbox.
    if gateway.revocations.hold(&grant) {
        gateway.refuse_token(REVOKED);
        return Err(end(CloseCode::Unauthorized, REVOKED));
    }
    Ok(Session::new(gateway, seat, grant, bucket))
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
                // The tick is the end of the time to show a token; it was shown.
                Turn::Inbound(Message::Ping(_) | Message::Pong(_)) | Turn::Mail | Turn::Flushed | Turn::Tick => {}
                Turn::Inbound(_) => return end(CloseCode::GoingAway, "not ready yet"),
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
