// Generated from proto/schema by `npm run generate`. Do not edit.

/** Where a message was posted. */
export type Chat = {
  /** Bot API id: `-100…` channels and supergroups, `-…` basic groups, positive users. */
  id: number
  /** What kind of chat it is. */
  kind: ChatKind
  /** Title, or the name of a user. */
  title?: string
  /** Public name without `@`. */
  username?: string | null
}

/** The kinds of chats. */
export type ChatKind =
  /** Broadcast channel: message ids count per channel. */
  | "channel"
  /** Supergroup: message ids count per group. */
  | "supergroup"
  /** Basic group: message ids count per account. */
  | "group"
  /** Private chat: message ids count per account. */
  | "user"

/** What a client sends. */
export type ClientFrame =
  /** Asks for live events, and for those missed. */
  | {
    /** What to send; everything permitted when absent. */
    filter?: Filter
    /** Chosen by the client, unique on this connection, 1 to 64 bytes. */
    id: string
    /** Where to go on; live only when absent. */
    resume?: Resume | null
    type: "subscribe"
  }
  /** Ends a subscription. */
  | {
    /** Id of the subscription. */
    id: string
    type: "unsubscribe"
  }
  /** The first token of a connection, or its renewal. */
  | {
    /** JWT. */
    token: string
    type: "auth"
  }
  /** An event was painted: closes its trace. */
  | {
    /** When, milliseconds since the epoch: the client's clock, corrected by the offset that
     * `pong` tells where the client knows it. */
    at_ms: number
    /** Sequence of the detection. */
    seq: number
    type: "rendered"
  }
  /** Asks for `pong`. */
  | {
    /** The client's clock, milliseconds since the epoch. */
    t_ms: number
    type: "ping"
  }

/** One find, as it is published on `tgmesh.v1.detections.<chat_id>.<family>`. */
export type Detection = {
  /** Canonical form: EIP-55 for EVM, base58 as it is, TON friendly bounceable, `0x` + 64 hex. */
  address: string
  /** Chain, where there is evidence for one: `solana`, `ethereum`, `bsc`, `base`, … */
  chain?: string | null
  /** Where it was posted. */
  chat: Chat
  /** Sui and Aptos: `0x…::module::NAME`. */
  coin_type?: string | null
  /** Probability that this is a real address that was offered, 0 to 1. */
  confidence: number
  /** What happened to the address in this message. */
  event: EventKind
  /** What was used: `link:dexscreener.com`, `eip55`, `word:bsc`, … */
  evidence?: Array<string>
  /** Address family, as in the subject. */
  family: Family
  /** Idempotency key, see [`crate::id::IdParts`]. */
  id: EventId
  /** The process that found it. */
  listener: Listener
  /** The message that holds it. */
  message: Message
  /** How it was found. */
  method: Method
  /** As found, before cleaning. */
  raw?: string
  /** What the address is, as far as text and links tell. */
  role: Role
  /** Names of the watch rules that matched. */
  rules?: Array<string>
  /** Schema version, `major.minor.patch`; the same major number is readable. */
  schema_version: string
  /** This address in the mesh's memory; nil when it is not known or not permitted. */
  seen_before?: SeenBefore | null
  /** Who posted it; nil for channel posts. */
  sender?: Sender | null
  /** When it passed the listener's stages. */
  times: Times
}

/** What an error frame can say. */
export type ErrorCode =
  /** The subscription's id is in use, or was used on this connection. */
  | "duplicate_id"
  /** No subscription of this id. */
  | "unknown_id"
  /** A subscription's id is empty or too long. */
  | "bad_id"
  /** The filter cannot be read, or a key is out of bounds. */
  | "bad_filter"
  /** The resume position cannot be read. */
  | "bad_resume"
  /** No further subscription on this connection. */
  | "too_many_subscriptions"
  /** The token's role does not allow this. */
  | "forbidden"
  /** The server cannot do this now. */
  | "unavailable"

/** 16 bytes in lower-case hex: the event's idempotency key. */
export type EventId = string

/** What happened to an address in a message. */
export type EventKind =
  /** First seen in this message. */
  | "called"
  /** An edit added it. */
  | "added_by_edit"
  /** An edit or a deletion took it away. */
  | "retracted"

/** A kind of event, of detections and matches alike. */
export type EventName =
  /** See [`EventKind::Called`]. */
  | "called"
  /** See [`EventKind::AddedByEdit`]. */
  | "added_by_edit"
  /** See [`EventKind::Retracted`]. */
  | "retracted"
  /** See [`MatchKind::RuleMatched`]. */
  | "rule_matched"
  /** See [`MatchKind::UnresolvedLink`]. */
  | "unresolved_link"

