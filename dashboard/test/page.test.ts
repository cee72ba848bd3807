import { describe, expect, test } from 'vitest'

import { evidenceInWords } from '../src/app/feed/evidence'
import { outside } from '../src/app/feed/explorers'
import { explain, flat, harmless, marked, snippet } from '../src/app/feed/harmless'
import { describeLoss, detectionRow, liveEntry, matchRow } from '../src/app/feed/row'
import { Swaps } from '../src/app/feed/swaps'
import { ago, count, milliseconds, span } from '../src/app/feed/words'
import { socketUrl } from '../src/app/shell/mesh.svelte'
import type { Detection, Match } from '../src/wire/schema'

const shown = (text: string) => harmless(text).map((part) => (part.kind === 'mark' ? `<${part.text}>` : part.text)).join('')

describe('hostile text', () => {
  test('direction overrides and hidden characters become visible', () => {
    expect(shown('pay\u202Egnp.exe')).toBe('pay<U+202E>gnp.exe')
    expect(shown('0x12\u200B34')).toBe('0x12<U+200B>34')
    expect(shown('a\u2066b\u2069')).toBe('a<U+2066>b<U+2069>')
    expect(shown('\u0000\u001b[31m\u009b')).toBe('<U+0000><U+001B>[31m<U+009B>')
    expect(shown('x\u{e0041}')).toBe('x<U+E0041>')
    expect(explain('U+202E')).toBe('U+202E right-to-left override')
  })

  test('joiners stay where scripts and emoji need them', () => {
    expect(shown('👨‍👩‍👧')).toBe('👨‍👩‍👧')
    expect(shown('می‌خواهم')).toBe('می‌خواهم')
    expect(shown('7xKX\u200Dtg2C')).toBe('7xKX<U+200D>tg2C')
  })

  test('lone surrogates and piles of marks do no harm', () => {
    expect(shown('a\ud800b')).toBe('a<U+D800>b')
    expect([...shown(`z${'\u0300'.repeat(500)}`)].length).toBe(5)
    expect(shown('é\u0301')).toBe('é\u0301')
  })

  test('markup stays text, line breaks become one space', () => {
    expect(shown('<img src=x onerror=alert(1)>\n\nnext')).toBe('<img src=x onerror=alert(1)> next')
  })

  test('no text at all leaves a hidden character behind', () => {
    const nasty = Array.from({ length: 0x3000 }, (_, code) => String.fromCharCode(code)).join('a')
    const out = flat(nasty)
    // eslint-disable-next-line no-control-regex
    expect(out).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/)
  })
})

describe('a snippet', () => {
  const words = (parts: { text: string; kind: string }[]) => parts.map((part) => (part.kind === 'hit' ? `[${part.text}]` : part.text)).join('')

  test('emphasises the find', () => {
    expect(words(snippet('buy ABC now', 'ABC'))).toBe('buy [ABC] now')
    expect(words(snippet('buy now', 'ABC'))).toBe('buy now')
    expect(words(snippet('', ''))).toBe('')
  })

  test('begins near a find that stands far down', () => {
    const text = words(snippet(`${'x'.repeat(1000)}ABC${'y'.repeat(1000)}`, 'ABC'))
    expect(text).toMatch(/^…x{24}\[ABC\]y+…$/)
    expect(text.length).toBeLessThan(300)
  })

  test('does not cut a pair in half', () => {
    const text = words(snippet('💎'.repeat(300), ''))
    expect(text.isWellFormed()).toBe(true)
  })
})

describe('a row', () => {
  const detection = {
    schema_version: '1.0.0', id: '0'.repeat(32), event: 'called', family: 'evm', address: '0xabc', role: 'token',
    method: 'plain', confidence: 0.9, raw: '0xabc', chat: { id: -100, title: 'A\u202Eb', kind: 'channel' },
    message: { id: 1, date_ms: 1_795_392_000_000, revision: '0-0', text: 'gm 0xabc', link: 'javascript:alert(1)' },
    listener: { instance: 'l', account: 'a', shard: 0, lease_epoch: 0, backfill: false, detector: '1', layer: 230 },
    times: { received_us: 1_795_392_000_500_000, detected_us: 1_795_392_000_500_100, published_us: 1_795_392_000_500_200 },
  } satisfies Detection
  const delivery = { seq: 5, detection: detection as Detection, traceparent: undefined, replayed: false }
  const nowMs = 1_795_392_000_512
  const shownAs = (change: Partial<Detection>, knowsSeen = true) =>
    detectionRow(1, { ...detection, ...change } as Detection, { seq: 5, paintedMs: nowMs, knowsSeen })

  test('takes optional keys that are absent', () => {
    expect(shownAs({})).toMatchObject({ chain: 'EVM', chat: 'A[U+202E]b', sender: undefined, link: undefined, latencyMs: 12 })
  })

  test('says no latency for what was not live, and negative ones as they are', () => {
    const latency = (change: Partial<typeof delivery>, now: number | undefined) => liveEntry(1, { ...delivery, ...change }, now, true).row.latencyMs
    expect(latency({}, nowMs)).toBe(12)
    expect(latency({ replayed: true }, nowMs)).toBeUndefined()
    expect(latency({ detection: { ...delivery.detection, listener: { ...detection.listener, backfill: true } } }, nowMs)).toBeUndefined()
    expect(latency({}, undefined)).toBeUndefined()
    expect(latency({}, 1_795_392_000_498)).toBe(-2)
  })

  test('calls a sighting the first only where earlier ones would be told', () => {
    expect(shownAs({}).isFirst).toBe(true)
    expect(shownAs({ seen_before: { count: 3, first_ms: 1, first_chat: 2 } })).toMatchObject({ isFirst: false, seenCount: 3 })
    expect(shownAs({ event: 'retracted' }).isFirst).toBe(false)
    expect(shownAs({}, false).isFirst).toBeUndefined()
  })

  test('links to Telegram only', () => {
    const linked = (link: string) => shownAs({ message: { ...detection.message, link } }).link
    expect(linked('https://t.me/c/1/2')).toBe('https://t.me/c/1/2')
    expect(linked('https://t.me.evil.example/c/1')).toBeUndefined()
    expect(linked('https://t.me@evil.example/')).toBeUndefined()
    expect(linked('https://user:word@t.me/c/1')).toBeUndefined()
    expect(linked('http://t.me/c/1')).toBeUndefined()
    expect(linked('nonsense')).toBeUndefined()
  })

  test('finds what an edit put in the place of what', () => {
    const swaps = new Swaps()
    const edit = (event: Detection['event'], address: string, revision = '1-a') =>
      ({ ...detection, event, address, message: { ...detection.message, revision } }) as Detection
    for (const one of [edit('retracted', 'A'), edit('added_by_edit', 'B'), edit('added_by_edit', 'B'), edit('retracted', 'C', '2-b')]) swaps.add(one)
    expect(swaps.counterparts(edit('added_by_edit', 'B'))).toEqual(['A'])
    expect(swaps.counterparts(edit('retracted', 'A'))).toEqual(['B'])
    expect(swaps.counterparts(edit('retracted', 'C', '2-b'))).toEqual([])
    expect(swaps.counterparts(edit('called', 'A'))).toEqual([])
  })
})

