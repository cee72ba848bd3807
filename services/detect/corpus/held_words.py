"""Wordings of held.jsonl: nothing here repeats those of open.jsonl. Slots as there."""

NAMES = """Purple Ibex|IBEX;Wagmi Walrus|WALRUS;Tardigrade Inc|TARDI;Señor Taco|TACO;Haiku Inu|HAIKU;Bogdanoff Bank|BOGD;
Cat in a Dogs World 2|MEWW;Ghost Pepper|GPEP;Rusty Robot|RUSTY;Samoyed Summer|SAMO2;Kaiju King|KAIJU;Velvet Vulture|VELVET;
Mad Scientist|MADS;Copium Tank|CPM;Hopium Den|HOPIUM;Diamond Dachshund|DACHS;Baba Yaga|BABA;Lazy Lemur|LEMUR;Oracle Owl|OWL;
Sigma Sloth|SLOTH;Babushka|BSHKA;Drachma 2.0|DRACH;Matryoshka|MATRY;Borsch|BORSCH;Neko Ninja|NEKO;Chupacabra|CHUPA;
Wolf of Wall|WOLFW;Terminal Velocity|TERMV;Vaporwave|VAPOR;Disco Duck|DISCO;Honey Badger|HBADG;Cyber Samosa|SAMOSA;
Mango Lassi|LASSI;Durian|DURIAN;Bao Bao|BAO;Kimchi|KIMCHI;Anime Waifu|WAIFU;Zombie Zebra|ZOMZ;Fomo Fox|FOMOX;Rekt Rex|REKT;Arbitrum Pepe|ARBPEPE;Ethereum Inu|EINU;TON Cat|TONCAT;Aptos Launch|ALAUNCH;Polygon Ape|POLYAPE"""

CHAINS = {
    "ethereum": ["eth mainnet", "ETH", "Ethereum L1", "#ETH", "erc20", "ethereum"],
    "bsc": ["Binance Smart Chain", "BSC chain", "#BSC", "bnb chain", "bep20", "BNB"],
    "base": ["base chain", "#Base", "Base L2", "Base network"],
    "arbitrum": ["arbitrum", "#Arbitrum", "Arbitrum chain"],
    "polygon": ["polygon", "#Polygon", "Polygon network"],
    "avalanche": ["Avax", "Avalanche C-Chain", "avalanche"],
    "optimism": ["Optimism mainnet", "optimism", "OP Mainnet"],
    "solana": ["solana", "SOLANA", "Solana chain", "SOL network", "#solana"],
    "tron": ["tron network", "TRC-20", "Tron chain", "trx"],
    "ton": ["ton", "TON network", "#TON", "Ton blockchain"],
    "sui": ["sui", "SUI Network", "Sui mainnet", "SUI chain"],
    "aptos": ["aptos", "Aptos network", "Aptos mainnet", "#Aptos"],
}

