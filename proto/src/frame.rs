//! WebSocket frames: the same structures as JSON text and as MessagePack.

use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::detection::{Detection, EventKind, Family};
use crate::matched::{Match, MatchKind};

/// Subprotocol of JSON text frames, the default.
pub const SUBPROTOCOL_JSON: &str = "tgmesh.v1.json";
/// Subprotocol of MessagePack binary frames.
pub const SUBPROTOCOL_MSGPACK: &str = "tgmesh.v1.msgpack";
/// Word in the subprotocol offer behind which the token stands.
pub const SUBPROTOCOL_BEARER: &str = "bearer";
/// Most events that `{"last": N}` may ask for.
pub const MAX_LAST: u32 = 1000;
/// Longest `text` pattern of a filter, in bytes.
pub const MAX_PATTERN_BYTES: usize = 256;

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "a frame is read, handled and dropped, never stored"
)]
pub enum ClientFrame {
    /// Asks for live events, and for those missed.
    Subscribe {
        /// Chosen by the client, unique on this connection, 1 to 64 bytes.
        id: String,
        /// What to send; everything permitted when absent.
        #[serde(default, deserialize_with = "map_alone")]
        filter: Filter,
        /// Where to go on; live only when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resume: Option<Resume>,
    },
    /// Ends a subscription.
    Unsubscribe {
        /// Id of the subscription.
        id: String,
    },
    /// The first token of a connection, or its renewal.
    Auth {
        /// JWT.
        token: String,
    },
    /// An event was painted: closes its trace.
    Rendered {
        /// Sequence of the detection.
        seq: u64,
        /// When, milliseconds since the epoch: the client's clock, corrected by the offset that
        /// `pong` tells where the client knows it.
        at_ms: f64,
    },
    /// Asks for `pong`.
    Ping {
        /// The client's clock, milliseconds since the epoch.
        t_ms: f64,
    },
}

/// Where a subscription goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Resume {
    /// After a position that a frame told.
    After {
        /// Epoch of the stream.
        epoch: String,
        /// Last sequence that was handled.
        after: u64,
        /// With `unique_within`: the sequence after which the subscription began, the `seq` of its
        /// first `subscribed`. Without it, what was told before is taken to be known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<u64>,
    },
    /// With the most recent events.
    Last {
        /// How many, at most [`MAX_LAST`]; the server may give fewer.
        last: u32,
    },
}

/// Reads a structure out of a map and nothing else: serde would take a list, too, for the values of
/// its fields in their order.
///
/// # Errors
/// As the structure's own.
pub fn map_alone<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Map<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Map<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(Map(PhantomData))
}

/// What a subscription wants. Absent keys let everything pass; lists are OR, keys are AND.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Bot API ids of chats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chats: Option<Vec<i64>>,
    /// Address families.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub families: Option<Vec<Family>>,
    /// Chains; an event without a chain does not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chains: Option<Vec<String>>,
    /// Addresses; EVM in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<String>>,
    /// Ids of senders; an event without a sender does not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub senders: Option<Vec<i64>>,
    /// Names of watch rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<String>>,
    /// Regular expression on the message's text, at most [`MAX_PATTERN_BYTES`], linear time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Smallest confidence, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_confidence: Option<f64>,
    /// Kinds of events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<EventName>>,
    /// A duration with its unit (`10m`): an address again within it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_within: Option<String>,
    /// Whether events fetched from the past are wanted.
    pub backfill: bool,
    /// Whether events without an address are wanted.
    pub matches: bool,
}

/// A kind of event, of detections and matches alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventName {
    /// See [`EventKind::Called`].
    Called,
    /// See [`EventKind::AddedByEdit`].
    AddedByEdit,
    /// See [`EventKind::Retracted`].
    Retracted,
    /// See [`MatchKind::RuleMatched`].
    RuleMatched,
    /// See [`MatchKind::UnresolvedLink`].
    UnresolvedLink,
}

impl EventName {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Called,
        Self::AddedByEdit,
        Self::Retracted,
        Self::RuleMatched,
        Self::UnresolvedLink,
    ];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Called => EventKind::Called.as_str(),
            Self::AddedByEdit => EventKind::AddedByEdit.as_str(),
            Self::Retracted => EventKind::Retracted.as_str(),
            Self::RuleMatched => MatchKind::RuleMatched.as_str(),
            Self::UnresolvedLink => MatchKind::UnresolvedLink.as_str(),
        }
    }
}

