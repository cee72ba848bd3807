//! Which event ids were seen lately, and where first.

use std::collections::{HashMap, VecDeque};

use tgmesh_proto::id::EventId;

/// Four generations make the hour that the contract promises, and up to a quarter more.
const GENERATION_US: u64 = 20 * 60 * 1_000_000;
const GENERATIONS: usize = 4;
/// Most ids in memory (about 50 bytes each); beyond it the oldest generation goes early. At less
/// than 280 events a second it is never reached.
const MAX_IDS: usize = 1_000_000;

/// Ids of about the last hour with the sequence they were first seen at. Forgetting goes by whole
/// generations, which costs nothing per id.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The newest last; each with the stream time of its first id.
    generations: VecDeque<(u64, HashMap<EventId, u64>)>,
}

impl Seen {
    /// Notes an id; whether it is new. `at_us` is a stream timestamp.
    pub fn insert(&mut self, id: EventId, seq: u64, at_us: u64) -> bool {
        if self.first(&id).is_some() {
            return false;
        }
        let is_full = |(since, ids): &(u64, HashMap<EventId, u64>)| {
            at_us >= since.saturating_add(GENERATION_US) || ids.len() >= MAX_IDS / GENERATIONS
        };
        if self.generations.back().is_none_or(is_full) {
            if self.generations.len() == GENERATIONS {
                self.generations.pop_front();
            }
            self.generations.push_back((at_us, HashMap::new()));
        }
        if let Some((_, ids)) = self.generations.back_mut() {
            ids.insert(id, seq);
        }
        true
    }

    /// The sequence at which an id was first seen.
    pub fn first(&self, id: &EventId) -> Option<u64> {
        self.generations.iter().rev().find_map(|(_, ids)| ids.get(id).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> EventId {
        EventId::from_bytes((u128::from(n) * 0x9e37_79b9_7f4a_7c15).to_be_bytes())
    }

    #[test]
    fn remembers_for_an_hour_and_not_for_two() {
        const MINUTE: u64 = 60 * 1_000_000;
        let mut seen = Seen::default();
        assert!(seen.insert(id(0), 1, 0));
        for minute in 1..=60 {
            assert!(seen.insert(id(minute), minute + 1, minute * MINUTE));
            assert!(
                !seen.insert(id(0), 100, minute * MINUTE),
                "forgotten after {minute} minutes"
            );
        }
        for minute in 61..=120 {
            seen.insert(id(minute), minute + 1, minute * MINUTE);
        }
        assert_eq!(seen.first(&id(0)), None);
        assert_eq!(seen.first(&id(60)), Some(61));
    }

    #[test]
    fn memory_is_bounded() {
        let mut seen = Seen::default();
        for n in 0..(MAX_IDS as u64 * 3 / 2) {
            seen.insert(id(n), n, 0);
        }
        assert!(seen.generations.iter().map(|(_, ids)| ids.len()).sum::<usize>() <= MAX_IDS);
    }
}
