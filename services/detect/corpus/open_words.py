"""Wordings of open.jsonl. In templates: {a} the address, {n} a name, {s} a ticker, {c} a chain's
name, {m} a market cap, {p} a small number. Those with {c} also serve Sui and Aptos."""

NAMES = """Moon Frog|MFROG;Based Otter|BOTTER;Sleepy Capybara|CAPY;GigaHamster|GHAM;Neon Yak|NYAK;Pixel Whale|PXW;
Doge Grandpa|DOGGP;Turbo Snail|SNAIL;Silent Axolotl|AXO;Rocket Raccoon Club|RRC;Cheese AI|CHEESE;Banana Republic|BREP;
Zen Goose|ZGOOSE;Mecha Shiba|MSHIB;Cactus Protocol|CACT;Lunar Llama|LLAMA;Fat Penguin|FATP;Quantum Toad|QTOAD;
Wojak Capital|WOJC;Frogwifscarf|FWS;Tiny Elephant|TINY;Grok Junior|GROKJ;Pizza Rat|PRAT;Solar Samurai|SSAM;
Bitter Lemon|LEMON;Yolo Finance|YOLO;Chad Turtle|CHADT;Salt Miner|SALT;Hyper Hedgehog|HHOG;Drunk Koala|DKO;
Orbit DAO|ORB;Pepe Unchained 2|PU2;AI Cat Girl|AICAT;Nordic Wolf|NWOLF;Sushi Monkey|SUMO;Kiwi Coin|KIWI;
Great Reset|RESET;Mister Beaver|BEAVR;Paper Tiger|PTIGR;404 Not Found|404NF;Tron Bull|TBULL;Solana Doge|SOLDOGE;BNB Tiger|BNBTIGER;Base God|TYBG;Sui Pad|SUIP;Vault of Ra|VRA;Jelly Bean|JELLY"""

CHAINS = {
    "ethereum": ["ETH", "Ethereum", "ERC20", "ETH chain", "Ethereum mainnet", "ERC-20"],
    "bsc": ["BSC", "BNB Chain", "BEP20", "BNB Smart Chain", "bsc", "BEP-20", "Binance Smart Chain"],
    "base": ["Base", "BASE", "Base chain"],
    "arbitrum": ["Arbitrum", "ARB", "Arbitrum One"],
    "polygon": ["Polygon", "MATIC", "Polygon PoS"],
    "avalanche": ["Avalanche", "AVAX"],
    "optimism": ["Optimism", "Optimism chain"],
    "solana": ["SOL", "Solana", "sol", "Sol chain", "SPL", "#SOL"],
    "tron": ["TRON", "TRX", "TRC20", "Tron"],
    "ton": ["TON", "The Open Network", "TON chain"],
    "sui": ["Sui", "SUI", "Sui chain", "#Sui", "sui network"],
    "aptos": ["Aptos", "APT chain", "Aptos chain", "APTOS"],
}

