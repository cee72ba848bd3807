//! Server-Sent Events (WHATWG HTML, 9.2) in the body of an answer: the JSON frames of a WebSocket,
//! one event each, with `epoch:seq` as the event's id wherever a client may go on from it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::Stream;
use serde_json::json;
use tgmesh_proto::frame::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::Transport;

/// Events are collected up to this size before they are handed to the connection.
const WRITE_BUFFER: usize = 8 << 10;
/// How long the connection may take for the last ones.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The half that writes.
pub(crate) struct EventStream {
    epoch: Arc<str>,
    buffer: BytesMut,
    pipe: Arc<Pipe>,
}

/// The half that the connection takes out, at its own pace.
pub(crate) struct Body(Arc<Pipe>);

/// Holds one chunk: the next is made while the connection writes it.
#[derive(Default)]
struct Pipe(Mutex<State>);

#[derive(Default)]
struct State {
    chunk: Option<Bytes>,
    writer: Option<Waker>,
    reader: Option<Waker>,
    /// No more will come.
    ended: bool,
    /// Nobody takes it out any more.
    gone: bool,
}

/// Both halves. `epoch` is the stream's, in which positions are told.
pub(crate) fn event_stream(epoch: Arc<str>) -> (EventStream, Body) {
    let pipe = Arc::new(Pipe::default());
    let stream = EventStream {
        epoch,
        buffer: BytesMut::new(),
        pipe: Arc::clone(&pipe),
    };
    (stream, Body(pipe))
}

impl EventStream {
    fn write(&mut self, data: &[u8], seq: Option<u64>) {
        if let Some(seq) = seq {
            self.buffer.put_slice(format!("id: {}:{seq}\n", self.epoch).as_bytes());
        }
        // JSON text holds no line break: serde escapes those within strings.
        self.buffer.put_slice(b"data: ");
        self.buffer.put_slice(data);
        self.buffer.put_slice(b"\n\n");
    }

    /// Hands the buffer to the connection if that has taken what it was handed before.
    fn poll_hand(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut state = self.pipe.lock();
        if state.gone {
            return Poll::Ready(Err(Error::ConnectionClosed));
        }
        if state.chunk.is_some() {
            state.watch_writer(context);
            return Poll::Pending;
        }
        if !self.buffer.is_empty() {
            state.chunk = Some(self.buffer.split().freeze());
            if let Some(reader) = state.reader.take() {
                reader.wake();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Transport for EventStream {
    const HEARS: bool = false;

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        let mut state = self.pipe.lock();
        if state.gone {
            return Poll::Ready(None);
        }
        state.watch_writer(context);
        Poll::Pending
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.buffer.len() < WRITE_BUFFER {
            return Poll::Ready(Ok(()));
        }
        self.poll_hand(context)
    }

    fn start(&mut self, message: Message, seq: Option<u64>) -> Result<(), Error> {
        match message {
            Message::Frame(frame) => self.write(frame.payload(), seq),
            // A comment, which keeps the connection alive and says nothing.
            Message::Ping(_) => self.buffer.put_slice(b":\n\n"),
            _ => {}
        }
        Ok(())
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // Once with the buffer, and once for the connection to have taken it.
        while !self.buffer.is_empty() {
            std::task::ready!(self.poll_hand(context))?;
        }
        self.poll_hand(context)
    }

    async fn close(mut self, before: VecDeque<(Message, Option<u64>)>, code: CloseCode, reason: &'static str) {
        let farewell = async {
            for (frame, seq) in before {
                std::future::poll_fn(|context| self.poll_ready(context)).await?;
                self.start(frame, seq)?;
            }
            let last = json!({"type": "close", "code": code.code(), "reason": reason});
            self.write(last.to_string().as_bytes(), None);
            std::future::poll_fn(|context| self.poll_flush(context)).await
        };
        // Who takes nothing is told nothing.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, farewell).await;
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        let mut state = self.pipe.lock();
        state.ended = true;
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }
}

impl Stream for Body {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.0.lock();
        if let Some(chunk) = state.chunk.take() {
            if let Some(writer) = state.writer.take() {
                writer.wake();
            }
            return Poll::Ready(Some(Ok(chunk)));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.reader = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.gone = true;
        if let Some(writer) = state.writer.take() {
            writer.wake();
        }
    }
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn watch_writer(&mut self, context: &Context<'_>) {
        match &mut self.writer {
            Some(waker) => waker.clone_from(context.waker()),
            None => self.writer = Some(context.waker().clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;
    use crate::wire::Format;

    async fn flush(stream: &mut EventStream) -> Result<(), Error> {
        std::future::poll_fn(|context| stream.poll_flush(context)).await
    }

    #[tokio::test]
    async fn events_have_an_id_where_one_may_go_on() {
        let (mut stream, body) = event_stream("e1".into());
        let frame = |text: &'static str| Format::Json.message(Bytes::from_static(text.as_bytes()));
        stream.start(frame(r#"{"a":1}"#), None).expect("a frame");
        stream.start(frame(r#"{"a":2}"#), Some(7)).expect("a frame");
        let reader = tokio::spawn(body.map(|chunk| chunk.expect("no error")).collect::<Vec<_>>());
        flush(&mut stream).await.expect("it is taken");
        stream.close(VecDeque::new(), CloseCode::GoingAway, "going away").await;
        let text = reader.await.expect("it reads").concat();
        let expected = "data: {\"a\":1}\n\nid: e1:7\ndata: {\"a\":2}\n\n\
                        data: {\"code\":1001,\"reason\":\"going away\",\"type\":\"close\"}\n\n";
        assert_eq!(String::from_utf8(text), Ok(expected.to_owned()));
    }

    #[tokio::test]
    async fn a_slow_reader_holds_the_writer_and_a_lost_one_ends_it() {
        let (mut stream, mut body) = event_stream("e1".into());
        let frame = || Format::Json.message(Bytes::from(vec![b'1'; WRITE_BUFFER]));
        let ready = async |stream: &mut EventStream| {
            let ready = std::future::poll_fn(|context| stream.poll_ready(context));
            tokio::time::timeout(Duration::from_millis(50), ready).await
        };
        stream.start(frame(), None).expect("a frame");
        assert!(ready(&mut stream).await.is_ok(), "the first chunk is handed over");
        stream.start(frame(), None).expect("a frame");
        assert!(ready(&mut stream).await.is_err(), "nobody took it");
        assert!(body.next().await.is_some());
        assert!(ready(&mut stream).await.is_ok_and(|ready| ready.is_ok()));
        drop(body);
        assert!(matches!(flush(&mut stream).await, Err(Error::ConnectionClosed)));
        assert!(
            std::future::poll_fn(|context| stream.poll_next(context))
                .await
                .is_none()
        );
    }
}
