//! Spans after the fact, for messages that nobody sampled and that turned out slow or faulty.
//!
//! Each process remembers the hops of recent unsampled messages as plain numbers, for as long as
//! there is room. When one of them sees that a message was slow, failed, was retried or given up,
//! it asks for the message's trace: it tells the trace's id to all others, and each writes down the
//! spans of its own hops, at the times they had. So a late trace is whole, and every hop has one
//! maker: the process where it happened.
//!
//! What is asked for is bounded, because where one message is slow, most are.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::exports;
use crate::Process;
use crate::metrics::{Counter, Metrics};

/// Ids of traces that one process asks for in a second, and how many may come at once.
const RATE: f64 = 50.0;
const BURST: f64 = 100.0;
/// How often what is asked for is looked up: all of it in one pass.
const EVERY: Duration = Duration::from_millis(250);
/// A message may be asked for before it has come through here.
const WANTED_FOR: Duration = Duration::from_secs(20);
/// Traces that are looked for at once; others may ask as well.
const MAX_WANTED: usize = 8_192;

static SLOW_US: AtomicI64 = AtomicI64::new(i64::MAX);

/// Whether a message that took so long is told of, sampled or not.
#[must_use]
pub fn is_slow(took_us: i64) -> bool {
    took_us >= SLOW_US.load(Ordering::Relaxed)
}

/// What slow is.
pub(crate) fn slow_from(limit: Duration) {
    SLOW_US.store(i64::try_from(limit.as_micros()).unwrap_or(i64::MAX), Ordering::Relaxed);
}

/// A hop that can be written down later.
pub trait Hop: Send + 'static {
    /// Its trace.
    fn trace_id(&self) -> u128;
    /// Writes its spans down.
    fn record(&self);
}

/// Hops of recent messages, and which traces are asked for.
#[derive(Debug)]
pub struct Recent<H> {
    state: Mutex<State<H>>,
    ask: mpsc::Sender<u128>,
    asked: Counter,
    skipped: Counter,
    made: Counter,
}

#[derive(Debug)]
struct State<H> {
    /// `None` once it was written down.
    hops: VecDeque<Option<H>>,
    room: usize,
    wanted: HashMap<u128, Instant>,
    /// Whether a trace was asked for since the last pass; hops before `seen` were compared with the
    /// others.
    is_new: bool,
    seen: usize,
    tokens: f64,
    filled: Instant,
}

impl<H: Hop> Recent<H> {
    /// Remembers this many hops. The receiver gives the ids of traces that are to be told to the
    /// other processes.
    #[must_use]
    pub fn new(room: usize, metrics: &Metrics) -> (Self, mpsc::Receiver<u128>) {
        let (ask, asked) = mpsc::channel(1_024);
        let recent = Self {
            state: Mutex::new(State {
                hops: VecDeque::new(),
                room: room.max(1),
                wanted: HashMap::new(),
                is_new: false,
                seen: 0,
                tokens: BURST,
                filled: Instant::now(),
            }),
            ask,
            asked: metrics.counter(
                "late_traces_asked_total",
                "Unsampled messages that turned out slow or faulty here, whose spans were asked for",
            ),
            skipped: metrics.counter(
                "late_traces_skipped_total",
                "Unsampled messages that turned out slow or faulty here, too many at once to ask for all",
            ),
            made: metrics.counter(
                "late_hops_total",
                "Hops of unsampled messages whose spans were written down afterwards",
            ),
        };
        (recent, asked)
    }

    /// Remembers a hop of an unsampled message. Where it `is_remarkable`, its trace is asked for.
    pub fn note(&self, hop: H, is_remarkable: bool) {
        if !exports() {
            return;
        }
        let trace_id = hop.trace_id();
        {
            let mut state = self.lock();
            if state.hops.len() >= state.room {
                state.hops.pop_front();
                state.seen = state.seen.saturating_sub(1);
            }
            state.hops.push_back(Some(hop));
        }
        if is_remarkable {
            self.ask(trace_id);
        }
    }

    /// Asks for the spans of a trace, here and at the other processes.
    pub fn ask(&self, trace_id: u128) {
        if !exports() {
            return;
        }
        if !self.lock().take_token(Instant::now()) {
            return self.skipped.inc();
        }
        self.asked.inc();
        self.want(trace_id);
        // Full when NATS is away for long: then this process's spans are all there is.
        let _ = self.ask.try_send(trace_id);
    }