HEADS = [
    "🔥 New pair just listed", "📣 Announcement", "⚡️ Fast call", "💎 Gem hunters 💎", "🤖 Auto-scan", "🔔 Signal #{p}",
    "Second entry", "🌙 night shift", "━━━━━━━━━━", "🐸 meme szn", "Calls | Free channel", "🧠 Smart money in", "⏰ {p}h later…",
    "новый колл 👇", "新币提醒", "gm degens ☀️", "🟢 NEW CALL", "Alpha leak 🤫", "TRENDING #{p} 🔥",
]
TITLES = [
    "{n} / ${s}", "{n} [{s}]", "${s} • {n}", "Token: {n}", "{n} is cooking 👨‍🍳", "Name: {n}\nSymbol: ${s}", "ticker ${s}, {p}h old",
    "🏷 {n} / ${s}", "{s} — {m} mcap", "Official {n}", "${s} just migrated",
]
CHAIN_LINES = ["on {c}", "⛓ {c}", "Chain: {c}", "Network → {c}", "#{c}", "{c}", "Network: {c}", "Blockchain - {c}"]
ADDRESS_LINES = [
    "CA: {a}", "CA 👇\n{a}", "ca - {a}", "c/a {a}", "`{a}`", "<code>{a}</code>", "[ {a} ]", "🔗 {a} 🔗", "📝 {a}", "Contract: {a}",
    "Token address:\n\n{a}", "CA ➜ {a}", "Address 👉 {a}", "👉{a}👈", "{a}", "Contract Address\n{a}", "ca {a}", "CA:{a}", "\"{a}\"",
]
TOKEN_WORDS = ["CA: {a}", "Contract: {a}", "Token address: {a}", "token contract {a}"]
TAILS = [
    "Price $0.00006784 (+{p}00%)", "Buy: 3% Sell: 3%", "5m: +12.4%  1h: +88.1%  24h: -3.0%", "LFG 🚀🚀🚀", "NFA DYOR 🙏",
    "TG: @{s}_portal  X: @{s}coin", "join VIP for early calls", "who's still holding? 💎🙌", "MC {m} | Liq ${p}K", "Liq {p}.2 ETH",
    "LP 🔥 burned, mint revoked", "1. copy 2. paste 3. pray", "Target {p}x 🎯", "Vol 24h {m}, txns 3,412", "Holders: {p}41",
    "#gem #100x", "Renounced ✅ Honeypot ❌", "Tax 0/0", "Dev sold? no", "bundle 4%, snipers {p}",
]
SHORT = [
    "{a}", "ca {a}", "CA: {a}", "ca?\n{a}", "{a} 👀", "fr this one is different. {a}. thank me later 🫡", "someone look at {a} pls",
    "aped {a} with rent money", "{a} sent to {m} from here", "chart on {a} looks insane ngl", "check ({a}) before it runs",
    "is {a} safe? only {p} holders", "@everyone {a}", "gm\n\n{a}", "${s} {a}", "${s}: {a}", "{n} → {a}",
    "Presale filled in {p} seconds.\n\n✅ Contract verified: {a}\n✅ Audit passed\n✅ KYC",
    "Update on {n}: volume {m} in the last {p} hours. CA \"{a}\", don't marry your bags.",
]

