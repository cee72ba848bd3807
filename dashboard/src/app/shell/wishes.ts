import type { EventName, Family, Filter, MatchKind } from '../../wire'

export const FAMILIES: Family[] = ['solana', 'evm', 'tron', 'ton', 'sui', 'aptos']
export const EVENTS: EventName[] = ['called', 'added_by_edit', 'retracted']
const MATCHES: MatchKind[] = ['rule_matched', 'unresolved_link']

/** What the person at the page wants to see: the server's filter, kept in the address bar. */
export interface Wishes {
  families: Family[]
  chains: string[]
  chats: number[]
  senders: number[]
  rules: string[]
  events: EventName[]
  /** A regular expression on the message's text; the server reads it. */
  text: string
  /** 0 to 1. */
  minConfidence: number
  /** A duration with its unit, or nothing. */
  uniqueWithin: string
  backfill: boolean
  /** What a watch rule matched, and links that cannot be read back, beside the detections. */
  matches: boolean
}

export const EVERYTHING: Wishes = {
  families: [], chains: [], chats: [], senders: [], rules: [], events: [], text: '', minConfidence: 0, uniqueWithin: '', backfill: false, matches: false,
}

/** The wishes of an address; what cannot be read is left out. */
export function readWishes(query: URLSearchParams): Wishes {
  const list = (name: string) => query.get(name)?.split(',').filter(Boolean) ?? []
  const ids = (name: string) => list(name).map(Number).filter(Number.isSafeInteger)
  const min = Number(query.get('min'))
  const unique = query.get('unique') ?? ''
  return {
    families: FAMILIES.filter((family) => list('families').includes(family)),
    chains: list('chains').filter((chain) => /^[a-z0-9-]{1,32}$/.test(chain)),
    chats: ids('chats'),
    senders: ids('senders'),
    rules: query.getAll('rule').filter(Boolean),
    events: EVENTS.filter((event) => list('events').includes(event)),
    text: query.get('text') ?? '',
    minConfidence: min > 0 && min <= 1 ? min : 0,
    uniqueWithin: /^\d{1,6}(ms|s|m|h|d)$/.test(unique) ? unique : '',
    backfill: query.get('backfill') === '1',
    matches: query.get('matches') === '1',
  }
}

/** The address's part for these wishes; empty for everything. */
export function writeWishes(wishes: Wishes): URLSearchParams {
  const query = new URLSearchParams()
  for (const name of ['families', 'chains', 'chats', 'senders', 'events'] as const) {
    if (wishes[name].length > 0) query.set(name, wishes[name].join(','))
  }
  for (const rule of wishes.rules) query.append('rule', rule)
  if (wishes.minConfidence > 0) query.set('min', String(wishes.minConfidence))
  if (wishes.uniqueWithin) query.set('unique', wishes.uniqueWithin)
  if (wishes.text) query.set('text', wishes.text)
  if (wishes.backfill) query.set('backfill', '1')
  if (wishes.matches) query.set('matches', '1')
  return query
}

/** The wishes in the contract's words. */
export function filterOf(wishes: Wishes): Filter {
  const { families, chains, chats, senders, rules, events, text, minConfidence, uniqueWithin, backfill, matches } = wishes
  return {
    ...(families.length > 0 && { families }),
    ...(chains.length > 0 && { chains }),
    ...(chats.length > 0 && { chats }),
    ...(senders.length > 0 && { senders }),
    ...(rules.length > 0 && { rules }),
    // The server reads kinds of matches there too: without them it would send none.
    ...(events.length > 0 && { events: matches ? [...events, ...MATCHES] : events }),
    ...(text !== '' && { text }),
    ...(minConfidence > 0 && { min_confidence: minConfidence }),
    ...(uniqueWithin !== '' && { unique_within: uniqueWithin }),
    ...(backfill && { backfill }),
    ...(matches && { matches }),
  }
}
