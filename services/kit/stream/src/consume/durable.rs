//! The consumer on the server: made once, verified ever after.

use std::time::Duration;

use async_nats::jetstream::consumer::{self, AckPolicy, DeliverPolicy, IntoConsumerConfig, pull};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{self, ErrorCode};
use serde_json::json;

use super::{ACK_WAIT, ConsumeError, Consumer};
use crate::mesh::Mesh;
use crate::pull::Pull;
use crate::state::{self, StreamError};
use crate::topology;

/// Makes sure that the consumer is there and as it should be, and opens a pull on it. Waits while
/// NATS or the stream is away.
pub(super) async fn open(mesh: &Mesh, consumer: &Consumer) -> Result<Pull, ConsumeError> {
    let mut pause = Duration::from_millis(100);
    loop {
        let problem = match ensure(mesh, consumer).await {
            Ok(epoch) => match Pull::open(
                mesh,
                &consumer.stream,
                &consumer.durable,
                &epoch,
                request_bytes(mesh, consumer),
            )
            .await
            {
                Ok(pull) => return Ok(pull),
                Err(error) => error.to_string(),
            },
            Err(Fault::Permanent(error)) => return Err(error),
            Err(Fault::Transient(problem)) => problem,
        };
        tracing::warn!(
            consumer = consumer.durable,
            stream = consumer.stream,
            problem,
            retry_ms = pause.as_millis() as u64,
            "couldn't reach the consumer, waiting"
        );
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

/// The server ends a request before a message that would exceed it, so it must be larger than any
/// message.
fn request_bytes(mesh: &Mesh, consumer: &Consumer) -> usize {
    consumer.batch.bytes.max(2 * mesh.client().max_payload())
}

enum Fault {
    Transient(String),
    Permanent(ConsumeError),
}

impl From<StreamError> for Fault {
    fn from(error: StreamError) -> Self {
        Self::Transient(error.to_string())
    }
}

/// Makes sure of the consumer; returns the epoch of its stream.
async fn ensure(mesh: &Mesh, consumer: &Consumer) -> Result<String, Fault> {
    let name = &consumer.durable;
    let epoch = topology::settle_epoch(mesh, &consumer.stream).await?;
    let path = format!("{}.{name}", consumer.stream);
    let wanted = config(mesh, consumer);
    let found = match state::ask::<consumer::Info>(mesh, &format!("CONSUMER.INFO.{path}")).await? {
        Response::Ok(info) => Some(info.config),
        Response::Err { error } if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND => None,
        Response::Err { error } => return Err(Fault::Transient(explain(consumer, &error))),
    };
    let action = match &found {
        None => "create",
        Some(found) => {
            unusable(name, found)?;
            if is_fine(found, &wanted) {
                return Ok(epoch);
            }
            "update"
        }
    };
    let config = match found {
        // An operator may have raised it.
        Some(found) => consumer::Config {
            ack_wait: wanted.ack_wait,
            max_deliver: wanted.max_deliver,
            max_ack_pending: wanted.max_ack_pending.max(found.max_ack_pending),
            ..found
        },
        None => wanted,
    };
    let body = json!({ "stream_name": consumer.stream, "config": config, "action": action });
    match state::request::<_, consumer::Info>(mesh, &format!("CONSUMER.CREATE.{path}"), &body).await? {
        Response::Ok(_) => {
            tracing::info!(
                consumer = name,
                stream = consumer.stream,
                action,
                "the consumer is ready"
            );
            Ok(epoch)
        }
        Response::Err { error } if error.code() == 400 => Err(Fault::Permanent(ConsumeError::Refused {
            name: name.clone(),
            problem: error.to_string(),
        })),
        Response::Err { error } => Err(Fault::Transient(explain(consumer, &error))),
    }
}

fn config(mesh: &Mesh, consumer: &Consumer) -> consumer::Config {
    pull::Config {
        durable_name: Some(consumer.durable.clone()),
        name: Some(consumer.durable.clone()),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_deliver: -1,
        // The server's default of 1,000 would throttle batches.
        max_ack_pending: consumer.max_ack_pending.max(consumer.batch.rows * 3) as i64,
        num_replicas: mesh.replicas(),
        ..pull::Config::default()
    }
    .into_consumer_config()
}

fn unusable(name: &str, found: &consumer::Config) -> Result<(), Fault> {
    let problem = if found.ack_policy != AckPolicy::Explicit {
        format!("ack policy {:?} instead of explicit", found.ack_policy)
    } else if let Some(subject) = &found.deliver_subject {
        format!("deliver subject {subject} instead of being pulled")
    } else {
        return Ok(());
    };
    Err(Fault::Permanent(ConsumeError::Unusable {
        name: name.to_owned(),
        problem,
    }))
}

fn is_fine(found: &consumer::Config, wanted: &consumer::Config) -> bool {
    found.ack_wait == wanted.ack_wait
        && found.max_deliver == wanted.max_deliver
        && (found.max_ack_pending >= wanted.max_ack_pending || found.max_ack_pending < 0)
}

fn explain(consumer: &Consumer, error: &jetstream::Error) -> String {
    state::refusal(&consumer.stream, error).to_string()
}
