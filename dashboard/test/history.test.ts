// The API's reader and the list of the past, against answers that a gateway could give.
import { afterEach, describe, expect, test, vi } from 'vitest'

import { Past } from '../src/app/feed/history.svelte'
import { Entry, isDetection, MatchEntry } from '../src/app/feed/row'
import { ApiError, History, parameters, type PastEvent } from '../src/wire'

afterEach(() => vi.unstubAllGlobals())

type Answer = { status?: number; body: unknown; headers?: Record<string, string> }
function gateway(answer: (url: URL, turn: number) => Answer | Promise<Answer>) {
  const asked: { url: URL; token: string | null }[] = []
  vi.stubGlobal('fetch', async (url: URL, { headers, signal }: { headers: Record<string, string>; signal: AbortSignal }) => {
    asked.push({ url, token: headers['authorization'] ?? null })
    const { status = 200, body, headers: more = {} } = await answer(url, asked.length)
    signal.throwIfAborted()
    return new Response(JSON.stringify(body), { status, headers: more })
  })
  return asked
}
const history = () => new History('https://mesh.example/live/', () => 'a.b.c')
const event = (n: number) => ({ id: String(n), address: `A${n}`, message: { date_ms: 1_000_000 - n } }) as PastEvent
const list = () =>
  new Past(history(), (key, event) =>
    isDetection(event) ? new Entry(key, event, { seq: undefined, paintedMs: undefined, knowsSeen: true }) : new MatchEntry(key, event))
const idOf = (entry: Entry | MatchEntry | undefined) => (entry?.kind === 'match' ? entry.match.id : entry?.detection.id)

describe('the reader', () => {
  test('asks beside the page, with the token in the header alone', async () => {
    const asked = gateway(() => ({ body: { items: [], next_cursor: null } }))
    await history().detections({ chats: [-1001, 5], text: 'a&b', backfill: false, min_confidence: 0.5 })
    expect(asked[0]?.url.href).toBe('https://mesh.example/live/api/detections?chats=-1001&chats=5&text=a%26b&min_confidence=0.5')
    expect(asked[0]?.token).toBe('Bearer a.b.c')
    expect(parameters({ addresses: [], cursor: '' })).toBe('')
    await history().address('0x/../../x?y#z')
    expect(asked[1]?.url.pathname).toBe('/live/api/addresses/0x%2F..%2F..%2Fx%3Fy%23z')
  })

  test('tells what the gateway says when it says no', async () => {
    gateway(() => ({ status: 429, body: { detail: 'slowly' }, headers: { 'retry-after': '2' } }))
    await expect(history().metrics()).rejects.toMatchObject({ status: 429, message: 'slowly', retryAfterMs: 2000 })
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('no network')))
    await expect(history().metrics()).rejects.toBeInstanceOf(ApiError)
    await expect(history().metrics()).rejects.toMatchObject({ status: 0 })
  })
})

describe('a file of events', () => {
  const signal = new AbortController().signal
  const bodies = (...chunks: (string | Error)[]) => {
    const asked: Record<string, string>[] = []
    vi.stubGlobal('fetch', async (_: URL, { headers }: { headers: Record<string, string> }) => {
      asked.push(headers)
      return new Response(new ReadableStream({
        pull(controller) {
          const next = chunks.shift()
          if (next === undefined) controller.close()
          else if (typeof next === 'string') controller.enqueue(new TextEncoder().encode(next))
          else controller.error(next)
        },
      }))
    })
    return asked
  }

  test('is asked for by its kind, with the token in the header, and told of as it comes', async () => {
    const asked = bodies('a,b\n', '1,2\n')
    const seen: number[] = []
    const file = await history().export({ chats: [1] }, 'csv', 100, (bytes) => seen.push(bytes), signal)
    expect(await file.text()).toBe('a,b\n1,2\n')
    expect([file.type, seen, asked[0]?.['accept'], asked[0]?.['authorization']]).toEqual(['text/csv', [4, 8], 'text/csv', 'Bearer a.b.c'])
  })

  test('that breaks off or is too long is none', async () => {
    bodies('{}\n', new TypeError('the line is dead'))
    await expect(history().export({}, 'ndjson', 100, () => {}, signal)).rejects.toMatchObject({ status: 0, message: 'The file broke off before its end.' })
    bodies('x'.repeat(101))
    await expect(history().export({}, 'ndjson', 100, () => {}, signal)).rejects.toMatchObject({ status: 413 })
    gateway(() => ({ status: 403, body: { detail: 'not for viewers' } }))
    await expect(history().export({}, 'ndjson', 100, () => {}, signal)).rejects.toMatchObject({ status: 403, message: 'not for viewers' })
  })
})

describe('the list of the past', () => {
  test('reads page after page, over empty ones, to the last', async () => {
    const asked = gateway((_, turn) => ({ body: [
      { items: [event(1), event(2)], next_cursor: 'p2' },
      { items: [], next_cursor: 'p3' },
      { items: [{ id: 'm', message: { date_ms: 5 } }, event(3)], next_cursor: null },
    ][turn - 1] }))
    const past = list()
    past.ask({ chats: [1] })
    await vi.waitFor(() => expect(past.standing).toBe('more'))
    expect([past.length, idOf(past.at(0)), past.reachedMs]).toEqual([2, '1', 999_998])
    await past.more()
    expect(past.standing).toBe('end')
    // What has no address stands where its time is.
    expect([0, 1, 2, 3].map((index) => idOf(past.at(index)))).toEqual(['1', '2', 'm', '3'])
    expect(past.indexOf(past.at(2)?.key ?? 0)).toBe(2)
    expect(asked.map(({ url }) => url.searchParams.get('cursor'))).toEqual([null, 'p2', 'p3'])
    await past.more()
    expect(asked).toHaveLength(3)
  })

  test('goes on where it stood after a fault, without a row twice', async () => {
    const asked = gateway((_, turn) => turn === 2 ? { status: 503, body: {} } : { body: { items: [event(turn)], next_cursor: turn < 3 ? `p${turn}` : null } })
    const past = list()
    past.ask({})
    await vi.waitFor(() => expect(past.standing).toBe('more'))
    await past.more()
    expect([past.standing, past.fault?.status, past.length]).toEqual(['failed', 503, 1])
    await past.more()
    expect([past.standing, past.fault, past.length]).toEqual(['end', undefined, 2])
    expect(asked.map(({ url }) => url.searchParams.get('cursor'))).toEqual([null, 'p1', 'p1'])
  })

  test('forgets the answer to a question that is not asked any more', async () => {
    let release: (() => void) | undefined
    gateway(async (_, turn) => {
      if (turn === 1) await new Promise<void>((done) => (release = done))
      return { body: { items: [event(turn)], next_cursor: null } }
    })
    const past = list()
    past.ask({ chats: [1] })
    await vi.waitFor(() => expect(release).toBeDefined())
    past.ask({ chats: [2] })
    release?.()
    await vi.waitFor(() => expect(past.standing).toBe('end'))
    expect([past.length, idOf(past.at(0))]).toEqual([1, '2'])
  })

  test('stops looking when nothing is found for long, and lets the reader decide', async () => {
    const asked = gateway((_, turn) => ({ body: { items: [], next_cursor: `p${turn}` } }))
    const past = list()
    past.ask({})
    await vi.waitFor(() => expect(past.standing).toBe('more'))
    expect(asked).toHaveLength(8)
  })
})
