//! Handling one batch to its end: outcomes, acks, retries, dead letters.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tgmesh_proto::codec;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{Consumer, Counts, DEAD_AT, Handler, Outcome, PROGRESS_EVERY};
use crate::deadletter::{self, MAX_REASON_CHARS};
use crate::delivery::Delivery;
use crate::mesh::Mesh;

const ACK: Bytes = Bytes::from_static(b"+ACK");
const IN_PROGRESS: Bytes = Bytes::from_static(b"+WPI");
const NAK: Bytes = Bytes::from_static(b"-NAK");
const TERM: Bytes = Bytes::from_static(b"+TERM");

/// Dead letters that are published at once: each takes a round trip.
const BURIALS_AT_ONCE: usize = 64;

pub(super) struct Work<H> {
    mesh: Mesh,
    stream: String,
    durable: String,
    handler: Arc<H>,
    counts: Arc<Counts>,
    soft: CancellationToken,
}

impl<H: Handler> Work<H> {
    pub(super) fn new(
        mesh: &Mesh,
        consumer: &Consumer,
        handler: Arc<H>,
        counts: Arc<Counts>,
        soft: CancellationToken,
    ) -> Self {
        Self {
            mesh: mesh.clone(),
            stream: consumer.stream.clone(),
            durable: consumer.durable.clone(),
            handler,
            counts,
            soft,
        }
    }

    /// Handles a batch until every message has its end, or the process is to stop: then returns
    /// those that have none.
    pub(super) async fn run(self: Arc<Self>, batch: Vec<Delivery>) -> Vec<Delivery> {
        let _held = Held {
            counts: Arc::clone(&self.counts),
            messages: batch.len() as u64,
        };
        let (dead, mut open): (Vec<_>, Vec<_>) = batch.into_iter().partition(|message| message.delivered >= DEAD_AT);
        let dead = dead.into_iter().map(|message| {
            let reason = format!("delivered {} times without an outcome", message.delivered);
            (message, reason)
        });
        let mut unfinished = self.while_in_progress(&open, self.bury_all(dead.collect())).await;
        while !open.is_empty() {
            let mut outcomes = self.while_in_progress(&open, self.handler.handle(&open)).await;
            if outcomes.len() != open.len() {
                tracing::error!(
                    outcomes = outcomes.len(),
                    messages = open.len(),
                    "a handler lost count, trying again"
                );
                outcomes = vec![Outcome::RetryAfter(Duration::from_secs(1)); open.len()];
            }
            let mut again = Vec::new();
            let mut letters = Vec::new();
            let mut wait = Duration::ZERO;
            for (message, outcome) in open.into_iter().zip(outcomes) {
                match outcome {
                    Outcome::Done => {
                        self.answer(&message, ACK).await;
                        add(&self.counts.acked, 1);
                    }
                    Outcome::RetryAfter(after) => {
                        wait = wait.max(after);
                        again.push(message);
                    }
                    Outcome::Reject { mut reason } => {
                        // It may quote bytes from outside.
                        codec::truncate(&mut reason, MAX_REASON_CHARS);
                        letters.push((message, reason));
                    }
                }
            }
            if !letters.is_empty() {
                let left = self.while_in_progress(&again, self.bury_all(letters)).await;
                unfinished.extend(left);
            }
            open = again;
            if !open.is_empty() && !self.pause(&open, wait).await {
                break;
            }
        }
        unfinished.append(&mut open);
        unfinished
    }

    /// Hands messages back: another process, or this one after its start, gets them at once.
    pub(super) async fn hand_back(&self, messages: &[Delivery]) {
        for message in messages {
            self.answer(message, NAK).await;
        }
        add(&self.counts.returned, messages.len() as u64);
    }

    /// Tells the server that these messages are still being handled.
    pub(super) async fn in_progress(&self, messages: impl Iterator<Item = &Delivery>) {
        for message in messages {
            self.answer(message, IN_PROGRESS).await;
        }
    }

