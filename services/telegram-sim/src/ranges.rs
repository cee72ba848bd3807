//! Sets of message numbers, as ranges: numbers rise by one, so a chat's whole life is a few pairs.

/// A set of numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    /// First and last, in order, with a hole between one and the next.
    pairs: Vec<(i32, i32)>,
}

impl Ranges {
    pub(crate) fn insert(&mut self, number: i32) {
        match self.pairs.last_mut() {
            // The usual case: the next number.
            Some((_, last)) if number.checked_sub(1) == Some(*last) => *last = number,
            Some((_, last)) if number <= *last => self.insert_before_the_end(number),
            _ => self.pairs.push((number, number)),
        }
    }

    fn insert_before_the_end(&mut self, number: i32) {
        let at = self.pairs.partition_point(|(_, last)| *last < number);
        let (first, last) = self.pairs[at];
        if (first..=last).contains(&number) {
            return;
        }
        let joins_previous = at > 0 && self.pairs[at - 1].1 + 1 == number;
        let joins_next = number + 1 == first;
        match (joins_previous, joins_next) {
            (true, true) => {
                self.pairs[at - 1].1 = last;
                self.pairs.remove(at);
            }
            (true, false) => self.pairs[at - 1].1 = number,
            (false, true) => self.pairs[at].0 = number,
            (false, false) => self.pairs.insert(at, (number, number)),
        }
    }

    pub(crate) fn pairs(&self) -> &[(i32, i32)] {
        &self.pairs
    }

    /// The numbers that are not in `other`.
    pub(crate) fn without(&self, other: &Self) -> Self {
        let mut pairs = Vec::new();
        let mut holes = other.pairs.iter().peekable();
        for (first, last) in &self.pairs {
            let mut from = *first;
            while let Some((start, end)) = holes.peek().copied() {
                if *end < from {
                    holes.next();
                    continue;
                }
                if *start > *last {
                    break;
                }
                if *start > from {
                    pairs.push((from, start - 1));
                }
                from = end.saturating_add(1);
                if from > *last {
                    break;
                }
                holes.next();
            }
            if from <= *last {
                pairs.push((from, *last));
            }
        }
        Self { pairs }
    }

    /// The numbers below `number`, and the others.
    pub(crate) fn split(&self, number: i32) -> (Self, Self) {
        let (mut below, mut above) = (Self::default(), Self::default());
        for (first, last) in &self.pairs {
            if *first < number {
                below.pairs.push((*first, (*last).min(number - 1)));
            }
            if *last >= number {
                above.pairs.push(((*first).max(number), *last));
            }
        }
        (below, above)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn ranges(numbers: &[i32]) -> Ranges {
        let mut ranges = Ranges::default();
        for number in numbers {
            ranges.insert(*number);
        }
        ranges
    }

    fn set(ranges: &Ranges) -> BTreeSet<i32> {
        ranges.pairs().iter().flat_map(|(first, last)| *first..=*last).collect()
    }

    proptest! {
        #[test]
        fn they_are_sets(
            some in proptest::collection::vec(1..60, 0..60),
            others in proptest::collection::vec(1..60, 0..60),
            at in 1..60,
        ) {
            let (a, b) = (ranges(&some), ranges(&others));
            let (x, y): (BTreeSet<_>, BTreeSet<_>) = (some.into_iter().collect(), others.into_iter().collect());
            prop_assert_eq!(set(&a), x.clone());
            // In order, and never two pairs that touch.
            prop_assert!(a.pairs().windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            prop_assert_eq!(set(&a.without(&b)), &x - &y);
            let (below, above) = a.split(at);
            prop_assert_eq!(set(&below), x.range(..at).copied().collect());
            prop_assert_eq!(set(&above), x.range(at..).copied().collect());
        }
    }
}
