// What the address bar, a token and this browser's storage say, and what is counted of the past.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

import { filterOfRule, Gathering, MOST_RULES, readRules, type Rule } from '../src/app/alerts/rules'
import { leadersOf, mentionOf } from '../src/app/pages/leaders'
import { figuresOf, leadOf, type Lead } from '../src/app/pages/leads'
import { sampled, type Sample } from '../src/app/pipeline/totals.svelte'
import { readClaims } from '../src/app/shell/claims'
import { readRoute, to } from '../src/app/shell/route.svelte'
import { tokenIn } from '../src/app/shell/session'
import { EVERYTHING, filterOf, readWishes, writeWishes, type Wishes } from '../src/app/shell/wishes'
import type { Detection, Found, Metrics } from '../src/wire'

beforeEach(() => vi.stubGlobal('location', { hash: '' }))
afterEach(() => vi.unstubAllGlobals())

describe('the address', () => {
  test('names a page and what it is about', () => {
    expect(readRoute('')).toMatchObject({ page: 'live' })
    expect(readRoute('#/?families=evm')).toMatchObject({ page: 'live' })
    expect(readRoute(to.address('0xAb/c?d'))).toMatchObject({ page: 'address', id: '0xAb/c?d' })
    expect(readRoute(to.chat(-1001500000001))).toMatchObject({ page: 'chat', id: '-1001500000001' })
    expect(readRoute(to.sender(42))).toMatchObject({ page: 'sender', id: '42' })
    expect(readRoute('#/leaders?over=6h').query.get('over')).toBe('6h')
  })

  test('that names nothing is told so, whatever stands in it', () => {
    for (const hash of ['#/chat/x', '#/chat/', '#/address/', '#/address/%E0%A4%A', '#/constructor', '#/address/a%20b', `#/address/${'a'.repeat(300)}`]) {
      expect(readRoute(hash), hash).toMatchObject({ page: 'nowhere' })
    }
  })

  test('keeps every filter', () => {
    const wishes: Wishes = {
      families: ['solana', 'evm'], chains: ['base'], chats: [-1001, 7], senders: [42], rules: ['fair, launch', 'b&c'], events: ['retracted'],
      text: '(?i)a+b & c', minConfidence: 0.85, uniqueWithin: '10m', backfill: true, matches: true,
    }
    const link = to.live(writeWishes(wishes))
    expect(readWishes(readRoute(link).query)).toEqual(wishes)
    expect(to.live(writeWishes(EVERYTHING))).toBe('#/')
    expect(readWishes(new URLSearchParams())).toEqual(EVERYTHING)
  })

  test('that holds nonsense asks for nothing more', () => {
    const query = new URLSearchParams('families=evm,x,toString&chats=1,b,9e99&min=7&unique=<b>&events=called,rule&chains=../x,base&backfill=yes')
    expect(readWishes(query)).toEqual({ ...EVERYTHING, families: ['evm'], chats: [1], events: ['called'], chains: ['base'] })
  })

  test("is the server's filter, without what is not wished for", () => {
    expect(filterOf(EVERYTHING)).toEqual({})
    expect(filterOf({ ...EVERYTHING, matches: true, events: ['called'] })).toEqual({ matches: true, events: ['called', 'rule_matched', 'unresolved_link'] })
    expect(filterOf({ ...EVERYTHING, minConfidence: 0.5, uniqueWithin: '1h', senders: [1] })).toEqual({ min_confidence: 0.5, unique_within: '1h', senders: [1] })
  })
})

