//! Words before an address that say what stands there.

use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::Role;

/// How far before an address a label may stand, in bytes.
const REACH: usize = 72;

/// What a word before an address calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    /// A token, a pool or a wallet.
    Role(Role),
    /// A transaction or block hash, a key, a commit: no address at all.
    NoAddress,
    /// A code of some program: a session, an invitation, a request.
    Code,
    /// It stands there backwards.
    Reversed,
}

const TOKEN: &[&str] = &[
    "ca",
    "c/a",
    "c.a",
    "contract",
    "contract address",
    "token address",
    "token contract",
    "mint",
    "mint address",
    "smart contract",
    "контракт",
    "контракта",
    "адрес контракта",
    "адрес токена",
    "合约",
    "合约地址",
    "合約",
    "コントラクト",
    "컨트랙트",
    "컨트렉트",
    "kontrak",
    "kontrat",
    "kontrakt",
    "contrat",
    "contrato",
    "contratto",
    "vertrag",
    "قرارداد",
    "العقد",
    "عقد",
    "hợp đồng",
    "สัญญา",
    "अनुबंध",
    "umowa",
    "smlouva",
    "σύμβαση",
    "kontrakti",
    "sözleşme",
];
const POOL: &[&str] = &[
    "pool",
    "pair",
    "pair address",
    "lp",
    "lp address",
    "pool address",
    "liquidity pool",
    "пул",
    "пара",
    "池子",
    "ペア",
];
const ACCOUNT: &[&str] = &[
    "wallet",
    "wallet address",
    "dev wallet",
    "my wallet",
    "deployer",
    "treasury",
    "donate",
    "donation",
    "donations",
    "send to",
    "my address",
    "кошелек",
    "кошелёк",
    "钱包",
    "錢包",
    "cüzdan",
    "billetera",
    "cartera",
    "carteira",
    "portefeuille",
    "dompet",
    "portafoglio",
    "地址转账",
    "ウォレット",
    "지갑",
];
const NO_ADDRESS: &[&str] = &[
    "tx",
    "txn",
    "txid",
    "tx hash",
    "txhash",
    "transaction",
    "transaction hash",
    "hash",
    "block",
    "block hash",
    "commit",
    "digest",
    "checksum",
    "sha256",
    "private key",
    "secret key",
    "хеш",
    "хэш",
    "транзакция",
    "交易哈希",
    "哈希",
    "transacción",
    "transação",
    "transaktion",
    "işlem",
];

const CODE: &[&str] = &[
    "session",
    "session id",
    "reset token",
    "access token",
    "refresh token",
    "api token",
    "auth token",
    "bot token",
    "login code",
    "invite",
    "invite code",
    "invite link",
    "nonce",
    "key id",
    "request",
    "request id",
    "trace id",
    "ticket",
    "order id",
    "user id",
    "device id",
    "cookie",
    "password",
    "api key",
    "ref code",
    "promo code",
];

const REVERSED: &[&str] = &[
    "reversed",
    "reverse",
    "backwards",
    "backward",
    "mirrored",
    "right to left",
    "al revés",
    "al reves",
    "invertido",
    "наоборот",
    "задом наперёд",
    "задом наперед",
    "в обратном порядке",
    "倒序",
    "反向",
    "倒着",
    "反过来",
    "逆順",
    "逆さ",
    "rückwärts",
    "umgekehrt",
    "à l'envers",
    "inversé",
    "al contrario",
    "ao contrário",
    "tersten",
    "ters",
    "terbalik",
    "dibalik",
    "omgekeerd",
    "wspak",
    "ngược",
    "거꾸로",
    "معکوس",
    "معكوس",
    "उल्टा",
    "उल्टे",
    "flip it",
    "flip the",
    "flipped",
    "read from right",
    "from the end",
    "in reverse",
    "rtl",
    "kebalikan",
    "dari belakang",
    "逆から",
    "逆に",
    "反着",
    "反转",
    "反轉",
    "倒過來",
    "倒过来",
    "с конца",
    "задом-наперед",
    "перевернут",
    "перевёрнут",
    "перевернуть",
    "de atrás",
    "de trás",
    "hacia atrás",
    "de droite à gauche",
    "von hinten",
    "spiegelverkehrt",
    "rovescia",
    "rovesciato",
    "mirror the",
    "mirror",
    "all'indietro",
    "ters çevir",
    "tersine",
    "đảo ngược",
    "뒤집",
    "برعکس",
    "بالعكس",
    "od tyłu",
    "odwrotnie",
    "achterstevoren",
    "baklänges",
    "pozpátku",
    "ανάποδα",
    "กลับหลัง",
];

/// The label words, ready to be searched for.
#[derive(Debug)]
pub(crate) struct Labels {
    search: AhoCorasick,
    meanings: Vec<Label>,
}

