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

    /// The label nearest before `at`, on its line or, where the address begins a line, on the last
    /// line above that says anything.
    pub(crate) fn before(&self, text: &str, at: &Range<usize>) -> Option<Label> {
        let mut from = at.start.saturating_sub(REACH);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        let lead = &text[from..at.start];
        let line = lead.rsplit('\n').find(|line| line.chars().any(char::is_alphanumeric))?;
        let whole = |span: &Range<usize>| {
            let ends = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
            !line[span.clone()].is_ascii()
                || (ends(line[..span.start].chars().next_back()) && ends(line[span.end..].chars().next()))
        };
        let (end, label) = self
            .search
            .find_iter(line)
            .filter(|found| whole(&found.range()))
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
