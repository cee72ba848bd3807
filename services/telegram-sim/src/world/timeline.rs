//! A row of numbered messages with its pts log.
//!
//! `pts` counts events; the log keeps the last ones, so that a client which was away gets
//! exactly what it missed, or learns that it was away too long.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::message::Content;
use crate::ranges::Ranges;

/// A message in a timeline.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Bot-API id of the chat.
    pub(crate) chat: i64,
    /// Number in the chat's own list: what the control port names it by.
    pub(crate) own_number: i32,
    pub(crate) content: Arc<Content>,
}

/// An event of the log.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    New(i32),
    Edited(i32),
    Deleted(Vec<i32>),
}

/// An event and the pts reached with it.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) pts: i32,
    pub(crate) pts_count: i32,
    pub(crate) event: Event,
}

/// What a client at some pts has missed.
pub(crate) enum Missed<'t> {
    Nothing,
    /// The next events, and whether these are all.
    Events(Vec<&'t Logged>, bool),
    /// The log does not reach back so far.
    TooLong,
    /// The client is ahead of the log.
    Invalid,
}

/// Messages and events of one channel, or of one account's groups and private chats.
#[derive(Debug)]
pub(crate) struct Timeline {
    messages: BTreeMap<i32, Entry>,
    log: VecDeque<Logged>,
    /// The numbers given in each chat, and those of deleted messages.
    numbers: HashMap<i64, (Ranges, Ranges)>,
    next_id: i32,
    pts: i32,
    limit: usize,
    last_date: i32,
    floor: i32,
}

impl Timeline {
    /// An empty timeline that numbers from `first_id`, starts at `pts`, and keeps `limit`
    /// messages and events.
    pub(crate) fn new(first_id: i32, pts: i32, limit: usize) -> Self {
        Self {
            messages: BTreeMap::new(),
            log: VecDeque::new(),
            numbers: HashMap::new(),
            next_id: first_id,
            pts,
            limit: limit.max(1),
            last_date: 0,
            floor: first_id,
        }
    }

    pub(crate) fn pts(&self) -> i32 {
        self.pts
    }

    /// When the last event happened, in seconds since the epoch; 0 when none has.
    pub(crate) fn last_date(&self) -> i32 {
        self.last_date
    }

    pub(crate) fn next_id(&self) -> i32 {
        self.next_id
    }

    /// A message, whether it is shown or not.
    pub(crate) fn get(&self, id: i32) -> Option<&Entry> {
        self.messages.get(&id)
    }

    /// A message as clients may see it.
    pub(crate) fn shown(&self, id: i32) -> Option<&Entry> {
        self.get(id).filter(|entry| entry.content.is_shown())
    }

    /// All messages that are shown, oldest first.
    pub(crate) fn messages(&self) -> impl DoubleEndedIterator<Item = (i32, &Entry)> {
        shown(self.messages.iter())
    }

    /// The numbers given in a chat, and those of the messages that were deleted.
    pub(crate) fn numbers(&self, chat: i64) -> (Ranges, Ranges) {
        self.numbers.get(&chat).cloned().unwrap_or_default()
    }

