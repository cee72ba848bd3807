//! Load runs: many messages, at a rate or as fast as the connections take them.
//!
//! The player waits for room in the outboxes of everyone in the chat before it posts, so a run
//! loses no push and its speed is the sockets'.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::scenario;
use crate::sim::Shared;
use crate::world::Draft;
use crate::world::message::Author;

/// Posts between two looks at the outboxes.
const STRIDE: u64 = 16;

/// What to post.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadSpec {
    /// How many messages; without it the run goes on until it is stopped.
    #[serde(default)]
    pub messages: Option<u64>,
    /// Messages per second; without it as fast as the connections take them.
    #[serde(default)]
    pub rate: Option<f64>,
    /// How many of the joined chats, the first ones; without it all.
    #[serde(default)]
    pub chats: Option<usize>,
    /// Share of the messages that bring an address, 0 to 1.
    #[serde(default = "all")]
    pub address_share: f64,
    /// Other seeds give other texts and addresses; every run of a process differs anyway.
    #[serde(default)]
    pub seed: u64,
}

fn all() -> f64 {
    1.0
}

impl LoadSpec {
    /// What is wrong with it, if anything.
    fn problem(&self) -> Option<&'static str> {
        if self.messages.is_none() && self.rate.is_none() {
            return Some("messages or rate has to be given");
        }
        if self.rate.is_some_and(|rate| !(rate > 0.0 && rate <= 1e6)) {
            return Some("rate has to be above 0 and at most 1000000");
        }
        if !(0.0..=1.0).contains(&self.address_share) {
            return Some("address_share has to be from 0 to 1");
        }
        if self.chats == Some(0) {
            return Some("chats has to be at least 1");
        }
        None
    }
}

/// Why a run does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// One is on its way.
    #[error("a load run is under way")]
    Running,
    /// The specification is impossible.
    #[error("{0}")]
    Spec(&'static str),
    /// No account is in any chat.
    #[error("there is no chat to post in")]
    NoChats,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LoadReport {
    /// Whether one has begun, is on its way, or is over.
    pub state: LoadState,
    /// Messages posted.
    pub sent: u64,
    /// When the first was posted, in microseconds since the epoch; 0 before.
    pub first_us: u64,
    /// When the last was handed to a socket, in microseconds since the epoch; 0 before.
    pub last_us: u64,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LoadState {
    /// None was started.
    #[default]
    Idle,
    /// On its way.
    Running,
    /// Everything was posted and handed to the sockets.
    Done,
}

/// The load player's state. One run at a time.
#[derive(Default)]
pub(crate) struct Load {
    state: Mutex<LoadState>,
    runs: AtomicU64,
    stopped: AtomicBool,
}

impl Load {
    fn set(&self, state: LoadState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    pub(crate) fn report(&self, shared: &Shared) -> LoadReport {
        let progress = shared.posted().progress();
        LoadReport {
            state: *self.state.lock().unwrap_or_else(PoisonError::into_inner),
            sent: progress.posted,
            first_us: progress.first_us,
            last_us: progress.last_us,
        }
    }

    /// Asks the run to end early.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Begins a run; the future it gives plays it.
    ///
    /// # Errors
    /// [`LoadError`]
    pub(crate) fn begin(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        spec: LoadSpec,
        stop: CancellationToken,
    ) -> Result<impl Future<Output = ()> + Send + use<>, LoadError> {
        if let Some(problem) = spec.problem() {
            return Err(LoadError::Spec(problem));
        }
        let chats = {
            let world = shared.world();
            let joined = world.order.iter().filter(|id| !world.chats[*id].members.is_empty());
            joined
                .take(spec.chats.unwrap_or(usize::MAX))
                .copied()
                .collect::<Vec<_>>()
        };
        if chats.is_empty() {
            return Err(LoadError::NoChats);
        }
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if *state == LoadState::Running {
                return Err(LoadError::Running);
            }
            *state = LoadState::Running;
        }
        self.stopped.store(false, Ordering::Relaxed);
        shared.posted().reset_progress();
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let seed = shared
            .world()
            .identity
            .number("load", spec.seed.cast_signed(), run as i64);
        let (load, shared) = (Arc::clone(self), Arc::clone(shared));
        Ok(async move {
            let rng = SmallRng::seed_from_u64(seed.cast_unsigned());
            tokio::select! {
                () = load.play(&shared, &spec, &chats, rng) => {}
                () = stop.cancelled() => {}
            }
            load.set(LoadState::Done);
        })
    }

    async fn play(&self, shared: &Shared, spec: &LoadSpec, chats: &[i64], mut rng: SmallRng) {
        let total = spec.messages.unwrap_or(u64::MAX);
        let begin = Instant::now();
        let mut sent = 0;
        while sent < total && !self.stopped.load(Ordering::Relaxed) {
            let mut due = match spec.rate {
                None => total.min(sent + STRIDE),
                Some(rate) => {
                    let due = (begin.elapsed().as_secs_f64() * rate) as u64 + 1;
                    if due <= sent {
                        let next = Duration::from_secs_f64(sent as f64 / rate);
                        tokio::time::sleep_until(begin + next.min(begin.elapsed() + Duration::from_secs(1))).await;
                        continue;
                    }
                    total.min(due).min(sent + STRIDE)
                }
            };
            for outbox in shared.outboxes(chats) {
                outbox.has_room().await;
            }
            while due > sent {
                let chat_id = chats[rng.random_range(0..chats.len())];
                let with_address = spec.address_share >= 1.0 || rng.random_bool(spec.address_share);
                let line = scenario::load_line(&mut rng, with_address);
                let draft = Draft {
                    chat_id,
                    from: Author::Default,
                    ..line.into()
                };
                // The chat is joined, and joined chats do not go away.
                if shared.world().post(draft, clock::now_us(), true).is_err() {
                    due = sent;
                    self.stop();
                    continue;
                }
                sent += 1;
            }
            tokio::task::yield_now().await;
        }
        for outbox in shared.outboxes(chats) {
            outbox.is_drained().await;
        }
    }
}
