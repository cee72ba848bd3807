//! The chains by name: how links and people call them. A new chain is one entry here.

use std::{collections::HashMap, sync::LazyLock};

use crate::Family;

/// A chain and its names.
#[derive(Debug)]
pub(crate) struct Chain {
    /// The name on the wire.
    pub(crate) name: &'static str,
    /// The kind of addresses it has.
    pub(crate) family: Family,
    /// What sites put into links; lower case. Numbers are EIP-155 chain ids, or what a site uses in
    /// their place.
    pub(crate) slugs: &'static [&'static str],
    /// Names that mean the chain wherever they stand; lower case.
    pub(crate) names: &'static [&'static str],
    /// Coins that share the chain's name: they mean it unless they count or price something
    /// ("7.1 ETH", "$ETH", "ETH/USDT").
    pub(crate) tickers: &'static [&'static str],
    /// Names that are ordinary words of some language: they mean the chain only in a frame
    /// ("Chain: base", "#base", "on base", a line of their own).
    pub(crate) words: &'static [&'static str],
}

const fn evm(
    name: &'static str,
    slugs: &'static [&'static str],
    names: &'static [&'static str],
    tickers: &'static [&'static str],
    words: &'static [&'static str],
) -> Chain {
    Chain {
        name,
        family: Family::Evm,
        slugs,
        names,
        tickers,
        words,
    }
}

