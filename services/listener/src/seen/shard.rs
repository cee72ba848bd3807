//! A part of the memory: sightings by address, and the order in which they are forgotten.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use tgmesh_proto::detection::SeenBefore;

/// Sightings that one call forgets at most, besides the one that it makes room for.
const AT_ONCE: usize = 4;
/// Sightings that one sweep forgets at most: some microseconds.
const SWEEP: usize = 128;
/// Tables below this are not worth making smaller.
const SMALL: usize = 256;

/// An address that stood in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sighting {
    /// When it came into the message, milliseconds since the epoch.
    pub at_ms: i64,
    /// How much later it was received, in microseconds as far as they fit: Telegram's dates have
    /// whole seconds, and of two within one second the first is the one that was received first.
    pub lag_us: u32,
    /// Bot API id of the chat.
    pub chat: i64,
    /// Names the message, among those that hold the same address.
    pub message: u32,
}

/// Sightings of one address, sorted; never empty. Most addresses are seen once.
#[derive(Debug)]
#[expect(
    clippy::box_collection,
    reason = "a queue is twice as large as the one sighting that nearly all of them are"
)]
enum Sightings {
    One(Sighting),
    Many(Box<VecDeque<Sighting>>),
}

/// What is forgotten next.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    address: u64,
    message: u32,
    /// Seconds since the epoch; enough until 2106.
    stored_s: u32,
}

#[derive(Debug)]
pub(super) struct Shard {
    window_s: i64,
    limit: usize,
    addresses: HashMap<u64, Sightings, BuildHasherDefault<Hashed>>,
    /// One for each sighting, in the order in which they came.
    arrivals: VecDeque<Arrival>,
}

impl Shard {
    pub fn new(window: Duration, limit: usize) -> Self {
        Self {
            window_s: window.as_secs_f64().ceil() as i64,
            limit,
            addresses: HashMap::default(),
            arrivals: VecDeque::new(),
        }
    }

    pub fn len(&self) -> (usize, usize) {
        (self.addresses.len(), self.arrivals.len())
    }

    /// Notes a sighting. Returns its place among those of its address, and how many others had to
    /// go before their time.
    pub fn note(&mut self, address: u64, sighting: Sighting, stored_s: i64) -> (Option<usize>, u64) {
        self.forget(stored_s, AT_ONCE);
        if let Some(place) = self.position(address, sighting.message) {
            return (Some(self.correct(address, place, sighting)), 0);
        }
        let mut crowded_out = 0;
        while self.arrivals.len() >= self.limit && self.drop_oldest() {
            crowded_out += 1;
        }
        let place = match self.addresses.entry(address) {
            Entry::Vacant(entry) => {
                entry.insert(Sightings::One(sighting));
                0
            }
            Entry::Occupied(entry) => entry.into_mut().insert(sighting),
        };
        self.arrivals.push_back(Arrival {
            address,
            message: sighting.message,
            stored_s: u32::try_from(stored_s).unwrap_or(0),
        });
        (Some(place), crowded_out)
    }

    /// The place of the same message among the sightings of an address.
    pub fn position(&self, address: u64, message: u32) -> Option<usize> {
        self.addresses.get(&address)?.position(message)
    }

    /// What was seen up to `at_ms` and less than the window before it, without the sighting at
    /// `own`.
    pub fn before(&self, address: u64, own: Option<usize>, at_ms: i64, window_ms: i64) -> Option<SeenBefore> {
        let all = self.addresses.get(&address)?;
        let from = all.count_until(at_ms.saturating_sub(window_ms));
        let to = all.count_until(at_ms);
        let own = own.filter(|own| (from..to).contains(own));
        let first = from + usize::from(own == Some(from));
        if first >= to {
            return None;
        }
        let count = to - from - usize::from(own.is_some());
        let first = all.get(first)?;
        Some(SeenBefore {
            count: count as u64,
            first_ms: first.at_ms,
            first_chat: first.chat,
        })
    }

