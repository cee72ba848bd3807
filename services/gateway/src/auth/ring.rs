//! The keys in force, and where new ones come from.
//!
//! A file is looked at twice a second, because a `ConfigMap` that is swapped, an editor and a bind
//! mount all show themselves that way. A URL is asked again when its answer has aged, and at once
//! when a token names a key that is not known. Whatever comes and cannot be used changes nothing:
//! the keys from before stay in force.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tgmesh_lifecycle::health::Part;
use tgmesh_lifecycle::metrics::{Counter, Gauge};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::fetch::{Answer, Endpoint};
use super::keys::{Algorithm, Keys};

/// A key set has a few kilobytes; what is larger is none.
pub(super) const MAX_JWKS_BYTES: usize = 1 << 20;
/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How old the answer of a URL may get where it says nothing of its age.
const DEFAULT_AGE: Duration = Duration::from_mins(5);
/// What it may say: a removed key should not live on for longer than the last, and nobody needs to
/// be asked more often than the first.
const AGES: (Duration, Duration) = (Duration::from_mins(1), Duration::from_mins(15));
/// A URL is asked no more often than this, whatever tokens name: anyone can name any key.
const ASK_AT_MOST_EVERY: Duration = Duration::from_secs(5);
/// Longest wait between two tries of a URL that does not answer.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long a token may wait for the key that it names: until the next time the URL may be asked,
/// and its answer.
const LEARN_LIMIT: Duration = Duration::from_secs(8);

/// Where keys come from.
#[derive(Debug)]
enum Source {
    /// They are what they are.
    Fixed,
    /// A JWKS file, and the content that was read.
    File(PathBuf, Vec<u8>),
    /// A JWKS behind a URL.
    Url(Endpoint),
}

/// What is told of the keys.
#[derive(Debug, Clone)]
pub struct RingFigures {
    /// Keys in force.
    pub keys: Gauge,
    /// Key sets that were taken over.
    pub taken: Counter,
    /// Times that no usable key set was there to be read.
    pub failures: Counter,
}

/// The keys in force.
pub struct Ring {
    algorithm: Algorithm,
    source: Source,
    current: RwLock<Option<Arc<Keys>>>,
    /// Somebody names a key that is not known.
    wanted: Notify,
    /// How often the URL was asked.
    asked: watch::Sender<u64>,
}

impl Ring {
    /// Keys that never change.
    #[must_use]
    pub fn fixed(keys: Keys) -> Arc<Self> {
        Self::new(keys.algorithm(), Source::Fixed, Some(keys))
    }

    /// The keys of a file.
    ///
    /// # Errors
    /// When it cannot be read or holds no usable key set.
    pub fn of_file(algorithm: Algorithm, path: PathBuf) -> Result<Arc<Self>, String> {
        let content = read(&path)?;
        let keys = Keys::from_jwks(algorithm, &content)?;
        Ok(Self::new(algorithm, Source::File(path, content), Some(keys)))
    }

    /// The keys behind a URL; none before [`Ring::keep`] has got them.
    #[must_use]
    pub fn of_url(algorithm: Algorithm, endpoint: Endpoint) -> Arc<Self> {
        Self::new(algorithm, Source::Url(endpoint), None)
    }

    fn new(algorithm: Algorithm, source: Source, keys: Option<Keys>) -> Arc<Self> {
        Arc::new(Self {
            algorithm,
            source,
            current: RwLock::new(keys.map(Arc::new)),
            wanted: Notify::new(),
            asked: watch::Sender::new(0),
        })
    }

    /// The one algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The URL that is asked, where there is one: keys may be missing at a start then.
    #[must_use]
    pub fn endpoint(&self) -> Option<&Endpoint> {
        match &self.source {
            Source::Url(endpoint) => Some(endpoint),
            _ => None,
        }
    }

    /// The keys in force; none before a URL has answered for the first time.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Keys>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a key that a token names and that is not known: the URL is asked, at most every
    /// few seconds for all tokens together. Whether there are any keys.
    pub async fn learn(&self, key_id: impl FnOnce() -> Option<String>) -> bool {
        let Some(keys) = self.current() else { return false };
        if self.endpoint().is_some()
            && let Some(key_id) = key_id()
            && !keys.may_hold(&key_id)
        {
            let mut asked = self.asked.subscribe();
            self.wanted.notify_one();
            // Whatever comes of it, the token is checked with what is known then.
            let _ = tokio::time::timeout(LEARN_LIMIT, asked.changed()).await;
        }
        true
    }

