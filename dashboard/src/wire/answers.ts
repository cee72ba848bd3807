// Generated from proto/openapi.json by `npm run generate`. Do not edit.

import type { ChatKind, EventId, EventKind, Family, Listener, MatchKind, Method, Role, SeenBefore, SenderKind, Times } from './schema'

/** What is known of an address within the chats that may be seen. */
export type AddressFacts = {
  /** The address in its canonical form. */
  address: string
  /** One for each family and coin type, the earliest first. */
  found: Array<Found>
}

/** Entries of the audit log, newest first. */
export type AuditEntries = {
  /** The entries. */
  items: Array<AuditEvent>
  /** Where the next page begins; nil after the last. */
  next_cursor: string | null
}

/** One entry of the audit log, as it is published on `tgmesh.v1.audit.<service>.<event>`. */
export type AuditEvent = {
  /** Who did it: the `sub` of a token, an account, a user of the host; nil where nobody did. */
  actor: string | null
  /** When, in microseconds since the epoch, on that service's clock. */
  at_us: number
  /** What else is to be known. Never a secret, never a message's text. */
  detail: Record<string, string>
  /** What happened, as in the subject: `login`, `subscribe`, `erase`, … */
  event: string
  /** Idempotency key, see [`AuditEvent::with_id`]. */
  id: EventId
  /** Instance name of the process. */
  instance: string
  /** Schema version, `major.minor.patch`; the same major number is readable. */
  schema_version: string
  /** Service that tells it, as in the subject: `gateway`, `tgmesh`, … */
  service: string
  /** To what: `chat:-100…`, `sender:42`, `stream:DETECTIONS`, … */
  target: string | null
}

/** Where a message was posted. */
export type Chat = {
  /** Bot API id: `-100…` channels and supergroups, `-…` basic groups, positive users. */
  id: number
  /** What kind of chat it is. */
  kind: ChatKind
  /** Title, or the name of a user. */
  title: string
  /** Public name without `@`. */
  username: string | null
}

/** A chat, as it was last told. */
export type ChatFacts = {
  /** Bot API id. */
  id: number
  /** Kind. */
  kind: ChatKind | null
  /** Nil for viewers, and for tokens that may not see every event of the chat. */
  statistics: Statistics | null
  /** Title. */
  title: string
  /** Public name without `@`. */
  username: string | null
}

/** Chats by id, rising. */
export type Chats = {
  /** The chats that may be seen and have had an event. */
  items: Array<ChatFacts>
  /** Where the next page begins; nil after the last. */
  next_cursor: string | null
}

/** Events by kind. */
export type Counts = {
  /** `added_by_edit`. */
  added_by_edit: number
  /** `called`. */
  called: number
  /** `retracted`. */
  retracted: number
}

/** What could not be handled. Its bytes are shown by `tgmesh deadletters show`. */
export type DeadLetter = {
  /** When it was put there, milliseconds since the epoch. */
  at_ms: number
  /** How often it had been delivered. */
  attempts: number
  /** Bytes of its payload. */
  bytes: number
  /** Consumer that gave it up. */
  consumer: string
  /** Its original headers. */
  headers: Record<string, Array<string>>
  /** Its `Nats-Msg-Id` there. */
  id: string | null
  /** Why it was given up. */
  reason: string
  /** Number, by which `tgmesh deadletters` names it. */
  seq: number
  /** Stream it comes from. */
  stream: string
  /** Its sequence there. */
  stream_seq: number
  /** Its subject there. */
  subject: string
}

/** Dead letters, the oldest first. */
export type DeadLetters = {
  /** The letters. */
  items: Array<DeadLetter>
  /** Where the next page begins; nil after the last. */
  next_cursor: string | null
}

/** One find, as it is published on `tgmesh.v1.detections.<chat_id>.<family>`. */
export type Detection = {
  /** Canonical form: EIP-55 for EVM, base58 as it is, TON friendly bounceable, `0x` + 64 hex. */
  address: string
  /** Chain, where there is evidence for one: `solana`, `ethereum`, `bsc`, `base`, … */
  chain: string | null
  /** Where it was posted. */
  chat: Chat
  /** Sui and Aptos: `0x…::module::NAME`. */
  coin_type: string | null
  /** Probability that this is a real address that was offered, 0 to 1. */
  confidence: number
  /** What happened to the address in this message. */
  event: EventKind
  /** What was used: `link:dexscreener.com`, `eip55`, `word:bsc`, … */
  evidence: Array<string>
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
  raw: string
  /** What the address is, as far as text and links tell. */
  role: Role
  /** Names of the watch rules that matched. */
  rules: Array<string>
  /** Schema version, `major.minor.patch`; the same major number is readable. */
  schema_version: string
  /** This address in the mesh's memory; nil when it is not known or not permitted. */
  seen_before: SeenBefore | null
  /** Who posted it; nil for channel posts. */
  sender: Sender | null
  /** When it passed the listener's stages. */
  times: Times
}

/** Events, newest first. */
export type Events = {
  /** May be fewer than asked for, even none, although there are more: `next_cursor` tells. */
  items: Array<PastEvent>
  /** Where the next page begins; nil after the last. */
  next_cursor: string | null
}