PLAIN = {
    "en": ["New {c} play: {n} (${s})\nContract {a}\nmcap {m}, small size only", "ok who bought {a} on {c} lol"],
    "zh": ["合约{a}刚开盘,{c}链,税0/0,老板们自己看", "{n} 今晚发射🚀 {c}\n合约地址：{a}\n市值{m}", "兄弟们冲 {a} 这个金狗，{c}上的"],
    "zh-Hant": ["新幣{n}({s})上線,{c}\n合約:{a}\n市值 {m},自己研究", "這個怎麼樣?{a} {c}鏈的,池子有點淺"],
    "ja": ["🚀 新規コール:{n}(${s})\nチェーン:{c}\nコントラクト:{a}\n時価総額 {m}", "{c}のやつ、これ買った人いる？ {a}"],
    "ko": ["{n}({s}) 오늘 상장, 체인은 {c}\n컨트랙트: {a}\n시총 {m}", "형님들 이거 어때요? {c} {a} 홀더 {p}명"],
    "ru": ["🔥 {n} на {c}\nконтракт {a}\nкапа {m}, заходим аккуратно", "кто смотрел {a}? сеть {c}, дев вроде живой"],
    "uk": ["Новий токен {n}, мережа {c}\nконтракт: {a}\nкапіталізація {m}", "хлопці, що скажете про {a} на {c}?"],
    "es": ["¿Alguien revisó este? {a} está en {c}, parece que el dev renunció", "Nueva joya {n} (${s}) en {c}\nContrato: {a}\nCap {m}"],
    "pt": ["Nova call na {c}: {n}\nContrato: {a}\nMarket cap {m}, façam sua pesquisa", "galera, {a} na {c} tá subindo forte"],
    "tr": ["🐂 Yeni çağrı: {n} (${s})\nAğ: {c}\nKontrat: {a}\nPiyasa değeri {m}", "{s} aldım arkadaşlar {c} kontrat {a} hedef {p}x"],
    "vi": ["Kèo mới {n} trên {c}\nHợp đồng: {a}\nVốn hóa {m}", "anh em check giúp {a} mạng {c} có scam không"],
    "id": ["🚀 CALL BARU 🚀\n{n} ${s}\nJaringan: {c}\nKontrak: {a}\nMcap {m}, DYOR ya bang", "bang ini aman ga? {a} di {c}"],
    "ms": ["Token baru {n}, rangkaian {c}\nKontrak: {a}\nModal pasaran {m}", "korang dah tengok {a} kat {c}?"],
    "ar": ["🔥 عملة جديدة {n} على {c}\nالعقد:\n{a}\nالقيمة السوقية {m}", "هل جرب أحد هذا العقد {a} على شبكة {c}؟"],
    "fa": ["🔥 توکن جدید {n} روی {c}\nقرارداد:\n{a}\nمارکت کپ {m}", "بچه‌ها این {a} روی {c} خوبه؟"],
    "hi": ["नया टोकन {n} ({s}), चेन {c}\nअनुबंध: {a}\nमार्केट कैप {m}", "भाई {a} देखा क्या? {c} पर है"],
    "fr": ["📣 Nouveau call sur {c} : {n} (${s})\n\nContrat : {a}\nCapi : {m}\nPas un conseil financier !", "vous pensez quoi de {a} sur {c} ?"],
    "de": ["🟢 Neuer Call: {n} (${s}) auf {c}\nVertrag: {a}\nMarktkapitalisierung {m}\nKeine Anlageberatung.", "hat jemand {a} auf {c} gekauft?"],
    "it": ["🔥 Nuova gemma su {c}: {n}\nContratto: {a}\nMC {m} – non è consulenza finanziaria", "ragazzi {a} su {c}, che ne dite?"],
    "pl": ["Nowy token {n} na {c}\nKontrakt: {a}\nkapitalizacja {m}", "ktoś sprawdzał {a} na {c}?"],
    "nl": ["Nieuwe call op {c}: {n} (${s}), contract {a}, mcap {m}", "heeft iemand {a} op {c} al bekeken?"],
    "th": ["เหรียญใหม่ {n} บน {c}\nสัญญา: {a}\nมาร์เก็ตแคป {m}", "พี่ๆ {a} ตัวนี้บน {c} น่าเล่นไหม"],
    "he": ["מטבע חדש {n} על {c}\nחוזה: {a}\nשווי שוק {m}", "מישהו בדק את {a} ב {c}?"],
    "fil": ["Bagong token {n} sa {c}\nKontrata: {a}\nMcap {m}, sariling research muna", "mga boss okay ba to {a} sa {c}?"],
    "ro": ["Token nou {n} pe {c}\nContract: {a}\nCapitalizare {m}", "a verificat cineva {a} pe {c}?"],
    "cs": ["Nový token {n} na {c}\nKontrakt: {a}\nkapitalizace {m}", "kdo už koupil {a} na {c}?"],
    "sv": ["Ny token {n} på {c}\nKontrakt: {a}\nbörsvärde {m}", "är {a} på {c} värd att köpa?"],
    "bn": ["নতুন টোকেন {n}, চেইন {c}\nচুক্তি: {a}\nমার্কেট ক্যাপ {m}", "ভাই {a} কেমন? {c} এ আছে"],
    "ur": ["نیا ٹوکن {n} {c} پر\nمعاہدہ: {a}\nمارکیٹ کیپ {m}", "بھائی یہ {a} کیسا ہے؟ {c} پر"],
    "el": ["Νέο token {n} στο {c}\nΣυμβόλαιο: {a}\nκεφαλαιοποίηση {m}", "παιδιά τι λέτε για {a} στο {c};"],
}

