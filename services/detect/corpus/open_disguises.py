"""What open.jsonl hides addresses with. {a} in a frame is the disguised address."""

INVISIBLE = ["\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u180e", "\u200e", "\u200f"]
LOOK_ALIKES = {
    "A": "АΑ", "B": "ВΒ", "C": "С", "E": "ЕΕ", "H": "НΗ", "K": "КΚ", "M": "МΜ", "N": "Ν", "P": "РΡ", "T": "ТΤ", "X": "ХΧ", "Y": "Υ", "Z": "Ζ",
    "a": "а", "c": "с", "e": "е", "o": "оο", "p": "р", "x": "х", "y": "у", "i": "і", "j": "ј", "s": "ѕ",
}
# Upper-case A, lower-case a, digit 0 of mathematical alphabets; None leaves the digits as they are.
MATH = [(0x1D5A0, 0x1D5BA, 0x1D7E2), (0x1D5D4, 0x1D5EE, 0x1D7EC), (0x1D670, 0x1D68A, 0x1D7F6), (0x1D400, 0x1D41A, 0x1D7CE)]
ENCLOSED = []
SPACES = [" ", "  ", " ", "\u2003", "\u202f"]
BREAKS = ["\n", "\n", "\n", "\n\n", "\n  "]
DOTS = [".", "...", " . ", "·", "•"]
DASHES = [" - ", "~", "–", " — ", "-", "-", " – ", "~~", "_"]
EMOJI = ["🚀", " ⭐️ ", "✂️", "🐸", " 🔥 ", "💎", "👉", "❌", "🇧🇷", "👩‍💻", " ♥️ ", "☀️", "🔴", "🚀🚀", " 🧩🧩 ", "⏩", "〰️"]
OTHER_MARKS = ["/", "_", "|", " + ", "=", "*", " ; ", ", ", " : ", "\\ ", "(", "+", " | ", "<>", "%"]
FILLERS = [
    ("❌REMOVE❌", None), ("(удали)", None), ("[DELETE]", None), ("(remove)", None), ("*REMOVE*", None), ("【删除】", None),
    ("(borrar)", None), ("<REMOVE>", None), ("{delete}", None), ("REMOVETHIS", "remove REMOVETHIS"), ("XXDELETEXX", "delete XXDELETEXX from it"),
    ("-NOBOT-", "delete NOBOT"), ("(löschen)", None), ("(retirer)", None), ("(rimuovi)", None), ("(remover)", None), ("(kaldır)", None), ("(bỏ)", None), ("(buang)", None),
    ("[убрать]", None), ("（删掉）", None), ("[取消]", None), ("(지우기)", None), ("(消して)", None), ("(حذف)", None), ("(हटाओ)", None), ("(ลบ)", None), ("(verwijder)", None), ("(usun)", None),
    ("BANANA", "remove the word BANANA"), ("ЛИШНЕЕ", "убери слово ЛИШНЕЕ"), ("SCAMBOT", "without SCAMBOT"), ("多余", "去掉“多余”"), ("ELIMINAR", "elimina la palabra ELIMINAR"), ("$$$", "remove $$$"),
    ("YYY", "take YYY out"), ("🚫removeme🚫", None), ("-DEL-", None), ("<<delete>>", None), ("__REMOVE__", None), ("/delete/", None), ("#remove#", None), (" remove ", None), (" DELETE ", None),
]
FORMATS = [
    [("<b>", "</b>"), ("<i>", "</i>")], [("`", "`")], [("**", "**")], [("||", "||")], [("<code>", "</code>")], [("**", "**"), ("`", "`")],
    [("<s>", "</s>")], [("<span class=\"tg-spoiler\">", "</span>")], [("~~", "~~"), ("**", "**")], [("_", "_")], [("<u>", "</u>"), ("<b>", "</b>")], [("{", "}")], [("\"", "\"")], [("'", "'")],
]
FORMAT_GAPS = ["", "", " "]
CHAR_GAPS = [" ", ".", " . ", "-", "~", "+", "·", " | ", "_", "\u2009", ";", "…"]
REVERSED_CUES = [
    "CA (reversed): {a}", "contrato al revés: {a}", "{a}\n(read it backwards)", "наоборот: {a}", "reverse this 👉 {a}", "合约倒序：{a}", "umgekehrt: {a}",
    "перевернуть: {a}", "ters oku: {a}", "al contrario: {a}", "反过来：{a}", "逆さま: {a}", "뒤집어서: {a}", "à lire à l'envers: {a}", "leia de trás pra frente: {a}", "đảo ngược: {a}", "terbalik: {a}", "rovescia: {a}",
    "wspak: {a}", "achterstevoren: {a}", "अक्षर उल्टे: {a}", "برعکس: {a}", "reversed contract\n{a}", "{a}\n(reversed)", "mirror the address {a}", "spelled from the end: {a}",
]
PARTS = [
    ("Part 1: {0}\nPart 2: {1}\n\njoin them 🧩", 2), ("CA in pieces:\nчасть 1: {0}\nчасть 2: {1}", 2), ("1) {0}\n2) {1}\nput together", 2),
    ("first half: {0}\nsecond half: {1}", 2), ("CA in 3 parts\n1/3: {0}\n2/3: {1}\n3/3: {2}", 3), ("Part 2: {1}\nPart 1: {0}", 2),
    ("parte 1: {0}\nparte 2: {1}\nunir", 2), ("第一段：{0}\n第二段：{1}\n拼起来", 2), ("Teil 1: {0}\nTeil 2: {1}", 2),
    ("partie 1 : {0}\npartie 2 : {1}", 2), ("第1部分 {0}\n第2部分 {1}", 2), ("kısım 1: {0}\nkısım 2: {1}", 2), ("파트 1: {0}\n파트 2: {1}", 2), ("パート1：{0}\nパート2：{1}", 2), ("часть первая {0}\nчасть вторая {1}", 2),
    ("1/2 {0}\n2/2 {1}", 2), ("(1) {0}\n(2) {1}\n(3) {2}", 3), ("1: {0}\n2: {1}", 2), ("1️⃣{0}\n2️⃣{1}\n3️⃣{2}", 3), ("beginning: {0}\nend: {1}", 2), ("left: {0}\nright: {1}", 2), ("piece A: {0}\npiece B: {1}", 2),
    ("piece one {0}\npiece two {1}", 2), ("chunk 1 - {0}\nchunk 2 - {1}\nchunk 3 - {2}", 3), ("CA pt1 {0}\nCA pt2 {1}", 2), ("2nd half {1}\n1st half {0}", 2), ("Part 1: {0} Part 2: {1}", 2), ("CA part 1 👉 {0}\nCA part 2 👉 {1}", 2),
    ("mitad 1: {0}\nmitad 2: {1}", 2), ("pezzo 1: {0}\npezzo 2: {1}", 2), ("deel 1: {0}\ndeel 2: {1}", 2), ("भाग 1: {0}\nभाग 2: {1}", 2), ("ส่วนที่ 1: {0}\nส่วนที่ 2: {1}", 2), ("a = {0}\nb = {1}\na+b", 2), ("I. {0}\nII. {1}", 2),
]
EVM_PREFIXES = ["0х", "0 x", "0x ", "Ox", "0Х", "0x\n", "ox", "0 x ", "０ｘ", "0x-", "0x | ", "0\u200bx", "0_x", "0.x.", "О х ", "0 X "]
NO_PREFIX = ["CA without 0x: {a}", "{a} (add 0x in front)", "contract {a} — put 0x before it", "add 0x: {a}",
             "without the 0x: {a}", "допиши 0x: {a}", "CA: {a}", "Contract: {a}", "开头加0x {a}", "pon 0x delante: {a}", "başına 0x koy: {a}", "0x goes first, then {a}"]
