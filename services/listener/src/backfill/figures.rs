//! Figures of what is fetched from the past.

use tgmesh_lifecycle::metrics::{Counter, Gauge, Metrics};

use super::order::State;
use super::page::Tally;

/// All of them. Clones share.
#[derive(Debug, Clone)]
pub struct Figures {
    messages: Counter,
    finds: Counter,
    events: Counter,
    /// Requests for history that orders made.
    pub requests: Counter,
    /// Orders that nobody carries out, in the whole mesh.
    waiting: Gauge,
    /// Orders that somebody carries out, in the whole mesh.
    running: Gauge,
    done: Counter,
    failed: Counter,
}

impl Figures {
    /// Registers all of them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let ended = |outcome| {
            let labels = [("outcome", outcome)];
            metrics.counter_with(
                "backfill_orders_ended_total",
                "Orders for history that this process ended, by outcome",
                &labels,
            )
        };
        Self {
            messages: metrics.counter(
                "backfill_messages_total",
                "Messages of the past that were fetched for orders and searched",
            ),
            finds: metrics.counter("backfill_finds_total", "Addresses in messages of the past"),
            events: metrics.counter(
                "backfill_events_total",
                "Events of messages of the past that the streams did not hold",
            ),
            requests: metrics.counter("backfill_requests_total", "Requests for history that orders made"),
            waiting: metrics.gauge("backfill_orders_waiting", "Orders for history that nobody carries out"),
            running: metrics.gauge(
                "backfill_orders_running",
                "Orders for history that are being carried out",
            ),
            done: ended("done"),
            failed: ended("failed"),
        }
    }

    pub(super) fn page(&self, tally: Tally) {
        self.messages.add(tally.messages);
        self.finds.add(tally.finds);
        self.events.add(tally.events);
    }

    pub(super) fn ended(&self, state: State) {
        match state {
            State::Done => self.done.inc(),
            State::Failed => self.failed.inc(),
            State::Waiting | State::Running | State::Cancelled => {}
        }
    }

    /// Sets the numbers of open orders.
    pub fn orders(&self, states: impl Iterator<Item = State>) {
        let (mut waiting, mut running) = (0, 0);
        for state in states {
            match state {
                State::Waiting => waiting += 1,
                State::Running => running += 1,
                State::Done | State::Failed | State::Cancelled => {}
            }
        }
        self.waiting.set(f64::from(waiting));
        self.running.set(f64::from(running));
    }
}
