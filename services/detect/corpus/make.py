"""Puts messages together. A part (`open_*`, `held_*`) brings the wordings, this the grammar."""

import json
import re
from urllib.parse import quote

import addresses as ad
import disguises as ds
from addresses import Dice

EVM_CHAINS = [(30, "ethereum"), (26, "bsc"), (26, "base"), (6, "arbitrum"), (5, "polygon"), (4, "avalanche"), (3, "optimism")]
FAMILIES = [(42, "solana"), (36, "evm"), (9, "tron"), (9, "ton"), (2, "sui"), (2, "aptos")]
# Slugs of one chain at different sites.
SLUGS = {
    "k": dict(ethereum="ethereum", bsc="bsc", base="base", arbitrum="arbitrum", polygon="polygon", avalanche="avalanche", optimism="optimism"),
    "g": dict(ethereum="eth", bsc="bsc", base="base", arbitrum="arbitrum", polygon="polygon_pos", avalanche="avax", optimism="optimism"),
    "d": dict(ethereum="ether", bsc="bnb", base="base", arbitrum="arbitrum", polygon="polygon", avalanche="avalanche", optimism="optimism"),
    "e": dict(ethereum="eth", bsc="bsc", base="base"),
    "i": dict(ethereum="1", bsc="56", base="8453", arbitrum="42161"),
    "u": dict(ethereum="ethereum", base="base", arbitrum="arbitrum", polygon="polygon", optimism="optimism"),
    "f": dict(ethereum="eth", bsc="bsc", base="base", arbitrum="arb"),
    "t": dict(ethereum="eth", bsc="bsc", base="base"),
    "v": dict(ethereum="eth", bsc="bsc", base="base"),
}
KNOWN_COINS = {
    "sui": [
        "0x06864a6f921804860930db6ddbe2e16acdf8504495ea7481637a1c8b9a8fe54b::cetus::CETUS",
        "0xdeeb7a4662eec9f2f3def03fb937a663dddaa2e215b8078a284d026b7946c270::deep::DEEP",
        "0xa99b8952d4f7d947ea77fe0ecdcc9e5fc0bcab2841d6e2a5aa00c3044e5544b5::navx::NAVX",
    ],
    "aptos": [
        "0xf22bede237a07e121b56d91a491eb7bcdfd1f5907926a9e58338f964a01b17fa::asset::USDC",
        "0x111ae3e5bc816a5e63c2da97d0aa3886519e0cd5e4b046659fa35796bd11542a::amapt_token::AmnisApt",
    ],
}
# What a swap page sells, per family.
QUOTES = {"solana": ad.WSOL, "tron": "T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb", "sui": "0x%064x::sui::SUI" % 2}
MODULES = ["usdy", "nami", "coin", "pig", "blub", "deep", "cetus", "fud", "suiman", "lofi", "hippo", "turbos"]
APTOS_TYPES = ["coin::T", "asset::USDC", "celer_coin_manager::WethCoin", "mojo_coin::MojoCoin", "moon_coin::MoonCoin", "doodoo::DooDoo"]


def utf16(text):
    return len(text.encode("utf-16-le")) // 2


class Token:
    """One address with everything that a label can say of it."""

    def __init__(self, dice, family=None, chain=None, typed=None, pool=False):
        self.family = family or dice.weighted(FAMILIES)
        self.chain = (chain or dice.weighted(EVM_CHAINS)) if self.family == "evm" else self.family
        self.address = self.written = None
        if self.family == "evm":
            self.address = ad.evm(dice, self.chain)
            self.written = ad.evm_written(dice, self.address)
        elif self.family == "ton":
            made = ad.ton(dice)
            self.address, self.written = made[0], ad.ton_written(dice, made)
        elif self.family in ("sui", "aptos"):
            self.address = ad.move(dice)
            short = dice.chance(8)
            if short:
                self.address = "0x0" + self.address[3:]
            if typed if typed is not None else dice.chance(65):
                if self.family == "sui":
                    module = dice.pick(MODULES)
                    self.address += "::%s::%s" % (module, module.upper())
                else:
                    self.address += "::" + dice.pick(APTOS_TYPES)
                if dice.chance(12):
                    self.address = dice.pick(KNOWN_COINS[self.family])
            # A coin's package is often written without its leading zero.
            typed_short = "::" in self.address and self.address.startswith("0x0")
            self.written = "0x" + self.address[3:] if typed_short else self.address
        elif self.family == "tron":
            self.address = self.written = ad.tron(dice)
        else:
            # A pool bears no launchpad's ending.
            self.address = self.written = ad.random_solana(dice) if pool else ad.solana(dice)

    def label(self, chain=False, role=None, method=None):
        out = {"family": self.family}
        if chain and self.family == "evm":
            out["chain"] = self.chain
        out["address"] = self.address
        if role:
            out["role"] = role
        if method:
            out["method"] = method
        return out


