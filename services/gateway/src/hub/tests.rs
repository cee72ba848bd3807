use std::collections::VecDeque;

use proptest::prelude::*;
use tgmesh_lifecycle::Process;
use tgmesh_proto::frame::Filter;

use super::*;
use crate::event::tests::{detection, event_of};
use crate::mailbox::MAX_SHARE;

fn hub() -> Arc<Hub> {
    let hub = Hub::new(Figures::new(&Process::detached("gateway", "test").metrics));
    hub.reset("e1", 0);
    hub.open();
    hub
}

fn sub(hub: &Hub, filter: &Filter) -> Arc<Sub> {
    let matcher = Arc::new(Matcher::compile(filter).expect("a good filter"));
    let epoch = hub.place().expect("the hub is open").epoch;
    Sub::new("s".into(), epoch, Arc::default(), matcher)
}

fn in_chat(n: u64, chat: i64) -> Arc<Event> {
    let mut detection = detection(n);
    detection.chat.id = chat;
    Arc::new(event_of(n, &detection))
}

fn taken(sub: &Sub) -> Vec<Item> {
    let mut items = VecDeque::new();
    sub.mailbox.take(usize::MAX, usize::MAX, &mut items);
    sub.mailbox.flushed();
    items.into()
}

fn seqs(items: &[Item]) -> Vec<u64> {
    items
        .iter()
        .filter_map(|item| {
            if let Item::Event(_, event) = item {
                Some(event.seq)
            } else {
                None
            }
        })
        .collect()
}

#[test]
fn what_the_stream_had_lost_is_told_to_who_comes_later() {
    let hub = hub();
    for seq in [1, 2, 6, 7, 10] {
        hub.accept(&in_chat(seq, 7));
    }
    let late = sub(&hub, &Filter::default());
    let advance = |cursor, most| match hub.advance(&late, cursor, most) {
        Advance::Events { events, holes, through } => {
            (events.iter().map(|event| event.seq).collect::<Vec<_>>(), holes, through)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(advance(0, 99), (vec![1, 2, 6, 7, 10], vec![(3, 5), (8, 9)], 10));
    assert_eq!(advance(0, 3), (vec![1, 2, 6], vec![(3, 5)], 6));
    assert_eq!(advance(4, 2), (vec![6, 7], vec![(5, 5)], 7));
}

#[test]
fn every_kind_of_filter_is_found_and_left() {
    let hub = hub();
    let address = Filter {
        addresses: Some(vec![detection(2).address.to_uppercase()]),
        ..Filter::default()
    };
    let filters = [
        (Filter::default(), vec![1, 2, 3]),
        (
            Filter {
                chats: Some(vec![7, 9]),
                ..Filter::default()
            },
            vec![2, 3],
        ),
        (address, vec![2]),
        (
            Filter {
                chats: Some(vec![]),
                ..Filter::default()
            },
            vec![],
        ),
    ];
    let subs: Vec<_> = filters.iter().map(|(filter, _)| sub(&hub, filter)).collect();
    for sub in &subs {
        hub.join(sub);
    }
    for (n, chat) in [(1, 8), (2, 7), (3, 9)] {
        hub.accept(&in_chat(n, chat));
    }
    for (sub, (filter, expected)) in subs.iter().zip(&filters) {
        assert_eq!(seqs(&taken(sub)), *expected, "{filter:?}");
        hub.leave(sub);
    }
    assert_eq!(hub.live(), 0);
    hub.accept(&in_chat(4, 7));
    assert!(subs.iter().all(|sub| taken(sub).is_empty()));
    let state = hub.lock();
    assert!(
        format!("{:?}", state.index).len() < 200,
        "nothing is left: {:?}",
        state.index
    );
}

#[test]
fn repeats_and_disorder_are_left_out() {
    let hub = hub();
    let all = sub(&hub, &Filter::default());
    hub.join(&all);
    hub.accept(&in_chat(1, 1));
    hub.accept(&Arc::new(event_of(2, &detection(1))));
    hub.accept(&in_chat(3, 1));
    hub.accept(&in_chat(2, 1));
    assert_eq!(seqs(&taken(&all)), [1, 3]);
    assert_eq!(
        hub.repeats(&[(1, detection(1).id), (2, detection(1).id)]),
        HashSet::from([2])
    );
}

#[test]
fn what_the_stream_lost_is_told() {
    let hub = hub();
    let all = sub(&hub, &Filter::default());
    hub.join(&all);
    hub.accept(&in_chat(1, 1));
    hub.accept(&in_chat(5, 1));
    assert!(matches!(
        taken(&all).as_slice(),
        [Item::Event(..), Item::Gap { from: 2, to: 4, .. }, Item::Event(..)]
    ));
    // An unreadable message is no gap.
    hub.pass_over(6);
    hub.accept(&in_chat(7, 1));
    assert!(matches!(taken(&all).as_slice(), [Item::Event(..)]));
}

#[test]
fn a_full_mailbox_puts_behind_and_nobody_else() {
    let hub = hub();
    let (slow, quick) = (sub(&hub, &Filter::default()), sub(&hub, &Filter::default()));
    hub.join(&slow);
    hub.join(&quick);
    let mut n = 0;
    while hub.live() == 2 {
        n += 1;
        assert!(n < MAX_SHARE as u64);
        hub.accept(&in_chat(n, 1));
        assert_eq!(seqs(&taken(&quick)), [n]);
    }
    hub.accept(&in_chat(n + 1, 1));
    assert_eq!(seqs(&taken(&quick)), [n + 1]);
    let items = taken(&slow);
    assert_eq!(seqs(&items), (1..n).collect::<Vec<_>>());
    assert!(matches!(items.last(), Some(Item::Behind(_))));
    assert_eq!(slow.cursor(), n - 1);
    let Advance::Events { events, through, .. } = hub.advance(&slow, slow.cursor(), 10) else {
        panic!("it is in the ring")
    };
    assert_eq!((events.len(), through), (2, n + 1));
    assert!(matches!(hub.advance(&slow, through, 10), Advance::Live));
}

#[test]
fn another_epoch_is_over_for_the_subscriptions_of_the_one_before() {
    let hub = hub();
    let (live, behind) = (sub(&hub, &Filter::default()), sub(&hub, &Filter::default()));
    hub.join(&live);
    hub.reset("e1", 0);
    hub.open();
    hub.accept(&in_chat(1, 1));
    assert!(taken(&live).is_empty());
    assert!(matches!(hub.advance(&behind, 0, 10), Advance::Over));
    hub.join(&behind);
    assert_eq!(hub.live(), 0);
    let left = sub(&hub, &Filter::default());
    hub.leave(&left);
    assert!(matches!(hub.advance(&left, 1, 10), Advance::Over));
}

#[test]
fn the_ring_forgets_the_oldest_and_says_so() {
    let hub = hub();
    let mut big = detection(0);
    big.message.text = "x".repeat(4096);
    let weight = event_of(1, &big).weight() as u64;
    let count = (64 << 20) / weight + 100;
    for n in 1..=count {
        big.id = detection(n).id;
        hub.accept(&Arc::new(event_of(n, &big)));
    }
    let late = sub(&hub, &Filter::default());
    let floor = hub.recent_floor();
    assert!((90..300).contains(&floor), "{floor}");
    assert!(matches!(hub.advance(&late, floor - 1, 1), Advance::Behind(at) if at == floor));
    assert!(matches!(hub.advance(&late, floor, 1), Advance::Events { events, .. } if events[0].seq == floor + 1));
    assert!(hub.find(floor).is_none() && hub.find(floor + 1).is_some());
}

#[derive(Debug, Clone)]
enum Step {
    Accept(i64),
    Advance,
    Take(usize),
    Skip,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1_i64..4).prop_map(Step::Accept),
        2 => Just(Step::Advance),
        2 => (0_usize..5).prop_map(Step::Take),
        1 => Just(Step::Skip),
    ];
    proptest::collection::vec(step, 1..200)
}

