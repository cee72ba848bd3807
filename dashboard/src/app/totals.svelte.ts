// Slow enough to cost nothing, quick enough to look alive.
const EVERY_MS = 3_000

/** What the page reads of `GET /api/metrics/telegram-stream`; each may be absent. */
export interface Totals {
  messagesProcessed?: number | null
  contractsDetected?: number | null
  streamQueueSize?: number | null
  avgListenerToStreamLatency?: number | null
  avgStreamToWebSocketLatency?: number | null
  avgDatabaseBatchLatency?: number | null
  websocketClients?: number | null
  errors?: number | null
  uptime?: number | null
}

/** The mesh's totals, read again and again while the page is in sight. */
export class Poller {
  totals = $state.raw<Totals>()
  /** Messages a second between the last two readings. */
  rate = $state<number>()
  #last: { atMs: number; messages: number } | undefined

  /** Reads until the returned function is called. */
  start(token: string): () => void {
    const ended = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const round = async () => {
      if (!document.hidden) await this.#read(token, ended.signal).catch(() => (this.totals = undefined))
      if (!ended.signal.aborted) timer = setTimeout(() => void round(), EVERY_MS)
    }
    void round()
    return () => {
      ended.abort()
      clearTimeout(timer)
      this.totals = this.rate = this.#last = undefined
    }
  }

  async #read(token: string, signal: AbortSignal): Promise<void> {
    const response = await fetch('api/metrics/telegram-stream', {
      headers: { authorization: `Bearer ${token}` },
      cache: 'no-store',
      signal: AbortSignal.any([signal, AbortSignal.timeout(10_000)]),
    })
    if (!response.ok) throw new Error(String(response.status))
    const totals = (await response.json()) as Totals
    if (signal.aborted) return
    const now = performance.now()
    const messages = totals.messagesProcessed ?? 0
    // A count that fell is a restart: the next pair tells the rate again.
    if (this.#last && messages >= this.#last.messages) {
      this.rate = ((messages - this.#last.messages) * 1000) / (now - this.#last.atMs)
    }
    this.#last = { atMs: now, messages }
    this.totals = totals
  }
}
