//! Deterministic ids and revisions, so that whoever sees a message computes the same key.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::detection::{ChatKind, EventKind, Family};
use crate::matched::MatchKind;

/// Domain of the id: a new way to compute it gets a new prefix.
const ID_DOMAIN: &str = "v1";

/// Revision of a message that was deleted.
pub const DELETED: &str = "deleted";

/// 16 bytes that name an event; 32 lower-case hex digits on the wire, a `uuid` in Postgres.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventId([u8; 16]);

/// A string that is not 32 lower-case hex digits.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an event id is 32 lower-case hex digits")]
pub struct NotAnEventId;

impl EventId {
    /// From raw bytes, as Postgres stores them.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EventId {
    type Err = NotAnEventId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(NotAnEventId),
        };
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return Err(NotAnEventId);
        };
        let mut bytes = [0; 16];
        if pairs.len() != bytes.len() {
            return Err(NotAnEventId);
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for EventId {
    type Error = NotAnEventId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<EventId> for String {
    fn from(id: EventId) -> Self {
        id.to_string()
    }
}

impl JsonSchema for EventId {
    fn schema_name() -> Cow<'static, str> {
        "EventId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "16 bytes in lower-case hex: the event's idempotency key.",
            "type": "string",
            "pattern": "^[0-9a-f]{32}$",
        })
    }
}

/// What an event's id is made of.
///
/// The id is the first 16 bytes of SHA-256 over these parts, joined by a zero byte: `v1`, chat
/// id, account (basic groups and private chats only; the part is left out elsewhere), message
/// id, revision, event, family, address, coin type or nothing. Numbers are decimal.
#[derive(Debug, Clone, Copy)]
pub struct IdParts<'a> {
    /// Bot API id of the chat.
    pub chat_id: i64,
    /// Kind of the chat: decides whether the account is part of the key.
    pub chat_kind: ChatKind,
    /// Account that received the message.
    pub account: &'a str,
    /// Telegram's message id.
    pub message_id: i64,
    /// See [`revision`].
    pub revision: &'a str,
    /// What happened.
    pub event: EventKind,
    /// Address family.
    pub family: Family,
    /// Canonical address.
    pub address: &'a str,
    /// Sui and Aptos.
    pub coin_type: Option<&'a str>,
}

impl IdParts<'_> {
    /// Computes the id.
    #[must_use]
    pub fn id(&self) -> EventId {
        let mut hash = IdHash::of_message(
            self.chat_id,
            self.chat_kind,
            self.account,
            self.message_id,
            self.revision,
        );
        hash.part(self.event.as_str());
        hash.part(self.family.as_str());
        hash.part(self.address);
        hash.part(self.coin_type.unwrap_or_default());
        hash.id()
    }
}

/// What a match's id is made of.
///
/// As [`IdParts`] up to the event, which is followed by what was matched: the names of the rules
/// in their order, or site, chain or nothing, and raw of the link.
#[derive(Debug, Clone, Copy)]
pub struct MatchIdParts<'a> {
    /// Bot API id of the chat.
    pub chat_id: i64,
    /// Kind of the chat: decides whether the account is part of the key.
    pub chat_kind: ChatKind,
    /// Account that received the message.
    pub account: &'a str,
    /// Telegram's message id.
    pub message_id: i64,
    /// See [`revision`].
    pub revision: &'a str,
    /// What was matched.
    pub matched: Matched<'a>,
}

/// What was matched, as far as the id depends on it.
#[derive(Debug, Clone, Copy)]
pub enum Matched<'a> {
    /// These rules, sorted by name.
    Rules(&'a [String]),
    /// This link.
    Link {
        /// The site.
        site: &'a str,
        /// The chain that the link names.
        chain: Option<&'a str>,
        /// The letters that stand where the address should.
        raw: &'a str,
    },
}

impl Matched<'_> {
    /// The kind of the event.
    #[must_use]
    pub const fn kind(&self) -> MatchKind {
        match self {
            Self::Rules(_) => MatchKind::RuleMatched,
            Self::Link { .. } => MatchKind::UnresolvedLink,
        }
    }
}

impl MatchIdParts<'_> {
    /// Computes the id.
    #[must_use]
    pub fn id(&self) -> EventId {
        let mut hash = IdHash::of_message(
            self.chat_id,
            self.chat_kind,
            self.account,
            self.message_id,
            self.revision,
        );
        hash.part(self.matched.kind().as_str());
        match self.matched {
            Matched::Rules(names) => names.iter().for_each(|name| hash.part(name)),
            Matched::Link { site, chain, raw } => {
                hash.part(site);
                hash.part(chain.unwrap_or_default());
                hash.part(raw);
            }
        }
        hash.id()
    }
}

/// The id over parts that belong to no message.
pub(crate) fn of_parts<'a>(parts: impl IntoIterator<Item = &'a str>) -> EventId {
    let mut hash = IdHash(Sha256::new_with_prefix(ID_DOMAIN));
    parts.into_iter().for_each(|part| hash.part(part));
    hash.id()
}

/// SHA-256 over parts that are joined by a zero byte.
struct IdHash(Sha256);

impl IdHash {
    /// The parts that every event of a message begins with.
    fn of_message(chat_id: i64, chat_kind: ChatKind, account: &str, message_id: i64, revision: &str) -> Self {
        let mut hash = Self(Sha256::new_with_prefix(ID_DOMAIN));
        hash.part(&chat_id.to_string());
        if chat_kind.numbers_per_account() {
            hash.part(account);
        }
        hash.part(&message_id.to_string());
        hash.part(revision);
        hash
    }

    fn part(&mut self, text: &str) {
        self.0.update([0]);
        self.0.update(text);
    }

