use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::event::tests::detection;

#[test]
fn unique_within_lets_an_address_pass_again_later() {
    let mut unique = Unique::new(Duration::from_secs(10));
    let event = detection(1);
    let mut pass = |key: &str, at_s: u64| unique.pass(&event, key, at_s * 1_000_000);
    assert!(pass("a", 0));
    assert!(!pass("a", 9));
    assert!(pass("b", 9));
    assert!(pass("a", 10), "measured from when it was let through last");
    assert!(!pass("a", 19));
    assert!(pass("b", 19));
}

#[test]
fn unique_within_remembers_a_bounded_number() {
    let mut unique = Unique::new(Duration::from_secs(10));
    let event = detection(1);
    for n in 0..(MAX_REMEMBERED * 2) {
        assert!(unique.pass(&event, &n.to_string(), n as u64));
    }
    assert!(unique.last.len() <= MAX_REMEMBERED && unique.order.len() <= MAX_REMEMBERED);
}

#[test]
fn retractions_pass_and_do_not_count() {
    let mut unique = Unique::new(Duration::from_secs(10));
    let call = detection(1);
    let gone = Detection {
        event: EventKind::Retracted,
        ..detection(1)
    };
    let mut pass = |event: &Detection, at_s: u64| unique.pass(event, "a", at_s * 1_000_000);
    assert!(pass(&gone, 0), "before it was called");
    assert!(pass(&call, 1), "a retraction is no call");
    assert!(pass(&gone, 2) && pass(&gone, 3));
    assert!(!pass(&call, 10), "nor does it make the address new");
    assert!(pass(&call, 11));
}

#[derive(Debug, Clone)]
struct Step {
    address: u64,
    /// Whether the rest of the filter lets it pass.
    wanted: bool,
    retracted: bool,
    pause_us: u64,
}

fn step() -> impl Strategy<Value = Step> {
    (
        0_u64..4,
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.1),
        0_u64..12,
    )
        .prop_map(|(address, wanted, retracted, pause_us)| Step {
            address,
            wanted,
            retracted,
            pause_us,
        })
}

fn event(step: &Step) -> Detection {
    let event = if step.retracted {
        EventKind::Retracted
    } else {
        EventKind::Called
    };
    Detection {
        event,
        ..detection(step.address)
    }
}

proptest! {
    /// Whoever goes away and comes back, to this gateway or another, is told what one is told who
    /// stayed; and no more is read for it than is needed.
    #[test]
    fn as_if_it_had_never_been_away(
        steps in proptest::collection::vec(step(), 1..200),
        begin in any::<prop::sample::Index>(),
        returns in proptest::collection::btree_set(0_usize..200, 0..6),
        within_us in 1_u64..40,
    ) {
        let mut at_us = 1_000_000;
        let events: Vec<_> = steps
            .iter()
            .map(|step| {
                at_us += step.pause_us;
                (at_us, event(step), step.wanted)
            })
            .collect();
        let within = Duration::from_micros(within_us);
        let begin = begin.index(events.len());
        let (mut stayed, mut came_back) = (Unique::new(within), Unique::new(within));
        for (n, (at_us, event, wanted)) in events.iter().enumerate().skip(begin) {
            if returns.contains(&n) {
                let mut lookback = Lookback::new(within);
                for (at_us, event, wanted) in events[begin..n].iter().rev() {
                    if !lookback.look(event, &event.address, *at_us, *wanted) {
                        break;
                    }
                }
                came_back = lookback.unique();
            }
            if *wanted {
                prop_assert_eq!(
                    came_back.pass(event, &event.address, *at_us),
                    stayed.pass(event, &event.address, *at_us),
                    "event {}", n
                );
            }
        }
    }
}

#[test]
fn no_more_is_read_than_makes_a_difference() {
    let read = |gap_us: u64, others: bool| {
        let mut lookback = Lookback::new(Duration::from_micros(100));
        // The newest first.
        (0..1_000_u64)
            .take_while(|n| {
                let event = detection(if others { *n } else { 1 });
                lookback.look(&event, &event.address, 1_000_000 - n * gap_us, true)
            })
            .count()
    };
    assert_eq!(read(100, false), 1, "a pause before every call");
    assert_eq!(
        read(10, true),
        19,
        "one window in question, and one before its first call"
    );
    assert_eq!(read(99, false), 1_000, "no pause at all");
}
