//! Messages that came and are not handled yet.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::{ALONE_FROM, BatchLimits};
use crate::delivery::Delivery;

pub(super) struct Buffer {
    limits: BatchLimits,
    waiting: VecDeque<(Delivery, Instant)>,
    bytes: usize,
    /// Messages that must be handled alone.
    suspects: VecDeque<Delivery>,
}

impl Buffer {
    pub(super) fn new(limits: BatchLimits) -> Self {
        let limits = BatchLimits {
            rows: limits.rows.max(1),
            ..limits
        };
        Self {
            limits,
            waiting: VecDeque::new(),
            bytes: 0,
            suspects: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, delivery: Delivery, now: Instant) {
        if delivery.delivered >= ALONE_FROM {
            self.suspects.push_back(delivery);
        } else {
            self.bytes += delivery.size();
            self.waiting.push_back((delivery, now));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.suspects.len()
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.suspects.is_empty()
    }

    /// When the batch that is filling is complete by age.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.front().map(|(_, came)| *came + self.limits.age)
    }

    pub(super) fn held(&self) -> impl Iterator<Item = &Delivery> {
        self.waiting.iter().map(|(delivery, _)| delivery).chain(&self.suspects)
    }

    /// The next batch, if one is complete; with `all`, whatever is there.
    pub(super) fn take(&mut self, now: Instant, all: bool) -> Option<Vec<Delivery>> {
        if let Some(suspect) = self.suspects.pop_front() {
            return Some(vec![suspect]);
        }
        let complete = self.waiting.len() >= self.limits.rows
            || self.bytes >= self.limits.bytes
            || self.deadline().is_some_and(|deadline| deadline <= now);
        if self.waiting.is_empty() || !(complete || all) {
            return None;
        }
        let mut batch = Vec::with_capacity(self.waiting.len().min(self.limits.rows));
        let mut bytes = 0;
        while batch.len() < self.limits.rows
            && let Some((delivery, _)) = self.waiting.front()
        {
            let size = delivery.size();
            if !batch.is_empty() && bytes + size > self.limits.bytes {
                break;
            }
            bytes += size;
            batch.extend(self.waiting.pop_front().map(|(delivery, _)| delivery));
        }
        self.bytes -= bytes;
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;

    fn delivery(seq: u64, delivered: u64, len: usize) -> Delivery {
        Delivery {
            subject: String::new(),
            payload: Bytes::from(vec![0; len]),
            epoch: "e".into(),
            seq,
            delivered,
            pending: 0,
            published_us: 0,
            arrived_us: 0,
            headers: None,
            reply: "r".into(),
            consumer_seq: seq,
        }
    }

    fn buffer(rows: usize, bytes: usize) -> Buffer {
        Buffer::new(BatchLimits {
            rows,
            bytes,
            age: Duration::from_millis(10),
        })
    }

    fn seqs(batch: Option<Vec<Delivery>>) -> Option<Vec<u64>> {
        batch.map(|batch| batch.iter().map(|delivery| delivery.seq).collect())
    }

    #[test]
    fn complete_by_rows_bytes_or_age() {
        let now = Instant::now();
        let mut by_rows = buffer(2, 1 << 20);
        by_rows.push(delivery(1, 1, 10), now);
        assert_eq!(seqs(by_rows.take(now, false)), None);
        by_rows.push(delivery(2, 1, 10), now);
        by_rows.push(delivery(3, 1, 10), now);
        assert_eq!(seqs(by_rows.take(now, false)), Some(vec![1, 2]));
        assert_eq!(seqs(by_rows.take(now, false)), None);
        assert_eq!(
            seqs(by_rows.take(now + Duration::from_millis(10), false)),
            Some(vec![3])
        );
        let mut by_bytes = buffer(100, 2000);
        for seq in 1..=3 {
            by_bytes.push(delivery(seq, 1, 800), now);
        }
        assert_eq!(seqs(by_bytes.take(now, false)), Some(vec![1, 2]));
        assert_eq!(seqs(by_bytes.take(now, false)), None);
        assert_eq!(seqs(by_bytes.take(now, true)), Some(vec![3]));
        assert!(by_bytes.is_empty());
    }

    #[test]
    fn a_message_larger_than_a_batch_goes_by_itself() {
        let now = Instant::now();
        let mut buffer = buffer(10, 100);
        buffer.push(delivery(1, 1, 500), now);
        buffer.push(delivery(2, 1, 500), now);
        assert_eq!(seqs(buffer.take(now, false)), Some(vec![1]));
        assert_eq!(seqs(buffer.take(now, false)), Some(vec![2]));
        assert_eq!(seqs(buffer.take(now, true)), None);
    }

    #[test]
    fn suspects_are_handled_alone() {
        let now = Instant::now();
        let mut buffer = buffer(10, 1 << 20);
        buffer.push(delivery(1, 1, 5), now);
        buffer.push(delivery(2, 10, 5), now);
        buffer.push(delivery(3, 9, 5), now);
        assert_eq!(buffer.len(), 3);
        assert_eq!(buffer.held().count(), 3);
        assert_eq!(seqs(buffer.take(now, false)), Some(vec![2]));
        assert_eq!(seqs(buffer.take(now, false)), None);
        assert_eq!(seqs(buffer.take(now, true)), Some(vec![1, 3]));
    }
}
