use proptest::prelude::*;
use tgmesh_proto::detection::{Sender, SenderKind};

use super::*;
use crate::event::tests::detection;

fn matcher(filter: &Filter) -> Matcher {
    Matcher::compile(filter).expect("the filter is good")
}

fn wants(filter: &Filter, event: &Detection) -> bool {
    let matcher = matcher(filter);
    matcher.wants(event, &address_key(&event.address)) && matcher.text_matches(&event.message.text)
}

#[test]
fn absent_keys_let_everything_pass_but_backfill() {
    let mut event = detection(1);
    assert!(wants(&Filter::default(), &event));
    event.listener.backfill = true;
    assert!(!wants(&Filter::default(), &event));
    assert!(wants(
        &Filter {
            backfill: true,
            ..Filter::default()
        },
        &event
    ));
}

#[test]
fn every_key_selects() {
    let mut event = detection(1);
    event.chain = Some("base".to_owned());
    event.rules = vec!["gems".to_owned()];
    event.sender = Some(Sender {
        id: 7,
        username: None,
        name: String::new(),
        kind: SenderKind::User,
    });
    event.message.text = "buy now".to_owned();
    let (chat, family) = (event.chat.id, event.family);
    let other_family = if family == Family::Evm {
        Family::Solana
    } else {
        Family::Evm
    };
    let pairs: Vec<(Filter, Filter)> = vec![
        (
            Filter {
                chats: Some(vec![1, chat]),
                ..Filter::default()
            },
            Filter {
                chats: Some(vec![1]),
                ..Filter::default()
            },
        ),
        (
            Filter {
                families: Some(vec![family]),
                ..Filter::default()
            },
            Filter {
                families: Some(vec![other_family]),
                ..Filter::default()
            },
        ),
        (
            Filter {
                chains: Some(vec!["base".into()]),
                ..Filter::default()
            },
            Filter {
                chains: Some(vec!["bsc".into()]),
                ..Filter::default()
            },
        ),
        (
            Filter {
                addresses: Some(vec![event.address.clone()]),
                ..Filter::default()
            },
            Filter {
                addresses: Some(vec!["x".into()]),
                ..Filter::default()
            },
        ),
        (
            Filter {
                senders: Some(vec![7]),
                ..Filter::default()
            },
            Filter {
                senders: Some(vec![8]),
                ..Filter::default()
            },
        ),
        (
            Filter {
                rules: Some(vec!["x".into(), "gems".into()]),
                ..Filter::default()
            },
            Filter {
                rules: Some(vec!["x".into()]),
                ..Filter::default()
            },
        ),
        (
            Filter {
                text: Some("(?i)BUY".into()),
                ..Filter::default()
            },
            Filter {
                text: Some("^now".into()),
                ..Filter::default()
            },
        ),
        (
            Filter {
                min_confidence: Some(event.confidence),
                ..Filter::default()
            },
            Filter {
                min_confidence: Some(1.0),
                ..Filter::default()
            },
        ),
        (
            Filter {
                events: Some(vec![EventName::Called]),
                ..Filter::default()
            },
            Filter {
                events: Some(vec![EventName::Retracted]),
                ..Filter::default()
            },
        ),
    ];
    for (passes, fails) in pairs {
        assert!(wants(&passes, &event), "{passes:?}");
        assert!(!wants(&fails, &event), "{fails:?}");
    }
    assert!(
        !wants(
            &Filter {
                chats: Some(vec![]),
                ..Filter::default()
            },
            &event
        ),
        "an empty list lets nothing pass"
    );
}

#[test]
fn hexadecimal_addresses_are_compared_in_any_case_and_others_are_not() {
    let upper = "0xA0B86991C6218B36C1D19D4A2E9EB0CE3606EB48";
    assert_eq!(address_key(upper), address_key(&upper.to_lowercase()));
    assert_eq!(address_key(&upper.replacen("0x", "0X", 1)), address_key(upper));
    let solana = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
    assert_ne!(address_key(solana), address_key(&solana.to_lowercase()));
}

#[test]
fn out_of_bounds_filters_are_refused() {
    let bad = [
        Filter {
            text: Some("a".repeat(257)),
            ..Filter::default()
        },
        Filter {
            text: Some("(".into()),
            ..Filter::default()
        },
        Filter {
            text: Some(r"(\pL{900}){900}".into()),
            ..Filter::default()
        },
        Filter {
            min_confidence: Some(1.5),
            ..Filter::default()
        },
        Filter {
            min_confidence: Some(f64::NAN),
            ..Filter::default()
        },
        Filter {
            unique_within: Some("10".into()),
            ..Filter::default()
        },
        Filter {
            unique_within: Some("0s".into()),
            ..Filter::default()
        },
        Filter {
            unique_within: Some("8d".into()),
            ..Filter::default()
        },
        Filter {
            chats: Some((0..1001).collect()),
            ..Filter::default()
        },
    ];
    for filter in bad {
        assert!(Matcher::compile(&filter).is_err(), "{filter:?}");
    }
}

proptest! {
    #[test]
    fn any_pattern_is_compiled_or_refused(text in ".{0,64}") {
        let _ = Matcher::compile(&Filter { text: Some(text), ..Filter::default() });
    }

    #[test]
    fn any_text_has_an_address_key(text in ".{0,64}") {
        prop_assert_eq!(address_key(&address_key(&text)), address_key(&text));
    }
}
