//! Where in the stream a chat's events lie, roughly: which messages to fetch again when the
//! stream's limits threw some of them out before they were archived.
//!
//! A mark is a row of events: from which to which sequence, of messages from which to which id. It
//! goes when all of it is archived, so a chat has one or two as long as the archiver keeps up.

use serde::{Deserialize, Serialize};

/// Events that share a mark.
const EVENTS: u32 = 256;
/// How far a message may lie from the others of its mark: what is fetched again is all between.
const NEAR: i32 = 512;
/// Most marks of a chat; beyond that neighbours share one.
const MOST: usize = 64;

/// A stream and its archiver at one moment.
#[derive(Debug, Clone)]
pub struct Look {
    /// The stream's epoch.
    pub epoch: String,
    /// The oldest sequence that it holds.
    pub first_seq: u64,
    /// Everything up to here is archived; nothing where nobody archives.
    pub archived: Option<u64>,
    /// Up to where all that was thrown out had been archived: the archiver may have skipped what
    /// was not.
    pub archived_before: u64,
    /// How long the stream takes an event that it knew for a repeat, though it is gone, s.
    pub repeats_s: i64,
    /// Whether there is room to store events again.
    pub has_room: bool,
    /// Seconds since the epoch.
    pub now_s: i64,
}

/// Some events of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub struct Mark {
    /// First and last sequence in the stream.
    pub seqs: (u64, u64),
    /// Lowest and highest message id.
    pub ids: (i32, i32),
    /// When the last one was stored, seconds since the epoch.
    at_s: i64,
    events: u32,
    /// Some of them were thrown out before they were archived.
    is_lost: bool,
}

/// A mark as it is stored.
type Row = (u64, u64, i32, i32, i64, u32, bool);

impl From<Row> for Mark {
    fn from((first_seq, last_seq, low, high, at_s, events, is_lost): Row) -> Self {
        Self {
            seqs: (first_seq, last_seq),
            ids: (low, high),
            at_s,
            events,
            is_lost,
        }
    }
}

impl From<Mark> for Row {
    fn from(mark: Mark) -> Self {
        let Mark {
            seqs,
            ids,
            at_s,
            events,
            is_lost,
        } = mark;
        (seqs.0, seqs.1, ids.0, ids.1, at_s, events, is_lost)
    }
}

/// The marks of a chat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// Epoch of the stream that the sequences are of; empty before the first look.
    epoch: String,
    rows: Vec<Mark>,
}

