//! What processes tell each other about traces: which ones are asked for after the fact, and the
//! share that is sampled.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tgmesh_proto::subject;
use tokio::sync::mpsc;

use crate::kv::{Bucket, KvError};
use crate::mesh::Mesh;

/// The key in `tgmesh_tracing`.
const SAMPLING: &str = "sampling";
/// Ids in one message.
const MAX_IDS: usize = 256;
const ID_BYTES: usize = 16;
/// Between two tries to follow.
const PAUSE: Duration = Duration::from_secs(1);
/// How long one process gathers what it asks for.
const GATHER: Duration = Duration::from_millis(50);

/// Which share of new traces is sampled, over what the settings of the processes say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// 0 to 1.
    pub ratio: f64,
    /// When the settings count again, milliseconds since the epoch; never where there is none.
    #[serde(default)]
    pub until_ms: Option<i64>,
    /// Who asked for it, for people.
    #[serde(default)]
    pub by: String,
}

impl Sampling {
    /// What a bucket's value says; nothing for what makes no sense.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let sampling: Self = serde_json::from_slice(value).ok()?;
        (0.0..=1.0).contains(&sampling.ratio).then_some(sampling)
    }
}

/// Tells the ids that come from `asked` to every other process of the mesh, and `heard` what those
/// ask for, until the channel ends. Core NATS, nobody acks: while NATS is away, it is not told.
pub async fn relay(mesh: &Mesh, mut asked: mpsc::Receiver<u128>, heard: impl Fn(u128)) {
    let client = mesh.client();
    loop {
        let mut others = match client.subscribe(subject::TRACES).await {
            Ok(others) => others,
            Err(error) => {
                tracing::debug!(%error, "couldn't listen for traces that are asked for");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let mut ids = Vec::new();
        loop {
            tokio::select! {
                received = asked.recv_many(&mut ids, MAX_IDS) => {
                    if received == 0 {
                        return;
                    }
                    tokio::time::sleep(GATHER).await;
                    while ids.len() < MAX_IDS && let Ok(id) = asked.try_recv() {
                        ids.push(id);
                    }
                    let payload: Vec<u8> = ids.drain(..).flat_map(u128::to_be_bytes).collect();
                    if let Err(error) = client.publish(subject::TRACES, payload.into()).await {
                        tracing::debug!(%error, "couldn't ask for traces");
                    }
                }
                message = others.next() => {
                    let Some(message) = message else { break };
                    let ids = message.payload.chunks_exact(ID_BYTES).take(MAX_IDS);
                    for id in ids.filter_map(|id| id.try_into().ok()) {
                        heard(u128::from_be_bytes(id));
                    }
                }
            }
        }
    }
}

/// Asks for a share of traces at every process, now and after their starts; nothing for what their
/// settings say.
///
/// # Errors
/// When `JetStream` does not take it.
pub async fn resample(mesh: &Mesh, sampling: Option<&Sampling>) -> Result<(), KvError> {
    let bucket = Bucket::open(mesh, subject::TRACING).await?;
    match sampling {
        Some(sampling) => {
            let value = serde_json::to_vec(sampling).unwrap_or_default();
            bucket.put(SAMPLING, Bytes::from(value)).await.map(drop)
        }
        None => bucket.delete(SAMPLING, None).await,
    }
}

/// What is asked for now.
///
/// # Errors
/// When `JetStream` does not answer.
pub async fn sampling(mesh: &Mesh) -> Result<Option<Sampling>, KvError> {
    let bucket = Bucket::open(mesh, subject::TRACING).await?;
    let entry = bucket.get(SAMPLING).await?;
    Ok(entry.and_then(|entry| Sampling::parse(&entry.value)))
}

/// Follows what is asked for, and tells each change; `None` is what the settings say. Never
/// returns. While NATS is away, what was known counts.
pub async fn follow_sampling(mesh: &Mesh, now_ms: impl Fn() -> i64, told: impl Fn(Option<f64>)) {
    loop {
        if let Err(error) = follow(mesh, &now_ms, &told).await {
            tracing::debug!(%error, "couldn't follow the sampling");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn follow(mesh: &Mesh, now_ms: &impl Fn() -> i64, told: &impl Fn(Option<f64>)) -> Result<(), KvError> {
    let bucket = Bucket::open(mesh, subject::TRACING).await?;
    let mut watch = bucket.watch(SAMPLING).await?;
    let mut until: Option<i64> = None;
    loop {
        let over = async {
            match until {
                Some(until) => {
                    let left = u64::try_from(until - now_ms()).unwrap_or(0);
                    tokio::time::sleep(Duration::from_millis(left)).await;
                }
                None => std::future::pending().await,
            }
        };
        let entry = tokio::select! {
            entry = watch.next() => entry?,
            () = over => {
                until = None;
                told(None);
                tracing::info!("sampling of traces is as set again");
                continue;
            }
        };
        let Some(entry) = entry else { return Ok(()) };
        let sampling = Some(entry).filter(|entry| !entry.deleted);
        let sampling = sampling.and_then(|entry| Sampling::parse(&entry.value));
        let sampling = sampling.filter(|sampling| sampling.until_ms.is_none_or(|until| until > now_ms()));
        until = sampling.as_ref().and_then(|sampling| sampling.until_ms);
        let ratio = sampling.as_ref().map(|sampling| sampling.ratio);
        told(ratio);
        tracing::info!(ratio, until_ms = until, "sampling of traces was changed at run time");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shares_are_taken() {
        let read = |text: &str| Sampling::parse(text.as_bytes()).map(|sampling| sampling.ratio);
        assert_eq!(read(r#"{"ratio":0.25,"new":1}"#), Some(0.25));
        for bad in [
            "",
            "1",
            "{}",
            r#"{"ratio":-0.1}"#,
            r#"{"ratio":1.01}"#,
            r#"{"ratio":null}"#,
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
