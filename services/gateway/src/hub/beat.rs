//! When clients are woken: at once, or together a moment later.
//!
//! A write to a socket costs several times what putting a frame together does, and most of it is the
//! kernel's. Where few frames are sent, each goes at once. Where so many are sent that the writes
//! would fill a core, clients are woken in beats, and each takes what came since in one write.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::mailbox::Mailbox;

/// Shortest time between two beats: what a frame may wait, a third of what a busy gateway may take
/// for it.
pub(super) const BEAT: Duration = Duration::from_millis(8);
/// Writes a second: a core does half as many again. The more clients there are, the longer is a beat.
const MOST_WRITES: u32 = 100_000;
/// Deliveries a second above which clients are woken in beats: half a core's worth of writes.
const BUSY: f64 = 60_000.0;
/// Time over which deliveries are counted.
const WINDOW: Duration = Duration::from_millis(50);

/// Time until the next beat behind one in which so many were woken.
pub(super) fn rest_after(woken: usize) -> Duration {
    Duration::from_secs(1) / MOST_WRITES * u32::try_from(woken).unwrap_or(u32::MAX)
}

/// Counts deliveries, and holds who is to be woken.
#[derive(Debug)]
pub(super) struct Beat {
    since: Instant,
    deliveries: u32,
    is_busy: bool,
    waiting: Vec<Arc<Mailbox>>,
}

impl Beat {
    pub fn new(now: Instant) -> Self {
        Self {
            since: now,
            deliveries: 0,
            is_busy: false,
            waiting: Vec::new(),
        }
    }

    /// Whether those who get the next event wait for the beat.
    pub fn is_busy(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= WINDOW {
            self.is_busy = f64::from(self.deliveries) > BUSY * elapsed.as_secs_f64();
            self.since = now;
            self.deliveries = 0;
        }
        self.is_busy
    }

    /// Counts one.
    pub fn delivered(&mut self) {
        self.deliveries = self.deliveries.saturating_add(1);
    }

    /// Has somebody woken at the next beat.
    pub fn wait(&mut self, mailbox: &Arc<Mailbox>) {
        self.waiting.push(Arc::clone(mailbox));
    }

    /// Those whose beat has come.
    pub fn take(&mut self) -> Vec<Arc<Mailbox>> {
        let room = Vec::with_capacity(self.waiting.len());
        std::mem::replace(&mut self.waiting, room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_are_woken_the_longer_is_the_rest() {
        assert!(rest_after(500) < BEAT);
        assert_eq!(rest_after(10_000), Duration::from_millis(100));
    }

    #[test]
    fn it_is_busy_while_much_is_delivered() {
        let mut now = Instant::now();
        let mut beat = Beat::new(now);
        let mut window = |deliveries: u32| {
            (0..deliveries).for_each(|_| beat.delivered());
            now += WINDOW;
            beat.is_busy(now)
        };
        assert!(!window(1_000), "20,000 a second");
        assert!(window(10_000), "200,000 a second");
        assert!(!window(100));
        assert!(!window(0));
    }
}