HEADS = [
    "🚨🚨 STEALTH LAUNCH 🚨🚨", "✨ Daily gem ✨", "⭐️⭐️⭐️", "🧪 experimental bag", "🕵️ insider wallet bought", "— — — — —", "🎯 Entry zone", "📡 Scanner v2.{p}",
    "🔥 СРОЧНО 🔥", "🔥紧急🔥", "🚀 LANÇAMENTO 🚀", "🚀 YENİ COİN 🚀", "🟣 CALL #{p}", "📌 PINNED", "🐳 Whale alert", "Reposting for newcomers", "🎉 {p}x DONE 🎉",
    "[BOT] token info", "💬 From the VIP", "💠💠💠",
]
TITLES = [
    "{n} (${s})", "💊 {n}", "#{s}", "{s} / SOL", "Ticker: ${s}", "│ {n} │ {s} │", "«{n}»", "📛 Name: {n} 🏷 Ticker: {s}", "**{n}**", "{n} — the next {p}x?",
    "⚜️ {n} ⚜️", "{s} (mcap {m})",
]
CHAIN_LINES = ["🌐 {c}", "🔗 Chain: {c}", "Net: {c}", "сеть: {c}", "公链：{c}", "Red: {c}", "Platform: {c}", "launched on {c}", "[{c}]", "{c} 🔥"]
ADDRESS_LINES = [
    "Contract address → {a}", "CA= {a}", "«{a}»", "({a})", "📍{a}", "Ca : {a}", "CA | {a}", "•{a}•", "contract_address: {a}", "{a} <- ca", "sc: {a}",
    "CA: {a}.", "➤{a}", "📋 Copy: {a}", "🪙 {a}", "```\n{a}\n```", "**{a}**", "【{a}】", "❗️{a}❗️", "CA💊: {a}", "└ {a}", "├ CA: {a}", "⮑ {a}", "address={a}",
    "__{a}__", "C.A. {a}", "C/A: {a}", "CA；{a}", "[CA] {a}", "(CA) {a}", "token ➡ {a} ⬅", "'{a}'", "“{a}”", "~{a}~", "{a}⬅️ CA", "\u2060CA:\t{a}",
]
TOKEN_WORDS = ["Contract address → {a}", "Token contract: {a}", "Contract address: {a}", "Mint address: {a}"]
TAILS = [
    "Marketcap: {m}", "ATH {m} ({p}m ago)", "🔒 LP locked {p}d", "👥 {p}2 holders | top10 {p}%", "💧 Liquidity ${p}.4k", "🧾 Tax: 0% / 0%", "✅ Mint off ✅ Freeze off",
    "Entry: {m} → TP1 {p}x", "🐦 https://x.com/{s}", "🌍 {s}.fun", "not paid promo", "vol {m}/h 🚀", "dev holds {p}%", "1h ▲ {p}%  6h ▼ {p}%", "⏳ Age: {p}m",
    "DEX paid ✅", "SL -30%", "Snipers: {p} 🔫", "risk: high", "👀 {p} watching", "0.{p} ETH entry only",
]
SHORT = [
    "{a} lets gooo", "whats ur take on {a}", "im in {a} from {m}", "lads: {a}", "{a},", "({a})", "«{a}» — это оно?", "{a}?", "{a}!!!", "¡{a}!", "this → {a}",
    "here u go @{s} {a}", "token {a}", "just sent {a}", "[{a}]", "{n}\n{a}", "{a}\n{a}", "x100 {a} 🔥🔥", "kaç kişi aldı {a}", "{a}买了", "冲{a}冲", "これ→{a}←これ",
    "contract is {a}, dont fat finger it", "/info {a}", "/buy {a} 0.5", "!scan {a}", "@rick {a}", "pls add {a} to the list", "from dev: \"ca {a}\"", "ca\n\n\n{a}",
    "#{s} {a} #memecoin", "ticker: {s}; ca: {a}; mc: {m}", "{a} / {n} / {m}", "1. {n}: {a}", "sniped {p} SOL of {a}, 3 mins after launch",
    "CA👉{a}👈 MC👉{m}👈", "gm. {a}. gn.",
]

