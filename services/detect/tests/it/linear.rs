//! What a message costs grows with its length and no faster.
//!
//! Time is measured by the benchmark (`benches/speed`), which puts the growth of each of its hard
//! texts into `deploy/bench/RESULTS.md`. Here memory stands for work: what a step writes down is
//! counted exactly, on any machine, however busy.

use allocation_counter::{AllocationInfo, measure};
use tgmesh_detect::{Detector, Findings, Input};

use crate::make::{self, Dice};

/// A step that copies the text once per find or per word shows as 64 times the bytes for 8 times
/// the text. Buffers that double make twice the bytes at an unlucky length.
const GROWTH: u64 = 8;
const UNLUCKY: u64 = 2;

fn cost(detector: &Detector, text: &str) -> AllocationInfo {
    let mut out = Findings::default();
    measure(|| {
        detector.find(
            &Input {
                text,
                ..Input::default()
            },
            &mut out,
        );
    })
}

#[test]
fn memory_grows_with_the_length() {
    let detector = Detector::new();
    let mut dice = Dice::new(3);
    let mint = make::solana(&mut dice);
    let evm = make::evm_lower(&mut dice);
    let tron = make::tron(&mut dice);
    let toncoin = make::ton(&mut dice);
    let pieces = [
        format!("{mint} "),
        format!("{evm} base bsc "),
        format!("CA {tron} {toncoin}\n"),
        format!("https://a.io/{mint}/"),
        format!("https://dexscreener.com/solana/{} ", mint.to_lowercase()),
        format!("a.{mint}"),
        format!("{} ", evm.chars().rev().collect::<String>()),
        format!("reversed {} ", mint.chars().rev().collect::<String>()),
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
        "hxxps://a[.]io/%2541(dot)b ".to_owned(),
    ];
    for piece in pieces {
        // The odd end makes the detector look behind the text at any length.
        let text = |length: usize| piece.repeat(length / piece.len()) + " aB1cD2eF3gH4iJ5";
        let short = cost(&detector, &text(16_384));
        let long = cost(&detector, &text(16_384 * GROWTH as usize));
        let most = |short: u64| short * GROWTH * UNLUCKY + (16 << 10);
        assert!(
            long.bytes_total <= most(short.bytes_total),
            "{piece:?}: {} then {} bytes",
            short.bytes_total,
            long.bytes_total
        );
        assert!(
            long.count_total <= most(short.count_total),
            "{piece:?}: {} then {} allocations",
            short.count_total,
            long.count_total
        );
    }
}
