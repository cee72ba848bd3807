//! Thousands of messages made from captions in twenty languages, every family, every disguise, and
//! what looks like an address without being one.

use std::collections::BTreeMap;

use tgmesh_detect::{Detector, Find, Findings, Input};

use crate::make::{self, Dice};

type Make = fn(&mut Dice) -> String;
type Disguise = fn(&mut Dice, &str) -> String;

/// How many messages of each kind.
const EACH: usize = 400;

/// `{}` is the address. No chain is named, so that all families fit.
const CAPTIONS: [&str; 26] = [
    "{}",
    "CA: {}",
    "ca {}",
    "contract 👉 {}",
    "🔥 New gem just launched 🔥\n\n{}\n\nMC $420K | Liq 11.9 ETH\nNFA DYOR",
    "Presale filled in 43 seconds.\n✅ Contract: {}\n✅ Audit passed",
    "контракт {}",
    "Адрес контракта: {}\nкапа 300к, заходим аккуратно",
    "合约地址：{}\n刚开盘，税0/0",
    "コントラクト:{}\n時価総額 $749K",
    "컨트랙트: {}\n시총 50만",
    "Kontrat: {}\nYatırım tavsiyesi değildir.",
    "Contrato: {}\nEntra antes de 1M",
    "¿Alguien revisó este? {} parece bueno",
    "Contrat : {}\nCapi : 142k",
    "Vertrag: {}\nKeine Anlageberatung.",
    "Contratto: {}\nMC 537k",
    "Kontrak: {}\nMcap 1.1M, DYOR ya bang",
    "Hợp đồng: {}\nVốn hóa 200k",
    "สัญญา: {}\nมาร์เก็ตแคป 90k",
    "قرارداد:\n{}\nمارکت کپ $906,576",
    "العقد: {}\nالقيمة السوقية 100k",
    "अनुबंध: {}\nमार्केट कैप 80k",
    "Umowa: {}\nkapitalizacja 70k",
    "Contract: {}\nשווי שוק 60k",
    "Anti-sniper CA below\nCA: {}\n\n$YEZ fair launch",
];

fn found(detector: &Detector, text: &str) -> Vec<Find> {
    let mut out = Findings::default();
    detector.find(
        &Input {
            text,
            ..Input::default()
        },
        &mut out,
    );
    let out = out.finds;
    for find in &out {
        let span = find.span.clone().expect("it stands in the text");
        assert_eq!(text.get(span), Some(find.raw.as_str()), "{text:?}");
        assert!((0.0..=1.0).contains(&find.confidence) && !find.evidence.is_empty());
    }
    out
}

/// Runs `EACH` messages and tells how many gave the address alone, how many something else.
fn tally(
    name: &str,
    address: fn(&mut Dice) -> String,
    disguise: fn(&mut Dice, &str) -> String,
) -> (String, usize, Vec<String>) {
    let detector = Detector::new();
    let mut dice = Dice::new(name.bytes().fold(7, |seed, b| seed * 31 + u64::from(b)));
    let mut right = 0;
    let mut wrong = Vec::new();
    for _ in 0..EACH {
        let address = address(&mut dice);
        let text = dice.pick(&CAPTIONS).replace("{}", &disguise(&mut dice, &address));
        let finds = found(&detector, &text);
        let expected = if address.len() == 42 {
            make::eip55(&address)
        } else {
            address
        };
        if finds.len() == 1 && finds[0].address == expected {
            right += 1;
        } else {
            let got: Vec<_> = finds.iter().map(|find| &find.address).collect();
            wrong.push(format!("{expected} in {text:?}: {got:?}"));
        }
    }
    (name.to_owned(), right, wrong)
}

fn check(rows: Vec<(String, usize, Vec<String>)>, at_least: f64) {
    let mut report = BTreeMap::new();
    let mut bad = Vec::new();
    for (name, right, wrong) in rows {
        let share = right as f64 / EACH as f64;
        report.insert(name.clone(), share);
        if share < at_least {
            bad.push(format!(
                "{name}: {share:.3}\n  {}",
                wrong[..wrong.len().min(4)].join("\n  ")
            ));
        }
    }
    println!("{report:#.3?}");
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

/// Cuts into `pieces` of random lengths.
fn cut(dice: &mut Dice, word: &str, pieces: usize) -> Vec<String> {
    let mut cuts: Vec<usize> = (1..pieces).map(|_| 1 + dice.below(word.len() - 1)).collect();
    cuts.extend([0, word.len()]);
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|pair| word[pair[0]..pair[1]].to_owned()).collect()
}