class Part:
    """The wordings of one file, and the cases made of them."""

    def __init__(self, name, words, sites, hiding):
        self.name = name
        self.cases = []
        for module in (words, sites, hiding):
            for key in dir(module):
                if key.isupper():
                    setattr(self, key, getattr(module, key))
        self.names = [pair.strip().split("|") for pair in words.NAMES.split(";")]

    def dice(self, *seed):
        return Dice(self.name, *seed)

    def slots(self, dice):
        name, ticker = dice.pick(self.names)
        amount = dice.pick(["{}k", "${}K", "{}.{}M", "${},{}00", "${}.{}M"])
        amount = amount.format(dice.between(2, 940), dice.between(1, 9))
        return {"n": name, "s": ticker, "m": amount, "p": str(dice.between(2, 60))}

    def fill(self, dice, template, slots=None, **more):
        values = {**self.slots(dice), **(slots or {}), **more}
        return re.sub(r"\{(\w)\}", lambda m: values[m[1]] if m[1] in values else m[0], template)

    def chain_word(self, dice, token):
        return dice.pick(self.CHAINS[token.chain])

    def add(self, kind, text, expect, note=None, lang=None, **more):
        case = {"id": "%s%05d" % (self.name[0], len(self.cases) + 1), "text": text}
        case.update({k: more[k] for k in ("entities", "buttons", "links", "quote", "names", "prior", "unresolved") if more.get(k)})
        seen, unique = set(), []
        for entry in expect:
            if (entry["family"], entry["address"]) not in seen:
                seen.add((entry["family"], entry["address"]))
                unique.append(entry)
        case["expect"] = unique
        if more.get("allow"):
            case["allow"] = more["allow"]
        case["class"] = kind
        if note:
            case["note"] = note
        if lang:
            case["lang"] = lang
        if kind == "ambiguous":
            case["ambiguous"] = True
        assert utf16(text) <= 4096
        self.cases.append(case)

    def lines(self):
        return "".join(json.dumps(case, ensure_ascii=False, separators=(",", ":")) + "\n" for case in self.cases)


def needs_chain(token):
    return token.family in ("sui", "aptos")


# Plain messages.

def assembled(part, count):
    for i in range(count):
        dice = part.dice("assembled", i)
        token, slots = Token(dice), part.slots(dice)
        named = needs_chain(token) or dice.chance(55)
        line, role = dice.pick(part.ADDRESS_LINES), None
        if dice.chance(25):
            line, role = dice.pick(part.TOKEN_WORDS), "token"
        top = [dice.pick(part.HEADS)] if dice.chance(75) else []
        top += [dice.pick(part.TITLES)] if dice.chance(75) else []
        body = [line] + ([dice.pick(part.CHAIN_LINES)] if named else [])
        if dice.chance(50):
            body.reverse()
        lines = top + body + dice.sample(part.TAILS, dice.between(0, 4))
        if dice.chance(8):
            lines = body + lines[: len(top)] + lines[len(top) + len(body) :]
        text = dice.pick(["\n", "\n", "\n\n", "\n\n", " | "]).join(lines)
        text = part.fill(dice, text, slots, a=token.written, c=part.chain_word(dice, token))
        part.add("plain", text, [token.label(named, role, "plain")], "plain:assembled")


