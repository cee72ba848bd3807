"""Well-formed and slightly broken addresses of every family, out of random bytes.

Everything is written from the public descriptions of the formats (base58, base58check, Keccak-256
with EIP-55, CRC-16/XMODEM), so that the corpus can be a judge of the detector.
"""

import base64
import hashlib

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
MASK = (1 << 64) - 1


class Dice:
    """splitmix64, seeded by words: the same on every version of Python, and a new kind of case
    does not disturb the others."""

    def __init__(self, *seed):
        digest = hashlib.sha256("/".join(map(str, seed)).encode()).digest()
        self.state = int.from_bytes(digest[:8], "big")

    def bits(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def below(self, end):
        return (self.bits() >> 16) % end

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def chance(self, percent):
        return self.below(100) < percent

    def pick(self, items):
        return items[self.below(len(items))]

    def weighted(self, pairs):
        at = self.below(sum(weight for weight, _ in pairs))
        for weight, item in pairs:
            if at < weight:
                return item
            at -= weight
        raise AssertionError("weights ran out")

    def sample(self, items, count):
        items, out = list(items), []
        for _ in range(min(count, len(items))):
            out.append(items.pop(self.below(len(items))))
        return out

    def bytes(self, count):
        return bytes(self.bits() >> 24 & 255 for _ in range(count))

    def word(self, alphabet, count):
        return "".join(self.pick(alphabet) for _ in range(count))

    def hex(self, count):
        return self.word("0123456789abcdef", count)


def base58(raw):
    number, out = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        out = BASE58[digit] + out
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + out


def base58_bytes(word):
    """What the word decodes to, or None where a letter is none of the alphabet."""
    number = 0
    for letter in word:
        at = BASE58.find(letter)
        if at < 0:
            return None
        number = number * 58 + at
    zeros = len(word) - len(word.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def base58check(payload):
    return base58(payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4])


def _round_constants():
    constants, register = [], 1
    for _ in range(24):
        value = 0
        for j in range(7):
            if register & 1:
                value |= 1 << ((1 << j) - 1)
            register = (register << 1) ^ (0x171 if register >> 7 else 0)
        constants.append(value)
    return constants


ROUND_CONSTANTS = _round_constants()


def _rotate(value, by):
    by %= 64
    return ((value << by) | (value >> (64 - by))) & MASK


def keccak256(data):
    rate = 136
    padded = bytearray(data) + b"\x01" + b"\0" * (-(len(data) + 1) % rate)
    padded[-1] |= 0x80
    lanes = [[0] * 5 for _ in range(5)]
    for start in range(0, len(padded), rate):
        for i in range(rate // 8):
            lanes[i % 5][i // 5] ^= int.from_bytes(padded[start + 8 * i : start + 8 * i + 8], "little")
        for constant in ROUND_CONSTANTS:
            column = [lanes[x][0] ^ lanes[x][1] ^ lanes[x][2] ^ lanes[x][3] ^ lanes[x][4] for x in range(5)]
            for x in range(5):
                parity = column[x - 1] ^ _rotate(column[(x + 1) % 5], 1)
                for y in range(5):
                    lanes[x][y] ^= parity
            x, y, current = 1, 0, lanes[1][0]
            for step in range(24):
                x, y = y, (2 * x + 3 * y) % 5
                current, lanes[x][y] = lanes[x][y], _rotate(current, (step + 1) * (step + 2) // 2)
            for y in range(5):
                row = [lanes[x][y] for x in range(5)]
                for x in range(5):
                    lanes[x][y] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5] & MASK)
            lanes[0][0] ^= constant
    return b"".join(lanes[i % 5][i // 5].to_bytes(8, "little") for i in range(4))


def eip55(address):
    digits = address[2:].lower()
    marks = keccak256(digits.encode()).hex()
    return "0x" + "".join(c.upper() if m in "89abcdef" else c for c, m in zip(digits, marks))


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def friendly(tag, workchain, account, alphabet="-_"):
    raw = bytes([tag, workchain & 255]) + account
    raw += crc16(raw).to_bytes(2, "big")
    return base64.b64encode(raw, alphabet.encode()).decode()


# Public contracts that chats name often. Checked by `verify`.
KNOWN_EVM = {
    "ethereum": [
        "0xdAC17F958D2ee523a2206206994597C13D831ec7", "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
        "0x6982508145454Ce325dDbE47a25d4ec3d2311933", "0x95aD61b0a150d79219dCF64E1E6Cc01f0B64C4cE",
        "0x1f9840a85d5aF5bf1D1762F925BDADdC4201F984", "0x514910771AF9Ca656af840dff83E8264EcF986CA",
    ],
    "bsc": [
        "0x55d398326f99059fF775485246999027B3197955", "0x0E09FaBB73Bd3Ade0a17ECC321fD13a19e81cE82",
        "0xe9e7CEA3DedcA5984780Bafc599bD69ADd087D56",
    ],
    "base": [
        "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "0x532f27101965dd16442E59d40670FaF5eBB142E4",
        "0x4ed4E862860beD51a9570b96d89aF5E1B0Efefed",
    ],
    "arbitrum": ["0x912CE59144191C1204E64559FE8253a0e49E6548", "0xaf88d065e77c8cC2239327C5EDb3A432268e5831"],
    "polygon": ["0x7ceB23fD6bC0adD59E62ac25578270cFf1b9f619", "0x3c499c542cEF5E3811e1192ce70d8cC03d5c3359"],
}
KNOWN_SOLANA = [
    "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB",
    "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263", "EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm",
    "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN", "7GCihgDB8fe6KNjn2MYtkzZcRjQy3t9GHdC8uHYmW2hr",
    "4k3Dyjzvzp8eMZWUXbBCjEvwSkkk59S5iCNLY3QrkX6R", "mSoLzYCxHdYgdzU16g5QSh3i5K3z3KZK7ytfqcJm7So",
    "6p6xgHyF7AeE6TZkSmFsko444wqoP15icUSqi2jfGiPN", "9BB6NFEcjBCtnNLFko2FqVQBq8HHM13kCyYcdQbgpump",
]
KNOWN_TRON = [
    "TNUC9Qb1rRpS5CbWLmNMxXBjyFoydXjWFR",
    "TSSMHYeV2uE9qYH95DqyoCuNCzEL1NvU3S", "TCFLL5dx5ZJdKnWuesXxi1VPwjLVmWZZy9",
    "TPYmHEhy5n8TCEfYGqW2rPxsghSfzghPDn", "TLa2f6VPqDgRE67v1736s7bJ8Ray5wYjU7",
]
KNOWN_TON = ["EQCxE6mUtQJKFnGfaROTKOt1lZbDiiX1kCixRv7Nw2Id_sDs", "EQAvlWFDxGF2lXm67y4yzC17wYKD9A0guwPkMs1gOsM__NOT"]
WSOL = "So11111111111111111111111111111111111111112"
WETH = {
    "ethereum": "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2", "base": "0x4200000000000000000000000000000000000006",
    "bsc": "0xbb4CdB9CBd36B01bD1cBaEBF2De08d9173bc095c", "arbitrum": "0x82aF49447D8a07e3bd95BD0d56f35241523fBab1",
    "polygon": "0x0d500B1d8E8eF31E21C99d1Db9A6444d3ADf1270", "optimism": "0x4200000000000000000000000000000000000006",
    "avalanche": "0xB31f66AA3C1e785363F0875A1B74E27b85FD66c7",
}


def verify():
    """The well-known addresses are the proof that the checksums here are the world's."""
    for address in [a for some in KNOWN_EVM.values() for a in some] + list(WETH.values()):
        assert eip55(address) == address, address
    for address in KNOWN_SOLANA + [WSOL]:
        assert len(base58_bytes(address)) == 32, address
    for address in KNOWN_TRON:
        raw = base58_bytes(address)
        assert raw[0] == 0x41 and base58check(raw[:21]) == address, address
    for address in KNOWN_TON:
        raw = base64.urlsafe_b64decode(address)
        assert crc16(raw[:34]) == int.from_bytes(raw[34:], "big"), address


ENDINGS = [(60, "pump"), (18, "bonk"), (8, "moon"), (6, "BAGS"), (5, "jups"), (3, "boop")]


def solana_ending(dice, ending):
    while True:
        word = dice.word(BASE58, dice.pick([44, 44, 43]) - len(ending)) + ending
        if word[0] != "1" and len(base58_bytes(word)) == 32:
            return word


def solana(dice):
    kind = dice.weighted([(52, "random"), (32, "ending"), (4, "ones"), (12, "known")])
    if kind == "ending":
        return solana_ending(dice, dice.weighted(ENDINGS))
    if kind == "ones":
        zeros = dice.between(1, 2)
        return base58(b"\0" * zeros + bytes([dice.between(1, 255)]) + dice.bytes(31 - zeros))
    if kind == "known":
        return dice.pick(KNOWN_SOLANA)
    return random_solana(dice)


def random_solana(dice):
    return base58(bytes([dice.between(1, 255)]) + dice.bytes(31))


def evm_digits(dice):
    kind = dice.weighted([(84, "random"), (6, "zeros"), (10, "ending")])
    digits = dice.hex(40)
    if kind == "zeros":
        zeros = dice.between(2, 8)
        digits = "0" * zeros + digits[zeros:]
    if kind == "ending":
        ending = dice.pick(["4444", "7777", "8888", "ffff", "1111", "6666", "00000", "beef", "dead", "69420"])
        digits = digits[: -len(ending)] + ending
    return digits


def evm(dice, chain=None):
    """The canonical form."""
    known = KNOWN_EVM.get(chain)
    if known and dice.chance(8):
        return dice.pick(known)
    return eip55("0x" + evm_digits(dice))


def evm_written(dice, address):
    """As people write it without any wish to hide."""
    return address if dice.chance(52) else address.lower()


def tron(dice):
    return dice.pick(KNOWN_TRON) if dice.chance(8) else base58check(b"\x41" + dice.bytes(20))


def ton(dice):
    """Canonical form and account bytes with the workchain."""
    if dice.chance(6):
        address = dice.pick(KNOWN_TON)
        raw = base64.urlsafe_b64decode(address)
        return address, raw[1], raw[2:34]
    workchain = 255 if dice.chance(3) else 0
    account = dice.bytes(32)
    return friendly(0x11, workchain, account), workchain, account


def ton_written(dice, made):
    address, workchain, account = made
    kind = dice.weighted([(62, "same"), (22, "uq"), (8, "raw"), (2, "RAW"), (6, "std")])
    if kind == "uq":
        return friendly(0x51, workchain, account)
    if kind in ("raw", "RAW"):
        digits = account.hex() if kind == "raw" else account.hex().upper()
        return "%d:%s" % (workchain - 256 if workchain > 127 else workchain, digits)
    if kind == "std":
        return friendly(0x11, workchain, account, "+/")
    return address


def move(dice):
    while True:
        digits = dice.hex(64)
        if digits[0] != "0":
            return "0x" + digits


# Broken on purpose.

def bad_eip55(dice):
    """Mixed case that stays mixed, and fails."""
    while True:
        address = evm(dice)
        at = [i for i in range(2, 42) if address[i].isalpha()]
        letters = list(address)
        for i in dice.sample(at, dice.between(1, 3)):
            letters[i] = letters[i].swapcase()
        word = "".join(letters)
        digits = word[2:]
        if word != eip55(word) and digits != digits.lower() and digits != digits.upper():
            return word


def wrong_length_base58(dice, size):
    while True:
        word = base58(bytes([dice.between(1, 255)]) + dice.bytes(size - 1))
        if len(base58_bytes(word)) == size:
            return word


def bad_tron(dice):
    while True:
        word = list(tron(dice))
        kind = dice.below(4)
        if kind == 0:
            at = dice.between(2, 33)
            word[at] = dice.pick(BASE58)
        elif kind == 1:
            at = dice.between(2, 32)
            word[at], word[at + 1] = word[at + 1], word[at]
        elif kind == 2:
            del word[dice.between(2, 33)]
        else:
            word.insert(dice.between(2, 33), dice.pick(BASE58))
        word = "".join(word)
        raw = base58_bytes(word)
        if not (len(raw) == 25 and base58check(raw[:21]) == word):
            return word


def bad_ton(dice):
    while True:
        address = ton(dice)[0]
        word = list(address)
        kind = dice.below(3)
        if kind == 0:
            word[dice.between(2, 47)] = dice.pick(BASE58)
        elif kind == 1:
            del word[dice.between(2, 47)]
        else:
            word[-4:] = list(dice.pick(["TEAM", "MOON", "COIN", "PUMP", "GRAM", "dogs"]))
        word = "".join(word)
        if len(word) != 48:
            return word
        raw = base64.urlsafe_b64decode(word)
        if crc16(raw[:34]) != int.from_bytes(raw[34:], "big"):
            return word
