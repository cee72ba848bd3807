//! What people write.

use rand::RngExt;
use rand::rngs::SmallRng;

use super::address;
use crate::world::Draft;
use crate::world::message::{Button, Entity, EntityKind};

const TICKERS: [&str; 18] = [
    "SOL", "ETH", "BTC", "WIF", "BONK", "PEPE", "JUP", "MOG", "POPCAT", "BRETT", "TOSHI", "FLOKI", "TURBO", "MEW",
    "GIGA", "SPX", "DEGEN", "PNUT",
];

/// `{t}` is a ticker, `{p}` a price, `{c}` a percentage, `{m}` a market value.
const TALK: [&str; 44] = [
    "gm everyone ☀️",
    "{t} looks ready, {c}% on the day",
    "who is still holding {t}? at {p} I would not touch it",
    "took profit at {m}, good luck to the rest",
    "is the chart broken for anyone else?",
    "rug or not, the volume is real. mcap {m}",
    "volume on {t} is crazy today",
    "this one went from 20k to {m} while I slept 😭",
    "lol",
    "dev sold. I am out.",
    "liquidity locked for a year they say, we will see",
    "anyone got news on {t}?",
    "entry {p}, stop just below, target {m}",
    "stop asking wen moon",
    "careful, fake {t} tokens everywhere, check the contract before you ape",
    "gas is 40 gwei, patience",
    "buenas, ¿alguien mira {t}? va {c}% arriba",
    "se viene corrección, tomen ganancias 🙏",
    "entré a {p} y ya está en {m}",
    "ojo con los clones de {t}, el equipo no ha lanzado nada todavía",
    "qué locura lo de hoy",
    "всем привет, что по {t}?",
    "зашёл по {p}, пока держу",
    "памп закончился, выхожу. капа {m}",
    "осторожно, разработчик слил свою долю",
    "кто-нибудь видел новости по {t}? рост {c}%",
    "早上好 ☕",
    "{t} 今天涨了 {c}%，还能追吗？",
    "市值 {m}，流动性不够，小心",
    "这个项目方又跑路了",
    "{p} 进场，拿住",
    "günaydın, {t} yine uçtu %{c}",
    "{p} seviyesinden aldım, bekliyorum",
    "bu grafik hiç iyi görünmüyor",
    "bom dia! alguém no {t}?",
    "realizei em {m}, parabéns a quem segurou",
    "cuidado com golpe, não cliquem em link de estranho",
    "anh em ơi {t} tăng {c}% rồi",
    "vào ở giá {p}, chờ xem",
    "Reuters: regulators open another review of stablecoin reserves",
    "airdrop claim is live again, beware of phishing",
    "short squeeze on {t}, {c}% in an hour 🔥🔥",
    "chart for later: https://www.coingecko.com/en/coins/solana",
    "good thread on market making: https://example.org/posts/market-making",
];

/// What stands before an address; `{t}` as above.
const CALLS: [&str; 12] = [
    "New gem 💎 ${t}2",
    "aping this now 🚀",
    "Early call, low cap, do your own research",
    "CA:",
    "contract 👇",
    "нашёл новый токен, зашёл на немного",
    "新土狗，冲不冲？",
    "nuevo lanzamiento, mcap {m}",
    "yeni token çıktı, küçük miktar aldım",
    "lançou agora há pouco",
    "just bonded, volume {m} in ten minutes",
    "whale bought {m} of this:",
];

/// A message's text with its marks, buttons and the addresses in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) text: String,
    units: i32,
    pub(crate) entities: Vec<Entity>,
    pub(crate) buttons: Vec<Button>,
    pub(crate) addresses: Vec<String>,
}

impl From<Line> for Draft {
    fn from(line: Line) -> Self {
        Self {
            text: line.text,
            entities: line.entities,
            buttons: line.buttons,
            addresses: line.addresses,
            ..Self::default()
        }
    }
}

impl Line {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.units += text.encode_utf16().count() as i32;
    }

    fn mark(&mut self, kind: EntityKind, text: &str) {
        let offset = self.units;
        self.push(text);
        self.entities.push(Entity {
            kind,
            offset,
            length: self.units - offset,
        });
    }
}

