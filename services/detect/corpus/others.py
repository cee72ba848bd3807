"""Messages with several addresses, with almost one, with none, and those where people would argue."""

import base64

import addresses as ad
import disguises as ds
from make import FAMILIES, Token, any_link, utf16


# Several.

def several(part, count):
    for i in range(count):
        dice = part.dice("several", i)
        shape = dice.pick(["list", "list", "watch", "inline", "again", "moved", "forms", "links"])
        tokens = [Token(dice, dice.weighted(FAMILIES[:4])) for _ in range(dice.between(2, 6))]
        named = False
        if shape == "list":
            mark, frame = dice.pick(part.LIST_MARKS), dice.pick(part.LIST_FRAMES)
            rows = [part.fill(dice, "%s {s} %s" % (mark.replace("#", str(k + 1)), t.written)) for k, t in enumerate(tokens)]
            text = part.fill(dice, frame, l="\n".join(rows))
        elif shape == "watch":
            named = True
            rows = [
                part.fill(dice, "%d. ${s} (%s) {m}\n%s" % (k + 1, part.chain_word(dice, t), t.written)) for k, t in enumerate(tokens)
            ]
            text = dice.pick(part.WATCH_HEADS) + "\n" + "\n".join(rows)
        elif shape == "inline":
            tokens = tokens[:2]
            text = part.fill(dice, dice.pick(part.PAIRS), a=tokens[0].written, b=tokens[1].written)
        elif shape == "moved":
            family = tokens[0].family
            tokens = [tokens[0], Token(dice, family)]
            text = part.fill(dice, dice.pick(part.MOVED), a=tokens[0].written, b=tokens[1].written)
        elif shape in ("again", "forms"):
            token = tokens[0]
            tokens = [token]
            other = token.written
            if shape == "forms" and token.family == "evm":
                other = dice.pick([token.address, token.address.lower(), "0x" + token.address[2:].upper()])
            if shape == "forms" and token.family == "ton":
                raw = base64.urlsafe_b64decode(token.address)
                workchain = raw[1] - 256 if raw[1] > 127 else raw[1]
                other = dice.pick([ad.friendly(0x51, raw[1], raw[2:34]), "%d:%s" % (workchain, raw[2:34].hex()), token.address])
            text = part.fill(dice, dice.pick(part.AGAIN), a=token.written, b=other)
        else:
            named, rows, allow, labels = True, [], [], []
            for k in range(dice.between(2, 4)):
                token, url, sure, _, more = any_link(part, dice, dice.pick([r for r in part.SITES if "|sui" not in r and "|aptos" not in r]))
                rows.append(part.fill(dice, "▪️ [{s}](%s) — {p}x" % url if url.startswith("http") else "▪️ {s} %s" % url))
                allow += more
                labels.append(token.label(sure))
            part.add("multi", dice.pick(part.WATCH_HEADS) + "\n\n" + "\n".join(rows), labels, "multi:links", allow=allow)
            continue
        part.add("multi", text, [t.label(named) for t in tokens], "multi:" + shape)


# Almost.

def near(part, each):
    for note, make in NEAR:
        for i in range(each):
            dice = part.dice("near", note, i)
            word = make(part, dice)
            whole = note in WHOLE
            text = part.fill(dice, word) if whole else part.fill(dice, dice.pick(part.NEAR_FRAMES), x=word)
            part.add("near_miss", text, [], note, unresolved=note == "lower-cased link")


