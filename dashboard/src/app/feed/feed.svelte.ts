/** Rows kept: minutes of the busiest mesh, hours of a usual one; what is older is in the history. */
export const MAX_ROWS = 10_000
// Old rows go in blocks, so that a full list does not move all entries for each new one.
const BLOCK = 1_000
// Of the time that laying out takes, so much is left to everything else: the page stays responsive
// at any rate of arrival. Never longer than a fifth of a second, which still reads as live.
const REST = 3
const MOST_REST_MS = 200

/** What a list of rows needs to know of where they come from; index 0 is on top. */
export interface Source<Row extends { key: number }> {
  readonly length: number
  /** Rows ever put on top. */
  readonly added: number
  /** Times it was emptied. */
  readonly cleared: number
  at(index: number): Row | undefined
}

/**
 * The live rows, newest first to its readers, and arriving in batches: however many come, the page
 * is laid out at most once a frame.
 */
export class Feed<Row extends { key: number }> implements Source<Row> {
  // Oldest first, so that adding is cheap.
  #rows: Row[] = []
  #waiting: ((key: number) => Row)[] = []
  #scheduled = false
  #made = 0
  #restUntilMs = 0
  /** Rows in the list. */
  length = $state(0)
  /** Rows ever added: tells a reader how far things have moved since it last looked. */
  added = $state(0)
  /** Times the list was emptied. */
  cleared = $state(0)

  /** The row at `index`, 0 is the newest. */
  at(index: number): Row | undefined {
    // Read so that whoever shows a row hears of new ones.
    void this.added
    void this.cleared
    return this.#rows[this.#rows.length - 1 - index]
  }

  /** Where the row of this key is now; keys are given in the order of arrival. */
  indexOf(key: number): number | undefined {
    const index = (this.#rows.at(-1)?.key ?? 0) - key
    return this.at(index)?.key === key ? index : undefined
  }

  /** Adds a row with the next frame; it is made then, when the moment of painting is known. */
  push(make: (key: number) => Row): void {
    this.#waiting.push(make)
    // A hidden page has no frames: it still has to drain.
    if (this.#waiting.length >= MAX_ROWS) this.#flush()
    if (this.#scheduled) return
    this.#scheduled = true
    if (document.hidden) setTimeout(() => this.#run(), 250)
    else requestAnimationFrame(() => this.#frame())
  }

  clear(): void {
    this.#rows = []
    this.#waiting = []
    this.length = 0
    this.cleared += 1
  }

  #frame(): void {
    const begunMs = performance.now()
    if (begunMs < this.#restUntilMs) {
      requestAnimationFrame(() => this.#frame())
      return
    }
    this.#run()
    // Svelte lays out in a microtask, the browser after this callback: a task queued now runs when
    // both are done.
    const done = new MessageChannel()
    done.port1.onmessage = () => {
      const costMs = performance.now() - begunMs
      this.#restUntilMs = begunMs + Math.min(costMs * REST, MOST_REST_MS)
      done.port1.close()
    }
    done.port2.postMessage(undefined)
  }

  #run(): void {
    this.#scheduled = false
    this.#flush()
  }

  #flush(): void {
    const fresh = this.#waiting.splice(0)
    if (fresh.length === 0) return
    for (const make of fresh) this.#rows.push(make(++this.#made))
    if (this.#rows.length > MAX_ROWS + BLOCK) this.#rows.splice(0, this.#rows.length - MAX_ROWS)
    this.length = this.#rows.length
    this.added += fresh.length
  }
}
