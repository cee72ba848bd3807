//! One WebSocket: reads and writes make progress side by side in one task.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tgmesh_proto::frame::{CloseCode, ServerFrame};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Sleep;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::mailbox::Mailbox;
use crate::wire::Format;

/// Largest frame from a client: room for a token, or for a filter of some hundred addresses.
pub(super) const MAX_FRAME_BYTES: usize = 16 << 10;
/// The library allocates this at once for each connection, and more only while a frame needs it.
const READ_BUFFER: usize = 1 << 10;
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

/// What a socket is ready for.
pub(super) enum Turn {
    /// The mailbox has an order.
    Ordered(CloseCode),
    /// The timer.
    Tick,
    /// A message.
    Inbound(Message),
    /// The connection is over, or broken in a way that has an answer.
    Ended(Option<Error>),
    /// Everything rendered so far was accepted, and the mailbox has more.
    Mail,
    /// Everything is in the kernel's hands.
    Flushed,
}

pub(super) struct Socket<S> {
    stream: WebSocketStream<S>,
    format: Format,
    outbox: VecDeque<Message>,
    /// Whether something was written since the last flush.
    unflushed: bool,
    blocked_since: Option<Instant>,
    pub timer: Pin<Box<Sleep>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// A socket after the upgrade, with what was read behind it.
    pub async fn new(stream: S, read: &Bytes, format: Format, timer: Sleep) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_write_buffer_size(MAX_WRITE_BUFFER)
            .max_message_size(Some(MAX_FRAME_BYTES))
            .max_frame_size(Some(MAX_FRAME_BYTES));
        let stream = WebSocketStream::from_partially_read(stream, read.to_vec(), Role::Server, Some(config)).await;
        let timer = Box::pin(timer);
        Self {
            stream,
            format,
            outbox: VecDeque::new(),
            unflushed: false,
            blocked_since: None,
            timer,
        }
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// Queues a frame.
    pub fn send(&mut self, frame: &ServerFrame) {
        self.outbox.push_back(self.format.encode(frame));
    }

    /// Queues a frame that is encoded already.
    pub fn send_encoded(&mut self, frame: Bytes) {
        self.outbox.push_back(self.format.message(frame));
    }

    /// Queues a ping of the protocol.
    pub fn ping(&mut self) {
        self.outbox.push_back(Message::Ping(Bytes::new()));
    }

    /// The library has queued an answer of its own, a pong, that a flush sends.
    pub fn owes_flush(&mut self) {
        self.unflushed = true;
    }

    /// How long the peer has taken nothing although something waits.
    pub fn blocked_for(&self, now: Instant) -> Duration {
        self.blocked_since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Works until there is something to do for the session. Safe to cancel.
    pub async fn turn(&mut self, mailbox: &Mailbox) -> Turn {
        std::future::poll_fn(|context| self.poll_turn(context, mailbox)).await
    }

    fn poll_turn(&mut self, context: &mut Context<'_>, mailbox: &Mailbox) -> Poll<Turn> {
        mailbox.watch(context);
        if let Some(code) = mailbox.ordered() {
            return Poll::Ready(Turn::Ordered(code));
        }
        if self.timer.as_mut().poll(context).is_ready() {
            return Poll::Ready(Turn::Tick);
        }
        // Reads first: how often a client may speak is bounded, how often it is spoken to is not.
        match self.stream.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(message))) => return Poll::Ready(Turn::Inbound(message)),
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Turn::Ended(Some(error))),
            Poll::Ready(None) => return Poll::Ready(Turn::Ended(None)),
            Poll::Pending => {}
        }
        while !self.outbox.is_empty() {
            match self.stream.poll_ready_unpin(context) {
                Poll::Ready(Ok(())) => self.blocked_since = None,
                Poll::Ready(Err(error)) => return Poll::Ready(Turn::Ended(Some(error))),
                Poll::Pending => {
                    self.blocked_since.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
            }
            if let Some(message) = self.outbox.pop_front()
                && let Err(error) = self.stream.start_send_unpin(message)
            {
                return Poll::Ready(Turn::Ended(Some(error)));
            }
            self.unflushed = true;
        }
        // One write for all that waits, not one for each frame.
        if !mailbox.is_empty() {
            return Poll::Ready(Turn::Mail);
        }
        if self.unflushed {
            match self.stream.poll_flush_unpin(context) {
                Poll::Ready(Ok(())) => {
                    self.unflushed = false;
                    self.blocked_since = None;
                    if self.outbox.capacity() > 64 {
                        self.outbox.shrink_to(8);
                    }
                    return Poll::Ready(Turn::Flushed);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Turn::Ended(Some(error))),
                Poll::Pending => {
                    self.blocked_since.get_or_insert_with(Instant::now);
                }
            }
        }
        Poll::Pending
    }

    /// Says why, and ends the connection. What is queued and not yet written is dropped: the
    /// client asks for it again when it comes back.
    pub async fn close(mut self, code: CloseCode, reason: &'static str, before: Option<ServerFrame>) {
        let frame = CloseFrame {
            code: code.code().into(),
            reason: reason.into(),
        };
        let farewell = async {
            if let Some(before) = before {
                self.stream.feed(self.format.encode(&before)).await?;
            }
            self.stream.send(Message::Close(Some(frame))).await?;
            // The client's answer; everything before it is of no interest any more.
            while self.stream.next().await.transpose()?.is_some() {}
            Ok::<_, Error>(())
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, farewell).await;
        let stream = self.stream.get_mut();
        let linger = async {
            stream.shutdown().await?;
            tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await
        };
        let _ = tokio::time::timeout(LINGER, linger).await;
    }
}