PLAIN = {
    "en": ["Guys the new one lives at {a} ({c}), dont sleep", "{n} is deployed. Chain = {c}. Address = {a}. Good luck", "who else caught {s} on {c}? {a}"],
    "zh": ["土狗 {n} {c} 上线\nCA：{a}\n社区自治,丢权限", "{c} 新盘,{a},池子{m},速度", "这个 {a} 谁在玩？{c} 上 {p} 倍了"],
    "zh-Hant": ["【{n}】{c} 公平發射\n合約地址 {a}\n市值約 {m}", "有人買{a}嗎,{c}的"],
    "ja": ["{n}買いました！{c}チェーンです。CA：{a}", "ミント {a} （{c}）、自己責任でお願いします"],
    "ko": ["신규 {s} CA는 {a} 입니다 ({c})", "{c}체인 {n} 주소 {a} 물량 조금만 담으세요"],
    "ru": ["Ребят, залетел в {n}, {c}. Адрес: {a}, цель {p}х", "СА {a} / сеть {c} / капа {m}", "Скидываю адрес токена: {a} ({c})"],
    "uk": ["Адреса токена {a}, мережа {c}, ліквідність заблокована", "беру {n} на {c}: {a}"],
    "es": ["Les dejo el CA de {n}: {a}, red {c}, mcap {m}", "acaba de salir en {c}, ojo: {a}", "dirección del token {a} ({c})"],
    "pt": ["Endereço do token {n}: {a} rede {c}", "acabou de lançar na {c} 👉 {a}", "CA do {s} ({c}) = {a}"],
    "tr": ["{n} çıktı! {c} ağında, adres: {a}", "CA {a} – {c} – hedef {p}x, ytd", "bu coin nasıl {a} ({c})"],
    "vi": ["{n} vừa ra trên {c}, CA đây: {a}", "địa chỉ token {a} ({c}) mcap {m}"],
    "id": ["CA {n} di {c}: {a}, gas tipis2 aja", "token baru launching {c} alamatnya {a} mcap {m}"],
    "ms": ["alamat token {a} ({c}), beli sikit je", "{n} baru lancar di {c}: {a}"],
    "ar": ["عنوان العقد {a} على {c} والهدف {p}x", "اشتريت {n} للتو، شبكة {c} ، العنوان: {a}"],
    "fa": ["آدرس قرارداد {a} شبکه {c}", "{n} تازه لانچ شد، {c}، کانترکت: {a} ، حجم {m}"],
    "hi": ["{n} अभी लॉन्च हुआ {c} पर, CA: {a}", "कॉन्ट्रैक्ट एड्रेस {a} ({c}), थोड़ा ही लगाना"],
    "fr": ["Adresse du token {n} : {a} (réseau {c})", "je viens d'acheter sur {c}, CA {a}, {m} de capi"],
    "de": ["Adresse von {n}: {a}, Netzwerk {c}, nur Spielgeld!", "gerade auf {c} gestartet → {a} ← Kap. {m}"],
    "it": ["Indirizzo del token: {a}, rete {c}", "entrato ora in {n} su {c}, CA {a}, occhio"],
    "pl": ["Adres tokena {a}, sieć {c}, wchodzę za drobne", "{n} wystartował na {c}: {a}"],
    "nl": ["adres van {n} is {a}, netwerk {c}", "net gelanceerd op {c}: {a}, kap {m}"],
    "th": ["CA ของ {n} คือ {a} เชน {c}", "เพิ่งเปิดตัวบน {c} → {a} เป้า {p}x"],
    "he": ["כתובת הטוקן {a} רשת {c}", "{n} עלה עכשיו ב-{c}, כתובת: {a}"],
    "fil": ["CA ng {n}: {a} sa {c}, konti lang ah", "kaka-launch lang sa {c} {a} tara na"],
    "ro": ["Adresa tokenului: {a}, rețea {c}", "tocmai lansat pe {c}: {a}"],
    "cs": ["Adresa tokenu {a}, síť {c}", "{n} právě spuštěn na {c}: {a}"],
    "sv": ["Adressen till {n}: {a}, nätverk {c}", "nyss lanserad på {c}: {a}"],
    "bn": ["টোকেন ঠিকানা {a}, নেটওয়ার্ক {c}", "{n} এইমাত্র {c} এ এসেছে: {a}"],
    "ur": ["ٹوکن کا پتہ {a}، نیٹ ورک {c}", "{n} ابھی {c} پر آیا: {a}"],
    "el": ["Διεύθυνση token {a}, δίκτυο {c}", "μόλις βγήκε στο {c}: {a}"],
    "hu": ["Új token: {n}, hálózat {c}, cím: {a}", "valaki megnézte ezt {a} ({c})?"],
    "bg": ["Нов токен {n} в {c}, адрес {a}", "някой гледал ли е {a} в {c}?"],
    "ta": ["புதிய டோக்கன் {n}, {c}: {a}", "{c} இல் {a} எப்படி?"],
    "sw": ["Tokeni mpya {n} kwenye {c}: {a}", "nani kanunua {a} kwenye {c}?"],
    "fi": ["Uusi token {n}, verkko {c}, osoite {a}", "onko kukaan ostanut {a} ({c})?"],
    "am": ["አዲስ ቶከን {n} በ{c} ላይ: {a}", "{c} {a} እንዴት ነው?"],
}

LINK_FRAMES = [
    "dex: {u}", "buy here -> {u} <- before {m}", "{u} 🔥🔥", "смотрите {u} там уже {p}х", "Ссылка: {u}", "🔗{u}", "{n}|{u}|{m}", "[{s} chart]({u})", "here's the link: \"{u}\"",
    "link：{u}，快上车", "Compra en {u}.", "({u}) is the pair", "{u},\n{m}", "لینک: {u}", "link chart {u} ya bang", "グラフはこちら→{u}", "swap: `{u}`", "<a href=\"{u}\">Chart</a>",
    "👀\n\n{u}\n\n👀", "1) {u}\n2) profit", "does {u} load for you?", "*{u}*", "“{u}”", "DYOR… {u}…", "{s}:{u}",
]
HIDDEN_FRAMES = [
    ("{t} | {n} | {m}", ["📈", "Chart", "График"]), ("{n} ⚡️ {t} ⚡️ {p}x incoming", ["Ape in", "Купить", "SWAP"]), ("🐸🐸🐸 {s}\n└ {t}", ["Token", "Trade now", "合约"]),
    ("{t}", ["chart", "🚀", "покупай тут"]), ("𝗡𝗘𝗪 {s} {t}", ["link", "açmak için tıkla"]), ("👨‍👩‍👧‍👦 family coin {t}", ["aquí", "mua ngay"]),
]
SECOND_LINKS = ["https://twitter.com/{s}_io", "https://discord.gg/{s}", "https://www.{s}.io/docs?v=2", "https://medium.com/@{s}"]

