//! The queue of spans and the thread that sends them.
//!
//! Both are bounded: while the receiver is away, or slower than the mesh, what does not fit is
//! dropped and counted, and nothing that handles messages waits. The thread has a blocking client
//! of its own, so that it never competes with the work it watches.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::blocking::Client;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use super::encode;
use super::span::Value;
use crate::metrics::{Counter, Metrics};

/// Spans are sent when there are this many bytes of them, about 2,000, or after [`DELAY`].
const CHUNK: usize = 512 << 10;
const DELAY: Duration = Duration::from_millis(500);
/// Room for some seconds of spans at full sampling and 5,000 messages a second.
const MAX_CHUNKS: usize = 32;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long the last spans may take to leave on shutdown.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

static QUEUE: OnceLock<Arc<Queue>> = OnceLock::new();

/// The queue, where spans go anywhere.
pub(super) fn queue() -> Option<&'static Queue> {
    QUEUE.get().map(AsRef::as_ref)
}

/// What became of spans.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    exported: Counter,
    dropped: Counter,
    failed: Counter,
}

impl Counts {
    /// Every service has them, whether or not it exports: 0 is an answer, too.
    pub(crate) fn of(metrics: &Metrics) -> Self {
        Self {
            exported: metrics.counter("spans_exported_total", "Spans that the OTLP receiver took"),
            dropped: metrics.counter(
                "spans_dropped_total",
                "Spans that found the queue full, or were left when the process ended",
            ),
            failed: metrics.counter("spans_failed_total", "Spans that the OTLP receiver refused for good"),
        }
    }
}

#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    spans: u64,
}

#[derive(Debug, Default)]
struct State {
    /// Full ones, the oldest first.
    sealed: VecDeque<Chunk>,
    filling: Chunk,
    closed: bool,
}

/// Spans on their way.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    more: Condvar,
    counts: Counts,
}

impl Queue {
    fn new(counts: Counts) -> Self {
        Self {
            state: Mutex::default(),
            more: Condvar::new(),
            counts,
        }
    }

    /// Takes an encoded span over.
    pub(super) fn push(&self, span: &[u8]) {
        let mut state = self.lock();
        if !state.filling.bytes.is_empty() && state.filling.bytes.len() + span.len() > CHUNK {
            if state.sealed.len() >= MAX_CHUNKS {
                drop(state);
                return self.counts.dropped.inc();
            }
            let full = std::mem::take(&mut state.filling);
            state.sealed.push_back(full);
            self.more.notify_one();
        }
        if state.closed {
            drop(state);
            return self.counts.dropped.inc();
        }
        if state.filling.bytes.capacity() == 0 {
            state.filling.bytes.reserve(CHUNK);
        }
        state.filling.bytes.extend_from_slice(span);
        state.filling.spans += 1;
    }

