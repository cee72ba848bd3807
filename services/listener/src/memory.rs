//! What was found before: the memories of edits and of addresses, read from the stream in one pass
//! at a start, and what other processes find from then on. So an account that comes over from
//! another process is told of against what that one has told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tgmesh_lifecycle::clock;
use tgmesh_proto::{codec, subject};
use tgmesh_stream::{Delivery, Mesh, StreamError, stream_state, window};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::edits::{Edits, Key, MAX_MESSAGES};
use crate::races::Races;
use crate::seen::{self, MAX_SIGHTINGS, Memory, Told};

/// Most events that are read for the edits: as many as there are messages to remember, and some
/// more for those with several finds.
const MAX_EDITS: u64 = 2 * MAX_MESSAGES as u64;
/// Most events that are read for the addresses: as many as fit.
const MAX_SEEN: u64 = MAX_SIGHTINGS as u64;

/// For what other processes found last, before an account is taken over.
const CATCH_UP: Duration = Duration::from_secs(5);

/// Reads the last events of the stream. Returns the sequence up to which they were read, after
/// which the stream is to be followed. What cannot be read is left out: then an edit may tell a
/// find once more, and an address may seem new, which is better than not listening.
pub async fn rebuild(mesh: &Mesh, edit_window: Duration, accounts: &[Arc<str>], seen: &Memory) -> (Edits, u64) {
    let began = Instant::now();
    let mut pass = Pass {
        edits: Edits::new(edit_window),
        edit_window,
        numbers: accounts.iter().map(AsRef::as_ref).zip(0..).collect(),
        seen,
        events: 0,
    };
    let mut pause = Duration::from_millis(200);
    let last = loop {
        match pass.read(mesh).await {
            Ok(last) => break last,
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, retry_ms = pause.as_millis() as u64, "couldn't read the stream, trying again");
                // What was read in part is read again from the start; the memory of addresses does
                // not mind.
                pass.edits = Edits::new(edit_window);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(30));
            }
            Err(error) => {
                tracing::warn!(%error, "couldn't read the stream: edits of older messages may be told again");
                break 0;
            }
        }
    };
    let (addresses, sightings) = seen.len();
    tracing::info!(
        events = pass.events,
        messages = pass.edits.len(),
        addresses,
        sightings,
        took_ms = began.elapsed().as_millis() as u64,
        "read what was found before"
    );
    (pass.edits, last)
}

/// Feeds both memories with what other processes publish. Clones share it.
#[derive(Clone)]
pub struct Follower {
    seen: Arc<Memory>,
    edits: Arc<Mutex<Edits>>,
    numbers: Arc<HashMap<Arc<str>, u32>>,
    instance: Arc<str>,
    races: Races,
    /// Sequence up to which the stream was read.
    read: watch::Sender<u64>,
}

impl Follower {
    /// Goes on after what [`rebuild`] has read.
    #[must_use]
    pub fn new(
        seen: Arc<Memory>,
        edits: Arc<Mutex<Edits>>,
        accounts: &[Arc<str>],
        instance: &Arc<str>,
        races: Races,
        read: u64,
    ) -> Self {
        Self {
            seen,
            edits,
            numbers: Arc::new(accounts.iter().map(Arc::clone).zip(0..).collect()),
            instance: Arc::clone(instance),
            races,
            read: watch::Sender::new(read),
        }
    }

    /// Follows the stream until the token is cancelled.
    pub async fn follow(self, mesh: Mesh, until: CancellationToken) {
        let after = *self.read.borrow();
        let following = seen::follow(&mesh, after, |delivery| self.take(delivery));
        let _: Option<()> = until.run_until_cancelled(following).await;
    }

    /// Waits until everything is known that the stream holds now. Gives up after a while: then an
    /// edit may tell a find once more.
    pub async fn catch_up(&self, mesh: &Mesh) {
        let Ok(state) = stream_state(mesh, subject::DETECTIONS).await else {
            return;
        };
        let mut read = self.read.subscribe();
        let caught_up = read.wait_for(|read| *read >= state.last_seq);
        if timeout(CATCH_UP, caught_up).await.is_err() {
            tracing::warn!(
                last_seq = state.last_seq,
                "what other processes found last is not read yet: edits of it may be told again"
            );
        }
    }

    fn take(&self, delivery: &Delivery) {
        if let Some(told) = Told::read(&delivery.payload) {
            let stored_s = (delivery.published_us / 1_000_000) as i64;
            self.seen.note(&told, stored_s);
            if told.instance() != &*self.instance {
                if let Some((chat_id, id, account, received_us)) = told.first_sight() {
                    self.races.received(chat_id, id, account, received_us);
                }
                self.hear(delivery, stored_s);
            }
        }
        self.read.send_replace(delivery.seq);
    }

    fn hear(&self, delivery: &Delivery, stored_s: i64) {
        let Ok(event) = codec::decode(&delivery.payload) else {
            return;
        };
        let kind = event.chat.kind;
        let account_no = match self.numbers.get(event.listener.account.as_str()) {
            Some(&number) => number,
            None if kind.numbers_per_account() => return,
            None => 0,
        };
        let key = Key::new(event.chat.id, kind, account_no, event.message.id);
        let mut edits = self.edits.lock().unwrap_or_else(PoisonError::into_inner);
        edits.heard(key, event, stored_s);
    }
}

struct Pass<'a> {
    edits: Edits,
    edit_window: Duration,
    numbers: HashMap<&'a str, u32>,
    seen: &'a Memory,
    events: u64,
}

impl Pass<'_> {
    async fn read(&mut self, mesh: &Mesh) -> Result<u64, StreamError> {
        self.events = 0;
        let state = stream_state(mesh, subject::DETECTIONS).await?;
        if state.messages == 0 {
            return Ok(state.last_seq);
        }
        let now_us = u64::try_from(clock::now_us()).unwrap_or(0);
        let since = |window: Duration| now_us.saturating_sub(u64::try_from(window.as_micros()).unwrap_or(u64::MAX));
        let start = async |window: Duration, most: u64| {
            let first = window::start_at(mesh, subject::DETECTIONS, since(window)).await?;
            Ok::<u64, StreamError>(first.max((state.last_seq + 1).saturating_sub(most)))
        };
        let edits_from = start(self.edit_window, MAX_EDITS).await?;
        let seen_from = start(self.seen.window(), MAX_SEEN).await?;
        let from = edits_from.min(seen_from);
        let mut window = window::read(mesh, subject::DETECTIONS, from, Some(state.last_seq), &[]).await?;
        while let Some(delivery) = window.next().await? {
            if delivery.seq >= seen_from {
                self.seen.take(&delivery);
            }
            if delivery.seq >= edits_from {
                self.edit(&delivery);
            }
            self.events += 1;
        }
        Ok(state.last_seq)
    }

    fn edit(&mut self, delivery: &Delivery) {
        let Ok(event) = codec::decode(&delivery.payload) else {
            return;
        };
        let account = self.numbers.get(event.listener.account.as_str()).copied();
        let kind = event.chat.kind;
        let account_no = match account {
            Some(number) => number,
            None if kind.numbers_per_account() => return,
            None => 0,
        };
        let key = Key::new(event.chat.id, kind, account_no, event.message.id);
        self.edits
            .replay(key, event, (delivery.published_us / 1_000_000) as i64);
    }
}
