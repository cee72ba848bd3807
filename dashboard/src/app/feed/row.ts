import type { Delivery, Detection, Loss, Match, Matched, PastEvent } from '../../wire'
import { flat, snippet, type Part } from './harmless'
import { chainName, dayOf, milliseconds, timeOfDay, utc } from './words'

/** A line of a list: a detection, a match, or the place where something is missing. */
export type Row = Entry | MatchEntry | GapRow

/** What a list shows of the message behind a row. */
interface MessageRow {
  time: string
  /** Where it is not today. */
  day: string | undefined
  timeTitle: string
  chatId: number
  chat: string
  senderId: number | undefined
  sender: string | undefined
  link: string | undefined
  text: Part[]
}

/** What a list shows of a detection. */
export interface DetectionRow extends MessageRow {
  kind: 'detection'
  key: number
  /** Undefined for what comes from the history. */
  seq: number | undefined
  id: string
  family: string
  chain: string
  address: string
  coinType: string | undefined
  event: 'called' | 'added_by_edit' | 'retracted'
  /** No other message had it before, as far as the mesh remembers; undefined where one may not know. */
  isFirst: boolean | undefined
  seenCount: number
  method: string
  role: string
  confidence: number
  /** From the listener's socket to this screen; undefined for what stood in the stream before. */
  latencyMs: number | undefined
  latencyTitle: string
}

export interface GapRow {
  kind: 'gap'
  key: number
  text: string
}

/** When and by whom a detection was put on the screen. */
export interface Shown {
  seq: number | undefined
  /** The server's clock when it was painted; undefined for what was not live, or where it is not known. */
  paintedMs: number | undefined
  /** Whether this token is told of earlier sightings. */
  knowsSeen: boolean
}

/** A detection in a list. What is shown of it is worked out when someone first looks. */
export class Entry {
  readonly kind = 'detection'
  readonly key: number
  readonly detection: Detection
  readonly shown: Shown
  /** When it was put into the list, on the clock of performance.now(). */
  readonly bornMs = performance.now()
  #row: DetectionRow | undefined

  constructor(key: number, detection: Detection, shown: Shown) {
    this.key = key
    this.detection = detection
    this.shown = shown
  }

  get row(): DetectionRow {
    return (this.#row ??= detectionRow(this.key, this.detection, this.shown))
  }
}

/** What a list shows of a match. */
export interface MatchRow extends MessageRow {
  /** What was matched, in a word or two. */
  kind: string
  title: string
  /** The rules' names, or the link's site and letters. */
  what: string
  chain: string | undefined
}

/** A match in a list: something to know about a message that is no address. */
export class MatchEntry {
  readonly kind = 'match'
  readonly key: number
  readonly match: Match
  #row: MatchRow | undefined

  constructor(key: number, match: Match) {
    this.key = key
    this.match = match
  }

