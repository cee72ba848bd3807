import { describe, expect, test } from 'vitest'

import { explain, flat, harmless, snippet } from '../src/app/harmless'
import { describeLoss, detectionRow, milliseconds } from '../src/app/row'
import { socketUrl } from '../src/app/mesh.svelte'
import type { Detection } from '../src/wire/schema'

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

  test('takes optional keys that are absent', () => {
    const row = detectionRow(1, delivery, 1_795_392_000_512)
    expect(row).toMatchObject({ chain: 'EVM', chat: 'A[U+202E]b', sender: undefined, link: undefined, latencyMs: 12 })
  })

  test('says no latency for what was not live, and negative ones as they are', () => {
    expect(detectionRow(1, { ...delivery, replayed: true }, 1_795_392_000_512).latencyMs).toBeUndefined()
    expect(detectionRow(1, delivery, undefined).latencyMs).toBeUndefined()
    expect(detectionRow(1, delivery, 1_795_392_000_498).latencyMs).toBe(-2)
  })

  test('links to Telegram only', () => {
    const linked = (link: string) =>
      detectionRow(1, { ...delivery, detection: { ...detection, message: { ...detection.message, link } } }, undefined).link
    expect(linked('https://t.me/c/1/2')).toBe('https://t.me/c/1/2')
    expect(linked('https://t.me.evil.example/c/1')).toBeUndefined()
    expect(linked('https://t.me@evil.example/')).toBeUndefined()
    expect(linked('http://t.me/c/1')).toBeUndefined()
    expect(linked('nonsense')).toBeUndefined()
  })
})

test('figures are short', () => {
  expect([0.41, 18.4, 2100, 125_000, null, -0.5].map(milliseconds)).toEqual(['0.4 ms', '18 ms', '2.1 s', '2 min', '–', '-0.5 ms'])
  expect(describeLoss({ from: 4, to: 8 })).toBe('Gap of 5 events (4–8), some of which may have matched')
})

test('the socket is beside the page, and the address keeps no secret', () => {
  expect(socketUrl('http://127.0.0.1:8080/')).toBe('ws://127.0.0.1:8080/ws')
  expect(socketUrl('https://mesh.example/live/index.html?x=1#token=secret')).toBe('wss://mesh.example/live/ws')
})
