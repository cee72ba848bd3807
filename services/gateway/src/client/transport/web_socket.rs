//! A WebSocket.

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tgmesh_proto::frame::CloseCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::Transport;
use crate::connection::Connection;

/// Largest frame from a client: room for a token, or for a filter of some hundred addresses.
const MAX_FRAME_BYTES: usize = 16 << 10;
/// The library allocates this at once for each connection, and more only while a frame needs it.
const READ_BUFFER: usize = 512;
/// Frames are collected up to this size before they are written; it is allocated by use.
const WRITE_BUFFER: usize = 8 << 10;
/// Room for the largest frame besides: an event of 64 KiB, every byte of it escaped in JSON.
const MAX_WRITE_BUFFER: usize = 1 << 20;
/// How long a client may take to answer the closing handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long, and how much, is read from a client after that: closing a socket with unread bytes
/// would make the kernel take back what was written, the close code included.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 16 << 20;

/// A connection after the upgrade.
pub(crate) struct WebSocket(WebSocketStream<Connection>);

impl WebSocket {
    /// `read` is what came behind the request.
    pub(crate) async fn new(connection: Connection, read: &Bytes) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_write_buffer_size(MAX_WRITE_BUFFER)
            .max_message_size(Some(MAX_FRAME_BYTES))
            .max_frame_size(Some(MAX_FRAME_BYTES));
        Self(WebSocketStream::from_partially_read(connection, read.to_vec(), Role::Server, Some(config)).await)
    }
}

impl Transport for WebSocket {
    const HEARS: bool = true;

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        self.0.poll_next_unpin(context)
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready_unpin(context)
    }

    fn start(&mut self, message: Message, _: Option<u64>) -> Result<(), Error> {
        self.0.start_send_unpin(message)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_flush_unpin(context)
    }

    async fn close(mut self, before: VecDeque<(Message, Option<u64>)>, code: CloseCode, reason: &'static str) {
        let frame = CloseFrame {
            code: code.code().into(),
            reason: reason.into(),
        };
        let farewell = async {
            for (frame, _) in before {
                self.0.feed(frame).await?;
            }
            self.0.send(Message::Close(Some(frame))).await?;
            // The client's answer; everything before it is of no interest any more.
            while self.0.next().await.transpose()?.is_some() {}
            Ok::<_, Error>(())
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, farewell).await;
        let stream = self.0.get_mut();
        let linger = async {
            stream.shutdown().await?;
            tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await
        };
        let _ = tokio::time::timeout(LINGER, linger).await;
    }
}
