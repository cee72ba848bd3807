//! One client's frames: reads and writes make progress side by side in one task.

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tgmesh_proto::frame::{CloseCode, ServerFrame};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::transport::Transport;
use crate::mailbox::Mailbox;
use crate::wire::Format;

/// What a socket is ready for.
pub(super) enum Turn {
    /// The mailbox has an order.
    Ordered(CloseCode),
    /// The time that the seat was to be woken at.
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
}

impl<T: Transport> Socket<T> {
    pub fn new(transport: T, format: Format) -> Self {
        Self {
            transport,
            format,
            outbox: VecDeque::new(),
            unflushed: false,
            blocked_since: None,
        }
    }

    /// Whether the client can be expected to say something.
    pub const fn hears() -> bool {
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

    /// Whether all that was queued is in the kernel's hands.
    pub fn is_idle(&self) -> bool {
        self.outbox.is_empty() && !self.unflushed
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
        if mailbox.take_alarm() {
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

    /// Says why, and ends the connection. `reconnect` is told before, behind all that is queued;
    /// without it, that is dropped.
    pub async fn close(mut self, code: CloseCode, reason: &'static str, reconnect: Option<ServerFrame>) {
        let before = match reconnect {
            Some(frame) => {
                self.send(&frame);
                self.outbox
            }
            None => VecDeque::new(),
        };
        self.transport.close(before, code, reason).await;
    }
}
