//! Chat to measure with: thousands of different messages, so that no branch predictor knows them.
//!
//! Everything is made from a seed out of sentences, numbers, names and addresses; nothing repeats
//! as a whole.

use crate::make::{self, Dice};

/// A message and the links behind its words (offset and length in UTF-16 units).
pub struct Message {
    pub text: String,
    pub hidden: Vec<(usize, usize, String)>,
}

const OPENERS: [&str; 24] = [
    "gm everyone",
    "ok so",
    "honestly",
    "lol",
    "not gonna lie",
    "anyone else thinks that",
    "reminder",
    "quick update",
    "just got home",
    "bro",
    "as I said yesterday",
    "for the new people here",
    "imo",
    "well",
    "wait what",
    "guys",
    "if you ask me",
    "update from the team",
    "no idea why but",
    "FYI",
    "same here",
    "good morning from Lisbon",
    "to be fair",
    "@moon_boy_99",
];
const MIDDLES: [&str; 32] = [
    "the chart did nothing at all while I was watching it like a hawk",
    "the team will move the launch again, they said friday, then monday",
    "never share your seed phrase with anybody, admins will never message you first",
    "the new update broke my node again and the docs are no help",
    "I asked support and they told me to wait, then they closed the ticket",
    "volume is dying and nobody talks about it, which is usually a good sign",
    "who is streaming tonight? last time was fun even if we lost every game",
    "I sold half and I sleep much better now, you should try it some day",
    "BTC dominance looks weak and ETH/BTC is at the level to watch",
    "my friend bought the top again, every single time, it's a talent",
    "this exchange takes two days for a withdrawal, not impressed at all",
    "they listed three new pairs today and none of them moved",
    "the audit is out, read it before you ask the same questions again",
    "gas was cheap this morning so I moved everything that was left",
    "the airdrop form closes tonight, don't forget to fill it in",
    "liquidity is locked for a year, that's what the page says at least",
    "I still hold my bag from last november and I'm not even sorry",
    "the mods are asleep, post your worst trades of the week",
    "that whale has been buying every dip since the beginning of the month",
    "stop calling the bottom, nobody knows, just look at the funding",
    "the meme is funny but the tokenomics are a joke too",
    "can someone explain why the price differs between the two pools?",
    "I will believe it when I see it on the main page of the project",
    "the bot in this group is slow today, is it only me?",
    "look at the weekly, not at the one minute candles, please",
    "somebody dumped a lot at once and the bots bought it back",
    "we need more people from Asia in here, the nights are too quiet",
    "the interview was good, he answered everything without a script",
    "the website is down again, third time since the launch",
    "I'm out for today, see you all tomorrow, don't do anything stupid",
    "nobody reads the pinned post, it is all explained in there",
    "rumor says there will be a partnership, I'd wait for the news",
];
const CLOSERS: [&str; 20] = [
    ".",
    "!",
    " :D",
    ", NFA DYOR",
    "...",
    " lol",
    ", thoughts?",
    " (source: trust me)",
    ", stay safe",
    " ;)",
    ", back to work",
    " haha",
    ", wp",
    ", see https://example.org/blog/weekly-recap?utm_source=tg",
    ", peace",
    " - read the rules",
    ", +1",
    ", cheers",
    " ffs",
    ", gn",
];

const WORLD: [&str; 24] = [
    "Сегодня взяли три позиции, кто не успел, тот ждёт следующего сигнала завтра утром",
    "Всем привет, вечером созвон, ссылку пришлю позже, не опаздывайте пожалуйста",
    "Рынок стоит на месте, объёмы маленькие, ждём новостей от команды",
    "大家怎么看？我觉得还会再涨一点，但是不要追高，注意风险，仓位控制在三成以内",
    "新手請先看置頂訊息，群規第三條：禁止廣告，謝謝配合",
    "おはようございます、今日の相場は静かですね、夜の発表を待ちましょう",
    "오늘 시장이 조용하네요 저녁 발표까지 기다려 봅시다",
    "صباح الخير جميعا، السوق هادئ اليوم، لا تستعجلوا في الشراء وانتظروا التأكيد",
    "بازار امروز آرام است، تا اعلام تیم صبر کنید و عجله نکنید",
    "आज बाज़ार शांत है, शाम की घोषणा का इंतज़ार करें",
    "วันนี้ตลาดเงียบมาก รอประกาศตอนเย็นกันนะ",
    "Hôm nay thị trường yên tĩnh, chờ thông báo tối nay rồi quyết định nhé",
    "Bugün piyasa çok sakin, büyük oyuncular bekliyor; akşam açıklama gelirse hareket başlar",
    "¿Alguien sabe a qué hora es la reunión? Dicen que anuncian la nueva lista",
    "Amanhã tem anúncio, não façam besteira até lá, a liquidez está baixa",
    "Le marché est très calme, on attend l'annonce de ce soir à dix-huit heures",
    "Heute ist nichts los, die großen Käufer warten noch ab, schöne Grüße aus Köln",
    "Dziś spokojnie, czekamy na ogłoszenie, więcej szczegółów jutro rano",
    "LFG 🚀🚀🚀 who's still holding? 💎🙌 see you on the moon 🌕",
    "🔥 muffin season 🔥 stay tuned frens, no link before the launch is over ✨",
    "📊 funding neutral — fear & greed in the middle • volume up 🙏",
    "⚠️ scam alert ⚠️ someone copies my profile picture, I never write first ❗",
    "👨‍👩‍👧‍👦 family first, trading second ❤️",
    "Ринок спокійний, чекаємо на вечірнє оголошення, бережіть себе",
];