    /// Older messages had to make room, if they were not deleted.
    pub(crate) fn floor(&self) -> i32 {
        self.floor
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Messages older than `id` that are shown, newest first.
    pub(crate) fn before(&self, id: i32) -> impl Iterator<Item = (i32, &Entry)> {
        shown(self.messages.range(..id)).rev()
    }

    /// Message `id` and newer ones, if they are shown, oldest first.
    pub(crate) fn from(&self, id: i32) -> impl Iterator<Item = (i32, &Entry)> {
        shown(self.messages.range(id..))
    }

    /// Appends a message; gives its number, the pts reached, and the message that had to make
    /// room for it, if any.
    pub(crate) fn push(&mut self, entry: Entry, now: i32) -> (i32, i32, Option<Entry>) {
        let id = self.next_id;
        self.next_id += 1;
        self.numbers.entry(entry.chat).or_default().0.insert(id);
        self.messages.insert(id, entry);
        let dropped = if self.messages.len() > self.limit {
            self.messages.pop_first().map(|(id, entry)| {
                self.floor = id + 1;
                entry
            })
        } else {
            None
        };
        let pts = self.log(Event::New(id), 1, now);
        (id, pts, dropped)
    }

    /// Replaces a message's content; gives the pts reached, or nothing if it is not there.
    pub(crate) fn edit(&mut self, id: i32, content: Arc<Content>, now: i32) -> Option<i32> {
        self.messages.get_mut(&id)?.content = content;
        Some(self.log(Event::Edited(id), 1, now))
    }

    /// Takes messages away; gives those that were there, and the pts reached.
    pub(crate) fn delete(&mut self, ids: &[i32], now: i32) -> Option<(Vec<(i32, Entry)>, i32)> {
        let gone: Vec<_> = ids
            .iter()
            .filter_map(|id| self.messages.remove(id).map(|entry| (*id, entry)))
            .collect();
        if gone.is_empty() {
            return None;
        }
        for (id, entry) in &gone {
            self.numbers.entry(entry.chat).or_default().1.insert(*id);
        }
        let ids: Vec<_> = gone.iter().map(|(id, _)| *id).collect();
        let count = ids.len() as i32;
        let pts = self.log(Event::Deleted(ids), count, now);
        Some((gone, pts))
    }

    fn log(&mut self, event: Event, pts_count: i32, now: i32) -> i32 {
        self.pts += pts_count;
        self.last_date = now;
        self.log.push_back(Logged {
            pts: self.pts,
            pts_count,
            event,
        });
        if self.log.len() > self.limit {
            self.log.pop_front();
        }
        self.pts
    }

    /// What happened after `pts`, at most `limit` events of it.
    pub(crate) fn missed(&self, pts: i32, limit: usize) -> Missed<'_> {
        if pts > self.pts {
            return Missed::Invalid;
        }
        if pts == self.pts {
            return Missed::Nothing;
        }
        let floor = self.log.front().map_or(self.pts, |first| first.pts - first.pts_count);
        if pts < floor {
            return Missed::TooLong;
        }
        let start = self.log.partition_point(|logged| logged.pts <= pts);
        let rest = self.log.len() - start;
        let events = self.log.range(start..).take(limit.max(1)).collect();
        Missed::Events(events, rest <= limit.max(1))
    }
}

fn shown<'t>(
    messages: impl DoubleEndedIterator<Item = (&'t i32, &'t Entry)>,
) -> impl DoubleEndedIterator<Item = (i32, &'t Entry)> {
    messages
        .filter(|(_, entry)| entry.content.is_shown())
        .map(|(id, entry)| (*id, entry))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> Entry {
        Entry {
            chat: 1,
            own_number: 0,
            content: Arc::new(Content {
                date: 0,
                edit_date: None,
                text: "x".into(),
                entities: vec![],
                buttons: vec![],
                from: None,
                reply_to: None,
                forward: None,
                signature: None,
                service: None,
                addresses: vec![],
                mark: None,
            }),
        }
    }

    proptest! {
        /// Whoever follows the slices from any pts the log reaches ends at the last pts and has
        /// met every event once.
        #[test]
        fn slices_join(ops in proptest::collection::vec(0..3_u8, 1..80), from in 0..80_usize, slice in 1..9_usize) {
            let mut timeline = Timeline::new(1, 100, 1_000);
            for op in ops {
                let last = timeline.next_id() - 1;
                match op {
                    1 => { timeline.edit(last, entry().content, 1); }
                    2 => { timeline.delete(&[last, last - 1], 1); }
                    _ => { timeline.push(entry(), 1); }
                }
            }
            let stops: Vec<i32> = std::iter::once(100).chain(timeline.log.iter().map(|l| l.pts)).collect();
            let from = from % stops.len();
            let mut pts = stops[from];
            let mut seen = Vec::new();
            loop {
                match timeline.missed(pts, slice) {
                    Missed::Nothing => break,
                    Missed::Events(events, last) => {
                        for event in &events {
                            prop_assert_eq!(event.pts - event.pts_count, pts);
                            pts = event.pts;
                            seen.push(pts);
                        }
                        prop_assert_eq!(last, pts == timeline.pts());
                    }
                    Missed::TooLong | Missed::Invalid => prop_assert!(false),
                }
            }
            prop_assert_eq!(&seen[..], &stops[from + 1..]);
        }
    }

    #[test]
    fn a_log_that_forgot_says_so() {
        let mut timeline = Timeline::new(1, 1, 3);
        for _ in 0..5 {
            timeline.push(entry(), 1);
        }
        assert!(matches!(timeline.missed(2, 10), Missed::TooLong));
        assert!(matches!(timeline.missed(3, 10), Missed::Events(events, true) if events.len() == 3));
        assert!(matches!(timeline.missed(7, 10), Missed::Invalid));
        assert_eq!(timeline.len(), 3);
    }
}