NEGATIVE = {
    "en": ["gn everyone, big day tomorrow", "lost my ledger somewhere in the move", "can a mod pin the rules please", "my uncle asked me about bitcoin at dinner", "volume is drying up across the board",
           "who has the contract?? nobody answers in dm", "The landlord is raising the rent again", "10k members giveaway at 8pm", "Is this the real site or a phishing clone?", "the mint was 0.08 back then, remember",
           "Base fees are so low it feels illegal", "sorry wrong chat", "i keep misreading ticker names"],
    "zh": ["今晚去哪里吃火锅", "这个群怎么这么安静", "地址晚点发,先进群", "手续费太贵了", "币圈一天,人间一年", "老师讲得真好"],
    "zh-Hant": ["早安各位", "合約什麼時候公布?", "下雨天最適合睡覺", "又被套牢了"],
    "ja": ["おはようございます", "コントラクトは後ほど発表します", "電車が遅れています", "含み損がつらい", "新しいラーメン屋に行ってみたい"],
    "ko": ["좋은 아침입니다", "주소는 저녁에 올릴게요", "지하철 또 지연이네", "손절했습니다", "주말에 등산 가실 분"],
    "ru": ["кто-нибудь пробовал новый мост между сетями?", "адрес пришлю вечером", "погода сегодня отличная", "биткоин опять дампят", "как вывести деньги на карту?", "купил на хаях, как обычно"],
    "uk": ["хто їде до Львова на вихідних?", "адресу дам пізніше", "знову все в мінусі", "смачного всім"],
    "es": ["¿alguien quiere tomar un café?", "la dirección sale esta noche", "otra vez en rojo", "gracias por la ayuda, admin", "perdí el autobús"],
    "pt": ["vamos jogar bola no sábado?", "o endereço sai mais tarde", "de novo no vermelho", "obrigado pela ajuda"],
    "tr": ["yarın hava nasıl olacak?", "adres birazdan gelecek", "yine zarardayım", "teşekkürler hocam"],
    "vi": ["trời mưa to quá", "địa chỉ sẽ công bố sau", "lại đu đỉnh rồi", "cảm ơn admin nhiều"],
    "id": ["hujan deras di sini", "alamatnya nanti malam", "nyangkut lagi deh", "makasih banyak min"],
    "ar": ["الطقس جميل اليوم", "سيتم نشر العنوان لاحقا", "خسرت مرة أخرى", "شكرا جزيلا لكم"],
    "fa": ["هوا امروز خیلی خوب است", "آدرس را بعدا می‌گذارم", "باز هم ضرر کردم", "ممنون از همه"],
    "hi": ["आज मौसम बहुत अच्छा है", "पता शाम को मिलेगा", "फिर से नुकसान हो गया", "धन्यवाद भाई"],
    "fr": ["il pleut encore à Paris", "l'adresse arrive ce soir", "encore dans le rouge", "merci beaucoup les gars"],
    "de": ["heute Abend Grillen bei mir?", "die Adresse kommt später", "schon wieder im Minus", "danke euch allen"],
    "it": ["che partita ieri sera!", "l'indirizzo arriva stasera", "di nuovo in perdita", "grazie mille a tutti"],
    "pl": ["ale dziś zimno", "adres będzie wieczorem", "znowu na minusie", "dzięki za pomoc"],
    "nl": ["lekker weer vandaag", "het adres komt vanavond", "weer verlies gemaakt"],
    "th": ["ฝนตกหนักมาก", "ที่อยู่จะประกาศตอนเย็น", "ติดดอยอีกแล้ว"],
    "he": ["מזג אוויר נהדר היום", "הכתובת תפורסם בערב", "שוב הפסדתי"],
    "fil": ["ang init ngayon", "mamaya pa ang address", "talo na naman", "salamat mga boss"],
    "ur": ["آج بہت گرمی ہے", "پتہ شام کو ملے گا"], "bn": ["আজ খুব গরম", "ঠিকানা সন্ধ্যায় দেওয়া হবে"],
    "hu": ["ma nagyon hideg van", "a cím este jön"], "bg": ["днес е много студено", "адресът идва довечера"], "ta": ["இன்று மழை பெய்கிறது"],
    "sw": ["mvua inanyesha sana leo", "anwani itakuja jioni"], "fi": ["tänään sataa lunta", "osoite tulee illalla"], "am": ["ዛሬ በጣም ይሞቃል"],
    "ka": ["დღეს კარგი ამინდია"], "hy": ["այսօր լավ եղանակ է"], "mn": ["өнөөдөр хүйтэн байна"], "kk": ["бүгін ауа райы жақсы"],
}

