//! A reader without state on the server: an ephemeral consumer that is made again after the last
//! sequence whenever anything is missing. Tails and windows are made of it.

use std::time::Duration;

use async_nats::jetstream::consumer::{self, AckPolicy, DeliverPolicy, IntoConsumerConfig, pull};
use async_nats::jetstream::response::Response;
use serde_json::json;

use crate::delivery::Delivery;
use crate::mesh::Mesh;
use crate::pull::{Pull, Pulled};
use crate::state::{self, State, StreamError, stream_state};
use crate::topology;

/// The server drops the consumer of a reader that is gone after this time.
const INACTIVE: Duration = Duration::from_mins(1);
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

pub(crate) struct Ordered {
    mesh: Mesh,
    stream: String,
    filters: Vec<String>,
    /// Messages to have under way.
    prefetch: usize,
    epoch: String,
    /// Last sequence that was handed out, or before the first that is wanted.
    last: u64,
    /// What the stream had lost before it could be read, until it is asked for.
    missed: Option<(u64, u64)>,
    reader: Option<Reader>,
    wait: Duration,
}

struct Reader {
    pull: Pull,
    name: String,
    consumer_seq: u64,
    /// Messages that matched and lay in the stream when the consumer was made.
    pending: u64,
}

impl Ordered {
    /// A reader of what comes after `last` in the epoch of `state`.
    pub(crate) fn new(
        mesh: &Mesh,
        stream: &str,
        filters: Vec<String>,
        prefetch: usize,
        state: &State,
        last: u64,
    ) -> Self {
        Self {
            mesh: mesh.clone(),
            stream: stream.to_owned(),
            filters,
            prefetch,
            epoch: state.epoch.clone(),
            last,
            missed: None,
            reader: None,
            wait: FIRST_WAIT,
        }
    }

    pub(crate) fn epoch(&self) -> &str {
        &self.epoch
    }

    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// The range after the last message, subjects not regarded, that the stream did not hold any
    /// more when it was opened again; told once.
    pub(crate) fn take_missed(&mut self) -> Option<(u64, u64)> {
        self.missed.take()
    }

    /// Makes the consumer if there is none, and tells how many messages match in the stream now.
    pub(crate) async fn ready(&mut self) -> Result<u64, StreamError> {
        if let Some(reader) = &self.reader {
            return Ok(reader.pending);
        }
        let reader = self.open().await?;
        let pending = reader.pending;
        self.reader = Some(reader);
        Ok(pending)
    }

    /// The same of a consumer that is made anew after the last message, on whichever server.
    pub(crate) async fn open_again(&mut self) -> Result<u64, StreamError> {
        self.close().await;
        self.ready().await
    }

    /// Whether the stream may have copies that are behind the others.
    pub(crate) fn is_in_cluster(&self) -> bool {
        self.mesh.client().server_info().cluster.is_some()
    }

    /// The next message. Waits through outages; ends with an error only for what waiting cannot
    /// mend. After [`StreamError::Epoch`] it goes on from the beginning of the new epoch. Safe
    /// to cancel.
    pub(crate) async fn next(&mut self) -> Result<Delivery, StreamError> {
        loop {
            let Some(reader) = &mut self.reader else {
                match self.open().await {
                    Ok(reader) => {
                        self.reader = Some(reader);
                        self.wait = FIRST_WAIT;
                    }
                    Err(error) if error.is_transient() => {
                        tracing::debug!(stream = self.stream, %error, "waiting to read the stream again");
                        self.pause().await;
                    }
                    Err(error) => return Err(error),
                }
                continue;
            };
            if let Err(error) = reader.pull.ask(self.prefetch).await {
                tracing::debug!(stream = self.stream, %error, "couldn't ask for messages");
                self.reader = None;
                self.pause().await;
                continue;
            }
            match reader.pull.next().await {
                Pulled::Delivery(delivery) if delivery.consumer_seq == reader.consumer_seq + 1 => {
                    reader.consumer_seq += 1;
                    self.last = delivery.seq;
                    return Ok(delivery);
                }
                Pulled::Delivery(delivery) => {
                    tracing::debug!(
                        stream = self.stream,
                        expected = reader.consumer_seq + 1,
                        got = delivery.consumer_seq,
                        "a message is missing, reading again after the last one"
                    );
                    self.reader = None;
                }
                // Asked again above.
                Pulled::Expired => {}
                Pulled::Lost(why) => {
                    tracing::debug!(
                        stream = self.stream,
                        last_seq = self.last,
                        why,
                        "reading again after the last message"
                    );
                    self.reader = None;
                }
            }
        }
    }

