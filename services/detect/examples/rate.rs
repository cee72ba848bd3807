//! Messages per second on one core, for chat with nothing in it and for a realistic mix, and the
//! worst time for one message of full length.
//!
//! `cargo run --release -p tgmesh-detect --example rate`

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use tgmesh_detect::{Detector, Findings, Input};

/// 100 to 200 bytes each, no address.
const CHAT: [&str; 8] = [
    "gm everyone, what a night, I slept three hours and the chart did nothing at all while I was watching it like a hawk",
    "anyone else thinks that the team will move the launch again? they said friday, then monday, and now nobody answers in the group chat",
    "$PEPE at $0.00001234 today, up 12.5% since 9am, volume 3.4M and climbing, I am still holding my bag from last november lol",
    "Reminder: never share your seed phrase with anybody, admins will never message you first, report every account that claims otherwise",
    "just got home from work, long day, who is streaming tonight? last time was fun even if we lost every single game we played there",
    "BTC dominance at 54.2%, ETH/BTC looks weak, 67,250 is the level to watch, below that I close half and wait for the next week to come",
    "the new update broke my node again: version 2.15.1 needs a newer kernel, see https://example.org/docs/upgrade?from=2.9&to=2.15 for it",
    "Ok so I asked support and they told me to wait 24h, then another 24h, then they closed the ticket; not impressed with this exchange!",
];

/// One in ten with an address, three in ten beyond ASCII, one in thirty disguised.
const MIX: [&str; 30] = [
    CHAT[0],
    CHAT[1],
    CHAT[2],
    CHAT[3],
    CHAT[4],
    CHAT[5],
    CHAT[6],
    CHAT[7],
    CHAT[0],
    CHAT[1],
    CHAT[2],
    CHAT[3],
    CHAT[4],
    CHAT[5],
    CHAT[6],
    CHAT[7],
    CHAT[1],
    "Сегодня взяли три позиции, итог +115%, кто не успел, тот ждёт следующего сигнала завтра утром в 9:00 по Москве",
    "今日 BTC 涨了 5%，大家怎么看？我觉得还会再涨一点，但是不要追高，注意风险，仓位控制在三成以内",
    "LFG 🚀🚀🚀 who's still holding? 💎🙌 targets 2x 5x 10x, stop loss below the wick, NFA DYOR 🙏 see you on the moon 🌕",
    "Bugün piyasa çok sakin, hacim düşük, büyük oyuncular bekliyor; akşam açıklama gelirse hareket başlar diye düşünüyorum",
    "¿Alguien sabe a qué hora es la reunión? Dicen que anuncian la nueva lista, pero nadie confirmó nada todavía 🤔",
    "صباح الخير جميعا، السوق هادئ اليوم، لا تستعجلوا في الشراء وانتظروا التأكيد من الفريق قبل أي خطوة",
    "🔥 muffin 🔥\n\nMC $2,467,481\nLiq 23.2 ETH\n\n🔗 chart soon, stay tuned frens, no link before the launch is over ✨",
    "Привет! как дела? сегодня вечером созвон в 20:00, ссылку пришлю позже 🙂 не опаздывайте пожалуйста",
    "📊 ETH 3,412 (+2.1%) • SOL 187 (−0.4%) • BNB 611 (+0.2%) — gas 12 gwei, funding neutral, fear & greed 54",
    "🤖 Auto-scan\n[ 0x14b13e06f75e1f0fd51ca2e699589ef398e10f4c ]\nChain: BNB Chain\n5m: +12.4%  1h: +88.1%  24h: -3.0%",
    "Presale filled in 43 seconds. Live on sol.\n\n✅ Contract verified: BEBdHbHDDNtnw6sCp9bcK7etiCciPYEJMp6YbGFDbonk\n✅ Audit passed",
    "check holders first https://dexscreener.com/base/0x7771450ece9c61430953d2646f995e33a06c91f5 then ape, liquidity is thin",
    "Anti-sniper CA below\nCA (remove spaces):\n4rZ9hnzsmfpqRW  MV  K7nG5GGPjXpkptk1  rmcZe6VCpump\nsee you inside",
];

fn main() {
    let detector = Detector::new();
    rate(&detector, "ASCII chat with nothing in it", &CHAT);
    rate(&detector, "realistic mix", &MIX);
    for (name, text) in worst() {
        let mut out = Findings::default();
        let best = (0..20)
            .map(|_| {
                out.clear();
                let start = Instant::now();
                detector.find(
                    &Input {
                        text: &text,
                        ..Input::default()
                    },
                    &mut out,
                );
                start.elapsed()
            })
            .min()
            .unwrap_or_default();
        println!("4,096 characters, {name}: {best:?}, {} finds", out.finds.len());
    }
}

fn rate(detector: &Detector, name: &str, messages: &[&str]) {
    let mut out = Findings::default();
    let bytes: usize = messages.iter().map(|message| message.len()).sum();
    let mut best = 0.0_f64;
    for _ in 0..5 {
        let start = Instant::now();
        let mut count = 0;
        while start.elapsed() < Duration::from_millis(400) {
            for _ in 0..64 {
                for text in messages {
                    detector.find(
                        &Input {
                            text: black_box(text),
                            ..Input::default()
                        },
                        &mut out,
                    );
                }
                out.clear();
            }
            count += 64 * messages.len();
        }
        best = best.max(count as f64 / start.elapsed().as_secs_f64());
    }
    println!(
        "{name}: {best:.0} messages/s, {} bytes each on average",
        bytes / messages.len()
    );
}

/// Texts made to be slow.
fn worst() -> Vec<(&'static str, String)> {
    let fill = |piece: &str| piece.chars().cycle().take(4096).collect::<String>();
    vec![
        ("addresses", fill("0x14b13e06f75e1f0fd51ca2e699589ef398e10f4c ")),
        ("keys", fill("BEBdHbHDDNtnw6sCp9bcK7etiCciPYEJMp6YbGFDbonk ")),
        ("single characters", fill("a B ")),
        ("single T", fill("T ")),
        ("TJ pairs", fill("T J ")),
        ("EQ starts", fill("EQ-EQ_")),
        ("zeros and x", fill("0 x ")),
        (
            "links",
            fill("https://etherscan.io/token/0x14b13e06f75e1f0fd51ca2e699589ef398e10f4c?a=b&c=d "),
        ),
        (
            "one long link",
            fill("https://a.io/BEBdHbHDDNtnw6sCp9bcK7etiCciPYEJMp6YbGFDbonk/"),
        ),
        (
            "percent signs",
            fill("https://a.io/%2541%2541BEBdHbHDDNtnw6sCp9bcK7etiCciPYEJMp6YbGFDbonk/"),
        ),
        ("schemes", fill("a://BEBdHbHDDNtnw6sCp9bcK7etiCciPYEJMp6YbGFDbonk/")),
        ("look-alikes", fill("аB")),
        ("tags", fill("<b>aB1</b>")),
        ("tag starts", fill("<")),
        ("zero widths", fill("a\u{200b}B1")),
        ("fillers", fill("a1remove\"B1\"")),
        ("mixed pieces", fill("aB1 cD2.eF3-")),
        ("parts", fill("1: aB1c 2: dE2f ")),
        ("one run", fill("aB1cD2eF")),
        (
            "chain names",
            fill("base bsc eth 0x14b13e06f75e1f0fd51ca2e699589ef398e10f4c "),
        ),
    ]
}
