//! The pull loop under consumers, tails and windows.
//!
//! One inbox, and pull requests that add up to what the reader has room for. Every request has a
//! heartbeat, so a request that the server forgot is noticed within seconds (the client's own
//! stream sets none by default).

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::pull::BatchConfig;
use async_nats::{StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::delivery::Delivery;
use crate::mesh::Mesh;
use crate::state::StreamError;

/// How long the server keeps a request that it cannot fill.
const EXPIRES: Duration = Duration::from_secs(30);
/// How often the server says that it still knows the request.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Silence after which a request counts as lost: two heartbeats and some slack.
const SILENCE: Duration = Duration::from_secs(5);

/// What a pull yields.
#[derive(Debug)]
pub(crate) enum Pulled {
    /// A message.
    Delivery(Delivery),
    /// A request ran out: fewer messages are under way than were asked for, or none, so whoever
    /// reads on has to ask again.
    Expired,
    /// The requests under way count for nothing any more; make sure that the consumer is still
    /// there, and pull again.
    Lost(&'static str),
}

pub(crate) struct Pull {
    client: async_nats::Client,
    next_subject: Subject,
    inbox: Subject,
    subscription: Subscriber,
    epoch: Arc<str>,
    max_bytes: usize,
    /// Messages that were asked for and have not come.
    outstanding: usize,
    heard: Instant,
    connects: watch::Receiver<u64>,
    slow: watch::Receiver<u64>,
}

impl Pull {
    /// Subscribes an inbox for a consumer that exists. `max_bytes` bounds each request; 0 = no bound.
    pub(crate) async fn open(
        mesh: &Mesh,
        stream: &str,
        consumer: &str,
        epoch: &str,
        max_bytes: usize,
    ) -> Result<Self, StreamError> {
        let client = mesh.client().clone();
        let mut connects = mesh.connects();
        connects.mark_unchanged();
        let mut slow = mesh.slow();
        slow.mark_unchanged();
        let inbox = Subject::from(client.new_inbox());
        let subscription = client
            .subscribe(inbox.clone())
            .await
            .map_err(|error| StreamError::Unavailable(error.to_string()))?;
        Ok(Self {
            next_subject: Subject::from(format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}")),
            client,
            inbox,
            subscription,
            epoch: epoch.into(),
            max_bytes,
            outstanding: 0,
            heard: Instant::now(),
            connects,
            slow,
        })
    }

    /// Messages that were asked for and have not come.
    pub(crate) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Asks for more when less than half of `room` is under way.
    pub(crate) async fn ask(&mut self, room: usize) -> Result<(), StreamError> {
        if room == 0 || self.outstanding > room / 2 {
            return Ok(());
        }
        let batch = room - self.outstanding;
        let request = BatchConfig {
            batch,
            expires: Some(EXPIRES),
            idle_heartbeat: HEARTBEAT,
            max_bytes: self.max_bytes,
            ..BatchConfig::default()
        };
        // Numbers and flags always have a JSON form.
        let body = serde_json::to_vec(&request).expect("a pull request always has a JSON form");
        self.client
            .publish_with_reply(self.next_subject.clone(), self.inbox.clone(), Bytes::from(body))
            .await
            .map_err(|error| StreamError::Unavailable(error.to_string()))?;
        if self.outstanding == 0 {
            self.heard = Instant::now();
        }
        self.outstanding += batch;
        Ok(())
    }

    /// The next message, or news that the requests are lost. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Pulled {
        loop {
            let message = tokio::select! {
                biased;
                message = self.subscription.next() => message,
                Ok(()) = self.connects.changed() => return self.lost("the connection was made anew"),
                Ok(()) = self.slow.changed() => return self.lost("the client dropped messages"),
                () = tokio::time::sleep_until(self.heard + SILENCE), if self.outstanding > 0 => {
                    return self.lost("no heartbeat came");
                }
            };
            let Some(message) = message else {
                return self.lost("the subscription ended");
            };
            self.heard = Instant::now();
            if let Some(status) = message.status {
                if let Some(news) = self.on_status(status, &message) {
                    return news;
                }
                continue;
            }
            self.outstanding = self.outstanding.saturating_sub(1);
            match Delivery::from_message(message, &self.epoch) {
                Ok(delivery) => return Pulled::Delivery(delivery),
                Err(error) => tracing::warn!(%error, "ignored a message that no stream sent"),
            }
        }
    }

    /// Takes the inbox away, so that the server drops the requests under way before it sees
    /// whatever is sent after this.
    pub(crate) async fn close(mut self) {
        if let Err(error) = self.subscription.unsubscribe().await {
            tracing::debug!(%error, "couldn't unsubscribe a pull");
        }
    }

    fn on_status(&mut self, status: StatusCode, message: &async_nats::Message) -> Option<Pulled> {
        let description = message.description.as_deref().unwrap_or_default();
        let unfilled = message
            .headers
            .as_ref()
            .and_then(|headers| headers.get("Nats-Pending-Messages"))
            .and_then(|value| value.as_str().parse::<usize>().ok());
        match status {
            StatusCode::IDLE_HEARTBEAT => None,
            StatusCode::NO_RESPONDERS => Some(self.lost("nobody answers for the consumer")),
            StatusCode::REQUEST_TERMINATED if description.contains("Deleted") => {
                Some(self.lost("the consumer was deleted"))
            }
            // The end of one request: expired, larger than max_bytes, too many waiting, or a
            // change of leader. What it did not deliver is no longer under way.
            _ => {
                tracing::debug!(
                    status = u16::from(status),
                    description,
                    unfilled,
                    "a pull request ended"
                );
                Some(match unfilled {
                    Some(unfilled) => {
                        self.outstanding = self.outstanding.saturating_sub(unfilled);
                        Pulled::Expired
                    }
                    None => self.lost("the server ended the request"),
                })
            }
        }
    }

    fn lost(&mut self, why: &'static str) -> Pulled {
        self.outstanding = 0;
        Pulled::Lost(why)
    }
}