NEAR_FRAMES = [
    "Contract address → {x}", "({x})", "⚠️ {x} doesn't resolve for me", "${s} {x} {m}", "«{x}»", "адрес {x}", "地址：{x}", "dirección {x}", "adres {x} ?", "**{x}**",
    "bought {x} but it shows nothing", "🔥 {n}\nCA: {x}\nMC {m}",
]

LIST_MARKS = ["◾️", "#⃣", "*", "→", "├", "#/", "✅"]
LIST_FRAMES = ["Портфель:\n{l}", "Carteira da semana\n\n{l}\n\nboa sorte", "我的持仓：\n{l}", "Live now\n{l}\n👆 {p} calls this week", "{l}\n\nWhich one first?", "Kèo hôm nay\n{l}"]
WATCH_HEADS = ["🏆 Leaderboard (24h)", "Отчёт за день", "Top gainers", "本周战绩", "Resumen semanal"]
PAIRS = ["{a} or {b}?", "{a} > {b} imo", "sold {a}, bought {b}", "{a};{b}", "({a}, {b})", "{n}: {a}\nfork: {b}", "{a} vs. {b}", "{a}|{b}", "{a}，{b}"]
MOVED = [
    "Token migrated!\nBefore: {a}\nAfter: {b}", "миграция: было {a}, стало {b}", "we relaunched. old {a} / new {b}", "请把 {a} 换成 {b}", "eski {a} -> yeni {b}",
    "the contract moved from {a} to {b}",
]
AGAIN = ["{a}\n\n(ca again: {b})", "1️⃣ {a}\n2️⃣ {b}", "{a} = {b}", "CA {a} ... repeat CA {b}", "Адрес {a}\nдублирую {b}", "{a}, {b}"]

ELLIPSES = ["…", " ... ", "[...]", "~~~", "(…)", "⋯", "-----", "*****"]
TRUNCATED = ["{x}", "📋 {x}", "dev wallet {x} sold {p}%", "合约 {x}", "Contrato: {x} (enlace en bio)", "[{x}]", "{x} just bought {m}", "CA - {x} - dm for full"]
HASHES = [
    "proof 👉 https://polygonscan.com/tx/{x}", "https://snowtrace.io/tx/{x}", "transaction hash: {x}", "hash: {x}", "https://solana.fm/tx/{z}", "https://explorer.solana.com/tx/{z}?cluster=mainnet-beta",
    "https://optimistic.etherscan.io/tx/{x}", "https://tronscan.io/#/transaction/{y}", "https://tonscan.org/tx/{y}", "https://explorer.aptoslabs.com/txn/{x}?network=mainnet",
    "https://suivision.xyz/txblock/{z}", "tx {x} pending for {p} min", "транзакция {x}", "İşlem: {x}", "https://etherscan.io/block/{x}", "block {x} was reorged", "mi tx {x} no sale",
    "https://basescan.org/tx/{x}/", "https://www.oklink.com/eth/tx/{x}", "https://blockscout.com/tx/{x}", "bridge tx hash {x}",
]
KEYED = ["token={x}&v=2", "license {x}", "coupon {x} gives {p}% off", "device {x} paired", "код {x}", "ваш номер {x}", "房间号 {x}"]
DRAWN = [
    lambda dice: "LFG" + "G" * dice.between(25, 45), lambda dice: "ye" + "s" * dice.between(28, 46) + " sir", lambda dice: "m" * dice.between(42, 46),
    lambda dice: "Lets g" + "o" * dice.between(25, 44), lambda dice: "RektRektRektRektRektRektRektRektRektRekt" + "R" * dice.between(1, 5),
    lambda dice: "Rindfleischetikettierungsueberwachungsaufgaben", lambda dice: "pneumonouLtramicroscopicsiLicovoLcanoconiosis",
    lambda dice: "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUV", lambda dice: "wtf" * 14 + "w", lambda dice: "123456789" * 4 + "12345678",
]
LOWERED = ["{n} https://dexscreener.com/solana/{x}?maker=1", "https://www.defined.fi/sol/{x}", "https://gmgn.ai/sol/token/{x}", "rugcheck.xyz/tokens/{x}"]
POOL_IDS = ["https://dexscreener.com/unichain/{x}", "dexscreener.com/arbitrum/{x}", "https://www.geckoterminal.com/base/pools/{x}", "https://app.uniswap.org/explore/pools/base/{x}"]
SIGNATURES = ["https://explorer.solana.com/tx/{x}", "confirmed: {x}", "моя транза {x}", "签名 {x}", "txn {x} went through", "see {x} on solscan"]
SECRETS = ["leaked pk: {x}", "secret {x} keep safe", "my phantom export: {x}", "секретный ключ: {x}", "密钥: {x}", "PRIVATE_KEY={x}", "llave privada {x}"]

