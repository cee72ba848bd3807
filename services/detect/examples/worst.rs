//! Looks for the slowest message there is: a hill climb over texts of Telegram's full length.
//!
//! `cargo run --release -p tgmesh-detect --example worst -- [seconds] [seed] [found.jsonl]`
//!
//! A text is a beginning and a piece that is repeated behind it. The search changes both by
//! character and by word, and keeps what takes longer. It starts from the hard texts of the
//! benchmark; what it finds is written to the file in the form that the benchmark reads.

#[path = "../benches/speed/cpu.rs"]
#[allow(dead_code, reason = "the benchmark uses the rest of it")]
mod cpu;
#[path = "../benches/speed/hard.rs"]
#[allow(dead_code, reason = "the benchmark uses the rest of it")]
mod hard;
#[path = "../tests/it/make.rs"]
#[allow(dead_code, reason = "the tests use the rest of it")]
mod make;

use std::hint::black_box;
use std::time::{Duration, Instant};

use tgmesh_detect::{Detector, Findings, Input};

use make::Dice;

/// Texts that the search goes on from.
const KEPT: usize = 24;
/// The longest piece, in bytes: more is no longer a pattern but a message.
const LONGEST: usize = 600;

/// What gives a text a meaning for one of the detector's steps.
const WORDS: [&str; 60] = [
    "0x",
    "x0",
    "0X",
    "Ox",
    "EQ",
    "UQ",
    "kf",
    "T",
    "TJ",
    "0:",
    "-1:",
    "https://",
    "hxxps://",
    "t.me/x?start=",
    "etherscan.io/token/",
    "dexscreener.com/solana/",
    "pump.fun/coin/",
    "/tx/",
    "?a=",
    "&b=",
    "%25",
    "%41",
    "#",
    "::coin::COIN",
    "pump",
    "bonk",
    "pmup",
    "knob",
    "reversed ",
    "наоборот ",
    "remove ",
    "REMOVE",
    "remove \"MOON\" ",
    "MOON",
    "part 1: ",
    "2/3 ",
    "1) ",
    "add pump ",
    "add 0x ",
    "CA: ",
    "tx ",
    "base ",
    "sui ",
    "aptos ",
    "on bsc\n",
    "<b>",
    "</b>",
    "<",
    ">",
    "\u{200b}",
    "🔥",
    " - ",
    "...",
    "\n\n",
    "[.]",
    "(dot)",
    "а",
    "Ｘ",
    "𝐀",
    "é",
];

#[derive(Clone)]
struct Text {
    head: String,
    piece: String,
    took: Duration,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (seconds, seed) = (number(60), number(1));
    let detector = Detector::new();
    let mut dice = Dice::new(seed);
    let mut kept: Vec<Text> = hard::pieces()
        .into_iter()
        .map(|(_, piece)| timed(&detector, String::new(), piece))
        .collect();
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut tries = 0_u64;
    while Instant::now() < end {
        tries += 1;
        let from = &kept[dice.below(kept.len())];
        let other = &kept[dice.below(kept.len())];
        let (mut head, mut piece) = (from.head.clone(), from.piece.clone());
        for _ in 0..=dice.below(4) {
            if dice.below(5) == 0 {
                change(&mut dice, &mut head, &other.head);
            } else {
                change(&mut dice, &mut piece, &other.piece);
            }
        }
        if piece.is_empty() {
            continue;
        }
        let text = timed(&detector, head, piece);
        kept.sort_by_key(|text| std::cmp::Reverse(text.took));
        kept.truncate(KEPT);
        let last = kept[kept.len() - 1].took;
        let known = kept.iter().any(|other| other.piece == text.piece);
        // Once more, so that a disturbed measurement does not win.
        if text.took > last && !known {
            let again = timed(&detector, text.head, text.piece);
            if again.took > last {
                if again.took > kept[0].took {
                    println!("{tries:>9}: {:>9.1?} {:?} {:?}", again.took, again.head, again.piece);
                }
                kept.push(again);
            }
        }
    }
    // What was slow by chance once is not so five times.
    for text in &mut kept {
        text.took = (0..5)
            .map(|_| time(&detector, &hard::message(&text.head, &text.piece)))
            .min()
            .unwrap_or_default();
    }
    kept.sort_by_key(|text| std::cmp::Reverse(text.took));
    println!("{tries} texts tried; the slowest:");
    let lines: Vec<String> = kept
        .iter()
        .take(3)
        .map(|text| {
            println!("{:.1?} {:?} {:?}", text.took, text.head, text.piece);
            serde_json::json!({ "head": text.head, "piece": text.piece }).to_string()
        })
        .collect();
    if let Some(path) = arguments.next() {
        std::fs::write(&path, lines.join("\n") + "\n").expect("the file can be written");
    }
}

fn timed(detector: &Detector, head: String, piece: String) -> Text {
    let message = hard::message(&head, &piece);
    let took = (0..3).map(|_| time(detector, &message)).min().unwrap_or_default();
    Text { head, piece, took }
}

fn time(detector: &Detector, text: &str) -> Duration {
    let mut out = Findings::default();
    let start = cpu::now();
    detector.find(
        &Input {
            text: black_box(text),
            ..Input::default()
        },
        &mut out,
    );
    cpu::now().saturating_sub(start)
}

fn change(dice: &mut Dice, text: &mut String, other: &str) {
    let place = |dice: &mut Dice, text: &str| text.floor_char_boundary(dice.below(text.len() + 1));
    let (a, b) = (place(dice, text), place(dice, text));
    let (start, end) = (a.min(b), a.max(b));
    match dice.below(9) {
        0 => text.replace_range(start..end.min(text.floor_char_boundary(start + 8)), ""),
        1 => text.replace_range(start..end, ""),
        2 | 3 => text.insert_str(start, dice.pick(&WORDS)),
        4 => text.insert(start, char::from(b' ' + dice.below(95) as u8)),
        5 => {
            let again = text[start..end].to_owned();
            text.insert_str(end, &again);
        }
        6 => {
            let (c, d) = (place(dice, other), place(dice, other));
            text.insert_str(start, &other[c.min(d)..c.max(d)]);
        }
        7 => {
            let address = [
                make::evm,
                make::evm_lower,
                make::solana,
                make::pump,
                make::tron,
                make::ton,
                make::move_address,
            ][dice.below(7)](dice);
            let (c, d) = (dice.below(address.len() + 1), dice.below(address.len() + 1));
            text.insert_str(start, if c == d { &address } else { &address[c.min(d)..c.max(d)] });
        }
        _ => {
            let turned: String = text[start..end].chars().rev().collect();
            text.replace_range(start..end, &turned);
        }
    }
    text.truncate(text.floor_char_boundary(LONGEST));
}