    /// The next chunk; nothing when the queue is closed and empty.
    fn next(&self) -> Option<Chunk> {
        let mut state = self.lock();
        let deadline = Instant::now() + DELAY;
        loop {
            if let Some(chunk) = state.sealed.pop_front() {
                return Some(chunk);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.closed || (left.is_zero() && state.filling.spans > 0) {
                return Some(std::mem::take(&mut state.filling)).filter(|chunk| chunk.spans > 0);
            }
            let wait = if left.is_zero() { DELAY } else { left };
            state = self
                .more
                .wait_timeout(state, wait)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits, but not beyond the end of the process.
    fn pause(&self, pause: Duration) {
        let state = self.lock();
        if !state.closed {
            // A full chunk may wake it early: then the receiver is tried once more, no harm done.
            drop(self.more.wait_timeout(state, pause));
        }
    }

    fn close(&self) {
        self.lock().closed = true;
        self.more.notify_all();
    }

    fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Gives up what is left. Returns how many spans that are.
    fn abandon(&self, chunk: Option<Chunk>) -> u64 {
        let mut state = self.lock();
        let left = state.sealed.drain(..).map(|chunk| chunk.spans).sum::<u64>()
            + std::mem::take(&mut state.filling).spans
            + chunk.map_or(0, |chunk| chunk.spans);
        self.counts.dropped.add(left);
        left
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that sends; [`Exporter::finish`] sends what is left.
#[derive(Debug)]
pub(crate) struct Exporter {
    queue: Arc<Queue>,
    thread: JoinHandle<()>,
}

impl Exporter {
    /// Starts it. From now on [`super::record`] has somewhere to send to.
    ///
    /// # Errors
    /// When there is no client or no thread to be had.
    pub(crate) fn start(
        endpoint: &str,
        mut headers: HeaderMap,
        resource: &[(&str, Value<'_>)],
        counts: Counts,
    ) -> anyhow::Result<Self> {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let queue = Arc::new(Queue::new(counts));
        let resource = encode::resource(resource);
        // The variable names the receiver's base; the path is the specification's.
        let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let sending = Arc::clone(&queue);
        let thread = std::thread::Builder::new()
            .name("spans".to_owned())
            .spawn(move || {
                match Client::builder()
                    .timeout(REQUEST_TIMEOUT)
                    .default_headers(headers)
                    .build()
                {
                    Ok(client) => Sender {
                        client,
                        url,
                        resource,
                        queue: sending,
                    }
                    .run(),
                    Err(error) => tracing::error!(%error, "spans cannot be sent"),
                }
            })
            .context("couldn't start the thread that sends spans")?;
        // One process, one queue: a second start is a fault of ours that loses its own spans only.
        let _ = QUEUE.set(Arc::clone(&queue));
        Ok(Self { queue, thread })
    }

    /// Sends what is left, for a second at most.
    pub(crate) fn finish(self) {
        self.queue.close();
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        while !self.thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let lost = self.queue.abandon(None);
        if lost > 0 {
            tracing::warn!(spans = lost, "spans were lost at the end");
        }
    }
}

struct Sender {
    client: Client,
    url: String,
    resource: Vec<u8>,
    queue: Arc<Queue>,
}

impl Sender {
    fn run(self) {
        let mut is_away = false;
        while let Some(chunk) = self.queue.next() {
            let body = Bytes::from(encode::request(&self.resource, &chunk.bytes));
            let mut pause = FIRST_PAUSE;
            loop {
                match self.send(body.clone(), chunk.spans) {
                    Ok(()) => {
                        if std::mem::take(&mut is_away) {
                            let dropped = self.queue.counts.dropped.get();
                            tracing::info!(dropped, "the OTLP receiver takes spans again");
                        }
                        break;
                    }
                    Err(error) => {
                        // Once an outage, and without the URL, which may hold a password.
                        if !std::mem::replace(&mut is_away, true) {
                            tracing::warn!(error, "the OTLP receiver takes no spans; trying again");
                        }
                    }
                }
                if self.queue.is_closed() {
                    self.queue.abandon(Some(chunk));
                    return;
                }
                self.queue.pause(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Sends once. The error says what may pass; what will not is counted here.
    fn send(&self, body: Bytes, spans: u64) -> Result<(), String> {
        let counts = &self.queue.counts;
        let answer = self.client.post(&self.url).body(body).send();
        let answer = answer.map_err(|error| describe(&error.without_url()))?;
        let status = answer.status();
        if status.is_success() {
            let refused = answer.bytes().map_or(0, |body| encode::rejected(&body)).min(spans);
            counts.failed.add(refused);
            counts.exported.add(spans - refused);
            return Ok(());
        }
        // The specification's list of what is worth another try.
        let passes = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        if passes {
            return Err(format!("it answers {status}"));
        }
        tracing::warn!(%status, spans, "the OTLP receiver refused spans");
        counts.failed.add(spans);
        Ok(())
    }
}

fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
