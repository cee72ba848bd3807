import type { Delivery } from '../../wire'

// A token's `rate` may be small, and a page that reports thousands of rows a second serves nobody.
const PER_SECOND = 20
// Without sampled traces, one report in a while still shows that a page is painting.
const UNSAMPLED_EVERY_MS = 2_000

/**
 * Decides which painted detections are reported: those whose trace is sampled, because a report
 * closes it, as far as the budget goes; else the newest now and then.
 */
export class Painted {
  #waiting: number[] = []
  #newest: number | undefined
  #scheduled = false
  #second = 0
  #spent = 0
  #reportedMs = -Infinity
  readonly #report: (seq: number) => void
  readonly #now: () => number

  constructor(report: (seq: number) => void, now: () => number) {
    this.#report = report
    this.#now = now
  }

  /** Takes a detection that goes into the page in this frame. */
  add({ seq, traceparent, replayed }: Delivery): void {
    // What stood in the stream before tells nothing of the path's speed.
    if (replayed) return
    if (isSampled(traceparent) && this.#waiting.length < PER_SECOND) this.#waiting.push(seq)
    this.#newest = seq
    if (this.#scheduled) return
    this.#scheduled = true
    // The next frame begins after this one was painted.
    requestAnimationFrame(() => {
      this.#scheduled = false
      this.#send()
    })
  }

  #send(): void {
    const now = this.#now()
    const second = Math.floor(now / 1000)
    if (second !== this.#second) [this.#second, this.#spent] = [second, 0]
    const due = this.#waiting.splice(0).slice(0, PER_SECOND - this.#spent)
    if (due.length === 0 && this.#newest !== undefined && now - this.#reportedMs >= UNSAMPLED_EVERY_MS) {
      due.push(this.#newest)
    }
    this.#newest = undefined
    if (due.length === 0) return
    this.#spent += due.length
    this.#reportedMs = now
    for (const seq of due) this.#report(seq)
  }
}

// W3C Trace Context: the last two hex digits are flags, the lowest bit is "sampled".
function isSampled(traceparent: string | undefined): boolean {
  return (Number.parseInt(traceparent?.slice(-2) ?? '', 16) & 1) === 1
}