    /// Another process asks for the spans of a trace.
    pub fn want(&self, trace_id: u128) {
        let mut state = self.lock();
        if state.wanted.len() < MAX_WANTED {
            state.wanted.insert(trace_id, Instant::now());
            state.is_new = true;
        }
    }

    /// Answers when spans are asked for, here or, as `relay` tells, by other processes, until the
    /// process ends.
    pub fn answer(self: &Arc<Self>, process: &Process, relay: impl Future<Output = ()> + Send + 'static) {
        let (recent, until, soft) = (Arc::clone(self), process.shutdown.soft(), process.shutdown.soft());
        process
            .tasks
            .spawn("late spans", async move { recent.run(until).await });
        process.tasks.spawn("traces", async move {
            soft.run_until_cancelled(relay).await;
        });
    }

    /// Writes down what is asked for, until the token is cancelled.
    async fn run(&self, until: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                _ = ticks.tick() => false,
                () = until.cancelled() => true,
            };
            self.pass(Instant::now());
            if is_last {
                return;
            }
        }
    }

    fn pass(&self, now: Instant) {
        let mut found = Vec::new();
        {
            let state = &mut *self.lock();
            state
                .wanted
                .retain(|_, since| now.saturating_duration_since(*since) < WANTED_FOR);
            if !state.wanted.is_empty() {
                // What was compared before has nothing to do with traces that are still looked for.
                let from = if state.is_new { 0 } else { state.seen };
                let wanted = &state.wanted;
                for place in state.hops.range_mut(from..) {
                    found.extend(place.take_if(|hop| wanted.contains_key(&hop.trace_id())));
                }
            }
            state.is_new = false;
            state.seen = state.hops.len();
        }
        self.made.add(found.len() as u64);
        for hop in found {
            hop.record();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<H>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H> State<H> {
    fn take_token(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + since * RATE).min(BURST);
        self.filled = now;
        let is_there = self.tokens >= 1.0;
        if is_there {
            self.tokens -= 1.0;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    struct Told(u128, Arc<Mutex<Vec<u128>>>);

    impl Hop for Told {
        fn trace_id(&self) -> u128 {
            self.0
        }

        fn record(&self) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    fn push(recent: &Recent<Told>, trace: u128, told: &Arc<Mutex<Vec<u128>>>) {
        // As `note`, which remembers nothing where nothing is exported.
        let mut state = recent.lock();
        if state.hops.len() >= state.room {
            state.hops.pop_front();
            state.seen = state.seen.saturating_sub(1);
        }
        state.hops.push_back(Some(Told(trace, Arc::clone(told))));
    }

    #[test]
    fn each_hop_is_told_once_whoever_asks_first() {
        let (recent, _asked) = Recent::new(4, &Metrics::new("t", "i"));
        let told = Arc::default();
        for trace in 1..=6 {
            push(&recent, trace, &told);
        }
        for trace in [2, 5, 5, 9] {
            recent.want(trace);
        }
        let now = Instant::now();
        recent.pass(now);
        assert_eq!(*told.lock().unwrap(), [5], "2 is forgotten, 9 has not come yet");
        recent.want(5);
        push(&recent, 9, &told);
        recent.pass(now);
        recent.pass(now);
        assert_eq!(*told.lock().unwrap(), [5, 9]);
        // From the last wish on.
        let later = Instant::now() + WANTED_FOR;
        recent.pass(later);
        assert!(recent.lock().wanted.is_empty());
        push(&recent, 9, &told);
        recent.pass(later);
        assert_eq!(told.lock().unwrap().len(), 2);
        assert_eq!(recent.made.get(), 2);
    }

    #[test]
    fn a_slow_day_asks_for_so_many_and_no_more() {
        let (recent, _asked) = Recent::<Told>::new(4, &Metrics::new("t", "i"));
        let mut state = recent.lock();
        let now = state.filled;
        let granted = |state: &mut State<_>, now| (0..1_000).filter(|_| state.take_token(now)).count();
        assert_eq!(granted(&mut state, now), BURST as usize);
        assert_eq!(granted(&mut state, now + Duration::from_secs(1)), RATE as usize);
    }
}
