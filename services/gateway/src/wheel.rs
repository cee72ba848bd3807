//! One timer for all clients: a wheel of slots, each a list of who is to be woken when it comes up.
//!
//! A timer of the runtime's own for each of ten thousand connections would cost memory and a place
//! in its tree each, and be more exact than positions, pings and expiries every few seconds need.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::mailbox::Mailbox;

/// How late somebody may be woken.
const SLOT: Duration = Duration::from_millis(100);
/// Once around: what lies further ahead comes up early, and is set anew by who is woken.
const SLOTS: u64 = 128;

/// The wheel.
#[derive(Debug)]
pub struct Wheel {
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    slots: Vec<Vec<(Arc<Mailbox>, u32)>>,
    /// Slots that have come up so far.
    turned: u64,
}

impl Default for Wheel {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            state: Mutex::new(State {
                slots: (0..SLOTS).map(|_| Vec::new()).collect(),
                turned: 0,
            }),
        }
    }
}

impl Wheel {
    /// Has a client woken at this time, or up to [`SLOT`] later, in place of the time before.
    pub fn set(&self, mailbox: &Arc<Mailbox>, at: Instant) {
        let generation = mailbox.expect_alarm();
        let after = at.saturating_duration_since(self.began);
        let slot = u64::try_from(after.as_nanos().div_ceil(SLOT.as_nanos())).unwrap_or(u64::MAX);
        let mut state = self.lock();
        let slot = slot.clamp(state.turned + 1, state.turned + SLOTS - 1);
        state.slots[(slot % SLOTS) as usize].push((Arc::clone(mailbox), generation));
    }

    /// Turns until it is dropped.
    pub async fn turn(&self) {
        let mut ticks = tokio::time::interval(SLOT);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.turn_to(Instant::now());
        }
    }

    fn turn_to(&self, now: Instant) {
        let due = u64::try_from(now.saturating_duration_since(self.began).as_nanos() / SLOT.as_nanos());
        loop {
            let mut state = self.lock();
            if state.turned >= due.unwrap_or(u64::MAX) {
                return;
            }
            state.turned += 1;
            let slot = (state.turned % SLOTS) as usize;
            // The next round is about as full: its memory is taken once.
            let room = Vec::with_capacity(state.slots[slot].len());
            let woken = std::mem::replace(&mut state.slots[slot], room);
            drop(state);
            for (mailbox, generation) in woken {
                mailbox.alarm(generation);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wakes_once_and_not_before_its_time() {
        let wheel = Wheel::default();
        let mailbox = Arc::<Mailbox>::default();
        wheel.set(&mailbox, wheel.began + Duration::from_millis(250));
        wheel.turn_to(wheel.began + Duration::from_millis(249));
        assert!(!mailbox.take_alarm());
        wheel.turn_to(wheel.began + Duration::from_millis(300));
        assert!(mailbox.take_alarm());
        assert!(!mailbox.take_alarm());
        wheel.turn_to(wheel.began + Duration::from_mins(1));
        assert!(!mailbox.take_alarm());
    }

    #[test]
    fn the_last_time_that_was_set_counts() {
        let wheel = Wheel::default();
        let mailbox = Arc::<Mailbox>::default();
        wheel.set(&mailbox, wheel.began + Duration::from_secs(1));
        wheel.set(&mailbox, wheel.began + Duration::from_secs(3));
        wheel.turn_to(wheel.began + Duration::from_secs(2));
        assert!(!mailbox.take_alarm(), "the first was replaced");
        wheel.turn_to(wheel.began + Duration::from_secs(4));
        assert!(mailbox.take_alarm());
    }

    #[test]
    fn what_lies_behind_or_far_ahead_is_never_missed() {
        let wheel = Wheel::default();
        let (late, far) = (Arc::<Mailbox>::default(), Arc::<Mailbox>::default());
        wheel.turn_to(wheel.began + Duration::from_secs(20));
        wheel.set(&late, wheel.began);
        wheel.set(&far, wheel.began + Duration::from_hours(24));
        wheel.turn_to(wheel.began + Duration::from_millis(20_100));
        assert!(late.take_alarm());
        assert!(!far.take_alarm());
        wheel.turn_to(wheel.began + Duration::from_secs(33));
        assert!(far.take_alarm(), "early, and set anew by its owner");
    }

    #[test]
    fn it_lets_go_of_who_was_woken() {
        let wheel = Wheel::default();
        let mailbox = Arc::<Mailbox>::default();
        wheel.set(&mailbox, wheel.began);
        assert_eq!(Arc::strong_count(&mailbox), 2);
        wheel.turn_to(wheel.began + Duration::from_secs(1));
        assert_eq!(Arc::strong_count(&mailbox), 1);
    }
}