CHAT_ENDS = [" 🫡", " xd", "…", " 🔥🔥🔥", " cc @{s}_mod", " #{s}", " 👍", "?!", " https://www.{s}.io", " brb", " (sent from my phone)"]
CIDS = ["image: ipfs://{x}/image.png", "https://cloudflare-ipfs.com/ipfs/{x}", "https://nftstorage.link/ipfs/{x}?filename=a.json", "hash of the file is {x} on ipfs", "bafy or Qm? mine is {x}"]
IDS = ["uuid={x}", "trace {x}", "https://app.example.org/orders/{x}?tab=1", "ref: {x}", "заказ {x} доставлен", "订单 {x}"]
COMMITS = ["https://gitlab.com/acme/web/-/commit/{x}", "bisect says {x} is the first bad commit", "merge {x} into main", "cherry-pick {x}", "https://github.com/a/b/blob/{x}/src/lib.rs#L10", "commit {y} broke it", "rev {x}"]
DIGESTS = [
    "integrity=\"sha384-{v}{v}\"", "ghcr.io/acme/api:1.2@sha256:{y}", "MD5 ({w}.iso) = {w}", "SHA-256: {y}", "blake3 {y}  data.bin", "etag \"{w}\"", "хэш файла sha256 {y}",
]
JWTS = ["set-cookie: session={x}; HttpOnly", "https://auth.example.com/callback#id_token={x}", "paste {x} into jwt.io"]
URLS = [
    "https://www.instagram.com/reel/C{i}/", "https://www.reddit.com/r/CryptoMoonShots/comments/{w}/{w}_{w}/", "https://maps.app.goo.gl/{i}", "https://www.notion.so/{w}/{h}", "https://pastebin.com/{w}",
    "https://t.me/{w}/{d}", "https://t.me/joinchat/{t}", "https://www.facebook.com/share/p/{t}/", "https://figma.com/file/{t}/{w}", "https://drive.google.com/drive/folders/1{t}{i}", "https://etherscan.io/gastracker",
    "https://github.com/{w}/{w}/issues/{d}", "https://pump.fun/board", "https://dexscreener.com/new-pairs?rankBy=pairAge", "https://arweave.net/{t}{t}abc", "https://img.{w}.com/{k}/{h}.jpg?w=300",
    "https://www.coingecko.com/en/coins/{w}", "https://coinmarketcap.com/currencies/{w}/", "https://vote.{w}.org/p/{q}", "https://bit.ly/{w}", "https://www.ebay.com/itm/{d}?hash=item{h}",
]
FINGERPRINTS = ["Key fingerprint = {x}", "gpg --recv-keys {z}", "0x prefix not needed, PGP {z}", "thumbprint {y}", "cert SHA-1 {y}", "openpgp4fpr:{z}"]
API_KEYS = ["OPENAI_API_KEY=sk-proj-{x}", "discord token MTA{y}.G{w}.{y}", "wifi password {y}", "steam key {w}-{w}-{w}", "-----BEGIN RSA PRIVATE KEY-----\n{v}\n-----END", "x-api-key: {x}", "helium rpc https://rpc.example.com/?api-key={y}"]
LAUGHTER = ["wk", "kkkk", "jaja", "hehe", "Haha", "gagaga", "LMo", "moon", "pump", "kikiki", "buhuhu", "ahaha"]
LAUGHS = ["{x}!!!", "ser {x}", "{x}\n{x}", "😂😂 {x} 😂😂", "{x} tf"]
NUMBERS = [
    "whatsapp +44 20 {#} {#}", "swift DEUTDEFF, account {#}{#}{#}", "карта 5536 {#} {#} {#}", "ISBN 978-3-16-{#}10-0", "pos 51.{#}, -0.{#}", "v{#}.{#}.{#}", "TP1 0.{#} TP2 0.{#} SL 0.{#}",
    "epoch 17{#}{#}", "{#}:{#}:{#}:{#}", "seat {#}, row {p}, gate {#}", "lotto {p} {p} {p} {p} {p} {p}",
]
TALK = [
    "contract goes live at block 21,000,000", "Contract: will be shared in the AMA", "address soon™", "don't trust any CA posted by others", "CA in the pinned message, remove the dots lol",
    "same CA as before", "part 2 of the thread tomorrow", "reverse the trade if it breaks support", "add the bot to your group at the end", "token address missing from the site",
    "адрес контракта появится позже", "合约还没出,别信假的", "Solana is down again", "mint is open on Sui and Aptos", "sending TRX to tron wallet takes a minute", "pair created, renounced, burnt",
    "join lines 2 and 3 of the form", "TON contract audit passed", "no CA yet, anything you see is fake", "0x is a project too", "EIP-55 is case sensitive",
]
PRICES = [
    "🟢 BTC $98,120 | ETH $3,402 | SOL $236.1 | TRX $0.21 | TON $5.61 | SUI $3.44 | APT $11.9", "{s} +{p}% 🔥 vol {m}", "💥 Short liquidation ${p}3K #{s}", "🪙 {s}: entry 0.00{p}1 – 0.00{p}4, lev 10x",
    "funding 0.0{p}%", "Airdrop season: {p} projects", "unlock: {p}M {s} tomorrow",
]