/** Address family: one way to write an address, shared by one or more chains. */
export type Family =
  /** 32 bytes in base58. */
  | "solana"
  /** 20 bytes in hex with EIP-55. */
  | "evm"
  /** base58check, version 0x41. */
  | "tron"
  /** Friendly form with CRC-16, or `workchain:hex`. */
  | "ton"
  /** `0x` + 64 hex. */
  | "sui"
  /** `0x` + 64 hex. */
  | "aptos"

/** What a subscription wants. Absent keys let everything pass; lists are OR, keys are AND. */
export type Filter = {
  /** Addresses; EVM in any case. */
  addresses?: Array<string> | null
  /** Whether events fetched from the past are wanted. */
  backfill?: boolean
  /** Chains; an event without a chain does not pass. */
  chains?: Array<string> | null
  /** Bot API ids of chats. */
  chats?: Array<number> | null
  /** Kinds of events. */
  events?: Array<EventName> | null
  /** Address families. */
  families?: Array<Family> | null
  /** Whether events without an address are wanted. */
  matches?: boolean
  /** Smallest confidence, 0 to 1. */
  min_confidence?: number | null
  /** Names of watch rules. */
  rules?: Array<string> | null
  /** Ids of senders; an event without a sender does not pass. */
  senders?: Array<number> | null
  /** Regular expression on the message's text, at most [`MAX_PATTERN_BYTES`], linear time. */
  text?: string | null
  /** A duration with its unit (`10m`): an address again within it is left out. */
  unique_within?: string | null
}

/** The origin of a forwarded message, as far as Telegram tells. */
export type Forward = {
  /** When the original was posted, milliseconds since the epoch. */
  date_ms: number
  /** Bot API id of the origin; nil when its owner hides it. */
  id?: number | null
  /** Message id at the origin (channels only). */
  message_id?: number | null
  /** Name of the origin. */
  name?: string | null
}

/** The process that found it. */
export type Listener = {
  /** Account that received the message, `[a-z0-9-]{1,32}`. */
  account: string
  /** Whether it was fetched from the past rather than received live. */
  backfill: boolean
  /** Version of the detector. */
  detector: string
  /** Instance name of the process. */
  instance: string
  /** Telegram TL layer. */
  layer: number
  /** Fencing epoch of the account's lease; 0 where no lease is held. */
  lease_epoch: number
  /** Shard of the process. */
  shard: number
}

/** One match, as it is published on `tgmesh.v1.matches.<chat_id>`. */
export type Match = {
  /** `unresolved_link`: the chain that the link names; nil where it names none. */
  chain?: string | null
  /** Where it was posted. */
  chat: Chat
  /** What was matched. */
  event: MatchKind
  /** Idempotency key, see [`crate::id::MatchIdParts`]. */
  id: EventId
  /** `unresolved_link`: the link as written; else nil. */
  link?: string | null
  /** The process that found it. */
  listener: Listener
  /** The message. */
  message: Message
  /** `unresolved_link`: the letters that stand where the address should; else nil. */
  raw?: string | null
  /** Names of the watch rules that matched, sorted. */
  rules?: Array<string>
  /** Schema version, `major.minor.patch`; the same major number is readable. */
  schema_version: string
  /** Who posted it; nil for channel posts. */
  sender?: Sender | null
  /** `unresolved_link`: the site, as in a detection's `link:` evidence; else nil. */
  site?: string | null
  /** When it passed the listener's stages. */
  times: Times
}

/** What was matched. */
export type MatchKind =
  /** A watch rule that publishes matched a message without an address. */
  | "rule_matched"
  /** A link names an address that cannot be read back from it, as a base58 key in lower case. */
  | "unresolved_link"

/** The message that holds a find. */
export type Message = {
  /** When it was posted, milliseconds since the epoch (Telegram gives whole seconds). */
  date_ms: number
  /** When it was last edited. */
  edit_date_ms?: number | null
  /** Where it was forwarded from. */
  forward_from?: Forward | null
  /** Telegram's message id. */
  id: number
  /** `https://t.me/…`; nil where Telegram has no link to it. */
  link?: string | null
  /** Message id that it answers. */
  reply_to?: number | null
  /** Revision of its content, see [`crate::id::revision`]. */
  revision: string
  /** Its text, at most [`crate::codec::MAX_TEXT_CHARS`] characters. */
  text?: string
}

