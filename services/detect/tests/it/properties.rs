//! What holds for any text.

use std::sync::LazyLock;

use proptest::prelude::*;
use tgmesh_detect::{Button, Detector, Entity, EntityKind, Family, Find, Findings, Input, Name, Role};

use crate::make::{self, Dice};

/// Building one costs more than a thousand messages.
static DETECTOR: LazyLock<Detector> = LazyLock::new(Detector::new);

fn findings(input: &Input<'_>) -> Findings {
    let mut out = Findings::default();
    DETECTOR.find(input, &mut out);
    out
}

fn found(text: &str) -> Vec<Find> {
    findings(&Input {
        text,
        ..Input::default()
    })
    .finds
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

/// Every kind of address: how it is made, and the characters that could be more of it or of what it
/// would then be a piece of (a path, a digest, a token).
struct Kind {
    family: Family,
    make: fn(&mut Dice) -> String,
    alphabet: &'static str,
    /// A chat of this chain, where the form does not name one.
    prior: Option<&'static str>,
}

const KINDS: [Kind; 9] = [
    Kind {
        family: Family::Evm,
        make: make::evm,
        alphabet: "",
        prior: None,
    },
    Kind {
        family: Family::Evm,
        make: make::evm_lower,
        alphabet: "",
        prior: None,
    },
    Kind {
        family: Family::Solana,
        make: make::solana,
        alphabet: "+/=-_",
        prior: None,
    },
    Kind {
        family: Family::Solana,
        make: make::pump,
        alphabet: "+/=-_",
        prior: None,
    },
    Kind {
        family: Family::Tron,
        make: make::tron,
        alphabet: "",
        prior: None,
    },
    Kind {
        family: Family::Ton,
        make: make::ton,
        alphabet: "+/=-_",
        prior: None,
    },
    Kind {
        family: Family::Ton,
        make: raw_ton,
        alphabet: ":-",
        prior: None,
    },
    Kind {
        family: Family::Sui,
        make: make::move_address,
        alphabet: "",
        prior: Some("sui"),
    },
    Kind {
        family: Family::Aptos,
        make: make::move_address,
        alphabet: "",
        prior: Some("aptos"),
    },
];

fn raw_ton(dice: &mut Dice) -> String {
    format!("0:{}", &make::move_address(dice)[2..])
}

impl Kind {
    /// What has to come out for `written`.
    fn canonical(&self, written: &str) -> String {
        match self.family {
            Family::Evm => make::eip55(written),
            Family::Ton => ton_of(written),
            _ => written.to_owned(),
        }
    }

    /// Whether `c` beside the address leaves it an address of its own.
    fn may_touch(&self, c: char) -> bool {
        !c.is_ascii_alphanumeric() && !self.alphabet.contains(c)
    }
}

/// The friendly form of either, put together here again.
fn ton_of(written: &str) -> String {
    let Some(digits) = written.strip_prefix("0:") else {
        return written.to_owned();
    };
    let hash: Vec<u8> = (0..64)
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect();
    make::ton_of(&hash.try_into().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_offsets_lie_inside(text in texts(), url in texts(), offset in any::<usize>(), length in any::<usize>(), prior in texts()) {
        let entities = [Entity { kind: EntityKind::TextUrl, offset, length, url: Some(&url) }, Entity { kind: EntityKind::Code, offset: length, length: offset, url: None }];
        let buttons = [Button::Url(&url), Button::Copy(&text)];
        let links = [url.as_str()];
        let names = [Name::Sender(&url), Name::Chat(&text)];
        let input = Input { text: &text, entities: &entities, buttons: &buttons, links: &links, quote: &url, names: &names, prior: Some(&prior) };
        let out = findings(&input);
        prop_assert_eq!(&out, &findings(&input), "the same text, the same answer");
        for find in &out.finds {
            if let Some(span) = find.span.clone() {
                prop_assert_eq!(text.get(span), Some(find.raw.as_str()));
            }
            prop_assert!((0.0..=1.0).contains(&find.confidence));
            prop_assert!(!find.evidence.is_empty());
            prop_assert!(find.family == Family::Evm || find.chain == Some(find.family.as_str()));
        }
        for link in &out.unresolved {
            prop_assert!(link.span.clone().is_none_or(|span| text.get(span).is_some_and(|written| written.starts_with(&link.link))));
        }
    }

    /// Any text may stand around an address, and anything that is no part of it may touch it.
    #[test]
    fn an_embedded_address_is_found(
        seed: u64,
        which in 0..KINDS.len(),
        far_before in ".{0,60}",
        near_before in proptest::option::of(any::<char>()),
        near_after in proptest::option::of(any::<char>()),
        far_after in ".{0,60}",
    ) {
        let kind = &KINDS[which];
        let address = (kind.make)(&mut Dice::new(seed));
        let near = |c: Option<char>| c.filter(|&c| kind.may_touch(c)).map_or_else(|| " ".to_owned(), String::from);
        let text = format!("{far_before}{}{address}{}{far_after}", near(near_before), near(near_after));
        // The one word of two letters that makes 64 hex digits something else.
        prop_assume!(!text.replace(&address, "").to_ascii_lowercase().contains("tx"));
        let finds = findings(&Input { text: &text, prior: kind.prior, ..Input::default() }).finds;
        let expected = kind.canonical(&address);
        let find = finds.iter().find(|find| find.address == expected);
        prop_assert!(find.is_some_and(|find| find.family == kind.family), "{:?} gives {:?}", text, finds);
    }

    /// The same behind words, on a button, in a quote and in a preview.
    #[test]
    fn a_hidden_address_is_found(seed: u64, which in 0..7_usize, place in 0..4) {
        let kind = &KINDS[which];
        let address = (kind.make)(&mut Dice::new(seed));
        let link = format!("https://example.org/token/{address}?ref=chat");
        let entities = [Entity { kind: EntityKind::TextUrl, offset: 0, length: 5, url: Some(&link) }];
        let buttons = [Button::Url(&link)];
        let copies = [Button::Copy(&address)];
        let links = [link.as_str()];
        let input = Input { text: "chart and more", ..Input::default() };
        let finds = findings(&match place {
            0 => Input { entities: &entities, ..input },
            1 => Input { buttons: &buttons, ..input },
            2 => Input { buttons: &copies, ..input },
            _ => Input { links: &links, ..input },
        }).finds;
        prop_assert_eq!(finds.len(), 1);
        prop_assert_eq!(&finds[0].address, &kind.canonical(&address));
        prop_assert_eq!(&finds[0].span, &None);
    }

    #[test]
    fn canonical_forms_stay(seed: u64, which in 0..KINDS.len()) {
        let kind = &KINDS[which];
        let of = |text: &str| findings(&Input { text, prior: kind.prior, ..Input::default() }).finds.remove(0);
        let once = of(&(kind.make)(&mut Dice::new(seed)));
        let twice = of(&once.address);
        prop_assert_eq!(&once.address, &twice.address);
        prop_assert_eq!(once.family, twice.family);
        prop_assert_eq!(twice.address, of(&once.address).address);
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

/// `address` with one character changed to another of `alphabet`.
fn with_one_wrong(dice: &mut Dice, address: &str, alphabet: &[u8]) -> String {
    let mut bytes = address.as_bytes().to_vec();
    let at = dice.below(bytes.len());
    let others: Vec<u8> = alphabet.iter().copied().filter(|&other| other != bytes[at]).collect();
    bytes[at] = others[dice.below(others.len())];
    String::from_utf8(bytes).unwrap()
}

/// A Tron address has 32 bits of checksum: nothing gets through.
#[test]
fn a_wrong_character_makes_no_tron_address() {
    let mut dice = Dice::new(34);
    for _ in 0..TRIES {
        let address = make::tron(&mut dice);
        let wrong = with_one_wrong(
            &mut dice,
            &address,
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        );
        assert_eq!(found(&format!("CA: {wrong}")), [], "{address}");
    }
}

/// A CRC-16 sees every change within 16 bits, and one character has six.
#[test]
fn a_wrong_character_makes_no_ton_address() {
    let mut dice = Dice::new(48);
    for _ in 0..TRIES {
        let address = make::ton(&mut dice);
        let wrong = with_one_wrong(
            &mut dice,
            &address,
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_",
        );
        assert_eq!(found(&format!("CA: {wrong}")), [], "{address}");
    }
}

/// A hex digit changed in an EIP-55 address that stays mixed: at most one in a thousand passes.
#[test]
fn eip55_catches_999_of_1000() {
    let mut dice = Dice::new(55);
    let mut passed = 0;
    let mut tries = 0;
    while tries < TRIES {
        let address = make::evm(&mut dice);
        let wrong = format!(
            "0x{}",
            with_one_wrong(&mut dice, &address[2..], b"0123456789abcdefABCDEF")
        );
        if wrong[2..].bytes().any(|b| b.is_ascii_lowercase()) && wrong[2..].bytes().any(|b| b.is_ascii_uppercase()) {
            tries += 1;
            passed += found(&wrong).len();
        }
    }
    println!("{passed} of {tries} addresses with a wrong character pass for others");
    assert!(passed * 1000 <= TRIES, "{passed} of {TRIES}");
}
