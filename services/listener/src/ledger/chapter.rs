//! What is known of the messages of one chat.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::marks::{Look, Mark, Marks};
use super::ranges::Ranges;
use crate::session::ChannelPosition;

/// How long an id may be missing before it is asked for: what is only late comes by itself.
const GRACE: Duration = Duration::from_secs(1);
/// Rounds in which the server has to say that an id is empty before it is believed, and the wait
/// after each: a history can be late as well.
const DOUBT: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(10)];
/// Tries after which an id that the server does not give is unreachable, and the first wait.
const MAX_REFUSALS: u32 = 8;
const REFUSED: Duration = Duration::from_secs(2);
/// An answer with this id in it cannot be read: a newer client may read it.
const UNREADABLE: Duration = Duration::from_hours(1);
/// Ranges of one chat that are kept: more than a value of the bucket can hold would never be
/// stored. Reached only when tens of thousands of single messages are missing.
const MAX_RANGES: usize = 16_384;

/// A row of missing ids as long is read from history, page by page, instead of id by id.
const LONG: i64 = 300;

/// What is to be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// These messages.
    Ids(Vec<i32>),
    /// History from one id to another.
    Sweep {
        /// First id that is missing.
        from: i32,
        /// Last id that is missing.
        to: i32,
    },
}

/// How a message id was accounted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It came by the socket.
    Received,
    /// It was missed, and fetched.
    Recovered,
    /// It was deleted, or no message ever had it.
    Deleted,
    /// The account cannot get it.
    Unreachable,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Received, Self::Recovered, Self::Deleted, Self::Unreachable];

    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Recovered => "recovered",
            Self::Deleted => "deleted",
            Self::Unreachable => "unreachable",
        }
    }
}

/// The messages of one chat, from the first that is ours.
#[derive(Debug, Clone)]
pub struct Chapter {
    /// Ids below it were there before the chat was followed.
    pub(super) first: i32,
    /// The highest id that is known to exist.
    pub(super) top: i32,
    /// Accounted for, and what they hold is in the stream.
    pub(super) done: Ranges,
    /// Ids by outcome, in the order of [`Outcome::ALL`].
    pub(super) counts: [u64; Outcome::ALL.len()],
    /// Ids that were accounted for and are to be fetched again, as often as that was.
    pub(super) reopened: u64,
    /// Where in the stream its events are.
    pub(super) marks: Marks,
    /// The channel's place up to which everything is in the stream, for whoever watches it next;
    /// all zero where it is not known.
    pub(super) place: ChannelPosition,
    /// Under way to the stream.
    taken: Ranges,
    /// `top` at two moments: what is below the earlier one has had its time to come.
    earlier: (Instant, i32),
    later: (Instant, i32),
    /// History cannot be read, for now.
    no_sweep: bool,
    /// Ids that were asked for in vain.
    doubts: BTreeMap<i32, Doubt>,
}

/// An id that was asked for in vain.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    /// Times that the server said that it is empty.
    empty: u32,
    /// Times that the server refused.
    refused: u32,
    /// The answer cannot be read.
    unreadable: bool,
    not_before: Instant,
}

impl Chapter {
    /// A chat that is followed from this id on.
    #[must_use]
    pub fn begin(first: i32, now: Instant) -> Self {
        Self::resume(
            first,
            first.saturating_sub(1),
            Ranges::default(),
            [0; Outcome::ALL.len()],
            now,
        )
    }

    /// A chat that was followed before.
    #[must_use]
    pub fn resume(first: i32, top: i32, done: Ranges, counts: [u64; Outcome::ALL.len()], now: Instant) -> Self {
        Self {
            first,
            top,
            done,
            counts,
            reopened: 0,
            marks: Marks::default(),
            place: ChannelPosition::default(),
            taken: Ranges::default(),
            earlier: (now, top),
            later: (now, top),
            no_sweep: false,
            doubts: BTreeMap::new(),
        }
    }

