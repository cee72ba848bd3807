//! Faults: what a data centre, a network and the years do to a client, switched on and off while
//! the simulator runs.
//!
//! A [`Fault`] says what goes wrong, for whom and how often. Each has occasions (a push, a post, a
//! request, a packet, a connection); on an occasion within its scope it strikes, with its
//! probability, until its count or its time is used up or it is healed. It counts its hits, so
//! that a test can prove that what it meant to survive did take place.

pub(crate) mod armed;
mod inject;
pub(crate) mod pushes;
pub(crate) mod requests;
mod wire;

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What goes wrong. The names in JSON are these in `snake_case`, under `kind`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    // Pushes. The occasion is a push to an account.
    /// It does not come; the difference has it.
    Lost,
    /// It comes again, this many times more.
    Duplicated {
        /// 1 to 100.
        #[serde(default = "one")]
        copies: u32,
    },
    /// Pushes wait until so many are together and come in another order; what has waited for
    /// `hold_ms` comes anyway.
    Reordered {
        /// 2 to 1,000.
        #[serde(default = "four")]
        window: usize,
        /// 1 to 60,000.
        #[serde(default = "hundred")]
        hold_ms: u64,
    },
    /// Pushes are held back, and all come at once when so many wait, when the fault's time is
    /// over, or when it is healed.
    Burst {
        /// At most [`MAX_HELD`], which stands when it is absent.
        #[serde(default)]
        size: Option<usize>,
    },
    /// Never pushed, and not named in the account's difference: only `getChannelDifference` has
    /// it, as with the big channels that Telegram does not push to everyone.
    PollOnly,
    /// `updatesTooLong` comes instead.
    UpdatesTooLong,
    /// `updateChannelTooLong` comes instead; for channels and supergroups.
    ChannelTooLong {
        /// Whether it names the pts, as Telegram's sometimes does and sometimes not.
        #[serde(default)]
        pts: bool,
    },
    /// It comes with a second update beside it whose constructor no layer knows, so that a client
    /// cannot read either.
    UnknownUpdate,
    /// It comes with peers that bring no usable access hash.
    MinPeers {
        /// Whether the peers are left out altogether instead of being `min`.
        #[serde(default)]
        absent: bool,
    },
    /// Bytes that cannot be read come instead.
    Garbage {
        /// Which.
        shape: Garbage,
    },

    // Posts. The occasion is a new message.
    /// It is posted but not shown: not pushed, and for so long neither in the history, nor among
    /// messages asked for by number, nor in a difference, which counts it all the same.
    Late {
        /// 1 to 3,600,000; healing the fault shows it at once.
        after_ms: u64,
    },
    /// It is deleted before anyone is told of it: neither the post nor the deletion is pushed.
    Vanished,
    /// It carries media whose constructor no layer knows, wherever it is sent, until the fault is
    /// healed.
    UnknownMedia,
    /// The same with an entity.
    UnknownEntity,

    // Requests. The occasion is a request, of `method` if that is given.
    /// Refused with 420 `FLOOD_WAIT_x`.
    FloodWait {
        /// The x.
        seconds: u32,
        /// Such as `messages.getHistory`; absent = any.
        #[serde(default)]
        method: Option<String>,
    },
    /// Refused with any `rpc_error`.
    RpcError {
        /// Such as 500 or -503.
        code: i32,
        /// Such as `INTERNAL` or `Timeout`.
        message: String,
        /// As in [`FaultKind::FloodWait`].
        #[serde(default)]
        method: Option<String>,
    },
    /// Carried out at once, answered later: pushes overtake the answer.
    Delay {
        /// 1 to 600,000.
        ms: u64,
        /// As in [`FaultKind::FloodWait`].
        #[serde(default)]
        method: Option<String>,
    },
    /// Carried out, and the connection closes in the answer's place.
    Cut {
        /// As in [`FaultKind::FloodWait`].
        #[serde(default)]
        method: Option<String>,
    },
    /// `getChannelDifference` answers `channelDifferenceTooLong` with the newest state.
    ChannelDifferenceTooLong {
        /// Only when the client is more than so many events behind; absent = always.
        #[serde(default)]
        behind: Option<u32>,
    },
    /// `getDifference` answers `differenceTooLong`.
    DifferenceTooLong {
        /// As above.
        #[serde(default)]
        behind: Option<u32>,
    },
    /// A difference, the account's or a channel's, holds an update whose constructor no layer
    /// knows.
    UnknownInDifference,

    // Standing. No occasions: it holds as long as the fault does. Hits are requests refused and
    // pushes withheld.
    /// The account may not see the channel: requests that name it are refused with this message,
    /// it is not pushed and in no list.
    ChannelLost {
        /// `CHANNEL_PRIVATE` or `CHANNEL_INVALID`.
        message: String,
    },
    /// The account is signed out: every request is refused with 401, nothing is pushed.
    SignedOut {
        /// `AUTH_KEY_UNREGISTERED`, `SESSION_REVOKED`, …
        message: String,
    },

    // Connections.
    /// Closes the connections there are, once.
    Close,
    /// The connections there are die without a word, once: TCP stays up, what the client sends is
    /// read and thrown away, nothing comes, not even the end. New connections are well.
    HalfOpen,
    /// New connections get nowhere. With an account it shows after the first packet, which names
    /// the key.
    Refuse {
        /// In what way.
        #[serde(default)]
        how: Refusal,
    },
    /// Requests are read and never answered, nothing is pushed; TCP stays up. What is sent after
    /// healing is answered.
    Mute,
    /// A packet is refused with `bad_server_salt`, which names a good one.
    BadSalt,
    /// A packet is refused with `bad_msg_notification`.
    BadMessage {
        /// 16 to 64, as MTProto numbers them.
        code: i32,
    },
}