describe('a token', () => {
  const token = (claims: unknown) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.x`

  test('tells who it is for and what it permits', () => {
    expect(readClaims(token({ sub: 'алиса', role: 'viewer', chats: [-1001, 'x'], exp: 100, min_confidence: 0.5, families: ['ton'] })))
      .toMatchObject({ subject: 'алиса', role: 'viewer', chats: [-1001], expiresAtMs: 100_000, minConfidence: 0.5, families: ['ton'] })
    expect(readClaims(token({ sub: 'a', chats: ['*'] }))).toMatchObject({ chats: '*', role: undefined })
    expect(readClaims(token({ sub: 'a' }))).toMatchObject({ chats: [] })
  })

  test('that is none is none', () => {
    for (const given of ['', 'a', 'a.b.c', 'e30.bnVsbA.x', 'e30.IjEi.x']) expect(readClaims(given)?.subject ?? '', given).toBe('')
  })

  test('is found in the line that carries it', () => {
    expect(tokenIn(' tgmesh is up: http://127.0.0.1:8080/#token=a.b-c_.d \n')).toBe('a.b-c_.d')
    expect(tokenIn('a.b.c')).toBe('a.b.c')
  })
})

const find = (address: string, chat: number, atS: number, more: Partial<Detection> = {}): Detection =>
  ({
    event: 'called', family: 'solana', address, chat: { id: chat, kind: 'channel' }, message: { id: 1, date_ms: atS * 1000, revision: '' },
    sender: { id: chat * 10, kind: 'user' }, times: { received_us: atS * 1e6 + chat, detected_us: 0, published_us: 0 }, ...more,
  }) as Detection

describe('who is first', () => {
  const names = { chat: (id: number) => `chat ${id}`, sender: (id: number) => `sender ${id}` }
  const leader = (found: Detection[], id: number) => leadersOf(found, names).chats.find((one) => one.id === id)

  test('leads by the time until another chat has it, whatever the order of reading', () => {
    const found = [find('A', 2, 10), find('A', 1, 4), find('A', 1, 5), find('A', 3, 30), find('B', 1, 0), find('B', 2, 20), find('C', 1, 1)]
    for (const order of [found, found.toReversed()]) {
      expect(leader(order, 1)).toEqual({ id: 1, name: 'chat 1', firsts: 3, followed: 2, medianLeadMs: 6_000, bestLeadMs: 20_000, addresses: 3 })
      expect(leader(order, 2)).toBeUndefined()
    }
    expect(leadersOf(found, names).senders[0]).toMatchObject({ id: 10, followed: 2 })
  })

  test('is nobody where the mesh knew it before', () => {
    expect(leadersOf([find('A', 1, 4, { seen_before: { count: 1, first_ms: 0, first_chat: 9 } }), find('A', 2, 5)], names).chats).toEqual([])
  })

  test('counts an edit from when it came in, a retraction not at all, and within a second what came first', () => {
    const edited = { event: 'added_by_edit', message: { id: 1, date_ms: 0, edit_date_ms: 50_000, revision: '' } } as Partial<Detection>
    expect(leader([find('A', 1, 0, edited), find('A', 2, 20)], 2)).toMatchObject({ firsts: 1, medianLeadMs: 30_000 })
    expect(leadersOf([find('A', 1, 0, { event: 'retracted' })], names)).toEqual({ chats: [], senders: [], addresses: 0 })
    expect(leader([find('A', 2, 7), find('A', 1, 7)], 1)).toMatchObject({ firsts: 1, medianLeadMs: 0 })
  })
})

describe('an alert', () => {
  const rule: Rule = { id: 'i', name: 'n', isOn: true, address: '', chain: '', keyword: '', chats: 3, minutes: 10, sound: false, notification: false }

  test('asks the server for what it needs alone, and never for the past', () => {
    expect(filterOfRule(rule)).toEqual({ events: ['called', 'added_by_edit'], backfill: false })
    expect(filterOfRule({ ...rule, chain: 'base', address: '0xA' })).toMatchObject({ chains: ['base'], addresses: ['0xA'] })
    expect(filterOfRule({ ...rule, chain: 'ton' })).toMatchObject({ families: ['ton'] })
    expect(filterOfRule({ ...rule, keyword: 'a.b(c' }).text).toBe('(?i)a\\.b\\(c')
  })

  test('fires when so many chats had it within the time, and then rests', () => {
    const gathering = new Gathering(rule)
    const minute = 60_000
    expect(gathering.add(find('A', 1, 0), 0)).toBeUndefined()
    expect(gathering.add(find('A', 1, 0), 1)).toBeUndefined()
    expect(gathering.add(find('B', 2, 0), 2)).toBeUndefined()
    expect(gathering.add(find('A', 2, 0), 9 * minute)).toBeUndefined()
    // The first one is out of time by now.
    expect(gathering.add(find('A', 3, 0), 10.5 * minute)).toBeUndefined()
    expect(gathering.add(find('A', 4, 0), 11 * minute)).toBe(3)
    expect(gathering.add(find('A', 5, 0), 12 * minute)).toBeUndefined()
    for (const chat of [6, 7]) expect(gathering.add(find('A', chat, 0), 30 * minute)).toBeUndefined()
    expect(gathering.add(find('A', 8, 0), 30 * minute)).toBe(3)
  })

  test('fires at the first mention where one chat is enough', () => {
    const gathering = new Gathering({ chats: 1, minutes: 10 })
    expect(gathering.add(find('A', 1, 0), 0)).toBe(1)
    expect(gathering.add(find('A', 2, 0), 5)).toBeUndefined()
  })

  test('comes out of storage within bounds, or not at all', () => {
    expect(readRules(JSON.stringify([rule]))).toEqual([rule])
    for (const stored of [null, '', '{', '{"a":1}', '[null, 3, {"id":"x"}]']) expect(readRules(stored)).toEqual([])
    expect(readRules(JSON.stringify(Array.from({ length: 99 }, () => rule)))).toHaveLength(MOST_RULES)
    expect(readRules('[{"id":"i","name":"n","chats":1e9,"minutes":"x","isOn":"yes"}]')[0]).toMatchObject({ chats: 100, minutes: 1, isOn: false })
  })
})

test('rates come from two readings, and a restart has none', () => {
  const metrics = (messages: number) => ({ messagesProcessed: messages, contractsDetected: 5, websocketDeliveries: 0 }) as Metrics
  const first: Sample = sampled(metrics(100), 1_000, undefined)
  expect(first.messages).toBeUndefined()
  expect(sampled(metrics(400), 4_000, first)).toMatchObject({ messages: 100, detections: 0 })
  expect(sampled(metrics(3), 4_000, first).messages).toBeUndefined()
})

describe('how far ahead of others someone is', () => {
  const counts = { called: 1, added_by_edit: 0, retracted: 0 }
  const first = { at_ms: 1_000, chat_id: 1, credited: false, message_id: 1, sender_id: 7 }
  const found: Found = {
    chats: 2, coin_type: null, counts, family: 'evm', first, last_seen_ms: 9_000, next: { chat_id: 2, lead_ms: 4_000 },
    spread: [{ behind_ms: 0, chat_id: 1, counts, first, last_seen_ms: 1_000 }, { behind_ms: 4_000, chat_id: 2, counts, first: { ...first, at_ms: 5_000, chat_id: 2 }, last_seen_ms: 9_000 }],
  }

  test('is what the address tells, for chats and for senders', () => {
    expect(leadOf({ chat: 1 }, '0xa', found, 1_000)).toMatchObject({ isFirst: true, next: { chat: 2, leadMs: 4_000 }, behindMs: undefined })
    expect(leadOf({ chat: 2 }, '0xa', found, 8_000)).toMatchObject({ isFirst: false, next: undefined, behindMs: 4_000, firstChat: 1 })
    expect(leadOf({ sender: 7 }, '0xa', found, 1_000)).toMatchObject({ isFirst: true, next: { leadMs: 4_000 } })
    expect(leadOf({ sender: 8 }, '0xa', found, 6_000)).toMatchObject({ isFirst: false, behindMs: 5_000 })
    // Below the hundred chats that are told, its own mention says when.
    expect(leadOf({ chat: 3 }, '0xa', found, 8_000)).toMatchObject({ isFirst: false, behindMs: 7_000 })
    expect(leadOf({ chat: 1 }, '0xa', { ...found, first: null }, 1_000)).toBeUndefined()
    expect(leadOf({ chat: 1 }, '0xa', { ...found, next: null }, 1_000)).toMatchObject({ isFirst: true, next: undefined })
  })

  test('is summed up', () => {
    const lead = (leadMs: number | undefined, behindMs?: number): Lead =>
      ({ address: 'a', family: 'evm', coinType: undefined, isFirst: behindMs === undefined, next: leadMs === undefined ? undefined : { chat: 2, leadMs }, behindMs, firstChat: 1 })
    expect(figuresOf([lead(5), lead(1), lead(9), lead(2), lead(undefined), lead(undefined, 30), lead(undefined, 10)]))
      .toEqual({ addresses: 7, firsts: 5, followed: 4, medianLeadMs: 2, bestLeadMs: 9, medianBehindMs: 10 })
    expect(figuresOf([])).toEqual({ addresses: 0, firsts: 0, followed: 0, medianLeadMs: undefined, bestLeadMs: undefined, medianBehindMs: undefined })
  })

  test('is counted from little of each detection', () => {
    const detection = {
      event: 'called', family: 'evm', address: '0xa', coin_type: null, message: { id: 1, date_ms: 5, edit_date_ms: null, text: 'long' }, times: { received_us: 9 },
      chat: { id: 1, title: 'x' }, sender: { id: 2, name: 'y' }, seen_before: { count: 3 },
    } as unknown as Detection
    expect(mentionOf(detection)).toEqual({ event: 'called', family: 'evm', address: '0xa', message: { date_ms: 5 }, times: { received_us: 9 }, chat: { id: 1 }, sender: { id: 2 }, seen_before: true })
    expect(leadersOf([mentionOf(detection)], { chat: String, sender: String }).chats).toEqual([])
    expect(leadersOf([mentionOf({ ...detection, seen_before: null })], { chat: String, sender: String }).chats).toHaveLength(1)
  })
})
