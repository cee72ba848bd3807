//! One client's frames: reads and writes make progress side by side in one task.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tgmesh_proto::frame::{CloseCode, ServerFrame};
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::transport::Transport;
use crate::mailbox::Mailbox;
use crate::wire::Format;

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

pub(super) struct Socket<T> {
    transport: T,
    format: Format,
    /// With the place from which a client goes on that has seen it.
    outbox: VecDeque<(Message, Option<u64>)>,
    /// Whether something was written since the last flush.
    unflushed: bool,
    blocked_since: Option<Instant>,
    pub timer: Pin<Box<Sleep>>,
}

impl<T: Transport> Socket<T> {
    pub fn new(transport: T, format: Format, timer: Sleep) -> Self {
        let timer = Box::pin(timer);
        Self {
            transport,
            format,
            outbox: VecDeque::new(),
            unflushed: false,
            blocked_since: None,
            timer,
        }
    }

    /// Whether the client can be expected to say something.
    pub fn hears(&self) -> bool {
        T::HEARS
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// Queues a frame.
    pub fn send(&mut self, frame: &ServerFrame) {
        self.outbox.push_back((self.format.encode(frame), None));
    }

    /// As [`Socket::send`]; a client that has seen it goes on behind `seq`.
    pub fn send_at(&mut self, frame: &ServerFrame, seq: u64) {
        self.outbox.push_back((self.format.encode(frame), Some(seq)));
    }

    /// Queues a frame that is encoded already.
    pub fn send_encoded(&mut self, frame: Bytes, seq: Option<u64>) {
        self.outbox.push_back((self.format.message(frame), seq));
    }

    /// Queues a ping of the protocol.
    pub fn ping(&mut self) {
        self.outbox.push_back((Message::Ping(Bytes::new()), None));
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
        match self.transport.poll_next(context) {
            Poll::Ready(Some(Ok(message))) => return Poll::Ready(Turn::Inbound(message)),
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Turn::Ended(Some(error))),
            Poll::Ready(None) => return Poll::Ready(Turn::Ended(None)),
            Poll::Pending => {}
        }
        while !self.outbox.is_empty() {
            match self.transport.poll_ready(context) {
                Poll::Ready(Ok(())) => self.blocked_since = None,
                Poll::Ready(Err(error)) => return Poll::Ready(Turn::Ended(Some(error))),
                Poll::Pending => {
                    self.blocked_since.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
            }
            if let Some((message, seq)) = self.outbox.pop_front()
                && let Err(error) = self.transport.start(message, seq)
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
            match self.transport.poll_flush(context) {
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
    pub async fn close(self, code: CloseCode, reason: &'static str, before: Option<ServerFrame>) {
        let before = before.map(|frame| self.format.encode(&frame));
        self.transport.close(before, code, reason).await;
    }
}