    /// Keeps the keys up to date. Ends at once where they never change.
    pub async fn keep(self: Arc<Self>, figures: RingFigures, part: Option<Part>) {
        if let Some(keys) = self.current() {
            figures.keys.set(keys.count() as f64);
        }
        match &self.source {
            Source::Fixed => {}
            Source::File(path, content) => self.follow(path, content, &figures).await,
            Source::Url(endpoint) => self.ask(endpoint, &figures, part).await,
        }
    }

    /// A content counts once two looks in a row have seen it, so that a file that is being written
    /// is not taken half.
    async fn follow(&self, path: &Path, content: &[u8], figures: &RingFigures) {
        let mut handled = Ok(content.to_vec());
        let mut before = handled.clone();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let owned = path.to_owned();
            // Reading may wait for a disk. The error is a panic, which there is none.
            let Ok(look) = tokio::task::spawn_blocking(move || read(&owned)).await else {
                return;
            };
            if look != handled && look == before {
                let keys = look
                    .as_ref()
                    .map_err(Clone::clone)
                    .and_then(|content| Keys::from_jwks(self.algorithm, content));
                match keys {
                    Ok(keys) => self.take_over(keys, &path.display().to_string(), figures),
                    Err(problem) => {
                        figures.failures.inc();
                        tracing::error!(path = %path.display(), problem, "JWT_JWKS cannot be used, the keys from before stay in force");
                    }
                }
                handled.clone_from(&look);
            }
            before = look;
        }
    }

    async fn ask(&self, endpoint: &Endpoint, figures: &RingFigures, part: Option<Part>) {
        let mut told: Option<String> = None;
        let mut failures = 0_u32;
        loop {
            let begun = Instant::now();
            let answer = endpoint.get(MAX_JWKS_BYTES).await;
            let usable = answer.and_then(|Answer { body, max_age }| {
                let keys = Keys::from_jwks(self.algorithm, &body)?;
                Ok((keys, max_age.unwrap_or(DEFAULT_AGE).clamp(AGES.0, AGES.1)))
            });
            let wait = match usable {
                Ok((keys, age)) => {
                    self.take_over(keys, endpoint.host(), figures);
                    if let Some(part) = &part {
                        part.up();
                    }
                    (failures, told) = (0, None);
                    age
                }
                Err(problem) => {
                    figures.failures.inc();
                    failures = failures.saturating_add(1);
                    if self.current().is_none()
                        && let Some(part) = &part
                    {
                        part.down(&problem);
                    }
                    if told.as_ref() != Some(&problem) {
                        let host = endpoint.host();
                        tracing::error!(
                            host,
                            problem,
                            "JWT_JWKS gave no usable keys, those from before stay in force"
                        );
                        told = Some(problem);
                    }
                    Duration::from_secs(1 << failures.min(5)).min(LONGEST_WAIT)
                }
            };
            self.asked.send_modify(|count| *count += 1);
            if self.current().is_some() {
                tokio::time::sleep_until(begun + ASK_AT_MOST_EVERY).await;
            }
            tokio::select! {
                () = tokio::time::sleep_until(begun + wait) => {}
                () = self.wanted.notified() => {}
            }
        }
    }

    fn take_over(&self, keys: Keys, from: &str, figures: &RingFigures) {
        let count = keys.count();
        let before = self
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(Arc::new(keys));
        figures.keys.set(count as f64);
        figures.taken.inc();
        if before.is_none_or(|before| before.count() != count) {
            tracing::info!(from, keys = count, "took over the keys that tokens are checked with");
        }
    }
}

/// The content, one byte more than is allowed at most.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    // Opening a pipe would wait for its other end.
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("is no file".to_owned());
    }
    let mut content = Vec::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(MAX_JWKS_BYTES as u64 + 1)
        .read_to_end(&mut content)
        .map_err(cannot)?;
    if content.len() > MAX_JWKS_BYTES {
        return Err("is larger than a key set can be".to_owned());
    }
    Ok(content)
}
