//! Chat with nothing in it costs no memory, in whatever language it is written.
//!
//! The counts are of this thread alone, so that tests beside this one do not disturb them.

use allocation_counter::measure;
use tgmesh_detect::{Button, Detector, Entity, EntityKind, Findings, Input, Name};

/// What people write, one or two messages a language, with the numbers, names, handles, marks and
/// emoji of real chat.
const CHAT: [&str; 44] = [
    "gm everyone, $BTC at 67,250 today, up 3.4% since 9am, who is still up?",
    "Reminder: admins will never message you first. Read https://example.org/docs/faq?page=2#safety and stay safe!",
    "lol @moon_boy_99 told me that v2.15.1 needs 16GB of RAM, no way :D",
    "LFG 🚀🚀🚀 who's still holding? 💎🙌 targets 2x 5x 10x, NFA DYOR 🙏",
    "Сегодня взяли 3 позиции по 0.5 ETH, итог +115%, кто не успел, тот ждёт до завтра",
    "Привет! Сегодня вечером созвон в 20:00 по Москве, ссылку пришлю позже 🙂",
    "今日 BTC 涨了 5%，大家怎么看？我觉得还会再涨一点，但是不要追高，注意风险。",
    "新手請先看置頂訊息，謝謝配合！群規第三條：禁止廣告。",
    "おはようございます！今日の相場は静かですね。夜の発表を待ちましょう。",
    "오늘 시장이 조용하네요. 저녁 발표까지 기다려 봅시다 ㅋㅋㅋ",
    "صباح الخير جميعا، السوق هادئ اليوم، لا تستعجلوا في الشراء",
    "بازار امروز آرام است، تا اعلام تیم صبر کنید و عجله نکنید",
    "בוקר טוב לכולם, השוק שקט היום, מחכים להודעה בערב",
    "सुप्रभात दोस्तों, आज बाज़ार शांत है, शाम की घोषणा का इंतज़ार करें",
    "আজ বাজার শান্ত, সন্ধ্যার ঘোষণার জন্য অপেক্ষা করুন",
    "இன்று சந்தை அமைதியாக உள்ளது, மாலை அறிவிப்புக்காக காத்திருங்கள்",
    "สวัสดีตอนเช้า วันนี้ตลาดเงียบมาก รอประกาศตอนเย็นกันนะ",
    "Chào buổi sáng, hôm nay thị trường yên tĩnh, chờ thông báo tối nay nhé",
    "Selamat pagi semua, pasar hari ini sepi, tunggu pengumuman nanti malam ya",
    "Magandang umaga sa lahat, tahimik ang merkado ngayon, abangan ang balita mamaya",
    "Bugün piyasa çok sakin, hacim düşük, büyük oyuncular bekliyor; akşam açıklama gelir",
    "¿Alguien sabe a qué hora es la reunión? Dicen que anuncian la nueva lista 🤔",
    "Bom dia pessoal, o mercado está calmo, ninguém confirmou nada até agora",
    "Buongiorno a tutti, il mercato è tranquillo, aspettiamo l'annuncio di stasera",
    "Bonjour à tous, le marché est calme, on attend l'annonce de ce soir à 18h30",
    "Guten Morgen zusammen, der Markt ist ruhig, größere Käufer warten noch ab",
    "Goedemorgen allemaal, de markt is rustig, we wachten op het nieuws van vanavond",
    "Dzień dobry wszystkim, rynek spokojny, czekamy na wieczorne ogłoszenie, więcej jutro",
    "Dobré ráno, trh je klidný, čekáme na večerní oznámení, příště víc",
    "Jó reggelt mindenkinek, a piac csendes, várjuk az esti bejelentést",
    "Bună dimineața tuturor, piața e liniștită, așteptăm anunțul de diseară",
    "Καλημέρα σε όλους, η αγορά είναι ήσυχη σήμερα, περιμένουμε την ανακοίνωση",
    "Доброго ранку всім, ринок спокійний, чекаємо на вечірнє оголошення",
    "Добро јутро свима, тржиште је мирно, чекамо вечерашње саопштење",
    "Hyvää huomenta kaikille, markkina on hiljainen tänään, odotellaan iltaa",
    "God morgon allihopa, marknaden är lugn, vi väntar på kvällens besked",
    "Habari za asubuhi, soko limetulia leo, tusubiri tangazo la jioni",
    "დილა მშვიდობისა, ბაზარი დღეს წყნარია, ველოდებით საღამოს განცხადებას",
    "Բարի լույս բոլորին, շուկան այսօր հանգիստ է, սպասում ենք երեկոյան լուրին",
    "ጤና ይስጥልኝ ሁላችሁም፣ ገበያው ዛሬ ጸጥ ብሏል",
    "📊 ETH 3,412 (+2.1%) • SOL 187 (−0.4%) • BNB 611 (+0.2%) — gas 12 gwei",
    "👨‍👩‍👧‍👦 family first ❤️‍🔥 1️⃣ chart 2️⃣ volume 3️⃣ patience ☝🏽",
    "**Rules**\n1. be kind\n2. no ads\n3. `code` goes in blocks\n\n> quoted line\n||spoiler||",
    "<b>bold</b> & <i>italic</i>, 50% off, #base #solana #bsc, t.me/somegroup/1234?comment=99",
];