fn glue(dice: &mut Dice, word: &str, glue: &str) -> String {
    let pieces = 2 + dice.below(4);
    cut(dice, word, pieces).join(glue)
}

fn zero_width(dice: &mut Dice, word: &str) -> String {
    const INVISIBLE: [&str; 8] = [
        "\u{200b}", "\u{200c}", "\u{200d}", "\u{2060}", "\u{feff}", "\u{ad}", "\u{180e}", "\u{200f}",
    ];
    let mark = dice.pick(&INVISIBLE);
    glue(dice, word, mark)
}

fn fullwidth(_: &mut Dice, word: &str) -> String {
    word.chars()
        .map(|c| char::from_u32(c as u32 - 0x21 + 0xff01).unwrap())
        .collect()
}

fn math(dice: &mut Dice, word: &str) -> String {
    let (upper, digits) = [(0x1d5d4, 0x1d7ec), (0x1d400, 0x1d7ce), (0x1d670, 0x1d7f6)][dice.below(3)];
    word.chars()
        .map(|c| {
            let code = match c {
                'A'..='Z' => upper + (c as u32 - 'A' as u32),
                'a'..='z' => upper + 26 + (c as u32 - 'a' as u32),
                '0'..='9' => digits + (c as u32 - '0' as u32),
                _ => c as u32,
            };
            char::from_u32(code).unwrap()
        })
        .collect()
}

fn look_alikes(dice: &mut Dice, word: &str) -> String {
    const PAIRS: [(char, char); 16] = [
        ('A', 'А'),
        ('B', 'В'),
        ('C', 'С'),
        ('E', 'Е'),
        ('H', 'Н'),
        ('K', 'К'),
        ('M', 'М'),
        ('P', 'Р'),
        ('T', 'Т'),
        ('X', 'Х'),
        ('a', 'а'),
        ('c', 'с'),
        ('e', 'е'),
        ('o', 'о'),
        ('p', 'р'),
        ('x', 'х'),
    ];
    let mut left = 1 + dice.below(4);
    word.chars()
        .map(|c| match PAIRS.iter().find(|(latin, _)| *latin == c) {
            Some((_, other)) if left > 0 => {
                left -= 1;
                *other
            }
            _ => c,
        })
        .collect()
}

fn spaces(dice: &mut Dice, word: &str) -> String {
    format!("(remove spaces)\n{}", glue(dice, word, " "))
}

fn lines(dice: &mut Dice, word: &str) -> String {
    format!("(join lines)\n{}", glue(dice, word, "\n"))
}

fn dots(dice: &mut Dice, word: &str) -> String {
    let mark = dice.pick(&[".", " . ", "...", "·"]);
    glue(dice, word, mark)
}

fn dashes(dice: &mut Dice, word: &str) -> String {
    let mark = dice.pick(&[" - ", "~", "–", " — "]);
    glue(dice, word, mark)
}

fn emoji(dice: &mut Dice, word: &str) -> String {
    let mark = dice.pick(&["🚀", " ⭐️ ", "✂️", "🐸", " 🔥 "]);
    glue(dice, word, mark)
}

fn filler(dice: &mut Dice, word: &str) -> String {
    let mark = dice.pick(&["❌REMOVE❌", "(удали)", "[DELETE]", "【删除】", "*remove*"]);
    glue(dice, word, mark)
}

fn markup(dice: &mut Dice, word: &str) -> String {
    let (open, close) = [("<b>", "</b>"), ("`", "`"), ("**", "**"), ("||", "||")][dice.below(4)];
    let pieces = 2 + dice.below(3);
    cut(dice, word, pieces)
        .iter()
        .fold(String::new(), |out, piece| out + open + piece + close)
}

fn spelled(dice: &mut Dice, word: &str) -> String {
    let mark = dice.pick(&[" ", ".", "-", " . "]);
    word.chars().map(String::from).collect::<Vec<_>>().join(mark)
}

