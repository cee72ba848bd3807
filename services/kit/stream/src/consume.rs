//! The durable pull loop.
//!
//! A handler gets batches and answers each message with an [`Outcome`]; the loop acks, only after
//! that. While a batch is held, in-progress acks keep the server from delivering it to somebody
//! else, so a fault that passes costs no attempt. A message that is refused for good goes to the
//! dead letters first and is given up (Term) after the copy is stored. A message that keeps
//! coming back without an outcome (its handler crashes) is handled alone from its 10th delivery,
//! so that it takes no others with it, and is dead-lettered at its 20th.
//!
//! Batches fit themselves to the load. When nothing is in flight and the stream holds nothing
//! more, what is here is handed over at once: an idle mesh pays no waiting time. While a batch
//! is in flight the next one fills, so batches grow with the time that handling takes; a second
//! one at once is started only when it is full or old. Under a backlog all batches are full.

mod buffer;
mod durable;
mod retention;
mod standing;
mod work;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::delivery::Delivery;
use crate::mesh::Mesh;
use crate::pull::{Pull, Pulled};
use buffer::Buffer;
pub use retention::{Retention, retention};
pub use standing::{Standing, standing, stored_at};
use work::Work;

/// From this delivery on a message is handled alone.
pub const ALONE_FROM: u64 = 10;
/// At this delivery a message is dead-lettered.
pub const DEAD_AT: u64 = 20;

/// Unacked messages of a process that died come back after this time; while a process lives, it
/// says so three times within it.
const ACK_WAIT: Duration = Duration::from_secs(10);
const PROGRESS_EVERY: Duration = Duration::from_secs(3);
/// After a stop, messages that the server is still sending come within this time.
const QUIET: Duration = Duration::from_millis(100);
/// On a busy stream it is never quiet: what was asked for goes on coming until all of it is here. Then
/// the few messages that are on the wire at this moment come again after the ack wait.
const LONGEST_QUIET: Duration = Duration::from_millis(500);

/// A durable consumer and how its messages are batched.
#[derive(Debug, Clone)]
pub struct Consumer {
    /// Stream to read.
    pub stream: String,
    /// Name of the consumer; all processes of a service share it.
    pub durable: String,
    /// When a batch is complete.
    pub batch: BatchLimits,
    /// Messages that all processes together may hold without an ack; at least three batches are
    /// taken.
    pub max_ack_pending: usize,
    /// Batches that are handled at once, at least one.
    pub in_flight: usize,
}

/// A batch is handed over at the first of these, and earlier when there is nothing to wait for.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Messages.
    pub rows: usize,
    /// Bytes of messages. About so much waits besides what is handled, so huge messages cost
    /// memory as small ones do.
    pub bytes: usize,
    /// Time since its first message came.
    pub age: Duration,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its effect is durable: ack it.
    Done,
    /// A fault that passes: hold it and try it again after this time.
    RetryAfter(Duration),
    /// It will never succeed: to the dead letters.
    Reject {
        /// Why, in words for an operator.
        reason: String,
    },
}

/// What handles the messages.
pub trait Handler: Send + Sync + 'static {
    /// Handles a batch; the outcomes are in the order of the messages. A batch that is tried again
    /// holds only those that asked for it.
    fn handle(&self, batch: &[Delivery]) -> impl Future<Output = Vec<Outcome>> + Send;
}

/// Counts since the start, for metrics.
#[derive(Debug, Default)]
pub struct Counts {
    delivered: AtomicU64,
    redelivered: AtomicU64,
    acked: AtomicU64,
    retried: AtomicU64,
    dead_lettered: AtomicU64,
    returned: AtomicU64,
    lost_pulls: AtomicU64,
    pending: AtomicU64,
    held: AtomicU64,
}

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        impl Counts {
            $($(#[$doc])* #[must_use] pub fn $name(&self) -> u64 { self.$name.load(Ordering::Relaxed) })*
        }
    };
}

counts! {
    /// Messages that came, each time they came.
    delivered,
    /// Messages that came again.
    redelivered,
    /// Messages whose effect is durable.
    acked,
    /// Messages that were held and tried again.
    retried,
    /// Messages that went to the dead letters.
    dead_lettered,
    /// Messages that were handed back at a stop.
    returned,
    /// Pull requests that were lost and made again.
    lost_pulls,
    /// Messages in the stream that were not delivered yet when the last one came: the lag.
    pending,
    /// Messages that this process holds without an ack right now.
    held,
}

impl Counts {
    /// Corrects the lag, for when no message comes that could tell it.
    pub fn correct_pending(&self, pending: u64) {
        self.pending.store(pending, Ordering::Relaxed);
    }
}

/// Why a consumer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConsumeError {
    /// A consumer of this name exists and is of another kind.
    #[error("consumer {name} exists with {problem}: delete it, or choose another name")]
    Unusable {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The server refuses the consumer.
    #[error("couldn't create consumer {name}: {problem}")]
    Refused {
        /// Its name.
        name: String,
        /// What the server says.
        problem: String,
    },
}

