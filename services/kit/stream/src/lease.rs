//! Leases: who owns a key now, by clocks that nobody can turn.
//!
//! A lease is a value in `tgmesh_leases`, which drops it `LEASE_TIME` after it was written last.
//! Its revision at acquisition is the *epoch*: it rises with every owner, so whoever reads two
//! claims knows the later one.
//!
//! The server judges by the time at which it stored a renewal. The owner judges by its own
//! monotonic clock, counted from before it *sent* that renewal, and is done at three quarters of
//! the time: so it stops before anybody else may begin, whatever delays lie between the two, and
//! the last quarter is for clocks that run at different speeds. Wall clocks are not asked. A
//! server whose clock jumps ahead drops leases too early: whoever saw a lease being renewed waits
//! by its own clock too (see [`Board`]).
//!
//! A process that is paused notices nothing until it runs again. So whatever must not happen
//! without the lease asks the [`Tenure`] right before it happens.
//!
//! `CLOCK_MONOTONIC` stands still while a machine is suspended. A machine that sleeps with an open
//! lease wakes up and believes it for as long as it had left; what is written by revision is safe
//! even then.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tgmesh_proto::subject;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::kv::{self, Bucket, Entry, KvError, Watch};
use crate::mesh::Mesh;
use crate::state;

/// The bucket of leases.
#[derive(Clone)]
pub struct Leases {
    bucket: Bucket,
    time: Duration,
    holder: Arc<Holder>,
}

/// What a lease says of its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    pub instance: String,
    /// Tells two processes of one name apart.
    nonce: u64,
}

/// A lease that is held. Dropping it leaves it to run out.
pub struct Lease {
    leases: Leases,
    key: String,
    revision: u64,
    tenure: Tenure,
}

/// Whether a lease is held, at this very moment. Clones share it.
#[derive(Debug, Clone)]
pub struct Tenure {
    inner: Arc<TenureInner>,
}

#[derive(Debug)]
struct TenureInner {
    epoch: u64,
    began: Instant,
    /// In µs after `began`; 0 once it is over.
    until_us: AtomicU64,
}

/// Why a lease is held no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// [`Lease::keep`] was told to stop; the lease is still held.
    Stopped,
    /// It could not be renewed in time, or somebody else has it.
    Lost(String),
}

/// Who holds which key, as far as one process has seen.
#[derive(Debug)]
pub struct Board {
    time: Duration,
    seen: HashMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    revision: u64,
    holder: Option<Holder>,
    /// When this process saw the lease being renewed; nothing while it only saw that it is there.
    renewed: Option<Instant>,
    noted: Instant,
}

impl Leases {
    /// Opens the bucket; the lease time is the age at which it drops values.
    ///
    /// # Errors
    /// When it does not exist or `JetStream` does not answer.
    pub async fn open(mesh: &Mesh, instance: &str) -> Result<Self, KvError> {
        let bucket = Bucket::open(mesh, subject::LEASES).await?;
        let info = state::info(mesh, &format!("KV_{}", subject::LEASES)).await;
        let info = info.map_err(|error| KvError::Unavailable(error.to_string()))?;
        let time = info.config.max_age;
        if time.is_zero() {
            return Err(KvError::Unavailable(format!(
                "bucket {} drops no leases: its values need a maximum age",
                subject::LEASES
            )));
        }
        let holder = Holder {
            instance: instance.to_owned(),
            nonce: rand::random(),
        };
        Ok(Self {
            bucket,
            time,
            holder: Arc::new(holder),
        })
    }

    /// How long a lease lives that is not renewed.
    #[must_use]
    pub fn time(&self) -> Duration {
        self.time
    }

    /// Takes a key that nobody has; nothing when somebody has it.
    ///
    /// # Errors
    /// When `JetStream` does not answer. The lease may be taken then, and runs out or is found to
    /// be ours by the next call.
    pub async fn acquire(&self, key: &str) -> Result<Option<Lease>, KvError> {
        let sent = Instant::now();
        let revision = match self.within(self.bucket.create(key, self.value())).await {
            Ok(revision) => revision,
            Err(KvError::Conflict) => {
                // An earlier call of this process whose answer was lost.
                let Some(entry) = self.within(self.bucket.get(key)).await? else {
                    return Ok(None);
                };
                if read(&entry).as_ref() != Some(&*self.holder) {
                    return Ok(None);
                }
                match self.within(self.bucket.update(key, self.value(), entry.revision)).await {
                    Err(KvError::Conflict) => return Ok(None),
                    written => written?,
                }
            }
            Err(error) => return Err(error),
        };
        Ok(Some(Lease {
            leases: self.clone(),
            key: key.to_owned(),
            revision,
            tenure: Tenure::begin(revision, sent, self.held_for()),
        }))
    }

    /// Who holds a key, if anybody does.
    ///
    /// # Errors
    /// See [`KvError`].
    pub async fn holder(&self, key: &str) -> Result<Option<Holder>, KvError> {
        let entry = self.within(self.bucket.get(key)).await?;
        Ok(entry.as_ref().and_then(read))
    }