impl Marks {
    /// Whether they are what [`Marks`] says: what was stored comes from outside.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let is_sound = |mark: &Mark| mark.seqs.0 <= mark.seqs.1 && mark.ids.0 <= mark.ids.1;
        self.rows.len() <= MOST && self.rows.iter().all(is_sound)
    }

    /// Notes an event of a message.
    pub fn note(&mut self, id: i32, seq: u64, now_s: i64) {
        let takes = |mark: &&mut Mark| {
            let (low, high) = (mark.ids.0.saturating_sub(NEAR), mark.ids.1.saturating_add(NEAR));
            !mark.is_lost && mark.events < EVENTS && (low..=high).contains(&id)
        };
        if let Some(mark) = self.rows.iter_mut().rev().find(takes) {
            mark.seqs = (mark.seqs.0.min(seq), mark.seqs.1.max(seq));
            mark.ids = (mark.ids.0.min(id), mark.ids.1.max(id));
            mark.at_s = mark.at_s.max(now_s);
            mark.events += 1;
            return;
        }
        if self.rows.len() == MOST {
            self.join_nearest();
        }
        self.rows.push(Mark {
            seqs: (seq, seq),
            ids: (id, id),
            at_s: now_s,
            events: 1,
            is_lost: false,
        });
    }

    /// Takes over those of another account that watched the chat before.
    pub fn merge(&mut self, other: Self) {
        if self.rows.is_empty() {
            *self = other;
            return;
        }
        let same_stream = self.epoch == other.epoch || self.epoch.is_empty() || other.epoch.is_empty();
        for mut mark in other.rows {
            mark.is_lost |= !same_stream;
            if self.rows.len() == MOST {
                self.join_nearest();
            }
            self.rows.push(mark);
        }
    }

    /// Drops what is archived, and takes out what is to be fetched again: at most one mark at a
    /// time. Whether anything changed, and that mark.
    pub fn look(&mut self, look: &Look) -> (bool, Option<Mark>) {
        let before = self.clone();
        if self.epoch != look.epoch {
            // Made anew: what was not archived by then is in no stream. Sequences that were noted
            // before the first look are of this one.
            let is_first = self.epoch.is_empty();
            self.rows.iter_mut().for_each(|mark| mark.is_lost |= !is_first);
            self.epoch.clone_from(&look.epoch);
        }
        let Some(archived) = look.archived else {
            self.rows.retain(|mark| mark.seqs.1 >= look.first_seq);
            return (*self != before, None);
        };
        for mark in &mut self.rows {
            mark.is_lost |= mark.seqs.0 < look.first_seq
                && mark.seqs.1 > look.archived_before
                && look.archived_before.saturating_add(1) < look.first_seq;
        }
        self.rows.retain(|mark| mark.is_lost || mark.seqs.1 > archived);
        let is_over = |mark: &Mark| {
            // Not while a part of it is in the stream and not archived: that part may yet be.
            let is_past = mark.seqs.1 < look.first_seq || mark.seqs.1 <= archived;
            mark.is_lost && is_past && look.now_s.saturating_sub(mark.at_s) > look.repeats_s
        };
        let at = self.rows.iter().position(is_over).filter(|_| look.has_room);
        let mark = at.map(|at| self.rows.remove(at));
        (*self != before, mark)
    }

    /// Makes room: the two neighbours with the fewest messages between them become one.
    fn join_nearest(&mut self) {
        let span = |at: usize| {
            let (one, other) = (self.rows[at], self.rows[at + 1]);
            let span = i64::from(one.ids.1.max(other.ids.1)) - i64::from(one.ids.0.min(other.ids.0));
            (one.is_lost != other.is_lost, span)
        };
        let Some(at) = (0..self.rows.len().saturating_sub(1)).min_by_key(|&at| span(at)) else {
            return;
        };
        let other = self.rows.remove(at + 1);
        let mark = &mut self.rows[at];
        mark.seqs = (mark.seqs.0.min(other.seqs.0), mark.seqs.1.max(other.seqs.1));
        mark.ids = (mark.ids.0.min(other.ids.0), mark.ids.1.max(other.ids.1));
        mark.at_s = mark.at_s.max(other.at_s);
        mark.events = mark.events.saturating_add(other.events);
        mark.is_lost |= other.is_lost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000;

    fn marks() -> Marks {
        let mut marks = Marks::default();
        for id in 1..=600 {
            // Every tenth message has an event; other chats' events lie between.
            marks.note(id * 10, id as u64 * 7, NOW);
        }
        marks
    }

    fn look(first_seq: u64, archived: u64) -> Look {
        Look {
            epoch: "a".to_owned(),
            first_seq,
            archived: Some(archived),
            archived_before: archived,
            repeats_s: 60,
            has_room: true,
            now_s: NOW + 100,
        }
    }

    #[test]
    fn what_is_archived_is_forgotten() {
        let mut marks = marks();
        assert_eq!(marks.rows.len(), 3);
        assert_eq!(marks.look(&look(1, 256 * 7)), (true, None));
        assert_eq!(marks.rows.len(), 2);
        // Thrown out after it was archived.
        assert_eq!(marks.look(&look(4_000, 4_200)), (true, None));
        assert_eq!(marks.rows.len(), 0);
        assert_eq!(marks.look(&look(4_000, 4_200)), (false, None));
    }

    #[test]
    fn what_was_thrown_out_before_it_was_archived_is_fetched_again_once() {
        let mut marks = marks();
        let behind = Look {
            has_room: false,
            ..look(1_000, 500)
        };
        assert_eq!(marks.look(&behind), (true, None));
        // The archiver went past the hole.
        let early = Look {
            now_s: NOW + 60,
            ..look(1_000, 4_200)
        };
        assert_eq!(
            marks.look(&early),
            (true, None),
            "the stream would take it for a repeat"
        );
        let (_, mark) = marks.look(&look(1_000, 4_200));
        assert_eq!(mark.unwrap().ids, (10, 2_560));
        assert_eq!(marks.look(&look(1_000, 4_200)), (false, None));
    }

    #[test]
    fn a_hole_that_the_archiver_jumped_over_between_two_looks_is_seen() {
        let mut marks = marks();
        let jumped = Look {
            archived_before: 500,
            ..look(1_000, 4_200)
        };
        assert_eq!(marks.look(&jumped).1.unwrap().ids, (10, 2_560));
        assert_eq!(marks.rows, []);
    }

    #[test]
    fn what_may_still_be_archived_waits() {
        let mut marks = marks();
        // The first mark ends at 1,792: its second half is in the stream.
        assert_eq!(marks.look(&look(1_000, 500)).1, None);
        assert_eq!(marks.look(&look(1_793, 1_792)).1.unwrap().ids, (10, 2_560));
    }

    #[test]
    fn of_another_stream_all_is_lost_and_without_an_archiver_nothing() {
        let mut marks = marks();
        let mut nobody = look(2_000, 0);
        nobody.archived = None;
        assert_eq!(marks.look(&nobody), (true, None));
        assert_eq!(marks.rows.len(), 2);
        let mut other = look(1, 0);
        other.epoch = "b".to_owned();
        assert!(marks.rows.iter().all(|mark| !mark.is_lost));
        marks.look(&other);
        assert!(marks.rows.iter().all(|mark| mark.is_lost));
    }

    #[test]
    fn there_are_never_too_many_and_none_is_forgotten() {
        let mut marks = Marks::default();
        for id in 0..5_000 {
            marks.note(id * 1_000, id as u64, NOW);
        }
        assert!(marks.is_sound());
        let covered = |id: i32| marks.rows.iter().any(|mark| (mark.ids.0..=mark.ids.1).contains(&id));
        assert!((0..5_000).all(|id| covered(id * 1_000)));
    }
}
