//! A WebSocket client that believes nothing.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

/// Nothing in these tests takes longer than this unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Socket<S = TcpStream> {
    pub stream: WebSocketStream<S>,
    msgpack: bool,
}

/// How to open one.
#[derive(Default, Clone)]
pub struct Opening {
    pub bearer: Option<String>,
    pub protocols: Option<String>,
    pub origin: Option<String>,
    pub forwarded_for: Option<String>,
}

impl Opening {
    pub fn bearer(token: &str) -> Self {
        Self {
            bearer: Some(token.to_owned()),
            ..Self::default()
        }
    }
}

impl Socket {
    /// Opens a socket, or tells the HTTP status that came instead.
    pub async fn open(port: u16, opening: &Opening) -> Result<(Self, Option<String>), u16> {
        let stream = TcpStream::connect(("127.0.0.1", port))
            .await
            .expect("the gateway listens");
        match Self::over(stream, opening).await {
            Ok(opened) => Ok(opened),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("the handshake failed: {error}"),
        }
    }

    /// Opens one over a connection that may break. The subprotocol that was chosen comes with it.
    pub async fn over(stream: TcpStream, opening: &Opening) -> Result<(Self, Option<String>), Error> {
        stream.set_nodelay(true)?;
        let port = stream.peer_addr()?.port();
        Self::through(stream, port, opening).await
    }

    /// Opens one with a token and takes `welcome`.
    pub async fn welcomed(port: u16, token: &str) -> (Self, Value) {
        let (mut socket, _) = Self::open(port, &Opening::bearer(token)).await.expect("101");
        let welcome = socket.expect("welcome").await;
        (socket, welcome)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Opens one through whatever leads to the gateway's port.
    pub async fn through(stream: S, port: u16, opening: &Opening) -> Result<(Self, Option<String>), Error> {
        let mut request = format!("ws://127.0.0.1:{port}/ws")
            .into_client_request()
            .expect("a good URL");
        let headers = [
            (
                "authorization",
                opening.bearer.as_ref().map(|token| format!("Bearer {token}")),
            ),
            ("sec-websocket-protocol", opening.protocols.clone()),
            ("origin", opening.origin.clone()),
            ("x-forwarded-for", opening.forwarded_for.clone()),
        ];
        for (name, value) in headers {
            if let Some(value) = value {
                request
                    .headers_mut()
                    .insert(name, value.parse().expect("a header value"));
            }
        }
        let (stream, response) = tokio_tungstenite::client_async(request, stream).await?;
        let protocol = response.headers().get("sec-websocket-protocol");
        let protocol = protocol.map(|value| value.to_str().expect("ASCII").to_owned());
        let msgpack = protocol.as_deref() == Some("tgmesh.v1.msgpack");
        Ok((Self { stream, msgpack }, protocol))
    }

    pub async fn send(&mut self, frame: &Value) {
        let message = if self.msgpack {
            Message::binary(rmp_serde::to_vec_named(frame).expect("encodes"))
        } else {
            Message::text(frame.to_string())
        };
        self.send_raw(message).await;
    }

    pub async fn send_raw(&mut self, message: Message) {
        // The gateway may have closed already; what it says about that is read by the test.
        let _ = self.stream.send(message).await;
    }

    /// The next frame, or the close code.
    pub async fn next(&mut self) -> Result<Value, u16> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.stream.next())
                .await
                .expect("no frame in time");
            match message {
                Some(Ok(Message::Text(text))) if !self.msgpack => {
                    return Ok(serde_json::from_str(&text).expect("JSON"));
                }
                Some(Ok(Message::Binary(bytes))) if self.msgpack => {
                    return Ok(rmp_serde::from_slice(&bytes).expect("MessagePack"));
                }
                Some(Ok(Message::Close(frame))) => return Err(frame.map_or(1005, |frame| frame.code.into())),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(other)) => panic!("a message of the wrong kind: {other:?}"),
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    /// The next frame of this type; positions are passed over.
    pub async fn expect(&mut self, kind: &str) -> Value {
        loop {
            let frame = self
                .next()
                .await
                .unwrap_or_else(|code| panic!("closed with {code} instead of {kind}"));
            if frame["type"] == kind {
                return frame;
            }
            assert_eq!(frame["type"], "position", "instead of {kind}: {frame}");
        }
    }

    /// Reads on until it is closed; the code.
    pub async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }

    pub async fn subscribe(&mut self, id: &str, filter: Value, resume: Option<Value>) -> Value {
        let mut frame = json!({"type": "subscribe", "id": id, "filter": filter});
        if let Some(resume) = resume {
            frame["resume"] = resume;
        }
        self.send(&frame).await;
        self.expect("subscribed").await
    }

    /// Reads detections until this sequence; their sequences.
    pub async fn seqs_until(&mut self, last: u64) -> Vec<u64> {
        let mut seqs = Vec::new();
        while seqs.last().is_none_or(|&seq| seq < last) {
            seqs.push(seq_of(&self.expect("detection").await));
        }
        seqs
    }
}

pub fn seq_of(frame: &Value) -> u64 {
    frame["seq"].as_u64().unwrap_or_else(|| panic!("no seq: {frame}"))
}
