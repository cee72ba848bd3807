//! What looking for secrets costs: nanoseconds for a message of ordinary chat, one with the
//! benchmark's mix, and microseconds for the slowest message of full length that was thought of.
//!
//! `cargo run --release -p tgmesh-detect --example secrets`

#[path = "../benches/speed/chat.rs"]
#[allow(dead_code, reason = "the benchmark uses the rest of it")]
mod chat;
#[path = "../tests/it/make.rs"]
#[allow(dead_code, reason = "the tests use the rest of it")]
mod make;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use tgmesh_detect::Masker;

fn main() {
    let masker = Masker::new();
    for (name, messages) in [("ascii", chat::ascii(2000)), ("mix", chat::mix(2000))] {
        let texts: Vec<&str> = messages.iter().map(|message| message.text.as_str()).collect();
        let best = best_of(20, || look(&masker, &texts));
        println!("{name}: {} ns a message", best.as_nanos() as usize / texts.len());
    }
    for (name, text) in hard() {
        let best = best_of(20, || look(&masker, &[&text]));
        println!("{name}: {} µs", best.as_micros());
    }
}

fn look(masker: &Masker, texts: &[&str]) {
    let mut out = Vec::new();
    for text in texts {
        masker.find(black_box(text), &mut out);
        out.clear();
    }
}

fn best_of(times: usize, mut run: impl FnMut()) -> Duration {
    let one = |run: &mut dyn FnMut()| {
        let began = Instant::now();
        run();
        began.elapsed()
    };
    let all = (0..times).map(|_| one(&mut run));
    all.min().unwrap_or_default()
}

/// Messages of 4,096 characters that cost as much as they can.
fn hard() -> Vec<(&'static str, String)> {
    let fill = |part: &str| part.chars().cycle().take(4096).collect::<String>();
    vec![
        ("listed words, invalid", fill("zoo ")),
        ("rows of sixty-four words", fill(&format!("{}the ", "zoo ".repeat(64)))),
        (
            "rows of sixty-four Chinese words",
            fill(&format!("{}- a ", "的 ".repeat(64))),
        ),
        ("eleven words", fill(&format!("{}the ", "zoo ".repeat(11)))),
        ("invisible characters", fill("z\u{200b}o\u{200b}o ")),
        ("look-alikes", fill("а\u{301}ο𝐱 ")),
        (
            "signatures",
            fill(&format!(
                "{} ",
                "5VERv8NMvzbJMEkV8xnrLkEaWRtSz9CosKDYjCJjBRnb".repeat(2)
            )),
        ),
        ("hex pairs", fill(&format!("{} ", "0123456789abcdef".repeat(8)))),
        ("hashes", fill(&format!("{} ", "0123456789abcdef".repeat(4)))),
        ("numbers", fill("1,2,3,44,")),
        ("arrays", fill(&format!("[{}7]\n", "1,".repeat(64)))),
        ("fillers", fill("a) ")),
    ]
}