def near_links(part, count):
    """Pages of transactions and links to something broken: open, behind words, on buttons, in previews."""
    for i in range(count):
        dice = part.dice("near link", i)
        kind = dice.pick(["transaction", "transaction", "broken", "broken", "cut short"])
        if kind == "transaction":
            pages = [page for page in part.HASHES if page.startswith("http")]
            url = dice.pick(pages).replace("{x}", "0x" + dice.hex(64)).replace("{y}", dice.hex(64)).replace("{z}", _signature(dice))
        else:
            row = dice.pick([r for r in part.SITES if r.startswith("https") and "{q}" not in r and r.split("|")[1] not in ("sui", "aptos")])
            family = row.split("|")[1]
            family = family if family in ("solana", "tron", "ton") else "evm"
            if kind == "broken":
                bad = {"solana": lambda d: ad.wrong_length_base58(d, d.pick([31, 33])), "tron": ad.bad_tron, "ton": ad.bad_ton, "evm": ad.bad_eip55}[family](dice)
            else:
                whole = Token(dice, family).address
                bad = whole[: dice.between(4, 8)] + dice.pick(["...", "…", ".."]) + whole[-4:]
            slugs = {"k": "base", "g": "base", "d": "base", "e": "base", "i": "8453", "u": "base", "f": "base", "t": "base", "v": "base", "r": "vip", "a": bad}
            url = part.fill(dice, row.split("|")[0], slugs)
        shape = dice.pick(["open", "open", "hidden", "button", "preview"])
        note = "link: " + kind
        if shape == "open":
            part.add("near_miss", part.fill(dice, dice.pick(part.LINK_FRAMES), u=url), [], note)
        elif shape == "hidden":
            before = part.fill(dice, dice.pick(["🔥 burn ", "{n} ", "proof 👉 "]))
            entities = [{"kind": "text_url", "offset": utf16(before), "length": 2, "url": url}]
            part.add("near_miss", before + "tx", [], note, entities=entities)
        elif shape == "button":
            part.add("near_miss", part.fill(dice, "{n} bought {m}"), [], note, buttons=[{"url": url}])
        else:
            part.add("near_miss", part.fill(dice, "{n} ${s} 👀"), [], note, links=[url])


def _truncated(part, dice):
    token = Token(dice, dice.weighted(FAMILIES[:4]))
    word = token.address
    head, tail = dice.between(3, 12), dice.between(3, 8)
    dots = dice.pick(part.ELLIPSES)
    short = dice.pick([word[:head] + dots + word[-tail:]] * 3 + [word[:head] + dots, dots + word[-tail:], word[:25] + dots])
    return dice.pick(part.TRUNCATED).replace("{x}", short)


def _hash(part, dice):
    word = "0x" + dice.hex(64)
    return dice.pick(part.HASHES).replace("{x}", word).replace("{y}", word[2:]).replace("{z}", ad.base58(dice.bytes(64)))


def _impossible(part, dice):
    """A letter that base58 leaves out, on purpose or by a slip."""
    word = list(Token(dice, "solana").address)
    for at in dice.sample(range(2, len(word) - 4), dice.between(1, 2)):
        word[at] = dice.pick("0OIl")
    return "".join(word)


def _hex_length(part, dice):
    return "0x" + dice.hex(dice.pick([38, 39, 41, 42, 44, 32, 24, 62, 48]))


def _not_hex(part, dice):
    word = list("0x" + dice.hex(40))
    word[dice.between(4, 39)] = dice.pick("ghkmnprstuvwyz")
    return "".join(word)


def _foreign(part, dice):
    """Addresses of chains that are not asked for."""
    b58, b32 = ad.BASE58, "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    return dice.pick([
        "BTC bc1q" + dice.word(b32, 38), "btc: " + ad.base58check(b"\0" + dice.bytes(20)), "bitcoin " + ad.base58check(b"\5" + dice.bytes(20)),
        "taproot bc1p" + dice.word(b32, 58), "LTC " + ad.base58check(b"\x30" + dice.bytes(20)), "doge " + ad.base58check(b"\x1e" + dice.bytes(20)),
        "XRP r" + dice.word(b58, 33), "ada addr1" + dice.word(b32, 98), "DOT 1" + dice.word(b58, 46), "cosmos1" + dice.word(b32, 38),
        "monero 4" + dice.word(b58, 94), "XLM G" + dice.word(ad.BASE32, 55), "algo " + dice.word(ad.BASE32, 58), "near: " + dice.hex(64),
        "starknet 0x0" + dice.hex(63), "zec t1" + dice.word(b58, 33), "DASH X" + dice.word(b58, 33), "tezos tz1" + dice.word(b58, 33),
        "kaspa:q" + dice.word(b32, 60), "osmo1" + dice.word(b32, 38), "BCH bitcoincash:q" + dice.word(b32, 41), "hbar 0.0." + str(dice.between(10000, 999999)),
        "npub1" + dice.word(b32, 58), "lnbc1" + dice.word(b32, 120), "stake1u" + dice.word(b32, 52), "stacks SP" + dice.word("0123456789ABCDEFGHJKMNPQRSTVWXYZ", 39),
        "flow 0x" + dice.hex(16), "waves 3P" + dice.word(b58, 33), "zil1" + dice.word(b32, 38), "icp " + "-".join(dice.word("abcdefghijklmnopqrstuvwxyz234567", 5) for _ in range(10)),
        "inj1" + dice.word(b32, 38), "filecoin f1" + dice.word("abcdefghijklmnopqrstuvwxyz234567", 39), "erd1" + dice.word(b32, 58),
    ])


