import type { Detection, Filter } from '../../wire'
import { FAMILIES } from '../shell/wishes'

/** Rules at once: each is a subscription, and the gateway takes 32 of a connection. */
export const MOST_RULES = 16

/** What to be told of, kept in this browser alone. */
export interface Rule {
  id: string
  name: string
  isOn: boolean
  /** All that are given have to hold. */
  address: string
  /** A family or a chain. */
  chain: string
  keyword: string
  /** An address in so many chats … */
  chats: number
  /** … within so many minutes. Below 2 chats the first mention is enough. */
  minutes: number
  sound: boolean
  notification: boolean
}

/** The rule as the gateway's filter: what it does not want is not even sent. */
export function filterOfRule(rule: Rule): Filter {
  const family = FAMILIES.find((one) => one === rule.chain)
  return {
    ...(rule.address && { addresses: [rule.address] }),
    ...(rule.chain && (family ? { families: [family] } : { chains: [rule.chain] })),
    ...(rule.keyword && { text: `(?i)${escaped(rule.keyword)}` }),
    events: ['called', 'added_by_edit'],
    // Said although it is the default: an alert for what was posted last year is none.
    backfill: false,
  }
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.|?*+()[\]{}#&~-]/g, '\\$&')
}

// Addresses that one rule watches at once; the longest unseen goes first.
const MOST_WATCHED = 20_000

/** Says when an address was in N chats within M minutes; once, until that time has passed. */
export class Gathering {
  readonly #chats: number
  readonly #spanMs: number
  readonly #seen = new Map<string, { at: Map<number, number>; toldMs: number }>()

  constructor({ chats, minutes }: Pick<Rule, 'chats' | 'minutes'>) {
    this.#chats = Math.max(1, chats)
    this.#spanMs = Math.max(1, minutes) * 60_000
  }

  /** How many chats had it, where this one makes the rule fire. */
  add({ family, address, coin_type, chat }: Detection, nowMs: number): number | undefined {
    const key = `${family} ${address} ${coin_type ?? ''}`
    const one = this.#seen.get(key) ?? { at: new Map<number, number>(), toldMs: -Infinity }
    this.#seen.delete(key)
    this.#seen.set(key, one)
    if (this.#seen.size > MOST_WATCHED) this.#seen.delete(this.#seen.keys().next().value ?? key)
    for (const [id, atMs] of one.at) if (nowMs - atMs >= this.#spanMs) one.at.delete(id)
    one.at.set(chat.id, nowMs)
    if (one.at.size < this.#chats || nowMs - one.toldMs < this.#spanMs) return undefined
    one.toldMs = nowMs
    return one.at.size
  }
}

/** Rules out of the browser's storage; what cannot be read is left out. */
export function readRules(stored: string | null): Rule[] {
  try {
    const list: unknown = JSON.parse(stored ?? '[]')
    return Array.isArray(list) ? list.map(asRule).filter((rule) => rule !== undefined).slice(0, MOST_RULES) : []
  } catch {
    return []
  }
}

function asRule(value: unknown): Rule | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const given = value as Record<string, unknown>
  const text = (name: string) => (typeof given[name] === 'string' ? given[name].slice(0, 200) : '')
  const number = (name: string, least: number, most: number) => Math.min(most, Math.max(least, Math.trunc(Number(given[name])) || least))
  if (!text('id') || !text('name')) return undefined
  return {
    id: text('id'), name: text('name'), isOn: given['isOn'] === true, address: text('address'), chain: text('chain'),
    keyword: text('keyword').slice(0, 60), chats: number('chats', 1, 100), minutes: number('minutes', 1, 1440),
    sound: given['sound'] === true, notification: given['notification'] === true,
  }
}

/** A rule in words. */
export function describeRule({ address, chain, keyword, chats, minutes }: Rule): string {
  const parts = [address && `address ${address}`, chain && `on ${chain}`, keyword && `text has “${keyword}”`].filter(Boolean)
  const what = parts.length > 0 ? parts.join(', ') : 'any address'
  return chats > 1 ? `${what}, in ${chats} chats within ${minutes} min` : what
}
