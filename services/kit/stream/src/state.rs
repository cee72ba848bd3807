//! What a stream holds right now, and why it may not say.

use async_nats::jetstream;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::Info;
use async_nats::jetstream::response::Response;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::mesh::Mesh;
use crate::topology::EPOCH_KEY;

/// A stream's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Oldest sequence that is still there; one more than `last_seq` when it is empty.
    pub first_seq: u64,
    /// Newest sequence; 0 when nothing was ever stored.
    pub last_seq: u64,
    /// Messages in it.
    pub messages: u64,
    /// Bytes they occupy.
    pub bytes: u64,
    /// The stream's epoch: sequences of two epochs cannot be compared. Empty when the stream was
    /// made by hand and `topology apply` has not seen it yet.
    pub epoch: String,
}

/// Why a stream could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The stream does not exist.
    #[error("stream {0} does not exist: `tgmesh topology apply` creates it")]
    NotFound(String),
    /// No answer now; a later try may succeed.
    #[error("JetStream does not answer: {0}")]
    Unavailable(String),
    /// The server refuses.
    #[error("JetStream refuses: {0}")]
    Refused(String),
    /// The stream was made anew, restored or lost its end: sequences from before mean nothing.
    #[error("the stream has a new epoch {0}")]
    Epoch(String),
}

impl StreamError {
    /// Whether a later try may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// Asks for a stream's state.
///
/// # Errors
/// See [`StreamError`].
pub async fn stream_state(mesh: &Mesh, stream: &str) -> Result<State, StreamError> {
    let info = info(mesh, stream).await?;
    Ok(State {
        first_seq: info.state.first_sequence,
        last_seq: info.state.last_sequence,
        messages: info.state.messages,
        bytes: info.state.bytes,
        epoch: info.config.metadata.get(EPOCH_KEY).cloned().unwrap_or_default(),
    })
}

pub(crate) async fn info(mesh: &Mesh, stream: &str) -> Result<jetstream::stream::Info, StreamError> {
    match ask(mesh, &format!("STREAM.INFO.{stream}")).await? {
        Response::Ok(info) => Ok(info),
        Response::Err { error } => Err(refusal(stream, &error)),
    }
}

/// One question to the `JetStream` API. Some of them are refused unless their payload is empty,
/// which the client's own request cannot say.
pub(crate) async fn ask<V: DeserializeOwned>(mesh: &Mesh, subject: &str) -> Result<Response<V>, StreamError> {
    send(mesh, subject, Bytes::new()).await
}

/// Asks for a durable consumer; nothing when the stream has none of this name.
pub(crate) async fn consumer(mesh: &Mesh, stream: &str, durable: &str) -> Result<Option<Info>, StreamError> {
    match ask(mesh, &format!("CONSUMER.INFO.{stream}.{durable}")).await? {
        Response::Ok(info) => Ok(Some(info)),
        Response::Err { error } if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND => Ok(None),
        Response::Err { error } => Err(refusal(stream, &error)),
    }
}

/// One request to the `JetStream` API.
pub(crate) async fn request<T: Serialize, V: DeserializeOwned>(
    mesh: &Mesh,
    subject: &str,
    payload: &T,
) -> Result<Response<V>, StreamError> {
    let body = serde_json::to_vec(payload).map_err(|error| StreamError::Refused(error.to_string()))?;
    send(mesh, subject, Bytes::from(body)).await
}

async fn send<V: DeserializeOwned>(mesh: &Mesh, subject: &str, body: Bytes) -> Result<Response<V>, StreamError> {
    let answer = mesh
        .client()
        .request(format!("$JS.API.{subject}"), body)
        .await
        .map_err(|error| StreamError::Unavailable(describe(&error)))?;
    serde_json::from_slice(&answer.payload)
        .map_err(|error| StreamError::Unavailable(format!("the answer cannot be read: {error}")))
}

pub(crate) fn refusal(stream: &str, error: &jetstream::Error) -> StreamError {
    match error.error_code() {
        ErrorCode::STREAM_NOT_FOUND => StreamError::NotFound(stream.to_owned()),
        // 503: no leader yet, or the server is still recovering.
        _ if error.code() == 503 => StreamError::Unavailable(error.to_string()),
        _ => StreamError::Refused(error.to_string()),
    }
}

/// An error with its causes, on one line.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text.push_str(": ");
            text.push_str(&next_text);
        }
        cause = next.source();
    }
    text
}
