//! The memory that all clients' queues may take together, and who suffers first.
//!
//! While half of it is free, each client may have [`MAX_SHARE`] waiting. Beyond that the share
//! shrinks, down to [`MIN_SHARE`] when nothing is left, which those meet first who have the most
//! waiting:
//!
//! 1. Resumes go on only into queues that are nearly empty.
//! 2. The subscriptions with the longest queues are put behind. They lose nothing: what they miss is
//!    read from the stream again once they take it.
//! 3. When an eighth is left, nobody is let in any more.
//!
//! A client that takes what it is sent keeps its queue short, and notices nothing of all this.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that may wait for one client while there is plenty.
pub const MAX_SHARE: usize = 1 << 20;
/// The same when there is nothing left: some events, so that everyone goes on.
pub const MIN_SHARE: usize = 8 << 10;

/// Bytes that wait for all clients together.
#[derive(Debug)]
pub struct Budget {
    total: usize,
    used: AtomicUsize,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub const fn new(total: usize) -> Self {
        Self {
            total,
            used: AtomicUsize::new(0),
        }
    }

    /// Bytes that wait now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether too little is left for another client.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.used() >= self.total - self.total / 8
    }

    /// Bytes that may wait for one client.
    #[must_use]
    pub fn share(&self) -> usize {
        let half = self.total / 2;
        let free = self.total.saturating_sub(self.used());
        if free >= half {
            return MAX_SHARE;
        }
        // No overflow: half of all addresses times a share fits into 128 bits.
        let share = MAX_SHARE as u128 * free as u128 / half.max(1) as u128;
        (share as usize).max(MIN_SHARE)
    }

    pub(super) fn take(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_shrinks_with_what_is_left() {
        let budget = Budget::new(100 << 20);
        assert_eq!(budget.share(), MAX_SHARE);
        budget.take(50 << 20);
        assert_eq!(budget.share(), MAX_SHARE);
        budget.take(25 << 20);
        assert_eq!(budget.share(), MAX_SHARE / 2);
        assert!(!budget.is_short());
        budget.take(25 << 20);
        assert_eq!(budget.share(), MIN_SHARE);
        assert!(budget.is_short());
        budget.take(10 << 20);
        assert_eq!(budget.share(), MIN_SHARE);
        budget.give_back(110 << 20);
        assert_eq!((budget.used(), budget.share()), (0, MAX_SHARE));
    }

    #[test]
    fn without_a_bound_there_is_plenty() {
        let budget = Budget::default();
        budget.take(1 << 40);
        assert_eq!(budget.share(), MAX_SHARE);
    }
}