    /// Follows all leases: what is there, then each change.
    ///
    /// # Errors
    /// See [`KvError`].
    pub async fn watch(&self) -> Result<Watch, KvError> {
        self.within(self.bucket.watch(">")).await
    }

    /// How long a renewal is good for, from before it was sent.
    fn held_for(&self) -> Duration {
        self.time * 3 / 4
    }

    fn value(&self) -> Bytes {
        // A name and a number can always be written.
        serde_json::to_vec(&*self.holder).unwrap_or_default().into()
    }

    /// A call that takes longer tells nothing that is still of use.
    fn within<T>(&self, call: impl Future<Output = Result<T, KvError>>) -> impl Future<Output = Result<T, KvError>> {
        kv::within(self.time / 4, call)
    }
}

impl Lease {
    /// Its epoch: the revision at acquisition.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.tenure.epoch()
    }

    /// Tells whether it is held.
    #[must_use]
    pub fn tenure(&self) -> Tenure {
        self.tenure.clone()
    }

    /// Renews it at every third of its time, until the token is cancelled or the lease is lost.
    /// Safe to cancel.
    pub async fn keep(&mut self, stop: &CancellationToken) -> Ended {
        let time = self.leases.time;
        let retry = (time / 20).clamp(Duration::from_millis(50), Duration::from_secs(1));
        let mut problem = "no answer".to_owned();
        let mut at = Instant::now() + time / 3;
        loop {
            let until = self.tenure.until();
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ended::Stopped,
                () = sleep_until(until.into()) => {
                    self.tenure.end();
                    return Ended::Lost(format!("it could not be renewed: {problem}"));
                }
                () = sleep_until(at.into()) => {}
            }
            let sent = Instant::now();
            let renewed = tokio::select! {
                biased;
                () = stop.cancelled() => return Ended::Stopped,
                renewed = self.renew() => renewed,
                () = sleep_until(until.into()) => continue,
            };
            match renewed {
                Ok(true) => {
                    self.tenure.extend(sent, self.leases.held_for());
                    at = sent + time / 3;
                }
                Ok(false) => {
                    self.tenure.end();
                    return Ended::Lost("somebody else has it".to_owned());
                }
                Err(error) => {
                    problem = error.to_string();
                    at = Instant::now() + retry;
                }
            }
        }
    }

    /// Gives it back, so that a successor begins at once.
    ///
    /// # Errors
    /// When `JetStream` does not answer: then it runs out by itself.
    pub async fn release(self) -> Result<(), KvError> {
        // From here on a successor may be at work.
        self.tenure.end();
        let leases = &self.leases;
        match leases
            .within(leases.bucket.delete(&self.key, Some(self.revision)))
            .await
        {
            // A renewal whose answer was not waited for, or another owner: its value tells.
            Err(KvError::Conflict) => {
                let Some(entry) = leases.within(leases.bucket.get(&self.key)).await? else {
                    return Ok(());
                };
                if read(&entry).as_ref() != Some(&*leases.holder) {
                    return Ok(());
                }
                let delete = leases.bucket.delete(&self.key, Some(entry.revision));
                leases.within(delete).await
            }
            done => done,
        }
    }

    /// Whether it is ours, renewed.
    async fn renew(&mut self) -> Result<bool, KvError> {
        let leases = &self.leases;
        let update = leases.bucket.update(&self.key, leases.value(), self.revision);
        match leases.within(update).await {
            Ok(revision) => {
                self.revision = revision;
                Ok(true)
            }
            Err(KvError::Conflict) => {
                // An earlier renewal whose answer was lost looks like this too. It was sent at
                // another time, so the next one counts.
                match leases.within(leases.bucket.get(&self.key)).await? {
                    Some(entry) if read(&entry).as_ref() == Some(&*leases.holder) => {
                        self.revision = entry.revision;
                        Err(KvError::Unavailable("an earlier renewal came late".to_owned()))
                    }
                    _ => Ok(false),
                }
            }
            Err(error) => Err(error),
        }
    }
}

impl Tenure {
    fn begin(epoch: u64, sent: Instant, held_for: Duration) -> Self {
        let tenure = Self {
            inner: Arc::new(TenureInner {
                epoch,
                began: sent,
                until_us: AtomicU64::new(0),
            }),
        };
        tenure.extend(sent, held_for);
        tenure
    }

    /// The lease's epoch.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.inner.epoch
    }

    /// Whether the lease is held now.
    #[must_use]
    pub fn holds(&self) -> bool {
        Instant::now() < self.until()
    }

    /// Until when it is held if it is not renewed.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.inner.began + Duration::from_micros(self.inner.until_us.load(Ordering::Acquire))
    }

    /// Waits until it is held no more.
    pub async fn over(&self) {
        loop {
            let until = self.until();
            if Instant::now() >= until {
                return;
            }
            sleep_until(until.into()).await;
        }
    }

    fn extend(&self, sent: Instant, held_for: Duration) {
        let until = (sent + held_for).saturating_duration_since(self.inner.began);
        let until_us = u64::try_from(until.as_micros()).unwrap_or(u64::MAX);
        self.inner.until_us.store(until_us, Ordering::Release);
    }

    fn end(&self) {
        self.inner.until_us.store(0, Ordering::Release);
    }
}