fn parts(dice: &mut Dice, word: &str) -> String {
    let at = 6 + dice.below(word.len() - 12);
    let (a, b) = word.split_at(at);
    match dice.below(4) {
        0 => format!("in pieces\npart 1: {a}\npart 2: {b}"),
        1 => format!("в двух частях\nчасть 1: {a}\nчасть 2: {b}\nсклей сам"),
        2 => format!("\n1) {a}\n2) {b}"),
        _ => format!("second first!\nPart 2: {b}\nPart 1: {a}"),
    }
}

fn reversed(dice: &mut Dice, word: &str) -> String {
    let back: String = word.chars().rev().collect();
    let cue = dice.pick(&["(reversed)", "al revés:", "наоборот:", "倒序：", "read it backwards:"]);
    format!("{cue} {back}")
}

fn both(dice: &mut Dice, word: &str) -> String {
    let first = look_alikes(dice, word);
    let chars: Vec<char> = first.chars().collect();
    let at = 4 + dice.below(chars.len() - 8);
    let mark = dice.pick(&["🚀", "...", "\u{200b}", " - "]);
    format!(
        "{}{}\u{200b}{}",
        chars[..at].iter().collect::<String>(),
        mark,
        chars[at..].iter().collect::<String>()
    )
}

fn as_is(_: &mut Dice, word: &str) -> String {
    word.to_owned()
}

#[test]
fn addresses_in_the_open_are_found() {
    check(
        vec![
            tally("solana", make::solana, as_is),
            tally("pump", make::pump, as_is),
            tally("evm", make::evm, as_is),
            tally("evm lower", make::evm_lower, as_is),
            tally("evm upper", make::evm, |_, word| {
                format!("0x{}", word[2..].to_uppercase())
            }),
            tally("evm 0X", make::evm, |_, word| format!("0X{}", &word[2..])),
            tally("tron", make::tron, as_is),
            tally("ton", make::ton, as_is),
        ],
        0.997,
    );
}

#[test]
fn disguised_addresses_are_found() {
    let mut rows = Vec::new();
    let families: [(&str, Make); 5] = [
        ("solana", make::solana),
        ("pump", make::pump),
        ("evm", make::evm),
        ("tron", make::tron),
        ("ton", make::ton),
    ];
    let disguises: [(&str, Disguise); 15] = [
        ("zero width", zero_width),
        ("fullwidth", fullwidth),
        ("math", math),
        ("look-alikes", look_alikes),
        ("spaces", spaces),
        ("lines", lines),
        ("dots", dots),
        ("dashes", dashes),
        ("emoji", emoji),
        ("filler", filler),
        ("markup", markup),
        ("spelled", spelled),
        ("parts", parts),
        ("reversed", reversed),
        ("both", both),
    ];
    for (family, address) in families {
        for (name, disguise) in disguises {
            // The reader of a TON address cannot tell its own dashes from others either.
            if family != "ton" || !matches!(name, "spelled") {
                rows.push(tally(&format!("{family}, {name}"), address, disguise));
            }
        }
    }
    rows.push(tally("pump, suffix apart", make::pump, |dice, word| {
        let mark = dice.pick(&[" ", " + ", "\n", "..."]);
        format!("{}{mark}pump", &word[..word.len() - 4])
    }));
    rows.push(tally("pump, suffix to add", make::pump, |_, word| {
        format!("{} (add pump at the end)", &word[..word.len() - 4])
    }));
    rows.push(tally("evm, prefix apart", make::evm, |_, word| {
        format!("0x {}", &word[2..])
    }));
    rows.push(tally("evm, prefix missing", make::evm, |_, word| word[2..].to_owned()));
    rows.push(tally("evm, letter O", make::evm, |_, word| format!("Ox{}", &word[2..])));
    check(rows, 0.98);
}