proptest! {
    /// However a subscription moves between the past and live: what it gets is the stream, filtered.
    #[test]
    fn nothing_twice_and_nothing_missing(steps in steps(), chat in 1_i64..4, start in 0_u64..50) {
        let hub = hub();
        let one = sub(&hub, &Filter { chats: Some(vec![chat]), ..Filter::default() });
        let (mut cursor, mut is_live, mut seq) = (start, false, 0);
        let (mut expected, mut got) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Accept(of) => {
                    seq += 1;
                    if of == chat && seq > start {
                        expected.push(seq);
                    }
                    hub.accept(&in_chat(seq, of));
                }
                Step::Skip => {
                    seq += 1;
                    hub.pass_over(seq);
                }
                Step::Advance if is_live => {}
                Step::Advance => match hub.advance(&one, cursor, 3) {
                    Advance::Live => is_live = true,
                    Advance::Events { events, through, .. } => {
                        let matcher = one.matcher();
                        for event in events {
                            if matcher.wants(&event.detection, &event.address_key) {
                                one.mailbox.put(Item::Event(one.key, event));
                            }
                        }
                        cursor = through;
                    }
                    other => prop_assert!(false, "{:?}", other),
                },
                Step::Take(most) => {
                    let mut items = VecDeque::new();
                    one.mailbox.take(most, usize::MAX, &mut items);
                    one.mailbox.flushed();
                    got.extend(seqs(items.make_contiguous()));
                }
            }
        }
        while !is_live {
            match hub.advance(&one, cursor, 3) {
                Advance::Live => is_live = true,
                Advance::Events { events, through, .. } => {
                    got.extend(seqs(&taken(&one)));
                    got.extend(events.iter().filter(|event| event.detection.chat.id == chat).map(|event| event.seq));
                    cursor = through;
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
        got.extend(seqs(&taken(&one)));
        prop_assert_eq!(got, expected);
    }
}