    /// Forgets what is over, and gives memory back after busy times.
    pub fn sweep(&mut self, now_s: i64) {
        self.forget(now_s, SWEEP);
        if self.addresses.capacity() > SMALL.max(self.addresses.len() * 4) {
            self.addresses.shrink_to(self.addresses.len() * 2);
        }
        if self.arrivals.capacity() > SMALL.max(self.arrivals.len() * 4) {
            self.arrivals.shrink_to(self.arrivals.len() * 2);
        }
    }

    fn forget(&mut self, now_s: i64, most: usize) {
        for _ in 0..most {
            let is_over = |arrival: &Arrival| now_s.saturating_sub(i64::from(arrival.stored_s)) >= self.window_s;
            if !self.arrivals.front().is_some_and(is_over) {
                return;
            }
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(arrival) = self.arrivals.pop_front() else {
            return false;
        };
        if let Entry::Occupied(mut entry) = self.addresses.entry(arrival.address)
            && entry.get_mut().remove(arrival.message)
        {
            entry.remove();
        }
        true
    }

    /// The same message once more: the earlier time is the true one, whichever event came first.
    fn correct(&mut self, address: u64, place: usize, sighting: Sighting) -> usize {
        match self.addresses.get_mut(&address) {
            Some(Sightings::One(known)) => *known = sighting.min(*known),
            Some(Sightings::Many(all)) if all.get(place).is_some_and(|known| sighting < *known) => {
                all.remove(place);
                return insert(all, sighting);
            }
            Some(Sightings::Many(_)) | None => {}
        }
        place
    }
}

impl Sightings {
    fn get(&self, place: usize) -> Option<&Sighting> {
        match self {
            Self::One(one) => (place == 0).then_some(one),
            Self::Many(all) => all.get(place),
        }
    }

    /// How many lie not after this time.
    fn count_until(&self, at_ms: i64) -> usize {
        match self {
            Self::One(one) => usize::from(one.at_ms <= at_ms),
            Self::Many(all) => all.partition_point(|sighting| sighting.at_ms <= at_ms),
        }
    }

    /// The same message may have been noted with another time, so the order does not help.
    fn position(&self, message: u32) -> Option<usize> {
        match self {
            Self::One(one) => (one.message == message).then_some(0),
            Self::Many(all) => all.iter().position(|known| known.message == message),
        }
    }

    fn insert(&mut self, sighting: Sighting) -> usize {
        match self {
            Self::One(one) => {
                let mut all = VecDeque::with_capacity(2);
                all.push_back(*one);
                let place = insert(&mut all, sighting);
                *self = Self::Many(Box::new(all));
                place
            }
            Self::Many(all) => insert(all, sighting),
        }
    }

    /// Whether nothing is left.
    fn remove(&mut self, message: u32) -> bool {
        let Some(place) = self.position(message) else {
            return false;
        };
        let Self::Many(all) = self else { return true };
        all.remove(place);
        match (all.len(), all.front()) {
            (1, Some(&last)) => *self = Self::One(last),
            _ if all.capacity() > 8 * all.len() => all.shrink_to(2 * all.len()),
            _ => {}
        }
        false
    }
}

fn insert(all: &mut VecDeque<Sighting>, sighting: Sighting) -> usize {
    let place = all.partition_point(|known| *known < sighting);
    all.insert(place, sighting);
    place
}

/// The keys are hashes already.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only 64-bit keys are hashed here.
        self.0 = bytes
            .iter()
            .fold(self.0, |hash, &byte| hash.rotate_left(8) ^ u64::from(byte));
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

#[cfg(test)]
impl Shard {
    /// Bytes of the table, the lists and the queue, by their capacities.
    pub fn bytes(&self) -> usize {
        // A table has a power of two of slots, one eighth of them free, and a byte of control each.
        let slots = (self.addresses.capacity() * 8 / 7).next_power_of_two();
        let lists: usize = self
            .addresses
            .values()
            .map(|sightings| match sightings {
                Sightings::One(_) => 0,
                Sightings::Many(all) => size_of_val(&**all) + all.capacity() * size_of::<Sighting>(),
            })
            .sum();
        slots * (size_of::<(u64, Sightings)>() + 1) + lists + self.arrivals.capacity() * size_of::<Arrival>()
    }
}