impl Board {
    /// An empty one.
    #[must_use]
    pub fn new(time: Duration) -> Self {
        Self {
            time,
            seen: HashMap::new(),
        }
    }

    /// Notes a change. Whether it tells of another owner than before.
    pub fn note(&mut self, entry: &Entry, now: Instant) -> bool {
        let holder = if entry.deleted { None } else { read(entry) };
        let before = self.seen.get(&entry.key);
        if before.is_some_and(|seen| seen.revision >= entry.revision) {
            return false;
        }
        // The first sight of a lease may be an old one, as of a watch that begins.
        let renewed = before.map(|_| now).filter(|_| holder.is_some());
        let changed = before.and_then(|seen| seen.holder.as_ref()) != holder.as_ref();
        let seen = Seen {
            revision: entry.revision,
            holder,
            renewed,
            noted: now,
        };
        self.seen.insert(entry.key.clone(), seen);
        changed
    }

    /// From when on a key may be asked for, by this process's own clock: it was given back, or was
    /// not renewed for its whole time. Whether it is free is for the server to say.
    #[must_use]
    pub fn free_from(&self, key: &str) -> Option<Instant> {
        let seen = self.seen.get(key)?;
        seen.holder.as_ref()?;
        Some(seen.renewed? + self.time)
    }

    /// Who holds a key, as far as is known now.
    #[must_use]
    pub fn holder(&self, key: &str, now: Instant) -> Option<&Holder> {
        let seen = self.seen.get(key)?;
        let holder = seen.holder.as_ref()?;
        (now < seen.noted + self.time).then_some(holder)
    }

    /// The keys that somebody holds now.
    pub fn held(&self, now: Instant) -> impl Iterator<Item = &str> {
        let live = move |seen: &Seen| seen.holder.is_some() && now < seen.noted + self.time;
        self.seen
            .iter()
            .filter(move |(_, seen)| live(seen))
            .map(|(key, _)| key.as_str())
    }

    /// When the next of them runs out.
    #[must_use]
    pub fn next_end(&self, now: Instant) -> Option<Instant> {
        let held = self.seen.values().filter(|seen| seen.holder.is_some());
        held.map(|seen| seen.noted + self.time).filter(|end| *end > now).min()
    }
}

fn read(entry: &Entry) -> Option<Holder> {
    serde_json::from_slice(&entry.value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(12);

    fn entry(revision: u64, nonce: Option<u64>) -> Entry {
        let holder = nonce.map(|nonce| Holder {
            instance: "a".to_owned(),
            nonce,
        });
        Entry {
            key: "sim-1".to_owned(),
            value: holder.map_or(Bytes::new(), |holder| serde_json::to_vec(&holder).unwrap().into()),
            revision,
            deleted: nonce.is_none(),
        }
    }

    #[test]
    fn a_tenure_ends_before_the_lease_and_is_extended_by_renewals() {
        let sent = Instant::now();
        let tenure = Tenure::begin(7, sent, TIME * 3 / 4);
        assert_eq!(tenure.until(), sent + TIME * 3 / 4);
        assert!(tenure.holds() && tenure.epoch() == 7);
        tenure.extend(sent + TIME / 3, TIME * 3 / 4);
        assert_eq!(tenure.until(), sent + TIME / 3 + TIME * 3 / 4);
        tenure.end();
        assert!(!tenure.holds() && !tenure.clone().holds());
    }

    #[test]
    fn a_lease_that_was_seen_alive_is_waited_for() {
        let now = Instant::now();
        let mut board = Board::new(TIME);
        assert_eq!(board.free_from("sim-1"), None);
        assert!(board.note(&entry(5, Some(1)), now));
        // It may be about to run out: the server knows.
        assert_eq!(board.free_from("sim-1"), None);
        assert!(!board.note(&entry(6, Some(1)), now + TIME / 3), "the same owner");
        assert_eq!(board.free_from("sim-1"), Some(now + TIME / 3 + TIME));
        assert!(!board.note(&entry(5, Some(2)), now + TIME), "an old one");
        assert_eq!(board.held(now + TIME).collect::<Vec<_>>(), ["sim-1"]);
        assert_eq!(board.held(now + TIME / 3 + TIME).count(), 0);
        assert!(board.note(&entry(7, Some(2)), now + TIME / 2), "another owner");
        assert!(board.note(&entry(8, None), now + TIME / 2), "given back");
        assert_eq!((board.free_from("sim-1"), board.holder("sim-1", now)), (None, None));
    }
}
