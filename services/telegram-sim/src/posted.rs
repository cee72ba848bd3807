//! The posted log: what happened in the world, in order, with the time each push reached a
//! socket. Tests and load runs compare it with what came out at the other end.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// What a line tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A new message.
    New,
    /// A changed one.
    Edit,
    /// One taken away.
    Delete,
}

/// A compact line.
pub(crate) struct Record {
    chat_id: i64,
    /// Microseconds since the epoch: of posting, and once a push took it, of the first socket.
    sent_us: u64,
    /// Joined by a space; most messages have none or one.
    addresses: Box<str>,
    message_id: i32,
    kind: Kind,
    handed: bool,
    load: bool,
}

impl Record {
    pub(crate) fn new(
        chat_id: i64,
        message_id: i32,
        kind: Kind,
        now_us: u64,
        addresses: &[String],
        load: bool,
    ) -> Self {
        Self {
            chat_id,
            sent_us: now_us,
            addresses: match addresses {
                [one] => one.as_str().into(),
                many => many.join(" ").into(),
            },
            message_id,
            kind,
            handed: false,
            load,
        }
    }
}

/// A line as the control port shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Its number, from 1.
    pub n: u64,
    /// Bot-API id.
    pub chat_id: i64,
    /// Number of the message in the chat.
    pub message_id: i32,
    /// What happened.
    pub kind: Kind,
    /// Microseconds since the epoch: when the update was handed to the first socket; when it was
    /// posted, if no connection took it.
    pub sent_us: u64,
    /// The addresses now in the message; of a deletion, those that went with it.
    pub addresses: Vec<String>,
}

/// A part of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Page {
    /// In order, without holes.
    pub items: Vec<Item>,
    /// What to ask for next: the last number of this page, or the `after` that was asked for.
    pub next: u64,
    /// The smallest number still kept: if it is above `after + 1`, lines were dropped.
    pub oldest: u64,
}

/// How far the load run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) posted: u64,
    pub(crate) first_us: u64,
    pub(crate) last_us: u64,
}

struct Inner {
    records: VecDeque<Record>,
    /// Number of the first record.
    first: u64,
    progress: Progress,
}

/// The log, bounded: the oldest lines make room.
pub(crate) struct PostedLog {
    inner: Mutex<Inner>,
    limit: usize,
}

impl PostedLog {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            inner: Mutex::new(Inner {
                records: VecDeque::new(),
                first: 1,
                progress: Progress::default(),
            }),
            limit: limit.max(1),
        }
    }

    /// A panic elsewhere leaves the log whole: every change is a single push or store.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn append(&self, record: Record) -> u64 {
        let mut inner = self.lock();
        if record.load {
            let progress = &mut inner.progress;
            progress.posted += 1;
            if progress.first_us == 0 {
                progress.first_us = record.sent_us;
            }
            progress.last_us = progress.last_us.max(record.sent_us);
        }
        inner.records.push_back(record);
        if inner.records.len() > self.limit {
            inner.records.pop_front();
            inner.first += 1;
        }
        inner.first + inner.records.len() as u64 - 1
    }

    /// Notes that these lines' updates are being handed to a socket; the first time counts.
    pub(crate) fn stamp(&self, numbers: &[u64], now_us: u64) {
        let mut inner = self.lock();
        for n in numbers {
            let Some(at) = n.checked_sub(inner.first) else {
                continue;
            };
            let Some(record) = inner.records.get_mut(at as usize) else {
                continue;
            };
            if !record.handed {
                record.handed = true;
                record.sent_us = now_us;
                if record.load {
                    inner.progress.last_us = inner.progress.last_us.max(now_us);
                }
            }
        }
    }

    pub(crate) fn reset_progress(&self) {
        self.lock().progress = Progress::default();
    }

    pub(crate) fn progress(&self) -> Progress {
        self.lock().progress
    }

    /// Lines after number `after`, at most `limit`.
    pub(crate) fn read(&self, after: u64, limit: usize) -> Page {
        let inner = self.lock();
        let start = (after + 1).saturating_sub(inner.first) as usize;
        let items: Vec<_> = inner
            .records
            .iter()
            .enumerate()
            .skip(start)
            .take(limit)
            .map(|(at, record)| Item {
                n: inner.first + at as u64,
                chat_id: record.chat_id,
                message_id: record.message_id,
                kind: record.kind,
                sent_us: record.sent_us,
                addresses: record.addresses.split_ascii_whitespace().map(str::to_owned).collect(),
            })
            .collect();
        Page {
            next: items.last().map_or(after, |item| item.n),
            oldest: inner.first,
            items,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(address: &str) -> Record {
        Record::new(-1, 5, Kind::New, 10, &[address.to_owned()], true)
    }

    #[test]
    fn pages_join_and_tell_what_was_dropped() {
        let log = PostedLog::new(4);
        for i in 0..6 {
            assert_eq!(log.append(record(&i.to_string())), i + 1);
        }
        let page = log.read(0, 3);
        assert_eq!(page.oldest, 3);
        let numbers: Vec<_> = page.items.iter().map(|item| item.n).collect();
        assert_eq!(numbers, [3, 4, 5]);
        let rest = log.read(page.next, 10);
        assert_eq!((rest.items.len(), rest.next), (1, 6));
        assert_eq!(rest.items[0].addresses, ["5"]);
        assert_eq!(log.read(6, 10).next, 6);
    }

    #[test]
    fn the_first_socket_counts() {
        let log = PostedLog::new(4);
        log.append(record("a"));
        log.stamp(&[1, 99, 0], 20);
        log.stamp(&[1], 30);
        assert_eq!(log.read(0, 1).items[0].sent_us, 20);
        assert_eq!(log.progress().last_us, 20);
    }
}
