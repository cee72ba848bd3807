//! A set of message ids in ranges: ids come nearly in order, so a chat of years is a few pairs.

use serde::{Deserialize, Serialize};

/// Ids as sorted ranges that neither overlap nor touch; both ends belong to them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ranges(Vec<(i32, i32)>);

impl Ranges {
    /// Whether the ranges are what [`Ranges`] says: what was stored comes from outside.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.0.iter().all(|&(start, end)| start <= end)
            && self
                .0
                .is_sorted_by(|before, after| before.1.checked_add(1).is_some_and(|next| next < after.0))
    }

    /// The ranges, in order; both ends are in them.
    pub fn rows(&self) -> impl Iterator<Item = (i32, i32)> + '_ {
        self.0.iter().copied()
    }

    /// Number of ranges.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it holds an id.
    #[must_use]
    pub fn contains(&self, id: i32) -> bool {
        let at = self.0.partition_point(|&(_, end)| end < id);
        self.0.get(at).is_some_and(|&(start, _)| start <= id)
    }

    /// Adds an id; whether it was not there.
    pub fn insert(&mut self, id: i32) -> bool {
        // Nearly always right behind the last one.
        match self.0.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(id) => *end = id,
            Some((_, end)) if id <= *end => {
                if self.contains(id) {
                    return false;
                }
                self.insert_range(id, id);
            }
            _ => self.0.push((id, id)),
        }
        true
    }

    /// Adds all ids from `start` to `end`; does nothing when `end` is below `start`.
    pub fn insert_range(&mut self, start: i32, end: i32) {
        if end < start {
            return;
        }
        // Every range that overlaps or touches becomes part of the new one.
        let from = self.0.partition_point(|&(_, last)| last.saturating_add(1) < start);
        let to = self.0.partition_point(|&(first, _)| first <= end.saturating_add(1));
        let (mut low, mut high) = (start, end);
        if from < to {
            low = low.min(self.0[from].0);
            high = high.max(self.0[to - 1].1);
        }
        self.0.splice(from..to, [(low, high)]);
    }

    /// Takes an id out; whether it was there.
    pub fn remove(&mut self, id: i32) -> bool {
        if !self.contains(id) {
            return false;
        }
        self.remove_range(id, id);
        true
    }

    /// Takes all ids from `start` to `end` out.
    pub fn remove_range(&mut self, start: i32, end: i32) {
        if end < start {
            return;
        }
        let from = self.0.partition_point(|&(_, last)| last < start);
        let to = self.0.partition_point(|&(first, _)| first <= end);
        if from >= to {
            return;
        }
        let (low, high) = (self.0[from].0, self.0[to - 1].1);
        let left = (low < start).then(|| (low, start - 1));
        let right = (high > end).then(|| (end + 1, high));
        self.0.splice(from..to, left.into_iter().chain(right));
    }

    /// The ranges between `start` and `end` (inclusive) whose ids are missing, in order.
    pub fn gaps(&self, start: i32, end: i32) -> impl Iterator<Item = (i32, i32)> + '_ {
        let from = self.0.partition_point(|&(_, last)| last < start);
        // One more than there are ranges: the gap behind the last one.
        let mut next = Some(start).filter(|_| start <= end);
        let mut rest = self.0[from..].iter();
        std::iter::from_fn(move || {
            loop {
                let begin = next?;
                let Some(&(first, last)) = rest.next() else {
                    next = None;
                    return Some((begin, end));
                };
                if first > end {
                    next = None;
                    return Some((begin, end));
                }
                next = last.checked_add(1).filter(|&after| after <= end);
                if begin < first {
                    return Some((begin, first - 1));
                }
            }
        })
    }

    /// The highest id.
    #[must_use]
    pub fn last(&self) -> Option<i32> {
        self.0.last().map(|&(_, end)| end)
    }

    /// How many ids it holds.
    #[must_use]
    pub fn count(&self) -> u64 {
        let size = |&(start, end): &(i32, i32)| i64::from(end) - i64::from(start) + 1;
        self.0.iter().map(size).sum::<i64>().unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn ids(ranges: &Ranges) -> BTreeSet<i32> {
        ranges.0.iter().flat_map(|&(start, end)| start..=end).collect()
    }

    proptest! {
        #[test]
        fn it_is_a_set(steps in prop::collection::vec((0..5_u8, 1..60_i32, 0..12_i32), 0..80)) {
            let mut ranges = Ranges::default();
            let mut model = BTreeSet::new();
            for (step, id, length) in steps {
                match step {
                    0 => prop_assert_eq!(ranges.insert(id), model.insert(id)),
                    1 => prop_assert_eq!(ranges.remove(id), model.remove(&id)),
                    2 => {
                        ranges.insert_range(id, id + length);
                        model.extend(id..=id + length);
                    }
                    3 => {
                        ranges.remove_range(id, id + length);
                        model.retain(|known| !(id..=id + length).contains(known));
                    }
                    _ => {
                        let gaps: BTreeSet<_> = ranges.gaps(id, id + length).flat_map(|(start, end)| start..=end).collect();
                        let missing: BTreeSet<_> = (id..=id + length).filter(|id| !model.contains(id)).collect();
                        prop_assert_eq!(gaps, missing);
                    }
                }
                prop_assert!(ranges.is_sound());
                prop_assert_eq!(&ids(&ranges), &model);
                prop_assert_eq!(ranges.count(), model.len() as u64);
                prop_assert_eq!(ranges.contains(id), model.contains(&id));
            }
        }
    }

    #[test]
    fn the_ends_of_the_numbers_are_no_trouble() {
        let mut ranges = Ranges::default();
        ranges.insert(i32::MAX);
        ranges.insert(i32::MIN);
        ranges.insert_range(i32::MAX - 3, i32::MAX);
        assert!(ranges.is_sound() && ranges.contains(i32::MAX - 2));
        assert_eq!(
            ranges.gaps(i32::MAX - 9, i32::MAX).collect::<Vec<_>>(),
            [(i32::MAX - 9, i32::MAX - 4)]
        );
        ranges.remove_range(i32::MIN, i32::MAX);
        assert_eq!(ranges.len(), 0);
        assert!(!serde_json::from_str::<Ranges>("[[5,4]]").unwrap().is_sound());
        assert!(!serde_json::from_str::<Ranges>("[[1,4],[5,6]]").unwrap().is_sound());
    }
}
