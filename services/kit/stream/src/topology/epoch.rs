//! The epoch in a stream's metadata, and the mark that tells when it no longer fits.

use std::time::Duration;

use async_nats::jetstream::stream::Info;

use super::write;
use crate::mesh::Mesh;
use crate::state::{self, StreamError};

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

/// Makes sure that there is an epoch and that it fits the last sequence; raises the mark.
pub(crate) async fn settle_epoch(mesh: &Mesh, stream: &str) -> Result<String, StreamError> {
    let mut info = state::info(mesh, stream).await?;
    let mark = info
        .config
        .metadata
        .get(LAST_SEQ_KEY)
        .and_then(|mark| mark.parse::<u64>().ok())
        .unwrap_or(0);
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
