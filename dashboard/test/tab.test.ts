// What the page keeps: rows in memory, the token in the tab.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

import { Feed, MAX_ROWS } from '../src/app/feed/feed.svelte'
import { Painted } from '../src/app/feed/painted'
import { gapRow, type GapRow } from '../src/app/feed/row'
import type { Detection } from '../src/wire'
import { forgetToken, keepToken, takeToken } from '../src/app/shell/session'

let frames: (() => void)[] = []
const frame = () => frames.splice(0).forEach((run) => run())

beforeEach(() => {
  frames = []
  vi.stubGlobal('document', { hidden: false })
  vi.stubGlobal('requestAnimationFrame', (run: () => void) => frames.push(run))
})
afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

describe('the feed', () => {
  const push = (feed: Feed<GapRow>, count: number) => {
    for (let i = 0; i < count; i++) feed.push((key) => gapRow(key, {}))
  }

  test('lays out once a frame, however many come', () => {
    const feed = new Feed<GapRow>()
    push(feed, 500)
    expect(frames).toHaveLength(1)
    expect(feed.length).toBe(0)
    frame()
    expect(feed.length).toBe(500)
    expect([feed.at(0)?.key, feed.at(499)?.key, feed.at(500)]).toEqual([500, 1, undefined])
  })

  test('keeps the newest rows and a bounded number of them', () => {
    const feed = new Feed<GapRow>()
    for (let i = 0; i < 30; i++) {
      push(feed, 1_000)
      frame()
    }
    expect(feed.length).toBeGreaterThanOrEqual(MAX_ROWS)
    expect(feed.length).toBeLessThanOrEqual(MAX_ROWS + 1_000)
    expect(feed.at(0)?.key).toBe(30_000)
    expect(feed.added).toBe(30_000)
  })

  test('stays bounded in a page that is out of sight', () => {
    vi.useFakeTimers()
    const feed = new Feed<GapRow>()
    vi.stubGlobal('document', { hidden: true })
    push(feed, 3)
    vi.advanceTimersByTime(1_000)
    expect(feed.length).toBe(3)
    // A frame that was asked for before the page went out of sight does not come.
    vi.stubGlobal('document', { hidden: false })
    push(feed, MAX_ROWS + 10)
    expect(feed.length).toBeGreaterThan(MAX_ROWS)
  })

  test('shows nothing that was waiting when it was emptied', () => {
    const feed = new Feed<GapRow>()
    push(feed, 3)
    feed.clear()
    frame()
    expect([feed.length, feed.cleared]).toEqual([0, 1])
  })
})

describe('what was painted', () => {
  const delivery = (seq: number, flags: string, replayed = false) =>
    ({ seq, replayed, traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-${flags}`, detection: {} as Detection })

  test('is reported where the trace is sampled, after the frame, within a budget', () => {
    const reported: number[] = []
    let now = 5_000
    const painted = new Painted((seq) => reported.push(seq), () => now)
    painted.add(delivery(1, '00'))
    painted.add(delivery(2, '01'))
    painted.add(delivery(3, '03'))
    painted.add(delivery(4, '01', true))
    expect(reported).toEqual([])
    frame()
    expect(reported).toEqual([2, 3])
    for (let seq = 10; seq < 60; seq++) painted.add(delivery(seq, '01'))
    frame()
    expect(reported).toHaveLength(20)
    now = 6_000
    painted.add(delivery(60, '01'))
    frame()
    expect(reported.at(-1)).toBe(60)
  })

  test('is reported now and then where no trace is sampled', () => {
    const reported: number[] = []
    let now = 0
    const painted = new Painted((seq) => reported.push(seq), () => now)
    for (let seq = 1; seq <= 100; seq++) {
      painted.add(delivery(seq, '00'))
      frame()
      now += 100
    }
    expect(reported).toEqual([1, 21, 41, 61, 81])
  })
})

describe('the token', () => {
  function tab(hash: string) {
    const stored = new Map<string, string>()
    const replaced: string[] = []
    vi.stubGlobal('location', { hash, pathname: '/live/', search: '?a=1' })
    vi.stubGlobal('history', { state: null, replaceState: (_: unknown, __: string, url: string) => replaced.push(url) })
    vi.stubGlobal('sessionStorage', {
      getItem: (key: string) => stored.get(key) ?? null,
      setItem: (key: string, value: string) => stored.set(key, value),
      removeItem: (key: string) => stored.delete(key),
    })
    return { stored, replaced }
  }

  test('is taken out of the address bar and kept for the tab', () => {
    const { stored, replaced } = tab('#token=a.b-c_.d')
    expect(takeToken()).toBe('a.b-c_.d')
    expect(replaced).toEqual(['/live/?a=1'])
    expect([...stored.values()]).toEqual(['a.b-c_.d'])
  })

  test('is the one of the tab where the address has none', () => {
    const { replaced } = tab('#other')
    expect(takeToken()).toBeUndefined()
    keepToken('x.y.z')
    expect(takeToken()).toBe('x.y.z')
    forgetToken()
    expect(takeToken()).toBeUndefined()
    expect(replaced).toEqual([])
  })

  test('works where storage is switched off', () => {
    tab('#token=a.b.c')
    vi.stubGlobal('sessionStorage', undefined)
    expect(takeToken()).toBe('a.b.c')
    expect(() => forgetToken()).not.toThrow()
  })
})