/// Ordinary chat without an address.
pub(crate) fn talk(rng: &mut SmallRng) -> Line {
    let mut line = small_talk(rng);
    match rng.random_range(0..20) {
        0 => {
            line.push(" ");
            let ticker = pick(rng, &TICKERS);
            line.mark(EntityKind::Cashtag, &format!("${ticker}"));
        }
        1 => {
            line.push(" ");
            let url = format!("https://solscan.io/tx/{}", address::signature(rng));
            line.mark(EntityKind::Url, &url);
        }
        2 => {
            line.push("\n");
            line.mark(
                EntityKind::TextUrl {
                    url: "https://example.org/rules".to_owned(),
                },
                "chat rules",
            );
        }
        3 => line.buttons.push(Button::Url {
            text: "Join the voice chat".to_owned(),
            url: "https://t.me/sim_chat_0?videochat".to_owned(),
        }),
        _ => {}
    }
    line
}

/// A sentence, nothing else.
pub(crate) fn small_talk(rng: &mut SmallRng) -> Line {
    let mut line = Line::default();
    let template = pick(rng, &TALK);
    let text = fill(rng, template);
    line.push(&text);
    line
}

/// A message that brings an address: a fresh one, or the one to repeat.
pub(crate) fn call(rng: &mut SmallRng, again: Option<String>) -> Line {
    let address = again.unwrap_or_else(|| match rng.random_range(0..10) {
        0..4 => address::pump(rng),
        4..7 => address::solana(rng),
        _ => address::evm(rng),
    });
    let evm = address.starts_with("0x");
    let mut line = Line::default();
    let template = pick(rng, &CALLS);
    let text = fill(rng, template);
    line.push(&text);
    let chain = if evm {
        pick(rng, &["ethereum", "base", "bsc"])
    } else {
        "solana"
    };
    match rng.random_range(0..10) {
        0..3 => {
            line.push("\n\n");
            line.mark(EntityKind::Code, &address);
        }
        3..5 => {
            line.push(" ");
            line.push(&address);
        }
        5 | 6 => {
            line.push(" ");
            let url = link(rng, &address, chain);
            line.mark(EntityKind::Url, &url);
        }
        7 => {
            line.push("\n");
            let url = link(rng, &address, chain);
            line.mark(EntityKind::TextUrl { url }, "chart");
            line.push(" | ");
            line.mark(EntityKind::Bold, chain);
        }
        8 => {
            line.push("\n");
            line.mark(EntityKind::Bold, &chain.to_uppercase());
            line.push("\n");
            line.mark(EntityKind::Code, &address);
            let url = link(rng, &address, chain);
            line.buttons.push(Button::Url {
                text: "Chart 📈".to_owned(),
                url,
            });
        }
        _ => {
            line.buttons.push(Button::Copy {
                text: "Copy CA".to_owned(),
                copy: address.clone(),
            });
        }
    }
    if rng.random_bool(0.3) {
        let tail = fill(rng, " mcap {m}, {c}% up");
        line.push(&tail);
    }
    line.addresses.push(address);
    line
}

/// What becomes of a line when its author looks at it again: a touch, an address added, or
/// another address in place of the first.
pub(crate) fn edited(rng: &mut SmallRng, old: &Line) -> Line {
    match (&old.addresses[..], rng.random_range(0..3)) {
        ([], 0) => {
            let mut line = old.clone();
            let fresh = address::pump(rng);
            line.push("\nCA: ");
            line.mark(EntityKind::Code, &fresh);
            line.addresses.push(fresh);
            line
        }
        ([_, ..], 0) => {
            let mut line = call(rng, None);
            let warning = "⚠️ wrong contract before, this is the right one\n";
            let shift = warning.encode_utf16().count() as i32;
            line.text.insert_str(0, warning);
            line.units += shift;
            for entity in &mut line.entities {
                entity.offset += shift;
            }
            line
        }
        _ => {
            let mut line = old.clone();
            line.push(" ✅");
            line
        }
    }
}