/// Every chain that has a name here.
pub(crate) const CHAINS: &[Chain] = &[
    evm(
        "ethereum",
        &["ethereum", "eth", "ether", "mainnet", "1"],
        &[
            "ethereum",
            "erc20",
            "erc-20",
            "eth chain",
            "eth mainnet",
            "ethereum mainnet",
            "以太坊",
            "以太链",
            "эфириум",
            "이더리움",
            "イーサリアム",
            "اتریوم",
            "إيثيريوم",
        ],
        &["eth"],
        &["ether"],
    ),
    evm(
        "bsc",
        &["bsc", "bnb", "binance", "binance-smart-chain", "56"],
        &[
            "bsc",
            "bep20",
            "bep-20",
            "bnb chain",
            "bnbchain",
            "bnb smart chain",
            "binance smart chain",
            "binance chain",
            "币安链",
            "幣安鏈",
            "币安智能链",
        ],
        &["bnb"],
        &["binance"],
    ),
    evm(
        "base",
        &["base", "8453"],
        &["base chain", "basechain", "base network", "base mainnet"],
        &[],
        &["base"],
    ),
    evm(
        "arbitrum",
        &["arbitrum", "arb", "arbitrum-one", "arbitrum_one", "42161"],
        &["arbitrum", "arbitrum one"],
        &["arb"],
        &[],
    ),
    evm(
        "polygon",
        &["polygon", "polygon_pos", "polygon-pos", "matic", "137"],
        &["polygon chain", "polygon network", "polygon pos", "马蹄链"],
        &["matic", "polygon"],
        &["pol"],
    ),
    evm(
        "avalanche",
        &["avalanche", "avax", "avalanche-c", "43114"],
        &["avalanche", "avax c-chain", "c-chain", "avax chain"],
        &["avax"],
        &[],
    ),
    evm(
        "optimism",
        &["optimism", "op", "optimistic", "10"],
        &["op mainnet", "op chain", "optimism mainnet"],
        &["optimism"],
        &["op"],
    ),
    evm(
        "fantom",
        &["fantom", "ftm", "250"],
        &["fantom opera", "ftm chain"],
        &["ftm", "fantom"],
        &[],
    ),
    evm(
        "cronos",
        &["cronos", "cro", "25"],
        &["cronos chain"],
        &["cronos"],
        &["cro"],
    ),
    evm(
        "gnosis",
        &["gnosis", "xdai", "100"],
        &["gnosis chain"],
        &["xdai"],
        &["gnosis"],
    ),
    evm(
        "linea",
        &["linea", "59144"],
        &["linea chain", "linea mainnet"],
        &[],
        &["linea"],
    ),
    evm(
        "scroll",
        &["scroll", "534352"],
        &["scroll chain", "scroll mainnet"],
        &[],
        &["scroll"],
    ),
    evm(
        "zksync",
        &["zksync", "zksync-era", "era", "324"],
        &["zksync", "zksync era"],
        &[],
        &[],
    ),
    evm(
        "blast",
        &["blast", "81457"],
        &["blast chain", "blast l2", "blast network"],
        &[],
        &["blast"],
    ),
    evm(
        "mantle",
        &["mantle", "5000"],
        &["mantle network", "mantle chain"],
        &[],
        &["mantle"],
    ),
    evm(
        "sonic",
        &["sonic", "146"],
        &["sonic chain", "sonic network"],
        &[],
        &["sonic"],
    ),
    evm(
        "berachain",
        &["berachain", "bera", "80094"],
        &["berachain"],
        &["bera"],
        &[],
    ),
    evm("unichain", &["unichain", "130"], &["unichain"], &[], &[]),
    evm(
        "pulsechain",
        &["pulsechain", "pulse", "369"],
        &["pulsechain", "pulse chain"],
        &["pls"],
        &[],
    ),
    evm("celo", &["celo", "42220"], &["celo network"], &["celo"], &[]),
    evm(
        "abstract",
        &["abstract", "2741"],
        &["abstract chain", "abstract l2"],
        &[],
        &["abstract"],
    ),
    evm("hyperevm", &["hyperevm", "hyperliquid", "999"], &["hyperevm"], &[], &[]),
    evm("monad", &["monad", "143"], &["monad"], &[], &[]),
    evm("megaeth", &["megaeth", "4326"], &["megaeth"], &[], &[]),
    evm("story", &["story", "1514"], &["story protocol"], &[], &[]),
    evm("plasma", &["plasma", "9745"], &["plasma chain"], &[], &[]),
    evm("tempo", &["tempo", "4217"], &["tempo chain"], &[], &[]),
    Chain {
        name: "solana",
        family: Family::Solana,
        slugs: &["solana", "sol", "1399811149"],
        names: &[
            "solana",
            "sol chain",
            "solana chain",
            "spl token",
            "索拉纳",
            "солана",
            "솔라나",
            "ソラナ",
            "سولانا",
        ],
        tickers: &["sol"],
        words: &[],
    },
    Chain {
        name: "tron",
        family: Family::Tron,
        slugs: &["tron", "trx"],
        names: &["trc20", "trc-20", "tron chain", "trx chain", "波场"],
        tickers: &["trx", "tron"],
        words: &[],
    },
    Chain {
        name: "ton",
        family: Family::Ton,
        slugs: &["ton", "the-open-network"],
        names: &[
            "the open network",
            "ton chain",
            "toncoin",
            "ton blockchain",
            "ton network",
        ],
        tickers: &[],
        words: &["ton"],
    },
    Chain {
        name: "sui",
        family: Family::Sui,
        slugs: &["sui", "sui-network", "suinetwork"],
        names: &[
            "sui network",
            "sui chain",
            "sui mainnet",
            "suinetwork",
            "sui blockchain",
        ],
        tickers: &[],
        words: &["sui"],
    },
    Chain {
        name: "aptos",
        family: Family::Aptos,
        slugs: &["aptos", "apt"],
        names: &["aptos", "apt chain", "aptos chain", "aptos network"],
        tickers: &[],
        words: &["apt"],
    },
];

/// The chain that a site's link calls `slug`.
pub(crate) fn by_slug(slug: &str) -> Option<&'static Chain> {
    /// Slugs in small letters.
    static SLUGS: LazyLock<HashMap<&str, &Chain>> = LazyLock::new(|| {
        // The first chain with a slug has it.
        let slugs = CHAINS.iter().rev();
        slugs
            .flat_map(|chain| chain.slugs.iter().map(move |slug| (*slug, chain)))
            .collect()
    });
    /// The longest of them, in bytes.
    const LONGEST: usize = 24;
    let mut lower = [0; LONGEST];
    let lower = lower.get_mut(..slug.len())?;
    lower.copy_from_slice(slug.as_bytes());
    lower.make_ascii_lowercase();
    SLUGS.get(str::from_utf8(lower).ok()?).copied()
}

/// The chain with this name on the wire.
pub(crate) fn by_name(name: &str) -> Option<&'static Chain> {
    CHAINS.iter().find(|chain| chain.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slug_is_found() {
        for chain in CHAINS {
            for slug in chain.slugs {
                assert_eq!(*slug, slug.to_ascii_lowercase(), "slugs are compared in small letters");
                assert!(by_slug(&slug.to_ascii_uppercase()).is_some(), "{slug}");
            }
        }
    }
}
