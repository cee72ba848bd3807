use std::collections::BTreeMap;
use std::time::Instant;

use proptest::prelude::*;
use tgmesh_lifecycle::Process;
use tgmesh_proto::codec;
use tgmesh_proto::detection::{
    Chat, ChatKind, EventKind, Family, Listener, Message, Method, Role, Sender, SenderKind, Times,
};
use tgmesh_proto::id::{self, EventId};

use super::*;

const NOW_S: i64 = 1_700_000_000;
const WINDOW: Duration = Duration::from_secs(100);

fn memory() -> Memory {
    with_limit(SHARD_LIMIT)
}

fn with_limit(limit: usize) -> Memory {
    let counter = Process::detached("listener", "test").metrics.counter("crowded_out", "");
    Memory::with_limit(WINDOW, limit, counter)
}

/// A call of an address in a channel, so many seconds after the beginning.
fn call(address: u64, chat: i64, message: i64, date_s: i64) -> Detection {
    Detection {
        schema_version: tgmesh_proto::SCHEMA_VERSION.to_owned(),
        id: EventId::from_bytes([0; 16]),
        event: EventKind::Called,
        family: Family::Solana,
        chain: None,
        address: format!("address-{address}"),
        coin_type: None,
        role: Role::Unknown,
        method: Method::Plain,
        evidence: Vec::new(),
        confidence: 0.5,
        raw: "as found".to_owned(),
        seen_before: None,
        chat: Chat {
            id: chat,
            title: "Calls".to_owned(),
            username: None,
            kind: ChatKind::Channel,
        },
        message: Message {
            id: message,
            date_ms: (NOW_S + date_s) * 1000,
            edit_date_ms: None,
            revision: "0-00000000".to_owned(),
            text: "a text".to_owned(),
            link: None,
            reply_to: None,
            forward_from: None,
        },
        sender: None,
        rules: Vec::new(),
        listener: Listener {
            instance: "i".to_owned(),
            account: "a".to_owned(),
            shard: 0,
            lease_epoch: 0,
            backfill: false,
            detector: "d".to_owned(),
            layer: 1,
        },
        times: Times {
            received_us: (NOW_S + date_s) * 1_000_000,
            detected_us: 0,
            published_us: 0,
        },
    }
}

fn edited(mut event: Detection, kind: EventKind, edit_s: i64) -> Detection {
    event.event = kind;
    event.message.edit_date_ms = Some((NOW_S + edit_s) * 1000);
    event
}

/// Count, first time and first chat.
fn told(before: Option<SeenBefore>) -> Option<(u64, i64, i64)> {
    before.map(|before| (before.count, before.first_ms / 1000 - NOW_S, before.first_chat))
}

fn recall(memory: &Memory, event: &Detection) -> Option<(u64, i64, i64)> {
    told(memory.recall(event, NOW_S))
}

#[test]
fn other_messages_with_the_same_address_count() {
    let memory = memory();
    assert_eq!(recall(&memory, &call(1, -1, 1, 0)), None);
    assert_eq!(recall(&memory, &call(1, -2, 1, 1)), Some((1, 0, -1)));
    assert_eq!(recall(&memory, &call(1, -2, 2, 2)), Some((2, 0, -1)));
    assert_eq!(recall(&memory, &call(2, -2, 2, 2)), None, "another address");
    let evm = Detection {
        family: Family::Evm,
        ..call(1, -2, 3, 3)
    };
    assert_eq!(recall(&memory, &evm), None, "the same letters in another family");
    let coin = |name: &str, message| Detection {
        coin_type: Some(name.to_owned()),
        ..call(1, -2, message, 3)
    };
    assert_eq!(recall(&memory, &coin("0x1::a::A", 4)), None, "a coin of its package");
    assert_eq!(recall(&memory, &coin("0x1::b::B", 4)), None);
    assert_eq!(recall(&memory, &coin("0x1::a::A", 5)), Some((1, 3, -2)));
}

#[test]
fn a_message_counts_once() {
    let memory = memory();
    let first = call(1, -1, 1, 0);
    assert_eq!(recall(&memory, &first), None);
    // The own event out of the stream; another account's; what an edit took away and gave back.
    memory.note(&Told::of(&first), NOW_S);
    let other_account = Detection {
        listener: Listener {
            account: "b".to_owned(),
            ..first.listener.clone()
        },
        ..first.clone()
    };
    assert_eq!(recall(&memory, &other_account), None);
    let gone = edited(first.clone(), EventKind::Retracted, 5);
    assert_eq!(recall(&memory, &gone), None);
    assert_eq!(recall(&memory, &edited(first, EventKind::AddedByEdit, 6)), None);
    assert_eq!(recall(&memory, &call(1, -2, 9, 10)), Some((1, 0, -1)));
    assert_eq!(memory.len(), (1, 2));
}

