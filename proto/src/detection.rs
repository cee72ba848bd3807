//! The detection event: one contract address, found in one revision of one message.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::EventId;

/// One find, as it is published on `tgmesh.v1.detections.<chat_id>.<family>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Detection {
    /// Schema version, `major.minor.patch`; the same major number is readable.
    pub schema_version: String,
    /// Idempotency key, see [`crate::id::IdParts`].
    pub id: EventId,
    /// What happened to the address in this message.
    pub event: EventKind,
    /// Address family, as in the subject.
    pub family: Family,
    /// Chain, where there is evidence for one: `solana`, `ethereum`, `bsc`, `base`, …
    #[serde(default)]
    pub chain: Option<String>,
    /// Canonical form: EIP-55 for EVM, base58 as it is, TON friendly bounceable, `0x` + 64 hex.
    pub address: String,
    /// Sui and Aptos: `0x…::module::NAME`.
    #[serde(default)]
    pub coin_type: Option<String>,
    /// What the address is, as far as text and links tell.
    pub role: Role,
    /// How it was found.
    pub method: Method,
    /// What was used: `link:dexscreener.com`, `eip55`, `word:bsc`, …
    #[serde(default)]
    pub evidence: Vec<String>,
    /// Probability that this is a real address that was offered, 0 to 1.
    pub confidence: f64,
    /// As found, before cleaning.
    #[serde(default)]
    pub raw: String,
    /// This address in the mesh's memory; nil when it is not known or not permitted.
    #[serde(default)]
    pub seen_before: Option<SeenBefore>,
    /// Where it was posted.
    pub chat: Chat,
    /// The message that holds it.
    pub message: Message,
    /// Who posted it; nil for channel posts.
    #[serde(default)]
    pub sender: Option<Sender>,
    /// Names of the watch rules that matched.
    #[serde(default)]
    pub rules: Vec<String>,
    /// The process that found it.
    pub listener: Listener,
    /// When it passed the listener's stages.
    pub times: Times,
}

/// What happened to an address in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// First seen in this message.
    Called,
    /// An edit added it.
    AddedByEdit,
    /// An edit or a deletion took it away.
    Retracted,
}

impl EventKind {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Called => "called",
            Self::AddedByEdit => "added_by_edit",
            Self::Retracted => "retracted",
        }
    }
}

/// Address family: one way to write an address, shared by one or more chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// 32 bytes in base58.
    Solana,
    /// 20 bytes in hex with EIP-55.
    Evm,
    /// base58check, version 0x41.
    Tron,
    /// Friendly form with CRC-16, or `workchain:hex`.
    Ton,
    /// `0x` + 64 hex.
    Sui,
    /// `0x` + 64 hex.
    Aptos,
}

impl Family {
    /// Every family, in the order of the contract.
    pub const ALL: [Self; 6] = [Self::Solana, Self::Evm, Self::Tron, Self::Ton, Self::Sui, Self::Aptos];

    /// The word on the wire and in subjects.
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

    /// The family of a word on the wire.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.as_str() == word)
    }
}

/// What an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A token's contract or mint.
    Token,
    /// A trading pool or pair.
    Pool,
    /// A wallet or other account.
    Account,
    /// Neither text nor link tells.
    Unknown,
}

impl Role {
    /// The word on the wire.
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

/// How an address was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// In the visible text, as it stands.
    Plain,
    /// In a URL that is visible in the text.
    Link,
    /// In the hidden URL of a text entity.
    Entity,
    /// In an inline button.
    Button,
    /// In the text, after a disguise was taken off.
    Deobfuscated,
}

impl Method {
    /// The word on the wire.
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

/// Earlier sightings of an address within the mesh's memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeenBefore {
    /// How often.
    pub count: u64,
    /// First time, milliseconds since the epoch.
    pub first_ms: i64,
    /// First chat, Bot API id.
    pub first_chat: i64,
}

/// Where a message was posted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Chat {
    /// Bot API id: `-100…` channels and supergroups, `-…` basic groups, positive users.
    pub id: i64,
    /// Title, or the name of a user.
    #[serde(default)]
    pub title: String,
    /// Public name without `@`.
    #[serde(default)]
    pub username: Option<String>,
    /// What kind of chat it is.
    pub kind: ChatKind,
}

/// The kinds of chats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatKind {
    /// Broadcast channel: message ids count per channel.
    Channel,
    /// Supergroup: message ids count per group.
    Supergroup,
    /// Basic group: message ids count per account.
    Group,
    /// Private chat: message ids count per account.
    User,
}

impl ChatKind {
    /// Whether message ids are numbered by each account for itself, so that the account belongs
    /// to a message's key.
    #[must_use]
    pub const fn numbers_per_account(self) -> bool {
        matches!(self, Self::Group | Self::User)
    }

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Supergroup => "supergroup",
            Self::Group => "group",
            Self::User => "user",
        }
    }
}

/// The message that holds a find.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// Telegram's message id.
    pub id: i64,
    /// When it was posted, milliseconds since the epoch (Telegram gives whole seconds).
    pub date_ms: i64,
    /// When it was last edited.
    #[serde(default)]
    pub edit_date_ms: Option<i64>,
    /// Revision of its content, see [`crate::id::revision`].
    pub revision: String,
    /// Its text, at most [`crate::codec::MAX_TEXT_CHARS`] characters.
    #[serde(default)]
    pub text: String,
    /// `https://t.me/…`; nil where Telegram has no link to it.
    #[serde(default)]
    pub link: Option<String>,
    /// Message id that it answers.
    #[serde(default)]
    pub reply_to: Option<i64>,
    /// Where it was forwarded from.
    #[serde(default)]
    pub forward_from: Option<Forward>,
}

/// The origin of a forwarded message, as far as Telegram tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Forward {
    /// Bot API id of the origin; nil when its owner hides it.
    #[serde(default)]
    pub id: Option<i64>,
    /// Name of the origin.
    #[serde(default)]
    pub name: Option<String>,
    /// Message id at the origin (channels only).
    #[serde(default)]
    pub message_id: Option<i64>,
    /// When the original was posted, milliseconds since the epoch.
    pub date_ms: i64,
}

/// Who posted a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sender {
    /// Bot API id.
    pub id: i64,
    /// Public name without `@`.
    #[serde(default)]
    pub username: Option<String>,
    /// Display name.
    #[serde(default)]
    pub name: String,
    /// What kind of sender it is.
    pub kind: SenderKind,
}

/// The kinds of senders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SenderKind {
    /// A person.
    User,
    /// A bot.
    Bot,
    /// A channel, posting in its own name.
    Channel,
    /// A group, posting in its own name (an anonymous admin).
    Group,
}

/// The process that found it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Listener {
    /// Instance name of the process.
    pub instance: String,
    /// Account that received the message, `[a-z0-9-]{1,32}`.
    pub account: String,
    /// Shard of the process.
    pub shard: u32,
    /// Fencing epoch of the account's lease; 0 where no lease is held.
    pub lease_epoch: u64,
    /// Whether it was fetched from the past rather than received live.
    pub backfill: bool,
    /// Version of the detector.
    pub detector: String,
    /// Telegram TL layer.
    pub layer: i32,
}

/// When it passed the listener's stages, in microseconds since the epoch, on the listener's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Times {
    /// The update came off the socket.
    pub received_us: i64,
    /// The detector was done.
    pub detected_us: i64,
    /// It was handed to the stream's client.
    pub published_us: i64,
}
