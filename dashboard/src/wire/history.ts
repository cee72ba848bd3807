import type { AddressFacts, AuditEntries, Chats, DeadLetters, Events, Problem, SenderFacts } from './answers'
import type { Filter } from './schema'

// Nobody looks at a page that has not answered for this long; the gateway gives up long before.
const TIMEOUT_MS = 20_000
// A file that has stood still for this long will not come to its end.
const STALLED_MS = 60_000

/** What to read of the past: the filter's names, a time span and a place to go on from. */
export interface PastQuery extends Filter {
  /** Milliseconds since the epoch, by the message's date. */
  since?: number
  until?: number
  limit?: number
  cursor?: string
}

/** What to read of the audit log. */
export interface AuditQuery {
  service?: string
  event?: string
  actor?: string
  target?: string
  /** Milliseconds since the epoch. */
  since?: number
  until?: number
  limit?: number
  cursor?: string
}

/** A file of events, as spreadsheets or programs read it. */
export type ExportFormat = 'csv' | 'ndjson'

const MEDIA = { csv: 'text/csv', ndjson: 'application/x-ndjson' } as const

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

  /**
   * All events of a query as a file, or its `limit`; not for viewers. It is whole or it is refused: what breaks off, or
   * is longer than `mostBytes`, is no file.
   */
  async export(query: PastQuery, format: ExportFormat, mostBytes: number, progress: (bytes: number) => void, signal: AbortSignal): Promise<Blob> {
    const stalled = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const heard = () => (clearTimeout(timer), (timer = setTimeout(() => stalled.abort(), STALLED_MS)))
    heard()
    try {
      const response = await this.#ask(`api/detections?${parameters(query)}`, MEDIA[format], AbortSignal.any([signal, stalled.signal]), signal)
      const parts: Uint8Array<ArrayBuffer>[] = []
      const reader = response.body?.getReader()
      for (let bytes = 0; reader; ) {
        const { done, value } = await reader.read()
        if (done) break
        heard()
        bytes += value.length
        if (bytes > mostBytes) {
          void reader.cancel()
          throw new ApiError(413, 'There is more than this page takes into one file: narrow the time.')
        }
        parts.push(value)
        progress(bytes)
      }
      return new Blob(parts, { type: MEDIA[format] })
    } catch (fault) {
      if (signal.aborted || fault instanceof ApiError) throw fault
      throw new ApiError(0, 'The file broke off before its end.')
    } finally {
      clearTimeout(timer)
    }
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

  /** The newest first; for operators. */
  audit(query: AuditQuery, signal?: AbortSignal): Promise<AuditEntries> {
    return this.#get(`api/audit?${parameters(query)}`, signal)
  }

  metrics(signal?: AbortSignal): Promise<Metrics> {
    return this.#get('api/metrics/telegram-stream', signal)
  }

  async #get<Answer>(path: string, signal?: AbortSignal): Promise<Answer> {
    const timeout = AbortSignal.timeout(TIMEOUT_MS)
    const response = await this.#ask(path, 'application/json', signal ? AbortSignal.any([signal, timeout]) : timeout, signal)
    try {
      return (await response.json()) as Answer
    } catch (fault) {
      if (signal?.aborted) throw fault
      throw new ApiError(0, 'The gateway does not answer.')
    }
  }

  // `either` ends the request; `signal` is the caller's own, who wants no explanation.
  async #ask(path: string, accept: string, either: AbortSignal, signal: AbortSignal | undefined): Promise<Response> {
    let response: Response
    try {
      response = await fetch(new URL(path, this.#base), {
        headers: { authorization: `Bearer ${this.#token() ?? ''}`, accept },
        cache: 'no-store',
        signal: either,
      })
    } catch (fault) {
      if (signal?.aborted) throw fault
      throw new ApiError(0, 'The gateway does not answer.')
    }
    if (response.ok) return response
    const problem = (await response.json().catch(() => ({}))) as Partial<Problem>
    const wait = Number(response.headers.get('retry-after'))
    throw new ApiError(response.status, problem.detail ?? response.statusText, wait > 0 ? wait * 1000 : undefined)
  }
}

/** A query as the API reads it: lists repeated, nothing for what is absent. */
export function parameters(query: PastQuery | AuditQuery): string {
  const out = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === null || value === '' || value === false) continue
    if (!Array.isArray(value)) out.set(name, String(value))
    // Repeated, as the API also takes them.
    else for (const one of value) out.append(name, String(one))
  }
  return out.toString()
}