#[test]
fn a_retraction_is_told_and_is_no_sighting() {
    let memory = memory();
    recall(&memory, &call(1, -1, 1, 0));
    let mut gone = edited(call(1, -2, 2, 1), EventKind::Retracted, 5);
    assert_eq!(recall(&memory, &gone), Some((1, 0, -1)));
    gone.message.id = 3;
    gone.message.revision = id::DELETED.to_owned();
    assert_eq!(recall(&memory, &gone), Some((1, 0, -1)));
    assert_eq!(memory.len(), (1, 1));
    // A call that was retracted was a call.
    recall(&memory, &edited(call(1, -1, 1, 0), EventKind::Retracted, 6));
    assert_eq!(recall(&memory, &call(1, -3, 1, 7)), Some((1, 0, -1)));
}

#[test]
fn an_edit_counts_from_its_own_date() {
    let memory = memory();
    recall(&memory, &call(1, -1, 1, 50));
    // An old message into which the address was put later was not the first to call it.
    let added = edited(call(1, -2, 2, 10), EventKind::AddedByEdit, 60);
    assert_eq!(recall(&memory, &added), Some((1, 50, -1)));
    assert_eq!(recall(&memory, &call(1, -3, 3, 70)), Some((2, 50, -1)));
}

#[test]
fn what_comes_late_is_put_into_its_place() {
    let memory = memory();
    recall(&memory, &call(1, -1, 1, 50));
    assert_eq!(recall(&memory, &call(1, -2, 2, 10)), None, "nothing was before it");
    assert_eq!(recall(&memory, &call(1, -3, 3, 60)), Some((2, 10, -2)));
    assert_eq!(recall(&memory, &call(1, -4, 4, 30)), Some((1, 10, -2)));
    // From history: outside of the window of what is live, and within that of its own time.
    assert_eq!(recall(&memory, &call(1, -5, 5, -500)), None);
    assert_eq!(recall(&memory, &call(1, -6, 6, -450)), Some((1, -500, -5)));
    assert_eq!(recall(&memory, &call(1, -7, 7, 70)), Some((4, 10, -2)));
}

#[test]
fn within_one_second_the_first_received_is_the_first() {
    let (one, other) = (memory(), memory());
    let received = |chat, message, ms: i64| {
        let mut event = call(1, chat, message, 0);
        event.times.received_us += ms * 1000;
        event
    };
    let events = [received(-7, 1, 900), received(-5, 2, 700), received(-6, 3, 800)];
    for (event, again) in events.iter().zip(events.iter().rev()) {
        one.note(&Told::of(event), NOW_S);
        other.note(&Told::of(again), NOW_S);
    }
    let question = call(1, -1, 9, 0);
    assert_eq!(recall(&one, &question), Some((3, 0, -5)));
    assert_eq!(recall(&other, &question), Some((3, 0, -5)));
}

#[test]
fn the_window_ends() {
    let memory = memory();
    recall(&memory, &call(1, -1, 1, 0));
    recall(&memory, &call(1, -2, 2, 1));
    assert_eq!(recall(&memory, &call(1, -3, 3, 99)), Some((2, 0, -1)));
    assert_eq!(recall(&memory, &call(1, -4, 4, 100)), Some((2, 1, -2)));
    assert_eq!(recall(&memory, &call(1, -5, 5, 300)), None);
    assert_eq!(memory.len(), (1, 5));
    memory.forget(NOW_S + 99);
    assert_eq!(memory.len(), (1, 5));
    memory.forget(NOW_S + 100);
    assert_eq!(memory.len(), (0, 0));
}

#[test]
fn messages_that_accounts_number_for_themselves() {
    let seen_by = |kind, account: &str, message, sender| {
        let mut event = call(1, -5, message, 0);
        event.chat.kind = kind;
        event.listener.account = account.to_owned();
        event.sender = Some(Sender {
            id: sender,
            username: None,
            name: String::new(),
            kind: SenderKind::User,
        });
        event
    };
    let group = memory();
    assert_eq!(recall(&group, &seen_by(ChatKind::Group, "a", 7, 1)), None);
    assert_eq!(recall(&group, &seen_by(ChatKind::Group, "b", 3, 1)), None, "the same");
    assert_eq!(
        recall(&group, &seen_by(ChatKind::Group, "a", 8, 2)),
        Some((1, 0, -5)),
        "another sender"
    );
    let private = memory();
    assert_eq!(recall(&private, &seen_by(ChatKind::User, "a", 7, 1)), None);
    assert_eq!(
        recall(&private, &seen_by(ChatKind::User, "b", 7, 1)),
        Some((1, 0, -5)),
        "another account's chat with the same person"
    );
}

