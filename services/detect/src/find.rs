//! What comes out: one [`Find`] per address of a message, and the links that cannot be resolved.

use std::{borrow::Cow, fmt, ops::Range};

/// What one message holds. Handed in empty, or with what earlier messages left: the detector only
/// appends.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Findings {
    /// The addresses, each once.
    pub finds: Vec<Find>,
    /// Links that name an address which cannot be read back from them.
    pub unresolved: Vec<UnresolvedLink>,
}

impl Findings {
    /// Empties it and keeps its room.
    pub fn clear(&mut self) {
        self.finds.clear();
        self.unresolved.clear();
    }
}

/// A link whose address is lost, as a base58 key in lower case: many keys fold to the same letters,
/// and the one that its letters spell is another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnresolvedLink {
    /// The site, as in `link:` evidence: `dexscreener.com`.
    pub site: &'static str,
    /// The chain that the link names.
    pub chain: Option<&'static str>,
    /// The letters that stand where the address should.
    pub raw: String,
    /// The whole link as written, at most 2,048 bytes of it.
    pub link: String,
    /// Where `link` stands in the text, in bytes, on character boundaries; `None` when it is hidden
    /// behind words, in a button or in a preview.
    pub span: Option<Range<usize>>,
}

/// One address of one message.
#[derive(Debug, Clone, PartialEq)]
pub struct Find {
    /// The kind of address.
    pub family: Family,
    /// The chain, where family, link, word or habit tells; `None` for an EVM address without
    /// evidence.
    pub chain: Option<&'static str>,
    /// Canonical form: EIP-55 for EVM; base58 as it stands for Solana and Tron; friendly,
    /// bounceable, main net, URL-safe (`EQ…`) for TON; `0x` and 64 lower-case hex digits for Sui
    /// and Aptos.
    pub address: String,
    /// `0x…::module::NAME` for a Sui or Aptos coin that was named with its type.
    pub coin_type: Option<String>,
    /// What stands at the address, as far as text and links tell.
    pub role: Role,
    /// Where the strongest sighting was.
    pub method: Method,
    /// What was used to decide, most telling first, never empty: `link:dexscreener.com`, `eip55`,
    /// `word:bsc`, …
    pub evidence: Vec<Cow<'static, str>>,
    /// 0 to 1: how sure it is that the sender offered this address as it stands here.
    pub confidence: f64,
    /// The characters as found, before any cleaning.
    pub raw: String,
    /// Where `raw` stands in the text, in bytes, on character boundaries; `None` when it stands in
    /// a hidden link or a button.
    pub span: Option<Range<usize>>,
}

/// A kind of address: what it looks like and how it is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// 32 bytes of base58, no checksum.
    Solana,
    /// 20 bytes of hex, checksum in the letter case (EIP-55).
    Evm,
    /// base58check with prefix 0x41.
    Tron,
    /// 36 bytes of base64 with a CRC-16, or `workchain:hex`.
    Ton,
    /// 32 bytes of hex, named by word, link or type.
    Sui,
    /// 32 bytes of hex, named by word, link or type.
    Aptos,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 6] = [Self::Solana, Self::Evm, Self::Tron, Self::Ton, Self::Sui, Self::Aptos];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Solana => "solana",
            Self::Evm => "evm",
            Self::Tron => "tron",
            Self::Ton => "ton",
            Self::Sui => "sui",
            Self::Aptos => "aptos",
        }
    }

    /// The chain of a family that has only one.
    #[must_use]
    pub const fn only_chain(self) -> Option<&'static str> {
        match self {
            Self::Evm => None,
            other => Some(other.as_str()),
        }
    }
}

/// What stands at an address, as far as text and links tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// A token contract or mint.
    Token,
    /// A trading pair.
    Pool,
    /// A wallet.
    Account,
    /// Nothing tells.
    Unknown,
}

impl Role {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Pool => "pool",
            Self::Account => "account",
            Self::Unknown => "unknown",
        }
    }
}

/// Where an address was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// In the text as it stands.
    Plain,
    /// In a link that can be read.
    Link,
    /// In a link behind words.
    Entity,
    /// In an inline button.
    Button,
    /// In the text after a disguise was taken off.
    Deobfuscated,
}

impl Method {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Link => "link",
            Self::Entity => "entity",
            Self::Button => "button",
            Self::Deobfuscated => "deobfuscated",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