    /// Whether nothing that matches is left to come, by the server's word.
    pub(crate) async fn is_drained(&self) -> bool {
        let Some(reader) = &self.reader else { return false };
        let path = format!("CONSUMER.INFO.{}.{}", self.stream, reader.name);
        match state::ask::<consumer::Info>(&self.mesh, &path).await {
            Ok(Response::Ok(info)) => info.num_pending == 0 && info.delivered.consumer_sequence == reader.consumer_seq,
            _ => false,
        }
    }

    /// Removes the consumer from the server; without it the server does so after a minute.
    pub(crate) async fn close(&mut self) {
        if let Some(reader) = self.reader.take() {
            let _: Result<Response<serde_json::Value>, _> =
                state::ask(&self.mesh, &format!("CONSUMER.DELETE.{}.{}", self.stream, reader.name)).await;
        }
    }

    async fn pause(&mut self) {
        tokio::time::sleep(self.wait.mul_f64(rand::random_range(0.5..=1.0))).await;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
    }

    async fn open(&mut self) -> Result<Reader, StreamError> {
        let state = stream_state(&self.mesh, &self.stream).await?;
        let epoch = if state.epoch == self.epoch && state.last_seq < self.last {
            // The stream lost its end: a restore, or a crash that took unsynced messages.
            topology::renew_epoch(&self.mesh, &self.stream, &self.epoch).await?
        } else {
            state.epoch
        };
        if epoch != self.epoch {
            self.epoch.clone_from(&epoch);
            self.last = 0;
            self.missed = None;
            return Err(StreamError::Epoch(epoch));
        }
        if state.first_seq > self.last + 1 {
            let from = self.missed.map_or(self.last + 1, |(from, _)| from);
            self.missed = Some((from, state.first_seq - 1));
            self.last = state.first_seq - 1;
        }
        let name = format!("read_{:016x}", rand::random::<u64>());
        let config = pull::Config {
            name: Some(name.clone()),
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: self.last + 1,
            },
            ack_policy: AckPolicy::None,
            filter_subjects: self.filters.clone(),
            inactive_threshold: INACTIVE,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let body = json!({ "stream_name": self.stream, "config": config.into_consumer_config(), "action": "create" });
        let subject = format!("CONSUMER.CREATE.{}.{name}", self.stream);
        let pending = match state::request::<_, Created>(&self.mesh, &subject, &body).await? {
            Response::Ok(created) => created.num_pending,
            Response::Err { error } => return Err(state::refusal(&self.stream, &error)),
        };
        let pull = Pull::open(&self.mesh, &self.stream, &name, &self.epoch, 0).await?;
        Ok(Reader {
            pull,
            name,
            consumer_seq: 0,
            pending,
        })
    }
}

/// The sequence that a consumer would start with that asks for what was stored since then: the
/// server looks it up, and nothing is delivered.
pub(crate) async fn start_at(mesh: &Mesh, stream: &str, since_us: u64) -> Result<u64, StreamError> {
    let start_time = async_nats::datetime::from_nanos(i128::from(since_us) * 1_000)
        .map_err(|error| StreamError::Refused(error.to_string()))?;
    let name = format!("read_{:016x}", rand::random::<u64>());
    let config = pull::Config {
        name: Some(name.clone()),
        deliver_policy: DeliverPolicy::ByStartTime { start_time },
        ack_policy: AckPolicy::None,
        inactive_threshold: INACTIVE,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
    let body = json!({ "stream_name": stream, "config": config.into_consumer_config(), "action": "create" });
    let subject = format!("CONSUMER.CREATE.{stream}.{name}");
    let created = match state::request::<_, consumer::Info>(mesh, &subject, &body).await? {
        Response::Ok(created) => created,
        Response::Err { error } => return Err(state::refusal(stream, &error)),
    };
    let _: Result<Response<serde_json::Value>, _> = state::ask(mesh, &format!("CONSUMER.DELETE.{stream}.{name}")).await;
    Ok(created.delivered.stream_sequence + 1)
}

#[derive(serde::Deserialize)]
struct Created {
    #[serde(default)]
    num_pending: u64,
}