SESSIONS = ["refresh token: {x}", "employment contract {x} attached", "here is your token {x} for the event", "код токена доступа: {x}", "wallet connect pairing {x}", "peer id {x}", "job {x} done", "магический код {x}", "txn memo {x}", "房间 {x}", "api nonce: {x}"]
WARNINGS = ["rugged: {x} 💀", "report {x} as scam", "this is NOT us: {x}", "фейк {x}", "estafa: {x}"]
WALLETS = ["payouts go to {x}", "top trader {x} ({p}% wr)", "refund address {x}", "адрес для доната {x}", "copytrade this wallet {x}"]
BARE_HEX = ["ok {x}", "{x} ?", "build {x}", "see {x}"]
DOCUMENTS = ["https://docs.google.com/spreadsheets/d/{x}/edit#gid=0", "https://www.dropbox.com/s/{x}/plan.pdf", "https://send.example.org/d/{x}"]
PROGRAMS = ["{y}: {x}", "program id {x}"]
LOOSE = ["keys {x}", "{x} ok?", "ваши коды {x}"]

CARDS = [
    "🔔 {s} — {n}\n├ MC: {m}\n├ Liq: ${p}K\n├ Age: {p}m\n└ CA: {a}\n\n📊 {d} 🔫 {b}",
    "🟢🟢🟢🟢🟢🟢 BUY!\n💵 {p}.4 SOL\n🪙 got 1,{p}0,000 {s}\n👤 new holder\n🏦 mcap {m}\n\n`{a}`\n{d} — {b}",
    "{n} #{s}\n🔗 {c} · {o}\n📋 {a}\nATH {p}x, now {m}\n🧭 {d}  ⚡ {b}",
]
CARD_WORDS = [("Birdeye", "Banana"), ("график", "купить"), ("图表", "交易"), ("GT", "BLO")]
VENUES = ["Meteora", "Orca", "Aerodrome", "Pump AMM"]
LONG = [
    "Hola a todos, les escribo porque varios preguntaron por {n}. Lo compré hace {p} horas con muy poco, el equipo contesta en el chat y el gráfico se ve sano, aunque puede caer en cualquier momento como todo. "
    "Está en {c}, capitalización {m}, impuestos cero, liquidez quemada. La dirección es {a} y no hay otra. No es consejo financiero, cada uno decide con su dinero y con su cabeza. Mañana subo el resumen de la semana.",
    "Merhaba dostlar, bugün biraz uzun yazacağım. {n} projesini üç gündür takip ediyorum, geliştirici aktif, topluluk her gün büyüyor, {p} borsaya başvuru yapılmış. Ağ {c}, piyasa değeri {m}. "
    "Kontrat adresi {a} lütfen kopyalarken kontrol edin, sahte olanlar dolaşıyor. Hedefim {p}x ama stopsuz girmeyin, ytd. Akşam canlı yayında detayları konuşuruz.",
    "Halo semuanya! Sedikit cerita: {n} ini awalnya cuma iseng, sekarang holder sudah {p}00 lebih. Jaringan {c}, mcap {m}, LP dibakar, dev doxxed. Alamat kontraknya {a} jangan salah copy ya, banyak yang palsu. "
    "Jangan pakai uang dapur, take profit bertahap, dan jangan percaya admin yang DM duluan. Malam ini ada AMA jam delapan, ikut ya!",
    "皆さんこんばんは。{n}について少し書きます。{c}で先週ローンチされ、時価総額は{m}、流動性はロック済みです。コントラクトは {a} のみで、それ以外は偽物なので注意してください。投資は自己責任でお願いします。来週また更新します。",
]
MARKDOWN = ["**{n}** → [{h}…]({u})", "[Chart]({u}) [{a}]({u})", "• [{s}]({u})\n• [docs](https://docs.{s}.io/start)", "[📋 {h}]({u})"]
DEFANGED = [("https://", "hxxp://"), (".", " [.] "), (".", "{.}"), (".", "[dot]"), (".", " . "), ("https://", "h**ps://")]