    fn id(self) -> EventId {
        let digest: [u8; 32] = self.0.finalize().into();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        EventId(id)
    }
}

/// An entity, as far as a revision depends on it.
#[derive(Debug, Clone, Copy)]
pub struct RevisionEntity<'a> {
    /// Bot API name of the entity's type: `text_link`, `url`, `bold`, …
    pub kind: &'a str,
    /// Start in UTF-16 units.
    pub offset: u32,
    /// Length in UTF-16 units.
    pub length: u32,
    /// Hidden URL, or nothing.
    pub url: &'a str,
}

/// A button, as far as a revision depends on it.
#[derive(Debug, Clone, Copy)]
pub struct RevisionButton<'a> {
    /// Label.
    pub text: &'a str,
    /// URL or text to copy, or nothing.
    pub target: &'a str,
}

/// The revision of a message: its edit date in seconds (0 if it was never edited), `-`, and the
/// first 8 hex digits of SHA-256 over text, entities and buttons.
///
/// The hash runs over lines that end with a zero byte: the text; for each entity in Telegram's
/// order `e`, kind, offset, length, url; for each button `b`, label, target; fields are separated
/// by `0x1f`. It depends on nothing that differs between two accounts that see the message.
#[must_use]
pub fn revision<'a>(
    edit_date_s: i64,
    text: &str,
    entities: impl IntoIterator<Item = RevisionEntity<'a>>,
    buttons: impl IntoIterator<Item = RevisionButton<'a>>,
) -> String {
    let mut hash = Sha256::new();
    hash.update(text);
    hash.update([0]);
    let mut line = |fields: &[&str]| {
        for (n, field) in fields.iter().enumerate() {
            if n > 0 {
                hash.update([0x1f]);
            }
            hash.update(field);
        }
        hash.update([0]);
    };
    for entity in entities {
        line(&[
            "e",
            entity.kind,
            &entity.offset.to_string(),
            &entity.length.to_string(),
            entity.url,
        ]);
    }
    for button in buttons {
        line(&["b", button.text, button.target]);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let [a, b, c, d, ..] = digest;
    format!("{edit_date_s}-{a:02x}{b:02x}{c:02x}{d:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> IdParts<'static> {
        IdParts {
            chat_id: -1_001_234_567_890,
            chat_kind: ChatKind::Channel,
            account: "alpha",
            message_id: 42,
            revision: "0-01020304",
            event: EventKind::Called,
            family: Family::Evm,
            address: "0x60a3E35Cc302bFA44Cb288Bc5a4F316Fdb1adb42",
            coin_type: None,
        }
    }

    #[test]
    fn id_is_the_documented_hash() {
        let joined = [
            "v1",
            "-1001234567890",
            "42",
            "0-01020304",
            "called",
            "evm",
            parts().address,
            "",
        ]
        .join("\0");
        let digest: [u8; 32] = Sha256::digest(joined).into();
        assert_eq!(parts().id().as_bytes(), &digest[..16]);
    }

    #[test]
    fn a_match_s_id_is_the_documented_hash() {
        let rules = ["gems".to_owned(), "launch".to_owned()];
        let link = Matched::Link {
            site: "dexscreener.com",
            chain: Some("solana"),
            raw: "7xkx",
        };
        let parts = |matched| MatchIdParts {
            chat_id: -1_001_234_567_890,
            chat_kind: ChatKind::Channel,
            account: "alpha",
            message_id: 42,
            revision: "0-01020304",
            matched,
        };
        for (matched, rest) in [
            (Matched::Rules(&rules), vec!["rule_matched", "gems", "launch"]),
            (link, vec!["unresolved_link", "dexscreener.com", "solana", "7xkx"]),
        ] {
            let mut joined = vec!["v1", "-1001234567890", "42", "0-01020304"];
            joined.extend(rest);
            let digest: [u8; 32] = Sha256::digest(joined.join("\0")).into();
            assert_eq!(parts(matched).id().as_bytes(), &digest[..16]);
        }
        let of_group = |account| MatchIdParts {
            chat_kind: ChatKind::Group,
            account,
            ..parts(link)
        };
        assert_ne!(of_group("alpha").id(), of_group("beta").id());
    }

    #[test]
    fn account_counts_only_where_ids_are_numbered_per_account() {
        let other = IdParts {
            account: "beta",
            ..parts()
        };
        assert_eq!(parts().id(), other.id());
        let group = IdParts {
            chat_kind: ChatKind::Group,
            ..parts()
        };
        let other = IdParts {
            chat_kind: ChatKind::Group,
            ..other
        };
        assert_ne!(group.id(), other.id());
    }

    #[test]
    fn text_form_round_trips_and_rejects_the_rest() {
        let id = parts().id();
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in [
            "",
            "00",
            &"0".repeat(31),
            &"0".repeat(33),
            &"g".repeat(32),
            &"A".repeat(32),
            &"é".repeat(16),
        ] {
            assert_eq!(bad.parse::<EventId>(), Err(NotAnEventId), "{bad}");
        }
    }

    #[test]
    fn revision_follows_text_entities_and_buttons() {
        let entity = |url| RevisionEntity {
            kind: "text_link",
            offset: 0,
            length: 3,
            url,
        };
        let button = |target| RevisionButton { text: "Buy", target };
        let plain = revision(0, "buy", [], []);
        assert!(plain.starts_with("0-") && plain.len() == 10, "{plain}");
        let all = [
            plain,
            revision(7, "buy", [], []),
            revision(0, "buy!", [], []),
            revision(0, "buy", [entity("https://a.example")], []),
            revision(0, "buy", [entity("https://b.example")], []),
            revision(0, "buy", [], [button("https://a.example")]),
            revision(0, "buy", [], [button("https://b.example")]),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len(), "{all:?}");
    }
}