# {u} is the link.
LINK_FRAMES = [
    "{u}", "chart 👉 {u}", "link <{u}>", "Quick buy ➡️ {u}", "📈 Chart: {u}", "🔥 {n}\n\nMC {m}\nLiq {p}.1 ETH\n\n🔗 {u}", "вот график: {u}",
    "gráfico: {u} — entra antes de {m}", "check holders first {u} then ape", "[Chart]({u}) | [X](https://x.com/{s}) | [TG](https://t.me/{s}fun)",
    "${s} at {m}, looks primed\n{u}", "图表 {u} 快看", "grafik burada: {u} acele edin", "biểu đồ {u} nhé ae", "الرسم البياني: {u}",
    "차트 {u} 확인", "チャート: {u}", "({u})", "{u}\n\nnot financial advice", "look at this {u}, {p} holders already!", "wow {u}!!",
]
# {t} is the clickable word of a hidden link.
HIDDEN_FRAMES = [
    ("New token detected\n{n}\n{t}", ["BUY", "тут", "here", "CA", "Chart"]), ("🚀 {n} (${s}) is live at {m}\n\n{t}", ["Click here", "👉 TAP", "DexS"]),
    ("🐋🐋 whale bought {p} SOL of {s}\n{t}", ["📊", "see tx & chart", "graf"]), ("{t} {n} só sobe", ["gráfico", "comprar"]),
    ("買う？ {t}", ["ここ", "チャート"]), ("{n} 冲 {t} 🚀", ["点击购买", "图表"]),
]
SECOND_LINKS = ["https://x.com/{s}", "https://t.me/{s}portal", "https://{s}.xyz/", "https://linktr.ee/{s}"]

NEGATIVE = {
    "en": ["wen launch?", "i sold the bottom again lol", "anyone else getting rate limited on the rpc today", "the devs are in the voice chat right now",
           "CA dropping in 10 minutes, be ready", "bro that candle took my stop and came straight back", "Contract renounced, LP locked for a year",
           "What time is it in Lisbon now? My flight is at 6", "I think we should meet on Thursday instead", "100x or food stamps",
           "Can you send me the recipe for that soup?", "don't ask for the ca, it is pinned"],
    "zh": ["今天大盘真难看", "有没有人一起拼车去机场", "合约马上发,大家别急", "我昨天卖飞了,心态崩了", "吃饭了吗?", "群主什么时候开空投"],
    "ja": ["今日は本当に暑いですね", "このプロジェクトの公式サイトはどこですか？", "CAはまだ出ていません", "寝坊して朝の値動きを逃した", "来週の会議は水曜日に変更です"],
    "ko": ["오늘 점심 뭐 먹지", "물렸네요 형님들", "컨트랙트 주소는 곧 공개됩니다", "에어드랍 언제 주나요?", "내일 비 온다던데 우산 챙기세요"],
    "ru": ["всем доброе утро", "когда листинг, подскажите", "контракт скинем через 10 минут", "опять слил депозит на фьючах", "кто идет сегодня на футбол?", "не ведитесь на скам, админ никогда не пишет первым"],
    "uk": ["доброго ранку всім", "коли вже запуск?", "контракт буде о восьмій вечора", "сьогодні в місті страшні затори"],
    "es": ["buenos días a todos", "¿cuándo sale el contrato?", "ayer vendí demasiado pronto", "nos vemos mañana en la oficina", "el mercado está muerto hoy"],
    "pt": ["bom dia pessoal", "quando sai o contrato?", "alguém sabe o horário do ônibus?", "vendi cedo demais de novo"],
    "tr": ["günaydın arkadaşlar", "kontrat ne zaman paylaşılacak?", "bugün piyasa çok kötü", "akşam maça geliyor musun?"],
    "vi": ["chào buổi sáng cả nhà", "bao giờ có hợp đồng vậy admin", "hôm nay thị trường đỏ quá", "tối nay đi ăn lẩu không"],
    "id": ["selamat pagi semua", "kapan kontraknya keluar bang", "hari ini market merah semua", "besok jadi kumpul di rumah siapa?"],
    "ar": ["صباح الخير جميعا", "متى يتم نشر العقد؟", "السوق أحمر اليوم", "هل ستأتي إلى العشاء الليلة؟"],
    "fa": ["صبح بخیر دوستان", "قرارداد کی منتشر می‌شود؟", "بازار امروز خیلی خراب است", "فردا هوا بارانی است"],
    "hi": ["सुप्रभात दोस्तों", "अनुबंध कब आएगा?", "आज बाजार बहुत गिरा है", "क्या तुम शाम को खेलने आओगे?"],
    "fr": ["bonjour à tous", "le contrat sort quand ?", "j'ai encore vendu trop tôt", "on se retrouve à la gare à midi"],
    "de": ["guten Morgen zusammen", "wann kommt der Vertrag?", "Der Zug hat heute wieder Verspätung", "hab wieder zu früh verkauft"],
    "it": ["buongiorno a tutti", "quando esce il contratto?", "domani andiamo al mare?", "il mercato oggi è un disastro"],
    "pl": ["dzień dobry wszystkim", "kiedy będzie kontrakt?", "znowu sprzedałem za wcześnie", "jutro jedziemy w góry"],
    "nl": ["goedemorgen allemaal", "wanneer komt het contract?", "ik heb weer te vroeg verkocht"],
    "th": ["สวัสดีตอนเช้าทุกคน", "สัญญาจะออกเมื่อไหร่ครับ", "วันนี้ตลาดแดงหมดเลย", "เย็นนี้กินอะไรดี"],
    "he": ["בוקר טוב לכולם", "מתי יוצא החוזה?", "השוק היום על הפנים", "ניפגש מחר בשש"],
    "fil": ["magandang umaga sa lahat", "kailan lalabas ang kontrata?", "pula ang market ngayon", "kumain ka na ba?"],
    "ur": ["صبح بخیر سب کو", "معاہدہ کب آئے گا؟", "آج موسم بہت اچھا ہے"],
    "bn": ["শুভ সকাল সবাইকে", "চুক্তি কখন আসবে?", "আজ বাজার খুব খারাপ"],
    "ro": ["bună dimineața tuturor", "când apare contractul?"],
    "cs": ["dobré ráno všem", "kdy bude kontrakt?"],
    "sv": ["god morgon alla", "när kommer kontraktet?"],
    "el": ["καλημέρα σε όλους", "πότε βγαίνει το συμβόλαιο;"],
    "ms": ["selamat pagi semua, dah makan?", "bila kontrak nak keluar?"],
    "sw": ["habari za asubuhi", "soko liko vipi leo?"],
}