fn allocations(input: &Input<'_>) -> u64 {
    let detector = Detector::new();
    let mut out = Findings::default();
    // What is made once, at first use, is no cost of a message.
    detector.find(
        &Input {
            text: "gm",
            ..Input::default()
        },
        &mut out,
    );
    let info = measure(|| detector.find(input, &mut out));
    assert_eq!(out, Findings::default(), "{input:?}");
    info.count_total
}

#[test]
fn chat_without_an_address_costs_no_memory() {
    for text in CHAT {
        assert_eq!(
            allocations(&Input {
                text,
                ..Input::default()
            }),
            0,
            "{text}"
        );
    }
}

/// Whatever can hang on a message, with nothing in it.
#[test]
fn attachments_without_an_address_cost_no_memory() {
    let entities = [
        Entity {
            kind: EntityKind::TextUrl,
            offset: 0,
            length: 4,
            url: Some("https://example.org/a/b?c=d#e"),
        },
        Entity {
            kind: EntityKind::Url,
            offset: 5,
            length: 9,
            url: None,
        },
        Entity {
            kind: EntityKind::Spoiler,
            offset: 2,
            length: 3,
            url: None,
        },
    ];
    let text = CHAT[0];
    for input in [
        Input {
            text,
            entities: &entities,
            ..Input::default()
        },
        Input {
            text,
            buttons: &[Button::Url("https://t.me/some_bot?start=welcome")],
            ..Input::default()
        },
        Input {
            text,
            buttons: &[Button::Copy("PROMO2026")],
            ..Input::default()
        },
        Input {
            text,
            links: &["https://example.org/news/2026/11/market"],
            ..Input::default()
        },
        Input {
            text,
            quote: CHAT[1],
            ..Input::default()
        },
        Input {
            text,
            names: &[Name::Sender("Alice 🌸"), Name::Chat("Ночные сигналы | VIP")],
            ..Input::default()
        },
        Input {
            text,
            prior: Some("bsc"),
            ..Input::default()
        },
    ] {
        assert_eq!(allocations(&input), 0, "{input:?}");
    }
}

/// The counter counts: a find has to put its address somewhere.
#[test]
fn a_find_costs_memory() {
    let detector = Detector::new();
    let mut out = Findings::default();
    let text = "new on #Base: 0x5597Ce42b315F29e42071d231dcd0158DA35B77b";
    let info = measure(|| {
        detector.find(
            &Input {
                text,
                ..Input::default()
            },
            &mut out,
        );
    });
    assert_eq!(out.finds.len(), 1);
    assert!(info.count_total > 0 && info.bytes_total >= 42);
}