/// A load run's message: short, and cheap to make.
pub(crate) fn load_line(rng: &mut SmallRng, with_address: bool) -> Line {
    let mut line = small_talk(rng);
    if with_address {
        let address = if rng.random_bool(0.7) {
            address::solana(rng)
        } else {
            address::evm(rng)
        };
        // Named as one: a base58 address without a digit, one in two thousand, may also be prose.
        line.push(" CA: ");
        line.push(&address);
        line.push(" 🚀");
        line.addresses.push(address);
    }
    line
}

fn link(rng: &mut SmallRng, address: &str, chain: &str) -> String {
    if chain == "solana" {
        match rng.random_range(0..4) {
            0 if address.ends_with("pump") => format!("https://pump.fun/coin/{address}"),
            1 => format!("https://solscan.io/token/{address}"),
            2 => format!("https://birdeye.so/token/{address}?chain=solana"),
            _ => format!("https://dexscreener.com/solana/{address}"),
        }
    } else {
        let explorer = match chain {
            "base" => "basescan.org",
            "bsc" => "bscscan.com",
            _ => "etherscan.io",
        };
        match rng.random_range(0..3) {
            0 => format!("https://{explorer}/token/{address}"),
            1 => format!("https://{explorer}/address/{address}"),
            _ => format!("https://dexscreener.com/{chain}/{address}"),
        }
    }
}

fn fill(rng: &mut SmallRng, template: &str) -> String {
    let mut out = String::with_capacity(template.len() + 16);
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        match rest.get(at..at + 3) {
            Some("{t}") => out.push_str(pick(rng, &TICKERS)),
            Some("{p}") => out.push_str(&price(rng)),
            Some("{c}") => out.push_str(&rng.random_range(3..900).to_string()),
            Some("{m}") => out.push_str(&market(rng)),
            _ => {}
        }
        rest = rest.get(at + 3..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

fn price(rng: &mut SmallRng) -> String {
    match rng.random_range(0..3) {
        0 => format!("0.0000{}", rng.random_range(100..9_999)),
        1 => format!("{}.{:02}", rng.random_range(1..250), rng.random_range(0..100)),
        _ => format!("0.{:04}", rng.random_range(1..10_000)),
    }
}

fn market(rng: &mut SmallRng) -> String {
    match rng.random_range(0..3) {
        0 => format!("${}k", rng.random_range(20..990)),
        1 => format!("{}.{}M", rng.random_range(1..60), rng.random_range(0..10)),
        _ => format!("${},000", rng.random_range(12..900)),
    }
}

fn pick<'a>(rng: &mut SmallRng, list: &[&'a str]) -> &'a str {
    list[rng.random_range(0..list.len())]
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::world::message;

    fn shows(line: &Line, address: &str) -> bool {
        line.text.contains(address)
            || line
                .entities
                .iter()
                .any(|entity| matches!(&entity.kind, EntityKind::TextUrl { url } if url.contains(address)))
            || line.buttons.iter().any(|button| match button {
                Button::Url { url, .. } => url.contains(address),
                Button::Copy { copy, .. } => copy.contains(address),
            })
    }

    #[test]
    fn lines_are_what_telegram_takes_and_show_what_they_claim() {
        let rng = &mut SmallRng::seed_from_u64(7);
        for _ in 0..2_000 {
            let mut line = if rng.random_bool(0.5) {
                talk(rng)
            } else {
                call(rng, None)
            };
            for _ in 0..3 {
                assert!(message::is_valid(&line.text, &line.entities), "{line:?}");
                assert_eq!(line.units, line.text.encode_utf16().count() as i32);
                for address in &line.addresses {
                    assert!(shows(&line, address), "{line:?}");
                }
                line = edited(rng, &line);
            }
        }
    }

    #[test]
    fn the_same_seed_says_the_same() {
        let lines = |seed| {
            let rng = &mut SmallRng::seed_from_u64(seed);
            (0..50).map(|_| call(rng, None)).collect::<Vec<_>>()
        };
        assert_eq!(lines(3), lines(3));
        assert_ne!(lines(3), lines(4));
    }
}