impl Labels {
    pub(crate) fn new() -> Self {
        let lists = [
            (TOKEN, Label::Role(Role::Token)),
            (POOL, Label::Role(Role::Pool)),
            (ACCOUNT, Label::Role(Role::Account)),
            (NO_ADDRESS, Label::NoAddress),
            (CODE, Label::Code),
            (REVERSED, Label::Reversed),
        ];
        let patterns = lists.iter().flat_map(|(words, _)| words.iter());
        let meanings = lists
            .iter()
            .flat_map(|(words, label)| words.iter().map(|_| *label))
            .collect();
        let search = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .build(patterns)
            // Cannot fail: it does so only when the patterns need more than 2^31 states.
            .expect("a hundred fixed patterns");
        Self { search, meanings }
    }

    /// Whether anything in `text` says that an address stands there backwards.
    pub(crate) fn reversed(&self, text: &str) -> bool {
        self.search.find_iter(text).any(|found| {
            self.meanings[found.pattern().as_usize()] == Label::Reversed
                && whole_word(text, &found.range())
                && is_order(text, &found.range())
        })
    }

    /// The label nearest before `at`, on its line or, where the address begins a line, on the last
    /// line above that says anything.
    pub(crate) fn before(&self, text: &str, at: &Range<usize>) -> Option<Label> {
        let from = text.ceil_char_boundary(at.start.saturating_sub(REACH));
        let lead = &text[from..at.start];
        let line = lead.rsplit('\n').find(|line| line.chars().any(char::is_alphanumeric))?;
        let (end, label) = self
            .search
            .find_iter(line)
            .filter(|found| whole_word(line, &found.range()))
            .last()
            .map(|found| (found.end(), self.meanings[found.pattern().as_usize()]))?;
        // "Contract (no emoji):" may be wordy; "LP burned" above an address says nothing of it.
        let between = line[end..]
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .count();
        let same_line = !lead[lead.rfind(line)? + line.len()..].contains('\n');
        (label == Label::Role(Role::Token) || between <= if same_line { 2 } else { 0 }).then_some(label)
    }
}

/// Trends reverse too: an ordinary word is an order only beside a mark, or on a line that speaks of
/// an address.
fn is_order(text: &str, word: &Range<usize>) -> bool {
    const ORDINARY: [&str; 6] = ["reversed", "reverse", "flipped", "mirror", "mirrored", "ters"];
    if !ORDINARY
        .iter()
        .any(|other| text[word.clone()].eq_ignore_ascii_case(other))
    {
        return true;
    }
    let from = text.ceil_char_boundary(word.start.saturating_sub(REACH));
    let to = text.floor_char_boundary((word.end + REACH).min(text.len()));
    let before = text[from..word.start].rsplit('\n').next().unwrap_or("");
    let after = text[word.end..to].split('\n').next().unwrap_or("");
    let marked = before
        .trim_end()
        .ends_with(['(', '[', '{', '（', '【', '⚠', '🔁', '🔄'])
        || after
            .chars()
            .take(12)
            .any(|c| matches!(c, ':' | ')' | ']' | '：' | '）' | '👉' | '→'));
    let speaks = [
        "ca", "contract", "address", "read", "letters", "order", "string", "text",
    ];
    let line = [before, after].join(" ").to_lowercase();
    marked
        || (before.trim().is_empty() && after.trim().is_empty())
        || line
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| speaks.contains(&word))
}

/// No letter or digit touches an ASCII label.
fn whole_word(text: &str, span: &Range<usize>) -> bool {
    let ends = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    !text[span.clone()].is_ascii()
        || (ends(text[..span.start].chars().next_back()) && ends(text[span.end..].chars().next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(lead: &str) -> Option<Label> {
        let text = format!("{lead}ADDRESS");
        Labels::new().before(&text, &(lead.len()..text.len()))
    }

    #[test]
    fn the_nearest_word_names_the_role() {
        assert_eq!(label("CA: "), Some(Label::Role(Role::Token)));
        assert_eq!(label("Contract Address\n"), Some(Label::Role(Role::Token)));
        assert_eq!(label("Token address:\n\n"), Some(Label::Role(Role::Token)));
        assert_eq!(label("合约"), Some(Label::Role(Role::Token)));
        assert_eq!(
            label("not the contract but the LP pair: "),
            Some(Label::Role(Role::Pool))
        );
        assert_eq!(label("my wallet is "), Some(Label::Role(Role::Account)));
        assert_eq!(label("burn tx 🔥 "), Some(Label::NoAddress));
        assert_eq!(label("a cat "), None);
        assert_eq!(label("LP burned, all of it\n"), None);
        assert_eq!(label(""), None);
    }
}
