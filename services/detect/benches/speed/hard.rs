//! Messages of Telegram's full length that are made to be slow, and those that a search
//! (`--example worst`) found to be slower still.

use crate::make::{self, Dice};

/// The longest text of one message, in characters.
pub const FULL: usize = 4096;

/// Pieces that make a slow message when they are repeated, by name. Each aims at one step: a
/// checksum that has to be computed, a join that begins everywhere, a link that is opened twice, a
/// reading that copies.
pub fn pieces() -> Vec<(&'static str, String)> {
    let mut dice = Dice::new(5);
    let evm = make::evm_lower(&mut dice);
    let mint = make::solana(&mut dice);
    let tron = make::tron(&mut dice);
    let toncoin = make::ton(&mut dice);
    let wide: String = evm
        .chars()
        .map(|c| char::from_u32(c as u32 + 0xfee0).unwrap_or(c))
        .collect();
    let named: [(&'static str, String); 28] = [
        ("addresses", format!("{evm} ")),
        ("keys", format!("{mint} ")),
        ("tron", format!("{tron} ")),
        ("ton", format!("{toncoin} ")),
        ("chains", format!("base bsc eth {evm} ")),
        ("single-characters", "a B ".to_owned()),
        ("single-t", "T ".to_owned()),
        ("t-pairs", "T J ".to_owned()),
        ("ton-starts", "EQ-EQ_".to_owned()),
        ("zero-x", "0 x ".to_owned()),
        ("explorer-links", format!("https://etherscan.io/token/{evm}?a=b&c=d ")),
        ("one-link", format!("https://a.io/{mint}/")),
        ("escapes", format!("https://a.io/%2541%2541{mint}/")),
        ("schemes", format!("a://{mint}/")),
        ("look-alikes", "аB".to_owned()),
        ("wide", wide),
        ("tags", "<b>aB1</b>".to_owned()),
        ("tag-starts", "<".to_owned()),
        ("zero-widths", "a\u{200b}B1".to_owned()),
        ("fillers", "a1remove\"B1\"".to_owned()),
        ("mixed-pieces", "aB1 cD2.eF3-".to_owned()),
        ("parts", "1: aB1c 2: dE2f ".to_owned()),
        ("one-run", "aB1cD2eF".to_owned()),
        (
            "reversed",
            format!("reversed {} ", mint.chars().rev().collect::<String>()),
        ),
        ("broken-links", "hxxps://a[.]io/b(dot)c ".to_owned()),
        ("prefixes", format!("{} add pump ", &mint[..40])),
        ("words", "abandon ability able about above absent ".to_owned()),
        ("emoji", format!("{}🔥{} ", &tron[..17], &tron[17..])),
    ];
    named.into_iter().collect()
}

/// `piece` over and over, to a length in characters.
pub fn fill(piece: &str, length: usize) -> String {
    piece.chars().cycle().take(length).collect()
}

/// What the search found, as whole messages.
pub fn found() -> Vec<(String, String)> {
    include_str!("found.jsonl")
        .lines()
        .enumerate()
        .map(|(index, line)| {
            let line: serde_json::Value = serde_json::from_str(line).expect("the search wrote it");
            let part = |key: &str| line[key].as_str().unwrap_or_default();
            (format!("found-{}", index + 1), message(part("head"), part("piece")))
        })
        .collect()
}

/// A message of full length: `head` once, then `piece` over and over.
pub fn message(head: &str, piece: &str) -> String {
    let length = FULL.saturating_sub(head.chars().count());
    format!("{head}{}", fill(piece, length))
}
