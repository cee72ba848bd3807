//! What holds for any text.

use std::sync::LazyLock;

use proptest::prelude::*;
use tgmesh_detect::{Button, Detector, Entity, EntityKind, Family, Find, Findings, Input, Name, Role};

use crate::make::{self, Dice};

/// Building one costs more than a thousand messages.
static DETECTOR: LazyLock<Detector> = LazyLock::new(Detector::new);

fn found(text: &str) -> Vec<Find> {
    let mut out = Findings::default();
    DETECTOR.find(
        &Input {
            text,
            ..Input::default()
        },
        &mut out,
    );
    out.finds
}

/// Ordinary text, text of the characters that addresses and disguises are made of, and any text.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,400}",
        "[ \\n.,:/?=&#%<>()0-9A-Za-zа-яА-Я\u{200b}Ａ-ｚ𝐀-𝟿🔥]{0,400}",
        "([0-9a-zA-Z]{1,44}[ .\\n/-]?|0x|https://t\\.me/x\\?start=|EQ|part [1-3]: |reversed |<b>|%2F|REMOVE){0,40}",
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_offsets_lie_inside(text in texts(), url in texts(), offset in any::<usize>(), length in any::<usize>(), prior in texts()) {
        let entities = [Entity { kind: EntityKind::TextUrl, offset, length, url: Some(&url) }, Entity { kind: EntityKind::Code, offset: length, length: offset, url: None }];
        let buttons = [Button::Url(&url), Button::Copy(&text)];
        let links = [url.as_str()];
        let names = [Name::Sender(&url), Name::Chat(&text)];
        let mut out = Findings::default();
        DETECTOR.find(&Input { text: &text, entities: &entities, buttons: &buttons, links: &links, quote: &url, names: &names, prior: Some(&prior) }, &mut out);
        for find in out.finds {
            if let Some(span) = find.span.clone() {
                prop_assert_eq!(text.get(span), Some(find.raw.as_str()));
            }
            prop_assert!((0.0..=1.0).contains(&find.confidence));
            prop_assert!(!find.evidence.is_empty());
            prop_assert!(find.family == Family::Evm || find.chain == Some(find.family.as_str()));
        }
    }

    #[test]
    fn an_embedded_address_is_found(seed: u64, which in 0_usize..5, before in "([^0-9A-Za-z_+/=.:%@-]{0,1}|.{0,60}[ \\n(\\[>])", after in "([^0-9A-Za-z_+/=.:%-]{0,1}|[ \\n)\\]<].{0,60})") {
        // A word before it may say that it stands there backwards, or is a hash.
        let address = [make::evm, make::evm_lower, make::tron, make::ton, make::pump][which](&mut Dice::new(seed));
        let text = format!("{before}{address}{after}");
        let expected = if which == 1 { make::eip55(&address) } else { address };
        prop_assert!(found(&text).iter().any(|find| find.address == expected), "{:?}", text);
    }

    #[test]
    fn canonical_forms_stay(seed: u64, which in 0_usize..5) {
        let address = [make::evm_lower, make::solana, make::tron, make::ton, make::pump][which](&mut Dice::new(seed));
        let once = found(&address).remove(0);
        let twice = found(&once.address).remove(0);
        prop_assert_eq!(once.address, twice.address);
        prop_assert_eq!(once.family, twice.family);
    }

    #[test]
    fn one_changed_character_breaks_a_checksum(seed: u64, which in 0_usize..2, at in 2_usize..34, with in 0_usize..58) {
        const BASE58: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
        let address = [make::tron, make::ton][which](&mut Dice::new(seed));
        let mut bytes = address.clone().into_bytes();
        prop_assume!(bytes[at] != BASE58[with]);
        bytes[at] = BASE58[with];
        let text = String::from_utf8(bytes).unwrap();
        prop_assert!(found(&text).is_empty(), "{} from {}", text, address);
    }

    #[test]
    fn text_and_link_count_once(seed: u64) {
        let mint = make::solana(&mut Dice::new(seed));
        let finds = found(&format!("CA: {mint}\nhttps://solscan.io/token/{mint} https://dexscreener.com/solana/{mint}"));
        prop_assert_eq!(finds.len(), 1);
        prop_assert_eq!(finds[0].role, Role::Token);
        prop_assert!(finds[0].evidence.iter().any(|evidence| evidence == "link:solscan.io"));
    }
}

const TRIES: usize = 20_000;

/// A hex digit changed in an EIP-55 address that stays mixed: at most one in a thousand passes.
#[test]
fn eip55_catches_999_of_1000() {
    let mut dice = Dice::new(55);
    let mut passed = 0;
    let mut tries = 0;
    while tries < TRIES {
        let mut bytes = make::evm(&mut dice).into_bytes();
        let at = 2 + dice.below(40);
        let with = b"0123456789abcdefABCDEF"[dice.below(22)];
        if bytes[at].eq_ignore_ascii_case(&with) && bytes[at] == with {
            continue;
        }
        bytes[at] = with;
        let text = String::from_utf8(bytes).unwrap();
        if text[2..].bytes().any(|b| b.is_ascii_lowercase()) && text[2..].bytes().any(|b| b.is_ascii_uppercase()) {
            tries += 1;
            passed += found(&text).len();
        }
    }
    assert!(passed * 1000 <= TRIES, "{passed} of {TRIES}");
}

/// Twice the text takes about twice the time, whatever it is made of.
#[test]
fn nothing_is_quadratic() {
    let mut dice = Dice::new(3);
    let mint = make::solana(&mut dice);
    let evm = make::evm_lower(&mut dice);
    let pieces = [
        format!("{mint} "),
        format!("{evm} base bsc "),
        format!("https://a.io/{mint}/"),
        format!("a.{mint}"),
        "T ".to_owned(),
        "0 x ".to_owned(),
        "EQ-EQ_".to_owned(),
        "аB".to_owned(),
        "a1remove\"B1\"".to_owned(),
        "aB1 cD2.eF3-".to_owned(),
        "1: aB1c 2: dE2f ".to_owned(),
        "<b>aB1</b>".to_owned(),
        "a\u{200b}B1 x0".to_owned(),
        "8ch5U1mqTA8eQeddTyXHq8V73jYX1Yv5ihLB4U9d add ".to_owned(),
    ];
    for piece in pieces {
        let time = |length: usize| {
            let text: String = piece.chars().cycle().take(length).collect();
            let mut out = Findings::default();
            (0..5)
                .map(|_| {
                    out.clear();
                    let start = std::time::Instant::now();
                    DETECTOR.find(
                        &Input {
                            text: &text,
                            ..Input::default()
                        },
                        &mut out,
                    );
                    start.elapsed()
                })
                .min()
                .unwrap()
        };
        let (short, long) = (time(16_384), time(131_072));
        // Eight times the text: quadratic would be 64 times the time.
        assert!(
            long < short * 24 + std::time::Duration::from_millis(2),
            "{piece:?}: {short:?} then {long:?}"
        );
    }
}