def in_languages(part, rounds):
    for lang, templates in part.PLAIN.items():
        for i in range(rounds):
            for j, template in enumerate(templates):
                dice = part.dice("lang", lang, i, j)
                token = Token(dice)
                text = part.fill(dice, template, a=token.written, c=part.chain_word(dice, token))
                part.add("plain", text, [token.label(True, None, "plain")], "plain:language", lang)


def places(part, count):
    """Plain addresses in places that take care to read: glued, quoted, prefixed, between marks of direction."""
    prefixes = dict(ethereum="eth", bsc="bnb", base="base", arbitrum="arb1", polygon="matic", avalanche="avax", optimism="oeth")
    numbers = dict(ethereum=1, bsc=56, base=8453, arbitrum=42161, polygon=137, avalanche=43114, optimism=10)
    for i in range(count):
        dice = part.dice("place", i)
        token = Token(dice, dice.weighted(FAMILIES[:4]))
        word = token.written
        kind = dice.pick(["tag", "tag", "suffix", "bidi", "space", "vector", "standard", "glued"])
        named, note = False, "plain:" + kind
        if kind == "tag":
            text = part.fill(dice, dice.pick(part.TAGS), a=word)
        elif kind == "suffix":
            text = part.fill(dice, dice.pick(part.SUFFIXES), a=word)
        elif kind == "bidi":
            a, b = dice.pick([("\u200f", "\u200f"), ("\u2066", "\u2069"), ("\u202a", "\u202c"), ("\u200e", "")])
            text = part.fill(dice, dice.pick(part.BIDI), a=a + word + b)
        elif kind == "space":
            gap = dice.pick(["\u00a0", "\t", "\r\n", "\u3000", "  \n", "\u200b "])
            text = dice.pick(part.LABELS).strip() + gap + word + gap + dice.pick(["🚀", "MC 40k", "", "…"])
        elif kind == "vector":
            token.family, token.address, word = dice.pick(VECTORS)
            text = part.fill(dice, dice.pick(part.SHORT), a=word)
        elif token.family in ("ton", "tron"):
            text, note = part.fill(dice, "${s}\n" + word), "plain:short"
        elif kind == "standard":
            # EIP-3770, EIP-681 and CAIP-10.
            if token.family == "evm":
                named = True
                word = dice.pick(["%s:%s" % (prefixes[token.chain], word), "eip155:%d:%s" % (numbers[token.chain], word), "ethereum:%s@%d" % (word, numbers[token.chain])])
            else:
                word = dice.pick(["solana:" + word, "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp:" + word, "solana:%s?amount=1" % word])
            text = dice.pick(part.LABELS) + word
        else:
            glue = dice.pick(["ca0x", "CA0x", "contract0x", "token0x", "CA：0x"]) if token.family == "evm" else None
            text = word.replace("0x", glue, 1) if glue else part.fill(dice, dice.pick(["🚀{a}🚀", "👉{a}", "合约{a}冲", "КОНТРАКТ:{a}"]), a=word)
        part.add("plain", text, [token.label(named)], note)