ENDING_FORMS = [
    "CA: {h} {e}", "CA: {h} + {e}", "CA: {h}...{e}", "{h} (add {e} at the end)", "CA: {h}\n{e}", "CA: {h} and then {e}", "contract: {h}({e})",
    "{h}\nadd \"{e}\" to the end", "{h} {e}", "{h} - {e}", "{h} .{e}", "CA: {h} [{e}]", "CA: {h} ➕ {e}", "допиши {e} в конце: {h}", "{h} (+ {e})", "{h} + \"{e}\"", "{h} + word {e}", "结尾加 {e}：{h}", "añade {e} al final: {h}",
    "CA: {h} finish it with {e}", "{h}, last four letters are {e}", "append {e}: {h}", "CA without the {e}: {h}", "{h}/{e}", "{h} ~ {e}", "{h}🚀{e}", "{h} ({e} at the end)", "{h} don't forget {e} at the end", "ekle {e} sona: {h}",
]
GAP_FRAMES = {
    "spaces": ["CA (remove spaces): {a}", "CA (remove spaces):\n{a}", "{a}\n(remove the spaces)", "контракт без пробелов: {a}", "contrato (sin espacios): {a}"],
    "line_breaks": ["Contract (2 lines, join them):\n{a}", "CA, join the lines:\n{a}", "{a}\n\n(одной строкой)", "合并两行：\n{a}"],
    "dots": ["{a} (убрать точки)", "CA (remove dots): {a}", "contract: {a} (no dots)", "去掉点：{a}"],
    "dashes": ["contract: {a} (no separators)", "CA, remove dashes: {a}", "без тире: {a}"],
    "emoji_between": ["Contract (no emoji)\n{a}", "CA without the emojis: {a}", "убери эмодзи: {a}", "sin emojis: {a}"],
    "char_spaced": ["CA (remove all spaces): {a}", "{a}\n\n(remove all spaces)", "one by one: {a}", "слитно: {a}"],
    "other_marks": ["CA (remove the marks): {a}", "{a} (only letters and digits count)", "без знаков: {a}", "sin símbolos: {a}"],
    "filler": ["CA (anti-bot): {a}", "CA: {a}", "контракт: {a}"],
}
FRAMES = [
    "CA: {a}", "{a}", "контракт {a}", "Contract: {a}", "`{a}`", "🔥 ${s} — {n}\n\nCA: {a}", "MC {m} | Liq ${p}K\nCA: {a}", "CA: {a}\n\n${s} fair launch",
    "Anti-sniper CA below\nCA (anti-bot): {a}", "Stealth drop, bots stay away 🤖🚫\nCA: {a}", "💎 ${s}\n\n{a}\n\nMC {m}", "Contract: {a}\n\nLFG",
    "合约：{a}", "contrato: {a}", "kontrat: {a}", "hợp đồng: {a}", "계약: {a}",
]
AROUND = ["{x}", "{x}", "MC {m} | Liq 11.9 ETH\n{x}", "🔥 ${s} — {n}\n\n{x}\n", "Anti-sniper CA below\n{x}\n\n${s} degen", "Stealth drop, bots stay away 🤖🚫\n{x}"]
LABELS = ["CA: ", "CA: ", "contract ", "", "Contract:\n", "ca 👉 ", "контракт ", "合约：", "contrato: "]
