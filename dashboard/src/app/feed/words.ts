// How the page writes figures, times and names.
import { flat } from './harmless'

const CHAINS: Record<string, string> = {
  solana: 'Solana', ethereum: 'Ethereum', bsc: 'BSC', base: 'Base', arbitrum: 'Arbitrum',
  polygon: 'Polygon', optimism: 'Optimism', avalanche: 'Avalanche', tron: 'Tron', ton: 'TON',
  sui: 'Sui', aptos: 'Aptos', evm: 'EVM',
}

/** Chains that a filter offers, beside their families. */
export const EVM_CHAINS = ['ethereum', 'bsc', 'base', 'arbitrum', 'polygon', 'optimism', 'avalanche']

/** The name of a family or chain, as people write it. */
export function chainName(word: string): string {
  return Object.hasOwn(CHAINS, word) ? (CHAINS[word] ?? word) : flat(word)
}

/** Milliseconds in few characters: `0.4 ms`, `18 ms`, `2.1 s`, `3 min`. */
export function milliseconds(ms: number | null | undefined): string {
  if (ms == null || !Number.isFinite(ms)) return '–'
  const size = Math.abs(ms)
  if (size < 10) return `${ms.toFixed(1)} ms`
  if (size < 1000) return `${Math.round(ms)} ms`
  if (size < 60_000) return `${(ms / 1000).toFixed(1)} s`
  return `${Math.round(ms / 60_000)} min`
}

/** A long span in one unit and a half: `45 s`, `12 min`, `3 h 5 min`, `6 d`. */
export function span(ms: number | null | undefined): string {
  if (ms == null || !Number.isFinite(ms)) return '–'
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return minutes % 60 && hours < 10 ? `${hours} h ${minutes % 60} min` : `${hours} h`
  return `${Math.round(hours / 24)} d`
}

/** How long ago, for people: `now`, `8 s ago`. */
export function ago(ms: number): string {
  return ms < 1_500 ? 'now' : `${span(ms)} ago`
}

const exact = new Intl.NumberFormat('en')
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })

/** A count: every digit up to 10,000, then short. */
export function count(n: number | null | undefined): string {
  if (n == null) return '–'
  return n < 10_000 ? exact.format(n) : compact.format(n)
}

/** Every digit. */
export function whole(n: number): string {
  return exact.format(n)
}

export function perSecond(n: number | undefined): string {
  if (n === undefined) return '–'
  return `${n < 10 ? n.toFixed(1) : count(Math.round(n))}/s`
}

export function bytes(n: number | null | undefined): string {
  if (n == null) return '–'
  return n < 2 ** 20 ? `${Math.round(n / 1024)} KiB` : `${Math.round(n / 2 ** 20)} MiB`
}

const clockTime = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
})
const dayTime = new Intl.DateTimeFormat(undefined, {
  year: 'numeric', month: 'short', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
})

const shortDay = new Intl.DateTimeFormat(undefined, { day: '2-digit', month: 'short' })
const shortDayOfYear = new Intl.DateTimeFormat(undefined, { day: '2-digit', month: 'short', year: '2-digit' })

/** The day in few characters, for what stands beside a time of day; nothing for today. */
export function dayOf(ms: number, nowMs = Date.now()): string | undefined {
  if (!isTime(ms)) return undefined
  const [day, now] = [new Date(ms), new Date(nowMs)]
  if (day.toDateString() === now.toDateString()) return undefined
  return (day.getFullYear() === now.getFullYear() ? shortDay : shortDayOfYear).format(ms)
}

/** The time of day where the reader is; with the date where it is another day. */
export function localTime(ms: number, nowMs = Date.now()): string {
  if (!isTime(ms)) return 'unknown'
  return new Date(ms).toDateString() === new Date(nowMs).toDateString() ? clockTime.format(ms) : dayTime.format(ms)
}

/** Time of day alone. */
export function timeOfDay(ms: number): string {
  return isTime(ms) ? clockTime.format(ms) : '–'
}

/** For tooltips: UTC, to the millisecond. */
export function utc(ms: number): string {
  return isTime(ms) ? `${new Date(ms).toISOString().replace('T', ' ').replace('Z', '')} UTC` : 'at an unknown time'
}

function isTime(ms: number): boolean {
  return !Number.isNaN(new Date(ms).getTime())
}