describe('a match', () => {
  const match = {
    schema_version: '1.0.0', id: '1'.repeat(32), event: 'unresolved_link', chain: 'solana', link: 'https://dexscreener.com/solana/abc\u202Ed', raw: 'abc\u202Ed',
    site: 'dexscreener.com', rules: ['a\u0000b', 'fair launch'], chat: { id: -100, title: '<b>\u2066x', kind: 'channel' }, sender: null,
    message: { id: 1, date_ms: 1_795_392_000_000, revision: '0-0', text: 'see abc\u202Ed', link: 'https://evil.example/' },
    times: { received_us: 1_795_392_000_500_000, detected_us: 1_795_392_000_500_100, published_us: 1_795_392_000_500_200 },
  } as unknown as Match

  test('says what was matched, harmlessly', () => {
    const link = matchRow(match)
    expect(link).toMatchObject({ kind: 'unread link', what: 'dexscreener.com abc[U+202E]d', chain: 'Solana', chat: '<b>[U+2066]x', link: undefined, sender: undefined })
    expect(link.text.map(({ text }) => text).join('')).not.toContain('\u202e')
    expect(matchRow({ ...match, event: 'rule_matched', chain: null, raw: null })).toMatchObject({ kind: 'rule', what: 'a[U+0000]b, fair launch', chain: undefined })
  })
})

describe('a whole message', () => {
  test('keeps its lines and has every find emphasised', () => {
    const words = marked('a ABC\n\n\nb\u202EABC', 'ABC').map((part) => (part.kind === 'plain' ? part.text : `[${part.text}]`)).join('')
    expect(words).toBe('a [ABC]\n\nb[U+202E][ABC]')
    expect(marked('abc', '')).toEqual([{ text: 'abc', kind: 'plain' }])
  })
})

describe('links out of the page', () => {
  const address = '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed'

  test('go to the chain that is known, or to one that looks on all', () => {
    expect(outside('evm', 'base', address).map(({ href }) => new URL(href).host)).toEqual(['basescan.org', 'dexscreener.com'])
    expect(outside('evm', null, address).map(({ href }) => new URL(href).host)).toEqual(['blockscan.com', 'dexscreener.com'])
    expect(outside('solana', null, 'So11111111111111111111111111111111111111112')[0]?.href).toMatch(/^https:\/\/solscan\.io\//)
  })

  test('are not made of what is no address, or of a chain that nobody knows', () => {
    expect(outside('evm', 'base', `${address}/../../evil?x=`)).toEqual([])
    expect(outside('evm', 'base', 'javascript:alert(1)')).toEqual([])
    expect(outside('solana', 'constructor', address)).toEqual([])
  })
})

test('evidence is told in words, and stays as it is where it is not known', () => {
  expect(evidenceInWords('word:bsc')).toBe('a word near it means BSC')
  expect(evidenceInWords('fold:zero-width')).toBe('hidden characters stood inside it')
  expect(evidenceInWords('toString')).toBe('toString')
  expect(evidenceInWords('new:\u202Ething')).toBe('new:[U+202E]thing')
})

test('figures are short', () => {
  expect([0.41, 18.4, 2100, 125_000, null, -0.5].map(milliseconds)).toEqual(['0.4 ms', '18 ms', '2.1 s', '2 min', '–', '-0.5 ms'])
  expect([45_000, 60_000, 3_900_000, 40 * 3_600_000, 3 * 86_400_000, undefined].map(span)).toEqual(['45 s', '1 min', '1 h 5 min', '40 h', '3 d', '–'])
  expect([ago(300), ago(8_000)]).toEqual(['now', '8 s ago'])
  expect([count(9_999), count(12_345), count(undefined)]).toEqual(['9,999', '12.3K', '–'])
  expect(describeLoss({ from: 4, to: 8 })).toBe('Gap of 5 events (4–8), some of which may have matched')
})

test('the socket is beside the page, and the address keeps no secret', () => {
  expect(socketUrl('http://127.0.0.1:8080/')).toBe('ws://127.0.0.1:8080/ws')
  expect(socketUrl('https://mesh.example/live/index.html?x=1#token=secret')).toBe('wss://mesh.example/live/ws')
})
