//! Words that call 64 hex digits a key, or something else.

use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};

use super::{MASK, Secret};

/// Bytes before the digits in which a word counts.
const BEFORE: usize = 160;
/// Bytes behind them, within the same sentence.
const AFTER: usize = 64;
/// Bytes of a mask, at most.
const LONGEST_MASK: usize = 32;
/// Bytes between two keys of a list.
const LIST_GAP: usize = 24;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A secret key.
    Key,
    /// A word before "key" that makes it one to be shown.
    Public,
    /// Something that is no secret.
    Other,
}

/// Where a word may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// Alone.
    Whole,
    /// Also as a part of a word.
    Part,
}

/// By kind and fit; a space stands also for `_`, `-` and nothing.
const NAMES: [(Kind, Fit, &[&str]); 5] = [
    (
        Kind::Key,
        Fit::Part,
        &[
            // English, and what others took from it.
            "private key",
            "priv key",
            "pvt key",
            "secret",
            "signing key",
            "seed",
            "privkey",
            "mnemonic",
            // Russian, Ukrainian, Bulgarian, Serbian, by their stems.
            "приват",
            "закрыт",
            "закрит",
            "секрет",
            "ключ",
            "таен",
            "кључ",
            "сид-фраз",
            "сид фраз",
            // Chinese, Japanese, Korean.
            "私钥",
            "私鑰",
            "密钥",
            "密鑰",
            "秘钥",
            "秘鑰",
            "秘密鍵",
            "プライベートキー",
            "シークレット",
            "개인키",
            "개인 키",
            "비밀키",
            "비밀 키",
            "프라이빗 키",
            "시크릿",
            // Romance languages.
            "clave privada",
            "llave privada",
            "clave secreta",
            "llave secreta",
            "clau privada",
            "chave privada",
            "chave secreta",
            "chave particular",
            "clé privée",
            "cle privee",
            "clef privée",
            "clé secrète",
            "cle secrete",
            "chiave privata",
            "chiave segreta",
            "cheie privată",
            "cheia privată",
            "cheie privata",
            "cheia privata",
            "cheia secretă",
            // Germanic languages.
            "privater schlüssel",
            "privaten schlüssel",
            "private schlüssel",
            "privatschlüssel",
            "geheimer schlüssel",
            "geheimen schlüssel",
            "geheime schlüssel",
            "privésleutel",
            "privésleutel",
            "privé sleutel",
            "prive sleutel",
            "geheime sleutel",
            "privat nyckel",
            "privata nyckel",
            "hemlig nyckel",
            "privat nøgle",
            "private nøgle",
            "privat nøkkel",
            "private nøkkel",
            // Others of Europe.
            "klucz prywatny",
            "klucza prywatnego",
            "tajny klucz",
            "klucz tajny",
            "soukromý klíč",
            "privátní klíč",
            "tajný klíč",
            "súkromný kľúč",
            "privatni ključ",
            "tajni ključ",
            "yksityinen avain",
            "yksityisavain",
            "salainen avain",
            "privát kulcs",
            "titkos kulcs",
            "magánkulcs",
            "ιδιωτικό κλειδί",
            "ιδιωτικο κλειδι",
            "μυστικό κλειδί",
            "özel anahtar",
            "gizli anahtar",
            // Asia and Africa.
            "kunci pribadi",
            "kunci privat",
            "kunci rahasia",
            "kunci persendirian",
            "kunci peribadi",
            "pribadong susi",
            "khóa riêng",
            "khoá riêng",
            "khóa bí mật",
            "khoá bí mật",
            "khóa cá nhân",
            "khóa bảo mật",
            "คีย์ส่วนตัว",
            "กุญแจส่วนตัว",
            "คีย์ลับ",
            "รหัสส่วนตัว",
            "المفتاح الخاص",
            "مفتاح خاص",
            "مفتاحي الخاص",
            "المفتاح السري",
            "مفتاح سري",
            "کلید خصوصی",
            "کلید شخصی",
            "نجی کلید",
            "מפתח פרטי",
            "המפתח הפרטי",
            "निजी कुंजी",
            "प्राइवेट की",
            "प्राइवेट कुंजी",
            "गुप्त कुंजी",
            "ব্যক্তিগত কী",
            "প্রাইভেট কী",
            "গোপন কী",
            "ufunguo binafsi",
        ],
    ),
    (
        Kind::Key,
        Fit::Whole,
        &[
            "pk", "sk", "priv", "pvt", "pkey", "private", "key", "keys", "clave", "chave",
        ],
    ),
    (
        Kind::Public,
        Fit::Part,
        &["публичн", "публічн", "открыт", "відкрит", "публичен"],
    ),
    (
        Kind::Other,
        Fit::Part,
        &[
            "public key",
            "pub key",
            "transaction",
            "signature",
            "checksum",
            "contract",
            "address",
            "blockhash",
            "commitment",
            "公钥",
            "公鑰",
            "公開鍵",
            "공개키",
            "clave pública",
            "clave publica",
            "llave pública",
            "chave pública",
            "chave publica",
            "clé publique",
            "chiave pubblica",
            "cheie publică",
            "合约",
            "合約",
            "地址",
            "哈希",
            "交易",
            "コントラクト",
            "アドレス",
            "컨트랙트",
            "주소",
            "контракт",
            "адрес",
            "транзакц",
            "хэш",
            "хеш",
            "contrato",
            "dirección",
            "endereço",
            "transacción",
            "transação",
            "contrat",
            "adresse",
            "kontrakt",
            "kontrat",
            "sözleşme",
            "hợp đồng",
            "địa chỉ",
            "สัญญา",
            "عقد",
            "عنوان",
            "قرارداد",
            "आदेश",
            "अनुबंध",
        ],
    ),
    (
        Kind::Other,
        Fit::Whole,
        &[
            "tx", "txid", "txn", "hash", "txhash", "block", "ca", "token", "mint", "coin", "pool", "pair", "package",
            "object", "wallet", "sig", "sha", "sha256", "commit", "digest", "root", "cid",
        ],
    ),
];

