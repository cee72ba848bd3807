//! The mesh's memory of addresses: what `seen_before` tells.
//!
//! It holds *sightings*: an address that stood in a message. A `called` or `added_by_edit` event is
//! one; a `retracted` event is none, and takes none away, because the address was called. A message
//! counts once for an address, however often it was published, edited or seen by other accounts.
//! The time of a sighting is when the address came into the message: the message's date, or the date
//! of the edit that added it.
//!
//! An event is told the sightings of its address in *other* messages that are not later than itself
//! and less than the window older. So what comes in late, from a difference or from history, is put
//! into its place: it is told what was before it, and counts for what is after it.
//!
//! The memory is a set, so the order in which events arrive, and how often, does not matter. It is
//! fed by what this process publishes, at once, and by the stream: at a start with the window that
//! the stream holds, then with what other processes publish. A sighting is forgotten when the window
//! is over since the stream stored it, or when the room is used up: then the oldest go, and are
//! counted.
//!
//! Of an address a keyed 64-bit hash is kept: what is posted cannot be chosen to collide, and among
//! a million addresses any two meet by chance with a probability of 3 in 100 million. Its messages
//! are told apart by 32 bits, which is wrong about once in a thousand addresses that were posted
//! three thousand times each, and then by one.

mod follow;
mod shard;
mod told;

pub use follow::follow;
pub use told::Told;

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tgmesh_lifecycle::metrics::Counter;
use tgmesh_proto::detection::{Detection, SeenBefore};
use tgmesh_stream::Delivery;

use shard::{Shard, Sighting};

/// Shards: accounts meet in one of them seldom, and the longest time that anybody waits for one is
/// the growth of a small table.
const SHARDS: usize = 128;
/// Sightings of a shard: half of what a table of 2^14 slots takes, so that it never grows further.
const SHARD_LIMIT: usize = 7_168;
/// Most sightings in memory, ten a second for a day; at most 112 bytes each where every
/// address is another one, less where they repeat.
pub const MAX_SIGHTINGS: usize = SHARDS * SHARD_LIMIT;

/// The memory. Shared by all accounts of the process.
pub struct Memory {
    window: Duration,
    window_ms: i64,
    hasher: RandomState,
    shards: Box<[Mutex<Shard>]>,
    crowded_out: Counter,
}

impl Memory {
    /// An empty memory. `crowded_out` counts the sightings that had to go before their time.
    #[must_use]
    pub fn new(window: Duration, crowded_out: Counter) -> Self {
        Self::with_limit(window, SHARD_LIMIT, crowded_out)
    }

    fn with_limit(window: Duration, limit: usize, crowded_out: Counter) -> Self {
        let window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        let shard = || Mutex::new(Shard::new(window, limit));
        Self {
            window,
            window_ms,
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| shard()).collect(),
            crowded_out,
        }
    }

    /// How long sightings are remembered.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.window
    }

    /// Notes a message of the stream. What is no event is left out: whoever handles events says so.
    pub fn take(&self, delivery: &Delivery) {
        if let Some(told) = Told::read(&delivery.payload) {
            self.note(&told, (delivery.published_us / 1_000_000) as i64);
        }
    }

    /// What is known of an event's address, and notes the event.
    pub fn recall(&self, event: &Detection, now_s: i64) -> Option<SeenBefore> {
        let told = Told::of(event);
        let (address, sighting) = self.sighting(&told);
        let mut shard = self.shard(address);
        let (position, crowded_out) = if told.counts() {
            shard.note(address, sighting, now_s)
        } else {
            (shard.position(address, sighting.message), 0)
        };
        let before = shard.before(address, position, sighting.at_ms, self.window_ms);
        drop(shard);
        self.crowded_out.add(crowded_out);
        before
    }

    /// Notes an event that the stream stored at this time. Own events were noted when they were
    /// published; once more changes nothing.
    pub fn note(&self, told: &Told<'_>, stored_s: i64) {
        if !told.counts() {
            return;
        }
        let (address, sighting) = self.sighting(told);
        let (_, crowded_out) = self.shard(address).note(address, sighting, stored_s);
        self.crowded_out.add(crowded_out);
    }

    /// Forgets what is over, a little of every shard at a time: nobody waits for it.
    pub fn forget(&self, now_s: i64) {
        for shard in &self.shards {
            lock(shard).sweep(now_s);
        }
    }

    /// Addresses and sightings that are remembered.
    #[must_use]
    pub fn len(&self) -> (usize, usize) {
        self.shards.iter().fold((0, 0), |(addresses, sightings), shard| {
            let (more_addresses, more_sightings) = lock(shard).len();
            (addresses + more_addresses, sightings + more_sightings)
        })
    }

    fn sighting(&self, told: &Told<'_>) -> (u64, Sighting) {
        let address = self.hasher.hash_one(told.address_key());
        let sighting = Sighting {
            at_ms: told.at_ms(),
            lag_us: told.lag_us(),
            chat: told.chat.id,
            message: self.hasher.hash_one(told.message_key()) as u32,
        };
        (address, sighting)
    }

    fn shard(&self, address: u64) -> MutexGuard<'_, Shard> {
        // The tables use the lowest and the highest bits.
        lock(&self.shards[(address >> 32) as usize % SHARDS])
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
