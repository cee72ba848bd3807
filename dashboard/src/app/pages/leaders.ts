import type { Detection } from '../../wire'
import { median } from './leads'

/** What counting needs of a detection: little enough to keep many. */
export type Mention = Pick<Detection, 'event' | 'family' | 'address' | 'coin_type'> & {
  message: Pick<Detection['message'], 'date_ms' | 'edit_date_ms'>
  times: Pick<Detection['times'], 'received_us'>
  chat: { id: number }
  sender?: { id: number } | null
  seen_before?: unknown
}

/** That much of a detection. */
export function mentionOf({ event, family, address, coin_type, message, times, chat, sender, seen_before }: Detection): Mention {
  return {
    event, family, address,
    ...(coin_type != null && { coin_type }),
    message: { date_ms: message.date_ms, ...(message.edit_date_ms != null && { edit_date_ms: message.edit_date_ms }) },
    times: { received_us: times.received_us },
    chat: { id: chat.id },
    ...(sender && { sender: { id: sender.id } }),
    seen_before: seen_before != null || undefined,
  }
}

/** Who was first, how often, and by how much. */
export interface Leader {
  id: number
  name: string
  /** Addresses that were here first. */
  firsts: number
  /** Of those, the ones that another chat had later. */
  followed: number
  /** Median of the time until the next chat, over those. */
  medianLeadMs: number | undefined
  bestLeadMs: number | undefined
  /** Addresses mentioned at all. */
  addresses: number
}

export interface Leaders {
  chats: Leader[]
  senders: Leader[]
  addresses: number
}

interface Sighting {
  atMs: number
  receivedUs: number
  chat: number
  sender: number | undefined
  /** The mesh knew it already then. */
  wasKnown: boolean
}

interface Tally {
  firsts: number
  leads: number[]
  addresses: Set<string>
}

/**
 * Counts over detections of a time span, in any order. An address that the mesh had seen before the span was first
 * somewhere else: it counts for nobody.
 */
export function leadersOf(detections: Iterable<Mention>, names: { chat(id: number): string; sender(id: number): string }): Leaders {
  const byAddress = new Map<string, Sighting[]>()
  for (const detection of detections) {
    if (detection.event === 'retracted') continue
    const { message, times, chat, sender, seen_before } = detection
    const atMs = detection.event === 'added_by_edit' ? (message.edit_date_ms ?? message.date_ms) : message.date_ms
    const sighting = { atMs, receivedUs: times.received_us, chat: chat.id, sender: sender?.id, wasKnown: seen_before != null }
    const key = `${detection.family} ${detection.address} ${detection.coin_type ?? ''}`
    const known = byAddress.get(key)
    if (known) known.push(sighting)
    else byAddress.set(key, [sighting])
  }
  const chats = new Map<number, Tally>()
  const senders = new Map<number, Tally>()
  for (const [key, sightings] of byAddress) {
    for (const { chat, sender } of sightings) {
      tally(chats, chat).addresses.add(key)
      if (sender !== undefined) tally(senders, sender).addresses.add(key)
    }
    const first = earliest(sightings)
    if (!first || first.wasKnown) continue
    const next = earliest(sightings.filter(({ chat }) => chat !== first.chat))
    const winners = [tally(chats, first.chat), ...(first.sender === undefined ? [] : [tally(senders, first.sender)])]
    for (const winner of winners) {
      winner.firsts += 1
      if (next) winner.leads.push(next.atMs - first.atMs)
    }
  }
  return { chats: ranked(chats, names.chat), senders: ranked(senders, names.sender), addresses: byAddress.size }
}

// Telegram's dates have whole seconds: within one, what came first is first.
function earliest(sightings: Sighting[]): Sighting | undefined {
  return sightings.toSorted((a, b) => a.atMs - b.atMs || a.receivedUs - b.receivedUs)[0]
}

function tally(all: Map<number, Tally>, id: number): Tally {
  let one = all.get(id)
  if (!one) all.set(id, (one = { firsts: 0, leads: [], addresses: new Set() }))
  return one
}

function ranked(all: Map<number, Tally>, name: (id: number) => string): Leader[] {
  return [...all]
    .map(([id, { firsts, leads, addresses }]): Leader => {
      return {
        id,
        name: name(id),
        firsts,
        followed: leads.length,
        medianLeadMs: median(leads),
        bestLeadMs: leads.length > 0 ? leads.reduce((best, lead) => Math.max(best, lead)) : undefined,
        addresses: addresses.size,
      }
    })
    .filter(({ firsts }) => firsts > 0)
    .sort((a, b) => b.followed - a.followed || b.firsts - a.firsts || (b.medianLeadMs ?? 0) - (a.medianLeadMs ?? 0))
}