/// Where digits stand.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) text: &'a str,
    /// Secrets of other kinds, in order. Words beyond one of them say nothing of the digits: once
    /// it is masked they would stand nearer than they do.
    pub(super) others: &'a [Secret],
    /// The end of the key before.
    pub(super) follows: Option<usize>,
}

/// The names, ready to look for.
pub(super) struct Near {
    names: AhoCorasick,
    of: Vec<(Kind, Fit)>,
}

impl Near {
    pub(super) fn new() -> Self {
        let mut patterns = Vec::new();
        let mut of = Vec::new();
        for (kind, fit, names) in NAMES {
            for name in names {
                for space in [" ", "", "_", "-"] {
                    patterns.push(name.replace(' ', space));
                    of.push((kind, fit));
                    if !name.contains(' ') {
                        break;
                    }
                }
            }
        }
        let names = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&patterns)
            // Cannot fail: some hundred short patterns are far below its limits.
            .expect("the names are few");
        Self { names, of }
    }

    /// Whether the digits at `span` are called a key.
    pub(super) fn calls_it_a_key(&self, place: &Place<'_>, span: &Range<usize>) -> bool {
        let text = place.text;
        // The path of a link, the type of a coin.
        if text[..span.start].ends_with('/') || text[span.end..].starts_with("::") {
            return false;
        }
        let next = place.others.partition_point(|other| other.span.start < span.start);
        let floor = next.checked_sub(1).map_or(0, |last| place.others[last].span.end);
        let floor = floor.min(span.start).max(span.start.saturating_sub(BEFORE));
        // A mask that begins before the floor may end behind it.
        let wide = text.ceil_char_boundary(floor.saturating_sub(LONGEST_MASK));
        let mask = text[wide..span.start].rfind(MASK).map(|at| wide + at);
        let floor = mask
            .and_then(|at| Some(at + text[at..span.start].find(']')?))
            .map_or(floor, |end| end.max(floor));
        let lead = &text[text.ceil_char_boundary(floor)..span.start];
        let before = lead.to_lowercase();
        let (mut key, mut other, mut public) = (None, None, None);
        for (kind, name) in self.names_in(&before) {
            match kind {
                Kind::Key if public.is_some_and(|end| name.start <= end + 12) => other = Some(name.end),
                Kind::Key => key = Some(name.end),
                Kind::Other => other = Some(name.end),
                Kind::Public => public = Some(name.end),
            }
        }
        if let Some(end) = place.follows {
            let gap = span.start.saturating_sub(end);
            // A list of keys under one heading.
            let named = other.is_some_and(|other| other + gap > before.len());
            if gap <= LIST_GAP && !named {
                return true;
            }
        }
        match (key, other) {
            (Some(key), Some(other)) if key < other => !ends_a_clause(&before[key..]),
            (Some(_), _) => true,
            (None, Some(_)) => false,
            (None, None) => {
                let end = place.others.get(next).map_or(text.len(), |other| other.span.start);
                let end = end.max(span.end).min(span.end + AFTER);
                let rest = &text[span.end..text.floor_char_boundary(end)];
                let after = rest[..rest.find(MASK).unwrap_or(rest.len())].to_lowercase();
                let first = self.names_in(&after).next();
                first.is_some_and(|(kind, name)| kind == Kind::Key && !ends_a_clause(&after[..name.start]))
            }
        }
    }

    fn names_in(&self, text: &str) -> impl Iterator<Item = (Kind, Range<usize>)> {
        self.names.find_iter(text).filter_map(|found| {
            let (kind, fit) = self.of[found.pattern().as_usize()];
            let alone = || {
                let before = text[..found.start()].chars().next_back();
                let after = text[found.end()..].chars().next();
                !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphabetic)
            };
            (fit == Fit::Part || alone()).then(|| (kind, found.range()))
        })
    }
}

