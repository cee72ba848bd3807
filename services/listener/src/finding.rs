//! A find of the detector's, in the words of the event.

use tgmesh_proto::codec;
use tgmesh_proto::detection::{Family, Method, Role};

/// One address of one message, apart from the message.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Address family.
    pub family: Family,
    /// Chain, where there is evidence for one.
    pub chain: Option<String>,
    /// Canonical address.
    pub address: String,
    /// Sui and Aptos.
    pub coin_type: Option<String>,
    /// What it is.
    pub role: Role,
    /// How it was found.
    pub method: Method,
    /// What was used.
    pub evidence: Vec<String>,
    /// 0 to 1.
    pub confidence: f64,
    /// As found.
    pub raw: String,
}

impl Finding {
    /// Whether both are the same address.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.family == other.family && self.address == other.address && self.coin_type == other.coin_type
    }
}

impl From<tgmesh_detect::Find> for Finding {
    fn from(find: tgmesh_detect::Find) -> Self {
        let mut raw = find.raw;
        codec::truncate(&mut raw, codec::MAX_TEXT_CHARS);
        let mut evidence: Vec<String> = find.evidence.into_iter().map(Into::into).collect();
        evidence.truncate(codec::MAX_LIST);
        Self {
            family: family(find.family),
            chain: find.chain.map(str::to_owned),
            address: find.address,
            coin_type: find.coin_type,
            role: role(find.role),
            method: method(find.method),
            evidence,
            confidence: find.confidence,
            raw,
        }
    }
}

const fn family(family: tgmesh_detect::Family) -> Family {
    match family {
        tgmesh_detect::Family::Solana => Family::Solana,
        tgmesh_detect::Family::Evm => Family::Evm,
        tgmesh_detect::Family::Tron => Family::Tron,
        tgmesh_detect::Family::Ton => Family::Ton,
        tgmesh_detect::Family::Sui => Family::Sui,
        tgmesh_detect::Family::Aptos => Family::Aptos,
    }
}

const fn role(role: tgmesh_detect::Role) -> Role {
    match role {
        tgmesh_detect::Role::Token => Role::Token,
        tgmesh_detect::Role::Pool => Role::Pool,
        tgmesh_detect::Role::Account => Role::Account,
        tgmesh_detect::Role::Unknown => Role::Unknown,
    }
}

const fn method(method: tgmesh_detect::Method) -> Method {
    match method {
        tgmesh_detect::Method::Plain => Method::Plain,
        tgmesh_detect::Method::Link => Method::Link,
        tgmesh_detect::Method::Entity => Method::Entity,
        tgmesh_detect::Method::Button => Method::Button,
        tgmesh_detect::Method::Deobfuscated => Method::Deobfuscated,
    }
}