NEAR_FRAMES = [
    "{x}", "`{x}`", "CA: {x}", "is {x} legit?", "someone posted this ca {x} but my wallet says invalid", "💎 ${s}\n\nContract: {x}\n\nMC {m}",
    "контракт {x}", "合约 {x}", "contrato {x}", "kontrat {x} doğru mu", "Hợp đồng: {x}",
]

# {l} the rows of a list; {a}, {b} two addresses.
LIST_MARKS = ["—", "#.", "•", "▪️", "-", "#)", "🔹"]
LIST_FRAMES = ["сегодня взяли:\n{l}\n\nитог +115%", "Today's bags:\n{l}", "{l}", "top picks 🔥\n{l}\n\nNFA", "今日关注:\n{l}", "compras de hoy:\n{l}\nsuerte a todos"]
WATCH_HEADS = ["Watchlist", "📊 Performance today", "Daily recap", "Список на сегодня", "观察名单"]
PAIRS = ["VPE: {a} / SHARE: {b}", "swap {a} for {b} before the snapshot", "{a}\n{b}", "${s} {a}, and its sister {b}", "first {a} then {b}", "CA1 {a} CA2 {b}"]
MOVED = [
    "OLD contract (dead): {a}\nNEW contract after migration: {b}\nSwap opens in {p}h", "старый контракт {a}\nновый контракт {b}", "v1: {a}\nv2: {b}",
    "旧合约:{a}\n新合约:{b}", "migración: {a} ➡️ {b}",
]
AGAIN = ["{n} CA {a}\n\nagain for the slow ones: {b}", "{a}\n{b}", "CA: {a}\n…\nCA: {b}", "`{a}` {b}", "контракт {a}\nещё раз: {b}"]

