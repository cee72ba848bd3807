//! One WebSocket client that comes back and resumes.

use std::borrow::Cow;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::json;
use tgmesh_lifecycle::clock::now_us;
use tgmesh_proto::frame::SUBPROTOCOL_JSON;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use super::Progress;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Where to connect, and as whom.
pub(super) struct Place {
    address: String,
    request: Request,
}

impl Place {
    /// `url` is `http://host:port`.
    pub(super) fn new(url: &str, token: &str) -> Result<Self> {
        let address = url
            .strip_prefix("http://")
            .context("the gateway's address is no http:// URL")?
            .to_owned();
        let mut request = format!("ws://{address}/ws").into_client_request()?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {token}"))?;
        bearer.set_sensitive(true);
        request.headers_mut().insert("authorization", bearer);
        request
            .headers_mut()
            .insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL_JSON));
        Ok(Self { address, request })
    }
}

/// What one client has received.
#[derive(Default)]
pub(super) struct Client {
    arrivals: Mutex<Vec<(u64, i64)>>,
    subscribed: AtomicBool,
    connections: AtomicU64,
    gaps: AtomicU64,
}

/// Where to go on after a reconnect.
#[derive(Default)]
struct Position {
    epoch: String,
    seq: u64,
}

/// As much of a frame as is needed; the event itself is passed over.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default)]
    seq: u64,
    #[serde(borrow, default)]
    epoch: Cow<'a, str>,
    #[serde(default)]
    recovered: bool,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
}

impl Client {
    /// Connects, subscribes to everything, and does so again whenever the connection ends.
    pub(super) async fn run(self: Arc<Self>, place: Arc<Place>) {
        let mut position = None;
        let mut pause = FIRST_PAUSE;
        loop {
            let before = self.count();
            let Err(error) = self.connection(&place, &mut position).await;
            self.subscribed.store(false, Ordering::Relaxed);
            tracing::info!(%error, "a client lost its connection");
            pause = if self.count() > before {
                FIRST_PAUSE
            } else {
                (pause * 2).min(LONGEST_PAUSE)
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn connection(&self, place: &Place, position: &mut Option<Position>) -> Result<std::convert::Infallible> {
        let stream = TcpStream::connect(&place.address).await?;
        stream.set_nodelay(true)?;
        let (mut socket, _) = tokio_tungstenite::client_async(place.request.clone(), stream).await?;
        let mut subscribe = json!({ "type": "subscribe", "id": "all", "filter": {} });
        if let Some(position) = position.as_ref() {
            subscribe["resume"] = json!({ "epoch": position.epoch, "after": position.seq });
        }
        socket.send(Message::text(subscribe.to_string())).await?;
        loop {
            let message = socket.next().await.context("the connection closed")??;
            let at_us = now_us();
            let text = match &message {
                Message::Text(text) => text,
                Message::Close(frame) => bail!("closed: {frame:?}"),
                // tungstenite answers pings by itself, with the next write or read.
                _ => continue,
            };
            let frame: Frame<'_> = serde_json::from_str(text).context("couldn't read a frame")?;
            match &*frame.kind {
                "detection" => {
                    self.arrivals
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((frame.seq, at_us));
                    if let Some(position) = position {
                        position.seq = frame.seq;
                    }
                }
                "position" => {
                    *position = Some(Position {
                        epoch: frame.epoch.into_owned(),
                        seq: frame.seq,
                    });
                }
                "subscribed" => {
                    if position.is_some() && !frame.recovered {
                        self.gaps.fetch_add(1, Ordering::Relaxed);
                    }
                    if position.is_none() {
                        *position = Some(Position {
                            epoch: frame.epoch.into_owned(),
                            seq: frame.seq,
                        });
                    }
                    self.connections.fetch_add(1, Ordering::Relaxed);
                    self.subscribed.store(true, Ordering::Relaxed);
                }
                "gap" => {
                    self.gaps.fetch_add(1, Ordering::Relaxed);
                }
                "error" => bail!("the gateway says: {}", frame.message),
                _ => {}
            }
        }
    }

    pub(super) fn add_to(&self, progress: &mut Progress) {
        let count = self.count();
        progress.least = progress.least.min(count);
        progress.total += count;
        progress.subscribed += usize::from(self.subscribed.load(Ordering::Relaxed));
        progress.reconnects += self.connections.load(Ordering::Relaxed).saturating_sub(1);
        progress.gaps += self.gaps.load(Ordering::Relaxed);
    }

    pub(super) fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(&(arrivals.len() as u64).to_le_bytes())?;
        for (seq, at_us) in arrivals.iter() {
            out.write_all(&seq.to_le_bytes())?;
            out.write_all(&at_us.to_le_bytes())?;
        }
        Ok(())
    }

    fn count(&self) -> u64 {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }
}
