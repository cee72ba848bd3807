use tgmesh_proto::detection::{Chat, ChatKind, Message};

use super::*;

const NOW: i64 = 1_000_000;
const CHAT: i64 = -1_000_000_000_005;

fn key(id: i64) -> Key {
    Key::of_channel(CHAT, id)
}

fn state(edit_date_s: i64, pts: i32) -> State {
    State {
        chat_id: CHAT,
        kind: ChatKind::Channel,
        date_s: NOW,
        edit_date_s,
        pts,
        is_edit: edit_date_s > 0,
        edit_hidden: false,
    }
}

fn unresolved(raw: &str) -> UnresolvedLink {
    UnresolvedLink {
        site: "dexscreener.com",
        chain: Some("solana"),
        raw: raw.to_owned(),
        link: format!("https://dexscreener.com/solana/{raw}"),
        span: None,
    }
}

fn holding(rules: &[&str], links: &[&str]) -> Candidates {
    let mut candidates = Candidates {
        rules: (!rules.is_empty()).then(|| rules.iter().map(|&name| name.to_owned()).collect()),
        links: Vec::new(),
    };
    candidates.take(links.iter().map(|raw| unresolved(raw)));
    candidates
}

/// What is told, in words.
fn told(outcome: Outcome) -> Vec<String> {
    let Outcome::Tell(told) = outcome else {
        panic!("{outcome:?}")
    };
    let word = |told| match told {
        Told::Rules => "rules".to_owned(),
        Told::Link(link) => link.raw,
    };
    told.into_iter().map(word).collect()
}

fn matches() -> Matches {
    Matches::new(Duration::from_hours(1))
}

#[test]
fn only_what_is_new_is_told() {
    let mut matches = matches();
    let mut see = |edit_date_s, pts, rules: &[&str], links: &[&str]| {
        told(matches.message(key(1), state(edit_date_s, pts), &holding(rules, links), NOW))
    };
    assert_eq!(see(0, 1, &["a"], &["x", "x"]), ["rules", "x"]);
    assert_eq!(see(0, 1, &["a"], &["x"]), [""; 0], "a repeat");
    assert_eq!(see(5, 2, &["a"], &["x", "y"]), ["y"]);
    assert_eq!(see(6, 3, &["a", "b"], &["y"]), ["rules"], "another set of rules");
    assert_eq!(see(7, 4, &[], &[]), [""; 0], "what is gone is not told");
    assert_eq!(
        see(8, 5, &["a", "b"], &["x"]),
        ["rules", "x"],
        "and is new when it comes back"
    );
}

#[test]
fn older_states_and_deleted_messages_tell_nothing() {
    let mut matches = matches();
    let a = holding(&["a"], &[]);
    matches.message(key(1), state(5, 7), &a, NOW);
    assert_eq!(
        matches.message(key(1), state(0, 0), &holding(&["b"], &[]), NOW),
        Outcome::Stale
    );
    assert_eq!(
        matches.message(key(1), state(5, 6), &holding(&["b"], &[]), NOW),
        Outcome::Stale
    );
    matches.delete(key(1), NOW);
    assert_eq!(
        matches.message(key(1), state(9, 9), &holding(&["b"], &[]), NOW),
        Outcome::Stale
    );
    matches.delete(key(2), NOW);
    assert_eq!(matches.len(), 1);
    let touched = State {
        date_s: NOW - 4000,
        edit_hidden: true,
        ..state(NOW, 1)
    };
    assert_eq!(matches.message(key(3), touched, &a, NOW), Outcome::Forgotten);
}

#[test]
fn most_messages_cost_nothing_and_memory_is_bounded() {
    let mut matches = matches();
    for id in 0..1000 {
        matches.message(key(id), state(0, 0), &Candidates::default(), NOW);
    }
    assert_eq!((matches.len(), matches.order.len()), (0, 0));
    matches.limit = 5;
    for id in 0..1000 {
        matches.message(key(id), state(0, 0), &holding(&["a"], &[]), NOW);
    }
    assert_eq!(matches.len(), 5);
    for pts in 1..1000 {
        let rules = if pts % 2 == 0 { "a" } else { "b" };
        matches.message(key(9999), state(1, pts), &holding(&[rules], &[]), NOW);
    }
    assert!(matches.order.len() <= 11);
    matches.message(key(1), state(0, 0), &holding(&["a"], &[]), NOW + 3601);
    assert_eq!(matches.len(), 1, "an hour is over");
    let many: Vec<_> = (0..200).map(|n| n.to_string()).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(holding(&[], &many).links.len(), MAX_LINKS);
}

#[test]
fn long_links_are_cut_at_characters() {
    let mut candidates = Candidates::default();
    candidates.take([UnresolvedLink {
        raw: "é".repeat(1000),
        link: "é".repeat(2000),
        ..unresolved("x")
    }]);
    let link = &candidates.links[0];
    assert_eq!((link.raw.len(), link.url.len()), (1024, 2048));
}

#[test]
fn what_the_stream_holds_is_known() {
    let origin = Origin {
        instance: "l".into(),
        account: "a".into(),
        shard: 0,
        lease_epoch: 0,
    };
    let subject = Subject {
        chat: Chat {
            id: CHAT,
            title: String::new(),
            username: None,
            kind: ChatKind::Channel,
        },
        message: Message {
            id: 1,
            date_ms: NOW * 1000,
            edit_date_ms: Some((NOW + 5) * 1000),
            revision: "0-00000000".to_owned(),
            text: String::new(),
            link: None,
            reply_to: None,
            forward_from: None,
        },
        sender: None,
        backfill: false,
        is_ordered: false,
    };
    let times = Times {
        received_us: 0,
        detected_us: 0,
        published_us: 0,
    };
    let candidates = holding(&["a", "b"], &["x"]);
    let mut before = matches();
    let Outcome::Tell(told_before) = before.message(key(1), state(NOW + 5, 1), &candidates, NOW) else {
        panic!("it is new");
    };
    assert_eq!(told_before.len(), 2);
    let mut after = matches();
    for told in told_before {
        let event = event(
            &origin,
            subject.clone(),
            told,
            vec!["a".to_owned(), "b".to_owned()],
            times,
        );
        codec::decode_match(&codec::encode_match(&event).unwrap()).expect("it keeps the bounds");
        after.replay(key(1), &event, NOW);
    }
    let again = |after: &mut Matches, candidates| after.message(key(1), state(NOW + 6, 2), &candidates, NOW);
    assert_eq!(told(again(&mut after, candidates)), [""; 0]);
    assert_eq!(told(again(&mut after, holding(&["a"], &["x", "y"]))), ["rules", "y"]);
}
