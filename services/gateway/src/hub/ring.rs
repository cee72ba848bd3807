//! The recent past of the stream, in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::event::Event;

/// Memory of all events kept, about: ten to fifteen thousand events, which is ten seconds of a
/// busy mesh and hours of a quiet one.
const MAX_WEIGHT: usize = 64 << 20;

/// Holes that are remembered; beyond that the oldest part of the ring goes with its holes.
const MAX_HOLES: usize = 1_000;

/// Events in the order of their sequences.
#[derive(Debug, Default)]
pub(super) struct Ring {
    events: VecDeque<Arc<Event>>,
    /// What the stream had lost before it could be read, inclusive.
    holes: VecDeque<(u64, u64)>,
    /// Every event after this sequence, up to the head, is here, unless it was a repeat, unreadable
    /// or lost.
    floor: u64,
    weight: usize,
}

impl Ring {
    pub fn starting_after(floor: u64) -> Self {
        Self {
            floor,
            ..Self::default()
        }
    }

    pub fn floor(&self) -> u64 {
        self.floor
    }

    pub fn push(&mut self, event: Arc<Event>) {
        self.weight += event.weight();
        self.events.push_back(event);
        while self.weight > MAX_WEIGHT
            && let Some(oldest) = self.events.pop_front()
        {
            self.weight -= oldest.weight();
            self.floor = oldest.seq;
        }
        while self.holes.front().is_some_and(|&(_, to)| to <= self.floor) {
            self.holes.pop_front();
        }
    }

    /// Notes that these sequences will not come.
    pub fn lost(&mut self, from: u64, to: u64) {
        self.holes.push_back((from, to));
        if self.holes.len() > MAX_HOLES
            && let Some((_, to)) = self.holes.pop_front()
        {
            self.floor = self.floor.max(to);
            while let Some(oldest) = self.events.pop_front_if(|event| event.seq <= to) {
                self.weight -= oldest.weight();
            }
        }
    }

    /// What of `after + 1..=through` will not come.
    pub fn holes(&self, after: u64, through: u64) -> Vec<(u64, u64)> {
        let part = |&(from, to): &(u64, u64)| (from.max(after + 1), to.min(through));
        self.holes.iter().map(part).filter(|(from, to)| from <= to).collect()
    }

    /// At most `most` events after `cursor`, and the sequence through which they are complete;
    /// nothing when older ones are missing.
    pub fn after(&self, cursor: u64, most: usize, head: u64) -> Option<(Vec<Arc<Event>>, u64)> {
        if cursor < self.floor {
            return None;
        }
        let first = self.events.partition_point(|event| event.seq <= cursor);
        let events: Vec<_> = self.events.range(first..).take(most).cloned().collect();
        let is_rest = first + events.len() == self.events.len();
        let through = if is_rest {
            head
        } else {
            events.last().map_or(cursor, |event| event.seq)
        };
        Some((events, through))
    }

    pub fn all(&self) -> Vec<Arc<Event>> {
        self.events.iter().cloned().collect()
    }

    pub fn find(&self, seq: u64) -> Option<Arc<Event>> {
        let at = self.events.binary_search_by_key(&seq, |event| event.seq).ok()?;
        self.events.get(at).cloned()
    }
}