    /// Sends out the acks that are buffered, so that the process may end.
    pub(super) async fn flush(&self) {
        let flushed = tokio::time::timeout(Duration::from_secs(2), self.mesh.client().flush()).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("the last acks may not have reached the server, their messages may come again");
        }
    }

    /// Waits before the next try; false when the process is to stop.
    async fn pause(&self, held: &[Delivery], wait: Duration) -> bool {
        add(&self.counts.retried, held.len() as u64);
        let wait = tokio::time::sleep(wait.max(Duration::from_millis(10)));
        tokio::select! {
            () = self.while_in_progress(held, wait) => !self.soft.is_cancelled(),
            () = self.soft.cancelled() => false,
        }
    }

    /// Buries messages, several at once: a publisher that went wrong can fill whole batches with
    /// what nobody can read, and the good ones behind them wait. Returns those that the process
    /// had no time left for.
    async fn bury_all(&self, letters: Vec<(Delivery, String)>) -> Vec<Delivery> {
        let Some((first, reason)) = letters.first() else {
            return Vec::new();
        };
        tracing::warn!(
            consumer = self.durable,
            stream = self.stream,
            messages = letters.len(),
            first_seq = first.seq,
            first_subject = ?first.subject,
            first_attempts = first.delivered,
            first_reason = ?reason,
            "messages go to the dead letters"
        );
        let mut left = Vec::new();
        let mut waiting = letters.into_iter();
        loop {
            let burials: Vec<_> = waiting.by_ref().take(BURIALS_AT_ONCE).collect();
            if burials.is_empty() {
                return left;
            }
            let round = join_all(burials.iter().map(|(message, reason)| self.bury(message, reason)));
            let held: Vec<_> = waiting.as_slice().iter().map(|(message, _)| message).collect();
            let buried = self.while_held(|| held.iter().copied(), round).await;
            let unburied = burials.into_iter().zip(buried).filter(|(_, buried)| !buried);
            left.extend(unburied.map(|((message, _), _)| message));
        }
    }

    /// Copies a message to the dead letters, however long that takes, and gives it up; false when
    /// the process is to stop before that is done.
    async fn bury(&self, message: &Delivery, reason: &str) -> bool {
        let mut pause = Duration::from_millis(100);
        loop {
            let copy = deadletter::copy(&self.mesh, &self.stream, &self.durable, message, reason);
            match self.while_in_progress(std::slice::from_ref(message), copy).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::warn!(seq = message.seq, %error, "couldn't store a dead letter, trying again");
                    if !self.pause(std::slice::from_ref(message), pause).await {
                        return false;
                    }
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
            }
        }
        tracing::debug!(
            consumer = self.durable,
            seq = message.seq,
            reason,
            "a message went to the dead letters"
        );
        self.answer(message, TERM).await;
        add(&self.counts.dead_lettered, 1);
        true
    }

    /// Runs a future and sends in-progress acks for what is held meanwhile.
    async fn while_in_progress<T>(&self, held: &[Delivery], future: impl Future<Output = T>) -> T {
        self.while_held(|| held.iter(), future).await
    }

    async fn while_held<'a, T, I: Iterator<Item = &'a Delivery>>(
        &self,
        held: impl Fn() -> I,
        future: impl Future<Output = T>,
    ) -> T {
        let mut ticks = tokio::time::interval_at(Instant::now() + PROGRESS_EVERY, PROGRESS_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(future);
        loop {
            tokio::select! {
                biased;
                result = &mut future => return result,
                _ = ticks.tick() => self.in_progress(held()).await,
            }
        }
    }

    /// An answer that does not reach the server costs a redelivery, which handlers are made for.
    async fn answer(&self, message: &Delivery, answer: Bytes) {
        if let Err(error) = self.mesh.client().publish(message.reply.clone(), answer).await {
            tracing::debug!(seq = message.seq, %error, "an ack could not be sent");
        }
    }
}

/// Takes a batch off the count of held messages, also when handling it crashes.
struct Held {
    counts: Arc<Counts>,
    messages: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.counts.held.fetch_sub(self.messages, Ordering::Relaxed);
    }
}

fn add(count: &AtomicU64, n: u64) {
    count.fetch_add(n, Ordering::Relaxed);
}