    /// Takes over what another account knows of the chat: what either has is done, what neither
    /// has is missing.
    pub fn merge(&mut self, other: Self) {
        for (start, end) in other.done.rows() {
            self.done.insert_range(start, end);
        }
        self.first = self.first.min(other.first);
        self.top = self.top.max(other.top);
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = (*count).max(more);
        }
        self.reopened = self.reopened.max(other.reopened);
        self.marks.merge(other.marks);
        if other.place.pts > self.place.pts {
            self.place = other.place;
        }
    }

    /// Notes that a message exists.
    pub fn raise(&mut self, top: i32) {
        self.top = self.top.max(top);
    }

    /// Notes that a message is under way to the stream.
    pub fn take(&mut self, id: i32) {
        self.raise(id);
        if id >= self.first && !self.done.contains(id) {
            self.taken.insert(id);
        }
    }

    /// Notes that what a message held is in the stream, or that nothing is to come; whether that
    /// was new.
    pub fn account(&mut self, id: i32, outcome: Outcome) -> bool {
        if outcome != Outcome::Deleted {
            self.raise(id);
        }
        self.taken.remove(id);
        self.doubts.remove(&id);
        if id < self.first || !self.done.insert(id) {
            return false;
        }
        self.counts[outcome as usize] += 1;
        if self.done.len() > MAX_RANGES {
            self.close_oldest();
        }
        true
    }

    /// Notes where in the stream an event of a message is.
    pub fn stored(&mut self, id: i32, seq: u64, now_s: i64) {
        if id >= self.first {
            self.marks.note(id, seq, now_s);
        }
    }

    /// Looks at what became of its events in the stream, and opens the messages of a mark that is
    /// to be fetched again. Whether anything changed; the mark, and how many ids were done.
    pub fn review(&mut self, look: &Look) -> (bool, Option<(Mark, u64)>) {
        let (changed, mark) = self.marks.look(look);
        let opened = mark.map(|mark| {
            let before = self.done.count();
            self.done.remove_range(mark.ids.0.max(self.first), mark.ids.1);
            let ids = before - self.done.count();
            self.reopened += ids;
            (mark, ids)
        });
        (changed, opened)
    }

    /// What is to be asked for now, if anything is missing that has had its time to come; oldest
    /// first, at most `limit` ids.
    pub fn order(&mut self, limit: usize, now: Instant) -> Option<Order> {
        self.look(now);
        let mut ids = Vec::new();
        for (start, end) in gaps(&self.done, &self.taken, self.first, self.earlier.1) {
            let is_long = i64::from(end) - i64::from(start) >= LONG;
            if is_long && !self.no_sweep {
                // What came before it goes first.
                if ids.is_empty() {
                    return Some(Order::Sweep { from: start, to: end });
                }
                break;
            }
            for id in start..=end {
                match self.doubts.get(&id) {
                    Some(doubt) if doubt.not_before > now => continue,
                    // An answer that cannot be read hides all that is in it: alone, it hides one.
                    Some(doubt) if doubt.unreadable && ids.is_empty() => return Some(Order::Ids(vec![id])),
                    Some(doubt) if doubt.unreadable => continue,
                    _ => ids.push(id),
                }
                if ids.len() == limit {
                    return Some(Order::Ids(ids));
                }
            }
        }
        (!ids.is_empty()).then_some(Order::Ids(ids))
    }

    /// Notes that history was read from `from` to `to`, and that what it held is under way: what
    /// is still missing there in long rows never was, or was deleted. Returns how many ids that
    /// closes; shorter rows are asked for by their ids, to be sure.
    pub fn swept(&mut self, from: i32, to: i32) -> u64 {
        let rows: Vec<_> = gaps(&self.done, &self.taken, from.max(self.first), to)
            .filter(|&(start, end)| i64::from(end) - i64::from(start) >= LONG / 2)
            .collect();
        let before = self.done.count();
        for (start, end) in rows {
            self.done.insert_range(start, end);
        }
        let closed = self.done.count() - before;
        self.counts[Outcome::Deleted as usize] += closed;
        closed
    }

    /// Notes that history cannot be read: its messages are asked for by their ids.
    pub fn cannot_be_swept(&mut self) {
        self.no_sweep = true;
    }

    /// How many ids are missing, under way ones not counted.
    #[must_use]
    pub fn open(&self) -> u64 {
        let missing = gaps(&self.done, &self.taken, self.first, self.top);
        let size = |(start, end): (i32, i32)| (i64::from(end) - i64::from(start) + 1).unsigned_abs();
        missing.map(size).sum()
    }

    /// Notes that the server says that there is no such message. Believed after some rounds.
    pub fn was_empty(&mut self, id: i32, now: Instant) -> Option<Outcome> {
        let doubt = self.doubt(id, now);
        let wait = DOUBT.get(doubt.empty as usize).copied();
        doubt.empty += 1;
        doubt.unreadable = false;
        match wait {
            Some(wait) => {
                doubt.not_before = now + wait;
                None
            }
            None => self.account(id, Outcome::Deleted).then_some(Outcome::Deleted),
        }
    }

    /// Notes that the server refuses to give a message. Given up after some tries.
    pub fn was_refused(&mut self, id: i32, now: Instant) -> Option<Outcome> {
        let doubt = self.doubt(id, now);
        doubt.refused += 1;
        if doubt.refused < MAX_REFUSALS {
            doubt.not_before = now + REFUSED * 2_u32.pow(doubt.refused - 1);
            return None;
        }
        self.account(id, Outcome::Unreachable).then_some(Outcome::Unreachable)
    }

    /// Notes that an answer with these ids cannot be read. Each is asked for alone then; the one
    /// that was asked for alone stays open, and is asked for again much later.
    pub fn was_unreadable(&mut self, ids: &[i32], now: Instant) {
        let alone = ids.len() == 1;
        for &id in ids {
            let doubt = self.doubt(id, now);
            doubt.unreadable = true;
            doubt.not_before = if alone { now + UNREADABLE } else { now };
        }
    }

    /// Ids that are missing because their answers cannot be read.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.doubts.values().filter(|doubt| doubt.unreadable).count() as u64
    }

    /// Gives up everything that is missing; how many ids that were.
    pub fn give_up(&mut self) -> u64 {
        let missing: Vec<_> = gaps(&self.done, &self.taken, self.first, self.top).collect();
        self.doubts.clear();
        let before = self.done.count();
        for (start, end) in missing {
            self.done.insert_range(start, end);
        }
        let given_up = self.done.count() - before;
        self.counts[Outcome::Unreachable as usize] += given_up;
        given_up
    }

    fn doubt(&mut self, id: i32, now: Instant) -> &mut Doubt {
        self.doubts.entry(id).or_insert(Doubt {
            empty: 0,
            refused: 0,
            unreadable: false,
            not_before: now,
        })
    }

    fn look(&mut self, now: Instant) {
        if now.duration_since(self.later.0) >= GRACE {
            self.earlier = self.later;
            self.later = (now, self.top);
        }
    }

    /// Closes the oldest hole: it was asked for longest.
    fn close_oldest(&mut self) {
        let Some((start, end)) = self.done.gaps(self.first, self.top).next() else {
            return;
        };
        tracing::warn!(start, end, "a chat has too many holes: its oldest is given up");
        let before = self.done.count();
        self.done.insert_range(start, end);
        self.counts[Outcome::Unreachable as usize] += self.done.count() - before;
    }
}

