"""What held.jsonl hides addresses with. Slots as in open_disguises.py."""

INVISIBLE = ["\u200b", "\u2061", "\u2062", "\u2063", "\u2064", "\u202a", "\u202c", "\u2066", "\u2069", "\u034f", "\u061c", "\ufe0f", "\u115f", "\u3164", "\u200d"]
LOOK_ALIKES = {
    "A": "АΑᎪ", "B": "ВΒᏴ", "C": "СϹᏟ", "D": "Ꭰ", "E": "ЕΕᎬ", "G": "Ԍ", "H": "НΗᎻ", "J": "ЈᎫ", "K": "КΚᏦ", "L": "Ꮮ", "M": "МΜᎷ", "N": "Ν", "P": "РΡᏢ", "S": "ЅՏ",
    "T": "ТΤᎢ", "V": "Ꮩ", "W": "Ԝ", "X": "ХΧ", "Y": "ΥҮ", "Z": "ΖᏃ",
    "a": "аɑ", "c": "сϲ", "d": "ԁ", "e": "е", "g": "ɡ", "h": "һ", "i": "і", "j": "јϳ", "n": "ո", "o": "оοօ", "p": "рρ", "q": "ԛ", "s": "ѕ", "u": "υս", "v": "ѵν", "w": "ԝ", "x": "х", "y": "уү",
    "3": "З",
}
MATH = [
    (0x1D608, 0x1D622, None), (0x1D63C, 0x1D656, None), (0x1D468, 0x1D482, None), (0x1D538, 0x1D552, 0x1D7D8), (0x1D49C, 0x1D4B6, None), (0x1D4D0, 0x1D4EA, None),
    (0x1D504, 0x1D51E, None), (0x1D56C, 0x1D586, None), (0x1D434, 0x1D44E, None), (0x1D400, 0x1D41A, None),
]
SPACES = ["\u00a0", "   ", "\u2009", "\u3000", "\t", " \u200a"]
BREAKS = ["\n", "\n", "\n\n", " \n", "\r\n", "\n    "]
DOTS = ["..", "。", "․", "…", " • ", "·", "∙", " .. ", "‥"]
DASHES = ["--", "—", " ~ ", "‑", "_ _", " ‒ ", "‐"]
EMOJI = ["🟢", " 💊 ", "🇺🇸", "👨‍👩‍👧", "❤️", "🧑🏽‍🚀", "✅", " ➕ ", "⚡️", "🫡", "➡️", "🐳🐳"]
OTHER_MARKS = [",", ":", ";", " / ", "|", " | ", "\\", "*", " + ", "+", "^", "'", "\"", "=", ")(", "][", " > ", "★", "→", "(", "#", "¦", "&", " & ", "@@"]
FILLERS = [
    ("✂️CUT✂️", None), ("(delete this)", None), ("[remove me]", None), ("{{REMOVE}}", None), ("<del>", "remove <del>"), ("❌del❌", None), ("(supprimer)", None), ("(entfernen)", None),
    ("(видали)", None), ("【去掉】", None), ("(sil)", None), ("(xóa)", None), ("[hapus]", None), ("(削除)", None), ("(삭제)", None), ("(usuń)", None), ("(apagar)", None),
    ("NOSNIPE", "take out NOSNIPE"), ("FUCKBOTS", "remove the word FUCKBOTS"), ("МУСОР", "удалите МУСОР"), ("垃圾", "删掉“垃圾”"), ("_ANTIBOT_", "remove _ANTIBOT_"), ("🤖BOT🤖", "remove 🤖BOT🤖"),
    ("QQQ", "delete QQQ from the address"), ("KITTY", "erase KITTY"), ("borrar", "quita la palabra borrar"),
]
FORMATS = [
    [("<strong>", "</strong>")], [("~~", "~~")], [("<u>", "</u>"), ("<s>", "</s>")], [("*", "*")], [("```", "```")], [("<tg-spoiler>", "</tg-spoiler>")], [("<em>", "</em>"), ("<code>", "</code>")],
    [("||", "||"), ("**", "**")], [("<pre>", "</pre>")], [("[", "]")], [("(", ")")], [("«", "»")],
]
FORMAT_GAPS = ["", " ", "\n"]
CHAR_GAPS = ["\u200b", "  ", "/", "|", "•", " - ", ",", "\n", "_ ", "*"]
REVERSED_CUES = [
    "{a} <- backwards", "CA is mirrored: {a}", "Перевёрнутый контракт: {a}", "задом наперёд 👉 {a}", "ters çevrilmiş: {a}", "倒着读：{a}", "逆順: {a}", "거꾸로: {a}", "à l'envers : {a}",
    "contratto al contrario: {a}", "endereço invertido: {a}", "đọc ngược: {a}", "dibalik: {a}", "od tyłu: {a}", "flip it: {a}", "right to left: {a}", "معكوس: {a}", "{a}\n\n↩️ reverse me", "ɐɔ reversed -> {a}",
]
PARTS = [
    ("1️⃣ {0}\n2️⃣ {1}\ncombine", 2), ("half one: {0}\nhalf two: {1}", 2), ("[1/2] {0}\n[2/2] {1}", 2), ("A) {0}\nB) {1}\nA+B = CA", 2), ("начало: {0}\nконец: {1}", 2), ("1ª parte: {0}\n2ª parte: {1}", 2),
    ("première partie : {0}\ndeuxième partie : {1}", 2), ("phần 1: {0}\nphần 2: {1}", 2), ("bagian 1: {0}\nbagian 2: {1}", 2), ("前半：{0}\n後半：{1}", 2), ("앞: {0}\n뒤: {1}", 2), ("bölüm 1: {0}\nbölüm 2: {1}", 2),
    ("CA part one {0} part two {1}", 2), ("Part 1/3 {0}\nPart 2/3 {1}\nPart 3/3 {2}", 3), ("#3 {2}\n#1 {0}\n#2 {1}\nput in order", 3), ("start: {0}\nmiddle: {1}\nend: {2}", 3), ("part I: {0}\npart II: {1}", 2),
    ("1. {0} 2. {1} (glue)", 2), ("p1 = {0}\np2 = {1}\nca = p1 + p2", 2), ("① {0}\n② {1}\n③ {2}\n④ {3}", 4), ("قسمت ۱: {0}\nقسمت ۲: {1}", 2), ("الجزء 1: {0}\nالجزء 2: {1}", 2), ("część 1: {0}\nczęść 2: {1}", 2),
]
EVM_PREFIXES = ["0×", "О x", "0-x", "(0x) ", "0x...", "0х ", "ох", "Ох", "0 х ", "oX", "０x", "0️⃣x", "0x: "]
NO_PREFIX = ["contract: {a}, starts with 0x", "prefix it with 0x: {a}", "добавь 0x в начало: {a}", "前面加0x：{a}", "agrega 0x al inicio: {a}", "CA (0x omitted) {a}", "0x + {a}", "missing 0x at the start: {a}", "CA: {a} (BSC, without the 0x)"]
ENDING_FORMS = [
    "{h} plus {e}", "CA {h} (+{e})", "{h} <- add {e} after this", "CA (ends with {e}): {h}", "{h}\n\nput {e} at the end of it", "в конце добавь {e}: {h}", "末尾加{e}：{h}", "agrega {e} al final: {h}", "sonuna {e} ekle: {h}",
    "{h}[{e}]", "{h}-{e}", "{h}_{e}", "{h} 👉 {e}", "{h} & {e}", "CA: {h} . {e}", "`{h}` `{e}`", "{h}💊{e}", "thêm {e} vào cuối: {h}", "{h}\u2026{e}",
]
GAP_FRAMES = {
    "spaces": ["убери пробелы: {a}", "去掉空格：{a}", "boşlukları sil: {a}", "{a} ← no spaces ofc", "enlever les espaces : {a}", "bỏ dấu cách: {a}", "hapus spasi: {a}", "usuń spacje: {a}", "delete the gaps {a}", "空白を消して：{a}"],
    "line_breaks": ["one line please:\n{a}", "соедини строки:\n{a}", "une las líneas:\n{a}", "satırları birleştir:\n{a}", "gabungkan:\n{a}"],
    "dots": ["sin puntos: {a}", "noktasız: {a}", "{a} ← w/o dots", "ohne Punkte: {a}", "ignore punctuation: {a}"],
    "dashes": ["{a} (delete the dashes)", "sin guiones: {a}", "убери чёрточки: {a}", "去掉横线：{a}", "{a} *drop the lines between"],
    "emoji_between": ["{a}\n^ delete emojis", "без смайлов: {a}", "去掉表情：{a}", "emojileri sil: {a}", "bỏ emoji: {a}", "{a} (emoji = trash)"],
    "other_marks": ["strip the symbols: {a}", "{a} (remove the symbols)", "убери символы: {a}", "CA without special characters: {a}", "去掉符号：{a}"],
    "char_spaced": ["letter by letter: {a}", "убери разделители: {a}", "去掉间隔：{a}", "{a} (join everything)"],
    "filler": ["{a}", "Contract address → {a}", "合约 {a}", "адрес: {a}"],
}
FRAMES = [
    "Address: {a}", "{a} 👀", "адрес: {a}", "({a})", "CA = {a}", "${s}\n\n📋 {a}\n\n{m}", "{n} launch\n➤ {a}\nLP locked", "C.A. {a}", "🔐 hidden from bots: {a}", "coded CA ↓\n{a}", "地址 {a}", "dirección: {a}", "adresse : {a}",
    "CA {a} shhh", "you know what to do\n{a}", "endereço {a}", "주소 {a}",
]
AROUND = ["{x}", "{x}\n\nMC {m}", "{n} 🔐\n{x}", "humans only 🧠\n\n{x}", "{x}\n— ${s} team", "⛔️ bots\n{x}\n⛔️"]
LABELS = ["Address: ", "ca= ", "", "адрес ", "合约地址 "]
