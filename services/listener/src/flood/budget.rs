//! One method's budget: a bucket of tokens that can be closed.

use std::time::{Duration, Instant};

use super::Method;

/// A method is slowed down to this part at the most.
const SLOWEST: f64 = 0.125;
/// After so long without a wait a method regains half of what it lost.
const REGAINS: Duration = Duration::from_mins(5);
/// Longest that a method is closed: Telegram's own waits are at most a day.
const LONGEST: Duration = Duration::from_hours(24);
/// Waits that come one after the other add so much at the most.
const MAX_STRIKES: u32 = 4;

/// What is left of a method.
#[derive(Debug)]
pub struct Budget {
    /// None: no limit.
    limit: Option<Limit>,
    closed_until: Option<Instant>,
    /// Waits without a good answer between them.
    strikes: u32,
}

#[derive(Debug)]
struct Limit {
    capacity: f64,
    /// Per second.
    rate: f64,
    /// Of the rate; 1 unless Telegram had to ask for a wait.
    speed: f64,
    changed: Instant,
    /// Below zero where requests wait in line.
    tokens: f64,
    at: Instant,
}

/// Whether a request may be made.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Now.
    Go,
    /// It is reserved: after this time.
    GoAfter(Duration),
    /// Not now: ask again after this time.
    AskAfter(Duration),
    /// Not before Telegram's wait is over.
    Closed(Duration),
}

impl Budget {
    /// A full one.
    pub fn of(method: Method, now: Instant) -> Self {
        let limit = method.budget().map(|(burst, per_minute)| Limit {
            capacity: f64::from(burst),
            rate: f64::from(per_minute) / 60.0,
            speed: 1.0,
            changed: now,
            tokens: f64::from(burst),
            at: now,
        });
        Self {
            limit,
            closed_until: None,
            strikes: 0,
        }
    }

    /// Takes a token, or reserves the next one.
    pub fn take(&mut self, now: Instant) -> Answer {
        if let Some(wait) = self.closed(now) {
            return Answer::Closed(wait);
        }
        let Some(limit) = &mut self.limit else {
            return Answer::Go;
        };
        limit.refill(now);
        limit.tokens -= 1.0;
        if limit.tokens >= 0.0 {
            Answer::Go
        } else {
            Answer::GoAfter(limit.time_for(-limit.tokens))
        }
    }

    /// Takes a token of the first half.
    pub fn take_spare(&mut self, now: Instant) -> Answer {
        if let Some(wait) = self.closed(now) {
            return Answer::Closed(wait);
        }
        let Some(limit) = &mut self.limit else {
            return Answer::Go;
        };
        limit.refill(now);
        let missing = limit.capacity / 2.0 + 1.0 - limit.tokens;
        if missing <= 0.0 {
            limit.tokens -= 1.0;
            Answer::Go
        } else {
            Answer::AskAfter(limit.time_for(missing))
        }
    }

    /// How long it is closed, if it is.
    pub fn closed(&self, now: Instant) -> Option<Duration> {
        let left = self.closed_until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Closes it for Telegram's wait; says for how long it is closed from now on.
    pub fn close(&mut self, wait: Duration, now: Instant) -> Duration {
        if self.closed(now).is_none() {
            // Those that were under way together count as one.
            self.strikes = self.strikes.saturating_add(1);
            if let Some(limit) = &mut self.limit {
                limit.refill(now);
                limit.slow_down(now);
            }
        }
        // The first moment is when all others come back too.
        let more = wait / 2 * (self.strikes - 1).min(MAX_STRIKES) + wait.mul_f64(rand::random_range(0.0..0.05));
        let until = now + (wait + more).min(LONGEST);
        let until = self.closed_until.map_or(until, |before| before.max(until));
        self.closed_until = Some(until);
        if let Some(limit) = &mut self.limit {
            // Nothing is saved up meanwhile.
            limit.at = until;
        }
        until.saturating_duration_since(now)
    }

    /// A good answer came.
    pub fn went_well(&mut self, now: Instant) {
        if self.closed(now).is_none() {
            self.strikes = 0;
        }
    }
}

impl Limit {
    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        self.at = now;
        self.tokens = (self.tokens + passed.as_secs_f64() * self.rate * self.speed).min(self.capacity);
        while self.speed < 1.0 && now.saturating_duration_since(self.changed) >= REGAINS {
            self.changed += REGAINS;
            self.speed = (self.speed * 2.0).min(1.0);
        }
    }