/// The rows of ids from `start` to `end` that neither set holds.
fn gaps<'a>(done: &'a Ranges, taken: &'a Ranges, start: i32, end: i32) -> impl Iterator<Item = (i32, i32)> + 'a {
    done.gaps(start, end).flat_map(|(start, end)| taken.gaps(start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Chapter {
        fn missing(&mut self, limit: usize, now: Instant) -> Vec<i32> {
            match self.order(limit, now) {
                None => Vec::new(),
                Some(Order::Ids(ids)) => ids,
                Some(Order::Sweep { from, to }) => panic!("a sweep from {from} to {to}"),
            }
        }
    }

    #[test]
    fn a_long_row_is_swept() {
        let mut now = Instant::now();
        let mut chapter = Chapter::begin(1, now);
        chapter.take(3);
        chapter.take(1000);
        assert_eq!(chapter.order(10, later(&mut now, 2)), None);
        assert_eq!(chapter.order(10, later(&mut now, 2)), Some(Order::Ids(vec![1, 2])));
        chapter.account(1, Outcome::Recovered);
        chapter.account(2, Outcome::Recovered);
        assert_eq!(chapter.order(10, now), Some(Order::Sweep { from: 4, to: 999 }));
        // History has these.
        chapter.take(400);
        chapter.take(480);
        assert_eq!(chapter.swept(4, 999), 396 + 519);
        assert_eq!(chapter.order(2, now), Some(Order::Ids(vec![401, 402])));
        chapter.take(5000);
        chapter.cannot_be_swept();
        assert_eq!(chapter.order(2, now), Some(Order::Ids(vec![401, 402])));
    }

    #[test]
    fn a_chapter_that_is_handed_over_leaves_no_hole() {
        let now = Instant::now();
        let mut ours = Chapter::begin(50, now);
        ours.account(50, Outcome::Received);
        let mut theirs = Chapter::begin(10, now);
        for id in (10..=30).chain([33]) {
            theirs.account(id, Outcome::Received);
        }
        theirs.stored(12, 100, 5);
        theirs.place = ChannelPosition { pts: 40, last_id: 33 };
        ours.merge(theirs.clone());
        assert_eq!(ours.done.gaps(10, 50).collect::<Vec<_>>(), [(31, 32), (34, 49)]);
        assert_eq!((ours.first, ours.open(), ours.place.pts), (10, 18, 40));
        assert_eq!(ours.marks, theirs.marks);
        let before = ours.done.clone();
        ours.merge(theirs);
        assert_eq!(ours.done, before, "twice is as good as once");
    }

    fn later(now: &mut Instant, seconds: u64) -> Instant {
        *now += Duration::from_secs(seconds);
        *now
    }

    #[test]
    fn what_is_late_comes_by_itself_and_what_is_missing_is_asked_for() {
        let mut now = Instant::now();
        let mut chapter = Chapter::begin(10, now);
        for id in [10, 11, 13, 16] {
            chapter.take(id);
        }
        assert_eq!(chapter.missing(10, now), Vec::<i32>::new());
        assert_eq!(chapter.missing(10, later(&mut now, 2)), Vec::<i32>::new());
        chapter.take(14);
        assert_eq!(chapter.missing(10, later(&mut now, 2)), [12, 15]);
        assert_eq!(chapter.open(), 2);
        assert!(chapter.account(12, Outcome::Recovered));
        assert!(!chapter.account(12, Outcome::Recovered), "once");
        assert!(!chapter.account(9, Outcome::Received), "it is not ours");
        assert_eq!(chapter.missing(10, now), [15]);
        for id in [10, 11, 13, 14, 16] {
            assert!(chapter.account(id, Outcome::Received));
        }
        assert_eq!(chapter.done.gaps(10, 20).collect::<Vec<_>>(), [(15, 15), (17, 20)]);
    }

    #[test]
    fn an_empty_message_is_believed_after_some_rounds() {
        let mut now = Instant::now();
        let mut chapter = Chapter::begin(1, now);
        chapter.raise(1);
        chapter.missing(1, later(&mut now, 2));
        let mut rounds = 0;
        loop {
            assert_eq!(chapter.missing(1, later(&mut now, 20)), [1]);
            rounds += 1;
            if chapter.was_empty(1, now) == Some(Outcome::Deleted) {
                break;
            }
            assert_eq!(chapter.missing(1, now), Vec::<i32>::new());
        }
        assert_eq!(rounds, DOUBT.len() + 1);
        assert_eq!((chapter.open(), chapter.counts[Outcome::Deleted as usize]), (0, 1));
    }

    #[test]
    fn an_unreadable_message_is_found_alone_and_stays_open() {
        let mut now = Instant::now();
        let mut chapter = Chapter::begin(1, now);
        chapter.raise(3);
        chapter.missing(1, later(&mut now, 2));
        let all = chapter.missing(10, later(&mut now, 2));
        assert_eq!(all, [1, 2, 3]);
        chapter.was_unreadable(&all, now);
        assert_eq!(chapter.missing(10, now), [1]);
        chapter.account(1, Outcome::Recovered);
        assert_eq!(chapter.missing(10, now), [2]);
        chapter.was_unreadable(&[2], now);
        assert_eq!(chapter.missing(10, now), [3]);
        chapter.account(3, Outcome::Recovered);
        assert_eq!((chapter.open(), chapter.unreadable()), (1, 1));
        assert_eq!(chapter.missing(10, later(&mut now, 3600)), [2]);
    }

    #[test]
    fn what_is_refused_too_often_is_unreachable() {
        let mut now = Instant::now();
        let mut chapter = Chapter::begin(5, now);
        chapter.raise(5);
        chapter.missing(1, later(&mut now, 2));
        let outcome = (0..MAX_REFUSALS).find_map(|_| {
            assert_eq!(chapter.missing(10, later(&mut now, 3600)), [5]);
            chapter.was_refused(5, now)
        });
        assert_eq!(outcome, Some(Outcome::Unreachable));
        chapter.raise(9);
        assert_eq!((chapter.open(), chapter.give_up(), chapter.open()), (4, 4, 0));
    }
}