impl From<EventKind> for EventName {
    fn from(kind: EventKind) -> Self {
        match kind {
            EventKind::Called => Self::Called,
            EventKind::AddedByEdit => Self::AddedByEdit,
            EventKind::Retracted => Self::Retracted,
        }
    }
}

impl From<MatchKind> for EventName {
    fn from(kind: MatchKind) -> Self {
        match kind {
            MatchKind::RuleMatched => Self::RuleMatched,
            MatchKind::UnresolvedLink => Self::UnresolvedLink,
        }
    }
}

/// What the server sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "a frame is read, handled and dropped, never stored"
)]
pub enum ServerFrame {
    /// The token was accepted, at first and at each renewal.
    Welcome {
        /// Name of this connection, for logs.
        session: String,
        /// Epoch of the stream.
        epoch: String,
        /// Last sequence of the stream.
        seq: u64,
        /// `sub` of the token.
        subject: String,
        /// `exp` of the token, seconds since the epoch.
        expires_at: i64,
    },
    /// A subscription stands.
    Subscribed {
        /// Id of the subscription.
        id: String,
        /// Epoch of the stream.
        epoch: String,
        /// Last sequence of the stream when the subscription began.
        seq: u64,
        /// The effective filter: what was asked for, cut to the token's rights.
        filter: Filter,
        /// Whether nothing is missing between the resume position and now.
        recovered: bool,
        /// Oldest sequence that the stream still holds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        oldest: Option<u64>,
    },
    /// A detection.
    Detection {
        /// Id of the subscription.
        id: String,
        /// Sequence in the stream.
        seq: u64,
        /// The event.
        data: Box<Detection>,
        /// W3C Trace Context.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        traceparent: Option<String>,
    },
    /// A match, for subscriptions that ask for them. Not resumed.
    Match {
        /// Id of the subscription.
        id: String,
        /// Sequence in MATCHES, which counts for itself.
        seq: u64,
        /// The event.
        data: Box<Match>,
    },
    /// Nothing up to `seq` is outstanding: resume from here.
    Position {
        /// Id of the subscription.
        id: String,
        /// Epoch of the stream.
        epoch: String,
        /// Position.
        seq: u64,
    },
    /// Events that will not come; matches of the filter may be among them.
    Gap {
        /// Id of the subscription.
        id: String,
        /// First missing sequence.
        from: u64,
        /// Last missing sequence.
        to: u64,
    },
    /// A request failed; the connection stays open.
    Error {
        /// Id of the subscription that it is about, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// What went wrong.
        code: ErrorCode,
        /// For people.
        message: String,
    },
    /// Answer to `ping`.
    Pong {
        /// As sent.
        t_ms: f64,
        /// The server's clock, milliseconds since the epoch.
        server_ms: f64,
    },
    /// The server is about to go away: come back after a while.
    Reconnect {
        /// Milliseconds to wait.
        after_ms: u64,
    },
}

/// What an error frame can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The subscription's id is in use, or was used on this connection.
    DuplicateId,
    /// No subscription of this id.
    UnknownId,
    /// A subscription's id is empty or too long.
    BadId,
    /// The filter cannot be read, or a key is out of bounds.
    BadFilter,
    /// The resume position cannot be read.
    BadResume,
    /// No further subscription on this connection.
    TooManySubscriptions,
    /// The token's role does not allow this.
    Forbidden,
    /// The server cannot do this now.
    Unavailable,
}

/// Close codes of the WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum CloseCode {
    /// The server stops; come back.
    GoingAway = 1001,
    /// A frame could not be read.
    Malformed = 4400,
    /// No token, or a bad one.
    Unauthorized = 4401,
    /// The token does not allow this.
    Forbidden = 4403,
    /// The client reads too slowly; come back.
    TooSlow = 4408,
    /// The token expired or was revoked; come back with a new one.
    Expired = 4409,
    /// A frame was too large.
    TooLarge = 4413,
    /// Too many frames or connections; come back later.
    RateLimited = 4429,
}

impl CloseCode {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }
}
