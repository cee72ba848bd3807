import { ApiError, type History, type Metrics } from '../../wire'

// Slow enough to cost nothing, quick enough to look alive.
const EVERY_MS = 3_000
// Half an hour of readings.
const MOST_SAMPLES = 600
// Each process tells its counts every 5 s: a rate over less would go up and down by itself.
const RATE_OVER_MS = 15_000

/** One reading, and what it says of the time since the one before. */
export interface Sample {
  atMs: number
  metrics: Metrics
  /** A second; undefined for the first one and where a count fell, as after a restart. */
  messages: number | undefined
  detections: number | undefined
  deliveries: number | undefined
}

/** The mesh's figures, read again and again while the page is in sight. */
export class Poller {
  /** The oldest first; a new list with each reading. */
  samples = $state.raw<Sample[]>([])
  fault = $state.raw<ApiError>()
  readonly last = $derived(this.samples.at(-1))

  /** Reads until the returned function is called. */
  start(history: History): () => void {
    const ended = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const round = async () => {
      let wait = EVERY_MS
      try {
        // A page out of sight asks for nothing.
        if (!document.hidden) {
          const metrics = await history.metrics(ended.signal)
          if (!ended.signal.aborted) this.#take(metrics)
        }
      } catch (fault) {
        if (ended.signal.aborted) return
        this.fault = fault instanceof ApiError ? fault : new ApiError(0, String(fault))
        wait = Math.max(wait, this.fault.retryAfterMs ?? 0)
      }
      if (!ended.signal.aborted) timer = setTimeout(() => void round(), wait)
    }
    void round()
    return () => {
      ended.abort()
      clearTimeout(timer)
      this.samples = []
      this.fault = undefined
    }
  }

  #take(metrics: Metrics): void {
    const now = Date.now()
    const sample = sampled(metrics, now, this.samples.findLast(({ atMs }) => now - atMs >= RATE_OVER_MS) ?? this.samples[0])
    this.samples = [...this.samples.slice(-(MOST_SAMPLES - 1)), sample]
    this.fault = undefined
  }
}

/** A reading beside the one before it. */
export function sampled(metrics: Metrics, atMs: number, before: Sample | undefined): Sample {
  const rate = (name: 'messagesProcessed' | 'contractsDetected' | 'websocketDeliveries') => {
    const old = before?.metrics[name]
    const now = metrics[name]
    // A count that fell is a restart: the next pair tells the rate again.
    if (before === undefined || old === undefined || now < old || atMs <= before.atMs) return undefined
    return ((now - old) * 1000) / (atMs - before.atMs)
  }
  return { atMs, metrics, messages: rate('messagesProcessed'), detections: rate('contractsDetected'), deliveries: rate('websocketDeliveries') }
}
