import type { Row } from './row'

/** Rows kept: hours of a busy mesh, and well below what a browser lays out (33 million pixels). */
export const MAX_ROWS = 20_000
// Old rows go in blocks, so that a full list does not move 20,000 entries for each new one.
const BLOCK = 2_000

/**
 * The rows of the list, newest first to its readers, and arriving in batches of one frame: however
 * many come, the page is laid out at most once a frame.
 */
export class Feed {
  // Oldest first, so that adding is cheap.
  #rows: Row[] = []
  #waiting: ((key: number) => Row)[] = []
  #scheduled = false
  #made = 0
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

  /** Adds a row with the next frame; it is made then, when the moment of painting is known. */
  push(make: (key: number) => Row): void {
    this.#waiting.push(make)
    // A hidden page has no frames: it still has to drain.
    if (this.#waiting.length >= MAX_ROWS) this.#flush()
    if (this.#scheduled) return
    this.#scheduled = true
    const run = () => {
      this.#scheduled = false
      this.#flush()
    }
    if (document.hidden) setTimeout(run, 250)
    else requestAnimationFrame(run)
  }

  clear(): void {
    this.#rows = []
    this.#waiting = []
    this.length = 0
    this.cleared += 1
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
