//! How a channel's posts come, and when it is looked at.
//!
//! Telegram does not push every channel to everybody. Which ones it pushes it does not say, and it
//! changes; so a channel counts as pushed or polled by what came how. It is looked at more often
//! the more often it posts: twice in the time between two posts, and less and less often while it
//! is silent. A push makes a look unnecessary for as long.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Between two looks at the hottest channel.
const SHORTEST: Duration = Duration::from_secs(1);
/// After a push, before silence is worth a look: the last push of a burst may be lost.
const SILENCE: Duration = Duration::from_secs(2);
/// Between two looks at a silent channel that has to be polled, and at any other one.
const LONGEST_POLLED: Duration = Duration::from_mins(1);
const LONGEST_PUSHED: Duration = Duration::from_mins(2);
/// So many times in a row a look has to find what was not pushed.
const MISSES: u32 = 2;
/// So many posts in a row have to be pushed before they are found.
const PUSHES: u32 = 3;
/// Delays that are remembered.
const DELAYS: usize = 64;

/// How a channel's posts come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By themselves.
    Pushed,
    /// They have to be asked for.
    Polled,
}

impl Way {
    /// As commands and figures show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pushed => "pushed",
            Self::Polled => "polled",
        }
    }
}

/// What is known of one channel.
#[derive(Debug)]
pub struct Poll {
    way: Way,
    /// Looks in a row that found something, and posts in a row that were pushed.
    misses: u32,
    pushes: u32,
    /// Time between two posts, in seconds; nothing before the second one.
    gap_s: Option<f64>,
    /// When something came last, by our clock, and the last post's date.
    heard: Instant,
    last_post_s: i64,
    /// Highest message id that came.
    last_id: i32,
    looked: Instant,
    at: Instant,
    /// Telegram wants no difference before then unless there is a reason.
    not_before: Option<Instant>,
    /// Of a look: how many updates wait to be fetched.
    behind: i32,
    top: i32,
    /// Telegram told that there is something: what the difference brings was announced.
    told: bool,
    /// Second in which everything was there for the first time on this connection: what was
    /// posted before says nothing about how posts come.
    whole_since_s: Option<i64>,
    posts: u64,
    /// From post to socket, in tenths of a second, newest last.
    delays: VecDeque<u16>,
}

impl Poll {
    /// A channel of which nothing is known but its newest message.
    #[must_use]
    pub fn begin(last_id: i32, now: Instant) -> Self {
        Self {
            way: Way::Pushed,
            misses: 0,
            pushes: 0,
            gap_s: None,
            heard: now,
            last_post_s: 0,
            last_id,
            looked: now,
            at: now + SILENCE,
            not_before: None,
            behind: 0,
            top: 0,
            told: false,
            whole_since_s: None,
            posts: 0,
            delays: VecDeque::new(),
        }
    }

    /// A new connection: what was missed since the last one says nothing.
    pub fn reconnected(&mut self, now: Instant) {
        self.whole_since_s = None;
        self.behind = 0;
        self.at = now + SILENCE;
    }

    /// Everything up to now is there.
    pub fn is_whole(&mut self, now_s: i64) {
        self.whole_since_s.get_or_insert(now_s);
        self.behind = 0;
        self.told = false;
    }

    /// How its posts come.
    #[must_use]
    pub fn way(&self) -> Way {
        self.way
    }

    /// Something was pushed, whatever it was.
    pub fn is_pushed(&mut self, now: Instant) {
        self.heard = now;
        self.plan(now);
    }

    /// Telegram told that there is something, and not what.
    pub fn is_told(&mut self) {
        self.told = true;
    }

    /// A post came. Gives its delay in µs, where it is new and was posted since the channel is
    /// followed; below zero where the clocks differ.
    pub fn posted(&mut self, (id, date_s): (i32, i64), way: Way, (now, now_us): (Instant, i64)) -> Option<i64> {
        if id <= self.last_id {
            return None;
        }
        self.last_id = id;
        self.heard = now;
        if self.last_post_s > 0 {
            // Several in one second are half a second apart at the most.
            let gap = ((date_s - self.last_post_s).max(0) as f64).max(0.5);
            self.gap_s = Some(self.gap_s.map_or(gap, |before| 0.7 * before + 0.3 * gap));
        }
        self.last_post_s = self.last_post_s.max(date_s);
        if way == Way::Pushed {
            self.misses = 0;
            self.pushes = self.pushes.saturating_add(1);
            if self.pushes >= PUSHES {
                self.way = Way::Pushed;
            }
        }
        self.plan(now);
        if self.whole_since_s.is_none_or(|since| date_s < since) {
            return None;
        }
        self.posts += 1;
        let delay_us = now_us - date_s * 1_000_000;
        let tenths = u16::try_from(delay_us.max(0) / 100_000).unwrap_or(u16::MAX);
        if self.delays.len() == DELAYS {
            self.delays.pop_front();
        }
        self.delays.push_back(tenths);
        Some(delay_us)
    }

