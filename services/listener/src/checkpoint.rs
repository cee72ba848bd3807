//! Moves an account's place and its ledger behind the stream's acks: what is stored says
//! "everything up to here is in the stream", so that a crash at any moment loses nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tgmesh_lifecycle::clock;
use tgmesh_stream::publish::{PublishError, Receipt};
use tokio::sync::Notify;

use crate::backfill::Settled;
use crate::journey::Departure;
use crate::ledger::{Account, Ledger, StoredEvent};
use crate::peers;
use crate::queue::Reached;
use crate::session::{AccountPosition, ChannelPosition, MemorySession};
use crate::stats::Stats;

/// An event under way to the stream.
pub struct UnderWay {
    /// The stream's promise.
    pub receipt: Receipt,
    /// When its message came off the socket, µs since the epoch.
    /// Nothing for a message of the past, which nobody waits for.
    pub received_us: Option<i64>,
    /// Its span, which ends with the ack.
    pub departure: Option<Departure>,
    /// The chapter and message whose detection it is; nothing for a match.
    pub detection_of: Option<(i64, i32)>,
}

/// Events of some entries, and the places that these entries reached.
#[derive(Default)]
struct Batch {
    events: Vec<UnderWay>,
    accounts: Vec<Account>,
    account: Option<AccountPosition>,
    channels: HashMap<i64, ChannelPosition>,
    pages: Vec<Settled>,
}

#[derive(Default)]
struct Inner {
    batches: VecDeque<Batch>,
    closed: bool,
}

/// The worker's end. Dropping it lets the other end finish.
pub struct Checkpoint {
    shared: Arc<Shared>,
}

/// Waits for acks, in order.
pub struct Settler {
    shared: Arc<Shared>,
    session: Arc<MemorySession>,
    ledger: Arc<Ledger>,
    stats: Stats,
}

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    more: Notify,
}

/// Both ends for one account.
#[must_use]
pub fn checkpoint(session: Arc<MemorySession>, ledger: Arc<Ledger>, stats: Stats) -> (Checkpoint, Settler) {
    let shared = Arc::<Shared>::default();
    let checkpoint = Checkpoint {
        shared: Arc::clone(&shared),
    };
    let settler = Settler {
        shared,
        session,
        ledger,
        stats,
    };
    (checkpoint, settler)
}

impl Checkpoint {
    /// Hands over what some entries sent, which messages they were about, and how far they came.
    /// Calls are in the order of the entries.
    pub fn note(
        &self,
        events: Vec<UnderWay>,
        accounts: impl IntoIterator<Item = Account>,
        reached: impl IntoIterator<Item = Reached>,
    ) {
        self.add(events, |batch| {
            batch.accounts.extend(accounts);
            for reached in reached {
                match reached {
                    Reached::Account(position) => batch.account = Some(position),
                    Reached::Channel(id, position) => drop(batch.channels.insert(id, position)),
                }
            }
        });
    }

    /// Hands over what messages of the past sent, and who is to be told when that and everything
    /// before it is stored.
    pub fn note_past(&self, events: Vec<UnderWay>, page: Option<Settled>) {
        self.add(events, |batch| batch.pages.extend(page));
    }

    fn add(&self, events: Vec<UnderWay>, fill: impl FnOnce(&mut Batch)) {
        let mut inner = self.shared.lock();
        // Entries without events wait for those before them: they join the last batch, so that a
        // long wait does not pile up places.
        if !events.is_empty() || inner.batches.is_empty() {
            inner.batches.push_back(Batch {
                events,
                ..Batch::default()
            });
        }
        let Some(batch) = inner.batches.back_mut() else { return };
        fill(batch);
        drop(inner);
        self.shared.more.notify_one();
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.more.notify_one();
    }
}

impl Settler {
    /// Moves the account's place until the worker has ended and everything is settled. Ends early
    /// when the publisher was closed: what it did not store is not passed.
    pub async fn run(self) {
        loop {
            let more = self.shared.more.notified();
            let next = {
                let mut inner = self.shared.lock();
                match inner.batches.pop_front() {
                    None if inner.closed => return,
                    next => next,
                }
            };
            let Some(batch) = next else {
                more.await;
                continue;
            };
            let mut stored = Vec::new();
            for event in batch.events {
                if !self.settle(event, &mut stored).await {
                    return;
                }
            }
            self.ledger.settle(batch.accounts, &stored, clock::now_us() / 1_000_000);
            for (&id, &place) in &batch.channels {
                self.ledger.reached(peers::channel_chat_id(id), place);
            }
            if batch.account.is_some() || !batch.channels.is_empty() {
                self.session.advance(batch.account, batch.channels);
            }
            batch.pages.into_iter().for_each(Settled::tell);
        }
    }

    async fn settle(&self, event: UnderWay, all: &mut Vec<StoredEvent>) -> bool {
        match event.receipt.await {
            Ok(stored) => {
                all.extend(event.detection_of.map(|(chat, id)| StoredEvent {
                    chat,
                    id,
                    seq: stored.seq,
                }));
                self.stats.published.inc();
                if stored.duplicate {
                    self.stats.duplicates.inc();
                }
                if let Some(received_us) = event.received_us {
                    let took = clock::now_us() - received_us;
                    let trace = event.departure.as_ref().map(Departure::context);
                    self.stats
                        .received_to_published
                        .observe_traced(u64::try_from(took).unwrap_or(0), trace);
                }
                if let Some(departure) = event.departure {
                    departure.stored(&stored);
                }
                true
            }
            // The publisher said so; nobody can store it, so nothing is gained by staying behind.
            Err(error @ PublishError::Refused(_)) => {
                self.stats.publish_failures.inc();
                if let Some(departure) = event.departure {
                    departure.lost(&error);
                }
                true
            }
            Err(PublishError::Closed) => false,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
