//! What a listener knows of its accounts' channels, for those who ask from outside: whether a
//! channel is pushed or polled, how often it is looked at, and how late its posts come.
//!
//! One value for each account in `tgmesh_figures`, which forgets it an hour after it was written
//! last. Nothing depends on it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tgmesh_lifecycle::clock;
use tgmesh_proto::subject;
use tgmesh_stream::Mesh;
use tgmesh_stream::kv::{self, Bucket, KvError};
use tgmesh_stream::lease::Tenure;

/// Between two writings.
const EVERY: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Most channels in a value: an account can join 1,000.
const MAX_CHANNELS: usize = 2_000;

/// The figures of one account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// The process that wrote them.
    pub instance: String,
    /// Under which lease.
    pub lease_epoch: u64,
    /// When, ms since the epoch.
    pub at_ms: i64,
    /// The channels that the account watches, by id.
    pub channels: Vec<ChannelFigures>,
    /// What Telegram takes no requests for now.
    #[serde(default)]
    pub floods: Vec<FloodFigures>,
}

/// Those of one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelFigures {
    /// Bot API id.
    pub id: i64,
    /// `pushed` or `polled`.
    pub way: String,
    /// Between two looks at it, while nothing is heard.
    pub interval_ms: u64,
    /// Posts that were measured.
    pub posts: u64,
    /// Date of the last post, in seconds; 0 where none was seen.
    pub last_post_s: i64,
    /// From post to socket, of the last posts. Telegram's dates have whole seconds, so each is up
    /// to one second too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Delay>,
}

/// Delays in ms.
#[expect(clippy::struct_field_names, reason = "the unit, which readers of the value see")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delay {
    /// Median.
    pub p50_ms: u64,
    /// 99th percentile.
    pub p99_ms: u64,
    /// That of the last post.
    pub last_ms: u64,
}

/// A method that is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FloodFigures {
    /// Telegram's name for it.
    pub method: String,
    /// For how long still.
    pub wait_s: u64,
}

type Latest = (Vec<ChannelFigures>, Vec<FloodFigures>);

/// Where an account's pump leaves its figures. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Board {
    last: Arc<Mutex<Option<Latest>>>,
}

impl Board {
    /// Leaves them.
    pub fn set(&self, mut channels: Vec<ChannelFigures>, floods: Vec<FloodFigures>) {
        channels.sort_unstable_by_key(|channel| channel.id);
        channels.truncate(MAX_CHANNELS);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((channels, floods));
    }

    fn take(&self) -> Option<Latest> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Writes an account's figures as long as its lease is held, or until it is dropped.
pub async fn keep(mesh: Mesh, account: Arc<str>, instance: Arc<str>, tenure: Tenure, board: Board) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut bucket = None;
    loop {
        ticks.tick().await;
        let Some((channels, floods)) = board.take() else {
            continue;
        };
        if !tenure.holds() {
            return;
        }
        let figures = Figures {
            instance: instance.to_string(),
            lease_epoch: tenure.epoch(),
            at_ms: clock::now_us() / 1000,
            channels,
            floods,
        };
        if let Err(error) = write(&mesh, &mut bucket, &account, &figures).await {
            tracing::debug!(%account, %error, "couldn't write the account's figures");
            bucket = None;
        }
    }
}

async fn write(mesh: &Mesh, bucket: &mut Option<Bucket>, account: &str, figures: &Figures) -> Result<(), KvError> {
    // Strings and numbers can always be written.
    let value = Bytes::from(serde_json::to_vec(figures).unwrap_or_default());
    let put = async {
        let bucket = match bucket {
            Some(bucket) => bucket,
            None => bucket.insert(Bucket::open(mesh, subject::FIGURES).await?),
        };
        bucket.put(account, value).await
    };
    kv::within(CALL_TIMEOUT, put).await.map(drop)
}

/// The figures of an account, if there are any.
///
/// # Errors
/// When the bucket does not answer.
pub async fn read(mesh: &Mesh, account: &str) -> Result<Option<Figures>, KvError> {
    let get = async { Bucket::open(mesh, subject::FIGURES).await?.get(account).await };
    let entry = kv::within(CALL_TIMEOUT, get).await?;
    // Another version's are none.
    Ok(entry.and_then(|entry| serde_json::from_slice(&entry.value).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_value_fits_into_a_message() {
        let board = Board::default();
        let channel = |n: i64| ChannelFigures {
            id: -1_009_999_999_999 - n,
            way: "polled".to_owned(),
            interval_ms: 120_000,
            posts: u64::MAX,
            last_post_s: i64::MAX,
            delay: Some(Delay {
                p50_ms: 6_553_500,
                p99_ms: 6_553_500,
                last_ms: 6_553_500,
            }),
        };
        board.set((0..5_000).map(channel).collect(), Vec::new());
        let (channels, floods) = board.take().unwrap();
        assert_eq!(board.take(), None, "each is written once");
        let figures = Figures {
            channels,
            floods,
            ..Figures::default()
        };
        let bytes = serde_json::to_vec(&figures).unwrap();
        assert!(bytes.len() < 600_000, "{}", bytes.len());
        assert_eq!(serde_json::from_slice::<Figures>(&bytes).unwrap(), figures);
    }
}
