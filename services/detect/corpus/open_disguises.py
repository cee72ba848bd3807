"""What open.jsonl hides addresses with. {a} in a frame is the disguised address."""

INVISIBLE = ["\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u180e", "\u200e", "\u200f"]
LOOK_ALIKES = {
    "A": "АΑ", "B": "ВΒ", "C": "С", "E": "ЕΕ", "H": "НΗ", "K": "КΚ", "M": "МΜ", "N": "Ν", "P": "РΡ", "T": "ТΤ", "X": "ХΧ", "Y": "Υ", "Z": "Ζ",
    "a": "а", "c": "с", "e": "е", "o": "оο", "p": "р", "x": "х", "y": "у", "i": "і", "j": "ј", "s": "ѕ",
}
# Upper-case A, lower-case a, digit 0 of mathematical alphabets; None leaves the digits as they are.
MATH = [(0x1D5A0, 0x1D5BA, 0x1D7E2), (0x1D5D4, 0x1D5EE, 0x1D7EC), (0x1D670, 0x1D68A, 0x1D7F6), (0x1D400, 0x1D41A, 0x1D7CE)]
ENCLOSED = []
SPACES = [" ", "  "]
BREAKS = ["\n"]
DOTS = [".", "...", " . ", "·", "•"]
DASHES = [" - ", "~", "–", " — ", "-"]
EMOJI = ["🚀", " ⭐️ ", "✂️", "🐸", " 🔥 ", "💎", "👉", "❌"]
OTHER_MARKS = []
FILLERS = [
    ("❌REMOVE❌", None), ("(удали)", None), ("[DELETE]", None), ("(remove)", None), ("*REMOVE*", None), ("【删除】", None),
    ("(borrar)", None), ("<REMOVE>", None), ("{delete}", None), ("REMOVETHIS", "remove REMOVETHIS"), ("XXDELETEXX", "delete XXDELETEXX from it"),
    ("-NOBOT-", "delete NOBOT"),
]
FORMATS = [
    [("<b>", "</b>"), ("<i>", "</i>")], [("`", "`")], [("**", "**")], [("||", "||")], [("<code>", "</code>")], [("**", "**"), ("`", "`")],
]
FORMAT_GAPS = ["", "", " "]
CHAR_GAPS = [" ", ".", " . ", "-"]
REVERSED_CUES = [
    "CA (reversed): {a}", "contrato al revés: {a}", "{a}\n(read it backwards)", "наоборот: {a}", "reverse this 👉 {a}", "合约倒序：{a}", "umgekehrt: {a}",
]
PARTS = [
    ("Part 1: {0}\nPart 2: {1}\n\njoin them 🧩", 2), ("CA in pieces:\nчасть 1: {0}\nчасть 2: {1}", 2), ("1) {0}\n2) {1}\nput together", 2),
    ("first half: {0}\nsecond half: {1}", 2), ("CA in 3 parts\n1/3: {0}\n2/3: {1}\n3/3: {2}", 3), ("Part 2: {1}\nPart 1: {0}", 2),
    ("parte 1: {0}\nparte 2: {1}\nunir", 2), ("第一段：{0}\n第二段：{1}\n拼起来", 2), ("Teil 1: {0}\nTeil 2: {1}", 2),
]
EVM_PREFIXES = ["0х", "0 x", "0x ", "Ox", "0Х", "0x\n"]
NO_PREFIX = ["CA without 0x: {a}", "{a} (add 0x in front)", "contract {a} — put 0x before it", "add 0x: {a}"]
ENDING_FORMS = [
    "CA: {h} {e}", "CA: {h} + {e}", "CA: {h}...{e}", "{h} (add {e} at the end)", "CA: {h}\n{e}", "CA: {h} and then {e}", "contract: {h}({e})",
    "{h}\nadd \"{e}\" to the end",
]
GAP_FRAMES = {
    "spaces": ["CA (remove spaces): {a}", "CA (remove spaces):\n{a}", "{a}\n(remove the spaces)", "контракт без пробелов: {a}", "contrato (sin espacios): {a}"],
    "line_breaks": ["Contract (2 lines, join them):\n{a}", "CA, join the lines:\n{a}", "{a}\n\n(одной строкой)", "合并两行：\n{a}"],
    "dots": ["{a} (убрать точки)", "CA (remove dots): {a}", "contract: {a} (no dots)", "去掉点：{a}"],
    "dashes": ["contract: {a} (no separators)", "CA, remove dashes: {a}", "без тире: {a}"],
    "emoji_between": ["Contract (no emoji)\n{a}", "CA without the emojis: {a}", "убери эмодзи: {a}", "sin emojis: {a}"],
    "char_spaced": ["CA (remove all spaces): {a}", "{a}\n\n(remove all spaces)", "one by one: {a}", "слитно: {a}"],
    "filler": ["CA (anti-bot): {a}", "CA: {a}", "контракт: {a}"],
}
FRAMES = [
    "CA: {a}", "{a}", "контракт {a}", "Contract: {a}", "`{a}`", "🔥 ${s} — {n}\n\nCA: {a}", "MC {m} | Liq ${p}K\nCA: {a}", "CA: {a}\n\n${s} fair launch",
    "Anti-sniper CA below\nCA (anti-bot): {a}", "Stealth drop, bots stay away 🤖🚫\nCA: {a}", "💎 ${s}\n\n{a}\n\nMC {m}", "Contract: {a}\n\nLFG",
    "合约：{a}", "contrato: {a}", "kontrat: {a}", "hợp đồng: {a}", "계약: {a}",
]
AROUND = ["{x}", "{x}", "MC {m} | Liq 11.9 ETH\n{x}", "🔥 ${s} — {n}\n\n{x}\n", "Anti-sniper CA below\n{x}\n\n${s} degen", "Stealth drop, bots stay away 🤖🚫\n{x}"]
LABELS = ["CA: ", "CA: ", "contract ", "", "Contract:\n", "ca 👉 ", "контракт ", "合约：", "contrato: "]