    /// A difference brought posts that nobody had told of: evidence, unless they are older than
    /// the connection.
    pub fn missed(&mut self) {
        if self.whole_since_s.is_none() || self.told {
            return;
        }
        self.pushes = 0;
        self.misses = self.misses.saturating_add(1);
        if self.misses >= MISSES {
            self.way = Way::Polled;
        }
    }

    /// Whether it is to be looked at.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.at <= now
    }

    /// Whether a difference may be asked for without knowing that there is something.
    #[must_use]
    pub fn may_guess(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|at| at <= now)
    }

    /// How long Telegram wants to be left alone.
    pub fn rest(&mut self, timeout_s: Option<i32>, now: Instant) {
        // Telegram's own clients bound it too.
        let wait = timeout_s.map(|s| Duration::from_secs(s.clamp(1, 900).unsigned_abs().into()));
        self.not_before = wait.map(|wait| now + wait);
    }

    /// It was looked at, or a look was ordered.
    pub fn looked(&mut self, now: Instant) {
        self.looked = now;
        self.plan(now);
    }

    /// It is looked at again after this time.
    pub fn wait(&mut self, now: Instant, wait: Duration) {
        self.at = now + wait;
    }

    /// A look found so many updates, and this newest message.
    pub fn found(&mut self, behind: i32, top: i32) {
        self.behind = behind.max(0);
        self.top = top;
    }

    /// Takes what a look found: the newest message.
    pub fn take_found(&mut self) -> i32 {
        self.behind = 0;
        self.top
    }

    /// Highest message id that came.
    #[must_use]
    pub fn last_id(&self) -> i32 {
        self.last_id
    }

    /// Whether a look found something that was not fetched yet.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.behind > 0
    }

    /// How much a request for it is worth: what waits there, or may.
    #[must_use]
    pub fn heat(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.looked.max(self.heard));
        f64::from(self.behind) + passed.as_secs_f64() / self.gap(now)
    }

    /// Between two looks.
    #[must_use]
    pub fn interval(&self, now: Instant) -> Duration {
        let half = Duration::from_secs_f64(self.gap(now) / 2.0);
        match self.way {
            Way::Polled => half.clamp(SHORTEST, LONGEST_POLLED),
            Way::Pushed => half.clamp(SILENCE, LONGEST_PUSHED),
        }
    }

    /// Seconds between two posts, as far as one can tell: silence counts too.
    fn gap(&self, now: Instant) -> f64 {
        let silent = now.saturating_duration_since(self.heard).as_secs_f64();
        self.gap_s.map_or(silent, |gap| gap.max(silent)).clamp(0.5, 3_600.0)
    }

    fn plan(&mut self, now: Instant) {
        self.at = now + self.interval(now);
    }

    /// Posts that were measured, and the last one's date.
    #[must_use]
    pub fn posts(&self) -> (u64, i64) {
        (self.posts, self.last_post_s)
    }

    /// Median, 99th percentile and last of the delays, in ms.
    #[must_use]
    pub fn delays_ms(&self) -> Option<(u64, u64, u64)> {
        let last = *self.delays.back()?;
        let mut sorted: Vec<u16> = self.delays.iter().copied().collect();
        sorted.sort_unstable();
        let at = |part: f64| sorted[((sorted.len() - 1) as f64 * part).round() as usize];
        let ms = |tenths: u16| u64::from(tenths) * 100;
        Some((ms(at(0.5)), ms(at(0.99)), ms(last)))
    }
}

/// Requests that may be made only to find out whether there is something.
#[derive(Debug)]
pub struct Allowance {
    per_minute: f64,
    left: f64,
    at: Instant,
}

impl Allowance {
    /// So many a minute, and those of ten seconds at once.
    #[must_use]
    pub fn new(per_minute: u32, now: Instant) -> Self {
        let per_minute = f64::from(per_minute);
        Self {
            per_minute,
            left: Self::most(per_minute),
            at: now,
        }
    }

    fn most(per_minute: f64) -> f64 {
        (per_minute / 6.0).max(1.0)
    }