    fn slow_down(&mut self, now: Instant) {
        self.speed = (self.speed / 2.0).max(SLOWEST);
        self.changed = now;
        // What was saved up is what Telegram did not like.
        self.tokens = self.tokens.min(1.0);
    }

    fn time_for(&self, tokens: f64) -> Duration {
        Duration::from_secs_f64(tokens / (self.rate * self.speed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// How many requests go out within a time, each asked for as soon as the one before is through.
    fn within(budget: &mut Budget, mut now: Instant, time: Duration) -> u32 {
        let end = now + time;
        let mut made = 0;
        loop {
            match budget.take(now) {
                Answer::Go => {}
                Answer::GoAfter(wait) => now += wait,
                answer => panic!("{answer:?}"),
            }
            if now > end {
                return made;
            }
            made += 1;
        }
    }

    #[test]
    fn so_many_at_once_and_so_many_a_minute() {
        let now = Instant::now();
        let (burst, per_minute) = Method::History.budget().unwrap();
        let mut budget = Budget::of(Method::History, now);
        let made = within(&mut budget, now, s(600));
        assert!(made.abs_diff(burst + 10 * per_minute) <= 1, "{made}");
    }

    #[test]
    fn who_has_time_leaves_the_second_half() {
        let now = Instant::now();
        let (burst, _) = Method::History.budget().unwrap();
        let mut budget = Budget::of(Method::History, now);
        let mut spare = 0;
        let wait = loop {
            match budget.take_spare(now) {
                Answer::Go => spare += 1,
                Answer::AskAfter(wait) => break wait,
                answer => panic!("{answer:?}"),
            }
        };
        assert_eq!(spare, burst / 2);
        // It is not in line before those who have none.
        assert_eq!(budget.take(now), Answer::Go);
        assert_ne!(budget.take_spare(now + wait), Answer::Go);
        assert_eq!(budget.take_spare(now + 2 * wait), Answer::Go);
    }

    #[test]
    fn a_wait_closes_it_and_slows_it_down_for_a_while() {
        let now = Instant::now();
        let (_, per_minute) = Method::History.budget().unwrap();
        let mut budget = Budget::of(Method::History, now);
        let closed = budget.close(s(60), now);
        assert!(closed >= s(60) && closed <= s(63), "{closed:?}");
        // Others that were under way change nothing.
        assert!(budget.close(s(60), now + s(1)) <= s(63));
        assert!(matches!(budget.take(now + s(59)), Answer::Closed(_)));
        let open = now + s(64);
        let made = within(&mut budget, open, s(60));
        assert!(made.abs_diff(per_minute / 2) <= 3, "{made}");
        budget.went_well(open);
        let later = open + 2 * REGAINS;
        assert_eq!(budget.take(later), Answer::Go);
        assert!((budget.limit.as_ref().unwrap().speed - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_second_refusal_waits_longer_than_it_is_told() {
        let mut now = Instant::now();
        let mut budget = Budget::of(Method::Other, now);
        let mut last = Duration::ZERO;
        for _ in 0..4 {
            let closed = budget.close(s(10), now);
            assert!(closed > last, "{closed:?} after {last:?}");
            last = closed;
            now += closed;
        }
        assert!(last <= s(36));
        budget.went_well(now);
        assert!(budget.close(s(10), now) < s(11));
    }
}
