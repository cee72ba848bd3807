//! What carries frames to one client, and hers back.

mod event_stream;
mod web_socket;

pub(crate) use event_stream::{EventStream, event_stream};
pub(crate) use web_socket::WebSocket;

use std::collections::VecDeque;
use std::task::{Context, Poll};

use tgmesh_proto::frame::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

/// A way to a client. Frames are collected by `start` and leave with `poll_flush`.
pub(crate) trait Transport: Send + Unpin {
    /// Whether the client speaks, too. Of one that does not, only what it takes tells that it is there.
    const HEARS: bool;

    /// What the client says; nothing once it is gone.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>>;

    /// Whether another frame may be started.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>>;

    /// Takes a frame. `seq` is where a client goes on that has seen it.
    fn start(&mut self, message: Message, seq: Option<u64>) -> Result<(), Error>;

    /// Hands over all that was started.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>>;

    /// Says these frames and then why, and ends. Bounded in time.
    fn close(
        self,
        before: VecDeque<(Message, Option<u64>)>,
        code: CloseCode,
        reason: &'static str,
    ) -> impl Future<Output = ()> + Send;
}
