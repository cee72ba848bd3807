//! The match event: something to know about a message that is no contract address.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detection::{Chat, Listener, Message, Sender, Times};
use crate::id::EventId;

/// One match, as it is published on `tgmesh.v1.matches.<chat_id>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Match {
    /// Schema version, `major.minor.patch`; the same major number is readable.
    pub schema_version: String,
    /// Idempotency key, see [`crate::id::MatchIdParts`].
    pub id: EventId,
    /// What was matched.
    pub event: MatchKind,
    /// `unresolved_link`: the chain that the link names; nil where it names none.
    #[serde(default)]
    pub chain: Option<String>,
    /// `unresolved_link`: the site, as in a detection's `link:` evidence; else nil.
    #[serde(default)]
    pub site: Option<String>,
    /// `unresolved_link`: the letters that stand where the address should; else nil.
    #[serde(default)]
    pub raw: Option<String>,
    /// `unresolved_link`: the link as written; else nil.
    #[serde(default)]
    pub link: Option<String>,
    /// Where it was posted.
    pub chat: Chat,
    /// The message.
    pub message: Message,
    /// Who posted it; nil for channel posts.
    #[serde(default)]
    pub sender: Option<Sender>,
    /// Names of the watch rules that matched, sorted.
    #[serde(default)]
    pub rules: Vec<String>,
    /// The process that found it.
    pub listener: Listener,
    /// When it passed the listener's stages.
    pub times: Times,
}

/// What was matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MatchKind {
    /// A watch rule that publishes matched a message without an address.
    RuleMatched,
    /// A link names an address that cannot be read back from it, as a base58 key in lower case.
    UnresolvedLink,
}

impl MatchKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::RuleMatched, Self::UnresolvedLink];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RuleMatched => "rule_matched",
            Self::UnresolvedLink => "unresolved_link",
        }
    }
}
