//! `unique_within`: an address is left out that the subscription was told less than so long ago.
//!
//! Time is the stream's, so that a replay gives the same answer. A retraction is never left out and
//! does not count: it tells that something is gone, which must not depend on what was told when.
//!
//! What a subscription remembers depends only on the events that its filter wants, since it began.
//! So nothing is stored for those who are away: [`Lookback`] finds it out from the stream when they
//! come back, whichever gateway they come to.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tgmesh_proto::detection::{Detection, EventKind};

/// Most addresses that one subscription remembers; the oldest go first.
pub(super) const MAX_REMEMBERED: usize = 10_000;

/// Remembers which addresses a subscription was told lately.
#[derive(Debug)]
pub struct Unique {
    within_us: u64,
    pub(super) last: HashMap<String, u64>,
    pub(super) order: VecDeque<(u64, String)>,
}

/// Finds out what a subscription remembers that began earlier, from the events before it, read
/// backwards: only as far as they can make a difference.
///
/// Whether an address was let through depends on when it was let through before. But after a pause
/// of `unique_within` it passes, whatever was before the pause. So an address is looked after from
/// its last pause on, and reading ends when all that matter have had one.
#[derive(Debug)]
pub struct Lookback {
    within_us: u64,
    /// Time of the place in question: that of the newest event before it.
    at_us: Option<u64>,
    /// For each address that matters, when it came first, as far as was read.
    first: HashMap<String, u64>,
    /// What may have been let through, newest first.
    calls: Vec<(String, u64)>,
}

impl Unique {
    pub(super) fn new(within: Duration) -> Self {
        Self {
            within_us: within.as_micros() as u64,
            last: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Whether this event is let through, which was stored at `at_us`. If so, its address is
    /// remembered.
    pub fn pass(&mut self, event: &Detection, address_key: &str, at_us: u64) -> bool {
        event.event == EventKind::Retracted || self.pass_key(key(event, address_key), at_us)
    }

    fn pass_key(&mut self, key: String, at_us: u64) -> bool {
        if self
            .last
            .get(&key)
            .is_some_and(|&last| at_us < last.saturating_add(self.within_us))
        {
            return false;
        }
        while let Some((at, _)) = self.order.front()
            && (at.saturating_add(self.within_us) <= at_us || self.order.len() >= MAX_REMEMBERED)
        {
            if let Some((at, old)) = self.order.pop_front()
                && self.last.get(&old) == Some(&at)
            {
                self.last.remove(&old);
            }
        }
        self.last.insert(key.clone(), at_us);
        self.order.push_back((at_us, key));
        true
    }
}

impl Lookback {
    pub(super) fn new(within: Duration) -> Self {
        Self {
            within_us: within.as_micros() as u64,
            at_us: None,
            first: HashMap::new(),
            calls: Vec::new(),
        }
    }

    /// Looks at the next older event; `wanted` says whether the rest of the filter lets it pass.
    /// Returns false when neither it nor anything before it makes a difference.
    pub fn look(&mut self, event: &Detection, address_key: &str, at_us: u64, wanted: bool) -> bool {
        let now_us = *self.at_us.get_or_insert(at_us);
        let oldest_us = self.calls.last().map_or(now_us, |&(_, at_us)| at_us);
        if at_us.saturating_add(self.within_us) <= oldest_us {
            return false;
        }
        if !wanted || event.event == EventKind::Retracted {
            return true;
        }
        let key = key(event, address_key);
        let until_us = at_us.saturating_add(self.within_us);
        let matters = self
            .first
            .get(&key)
            .map_or(until_us > now_us, |&next_us| until_us > next_us);
        if matters {
            self.first.insert(key.clone(), at_us);
            self.calls.push((key, at_us));
        }
        true
    }

    /// What the subscription remembers.
    #[must_use]
    pub fn unique(self) -> Unique {
        let mut unique = Unique {
            within_us: self.within_us,
            last: HashMap::new(),
            order: VecDeque::new(),
        };
        for (key, at_us) in self.calls.into_iter().rev() {
            unique.pass_key(key, at_us);
        }
        unique
    }
}

/// One Move package holds many coins.
fn key(event: &Detection, address_key: &str) -> String {
    format!(
        "{}:{address_key}:{}",
        event.family.as_str(),
        event.coin_type.as_deref().unwrap_or("")
    )
}

#[cfg(test)]
mod tests;
