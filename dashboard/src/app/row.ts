import type { Delivery, Loss } from '../wire'
import { flat, snippet, type Part } from './harmless'

/** A line of the list: a detection, or the place where something is missing. */
export type Row = DetectionRow | GapRow

export interface DetectionRow {
  kind: 'detection'
  key: number
  seq: number
  time: string
  timeTitle: string
  family: string
  chain: string
  address: string
  coinType: string | undefined
  event: 'called' | 'added_by_edit' | 'retracted'
  method: string
  role: string
  evidence: string
  confidence: number
  chatId: number
  chat: string
  sender: string | undefined
  link: string | undefined
  text: Part[]
  /** From the listener's socket to this screen; undefined for what stood in the stream before. */
  latencyMs: number | undefined
  latencyTitle: string
  /** When the row was made, on the clock of performance.now(). */
  bornMs: number
}

export interface GapRow {
  kind: 'gap'
  key: number
  text: string
}

const CHAINS: Record<string, string> = {
  solana: 'Solana', ethereum: 'Ethereum', bsc: 'BSC', base: 'Base', arbitrum: 'Arbitrum',
  polygon: 'Polygon', optimism: 'Optimism', avalanche: 'Avalanche', tron: 'Tron', ton: 'TON',
  sui: 'Sui', aptos: 'Aptos', evm: 'EVM',
}

const clockTime = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
})

/** The name of a family or chain, as people write it. */
export function chainName(word: string): string {
  return CHAINS[word] ?? flat(word)
}

/**
 * What the list shows of a detection. `serverNowMs` is the server's clock at the moment of
 * painting, undefined while it is not known.
 */
export function detectionRow(key: number, delivery: Delivery, serverNowMs: number | undefined): DetectionRow {
  const { detection, seq, replayed } = delivery
  const { chat, message, times, sender } = detection
  const live = !replayed && !detection.listener.backfill
  return {
    kind: 'detection',
    key,
    seq,
    bornMs: performance.now(),
    time: clockTime.format(times.received_us / 1000),
    timeTitle: `posted ${iso(message.date_ms)}, received ${iso(times.received_us / 1000)}`,
    family: detection.family,
    chain: chainName(detection.chain ?? detection.family),
    address: flat(detection.address),
    coinType: detection.coin_type ? flat(detection.coin_type) : undefined,
    event: detection.event,
    method: detection.method,
    role: detection.role,
    evidence: flat((detection.evidence ?? []).join(', ')),
    confidence: detection.confidence,
    chatId: chat.id,
    chat: flat(chat.title || (chat.username ? `@${chat.username}` : String(chat.id))),
    sender: sender ? flat(sender.name || sender.username || String(sender.id)) : undefined,
    link: telegramLink(message.link),
    text: snippet(message.text ?? '', detection.raw ?? ''),
    latencyMs: live && serverNowMs !== undefined ? serverNowMs - times.received_us / 1000 : undefined,
    latencyTitle: live
      ? `from the listener’s socket to this screen; of it detection ${span(times.received_us, times.detected_us)}, hand-over to the stream ${span(times.detected_us, times.published_us)}`
      : 'it stood in the stream before this page asked for it',
  }
}

export function gapRow(key: number, loss: Loss): GapRow {
  return { kind: 'gap', key, text: describeLoss(loss) }
}

/** A loss in words. Not every sequence in it would have passed the filter. */
export function describeLoss({ from, to }: Loss): string {
  if (from === undefined || to === undefined) {
    return 'The stream was made anew: what came before this point may be missing'
  }
  const count = to - from + 1
  return `Gap of ${count.toLocaleString('en')} event${count === 1 ? '' : 's'} (${from}–${to}), some of which may have matched`
}

/** Milliseconds in few characters: `0.4 ms`, `18 ms`, `2.1 s`. */
export function milliseconds(ms: number | null | undefined): string {
  if (ms == null || !Number.isFinite(ms)) return '–'
  const size = Math.abs(ms)
  if (size < 10) return `${ms.toFixed(1)} ms`
  if (size < 1000) return `${Math.round(ms)} ms`
  if (size < 60_000) return `${(ms / 1000).toFixed(1)} s`
  return `${Math.round(ms / 60_000)} min`
}

// Only what Telegram itself serves: a message cannot make the page link elsewhere.
function telegramLink(link: string | null | undefined): string | undefined {
  if (!link) return undefined
  try {
    const url = new URL(link)
    return url.protocol === 'https:' && url.host === 't.me' ? url.href : undefined
  } catch {
    return undefined
  }
}

function iso(ms: number): string {
  const date = new Date(ms)
  return Number.isNaN(date.getTime()) ? 'at an unknown time' : date.toISOString()
}

function span(fromUs: number, toUs: number): string {
  return milliseconds((toUs - fromUs) / 1000)
}
