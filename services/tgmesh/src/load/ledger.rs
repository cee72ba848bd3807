//! The four records of a run, compared.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use tgmesh_proto::detection::Times;

use super::hops::{Hop, Hops};
use crate::mesh::Posted;

/// How many of the missing a report names.
const MAX_MISSING: usize = 20;

/// Chat, message and address: what tells one detection from another, whatever id it was given.
pub(super) type Key = (i64, i64, String);

/// One event in the stream.
pub(super) struct Stored {
    pub seq: u64,
    pub key: Key,
    pub times: Times,
    /// The stream's own time stamp.
    pub at_us: i64,
}

/// One row.
pub(super) struct Row {
    pub key: Key,
    pub committed_us: i64,
}

/// What one client received, in its order: sequence and time.
pub type Arrivals = Vec<(u64, i64)>;

/// Everything that was recorded.
pub(super) struct Ledger {
    pub posted: Vec<Posted>,
    pub stored: Vec<Stored>,
    pub rows: Vec<Row>,
    /// One list for each client.
    pub arrivals: Vec<Arrivals>,
}

/// What is missing, and what is there more than once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Sent and not there.
    pub lost: u64,
    /// There again.
    pub duplicated: u64,
    /// There and never sent.
    pub unknown: u64,
}

/// First and last time of a stage, and how many.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub count: u64,
    pub first_us: i64,
    pub last_us: i64,
}

impl Span {
    fn of(times: impl Iterator<Item = i64>) -> Self {
        times.fold(Self::default(), |span, at| Self {
            count: span.count + 1,
            first_us: if span.count == 0 { at } else { span.first_us.min(at) },
            last_us: span.last_us.max(at),
        })
    }

    /// Events a second, between the first and the last.
    pub(super) fn rate(self) -> f64 {
        let seconds = (self.last_us - self.first_us) as f64 / 1e6;
        if seconds > 0.0 {
            (self.count.saturating_sub(1)) as f64 / seconds
        } else {
            0.0
        }
    }
}

/// A detection that was sent and is no row.
#[derive(Clone, Debug, Serialize)]
pub struct Missing {
    chat_id: i64,
    message_id: i64,
    address: String,
    sent_us: i64,
    /// Whether the stream holds it.
    in_stream: bool,
}

/// What the comparison shows.
pub(super) struct Findings {
    pub messages: u64,
    pub expected: u64,
    pub stream: Difference,
    pub rows: Difference,
    pub clients: Difference,
    /// Frames that came after a later one.
    pub out_of_order: u64,
    pub hops: Hops,
    pub sent: Span,
    pub stored: Span,
    pub committed: Span,
    /// Of the client that was last.
    pub received: Span,
    pub frames: u64,
    /// The first of those without a row.
    pub missing: Vec<Missing>,
}

impl Ledger {
    pub(super) fn compare(&self) -> Findings {
        let mut expected: HashMap<Key, i64> = HashMap::new();
        for post in self.posted.iter().filter(|post| post.kind == "new") {
            for address in &post.addresses {
                expected.insert((post.chat_id, post.message_id, address.clone()), post.sent_us);
            }
        }
        let mut hops = Hops::default();
        let (stream, stored_at) = self.compare_stream(&expected, &mut hops);
        let rows = self.compare_rows(&expected, &stored_at, &mut hops);
        let missing = self.missing(&expected, &stored_at);
        let (clients, out_of_order) = self.compare_clients(&expected, &mut hops);
        Findings {
            messages: self.posted.len() as u64,
            expected: expected.len() as u64,
            stream,
            rows,
            clients,
            out_of_order,
            hops,
            sent: Span::of(self.posted.iter().map(|post| post.sent_us)),
            stored: Span::of(self.stored.iter().map(|event| event.at_us)),
            committed: Span::of(self.rows.iter().map(|row| row.committed_us)),
            received: self
                .arrivals
                .iter()
                .map(|arrivals| Span::of(arrivals.iter().map(|(_, at)| *at)))
                .max_by_key(|span| span.last_us)
                .unwrap_or_default(),
            missing,
            frames: self.arrivals.iter().map(|arrivals| arrivals.len() as u64).sum(),
        }
    }