def _other_length(part, dice):
    return dice.pick(part.KEYED).replace("{x}", ad.wrong_length_base58(dice, dice.pick([16, 20, 23, 24, 25, 28, 30, 34, 36, 40])))


def _words(part, dice):
    """Long words made of letters of base58."""
    return dice.pick(part.DRAWN)(dice)


def _words_in_a_row(part, dice):
    """Words without spaces that are 32 bytes of base58, as in handles, tags and names of classes."""
    while True:
        words, out = part.ROW_WORDS.split(), ""
        case = dice.pick([str.capitalize, str.capitalize, str.lower])
        while len(out) < 40:
            out += case(dice.pick(words))
        raw = ad.base58_bytes(out)
        if raw is not None and len(raw) == 32:
            return dice.pick(part.ROWS).replace("{x}", out)


def _lowered(part, dice):
    """A link whose key lost its case: what its letters spell is another key, if any."""
    while True:
        key = Token(dice, "solana").address.lower()
        return dice.pick(part.LOWERED).replace("{x}", key)


def _pool_id(part, dice):
    return dice.pick(part.POOL_IDS).replace("{x}", "0x" + dice.hex(64))


def _nameless(part, dice):
    """32 bytes of hex that nobody calls Sui or Aptos."""
    return ad.move(dice)


def _one_short(part, dice):
    """Too short by as many digits as the next word has letters of hex: no word of a sentence completes an address."""
    word = dice.pick(["a", "be", "add", "bad", "dead", "face", "fade", "cafe", "dad", "ace", "fee", "faded"])
    return dice.pick(part.ONE_SHORT).replace("{x}", "0x" + dice.hex(40 - len(word))).replace("{w}", word)


def _near_words(part, dice):
    """A base58 word of 31 bytes or fewer between short words that base58 could spell."""
    return dice.pick(part.NEAR_WORDS).replace("{x}", ad.wrong_length_base58(dice, dice.pick([28, 29, 30, 31, 31, 33])))


def _calldata(part, dice):
    padded = "0" * 24 + dice.hex(40)
    return dice.pick(part.CALLDATA).replace("{x}", "0xa9059cbb" + padded + "0" * 48 + dice.hex(16)).replace("{y}", "0x" + padded).replace("{z}", "0x6080604052" + dice.hex(120))


def _disguised_and_broken(part, dice):
    """The disguise comes off, and the checksum or the length does not hold."""
    word = dice.pick([ad.bad_eip55, ad.bad_tron, lambda d: ad.wrong_length_base58(d, 33), lambda d: ad.wrong_length_base58(d, 31)])(dice)
    kind = dice.pick(["zero_width", "homoglyph", "fullwidth", "reversed", "spaces", "dots", "emoji"])
    if kind == "zero_width":
        return part.fill(dice, dice.pick(part.FRAMES), a=ds.zero_width(dice, word, part))
    if kind == "homoglyph":
        return part.fill(dice, dice.pick(part.FRAMES), a=ds.look_alikes(dice, word, part))
    if kind == "fullwidth":
        return part.fill(dice, dice.pick(part.FRAMES), a=ds.fullwidth(dice, word, part))
    if kind == "reversed":
        if not ds.still_alone(word[::-1]):
            return _disguised_and_broken(part, dice)
        return part.fill(dice, dice.pick(part.REVERSED_CUES), a=word[::-1])
    marks = {"spaces": [" "], "dots": ["."], "emoji": part.EMOJI[:4]}[kind]
    frames = part.GAP_FRAMES["emoji_between" if kind == "emoji" else kind]
    return part.fill(dice, dice.pick(frames), a=ds.glued(dice, word, marks, 5, 3))


INVALID_VECTORS = [
    # From the test vectors of EIP-55 libraries: one letter of the published examples in the wrong case.
    "0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xFb6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xDbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xd1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    "0xXYb5d4c32345ced77393b3530b1eed0f346429d", "0x8617E340B3D01FA5F11F306F4090FD50E238070d",
]


def _vector(part, dice):
    while True:
        word = dice.pick(INVALID_VECTORS)
        digits = word[2:]
        if len(digits) != 40 or not all(c in "0123456789abcdefABCDEF" for c in digits) or ad.eip55(word) != word:
            return word


