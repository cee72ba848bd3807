import type { AddressFacts, Chats, DeadLetters, Events, Problem, SenderFacts } from './answers'
import type { Filter } from './schema'

// Nobody looks at a page that has not answered for this long; the gateway gives up long before.
const TIMEOUT_MS = 20_000

/** What to read of the past: the filter's names, a time span and a place to go on from. */
export interface PastQuery extends Filter {
  /** Milliseconds since the epoch, by the message's date. */
  since?: number
  until?: number
  limit?: number
  cursor?: string
}

/** Percentiles of one hop in milliseconds; nil where nothing was observed within the last minute. */
export interface Percentiles {
  p50: number | null
  p99: number | null
  p999: number | null
}

/** One process, as `GET /api/metrics/telegram-stream` tells operators. */
export interface Instance {
  service: string
  instance: string
  uptime: number | null
  memoryUsage: { rss: number; heap: number }
  counters: Record<string, number>
  gauges: Record<string, number>
}

/** `GET /api/metrics/telegram-stream`; the contract has the meaning of each. */
export interface Metrics {
  messagesProcessed: number
  contractsDetected: number
  streamQueueSize: number
  avgListenerToStreamLatency: number | null
  avgStreamToWebSocketLatency: number | null
  avgDatabaseBatchLatency: number | null
  batchesWritten: number
  websocketDeliveries: number
  websocketClients: number
  errors: number
  uptime: number | null
  memoryUsage: { rss: number; heap: number }
  latency: Record<string, Percentiles | undefined>
  instances?: Instance[]
}

/** The API said no. `status` 0: nothing answered. */
export class ApiError extends Error {
  readonly status: number
  /** When it may be asked again, where it says so. */
  readonly retryAfterMs: number | undefined

  constructor(status: number, message: string, retryAfterMs?: number) {
    super(message)
    this.name = 'ApiError'
    this.status = status
    this.retryAfterMs = retryAfterMs
  }
}

/** A reader of the gateway's HTTP API. */
export class History {
  readonly #base: string
  readonly #token: () => string | undefined

  /** `base` is the address beside which `/api` lies; `token` is asked before each request. */
  constructor(base: string, token: () => string | undefined) {
    this.#base = base
    this.#token = token
  }

  /** One page, newest first. It may be empty and still have a `next_cursor`. */
  detections(query: PastQuery, signal?: AbortSignal): Promise<Events> {
    return this.#get(`api/detections?${parameters(query)}`, signal)
  }

  address(address: string, signal?: AbortSignal): Promise<AddressFacts> {
    return this.#get(`api/addresses/${encodeURIComponent(address)}`, signal)
  }

  chats(cursor?: string, signal?: AbortSignal): Promise<Chats> {
    return this.#get(`api/chats?limit=1000${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`, signal)
  }

  sender(id: number, signal?: AbortSignal): Promise<SenderFacts> {
    return this.#get(`api/senders/${id}`, signal)
  }

  deadLetters(signal?: AbortSignal): Promise<DeadLetters> {
    return this.#get('api/deadletters?limit=100', signal)
  }

  metrics(signal?: AbortSignal): Promise<Metrics> {
    return this.#get('api/metrics/telegram-stream', signal)
  }

  async #get<Answer>(path: string, signal?: AbortSignal): Promise<Answer> {
    const timeout = AbortSignal.timeout(TIMEOUT_MS)
    let response: Response
    try {
      response = await fetch(new URL(path, this.#base), {
        headers: { authorization: `Bearer ${this.#token() ?? ''}` },
        cache: 'no-store',
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      })
      if (response.ok) return (await response.json()) as Answer
    } catch (fault) {
      if (signal?.aborted) throw fault
      throw new ApiError(0, 'The gateway does not answer.')
    }
    const problem = (await response.json().catch(() => ({}))) as Partial<Problem>
    const wait = Number(response.headers.get('retry-after'))
    throw new ApiError(response.status, problem.detail ?? response.statusText, wait > 0 ? wait * 1000 : undefined)
  }
}

/** A query as the API reads it: lists repeated, nothing for what is absent. */
export function parameters(query: PastQuery): string {
  const out = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === null || value === '' || value === false) continue
    if (!Array.isArray(value)) out.set(name, String(value))
    // Repeated, as the API also takes them.
    else for (const one of value) out.append(name, String(one))
  }
  return out.toString()
}
