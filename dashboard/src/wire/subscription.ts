import type { Detection, ErrorCode, Filter, Match, Resume, ServerFrame } from './schema'

type Frame<Name extends ServerFrame['type']> = Extract<ServerFrame, { type: Name }>

/** A detection as it is handed on: once, in the stream's order. */
export interface Delivery {
  seq: number
  detection: Detection
  traceparent: string | undefined
  /** It stood in the stream before this subscription began: its age says nothing of the path's speed. */
  replayed: boolean
}

/** A match as it is handed on: live only, with a sequence that counts for itself. */
export interface Matched {
  seq: number
  match: Match
}

/** Events that will not come; `from` and `to` are absent when the stream itself is another one now. */
export interface Loss {
  from?: number
  to?: number
}

/** What a subscription tells its owner. */
export interface Handlers {
  delivery(delivery: Delivery): void
  /** Where the filter asks for them. Matches are not resumed: what came while away is not told. */
  match?(matched: Matched): void
  /** The filter that is in force: the one asked for, cut to the token's rights. */
  subscribed?(filter: Filter): void
  /** After a reconnect: nothing was missed. */
  recovered?(): void
  lost?(loss: Loss): void
  error?(code: ErrorCode, message: string): void
}

/**
 * One subscription across any number of connections: knows where it stands in the stream, drops
 * what it has handed on before, and says what will never come.
 */
export class Subscription {
  readonly id: string
  readonly filter: Filter
  readonly #handlers: Handlers
  readonly #start: Resume | undefined
  // Where to resume: moved by detection and position frames.
  #position: { epoch: string; after: number } | undefined
  // Epoch and last sequence that were handed on or told as lost; what is not above is a repeat.
  #epoch: string | undefined
  #floor = 0
  // Last sequence of the stream when the subscription began on this connection.
  #head = 0
  #repeats = 0

  constructor(id: string, filter: Filter, handlers: Handlers, start: Resume | undefined) {
    this.id = id
    this.filter = filter
    this.#handlers = handlers
    this.#start = start
    if (start && 'after' in start) this.#position = { epoch: start.epoch, after: start.after }
    if (start && 'after' in start) [this.#epoch, this.#floor] = [start.epoch, start.after]
  }

  /** Where it goes on, on a new connection or later by another client. */
  get resume(): Resume | undefined {
    return this.#position ? { ...this.#position } : this.#start
  }

  /** Frames dropped because they had been handed on before; a sound server sends none. */
  get repeats(): number {
    return this.#repeats
  }

  /** Takes a frame that names this subscription. */
  take(frame: Frame<'subscribed' | 'detection' | 'match' | 'position' | 'gap' | 'error'>): void {
    switch (frame.type) {
      case 'subscribed':
        return this.#subscribed(frame)
      case 'detection':
        return this.#detection(frame)
      case 'match':
        return this.#handlers.match?.({ seq: frame.seq, match: frame.data })
      case 'position':
        return this.#moved(frame.epoch, frame.seq)
      case 'gap':
        return this.#gap(frame.from, frame.to)
      case 'error':
        return this.#handlers.error?.(frame.code, frame.message)
    }
  }

  #subscribed(frame: Frame<'subscribed'>): void {
    const before = this.#position
    const sameEpoch = this.#epoch === frame.epoch
    this.#head = frame.seq
    if (!sameEpoch) [this.#epoch, this.#floor] = [frame.epoch, 0]
    this.#handlers.subscribed?.(frame.filter)
    if (!before) {
      // Live from here on; with {"last": N} the position waits for the first frame, because what
      // was asked for lies before the head.
      if (!this.#start) this.#position = { epoch: frame.epoch, after: frame.seq }
    } else if (frame.recovered) {
      this.#handlers.recovered?.()
    } else if (sameEpoch && frame.oldest != null && frame.oldest - 1 > before.after) {
      this.#gap(before.after + 1, frame.oldest - 1)
    } else {
      // Another stream, or a position that this one cannot place: nothing before the head is promised.
      this.#floor = frame.seq
      this.#position = { epoch: frame.epoch, after: frame.seq }
      this.#handlers.lost?.({})
    }
  }

  #detection(frame: Frame<'detection'>): void {
    if (this.#epoch === undefined || frame.seq <= this.#floor) {
      this.#repeats += 1
      return
    }
    this.#moved(this.#epoch, frame.seq)
    this.#handlers.delivery({
      seq: frame.seq,
      detection: frame.data,
      traceparent: frame.traceparent ?? undefined,
      replayed: frame.seq <= this.#head,
    })
  }

  #gap(from: number, to: number): void {
    const first = Math.max(from, this.#floor + 1)
    if (this.#epoch === undefined || first > to) return
    this.#moved(this.#epoch, to)
    this.#handlers.lost?.({ from: first, to })
  }

  #moved(epoch: string, seq: number): void {
    if (epoch !== this.#epoch) {
      // The stream was made anew under a connection that lived on.
      if (this.#epoch !== undefined) this.#handlers.lost?.({})
      ;[this.#epoch, this.#floor, this.#head] = [epoch, 0, 0]
    }
    this.#floor = Math.max(this.#floor, seq)
    this.#position = { epoch, after: this.#floor }
  }
}
