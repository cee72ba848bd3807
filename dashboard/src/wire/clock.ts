// Samples kept: enough to hold one from a quiet moment, few enough to follow a clock that drifts.
const SAMPLES = 8

/** How far the server's clock is ahead of this one, from ping and pong. */
export class ClockOffset {
  #samples: { roundTrip: number; offset: number }[] = []

  /** Takes one exchange; all three in milliseconds since the epoch. */
  add(sentMs: number, serverMs: number, receivedMs: number): void {
    const roundTrip = receivedMs - sentMs
    if (!Number.isFinite(serverMs) || !(roundTrip >= 0)) return
    this.#samples.push({ roundTrip, offset: serverMs - (sentMs + receivedMs) / 2 })
    if (this.#samples.length > SAMPLES) this.#samples.shift()
  }

  /** Milliseconds to add to this clock; undefined before the first exchange. */
  get offsetMs(): number | undefined {
    return this.#best?.offset
  }

  /** The quickest round trip of late; its half bounds the error of the offset. */
  get roundTripMs(): number | undefined {
    return this.#best?.roundTrip
  }

  // The quickest exchange spent the least time in queues, so its middle is the truest.
  get #best() {
    return this.#samples.reduce<{ roundTrip: number; offset: number } | undefined>(
      (best, sample) => (best && best.roundTrip <= sample.roundTrip ? best : sample),
      undefined,
    )
  }
}