    fn compare_stream<'a>(
        &'a self,
        expected: &HashMap<Key, i64>,
        hops: &mut Hops,
    ) -> (Difference, HashMap<&'a Key, i64>) {
        for event in &self.stored {
            let times = event.times;
            if let Some(sent_us) = expected.get(&event.key) {
                hops.record(Hop::SendToReceive, *sent_us, times.received_us);
            }
            hops.record(Hop::ReceiveToDetect, times.received_us, times.detected_us);
            hops.record(Hop::DetectToPublish, times.detected_us, times.published_us);
            hops.record(Hop::PublishToStore, times.published_us, event.at_us);
        }
        let stored_at = self.stored.iter().map(|event| (&event.key, event.at_us)).collect();
        (
            difference(expected, self.stored.iter().map(|event| &event.key)),
            stored_at,
        )
    }

    fn compare_rows(
        &self,
        expected: &HashMap<Key, i64>,
        stored_at: &HashMap<&Key, i64>,
        hops: &mut Hops,
    ) -> Difference {
        for row in &self.rows {
            if let Some(stored_us) = stored_at.get(&row.key) {
                hops.record(Hop::StoreToRow, *stored_us, row.committed_us);
            }
            if let Some(sent_us) = expected.get(&row.key) {
                hops.record(Hop::SendToRow, *sent_us, row.committed_us);
            }
        }
        difference(expected, self.rows.iter().map(|row| &row.key))
    }

    /// Where to begin to look when something was lost.
    fn missing(&self, expected: &HashMap<Key, i64>, stored_at: &HashMap<&Key, i64>) -> Vec<Missing> {
        let rows: HashSet<&Key> = self.rows.iter().map(|row| &row.key).collect();
        let mut missing: Vec<_> = expected
            .iter()
            .filter(|(key, _)| !rows.contains(key))
            .map(|(key, sent_us)| Missing {
                chat_id: key.0,
                message_id: key.1,
                address: key.2.clone(),
                sent_us: *sent_us,
                in_stream: stored_at.contains_key(key),
            })
            .collect();
        missing.sort_by_key(|one| one.sent_us);
        missing.truncate(MAX_MISSING);
        missing
    }

    fn compare_clients(&self, expected: &HashMap<Key, i64>, hops: &mut Hops) -> (Difference, u64) {
        let by_seq: BTreeMap<u64, &Stored> = self.stored.iter().map(|event| (event.seq, event)).collect();
        let mut all = Difference::default();
        let mut out_of_order = 0;
        for arrivals in &self.arrivals {
            let mut highest = 0;
            for (seq, at_us) in arrivals {
                if *seq < highest {
                    out_of_order += 1;
                }
                highest = highest.max(*seq);
                let Some(event) = by_seq.get(seq) else { continue };
                hops.record(Hop::StoreToClient, event.at_us, *at_us);
                if let Some(sent_us) = expected.get(&event.key) {
                    hops.record(Hop::SendToClient, *sent_us, *at_us);
                }
            }
            let keys = arrivals
                .iter()
                .filter_map(|(seq, _)| by_seq.get(seq))
                .map(|event| &event.key);
            let one = difference(expected, keys);
            let unheard_of = arrivals.iter().filter(|(seq, _)| !by_seq.contains_key(seq)).count() as u64;
            all.lost += one.lost;
            all.duplicated += one.duplicated;
            all.unknown += one.unknown + unheard_of;
        }
        (all, out_of_order)
    }
}

fn difference<'a>(expected: &HashMap<Key, i64>, there: impl Iterator<Item = &'a Key>) -> Difference {
    let mut counts: HashMap<&Key, u64> = HashMap::new();
    let mut unknown = 0;
    for key in there {
        if expected.contains_key(key) {
            *counts.entry(key).or_default() += 1;
        } else {
            unknown += 1;
        }
    }
    Difference {
        lost: expected.len() as u64 - counts.len() as u64,
        duplicated: counts.values().map(|count| count - 1).sum(),
        unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posted(message_id: i64, address: &str) -> Posted {
        Posted {
            chat_id: -1,
            message_id,
            kind: "new".into(),
            sent_us: message_id * 1000,
            addresses: vec![address.into()],
        }
    }

    fn stored(seq: u64, message_id: i64, address: &str) -> Stored {
        let at = message_id * 1000;
        let times = Times {
            received_us: at + 1,
            detected_us: at + 2,
            published_us: at + 3,
        };
        Stored {
            seq,
            key: (-1, message_id, address.into()),
            times,
            at_us: at + 4,
        }
    }

    fn row(message_id: i64, address: &str) -> Row {
        Row {
            key: (-1, message_id, address.into()),
            committed_us: message_id * 1000 + 10,
        }
    }

    #[test]
    fn a_clean_run_has_no_differences() {
        let ledger = Ledger {
            posted: vec![posted(1, "a"), posted(2, "b")],
            stored: vec![stored(1, 1, "a"), stored(2, 2, "b")],
            rows: vec![row(2, "b"), row(1, "a")],
            arrivals: vec![vec![(1, 1020), (2, 2020)], vec![(1, 1030), (2, 2030)]],
        };
        let findings = ledger.compare();
        assert_eq!((findings.messages, findings.expected, findings.frames), (2, 2, 4));
        assert_eq!(findings.stream, Difference::default());
        assert_eq!(findings.rows, Difference::default());
        assert_eq!(findings.clients, Difference::default());
        assert_eq!(findings.out_of_order, 0);
        assert_eq!(findings.received.last_us, 2030);
        assert!((findings.sent.rate() - 1000.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_lost_twice_or_strange_is_counted_where_it_is() {
        let ledger = Ledger {
            posted: vec![posted(1, "a"), posted(2, "b"), posted(3, "c")],
            // 1 twice, 3 never, and one that nobody sent.
            stored: vec![
                stored(1, 1, "a"),
                stored(2, 1, "a"),
                stored(3, 2, "b"),
                stored(4, 9, "x"),
            ],
            rows: vec![row(1, "a")],
            // The first client misses 2 and gets 1 again, late; the second gets what is in no stream.
            arrivals: vec![vec![(3, 0), (1, 0), (1, 0)], vec![(1, 0), (3, 0), (77, 0)]],
        };
        let findings = ledger.compare();
        assert_eq!(
            findings.stream,
            Difference {
                lost: 1,
                duplicated: 1,
                unknown: 1
            }
        );
        assert_eq!(
            findings.rows,
            Difference {
                lost: 2,
                duplicated: 0,
                unknown: 0
            }
        );
        assert_eq!(
            findings.clients,
            Difference {
                lost: 2,
                duplicated: 1,
                unknown: 1
            }
        );
        let missing: Vec<_> = findings
            .missing
            .iter()
            .map(|one| (one.message_id, one.in_stream))
            .collect();
        assert_eq!(missing, [(2, true), (3, false)]);
        assert_eq!(findings.out_of_order, 2);
    }
}