/** The earliest that is known. */
export type First = {
  /** When it came into the message, milliseconds since the epoch. */
  at_ms: number
  /** Bot API id of the chat; nil where a forward hides it. */
  chat_id: number | null
  /** Whether it is known from a forward only: then the time is the original's. */
  credited: boolean
  /** Telegram's message id. */
  message_id: number | null
  /** Bot API id of the sender; nil for channel posts, and for viewers. */
  sender_id: number | null
}

/** The origin of a forwarded message, as far as Telegram tells. */
export type Forward = {
  /** When the original was posted, milliseconds since the epoch. */
  date_ms: number
  /** Bot API id of the origin; nil when its owner hides it. */
  id: number | null
  /** Message id at the origin (channels only). */
  message_id: number | null
  /** Name of the origin. */
  name: string | null
}

/** An address of one family and coin type. */
export type Found = {
  /** Chats that had it, those known from forwards included. */
  chats: number
  /** Sui and Aptos. */
  coin_type: string | null
  /** Events. */
  counts: Counts
  /** Address family. */
  family: Family
  /** Who was first; nil while only retractions are known. */
  first: First | null
  /** When it last came into a message, milliseconds since the epoch. */
  last_seen_ms: number | null
  /** The next other chat. */
  next: Next | null
  /** The chats that had it first, at most 100, in that order. */
  spread: Array<InChat>
}

/** An address in one chat. */
export type InChat = {
  /** How much later than the first of all, in milliseconds. */
  behind_ms: number
  /** Bot API id. */
  chat_id: number
  /** Events of this chat. */
  counts: Counts
  /** The first in this chat. */
  first: First
  /** When it last came into a message there, milliseconds since the epoch. */
  last_seen_ms: number | null
}

/** One match, as it is published on `tgmesh.v1.matches.<chat_id>`. */
export type Match = {
  /** `unresolved_link`: the chain that the link names; nil where it names none. */
  chain: string | null
  /** Where it was posted. */
  chat: Chat
  /** What was matched. */
  event: MatchKind
  /** Idempotency key, see [`crate::id::MatchIdParts`]. */
  id: EventId
  /** `unresolved_link`: the link as written; else nil. */
  link: string | null
  /** The process that found it. */
  listener: Listener
  /** The message. */
  message: Message
  /** `unresolved_link`: the letters that stand where the address should; else nil. */
  raw: string | null
  /** Names of the watch rules that matched, sorted. */
  rules: Array<string>
  /** Schema version, `major.minor.patch`; the same major number is readable. */
  schema_version: string
  /** Who posted it; nil for channel posts. */
  sender: Sender | null
  /** `unresolved_link`: the site, as in a detection's `link:` evidence; else nil. */
  site: string | null
  /** When it passed the listener's stages. */
  times: Times
}

/** The message that holds a find. */
export type Message = {
  /** When it was posted, milliseconds since the epoch (Telegram gives whole seconds). */
  date_ms: number
  /** When it was last edited. */
  edit_date_ms: number | null
  /** Where it was forwarded from. */
  forward_from: Forward | null
  /** Telegram's message id. */
  id: number
  /** `https://t.me/…`; nil where Telegram has no link to it. */
  link: string | null
  /** Message id that it answers. */
  reply_to: number | null
  /** Revision of its content, see [`crate::id::revision`]. */
  revision: string
  /** Its text, at most [`crate::codec::MAX_TEXT_CHARS`] characters. */
  text: string
}

/** The second to have an address. */
export type Next = {
  /** Bot API id of the chat. */
  chat_id: number
  /** How much later, in milliseconds. */
  lead_ms: number
}

/** An event: `event` tells which of the two it is. */
export type PastEvent =
  /** `called`, `added_by_edit`, `retracted`. */
  | Detection
  /** `rule_matched`, `unresolved_link`. */
  | Match

/** A problem document (RFC 9457). */
export type Problem = {
  /** What is wrong, for people. */
  detail: string
  /** The parameter that is wrong, where it is one. */
  parameter?: string | null
  /** The status. */
  status: number
  /** The status in words. */
  title: string
  /** Always `about:blank`: the status says what kind of problem it is. */
  type: string
}

/** Who posted a message. */
export type Sender = {
  /** Bot API id. */
  id: number
  /** What kind of sender it is. */
  kind: SenderKind
  /** Display name. */
  name: string
  /** Public name without `@`. */
  username: string | null
}

/** A sender, as the events that may be seen tell. */
export type SenderFacts = {
  /** Bot API id. */
  id: number
  /** Kind. */
  kind: SenderKind | null
  /** Display name. */
  name: string
  /** Nil where a token may see more than 10,000 events of this sender, but not all. */
  statistics: Statistics | null
  /** Public name without `@`. */
  username: string | null
}

/** Events in figures. */
export type Statistics = {
  /** `added_by_edit`. */
  added_by_edit: number
  /** `called`. */
  called: number
  /** Date of the first message with an event, milliseconds since the epoch. */
  first_seen_ms: number
  /** Date of the last one. */
  last_seen_ms: number
  /** Events without an address; nil for tokens that may see none. */
  matched: number | null
  /** `retracted`. */
  retracted: number
}