/// Whether a sentence or a line ends in `text`.
fn ends_a_clause(text: &str) -> bool {
    let ends = |(at, c): (usize, char)| match c {
        '\n' | '!' | '?' | '。' | '！' | '？' | '।' => true,
        '.' | ';' => text[at + 1..].starts_with(char::is_whitespace),
        _ => false,
    };
    text.char_indices().any(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";

    fn is_key(text: &str) -> bool {
        let text = text.replace('%', DIGITS);
        let start = text.find(DIGITS).unwrap();
        let place = Place {
            text: &text,
            others: &[],
            follows: None,
        };
        Near::new().calls_it_a_key(&place, &(start..start + DIGITS.len()))
    }

    #[test]
    fn words_call_it_a_key() {
        for text in [
            "private key: %",
            "PRIVATE_KEY=%",
            "privateKey %",
            "my pk is %",
            "pk:%",
            "secret\n%",
            "% <- this is my private key",
            "address 0x12 and private key: %",
            "private key of the contract: %",
            "приватный ключ от кошелька: %",
            "Закрытый ключ %",
            "这是私钥：%",
            "clave privada: %",
            "Chave privada - %",
            "clé privée : %",
            "Privater Schlüssel: %",
            "özel anahtar: %",
            "المفتاح الخاص: %",
            "निजी कुंजी: %",
            "khóa riêng tư: %",
            "개인 키: %",
            "ed25519-priv-%",
            "api key: %",
            "https://x.example/?privateKey=%",
        ] {
            assert!(is_key(text), "{text}");
        }
    }

    #[test]
    fn other_words_do_not() {
        for text in [
            "%",
            "tx %",
            "new token on sui: %",
            "public key: %",
            "публичный ключ: %",
            "открытый ключ %",
            "clave pública: %",
            "公钥 %",
            "Never share your private key! tx: %",
            "Don't tell anyone your secret.\nContract: %",
            "https://etherscan.io/tx/% never show your private key",
            "private: %::coin::COIN",
            "monkey % pkg",
        ] {
            assert!(!is_key(text), "{text}");
        }
    }
}
