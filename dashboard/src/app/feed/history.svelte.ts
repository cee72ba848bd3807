import { ApiError, type History, type PastEvent, type PastQuery } from '../../wire'
import type { Source } from './feed.svelte'
import type { Entry, MatchEntry, Row } from './row'

// What one request asks for: a screen or two at first, then as much as a page may have.
const FIRST = 100
const LATER = 1_000
// A tab that scrolls for hours still has to end somewhere; the time span narrows what is asked.
export const MOST_ROWS = 200_000
// Pages may be empty and not the last: look on, but let the reader decide after a while.
const EMPTY_AT_ONCE = 8

export type Standing = 'idle' | 'loading' | 'more' | 'end' | 'full' | 'failed'

/** Past events, read page by page as the reader scrolls. */
export class Past implements Source<Row> {
  #rows: (Entry | MatchEntry)[] = []
  #cursor: string | undefined
  #query: PastQuery = {}
  #round: AbortController | undefined
  readonly #history: History
  /** Turns an event into what a list shows. */
  readonly #entry: (key: number, event: PastEvent) => Entry | MatchEntry
  readonly added = 0
  length = $state(0)
  cleared = $state(0)
  standing = $state<Standing>('idle')
  fault = $state.raw<ApiError>()
  /** How far back the pages have looked, by message date. */
  reachedMs = $state<number>()

  constructor(history: History, entry: (key: number, event: PastEvent) => Entry | MatchEntry) {
    this.#history = history
    this.#entry = entry
  }

  at(index: number): Entry | MatchEntry | undefined {
    void this.cleared
    void this.length
    return this.#rows[index]
  }

  indexOf(key: number): number | undefined {
    return this.#rows[key - 1] ? key - 1 : undefined
  }

  /** Begins anew with another question. */
  ask(query: PastQuery): void {
    this.#round?.abort()
    this.#round = undefined
    this.#rows = []
    this.#cursor = undefined
    this.#query = query
    this.length = 0
    this.cleared += 1
    this.fault = undefined
    this.reachedMs = undefined
    this.standing = 'more'
    void this.more()
  }

  stop(): void {
    this.#round?.abort()
    this.#round = undefined
  }

  /** Reads on, unless that is under way or there is no more. */
  async more(): Promise<void> {
    if (this.#round || (this.standing !== 'more' && this.standing !== 'failed')) return
    const round = new AbortController()
    this.#round = round
    this.standing = 'loading'
    this.fault = undefined
    try {
      for (let empty = 0; empty < EMPTY_AT_ONCE; empty++) {
        const limit = this.#rows.length === 0 ? FIRST : LATER
        const cursor = this.#cursor
        const page = await this.#history.detections({ ...this.#query, limit, ...(cursor !== undefined && { cursor }) }, round.signal)
        if (round.signal.aborted) return
        this.#take(page.items)
        this.#cursor = page.next_cursor ?? undefined
        if (this.#cursor === undefined || page.items.length > 0) break
      }
      this.standing = this.#cursor === undefined ? 'end' : this.#rows.length >= MOST_ROWS ? 'full' : 'more'
    } catch (fault) {
      if (round.signal.aborted) return
      this.fault = fault instanceof ApiError ? fault : new ApiError(0, String(fault))
      this.standing = 'failed'
    } finally {
      if (this.#round === round) this.#round = undefined
    }
  }

  #take(items: PastEvent[]): void {
    for (const item of items) this.#rows.push(this.#entry(this.#rows.length + 1, item))
    this.length = this.#rows.length
    this.reachedMs = items.at(-1)?.message.date_ms ?? this.reachedMs
  }
}