/// Bytes that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Garbage {
    /// A message container that ends before its messages do.
    Container,
    /// `updates` whose list is noise.
    Updates,
    /// A `msg_copy`, which is in the protocol and is never used.
    MsgCopy,
    /// A packet that was changed on its way.
    Packet,
}

/// How a connection gets nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Accepted and closed.
    #[default]
    Close,
    /// Left alone: TCP comes about, nothing is read. Closed when the fault ends.
    Ignore,
}

/// Which pushes a fault concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// New messages.
    New,
    /// Edits.
    Edit,
    /// Deletions.
    Delete,
}

/// Pushes that one fault holds back, at most.
pub const MAX_HELD: usize = 262_144;

/// Something that goes wrong: what, for whom, how often, how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Its name; absent = the simulator gives one. A fault of the same name is healed first.
    pub id: Option<String>,
    /// What.
    pub kind: FaultKind,
    /// For which account; absent = for all.
    pub account: Option<String>,
    /// In which chat, by Bot-API id; absent = in all. A request is in the chat it names.
    pub chat_id: Option<i64>,
    /// For which pushes; absent = for all.
    pub of: Option<Of>,
    /// With what probability an occasion is struck; absent = always.
    pub probability: Option<f64>,
    /// How often it strikes before it is over; absent = without end.
    pub count: Option<u64>,
    /// For how long; absent = until healed.
    pub lasts: Option<Duration>,
    /// The n-th occasion is decided by the n-th number of a generator that this seed, the world's,
    /// the kind and the scope start.
    pub seed: u64,
}

impl Fault {
    /// A fault that always strikes, everywhere, until it is healed.
    #[must_use]
    pub fn new(kind: FaultKind) -> Self {
        Self {
            id: None,
            kind,
            account: None,
            chat_id: None,
            of: None,
            probability: None,
            count: None,
            lasts: None,
            seed: 0,
        }
    }

    /// The same under a name.
    #[must_use]
    pub fn named(self, id: &str) -> Self {
        Self {
            id: Some(id.to_owned()),
            ..self
        }
    }

    /// The same for one account.
    #[must_use]
    pub fn account(self, name: &str) -> Self {
        Self {
            account: Some(name.to_owned()),
            ..self
        }
    }

    /// The same in one chat.
    #[must_use]
    pub fn chat(self, id: i64) -> Self {
        Self {
            chat_id: Some(id),
            ..self
        }
    }

    /// The same for one sort of pushes.
    #[must_use]
    pub fn of(self, of: Of) -> Self {
        Self { of: Some(of), ..self }
    }

    /// The same with a probability, 0 to 1.
    #[must_use]
    pub fn probability(self, probability: f64) -> Self {
        Self {
            probability: Some(probability),
            ..self
        }
    }

    /// The same, so many times.
    #[must_use]
    pub fn count(self, count: u64) -> Self {
        Self {
            count: Some(count),
            ..self
        }
    }

    /// The same for so long.
    #[must_use]
    pub fn lasts(self, time: Duration) -> Self {
        Self {
            lasts: Some(time),
            ..self
        }
    }

    /// The same with other chances.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}

/// A fault and what it has done.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultReport {
    /// Its name.
    pub id: String,
    /// What was asked for.
    pub fault: Fault,
    /// How often it struck.
    pub hits: u64,
    /// False once its count or its time is used up.
    pub active: bool,
}

/// Why a fault is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No account has this name.
    #[error("there is no such account")]
    NoAccount,
    /// No chat has this id.
    #[error("there is no such chat")]
    NoChat,
    /// The fault makes no sense.
    #[error("{0}")]
    Bad(String),
}

/// Faults known at a time, with those that are over.
pub(crate) const MAX_FAULTS: usize = 1_000;

fn one() -> u32 {
    1
}

fn four() -> usize {
    4
}

fn hundred() -> u64 {
    100
}