ELLIPSES = ["...", "…", "....", "..", "***", "•••", "____"]
TRUNCATED = ["Contract {x} (tap for full)", "full ca in VIP: {x}", "💎 ${s} {x} MC {m}", "ca {x}", "bought {x} again", "контракт {x} полностью в привате"]
HASHES = [
    "burn tx 🔥 https://bscscan.com/tx/{x}", "burn tx 🔥 https://arbiscan.io/tx/{x}", "tx: {x}", "LP lock transaction {x}", "https://etherscan.io/tx/{x}#eventlog",
    "txid {y}", "block hash {x}", "https://solscan.io/tx/{z}", "https://tronscan.org/#/transaction/{y}", "хеш транзакции {x}", "交易哈希 {x}", "https://tonviewer.com/transaction/{y}",
    "https://basescan.org/block/{x}", "https://suiscan.xyz/mainnet/tx/{z}",
]
KEYED = ["key={x}", "session {x}", "your ticket is {x}", "id: {x}", "ref {x} expires soon", "promo code {x}"]
DRAWN = [
    lambda dice: "haha %s ser" % (dice.pick("zxwkmsaeyu") * dice.between(36, 48)), lambda dice: "omg " + "a" * dice.between(3, 30) + "h" * dice.between(14, 30),
    lambda dice: "W" * dice.between(20, 44) + " 🚀", lambda dice: "n" + "o" * dice.between(30, 43), lambda dice: "go" * dice.between(15, 22) + "al",
    lambda dice: "Donaudampfschifffahrtsgesellschaftskapitaenswitwe", lambda dice: "supercalifragiListicexpiaLidocious is a word too",
    lambda dice: "buy" * dice.between(12, 15),
]
LOWERED = ["https://dexscreener.com/solana/{x}", "chart: dexscreener.com/solana/{x}", "https://birdeye.so/token/{x}?chain=solana", "https://pump.fun/coin/{x}"]
POOL_IDS = ["https://dexscreener.com/base/{x}", "https://app.uniswap.org/explore/pools/ethereum/{x}", "https://www.geckoterminal.com/eth/pools/{x}"]
SIGNATURES = ["sig {x}", "https://solscan.io/tx/{x}", "signature: {x}", "sent, tx {x}", "подпись {x}", "{x}"]
SECRETS = ["my private key {x} dont tell", "import this secret key: {x}", "private key: {x}", "приватный ключ {x}", "私钥 {x}", "clave privada: {x}"]