#[test]
fn an_event_is_read_from_the_stream_as_it_was_published() {
    let mut event = edited(call(1, -1, 1, 0), EventKind::AddedByEdit, 5);
    event.coin_type = Some("0x1::a::A".to_owned());
    event.sender = Some(Sender {
        id: 4,
        username: Some("four".to_owned()),
        name: "Four".to_owned(),
        kind: SenderKind::Bot,
    });
    event.seen_before = Some(SeenBefore {
        count: 1,
        first_ms: 2,
        first_chat: 3,
    });
    let bytes = codec::encode(&event).unwrap();
    assert_eq!(Told::read(&bytes), Some(Told::of(&event)));
    event.schema_version = "2.0.0".to_owned();
    assert_eq!(Told::read(&codec::encode(&event).unwrap()), None);
    assert_eq!(Told::read(&bytes[..bytes.len() / 2]), None);
    assert_eq!(Told::read(&vec![0xc0; MAX_PAYLOAD_BYTES_AND_ONE]), None);
}

const MAX_PAYLOAD_BYTES_AND_ONE: usize = codec::MAX_PAYLOAD_BYTES + 1;

#[test]
fn room_is_bounded_and_the_oldest_go() {
    let memory = with_limit(10);
    for n in 0..100_000 {
        memory.note(&Told::of(&call(n, -1, n as i64, 0)), NOW_S);
    }
    let (addresses, sightings) = memory.len();
    assert_eq!((addresses, sightings), (SHARDS * 10, SHARDS * 10));
    assert_eq!(memory.crowded_out.get(), 100_000 - (SHARDS * 10) as u64);
    assert_eq!(recall(&memory, &call(0, -2, 1, 1)), None, "it was crowded out");
    assert_eq!(recall(&memory, &call(99_999, -2, 2, 1)), Some((1, 0, -1)));
    // One address that is posted all the time, in and out of order.
    for n in 0..1_000 {
        memory.note(&Told::of(&call(7, -1, 200_000 + n, (n * 7) % 50)), NOW_S);
    }
    let before = recall(&memory, &call(7, -2, 3, 99)).expect("it is known");
    assert_eq!(before.0, 9, "what is left of its shard beside its own");
}

#[test]
fn memory_is_given_back_after_busy_times() {
    let memory = memory();
    for n in 0..200_000 {
        memory.note(&Told::of(&call(n, -1, n as i64, 0)), NOW_S);
    }
    let full = bytes(&memory);
    for _ in 0..100 {
        memory.forget(NOW_S + 200);
    }
    assert_eq!(memory.len(), (0, 0));
    assert!(bytes(&memory) < full / 10, "{} of {full} bytes", bytes(&memory));
}

/// Bytes of all tables and queues, by their capacities.
fn bytes(memory: &Memory) -> usize {
    memory.shards.iter().map(|shard| lock(shard).bytes()).sum()
}

/// Prints figures; what is asserted is the bound that the documentation gives.
#[test]
fn a_full_memory_takes_what_is_said() {
    let memory = Memory::new(Duration::from_hours(24), with_limit(1).crowded_out);
    let mut event = call(0, -1, 0, 0);
    let began = Instant::now();
    let (rounds, per_round) = (12, 100_000_u64);
    for n in 0..rounds * per_round {
        event.address = format!("{n:044}");
        event.message.id = n as i64;
        memory.recall(&event, NOW_S);
        if n % per_round == per_round - 1 {
            let (addresses, _) = memory.len();
            println!("{addresses} addresses: {} bytes each", bytes(&memory) / addresses);
        }
    }
    let took = began.elapsed();
    let (addresses, sightings) = memory.len();
    assert_eq!(addresses, sightings);
    assert!(sightings > MAX_SIGHTINGS * 98 / 100, "{sightings}");
    assert!(bytes(&memory) < 120 * sightings, "{} bytes", bytes(&memory) / sightings);
    println!(
        "noting new addresses: {} ns each",
        took.as_nanos() / u128::from(rounds * per_round)
    );
    event.event = EventKind::Retracted;
    let began = Instant::now();
    let mut hits = 0;
    for n in (0..1_000_000_u64).map(|n| 300_000 + n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 900_000) {
        event.address.clear();
        std::fmt::Write::write_fmt(&mut event.address, format_args!("{n:044}")).unwrap();
        event.message.id = -1;
        hits += u64::from(memory.recall(&event, NOW_S).is_some());
    }
    println!(
        "looking up: {} ns each, {hits} of 1,000,000 known",
        began.elapsed().as_nanos() / 1_000_000
    );
    assert!(hits > 900_000);
}