NEAR = [
    ("31-byte base58", lambda part, dice: ad.wrong_length_base58(dice, 31)), ("33-byte base58", lambda part, dice: ad.wrong_length_base58(dice, 33)),
    ("bad EIP-55 checksum", lambda part, dice: ad.bad_eip55(dice)), ("bad Tron checksum or length", lambda part, dice: ad.bad_tron(dice)),
    ("bad TON checksum or length", lambda part, dice: ad.bad_ton(dice)), ("wrong number of hex digits", _hex_length), ("not hex", _not_hex),
    ("truncated", _truncated), ("EVM 32-byte hash", _hash), ("letters outside base58", _impossible), ("address of an unsupported chain", _foreign),
    ("base58 id of another length", _other_length), ("base58-like words", _words), ("words in a row", _words_in_a_row), ("lower-cased link", _lowered), ("pool id of 32 bytes", _pool_id),
    ("32 bytes of hex without a name", _nameless), ("library invalid vector", _vector),
    ("too short by a word", _one_short), ("too short between words", _near_words), ("calldata", _calldata), ("disguised and broken", _disguised_and_broken),
    ("signature", lambda part, dice: dice.pick(part.SIGNATURES).replace("{x}", _signature(dice))),
    ("secret key", lambda part, dice: dice.pick(part.SECRETS).replace("{x}", _secret(dice))),
]
WHOLE = {
    "truncated", "EVM 32-byte hash", "address of an unsupported chain", "base58 id of another length", "base58-like words", "words in a row", "lower-cased link",
    "pool id of 32 bytes", "signature", "secret key", "too short by a word", "too short between words", "calldata", "disguised and broken",
}


def _secret(dice):
    """Keys of Solana and EVM wallets, of Bitcoin (WIF) and of a whole wallet (BIP-32)."""
    return dice.pick([
        _signature(dice), dice.hex(64), "0x" + dice.hex(64), ad.base58check(b"\x80" + dice.bytes(32)), ad.base58check(b"\x80" + dice.bytes(32) + b"\1"),
        ad.base58check(b"\x04\x88\xad\xe4" + dice.bytes(74)),
    ])


def _signature(dice):
    return ad.base58(bytes([dice.between(1, 255)]) + dice.bytes(63))


# None.

def none(part, rounds, each):
    for lang, sentences in part.NEGATIVE.items():
        for i, sentence in enumerate(sentences):
            part.add("negative", sentence, [], "chat", lang)
            for j in range(rounds):
                dice = part.dice("chat", lang, i, j)
                joined = [sentence] + dice.sample(sentences, dice.between(0, 2))
                text = dice.pick(["\n", " ", "! ", "... ", " 😂 "]).join(joined)
                if dice.chance(50):
                    text += dice.pick(part.CHAT_ENDS)
                part.add("negative", part.fill(dice, text), [], "chat", lang)
    for note, make in NEGATIVE:
        for i in range(each):
            dice = part.dice("none", note, i)
            part.add("negative", part.fill(dice, make(part, dice)), [], note)


def _b64(dice, size):
    return base64.b64encode(dice.bytes(size)).decode()


def _url64(dice, size):
    return base64.urlsafe_b64encode(dice.bytes(size)).decode().rstrip("=")


def _cid(part, dice):
    v0 = ad.base58(b"\x12\x20" + dice.bytes(32))
    v1 = "b" + base64.b32encode(b"\x01\x70\x12\x20" + dice.bytes(32)).decode().lower().rstrip("=")
    return dice.pick(part.CIDS).replace("{x}", dice.pick([v0, v0, v1]))


def _uuid(part, dice):
    h = dice.hex(32)
    return dice.pick(part.IDS).replace("{x}", "-".join([h[:8], h[8:12], h[12:16], h[16:20], h[20:]]))


def _commit(part, dice):
    return dice.pick(part.COMMITS).replace("{x}", dice.hex(40)).replace("{y}", dice.hex(12))


def _digest(part, dice):
    kind = dice.pick(part.DIGESTS)
    return kind.replace("{x}", _b64(dice, 64)).replace("{y}", dice.hex(64)).replace("{w}", dice.hex(32)).replace("{v}", _b64(dice, 32))


