//! How often a client may speak.

use std::time::Instant;

/// A token bucket: `rate` frames a second on average, twice as many at once.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    pub fn new(rate: f64, now: Instant) -> Self {
        Self {
            rate,
            level: Self::size(rate),
            at: now,
        }
    }

    /// Changes the rate from now on.
    pub fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
        self.level = self.level.min(Self::size(rate));
    }

    /// Takes one frame; false when there were too many.
    pub fn take(&mut self, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.rate;
        self.at = now;
        self.level = (self.level + gained).min(Self::size(self.rate)) - 1.0;
        self.level >= 0.0
    }

    fn size(rate: f64) -> f64 {
        // One frame has to fit, however low the rate.
        (rate * 2.0).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_of_two_seconds_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10.0, start);
        assert!((0..20).all(|_| bucket.take(start)));
        assert!(!bucket.take(start));
    }

    #[test]
    fn who_keeps_to_the_rate_is_never_stopped() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10.0, start);
        assert!((0..10_000).all(|n| bucket.take(start + Duration::from_millis(n * 100))));
    }
}
