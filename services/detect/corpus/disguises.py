"""Ways to hide an address from a program that a person still reads."""

from addresses import base58_bytes


def cut(dice, word, pieces, shortest=1):
    """Pieces of random lengths."""
    pieces = max(1, min(pieces, len(word) // max(1, shortest)))
    while True:
        at = sorted(dice.sample(range(1, len(word)), pieces - 1))
        out = [word[a:b] for a, b in zip([0] + at, at + [len(word)])]
        # No piece is a key by itself, else the whole would be a guess.
        if all(len(piece) >= shortest and still_alone(piece) for piece in out):
            return out


def zero_width(dice, word, part):
    marks = part.INVISIBLE if dice.chance(50) else [dice.pick(part.INVISIBLE)]
    pieces = cut(dice, word, dice.between(2, 9))
    return "".join(p + (dice.pick(marks) if i + 1 < len(pieces) else "") for i, p in enumerate(pieces))


def look_alikes(dice, word, part, count=None):
    at = [i for i, c in enumerate(word) if c in part.LOOK_ALIKES and not (i == 1 and word[:2] == "0x")]
    count = len(at) if dice.chance(30) else count or dice.between(1, 6)
    letters = list(word)
    for i in dice.sample(at, count):
        letters[i] = dice.pick(part.LOOK_ALIKES[letters[i]])
    return "".join(letters)


def fullwidth(dice, word, part):
    wide = [chr(ord(c) + 0xFEE0) for c in word]
    if dice.chance(55):
        return "".join(wide)
    start = dice.below(len(word) - 4)
    end = dice.between(start + 3, len(word))
    return word[:start] + "".join(wide[start:end]) + word[end:]


# Letters of the mathematical alphabets that stand elsewhere in Unicode.
HOLES = {0x1D455: 0x210E, 0x1D49D: 0x212C, 0x1D4A0: 0x2130, 0x1D4A1: 0x2131, 0x1D4A3: 0x210B, 0x1D4A4: 0x2110, 0x1D4A7: 0x2112,
         0x1D4A8: 0x2133, 0x1D4AD: 0x211B, 0x1D4BA: 0x212F, 0x1D4BC: 0x210A, 0x1D4C4: 0x2134, 0x1D506: 0x212D, 0x1D50B: 0x210C,
         0x1D50C: 0x2111, 0x1D515: 0x211C, 0x1D51D: 0x2128, 0x1D53A: 0x2102, 0x1D53F: 0x210D, 0x1D545: 0x2115, 0x1D547: 0x2119,
         0x1D548: 0x211A, 0x1D549: 0x211D, 0x1D551: 0x2124}


def math_font(dice, word, part):
    upper, lower, digit = dice.pick(part.MATH)
    out = ""
    for c in word:
        if "A" <= c <= "Z":
            code = upper + ord(c) - 65
        elif "a" <= c <= "z":
            code = lower + ord(c) - 97
        elif c.isdigit() and digit:
            code = digit + ord(c) - 48
        else:
            code = ord(c)
        out += chr(HOLES.get(code, code))
    return out


def enclosed(dice, word, part):
    """Circled letters and digits: both cases exist, the 0 too."""
    out = ""
    for c in word:
        if "A" <= c <= "Z":
            out += chr(0x24B6 + ord(c) - 65)
        elif "a" <= c <= "z":
            out += chr(0x24D0 + ord(c) - 97)
        elif "1" <= c <= "9":
            out += chr(0x2460 + ord(c) - 49)
        else:
            out += "⓪" if c == "0" else c
    return out


def glued(dice, word, marks, most=6, shortest=1):
    pieces = cut(dice, word, dice.between(2, most), shortest)
    return dice.pick(marks).join(pieces)


def marks_for(family, marks):
    """A TON address holds dashes of its own, so a bare one between its chunks cannot be told from them."""
    bare = {"-", "_", "--", "_ ", "_ _", "\u2010", "\u2011"}
    return [mark for mark in marks if family != "ton" or mark not in bare]


def formatting(dice, word, part, family):
    styles = [s for s in part.FORMATS if family != "ton" or "_" not in s[0][0]]
    style, gap = dice.pick(styles), dice.pick(part.FORMAT_GAPS)
    pieces = cut(dice, word, dice.between(2, 4), 3)
    return gap.join(style[i % len(style)][0] + p + style[i % len(style)][1] for i, p in enumerate(pieces))


def changed_case(dice, word, part):
    digits = word[2:]
    kind = dice.below(4)
    if kind == 0:
        return "0x" + digits.upper()
    if kind == 1:
        return "0X" + digits.lower()
    if kind == 2:
        return "0X" + digits.upper()
    return "0X" + digits


def solana_ending(word):
    for ending in ("pump", "bonk", "moon", "BAGS", "jups", "boop"):
        if word.endswith(ending):
            return ending
    return None


def still_alone(word):
    """Whether the part before the ending is no key by itself, so that only the whole is meant."""
    raw = base58_bytes(word)
    return raw is None or len(raw) != 32