#[test]
fn what_is_no_address_is_not_found() {
    let kinds: [(&str, Make); 14] = [
        ("31 bytes", |dice| make::base58(&dice.bytes::<31>())),
        ("33 bytes", |dice| make::base58(&dice.bytes::<33>())),
        ("signature", |dice| make::base58(&dice.bytes::<64>())),
        ("bad EIP-55", |dice| {
            loop {
                let word = make::evm(dice);
                let at = 2 + dice.below(40);
                let c = word.as_bytes()[at];
                if c.is_ascii_alphabetic() {
                    let flipped = if c.is_ascii_lowercase() {
                        c.to_ascii_uppercase()
                    } else {
                        c.to_ascii_lowercase()
                    };
                    let mixed = format!("{}{}{}", &word[..at], char::from(flipped), &word[at + 1..]);
                    if mixed[2..].bytes().any(|b| b.is_ascii_lowercase())
                        && mixed[2..].bytes().any(|b| b.is_ascii_uppercase())
                    {
                        break mixed;
                    }
                }
            }
        }),
        ("41 digits", |dice| format!("{}a", make::evm_lower(dice))),
        ("39 digits", |dice| make::evm_lower(dice)[..41].to_owned()),
        ("transaction", |dice| format!("tx {}", make::move_address(dice))),
        ("explorer page", |dice| {
            format!("https://bscscan.com/tx/{}", make::move_address(dice))
        }),
        ("bad Tron", |dice| {
            let word = make::tron(dice);
            let last = if word.ends_with('z') { 'y' } else { 'z' };
            format!("{}{last}", &word[..33])
        }),
        ("bad TON", |dice| {
            let word = make::ton(dice);
            let last = if word.ends_with('A') { 'B' } else { 'A' };
            format!("{}{last}", &word[..47])
        }),
        ("truncated", |dice| {
            let word = make::evm(dice);
            format!("{}...{}", &word[..8], &word[36..])
        }),
        ("uuid", |dice| {
            let h = make::hex(&dice.bytes::<16>());
            format!("{}-{}-{}-{}-{}", &h[..8], &h[8..12], &h[12..16], &h[16..20], &h[20..])
        }),
        ("commit", |dice| {
            format!("https://github.com/x/y/commit/{}", make::hex(&dice.bytes::<20>()))
        }),
        ("laughter", |dice| {
            dice.pick(&["haha", "KekW", "xD", "Ja", "lol", "jeje"])
                .repeat(60)
                .chars()
                .take(43 + dice.below(2))
                .collect()
        }),
    ];
    let detector = Detector::new();
    let mut wrong = Vec::new();
    for (name, make) in kinds {
        let mut dice = Dice::new(name.len() as u64 + 99);
        for _ in 0..EACH {
            let text = dice.pick(&CAPTIONS).replace("{}", &make(&mut dice));
            for find in found(&detector, &text) {
                wrong.push(format!(
                    "{name}: {} {} in {text:?} by {:?}",
                    find.family, find.address, find.evidence
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        kinds.len() * EACH,
        wrong[..wrong.len().min(12)].join("\n")
    );
}

#[test]
fn coins_of_sui_and_aptos_need_a_name() {
    let detector = Detector::new();
    let mut dice = Dice::new(5);
    for _ in 0..EACH {
        let address = make::move_address(&mut dice);
        assert!(found(&detector, &address).is_empty());
        for (text, family, coin) in [
            (format!("#Sui\nCA: {address}::nami::NAMI"), "sui", Some("nami::NAMI")),
            (format!("{address}::nami::NAMI"), "sui", Some("nami::NAMI")),
            (
                format!("{address}::asset::WrappedCoin"),
                "aptos",
                Some("asset::WrappedCoin"),
            ),
            (
                format!("合约{address}::coin::T刚开盘,Aptos链"),
                "aptos",
                Some("coin::T"),
            ),
            (format!("Network → Sui\n{address}"), "sui", None),
            (
                format!("https://suiscan.xyz/mainnet/coin/{address}::pig::PIG/txs"),
                "sui",
                Some("pig::PIG"),
            ),
            (
                format!("https://explorer.aptoslabs.com/fungible_asset/{address}?network=mainnet"),
                "aptos",
                None,
            ),
        ] {
            let finds = found(&detector, &text);
            assert_eq!(finds.len(), 1, "{text}: {finds:?}");
            assert_eq!(
                (finds[0].family.as_str(), finds[0].address.as_str()),
                (family, address.as_str()),
                "{text}"
            );
            assert_eq!(
                finds[0].coin_type,
                coin.map(|coin| format!("{address}::{coin}")),
                "{text}"
            );
        }
    }
}