CHAT_ENDS = [" 🚀", " lol", "!!!", " 👀👀", " @{s}_admin", " ${s}", " 🙏🙏", "?", " (edit: typo)", " https://x.com/{s}"]
CIDS = ["ipfs://{x}", "metadata at https://ipfs.io/ipfs/{x}", "pinned {x}", "CID {x}", "https://gateway.pinata.cloud/ipfs/{x}/1.json"]
IDS = ["order {x} was shipped", "request id {x}", "https://meet.example.com/j/{x}", "{x}", "ошибка, код {x}"]
COMMITS = ["https://github.com/acme/dex/commit/{x}", "fixed in commit {x}", "git checkout {x}", "HEAD is now at {x}", "revert {y} please", "sha1 {x}"]
DIGESTS = [
    "\"integrity\": \"sha512-{x}\",", "npm says sha512-{x} mismatch", "docker pull app@sha256:{y}", "md5 {w}  release.zip", "sha256sum: {y}  wallet.dmg",
    "checksum sha256-{v}", "контрольная сумма {y}",
]
JWTS = ["Authorization: Bearer {x}", "why is my token {x} expired", "curl -H 'Authorization: Bearer {x}' http://localhost/api"]
URLS = [
    "recap video 👉 https://www.tiktok.com/@user/video/{d}", "https://x.com/{w}/status/{d}", "https://youtu.be/{i}", "https://www.youtube.com/watch?v={i}&t=42s",
    "https://open.spotify.com/track/{t}?si={h}", "follow https://{w}.org and retweet", "https://t.me/+{i}AAAAA", "https://discord.gg/{w}", "https://docs.google.com/forms/d/e/1FAIpQLS{t}-{t}/viewform",
    "https://www.amazon.com/dp/B0{w}?ref={h}", "magnet:?xt=urn:btih:{k}&dn=movie", "https://medium.com/@{w}/why-{w}-{h}", "https://zoom.us/j/{d}?pwd={t}",
    "https://snapshot.org/#/{w}.eth/proposal/0x{q}", "https://opensea.io/collection/{w}", "https://cdn.{w}.io/img/{q}.png",
]
FINGERPRINTS = ["PGP fingerprint: {x}", "my gpg key {x}", "SHA1 Fingerprint={y}", "verify with fingerprint {z}", "отпечаток ключа {x}"]
API_KEYS = ["api key sk-{x}", "bot token 712345678:AA{y}", "serial {w}-{w}-{w}-{w}-{w}", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{v} me@laptop", "export TOKEN=ghp_{y}q"]
LAUGHTER = ["haha", "kek", "xaxa", "jeje", "KEKW", "wkwk", "huehue", "rof", "mdr", "asdf"]
LAUGHS = ["{x}", "bro {x}", "{x} 😂", "i cant {x}"]
NUMBERS = [
    "call me at +1 415 {#} {#}", "card 4276 {#} {#} {#}", "IBAN DE44 5001 0517 {#} {#} 31", "order #{#}{#}{#} arrived", "tracking RR{#}{#}9CN", "win {#}.{#} usd",
    "сбер 2202 {#} {#} {#}", "price 0.0000{#} → 0.000{#} (+{#}%)", "{#}-{#}-{#}", "2026-11-23T10:{p}:00Z block {#}{#}",
]
TALK = [
    "CA soon", "CA: TBA", "contract will be posted here at 18:00 UTC", "ca??", "drop the CA pls", "the contract is verified on etherscan", "Network: BSC\nCA: coming soon\nTax 5/5",
    "reply with your wallet to get whitelisted", "LP burned 🔥 mint revoked ✅ Solana", "part 1: join the group\npart 2: wait for the CA", "remove the spaces from the address when you paste it",
    "read it backwards: moooon", "контракт в закрепе", "合约在置顶", "we are on Base, Solana and TON", "pump it at the end of the day", "ca - check pinned - no dm",
]
PRICES = [
    "BTC 97,412.55 (+1.2%)\nETH 3,311.08 (-0.4%)\nSOL 241.77 (+3.9%)", "📊 {s}/USDT {p}.12 🔺 4.4%", "🐋 {p},000 SOL moved from unknown wallet to Binance", "Liquidated ${p}K long {s}USDT",
    "Fear & Greed: {p}", "gas: {p} gwei | base fee 12", "{n} holders +{p}% 24h",
]

SESSIONS = ["your access token: {x}", "contract no. {x} was signed by both parties", "token {x} expires in {p} min", "reset token: {x}", "session id {x}", "your login code: {x}", "nonce={x}", "request {x} failed", "ticket {x}", "invite {x}", "key id {x}"]
WARNINGS = ["⚠️ scam, do not buy {x}", "{x} is a honeypot, stay away", "fake token: {x}", "не покупайте {x}, это скам", "貔貅盘 {x} 别买"]
WALLETS = ["donate: {x}", "my wallet {x}", "send 1 SOL to {x} to get in", "dev wallet {x} just sold", "кошелек дева {x}", "deployer {x}"]
BARE_HEX = ["{x}", "id {x}", "got this: {x}", "file {x}"]
DOCUMENTS = ["https://docs.google.com/document/d/{x}/edit", "https://drive.google.com/file/d/{x}/view", "https://files.example.com/{x}"]
PROGRAMS = ["{y} {x}", "it calls {x} ({y})"]
LOOSE = ["{x}", "codes: {x}", "lol {x}"]

# {d} and {b} are hidden links to a chart and to a bot; {o} the name of an exchange.
CARDS = [
    "💊 {n} [{m}/+{p}%] - {s}/SOL\n🌐 {c} @ {o}\n💰 USD: $0.000{p}\n💎 FDV: {m}\n💦 Liq: ${p}.1K\n📊 Vol: ${p}K ⋅ Age: {p}m\n🌑 1H: -{p}% ⋅ $12K 🅑 {p} 🅢 41\n\n{a}\n{d}⋅{b}",
    "🔍 Token Scan\n\n📌 {n} ({s})\n📌 {a}\n\n⚖️ Owner: renounced\n💧 Liq: ${p}K\n👥 Holders: {p}21\n\n{d} | {b}",
    "🐋 {p} wallets bought {s} in the last {p} minutes!\n{n}\n{a}\n\nChart: {d}\nTrade: {b}",
]
CARD_WORDS = [("DEX", "TRO"), ("DexS", "Maestro"), ("📈 Chart", "🤖 Buy")]
VENUES = ["Raydium", "Pump", "Uniswap", "PancakeSwap"]
LONG = [
    "Good evening community 🙏 We know the last two weeks were not easy. The team behind {n} worked day and night on the new site, the staking pool and the listing forms, and we thank everybody who stayed. "
    "Three things for tonight: the AMA starts at 20:00 UTC, the burn of {p}% follows right after it, and the second audit is published on Friday. Please do not trust private messages, no admin will ever write to you first.\n\n"
    "Our only contract on {c}: {a}\n\nEverything else with our name is a copy. Liquidity is locked until 2027, the top ten wallets hold less than {p}%, the tax is zero. See you all in the voice chat, bring your questions and your memes! 🚀",
    "Друзья, доброе утро! За ночь {n} прошёл капу {m}, холдеров уже больше {p}00. Напоминаю: входим только тем, что не жалко потерять, фиксируем тело на двух иксах, не влетаем на хаях. "
    "Сеть {c}. Дев сжёг ликвидность, минт отключён, бандлов {p}%. Контракт {a} — проверяйте каждую букву, вчера в комментах кидали подделку. Следующий разбор вечером, ставьте реакции 🔥",
    "家人们，今天给大家聊聊 {n}。项目方是老团队，之前做过两个百倍盘，社区很活跃，推特互动也不错。目前市值{m}，池子{p}万U，{c}链，税0/0，权限已丢。合约 {a} 建议小仓位，注意风险，涨跌自负。晚上八点语音房见！",
]
MARKDOWN = ["[{a}]({u})", "Contract: [{h}]({u})", "CA: [{h}…]({u}) 📋", "{s}: [tap]({u}) · [site](https://{s}.io)"]
DEFANGED = [("https://", "hxxps://"), (".", "[.]"), (".", "(dot)"), (".", "(.)"), ("://", "[:]//"), (".", " dot ")]

TAGS = ["${a}", "#{a}", "$CA:{a}", "#CA {a}", "@{s} ${a}", "/{a}"]
SUFFIXES = ["{a}'s chart looks good", "{a}'i aldım dün gece", "{a}-нее смотрели?", "{a}:", "{a}->buy", "{a}...", "{a};)"]
BIDI = ["العقد: {a}", "CA {a}", "החוזה {a} בלבד", "قرارداد {a}"]
TWO_HIDDEN = ["CA: {a}\nCA2: {b}", "first: {a}\n\nsecond: {b}", "контракт {a}\n\nили {b}", "{a}\n——\n{b}"]
ONE_SHORT = ["0x is the prefix, {x} {w}", "ca {x} {w} good one?", "{x} {w}", "is {x} {w} scam", "{x}\n{w} link please"]
NEAR_WORDS = ["buy {x} now", "is {x} ok", "try {x} go", "{x} gm", "so {x} is up", "ser {x} pump", "my {x} bag", "CA: {x} buy", "{x}\nbuy", "ape {x} today"]
CALLDATA = ["calldata {x}", "topic {y}", "input data: {x}", "bytecode {z}", "log topics: {y}", "данные {x}"]
BURNS = ["LP sent to {x}", "burned 🔥 {x}", "{x}", "owner is {x} now"]
TEST_NETS = ["testnet jetton {x}", "{x}", "CA: {x}"]
SEEDS = ["my seed: {x}", "{x}", "write down {x} and keep it safe", "сид фраза {x}"]
NAMED_HEX = [
    "{x}  release.tar.gz", "shasum: {x}", "torrent {x}", "hash160 {x}", "tree {x}", "Fingerprint (SHA1) {x}", "etag: {x}", "build id {x}", "commit {x}\nAuthor: dev", "android signing sha1 {x}",
    "https://github.com/acme/x/tree/{x}", "device {x}", "session={x}", "хеш {x} файла", "api secret {x}", "parent {x}",
]

ROW_WORDS = "the great moon king pump team ape bag community forever never stop buying crypto rocket diamond hands chart green summer winter best of my heart super mega ultra trust process believe together strong make money fast"
ROWS = ["#{x}", "@{x}", "follow @{x} for more", "class {x} extends Base", "{x}", "https://x.com/hashtag/{x}", "wow {x}"]
CODE_HEADS = [["recovery codes:\n{x}", "{x}"], ["good game {x}", "{x}"], ["palette {x}", "{x}"], ["hexdump:\n{x}", "{x}"], ["bitlocker {x}"], ["2fa secret {x}"]]