#[derive(Debug, Clone)]
struct Step {
    address: u64,
    chat: i64,
    message: i64,
    kind: EventKind,
    date_s: i64,
    edit_s: i64,
    is_own: bool,
    pause_s: i64,
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        4 => Just(EventKind::Called),
        2 => Just(EventKind::AddedByEdit),
        1 => Just(EventKind::Retracted),
    ];
    (
        0_u64..3,
        -3_i64..0,
        0_i64..6,
        kind,
        0_i64..150,
        0_i64..50,
        any::<bool>(),
        0_i64..20,
    )
        .prop_map(
            |(address, chat, message, kind, date_s, later_s, is_own, pause_s)| Step {
                address,
                chat,
                message,
                kind,
                date_s,
                edit_s: date_s + later_s,
                is_own,
                pause_s,
            },
        )
}

proptest! {
    /// The memory is what a list of everything tells, read anew for each question.
    #[test]
    fn as_a_list_of_everything(steps in proptest::collection::vec(step(), 1..150)) {
        let memory = memory();
        // (address, chat, message) → time of the sighting, time of storing.
        let mut all: BTreeMap<(u64, i64, i64), (i64, i64)> = BTreeMap::new();
        let (window_s, mut now_s) = (WINDOW.as_secs() as i64, 0);
        for Step { address, chat, message, kind, date_s, edit_s, is_own, pause_s } in steps {
            now_s += pause_s;
            memory.forget(NOW_S + now_s);
            all.retain(|_, &mut (_, stored_s)| now_s - stored_s < window_s);
            let mut event = call(address, chat, message, date_s);
            if kind != EventKind::Called {
                event = edited(event, kind, edit_s);
            }
            let at_s = if kind == EventKind::Called { date_s } else { edit_s };
            if kind != EventKind::Retracted {
                let known = all.entry((address, chat, message)).or_insert((at_s, now_s));
                known.0 = known.0.min(at_s);
            }
            if is_own {
                let mut others: Vec<_> = all
                    .iter()
                    .filter(|&(key, _)| key.0 == address && (key.1, key.2) != (chat, message))
                    .map(|(key, &(seen_s, _))| (seen_s, key.1))
                    .filter(|&(seen_s, _)| seen_s <= at_s && seen_s > at_s - window_s)
                    .collect();
                others.sort_unstable();
                let expected = others.first().map(|&(seen_s, chat)| (others.len() as u64, seen_s, chat));
                prop_assert_eq!(told(memory.recall(&event, NOW_S + now_s)), expected);
            } else {
                memory.note(&Told::of(&event), NOW_S + now_s);
            }
            prop_assert_eq!(memory.len().1, all.len());
        }
    }

    /// Two processes that note the same events in different orders tell the same.
    #[test]
    fn the_order_of_arrival_does_not_matter(
        steps in proptest::collection::vec(step(), 1..60),
        shuffled in any::<prop::sample::Index>(),
    ) {
        let events: Vec<_> = steps
            .iter()
            .map(|step| {
                let event = call(step.address, step.chat, step.message, step.date_s);
                if step.kind == EventKind::Called { event } else { edited(event, step.kind, step.edit_s) }
            })
            .collect();
        let (one, other) = (memory(), memory());
        let turn = shuffled.index(events.len());
        for event in &events {
            one.note(&Told::of(event), NOW_S);
        }
        for event in events[turn..].iter().chain(&events[..turn]).rev() {
            other.note(&Told::of(event), NOW_S);
            other.note(&Told::of(event), NOW_S);
        }
        for address in 0..3 {
            let question = edited(call(address, -9, 99, 0), EventKind::Retracted, 120);
            prop_assert_eq!(recall(&one, &question), recall(&other, &question));
        }
    }

    #[test]
    fn any_bytes_are_read_or_left_out(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = Told::read(&bytes);
    }
}
