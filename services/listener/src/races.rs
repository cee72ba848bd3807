//! Who was first: channels that several accounts watch at once (`HOT_CHATS`).
//!
//! Telegram does not push a post to everybody at once. Where two accounts watch a channel, whoever
//! receives a message first tells of it; the other one's events have the same ids, so that this
//! process does not send them again and the stream drops those of another process. What is
//! measured here is by how much the first one was earlier. Between processes that is by their
//! clocks, and only for messages in which something was found.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tgmesh_lifecycle::metrics::{Counter, Histogram, Metrics};

use crate::assignments::Racing;

/// Messages that wait for a second account.
const MOST: usize = 10_000;

/// The races of all accounts of the process. Clones share them.
#[derive(Clone)]
pub struct Races {
    racing: Racing,
    inner: Arc<Mutex<Inner>>,
    accounts: Arc<HashMap<Arc<str>, Figures>>,
}

/// What is counted of an account.
struct Figures {
    wins: Counter,
    lead: Histogram,
}

/// Who received a message first, and when; nothing once a second one did.
type Race = Option<(Arc<str>, i64)>;

#[derive(Default)]
struct Inner {
    /// By chat and message.
    open: HashMap<(i64, i64), Race>,
    order: VecDeque<(i64, i64)>,
}

impl Races {
    /// Races of these accounts.
    #[must_use]
    pub fn new(racing: Racing, accounts: &[Arc<str>], metrics: &Metrics) -> Self {
        let figures = |account: &Arc<str>| {
            let labels = [("account", &**account)];
            let wins = "Messages of hot channels that this account received first";
            let lead = "By how much this account was earlier than the second, in hot channels";
            Figures {
                wins: metrics.counter_with("race_wins_total", wins, &labels),
                lead: metrics.histogram_with("race_lead_seconds", lead, &labels),
            }
        };
        // Without a race there are no figures of one.
        let racers = if racing.chats.is_empty() { &[] } else { accounts };
        Self {
            inner: Arc::default(),
            accounts: Arc::new(
                racers
                    .iter()
                    .map(|account| (Arc::clone(account), figures(account)))
                    .collect(),
            ),
            racing,
        }
    }

    /// Notes that an account received a new message.
    pub fn received(&self, chat_id: i64, message_id: i64, account: &str, received_us: i64) {
        if !self.racing.chats.contains(&chat_id) {
            return;
        }
        let Some((account, _)) = self.accounts.get_key_value(account) else {
            return;
        };
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((winner, lead_us)) = inner.received((chat_id, message_id), account, received_us) else {
            return;
        };
        drop(inner);
        if let Some(figures) = self.accounts.get(&winner) {
            figures.wins.inc();
            figures.lead.observe_us(lead_us);
        }
    }
}

impl Inner {
    /// The first one and its lead, when a second one comes.
    fn received(&mut self, key: (i64, i64), account: &Arc<str>, received_us: i64) -> Option<(Arc<str>, u64)> {
        match self.open.get_mut(&key) {
            None => {
                self.open.insert(key, Some((Arc::clone(account), received_us)));
                self.order.push_back(key);
                if self.order.len() > MOST
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.open.remove(&oldest);
                }
                None
            }
            Some(open) => {
                let (first, at_us) = open.take_if(|(first, _)| first != account)?;
                // Another process's account may have been first, and be heard of later.
                let winner = if at_us <= received_us {
                    first
                } else {
                    Arc::clone(account)
                };
                Some((winner, at_us.abs_diff(received_us)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_two_count_once() {
        let mut inner = Inner::default();
        let (a, b, c): (Arc<str>, Arc<str>, Arc<str>) = ("a".into(), "b".into(), "c".into());
        assert_eq!(inner.received((-1, 5), &a, 100), None);
        assert_eq!(inner.received((-1, 5), &a, 150), None, "the same once more");
        assert_eq!(inner.received((-1, 5), &b, 130), Some((Arc::clone(&a), 30)));
        assert_eq!(inner.received((-1, 5), &c, 140), None);
        // Heard of later, received earlier.
        assert_eq!(inner.received((-1, 6), &a, 100), None);
        assert_eq!(inner.received((-1, 6), &b, 60), Some((b, 40)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut inner = Inner::default();
        for id in 0..3 * MOST as i64 {
            inner.received((-1, id), &"a".into(), id);
        }
        assert_eq!((inner.open.len(), inner.order.len()), (MOST, MOST));
    }
}