/// Reads until `soft` is cancelled; then stops fetching, finishes and acks what is in flight, and
/// returns. Waits through outages of NATS; the consumer is made again only if it is really gone.
///
/// # Errors
/// When the consumer cannot be used, which waiting does not mend.
pub async fn run<H: Handler>(
    mesh: &Mesh,
    consumer: Consumer,
    handler: Arc<H>,
    counts: Arc<Counts>,
    soft: CancellationToken,
) -> Result<(), ConsumeError> {
    let rows = consumer.batch.rows.max(1);
    let in_flight = consumer.in_flight.max(1);
    // One batch is filling while the others are handled.
    let capacity = rows * 2;
    let work = Arc::new(Work::new(mesh, &consumer, handler, Arc::clone(&counts), soft.clone()));
    let mut buffer = Buffer::new(consumer.batch);
    let mut running: JoinSet<Vec<Delivery>> = JoinSet::new();
    let mut unfinished = Vec::new();
    let mut pull: Option<Pull> = None;
    let mut stop_at: Option<Instant> = None;
    let mut stop_by = Instant::now();
    // Whether the last message that came was the stream's last.
    let mut caught_up = false;
    let mut progress = tokio::time::interval(PROGRESS_EVERY);
    progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        while running.len() < in_flight
            && let Some(batch) = buffer.take(Instant::now(), stop_at.is_some())
        {
            running.spawn(Arc::clone(&work).run(batch));
        }
        if stop_at.is_some() && pull.is_none() && buffer.is_empty() && running.is_empty() {
            break;
        }
        if stop_at.is_none() {
            if pull.is_none() {
                let opened = tokio::select! {
                    opened = durable::open(mesh, &consumer) => opened,
                    () = soft.cancelled() => {
                        stop_at = Some(Instant::now());
                        continue;
                    }
                };
                pull = Some(opened?);
            }
            let room = if buffer.bytes() < consumer.batch.bytes {
                capacity.saturating_sub(buffer.len())
            } else {
                0
            };
            if let Some(open) = &mut pull
                && let Err(error) = open.ask(room).await
            {
                tracing::debug!(%error, "couldn't ask for messages");
                pull = None;
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        }
        let free = running.len() < in_flight;
        let deadline = buffer.deadline().filter(|_| free);
        tokio::select! {
            biased;
            Some(done) = running.join_next(), if !running.is_empty() => match done {
                Ok(mut left) => unfinished.append(&mut left),
                // Its messages come again after the ack wait; see the module's words on attempts.
                Err(error) => tracing::error!(%error, "handling a batch crashed"),
            },
            () = soft.cancelled(), if stop_at.is_none() => {
                stop_at = Some(Instant::now() + QUIET);
                stop_by = Instant::now() + LONGEST_QUIET;
            }
            () = at(stop_at), if stop_at.is_some() && pull.is_some() => close(&mut pull).await,
            pulled = next(&mut pull), if pull.is_some() && buffer.len() < capacity => match pulled {
                Pulled::Delivery(delivery) => {
                    count(&counts, &delivery);
                    caught_up = delivery.pending == 0;
                    buffer.push(delivery, Instant::now());
                    if stop_at.is_some() {
                        stop_at = Some(stop_by.min(Instant::now() + QUIET));
                        if pull.as_ref().is_some_and(|pull| pull.outstanding() == 0) {
                            close(&mut pull).await;
                        }
                    }
                }
                // Asked again above.
                Pulled::Expired => {}
                Pulled::Lost(why) => {
                    tracing::info!(why, consumer = consumer.durable, "pulling again");
                    counts.lost_pulls.fetch_add(1, Ordering::Relaxed);
                    pull = None;
                }
            },
            () = at(deadline), if deadline.is_some() => {}
            // Behind the messages: whatever has come by now goes together.
            () = std::future::ready(()), if caught_up && running.is_empty() && !buffer.is_empty() => {
                if let Some(batch) = buffer.take(Instant::now(), true) {
                    running.spawn(Arc::clone(&work).run(batch));
                }
            }
            _ = progress.tick() => work.in_progress(buffer.held()).await,
        }
    }
    // Not before the pull is closed: it would get them again.
    work.hand_back(&unfinished).await;
    work.flush().await;
    Ok(())
}

fn count(counts: &Counts, delivery: &Delivery) {
    counts.delivered.fetch_add(1, Ordering::Relaxed);
    counts.held.fetch_add(1, Ordering::Relaxed);
    if delivery.delivered > 1 {
        counts.redelivered.fetch_add(1, Ordering::Relaxed);
    }
    counts.pending.store(delivery.pending, Ordering::Relaxed);
}

async fn close(pull: &mut Option<Pull>) {
    if let Some(pull) = pull.take() {
        pull.close().await;
    }
}

async fn next(pull: &mut Option<Pull>) -> Pulled {
    match pull {
        Some(pull) => pull.next().await,
        None => std::future::pending().await,
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