  get row(): MatchRow {
    return (this.#row ??= matchRow(this.match))
  }
}

/** The entry of a match that has just come. */
export function liveMatch(key: number, { match }: Matched): MatchEntry {
  return new MatchEntry(key, match)
}

/** The entry of a live delivery that is painted now. */
export function liveEntry(key: number, delivery: Delivery, serverNowMs: number | undefined, knowsSeen: boolean): Entry {
  const { seq, detection, replayed } = delivery
  const isLive = !replayed && !detection.listener.backfill
  return new Entry(key, detection, { seq, paintedMs: isLive ? serverNowMs : undefined, knowsSeen })
}

export function isDetection(event: PastEvent): event is Extract<PastEvent, { address: string }> {
  return 'address' in event
}

/** What the list shows of a detection. */
export function detectionRow(key: number, detection: Detection, shown: Shown): DetectionRow {
  const { chat, message, times, sender } = detection
  const { paintedMs } = shown
  return {
    kind: 'detection',
    key,
    seq: shown.seq,
    id: detection.id,
    time: timeOfDay(times.received_us / 1000),
    day: dayOf(times.received_us / 1000),
    timeTitle: timeTitle(message.date_ms, times.received_us),
    family: detection.family,
    chain: chainName(detection.chain ?? detection.family),
    address: flat(detection.address),
    coinType: detection.coin_type ? flat(detection.coin_type) : undefined,
    event: detection.event,
    isFirst: shown.knowsSeen ? detection.event === 'called' && !detection.seen_before : undefined,
    seenCount: detection.seen_before?.count ?? 0,
    method: flat(detection.method),
    role: flat(detection.role),
    confidence: detection.confidence,
    chatId: chat.id,
    chat: chatName(chat),
    senderId: sender?.id,
    sender: sender ? senderName(sender) : undefined,
    link: telegramLink(message.link),
    text: snippet(message.text ?? '', detection.raw ?? ''),
    latencyMs: paintedMs === undefined ? undefined : paintedMs - times.received_us / 1000,
    latencyTitle:
      paintedMs === undefined
        ? 'it stood in the stream before this page asked for it'
        : `from the listener’s socket to this screen; of it detection ${hop(times.received_us, times.detected_us)}, hand-over to the stream ${hop(times.detected_us, times.published_us)}`,
  }
}

/** What the list shows of a match. */
export function matchRow(match: Match): MatchRow {
  const { chat, message, times, sender } = match
  const isLink = match.event === 'unresolved_link'
  return {
    time: timeOfDay(times.received_us / 1000),
    day: dayOf(times.received_us / 1000),
    timeTitle: timeTitle(message.date_ms, times.received_us),
    kind: isLink ? 'unread link' : 'rule',
    title: isLink ? 'a link names an address that cannot be read back from it' : 'a watch rule matched a message in which no address was found',
    what: isLink ? flat([match.site, match.raw].filter(Boolean).join(' ')) : (match.rules ?? []).map(flat).join(', '),
    chain: match.chain ? chainName(match.chain) : undefined,
    chatId: chat.id,
    chat: chatName(chat),
    senderId: sender?.id,
    sender: sender ? senderName(sender) : undefined,
    link: telegramLink(message.link),
    text: snippet(message.text ?? '', match.raw ?? ''),
  }
}

function timeTitle(dateMs: number, receivedUs: number): string {
  return `posted ${utc(dateMs)}, received ${utc(receivedUs / 1000)}`
}

/** How a sender is called. */
export function senderName(sender: { id: number; name?: string; username?: string | null }): string {
  return flat(sender.name || sender.username || String(sender.id))
}

/** How a chat is called. */
export function chatName(chat: { id: number; title?: string; username?: string | null }): string {
  return flat(chat.title || (chat.username ? `@${chat.username}` : String(chat.id)))
}

export function gapRow(key: number, loss: Loss): GapRow {
  return { kind: 'gap', key, text: describeLoss(loss) }
}

/** A line for those who hear it. */
export function rowInWords(row: Row): string {
  switch (row.kind) {
    case 'detection':
      return `${row.row.chain} ${row.row.address} in ${row.row.chat}`
    case 'match':
      return `${row.row.kind} ${row.row.what} in ${row.row.chat}`
    case 'gap':
      return row.text
  }
}

/** A loss in words. Not every sequence in it would have passed the filter. */
export function describeLoss({ from, to }: Loss): string {
  if (from === undefined || to === undefined) {
    return 'The stream was made anew: what came before this point may be missing'
  }
  const count = to - from + 1
  return `Gap of ${count.toLocaleString('en')} event${count === 1 ? '' : 's'} (${from}–${to}), some of which may have matched`
}

/** Only what Telegram itself serves: a message cannot make the page link elsewhere. */
export function telegramLink(link: string | null | undefined): string | undefined {
  if (!link) return undefined
  try {
    const url = new URL(link)
    return url.protocol === 'https:' && url.host === 't.me' && !url.username && !url.password ? url.href : undefined
  } catch {
    return undefined
  }
}

function hop(fromUs: number, toUs: number): string {
  return milliseconds((toUs - fromUs) / 1000)
}
