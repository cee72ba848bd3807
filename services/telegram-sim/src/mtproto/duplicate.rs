//! One key, one place: Telegram ends a key for good (406 `AUTH_KEY_DUPLICATED`) when it is used
//! from two places at once. Here a place is a connection, and at once means that both go on
//! sending for more than 2 s.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// For so long two connections may send side by side: an old one that says its last words while
/// its successor is at work, even much later, is no harm.
const GRACE: Duration = Duration::from_secs(2);

/// Connections of a key that are remembered after their end.
const MAX_LOG: usize = 10_000;

/// A connection that used an account's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// Tells connections apart; rises with each that a client opens.
    pub connection: u64,
    /// When its first packet came.
    pub first: Instant,
    /// When its last packet so far came.
    pub last: Instant,
    /// Packets that came.
    pub packets: u64,
    /// When it was closed.
    pub ended: Option<Instant>,
}

/// The open connections on one key that have sent something.
#[derive(Default)]
pub(crate) struct Uses {
    /// All connections, in the order of their first packets.
    log: VecDeque<KeyUse>,
    /// With the time of the last packet, in the order of the first ones.
    open: Vec<(u64, Instant)>,
    /// An elder and a younger one, and since when the elder sends beside the younger.
    rivals: Vec<(u64, u64, Instant)>,
}

impl Uses {
    /// Notes that a connection has sent a packet; whether the key is now used in two places.
    pub(crate) fn sent(&mut self, connection: u64, now: Instant) -> bool {
        self.record(connection, now);
        let Some(at) = self.open.iter().position(|(known, _)| *known == connection) else {
            self.open.push((connection, now));
            return false;
        };
        self.open[at].1 = now;
        for (younger, _) in &self.open[at + 1..] {
            let is_known = |rivals: &(u64, u64, Instant)| rivals.0 == connection && rivals.1 == *younger;
            if !self.rivals.iter().any(is_known) {
                self.rivals.push((connection, *younger, now));
            }
        }
        let last = |wanted| {
            let found = self.open.iter().find(|(known, _)| *known == wanted);
            found.map(|(_, last)| *last)
        };
        self.rivals.iter().any(|(elder, younger, since)| {
            let both = last(*elder).min(last(*younger));
            both.is_some_and(|both| both.saturating_duration_since(*since) > GRACE)
        })
    }

    /// Every connection that sent something, in the order of the first packets.
    pub(crate) fn log(&self) -> Vec<KeyUse> {
        self.log.iter().copied().collect()
    }

    fn record(&mut self, connection: u64, now: Instant) {
        if let Some(known) = self.log.iter_mut().rev().find(|known| known.connection == connection) {
            known.last = now;
            known.packets += 1;
            return;
        }
        if self.log.len() == MAX_LOG {
            self.log.pop_front();
        }
        self.log.push_back(KeyUse {
            connection,
            first: now,
            last: now,
            packets: 1,
            ended: None,
        });
    }

    /// Notes that a connection is closed.
    pub(crate) fn ended(&mut self, connection: u64, now: Instant) {
        if let Some(known) = self.log.iter_mut().rev().find(|known| known.connection == connection) {
            known.ended = Some(now);
        }
        self.open.retain(|(known, _)| *known != connection);
        self.rivals
            .retain(|(elder, younger, _)| *elder != connection && *younger != connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_that_both_go_on_are_too_many() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut uses = Uses::default();
        for ms in (0..10_000).step_by(500) {
            assert!(!uses.sent(1, at(ms)));
        }
        // A successor may go on as long as it likes.
        assert!(!uses.sent(2, at(10_000)));
        assert!(!uses.sent(2, at(60_000)));
        // The one that was thought dead has last words.
        assert!(!uses.sent(1, at(60_100)));
        assert!(!uses.sent(1, at(61_900)));
        assert!(!uses.sent(2, at(62_000)));
        // It goes on; that is one too many as soon as the other goes on as well.
        assert!(!uses.sent(1, at(62_200)));
        assert!(uses.sent(2, at(62_300)));
        uses.ended(1, at(62_400));
        assert!(!uses.sent(2, at(63_000)));
        assert!(!uses.sent(3, at(63_000)));
        assert!(!uses.sent(3, at(90_000)));
        let log = uses.log();
        assert_eq!(log.iter().map(|one| one.connection).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!((log[0].last, log[0].ended), (at(62_200), Some(at(62_400))));
        assert_eq!((log[2].first, log[2].packets, log[2].ended), (at(63_000), 2, None));
    }
}
