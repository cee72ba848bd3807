//! How often a token's subject may ask.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Requests of one subject, one each so long on average: 20 a second.
const INTERVAL: Duration = Duration::from_millis(50);
/// Requests of one subject at once: a dashboard that opens asks for a dozen things.
const BURST: u32 = 40;
/// Subjects that are remembered. Those who are at rest are forgotten first.
const MAX_SUBJECTS: usize = 10_000;

/// Who asked when: for each subject the time at which all that it asked for is paid off (the generic
/// cell rate algorithm, which is a token bucket without a timer).
#[derive(Debug, Default)]
pub struct Pace {
    paid_off: Mutex<HashMap<String, Instant>>,
}

impl Pace {
    /// Whether this subject may ask now; otherwise how long it has to wait.
    ///
    /// # Errors
    /// The time to wait.
    pub fn take(&self, subject: &str, now: Instant) -> Result<(), Duration> {
        let mut paid_off = self.paid_off.lock().unwrap_or_else(PoisonError::into_inner);
        let at = paid_off.get(subject).map_or(now, |at| (*at).max(now));
        let ahead = at.duration_since(now) + INTERVAL;
        let allowed = INTERVAL * BURST;
        if ahead > allowed {
            return Err(ahead.saturating_sub(allowed));
        }
        if paid_off.len() >= MAX_SUBJECTS && !paid_off.contains_key(subject) {
            paid_off.retain(|_, at| *at > now);
            if paid_off.len() >= MAX_SUBJECTS {
                // All of them are asking: nobody is let in before one rests.
                return Err(INTERVAL);
            }
        }
        paid_off.insert(subject.to_owned(), at + INTERVAL);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate_each_for_itself() {
        let (pace, start) = (Pace::default(), Instant::now());
        assert!((0..BURST).all(|_| pace.take("ann", start).is_ok()));
        let wait = pace.take("ann", start).expect_err("too many");
        assert_eq!(wait, INTERVAL);
        assert!(pace.take("bob", start).is_ok());
        assert!(pace.take("ann", start + wait).is_ok());
        assert!(
            pace.take("ann", start + wait).is_err(),
            "a refusal costs nothing, and gains nothing"
        );
        let later = start + Duration::from_mins(1);
        assert!(
            (0..BURST).all(|_| pace.take("ann", later).is_ok()),
            "rest gives the burst back, and no more"
        );
        assert!(pace.take("ann", later).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let (pace, start) = (Pace::default(), Instant::now());
        for n in 0..MAX_SUBJECTS {
            assert!(pace.take(&n.to_string(), start).is_ok());
        }
        assert!(pace.take("one more", start).is_err());
        assert!(pace.take("one more", start + INTERVAL).is_ok());
        assert_eq!(pace.paid_off.lock().expect("no panic").len(), 1);
    }
}