def _jwt(part, dice):
    claims = base64.urlsafe_b64encode(b'{"sub":"%s","iat":17%d}' % (dice.hex(8).encode(), dice.between(10**7, 10**8))).decode().rstrip("=")
    return dice.pick(part.JWTS).replace("{x}", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.%s.%s" % (claims, _url64(dice, 32)))


def _url(part, dice):
    values = {
        "{d}": str(dice.between(10**18, 9 * 10**18)), "{i}": dice.word(ad.BASE62 + "-_", 11), "{t}": dice.word(ad.BASE62, 22),
        "{h}": dice.hex(32), "{w}": dice.word("abcdefghijklmnopqrstuvwxyz", dice.between(5, 12)), "{k}": dice.hex(40), "{q}": dice.hex(64),
    }
    out = dice.pick(part.URLS)
    for key, value in values.items():
        out = out.replace(key, value)
    return out


def _fingerprint(part, dice):
    h = dice.hex(40).upper()
    grouped = " ".join(h[i : i + 4] for i in range(0, 40, 4))
    pairs = ":".join(h[i : i + 2] for i in range(0, 40, 2))
    return dice.pick(part.FINGERPRINTS).replace("{x}", grouped).replace("{y}", pairs).replace("{z}", h)


def _token(part, dice):
    out = dice.pick(part.API_KEYS)
    for key, value in {"{x}": dice.word(ad.BASE62, 48), "{y}": dice.word(ad.BASE62, 35), "{w}": dice.word("ABCDEFGHJKLMNPQRSTUVWXYZ23456789", 5), "{v}": _b64(dice, 96)}.items():
        while key in out:
            out = out.replace(key, value, 1)
    return out


def _repeated(part, dice):
    """Laughter that is 32 bytes of base58 by chance."""
    while True:
        word = dice.pick(part.LAUGHTER)
        out = (word * 60)[: dice.between(43, 44)]
        raw = ad.base58_bytes(out)
        if raw is not None and len(raw) == 32:
            return dice.pick(part.LAUGHS).replace("{x}", out)


def _short_codes(part, dice):
    """Codes, moves, colours and bytes in rows: together they are as long as an address."""
    kind = dice.below(6)
    if kind == 0:
        size = dice.pick([8, 10, 11, 12])
        rows = "\n".join(dice.word(ad.BASE58, size) for _ in range(dice.between(6, 10)))
    elif kind == 1:
        rows = " ".join("%d.%s %s" % (k + 1, dice.pick(CHESS), dice.pick(CHESS)) for k in range(dice.between(6, 14)))
    elif kind == 2:
        rows = " ".join("#" + dice.hex(6) for _ in range(dice.between(5, 9)))
    elif kind == 3:
        rows = "\n".join(" ".join(dice.hex(2) for _ in range(16)) for _ in range(dice.between(2, 4)))
    elif kind == 4:
        rows = "-".join(dice.word("0123456789", 6) for _ in range(8))
    else:
        rows = " ".join(dice.word(ad.BASE32, 4) for _ in range(8)).lower()
    return dice.pick(part.CODE_HEADS[kind]).replace("{x}", rows)


CHESS = "e4 e5 Nf3 Nc6 Bb5 a6 Ba4 Nf6 Be7 Re1 b5 Bb3 d6 c3 h3 Nb8 d4 Nbd7 c4 c6 cxb5 axb5 Nc3 Bb7 Bg5 b4 h6 Bh4 c5 dxe5 Nxe4 Bxe7 Qxe7 exd6 Qf6 Nxd6 Nc4 Nxc4 Nb6 Ne5 Rae8 Bxf7 Rxf7 Nxf7 Rxe1 Qxe1 Kxf7".split()


def _numbers(part, dice):
    out = dice.pick(part.NUMBERS)
    while "{#}" in out:
        out = out.replace("{#}", str(dice.between(1000, 9999)), 1)
    return out


SEED_WORDS = "abandon ability able zoo zone youth year wrong witness winter width vivid update turtle tunnel trophy token stable salmon ribbon puzzle ocean noble melody ladder jungle idea hover galaxy fabric".split()

NEGATIVE = [
    ("IPFS CID", _cid), ("UUID", _uuid), ("git hash", _commit), ("digest", _digest), ("JWT", _jwt), ("URL with id", _url), ("key fingerprint", _fingerprint),
    ("API key", _token), ("repeated word, 32 bytes by chance", _repeated), ("numbers", _numbers), ("codes in rows", _short_codes),
    ("seed phrase", lambda part, dice: dice.pick(part.SEEDS).replace("{x}", " ".join(dice.pick(SEED_WORDS) for _ in range(dice.pick([12, 24]))))),
    ("40 hex digits with a name", lambda part, dice: dice.pick(part.NAMED_HEX).replace("{x}", dice.hex(40))),
    ("talk of contracts", lambda part, dice: dice.pick(part.TALK)), ("price bot", lambda part, dice: dice.pick(part.PRICES)),
]


# Arguable: for the calibration of the confidence only.

def arguable(part, each):
    for note, make in ARGUABLE:
        for i in range(each):
            dice = part.dice("arguable", note, i)
            text, labels = make(part, dice)
            part.add("ambiguous", part.fill(dice, text), labels, note)


def _session(part, dice):
    return dice.pick(part.SESSIONS).replace("{x}", ad.base58(bytes([dice.between(8, 255)]) + dice.bytes(31))), []


def _warning(part, dice):
    token = Token(dice, dice.weighted(FAMILIES[:4]))
    return dice.pick(part.WARNINGS).replace("{x}", token.written), [token.label()]


def _wallet(part, dice):
    token = Token(dice, dice.weighted(FAMILIES[:4]))
    return dice.pick(part.WALLETS).replace("{x}", token.written), [token.label(False, "account")]


def _bare_hex(part, dice):
    return dice.pick(part.BARE_HEX).replace("{x}", dice.hex(40)), []


def _document(part, dice):
    key = ad.base58(bytes([dice.between(8, 255)]) + dice.bytes(31))
    return dice.pick(part.DOCUMENTS).replace("{x}", key), []


def _program(part, dice):
    name, address = dice.pick([
        ("token program", "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"), ("pump.fun program", "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P"),
        ("raydium amm", "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8"), ("jito tip account", "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5"),
    ])
    return part.fill(dice, dice.pick(part.PROGRAMS), x=address, y=name), [{"family": "solana", "address": address}]


def _hidden_without_cue(part, dice):
    """Random pieces in a row that may be one key, and are none."""
    key = ad.base58(bytes([dice.between(8, 255)]) + dice.bytes(31))
    return dice.pick(part.LOOSE).replace("{x}", dice.pick([" ", " ", "\n"]).join(ds.cut(dice, key, dice.between(3, 5), 5))), []


def _special(part, dice):
    """Burn, system and native addresses: well-formed, and hardly meant as a token."""
    family, address = dice.pick([
        ("evm", "0x000000000000000000000000000000000000dEaD"), ("evm", "0x0000000000000000000000000000000000000000"), ("solana", "1nc1nerator11111111111111111111111111111111"),
        ("solana", "11111111111111111111111111111111"), ("evm", "0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE"), ("tron", "T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb"),
    ])
    return dice.pick(part.BURNS).replace("{x}", address), [{"family": family, "address": address}]


def _test_net(part, dice):
    address, workchain, account = ad.ton(dice)
    return dice.pick(part.TEST_NETS).replace("{x}", ad.friendly(dice.pick([0x91, 0xD1]), workchain, account)), [{"family": "ton", "address": address}]


def _profile(part, dice):
    token = Token(dice, dice.pick(["solana", "evm"]))
    rows = {"solana": ["https://pump.fun/profile/{x}", "https://solscan.io/account/{x}#portfolio", "https://dexscreener.com/solana?maker={x}"], "evm": ["https://opensea.io/{x}", "https://zapper.xyz/account/{x}", "https://etherscan.io/address/{x}#analytics"]}
    return part.fill(dice, dice.pick(["look at this trader {u}", "{u}"]), u=dice.pick(rows[token.family]).replace("{x}", token.address)), [token.label()]


def _other_prefix(part, dice):
    token = Token(dice, "evm")
    return dice.pick(["ronin:{x}", "xdc{x}", "RON wallet ronin:{x}"]).replace("{x}", token.address[2:].lower()), [token.label()]


ARGUABLE = [
    ("32 bytes that are a session or an id", _session), ("address in a warning", _warning), ("wallet", _wallet), ("40 hex digits of anything", _bare_hex),
    ("document id that is base58", _document), ("program", _program), ("loose pieces", _hidden_without_cue),
    ("burn or system address", _special), ("TON test-net form", _test_net), ("page of a wallet", _profile), ("EVM under another prefix", _other_prefix),
]
