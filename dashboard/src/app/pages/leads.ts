import type { Found } from '../../wire'

/** A chat or a sender. */
export type Who = { chat: number } | { sender: number }

/** How someone stands with one address. */
export interface Lead {
  address: string
  family: string
  coinType: string | undefined
  isFirst: boolean
  /** Of a first: the next other chat, and how much later it was; absent while no other chat has it. */
  next: { chat: number; leadMs: number } | undefined
  /** Of who was not first: how much later, and than whom. */
  behindMs: number | undefined
  firstChat: number | undefined
}

/** What an address's facts say of someone who mentioned it at `atMs`. */
export function leadOf(who: Who, address: string, found: Found, atMs: number): Lead | undefined {
  const { first, next, spread } = found
  if (!first) return undefined
  const isFirst = 'chat' in who ? first.chat_id === who.chat : first.sender_id === who.sender
  const there = 'chat' in who ? spread.find((one) => one.chat_id === who.chat)?.behind_ms : undefined
  return {
    address,
    family: found.family,
    coinType: found.coin_type ?? undefined,
    isFirst,
    next: isFirst && next ? { chat: next.chat_id, leadMs: next.lead_ms } : undefined,
    behindMs: isFirst ? undefined : (there ?? Math.max(0, atMs - first.at_ms)),
    firstChat: first.chat_id ?? undefined,
  }
}

/** Leads in figures. */
export interface LeadFigures {
  addresses: number
  firsts: number
  /** Of these, the ones that another chat had later. */
  followed: number
  medianLeadMs: number | undefined
  bestLeadMs: number | undefined
  medianBehindMs: number | undefined
}

export function figuresOf(leads: Lead[]): LeadFigures {
  const ahead = leads.flatMap(({ next }) => (next ? [next.leadMs] : []))
  const behind = leads.flatMap(({ behindMs }) => (behindMs === undefined ? [] : [behindMs]))
  return {
    addresses: leads.length,
    firsts: leads.filter(({ isFirst }) => isFirst).length,
    followed: ahead.length,
    medianLeadMs: median(ahead),
    bestLeadMs: ahead.length > 0 ? Math.max(...ahead) : undefined,
    medianBehindMs: median(behind),
  }
}

/** The lower one of the two in the middle, where there are two: a lead that really was. */
export function median(values: number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor((sorted.length - 1) / 2)]
}
