//! The epoch in a stream's metadata, and the mark that tells when it no longer fits.

use std::time::Duration;

use async_nats::jetstream::stream::Info;
use tokio_util::sync::CancellationToken;

use super::write;
use crate::mesh::Mesh;
use crate::state::{self, StreamError};

/// How often a keeper looks at its stream.
const KEEP_EVERY: Duration = Duration::from_secs(2);

pub(crate) const EPOCH_KEY: &str = "tgmesh.epoch";
const LAST_SEQ_KEY: &str = "tgmesh.last_seq";

/// Gives a stream whose last sequence fell another epoch, unless somebody else has done so.
pub(crate) async fn renew_epoch(mesh: &Mesh, stream: &str, old: &str) -> Result<String, StreamError> {
    let info = state::info(mesh, stream).await?;
    match info.config.metadata.get(EPOCH_KEY) {
        Some(epoch) if epoch != old => Ok(epoch.clone()),
        _ => set_epoch(mesh, info).await,
    }
}

/// The epoch, as long as it fits the last sequence. It writes only where there is something to
/// mend, so that a reader needs no right to change streams.
pub(super) async fn check_epoch(mesh: &Mesh, stream: &str) -> Result<String, StreamError> {
    let info = state::info(mesh, stream).await?;
    match info.config.metadata.get(EPOCH_KEY) {
        Some(epoch) if info.state.last_sequence >= mark(&info) => Ok(epoch.clone()),
        _ => settle_epoch(mesh, stream).await,
    }
}

/// Gives a stream another epoch as soon as its last sequence falls, in the place of readers who
/// notice it and may not change it. Ends with `stop`.
pub(super) async fn keep_epoch(mesh: &Mesh, stream: &str, stop: &CancellationToken) {
    let mut seen = (String::new(), 0);
    let mut ticks = tokio::time::interval(KEEP_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let state = match state::stream_state(mesh, stream).await {
            Ok(state) => state,
            // Whoever waits for the stream says so.
            Err(error) => {
                tracing::debug!(stream, %error, "couldn't look after the epoch");
                continue;
            }
        };
        if state.epoch == seen.0 && state.last_seq < seen.1 {
            tracing::warn!(
                stream,
                last_seq = state.last_seq,
                seen_seq = seen.1,
                "the stream's last sequence fell, it gets a new epoch"
            );
            match renew_epoch(mesh, stream, &state.epoch).await {
                Ok(epoch) => seen = (epoch, state.last_seq),
                Err(error) => tracing::warn!(stream, %error, "couldn't renew the epoch"),
            }
        } else {
            seen = (state.epoch, state.last_seq);
        }
    }
}

fn mark(info: &Info) -> u64 {
    let mark = info.config.metadata.get(LAST_SEQ_KEY);
    mark.and_then(|mark| mark.parse().ok()).unwrap_or(0)
}

/// Makes sure that there is an epoch and that it fits the last sequence; raises the mark.
pub(crate) async fn settle_epoch(mesh: &Mesh, stream: &str) -> Result<String, StreamError> {
    let mut info = state::info(mesh, stream).await?;
    let mark = mark(&info);
    let last = info.state.last_sequence;
    let Some(epoch) = info.config.metadata.get(EPOCH_KEY).cloned() else {
        return set_epoch(mesh, info).await;
    };
    if last < mark {
        tracing::warn!(
            stream,
            last_seq = last,
            seen_seq = mark,
            "the stream's last sequence fell, it gets a new epoch"
        );
        return set_epoch(mesh, info).await;
    }
    if last > mark {
        info.config.metadata.insert(LAST_SEQ_KEY.to_owned(), last.to_string());
        write(mesh, "UPDATE", &info.config).await?;
    }
    Ok(epoch)
}

async fn set_epoch(mesh: &Mesh, mut info: Info) -> Result<String, StreamError> {
    let last = info.state.last_sequence;
    info.config.metadata.insert(EPOCH_KEY.to_owned(), new_epoch());
    info.config.metadata.insert(LAST_SEQ_KEY.to_owned(), last.to_string());
    write(mesh, "UPDATE", &info.config).await?;
    // Two processes may do this at once, and the later write stands. A moment later both read it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let info = state::info(mesh, &info.config.name).await?;
    Ok(info.config.metadata.get(EPOCH_KEY).cloned().unwrap_or_default())
}

pub(super) fn new_epoch() -> String {
    format!("{:016x}", rand::random::<u64>())
}