# The examples that EIP-55 and the libraries of TON and Tron are tested with.
VECTORS = [
    ("evm", "0x52908400098527886E0F7030069857D2E4169EE7", "0x52908400098527886E0F7030069857D2E4169EE7"),
    ("evm", "0x8617E340B3D01FA5F11F306F4090FD50E238070D", "0x8617E340B3D01FA5F11F306F4090FD50E238070D"),
    ("evm", "0xde709f2102306220921060314715629080e2fb77", "0xde709f2102306220921060314715629080e2fb77"),
    ("evm", "0x27b1fdb04752bbc536007a920d24acb045561c26", "0x27b1fdb04752bbc536007a920d24acb045561c26"),
    ("evm", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),
    ("evm", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359", "0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359"),
    ("evm", "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xDBF03B407C01E7CD3CBEA99509D93F8DDDC8C6FB"),
    ("ton", "EQDKbjIcfM6ezt8KjKJJLshZJJSqX7XOA4ff-W72r5gqPrHF", "0:ca6e321c7cce9ecedf0a8ca2492ec8592494aa5fb5ce0387dff96ef6af982a3e"),
    ("ton", "EQDKbjIcfM6ezt8KjKJJLshZJJSqX7XOA4ff-W72r5gqPrHF", "UQDKbjIcfM6ezt8KjKJJLshZJJSqX7XOA4ff-W72r5gqPuwA"),
    ("ton", "EQDKbjIcfM6ezt8KjKJJLshZJJSqX7XOA4ff-W72r5gqPrHF", "EQDKbjIcfM6ezt8KjKJJLshZJJSqX7XOA4ff+W72r5gqPrHF"),
    ("tron", "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8", "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8"),
    ("tron", "TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL", "TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL"),
]


def short(part, count):
    for i in range(count):
        dice = part.dice("short", i)
        token = Token(dice, dice.weighted(FAMILIES[:4]))
        text = part.fill(dice, dice.pick(part.SHORT), a=token.written)
        part.add("plain", text, [token.label(False, None, "plain")], "plain:short")


# Links.

def link_of(part, dice, row):
    """The token, the link, the label, what is allowed beside it."""
    url, kind, role, spelling = (row.split("|") + ["", "", ""])[:4]
    slug = next((m for m in re.findall(r"\{(\w)\}", url) if m in SLUGS), None)
    chain = None
    if kind == "evm" and slug:
        chain = dice.pick(sorted(SLUGS[slug]))
    elif kind in dict((c, 1) for _, c in EVM_CHAINS):
        chain, kind = kind, "evm"
    token = Token(dice, kind, chain, pool=role == "pool", typed=any(w in url for w in ("coin/", "swap", "trade")))
    named = kind != "evm" or bool(slug) or chain is not None
    written = token.address
    if kind == "evm" and (spelling == "l" or spelling != "c" and dice.chance(50)):
        written = written.lower()
    values = {k: v.get(token.chain, "") for k, v in SLUGS.items()}
    values["r"] = dice.pick(["vip", "alpha", dice.word(ad.BASE62, dice.between(4, 9)), "k%dx" % dice.between(1, 99), "caller%d" % dice.below(99)])
    allow = []
    if "{q}" in url:
        quoted = QUOTES[kind] if kind in QUOTES else ad.WETH[token.chain]
        values["q"] = "0x2::sui::SUI" if kind == "sui" else quoted
        allow.append({"family": kind, "address": quoted})
    values["a"] = written.replace("::", "%3A%3A") if dice.chance(25) else written
    url = re.sub(r"\{(\w)\}", lambda m: values[m[1]], url)
    return token, url, named, role or None, allow


def wrapped_link(part, dice, outer):
    token, url, named, role, allow = link_of(part, dice, dice.pick([r for r in part.SITES if r.startswith("https") and "{q}" not in r]))
    return token, outer.replace("{e}", quote(url, safe="")), named, role, allow


def any_link(part, dice, row):
    if row.endswith("|wrapped"):
        return wrapped_link(part, dice, row.split("|")[0])
    return link_of(part, dice, row)


def links(part, rounds):
    rows = [("site", r) for r in part.SITES] + [("bot", r) for r in part.BOTS]
    for i in range(rounds):
        for kind, row in rows:
            dice = part.dice("link", i, row)
            token, url, named, role, allow = any_link(part, dice, row)
            note = "link:percent-encoded" if row.endswith("|wrapped") else "link:" + kind
            shape = dice.weighted([(52, "open"), (22, "hidden"), (14, "both"), (6, "button"), (3, "preview"), (3, "two")])
            label = token.label(named, role, "link")
            if shape == "open":
                text = part.fill(dice, dice.pick(part.LINK_FRAMES), u=url)
                part.add("link", text, [label], note, allow=allow)
            elif shape == "hidden":
                frame, words = dice.pick(part.HIDDEN_FRAMES)
                hidden(part, dice, frame, dice.pick(words), url, token, label, note, allow)
            elif shape == "both":
                text = "%s\n%s" % (part.fill(dice, dice.pick(["CA: {a}", "{a}", "`{a}`", "contract {a}"]), a=token.written), url)
                label.pop("method")
                part.add("link", text, [label], "link:text-and-link", allow=allow)
            elif shape == "button":
                label["method"] = "button"
                buttons = [{"url": "https://x.com/%s" % token.chain}, {"url": url}]
                if not url.startswith(("http", "tg:", "ton:")):
                    buttons[1]["url"] = "https://" + url
                text = part.fill(dice, "{n} (${s}) is live\nMC {m}")
                part.add("link", text, [label], "link:button", buttons=buttons, allow=allow)
            elif shape == "preview":
                label.pop("method")
                part.add("link", part.fill(dice, "${s} {m} 👀"), [label], "link:preview", links=[url], allow=allow)
            else:
                text = part.fill(dice, "{u}\n", u=url) + part.fill(dice, dice.pick(part.SECOND_LINKS))
                part.add("link", text, [label], note, allow=allow)


def hidden(part, dice, frame, word, url, token, label, note, allow):
    if not re.match(r"^(\w+):", url):
        url = "https://" + url
    before, after = frame.split("{t}")
    slots = part.slots(dice)
    before, after = part.fill(dice, before, slots), part.fill(dice, after, slots)
    label["method"] = "entity"
    entities = [{"kind": "text_url", "offset": utf16(before), "length": utf16(word), "url": url}]
    text = before + word + after
    if dice.chance(35):
        entities.append({"kind": "text_url", "offset": utf16(text) + 3, "length": 1, "url": part.fill(dice, dice.pick(part.SECOND_LINKS), slots)})
        text += " | X"
    part.add("link", text, [label], note + " hidden", entities=entities, allow=allow)


def surfaces(part, count):
    """Copy buttons, quotes, names, previews: what is no text of the message itself."""
    for i in range(count):
        dice = part.dice("surface", i)
        token = Token(dice, dice.weighted(FAMILIES[:4]))
        kind = dice.pick(["copy", "quote", "sender", "chat", "spoiler", "code", "pre", "bold", "halves", "shown"])
        word, label = token.written, token.label()
        if kind == "copy":
            label["method"] = "button"
            part.add("link", part.fill(dice, "{n} ${s}\nMC {m}, tap to copy 👇"), [label], "surface:copy", buttons=[{"copy": word}])
        elif kind == "quote":
            part.add("link", dice.pick(["this one ☝️", "bought", "что думаете?", "冲"]), [label], "surface:quote", quote=dice.pick(["CA: %s", "%s"]) % word)
        elif kind in ("sender", "chat"):
            names = [{kind: part.fill(dice, dice.pick(["{n} {a}", "${s} CA {a}", "{a}"]), a=word)}]
            part.add("link", dice.pick(["gm everyone", "official group 👋", "всем привет"]), [label], "surface:" + kind, names=names)
        elif kind == "shown":
            # The words of a link show the address cut short; its target holds it whole.
            shown = token.address[:6] + dice.pick(["…", "..."]) + token.address[-4:]
            before = part.fill(dice, dice.pick(["📋 ", "{n}: ", "👨‍👩‍👧 {s} "]))
            url = {"solana": "https://solscan.io/token/", "evm": "https://etherscan.io/token/", "tron": "https://tronscan.org/#/token20/", "ton": "https://tonviewer.com/"}[token.family]
            entities = [{"kind": "text_url", "offset": utf16(before), "length": utf16(shown), "url": url + token.address}]
            label["method"] = "entity"
            part.add("link", before + shown, [label], "surface:cut short", entities=entities)
        elif kind == "halves":
            before, cut = part.fill(dice, dice.pick(["CA: ", "🧑‍🚀 {n}\n", ""])), dice.between(6, 20)
            entities = [
                {"kind": "bold", "offset": utf16(before), "length": cut}, {"kind": dice.pick(["italic", "spoiler", "code"]), "offset": utf16(before) + cut, "length": len(word) - cut},
            ]
            part.add("plain", before + word, [label], "surface:halves", entities=entities)
        else:
            before = part.fill(dice, dice.pick(["CA: ", "${s} 🚀\n", ""]))
            entities = [{"kind": kind, "offset": utf16(before), "length": utf16(word)}]
            part.add("plain", before + word, [token.label(False, None, "plain")], "surface:" + kind, entities=entities)


def cards(part, count):
    """What scanners post: the address in the text and again behind words, the chart's pool beside it."""
    for i in range(count):
        dice = part.dice("card", i)
        token = Token(dice, dice.weighted([(60, "solana"), (40, "evm")]), dice.pick(["ethereum", "bsc", "base"]))
        key = token.address if token.family == "solana" else token.address.lower()
        pool = Token(dice, token.family, token.chain, pool=True)
        charted = pool if dice.chance(40) else token
        chart = "https://dexscreener.com/%s/%s" % (token.chain, charted.address if token.family == "solana" else charted.address.lower())
        bot = re.sub(r"\{(\w)\}", lambda m: {"a": key, "r": "vip"}[m[1]], dice.pick([b.split("|")[0] for b in part.BOTS if b.endswith("|" + token.family)]))
        words = dict(zip("db", dice.pick(part.CARD_WORDS)))
        template = part.fill(dice, dice.pick(part.CARDS), a=token.written, c=part.chain_word(dice, token), o=dice.pick(part.VENUES))
        text, entities = "", []
        for piece in re.split(r"(\{[db]\})", template):
            if piece in ("{d}", "{b}"):
                url = chart if piece == "{d}" else bot if ":" in bot.split("/")[0] else "https://" + bot
                entities.append({"kind": "text_url", "offset": utf16(text), "length": utf16(words[piece[1]]), "url": url})
                piece = words[piece[1]]
            text += piece
        labels = [token.label(True)] + ([pool.label(True)] if charted is pool else [])
        part.add("multi" if charted is pool else "link", text, labels, "card", entities=entities)


def long_ones(part, count):
    for i in range(count):
        dice = part.dice("long", i)
        token = Token(dice)
        text = part.fill(dice, dice.pick(part.LONG), a=token.written, c=part.chain_word(dice, token))
        part.add("plain", text, [token.label(True, None, "plain")], "plain:long")


def marked_links(part, count):
    """Markdown links that show the address, whole or cut, and links made unclickable."""
    plain = [r for r in part.SITES if r.startswith("https") and "{q}" not in r and "|sui" not in r and "|aptos" not in r]
    for i in range(count):
        dice = part.dice("marked", i)
        token, url, named, role, allow = link_of(part, dice, dice.pick(plain))
        if dice.chance(55):
            text = part.fill(dice, dice.pick(part.MARKDOWN), u=url, a=token.written, h=token.address[:6])
            part.add("link", text, [token.label(named)], "link:markdown", allow=allow)
        else:
            old, new = dice.pick(part.DEFANGED)
            head, _, tail = url.partition("://")
            host, slash, rest = tail.partition("/")
            if old == "." and new != " . " or host.count(".") == 1:
                host = host.replace(".", new) if old == "." else host
            url = head + "://" + host + slash + rest
            url = url if old == "." else url.replace(old, new, 1)
            text = part.fill(dice, dice.pick(part.LINK_FRAMES), u=url)
            part.add("link", text, [token.label(named)], "link:defanged", allow=allow)


# Disguises.

def hide(part, dice, kind, family):
    """A token and the message that hides it."""
    token = Token(dice, family)
    word = token.address if family == "ton" or dice.chance(60) else token.written
    frame = dice.pick(part.FRAMES)
    gap = part.GAP_FRAMES.get(kind)
    if gap and dice.chance(60):
        frame = part.fill(dice, dice.pick(part.AROUND), x=dice.pick(gap))
    if kind == "zero_width":
        out = ds.zero_width(dice, word, part)
    elif kind == "homoglyph":
        out = ds.look_alikes(dice, word, part)
    elif kind == "fullwidth":
        out = ds.fullwidth(dice, word, part)
    elif kind == "math_font":
        out = ds.math_font(dice, word, part)
    elif kind == "enclosed":
        out = ds.enclosed(dice, word, part)
    elif kind == "spaces":
        out = ds.glued(dice, word, part.SPACES, 6)
    elif kind == "line_breaks":
        out = ds.glued(dice, word, part.BREAKS, 4, 5)
    elif kind == "dots":
        out = ds.glued(dice, word, part.DOTS)
    elif kind == "dashes":
        out = ds.glued(dice, word, ds.marks_for(family, part.DASHES))
    elif kind == "other_marks":
        out = ds.glued(dice, word, ds.marks_for(family, part.OTHER_MARKS))
    elif kind == "emoji_between":
        out = ds.glued(dice, word, part.EMOJI)
    elif kind == "filler":
        mark, cue = dice.pick([f for f in part.FILLERS if family != "ton" or f[0][0] not in "-_"])
        out = ds.glued(dice, word, [mark], 4, 3)
        if cue:
            frame = dice.pick(["CA ({k}): {a}", "{a}\n({k})", "{k}\n\n{a}"]).replace("{k}", cue)
    elif kind == "formatting":
        out = ds.formatting(dice, word, part, family)
        frame = frame.replace("`", "")
    elif kind == "char_spaced":
        out = dice.pick(ds.marks_for(family, part.CHAR_GAPS)).join(word)
    elif kind == "reversed":
        out, frame = word[::-1], part.fill(dice, dice.pick(part.AROUND), x=dice.pick(part.REVERSED_CUES))
    elif kind == "parts":
        frame, pieces = dice.pick(part.PARTS)
        for k, piece in enumerate(ds.cut(dice, word, pieces, 6)):
            frame = frame.replace("{%d}" % k, piece)
        out, frame = "", part.fill(dice, dice.pick(part.AROUND), x=frame)
    elif kind == "evm_case":
        out = ds.changed_case(dice, token.address, part)
    elif kind == "prefix":
        if dice.chance(55):
            out = dice.pick(part.EVM_PREFIXES) + word[2:]
        else:
            out, frame = word[2:], dice.pick(part.NO_PREFIX)
    elif kind == "combo":
        out = combo(part, dice, word, family)
    else:
        raise AssertionError(kind)
    return token, part.fill(dice, frame, a=out)


def combo(part, dice, word, family):
    steps = dice.sample(["homoglyph", "zero", "gap", "wide"], dice.between(2, 3))
    head = ""
    if family == "evm" and dice.chance(30):
        head, word = dice.pick([p for p in part.EVM_PREFIXES if not p.endswith("\n")]), word[2:]
    if "homoglyph" in steps:
        word = ds.look_alikes(dice, word, part, dice.between(1, 4))
    if "wide" in steps:
        at = dice.below(max(1, len(word) - 6))
        word = word[:at] + "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in word[at : at + 4]) + word[at + 4 :]
    if "gap" in steps:
        marks = [" ", "...", "🚀", " . ", " - ", "~", "\n"]
        word = ds.glued(dice, word, marks, 4, 4)
    if "zero" in steps:
        word = ds.zero_width(dice, word, part)
    return head + word


def compound(part, dice, family):
    """Two disguises of different kinds, each with its cue where it needs one."""
    token = Token(dice, family)
    word = token.address
    kinds = ["reversed and cut", "parts and signs", "letters and cut", "filler and signs"]
    if family == "evm":
        kinds += ["case and cut", "prefix and cut", "case and signs"]
    ending = ds.solana_ending(word)
    if family == "solana" and ending and ds.still_alone(word[: -len(ending)]):
        kinds += ["ending and signs", "ending and cut"]
    kind = dice.pick(kinds)
    marks = ds.marks_for(family, dice.pick([part.SPACES[:2], part.DOTS, part.EMOJI, [m for m in part.DASHES if m.strip("-_ ")] or [" - "]]))
    signs = dice.pick([ds.zero_width, ds.look_alikes])
    if kind == "reversed and cut":
        text = part.fill(dice, dice.pick(part.REVERSED_CUES), a=ds.glued(dice, word[::-1], marks, 4, 4))
    elif kind == "parts and signs":
        text, pieces = dice.pick(part.PARTS)
        for k, piece in enumerate(ds.cut(dice, word, pieces, 6)):
            text = text.replace("{%d}" % k, signs(dice, piece, part))
    elif kind == "letters and cut":
        text = part.fill(dice, dice.pick(part.FRAMES), a=ds.glued(dice, dice.pick([ds.fullwidth, ds.math_font])(dice, word, part), marks, 4, 4))
    elif kind == "filler and signs":
        mark = dice.pick([m for m, cue in part.FILLERS if not cue and (family != "ton" or m[0] not in "-_")])
        text = part.fill(dice, dice.pick(part.GAP_FRAMES["filler"]), a=mark.join(signs(dice, piece, part) for piece in ds.cut(dice, word, dice.between(2, 3), 6)))
    elif kind in ("case and cut", "case and signs"):
        word = "0x" + dice.pick([str.upper, str.lower])(word[2:])
        text = part.fill(dice, dice.pick(part.FRAMES), a=ds.glued(dice, word, marks, 4, 4) if kind == "case and cut" else ds.zero_width(dice, word, part))
    elif kind == "prefix and cut":
        text = part.fill(dice, dice.pick(part.NO_PREFIX), a=ds.glued(dice, word[2:], marks, 4, 4))
    else:
        head = word[: -len(ending)]
        head = signs(dice, head, part) if kind == "ending and signs" else ds.glued(dice, head, [" ", "..."], 3, 6)
        text = part.fill(dice, dice.pick([f for f in part.ENDING_FORMS if "`" not in f]), h=head, e=ending)
    return token, text


DISGUISES = [
    "zero_width", "homoglyph", "fullwidth", "math_font", "spaces", "line_breaks", "dots", "dashes", "emoji_between", "filler", "formatting",
    "char_spaced", "reversed", "parts", "combo", "other_marks", "enclosed",
]


def disguised(part, each, more):
    families = [(48, "solana"), (34, "evm"), (9, "tron"), (9, "ton")]
    counts = {"enclosed": more, "other_marks": more}
    for kind in DISGUISES:
        for i in range(counts.get(kind, each)):
            dice = part.dice("hide", kind, i)
            token, text = hide(part, dice, kind, dice.weighted(families))
            part.add("obfuscated", text, [token.label(False, None, "deobfuscated")], "obf:" + kind)
    for i in range(each):
        dice = part.dice("hide", "compound", i)
        token, text = compound(part, dice, dice.weighted(families))
        part.add("obfuscated", part.fill(dice, dice.pick(part.AROUND), x=text), [token.label(False, None, "deobfuscated")], "obf:combo")
    for kind in ("evm_case", "prefix"):
        for i in range(each):
            dice = part.dice("hide", kind, i)
            token, text = hide(part, dice, kind, "evm")
            part.add("obfuscated", text, [token.label()], "obf:" + kind)
    for i in range(more):
        dice = part.dice("hide", "two", i)
        kind, family = dice.pick(["spaces", "zero_width", "dots", "emoji_between", "homoglyph", "line_breaks"]), dice.weighted(families)
        a, b = Token(dice, family), Token(dice, dice.weighted(families))
        gaps = {"spaces": part.SPACES, "dots": part.DOTS, "emoji_between": part.EMOJI, "line_breaks": part.BREAKS[:1]}
        hidden_words = []
        for token in (a, b) if dice.chance(50) else (a, a):
            if kind in gaps:
                hidden_words.append(ds.glued(dice, token.address, gaps[kind], 4, 5))
            else:
                hidden_words.append(ds.zero_width(dice, token.address, part) if kind == "zero_width" else ds.look_alikes(dice, token.address, part))
            last = token
        if last is a:
            # Once in the open, once hidden: one address.
            hidden_words[0] = a.address
        text = part.fill(dice, dice.pick(part.TWO_HIDDEN), a=hidden_words[0], b=hidden_words[1])
        part.add("multi", text, [a.label(), last.label()], "multi:disguised")
    for i in range(each):
        dice = part.dice("hide", "ending", i)
        token, ending = Token(dice, "solana"), dice.weighted(ad.ENDINGS[:3])
        while True:
            token.address = ad.solana_ending(dice, ending)
            if ds.still_alone(token.address[: -len(ending)]):
                break
        text = part.fill(dice, dice.pick(part.AROUND), x=dice.pick(part.ENDING_FORMS))
        text = part.fill(dice, text, h=token.address[: -len(ending)], e=ending)
        part.add("obfuscated", text, [token.label(False, None, "deobfuscated")], "obf:pump_suffix")