const LABELS: [&str; 10] = [
    "CA: ",
    "Contract:\n",
    "ca ",
    "📌 CA\n",
    "合约: ",
    "контракт ",
    "mint: ",
    "token ",
    "",
    "🔥 ",
];
const PAGES: [(&str, usize); 8] = [
    ("https://dexscreener.com/solana/", 0),
    ("https://pump.fun/coin/", 1),
    ("https://solscan.io/token/", 0),
    ("https://t.me/some_trading_bot?start=r-abc-", 1),
    ("https://etherscan.io/token/", 2),
    ("https://bscscan.com/address/", 2),
    ("https://tronscan.org/#/token20/", 3),
    ("https://tonviewer.com/", 4),
];

fn address(dice: &mut Dice, which: usize) -> String {
    match which {
        0 => make::solana(dice),
        1 => make::pump(dice),
        2 => make::evm(dice),
        3 => make::tron(dice),
        4 => make::ton(dice),
        _ => make::evm_lower(dice),
    }
}

/// What is said with numbers: prices, dates, versions, times.
fn figure(dice: &mut Dice) -> String {
    let (a, b) = (dice.below(900) + 10, dice.below(100));
    match dice.below(7) {
        0 => format!("${a}.{b:02}"),
        1 => format!("{a},{b:03} USDT"),
        2 => format!("+{}.{}%", a % 90, b % 10),
        3 => format!("v{}.{b}.{}", a % 4, a % 7),
        4 => format!("{}:{:02}", a % 24, b % 60),
        5 => format!("{a}k MC"),
        _ => format!("{}x", a % 100),
    }
}

/// ASCII, 100 to 200 bytes, no address.
fn ordinary(dice: &mut Dice) -> String {
    loop {
        let mut text = format!("{} {}", dice.pick(&OPENERS), dice.pick(&MIDDLES));
        match dice.below(4) {
            0 => text.extend([", ", &figure(dice), " now"]),
            1 => text.extend([" (", &figure(dice), ")"]),
            _ => {}
        }
        if text.len() < 90 {
            text.extend([", ", dice.pick(&MIDDLES)]);
        }
        text += dice.pick(&CLOSERS);
        if (100..=200).contains(&text.len()) && text.is_ascii() {
            return text;
        }
    }
}

/// Ordinary ASCII chat with nothing in it.
pub fn ascii(count: usize) -> Vec<Message> {
    let mut dice = Dice::new(1);
    (0..count).map(|_| plain(ordinary(&mut dice))).collect()
}

/// What a listener hears: of a hundred messages ten with an address (seven plain, in a link or
/// behind words, three disguised), thirty not ASCII, a few with links and marks.
pub fn mix(count: usize) -> Vec<Message> {
    let mut dice = Dice::new(2);
    (0..count)
        .map(|_| match dice.below(100) {
            0..3 => disguised(&mut dice),
            3..10 => offered(&mut dice),
            10..35 => plain(format!("{} {}", dice.pick(&WORLD), figure(&mut dice))),
            35..40 => hidden(&mut dice, "https://example.org/report/2026/11?ref=chat"),
            _ => plain(ordinary(&mut dice)),
        })
        .collect()
}

fn plain(text: String) -> Message {
    Message {
        text,
        hidden: Vec::new(),
    }
}

/// An address as it is, in a link, or behind words.
fn offered(dice: &mut Dice) -> Message {
    let which = dice.below(6);
    match dice.below(4) {
        0 => {
            let (page, which) = PAGES[dice.below(PAGES.len())];
            plain(format!("{}\n{page}{}", ordinary(dice), address(dice, which)))
        }
        1 => {
            let (page, which) = PAGES[dice.below(PAGES.len())];
            let link = format!("{page}{}", address(dice, which));
            hidden(dice, &link)
        }
        _ => plain(format!(
            "{}\n{}{}\n{}",
            dice.pick(&WORLD),
            dice.pick(&LABELS),
            address(dice, which),
            figure(dice)
        )),
    }
}

/// Words with a link behind two of them.
fn hidden(dice: &mut Dice, link: &str) -> Message {
    let lead = format!("🚀 {} ", dice.pick(&OPENERS));
    let offset = lead.encode_utf16().count();
    Message {
        text: format!("{lead}chart here, {}", dice.pick(&MIDDLES)),
        hidden: vec![(offset, 10, link.to_owned())],
    }
}

/// One of the usual disguises.
fn disguised(dice: &mut Dice) -> Message {
    let which = dice.below(6);
    let address = address(dice, which);
    let chunks = |between: &str| {
        let chunks: Vec<&str> = address
            .as_bytes()
            .chunks(11)
            .filter_map(|chunk| str::from_utf8(chunk).ok())
            .collect();
        chunks.join(between)
    };
    let hidden = match dice.below(6) {
        0 => chunks("\u{200b}"),
        1 => format!("(remove spaces) {}", chunks("  ")),
        2 => chunks(" 🔥 "),
        3 => address
            .chars()
            .map(|c| char::from_u32(c as u32 + 0xfee0).unwrap_or(c))
            .collect(),
        4 => format!("reversed: {}", address.chars().rev().collect::<String>()),
        _ => address.replace('a', "а").replace('e', "е"),
    };
    plain(format!(
        "{}\nCA: {hidden}\n{}",
        dice.pick(&OPENERS),
        dice.pick(&MIDDLES)
    ))
}