    /// Takes one, if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.left = (self.left + passed * self.per_minute / 60.0).min(Self::most(self.per_minute));
        let is_there = self.left >= 1.0;
        if is_there {
            self.left -= 1.0;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn followed(now: Instant) -> Poll {
        let mut poll = Poll::begin(0, now);
        poll.is_whole(1_000);
        poll
    }

    fn post(poll: &mut Poll, n: i32, way: Way, now: Instant) -> Option<i64> {
        let date_s = 1_000 + i64::from(n);
        poll.posted((n, date_s), way, (now, date_s * 1_000_000 + 700_000))
    }

    #[test]
    fn it_counts_as_polled_and_as_pushed_by_evidence() {
        let now = Instant::now();
        let mut poll = followed(now);
        post(&mut poll, 1, Way::Polled, now);
        poll.missed();
        assert_eq!(poll.way(), Way::Pushed, "one may be a lost push");
        post(&mut poll, 2, Way::Pushed, now);
        post(&mut poll, 3, Way::Polled, now);
        poll.missed();
        assert_eq!(poll.way(), Way::Pushed);
        post(&mut poll, 4, Way::Polled, now);
        poll.missed();
        assert_eq!(poll.way(), Way::Polled);
        for n in 5..7 {
            post(&mut poll, n, Way::Pushed, now);
            assert_eq!(poll.way(), Way::Polled);
        }
        // Late ones are no news.
        assert_eq!(post(&mut poll, 6, Way::Pushed, now), None);
        assert_eq!(poll.way(), Way::Polled);
        post(&mut poll, 7, Way::Pushed, now);
        assert_eq!(poll.way(), Way::Pushed);
    }

    #[test]
    fn what_was_announced_or_came_before_is_no_evidence() {
        let now = Instant::now();
        let mut poll = Poll::begin(0, now);
        for n in 1..5 {
            assert_eq!(post(&mut poll, n, Way::Polled, now), None, "it was posted before");
            poll.missed();
        }
        poll.is_whole(2_000);
        assert_eq!(poll.posts().0, 0);
        for _ in 0..5 {
            poll.is_told();
            poll.missed();
        }
        assert_eq!(poll.way(), Way::Pushed);
        assert_eq!(
            poll.posted((9, 2_001), Way::Polled, (now, 2_003_500_000)),
            Some(2_500_000)
        );
        assert_eq!(poll.delays_ms(), Some((2_500, 2_500, 2_500)));
    }

    #[test]
    fn hot_ones_are_looked_at_often_and_silent_ones_seldom() {
        let start = Instant::now();
        let mut poll = followed(start);
        let mut now = start;
        for n in 1..30 {
            now = start + s(n);
            post(&mut poll, i32::try_from(n).unwrap(), Way::Polled, now);
            poll.missed();
        }
        assert_eq!(poll.interval(now), SHORTEST);
        // Two hours of silence: fewer and fewer looks.
        let (mut looks, mut last) = (0, Duration::ZERO);
        while now < start + s(7_200) {
            let interval = poll.interval(now);
            assert!(interval >= last, "{interval:?} after {last:?}");
            last = interval;
            now += interval;
            poll.looked(now);
            looks += 1;
        }
        assert_eq!(last, LONGEST_POLLED);
        assert!(looks < 140, "{looks}");
        post(&mut poll, 100, Way::Polled, now);
        assert!(poll.interval(now) < LONGEST_POLLED, "it is awake again");
        // The hotter one comes first, and the silent one when it has waited long.
        let mut quiet = followed(now);
        now += s(300);
        quiet.looked(now);
        now += s(300);
        let mut hot = followed(now);
        post(&mut hot, 1, Way::Polled, now);
        post(&mut hot, 2, Way::Polled, now);
        assert!(hot.heat(now + s(3)) > quiet.heat(now + s(3)));
        assert!(hot.heat(now) < quiet.heat(now));
    }

    #[test]
    fn a_push_makes_a_look_unnecessary_for_a_while() {
        let now = Instant::now();
        let mut poll = followed(now);
        assert!(!poll.is_due(now + s(1)) && poll.is_due(now + s(2)));
        poll.is_pushed(now + s(2));
        assert!(!poll.is_due(now + s(3)) && poll.is_due(now + s(4)));
        poll.rest(Some(30), now);
        assert!(!poll.may_guess(now + s(29)) && poll.may_guess(now + s(30)));
        poll.rest(Some(i32::MAX), now);
        assert!(poll.may_guess(now + s(900)));
    }

    #[test]
    fn an_allowance_is_kept() {
        let start = Instant::now();
        let mut allowance = Allowance::new(60, start);
        let taken = |allowance: &mut Allowance, from: u64, to: u64| {
            (from * 10..to * 10)
                .filter(|tenth| allowance.take(start + Duration::from_millis(tenth * 100)))
                .count()
        };
        let made = taken(&mut allowance, 0, 60);
        assert!((69..=70).contains(&made), "{made}");
        let mut small = Allowance::new(1, start);
        assert!(small.take(start) && !small.take(start + s(50)) && small.take(start + s(61)));
    }
}