TAGS = ["CA#{a}", "${s} = ${a}", "#ca_{s} #{a}", "[${a}]", "!{a}", "^{a}"]
SUFFIXES = ["{a}’s pool is thin", "{a}'yi kaçırma", "{a}-ს", "{a}=gem", "{a}→100x", "{a}—LFG", "{a}~~"]
BIDI = ["الكونتراكت\n{a}\nانتبهوا", "הטוקן: {a}", "آدرس {a} هست", "tokken {a}!"]
TWO_HIDDEN = ["🥇 {a}\n🥈 {b}", "main {a}\n\nbackup {b}", "{a}\n\n同时 {b}", "sol: {a}\n\nother: {b}"]
ONE_SHORT = ["{x} {w} gem", "got {x} {w} minute ago", "{x} - {w}", "addr {x} {w}, real?", "{x} {w} {w}"]
NEAR_WORDS = ["hey {x} yes", "{x} up", "we buy {x} bro", "sent {x} thanks", "am in {x} big", "{x} 2 many", "just {x}", "key {x}\ngn", "{x}... wen"]
CALLDATA = ["decode this pls {x}", "event {y} emitted", "deployed code {z}", "0x data: {x}", "slot value {y}", "tx input {x}"]
BURNS = ["tokens to {x}", "{x} holds 50% (burnt)", "fees → {x}", "null {x}"]
TEST_NETS = ["on testnet: {x}", "тестнет {x}", "{x} faucet"]
SEEDS = ["recovery words: {x}", "{x} who wants it?", "frase semilla {x}", "助记词 {x}"]
NAMED_HEX = [
    "SHA-1: {x}", "infohash {x}", "npm shasum {x}", "git show {x}", "blob {x}", "ripemd160 = {x}", "the certificate {x} has expired", "firmware {x}", "image digest sha1:{x}", "merge base {x}",
    "https://gitlab.com/a/b/-/tree/{x}", "kernel {x} panics", "password hash {x}", "контрольная сумма SHA1 {x}", "push {x} to prod", "HEAD {x}",
]

ROW_WORDS = "we are here now bears run away from every dip trader joe sees no red day just more profit huge success coming soon dont miss this train everyone wants some free airdrop magic internet cat dog mouse frog dragon"
ROWS = ["join #{x}", "hey @{x}!", "module {x}.ts", "https://www.tiktok.com/tag/{x}", "«{x}»", "tag: {x}", "#{x} #gm"]
CODE_HEADS = [["backup codes\n{x}\nkeep them", "коды:\n{x}"], ["PGN {x} 1-0"], ["colors: {x} on dark"], ["{x}\n^ packet dump", "read: {x}"], ["ключ восстановления {x}"], ["authenticator key: {x}"]]