/** How an address was found. */
export type Method =
  /** In the visible text, as it stands. */
  | "plain"
  /** In a URL that is visible in the text. */
  | "link"
  /** In the hidden URL of a text entity. */
  | "entity"
  /** In an inline button. */
  | "button"
  /** In the text, after a disguise was taken off. */
  | "deobfuscated"

/** Where a subscription goes on. */
export type Resume =
  /** After a position that a frame told. */
  | {
    /** Last sequence that was handled. */
    after: number
    /** Epoch of the stream. */
    epoch: string
    /** With `unique_within`: the sequence after which the subscription began, the `seq` of its
     * first `subscribed`. Without it, what was told before is taken to be known. */
    since?: number | null
  }
  /** With the most recent events. */
  | {
    /** How many, at most [`MAX_LAST`]; the server may give fewer. */
    last: number
  }

/** What an address is. */
export type Role =
  /** A token's contract or mint. */
  | "token"
  /** A trading pool or pair. */
  | "pool"
  /** A wallet or other account. */
  | "account"
  /** Neither text nor link tells. */
  | "unknown"

/** Earlier sightings of an address within the mesh's memory. */
export type SeenBefore = {
  /** How often. */
  count: number
  /** First chat, Bot API id. */
  first_chat: number
  /** First time, milliseconds since the epoch. */
  first_ms: number
}

/** Who posted a message. */
export type Sender = {
  /** Bot API id. */
  id: number
  /** What kind of sender it is. */
  kind: SenderKind
  /** Display name. */
  name?: string
  /** Public name without `@`. */
  username?: string | null
}

/** The kinds of senders. */
export type SenderKind =
  /** A person. */
  | "user"
  /** A bot. */
  | "bot"
  /** A channel, posting in its own name. */
  | "channel"
  /** A group, posting in its own name (an anonymous admin). */
  | "group"

/** What the server sends. */
export type ServerFrame =
  /** The token was accepted, at first and at each renewal. */
  | {
    /** Epoch of the stream. */
    epoch: string
    /** `exp` of the token, seconds since the epoch. */
    expires_at: number
    /** Last sequence of the stream. */
    seq: number
    /** Name of this connection, for logs. */
    session: string
    /** `sub` of the token. */
    subject: string
    type: "welcome"
  }
  /** A subscription stands. */
  | {
    /** Epoch of the stream. */
    epoch: string
    /** The effective filter: what was asked for, cut to the token's rights. */
    filter: Filter
    /** Id of the subscription. */
    id: string
    /** Oldest sequence that the stream still holds. */
    oldest?: number | null
    /** Whether nothing is missing between the resume position and now. */
    recovered: boolean
    /** Last sequence of the stream when the subscription began. */
    seq: number
    type: "subscribed"
  }
  /** A detection. */
  | {
    /** The event. */
    data: Detection
    /** Id of the subscription. */
    id: string
    /** Sequence in the stream. */
    seq: number
    /** W3C Trace Context. */
    traceparent?: string | null
    type: "detection"
  }
  /** A match, for subscriptions that ask for them. Not resumed. */
  | {
    /** The event. */
    data: Match
    /** Id of the subscription. */
    id: string
    /** Sequence in MATCHES, which counts for itself. */
    seq: number
    type: "match"
  }
  /** Nothing up to `seq` is outstanding: resume from here. */
  | {
    /** Epoch of the stream. */
    epoch: string
    /** Id of the subscription. */
    id: string
    /** Position. */
    seq: number
    type: "position"
  }
  /** Events that will not come; matches of the filter may be among them. */
  | {
    /** First missing sequence. */
    from: number
    /** Id of the subscription. */
    id: string
    /** Last missing sequence. */
    to: number
    type: "gap"
  }
  /** A request failed; the connection stays open. */
  | {
    /** What went wrong. */
    code: ErrorCode
    /** Id of the subscription that it is about, if any. */
    id?: string | null
    /** For people. */
    message: string
    type: "error"
  }
  /** Answer to `ping`. */
  | {
    /** The server's clock, milliseconds since the epoch. */
    server_ms: number
    /** As sent. */
    t_ms: number
    type: "pong"
  }
  /** The server is about to go away: come back after a while. */
  | {
    /** Milliseconds to wait. */
    after_ms: number
    type: "reconnect"
  }

/** When it passed the listener's stages, in microseconds since the epoch, on the listener's clock. */
export type Times = {
  /** The detector was done. */
  detected_us: number
  /** It was handed to the stream's client. */
  published_us: number
  /** The update came off the socket. */
  received_us: number
}
