import { backoff } from './backoff'
import { ClockOffset } from './clock'
import { afterClose, CloseCode } from './close'
import { json, type Codec } from './codec'
import { platform, type Environment, type Socket } from './environment'
import type { ClientFrame, Filter, Resume, ServerFrame } from './schema'
import { Subscription, type Handlers } from './subscription'

// A gateway answers a handshake within milliseconds; one that takes longer is not there.
const CONNECT_TIMEOUT_MS = 10_000
// Keeps the clock offset fresh, and gives a mute link something to fail on.
const PING_EVERY_MS = 10_000
// At first a few more, because one exchange alone may have met a busy moment.
const FIRST_PINGS_MS = [300, 700, 2_000]
// The server sends a position at least every 10 s and answers each ping: two silent rounds are a
// dead link, which a browser by itself would notice only minutes later.
const SILENCE_MS = 25_000
// A connection that lived this long was a good one: the next outage starts with a short wait again.
const STABLE_MS = 5_000
// A renewal has this long to get a token from whoever issues it.
const RENEW_BEFORE_MS = 60_000

/** Where the connection stands. */
export type Connection =
  | { phase: 'connecting'; attempt: number }
  | { phase: 'live'; subject: string; expiresAtMs: number }
  | { phase: 'waiting'; attempt: number; untilMs: number; code: number }
  /** The token expired or was revoked: `signIn` with a new one. */
  | { phase: 'expired' }
  /** The server refused, and coming back would not change that. */
  | { phase: 'refused'; code: number; reason: string }
  | { phase: 'closed' }

/** What a client is made from. */
export interface Options {
  /** `ws://…/ws` or `wss://…/ws`. */
  url: string
  token: string
  /** Called on every change. */
  connection?(connection: Connection): void
  /** An error frame that names no subscription. */
  error?(code: string, message: string): void
  /**
   * Gives a new token of the same subject before the old one ends; absent, the connection ends with it. Asked again,
   * after a wait, when it rejects; `undefined` is for good.
   */
  renew?(): Promise<string | undefined>
  codec?: Codec
  environment?: Environment
}

/**
 * A client of the gateway's WebSocket: stays connected, resumes each subscription where it stood,
 * and hands each detection on once.
 */
export class Client {
  /** How far the server's clock is ahead of this one. */
  readonly clock = new ClockOffset()
  readonly #options: Options
  readonly #codec: Codec
  readonly #environment: Environment
  readonly #subscriptions = new Map<string, Subscription>()
  #connection: Connection = { phase: 'closed' }
  #token: string
  #socket: Socket | undefined
  #attempt = 0
  #made = 0
  #openedMs = 0
  #heardMs = 0
  #waitAdvisedMs: number | undefined
  readonly #timers = new Set<() => void>()

  constructor(options: Options) {
    this.#options = options
    this.#token = options.token
    this.#codec = options.codec ?? json
    this.#environment = options.environment ?? platform
  }

  get connection(): Connection {
    return this.#connection
  }

  /** Opens the connection. Without effect where it is open or on its way. */
  connect(): void {
    if (!this.#socket) this.#open()
  }

  /** Ends the connection for good, or until `connect`. */
  close(): void {
    this.#drop(1000)
    this.#become({ phase: 'closed' })
  }

  /** Goes on with another token: after `expired` or `refused`, or as a renewal while live. */
  signIn(token: string): void {
    this.#token = token
    if (this.#connection.phase === 'live') {
      this.#send({ type: 'auth', token })
      return
    }
    this.#attempt = 0
    this.#drop(1000)
    this.#open()
  }

  /** Tries again now instead of after the wait: the network is back, or a person asked. */
  retryNow(): void {
    if (this.#connection.phase === 'waiting') this.#open()
  }

  /** Starts a subscription; it outlives connections until `unsubscribe`. */
  subscribe(filter: Filter, handlers: Handlers, start?: Resume): Subscription {
    this.#made += 1
    const subscription = new Subscription(`s${this.#made}`, filter, handlers, start)
    this.#subscriptions.set(subscription.id, subscription)
    if (this.#connection.phase === 'live') this.#ask(subscription)
    return subscription
  }

  unsubscribe(subscription: Subscription): void {
    if (!this.#subscriptions.delete(subscription.id)) return
    if (this.#connection.phase === 'live') this.#send({ type: 'unsubscribe', id: subscription.id })
  }

  /** Tells the server that an event was painted, in the server's time as far as it is known. */
  rendered(seq: number): void {
    if (this.#connection.phase !== 'live') return
    const at_ms = this.#environment.now() + (this.clock.offsetMs ?? 0)
    this.#send({ type: 'rendered', seq, at_ms })
  }

  #open(): void {
    this.#drop(1000)
    this.#waitAdvisedMs = undefined
    this.#become({ phase: 'connecting', attempt: this.#attempt })
    let socket: Socket
    try {
      socket = this.#environment.open(this.#options.url, [this.#codec.subprotocol, 'bearer', this.#token])
    } catch {
      // The platform refuses characters that no token has.
      this.#become({ phase: 'refused', code: CloseCode.unauthorized, reason: 'this is no token' })
      return
    }
    this.#socket = socket
    socket.onmessage = (event) => this.#message(event.data)
    socket.onclose = (event) => this.#closed(event.code, event.reason)
    this.#later(CONNECT_TIMEOUT_MS, () => {
      if (this.#connection.phase !== 'live') this.#lost()
    })
  }

  #message(data: unknown): void {
    this.#heardMs = this.#environment.now()
    const frame = this.#codec.decode(data)
    if (!frame) return
    switch (frame.type) {
      case 'welcome':
        return this.#welcome(frame)
      case 'pong':
        return this.clock.add(frame.t_ms, frame.server_ms, this.#environment.now())
      case 'reconnect':
        this.#waitAdvisedMs = Math.max(0, frame.after_ms)
        return
      case 'error':
        if (frame.id == null) this.#options.error?.(frame.code, frame.message)
        else this.#subscriptions.get(frame.id)?.take(frame)
        return
      default:
        this.#subscriptions.get(frame.id)?.take(frame)
    }
  }

  #welcome(frame: Extract<ServerFrame, { type: 'welcome' }>): void {
    const first = this.#connection.phase !== 'live'
    const expiresAtMs = frame.expires_at * 1000
    this.#become({ phase: 'live', subject: frame.subject, expiresAtMs })
    if (first) {
      this.#openedMs = this.#environment.now()
      // The first ping goes before what may bring hundreds of frames: behind them it would be slow.
      this.#ping(0)
      for (const subscription of this.#subscriptions.values()) this.#ask(subscription)
      this.#watch()
    }
    if (this.#options.renew) {
      const wait = expiresAtMs - this.#environment.now() - RENEW_BEFORE_MS
      // Browsers run a longer timer at once; a token of more than 24 days can wait for its 4409.
      if (wait < 2 ** 31) this.#later(Math.max(wait, 1000), () => void this.#renew())
    }
  }

  #ask(subscription: Subscription): void {
    const { id, filter, resume } = subscription
    this.#send({ type: 'subscribe', id, filter, ...(resume && { resume }) })
  }

  #ping(round: number): void {
    this.#send({ type: 'ping', t_ms: this.#environment.now() })
    this.#later(FIRST_PINGS_MS[round] ?? PING_EVERY_MS, () => this.#ping(round + 1))
  }

  #watch(): void {
    const silent = this.#environment.now() - this.#heardMs
    if (silent >= SILENCE_MS) this.#lost()
    else this.#later(SILENCE_MS - silent, () => this.#watch())
  }

  // The link is dead although nothing said so.
  #lost(): void {
    this.#drop(4000)
    this.#closed(1006, '')
  }

  #closed(code: number, reason: string): void {
    const lived = this.#connection.phase === 'live' ? this.#environment.now() - this.#openedMs : 0
    this.#drop(1000)
    switch (afterClose(code)) {
      case 'stop':
        this.#become({ phase: 'refused', code, reason })
        return
      case 'renew':
        this.#become({ phase: 'expired' })
        void this.#renew()
        return
      case 'retry': {
        this.#attempt = lived >= STABLE_MS ? 1 : this.#attempt + 1
        const own = backoff(this.#attempt, this.#environment.random)
        // Spread over half as much again, so that a gateway's clients do not all return at once.
        const advised = this.#waitAdvisedMs
        const wait = advised === undefined ? own : Math.max(advised * (1 + this.#environment.random() / 2), own)
        const untilMs = this.#environment.now() + wait
        this.#become({ phase: 'waiting', attempt: this.#attempt, untilMs, code })
        this.#later(wait, () => this.#open())
      }
    }
  }

  async #renew(attempt = 1): Promise<void> {
    const old = this.#token
    // Meanwhile someone may have signed in by hand or left.
    const isMoot = () => this.#token !== old || this.#connection.phase === 'closed'
    try {
      const token = await this.#options.renew?.()
      if (token !== undefined && !isMoot()) this.signIn(token)
    } catch {
      // Whoever issues tokens is away, as a gateway can be: not a reason to stay out for good.
      if (!isMoot()) this.#later(backoff(attempt, this.#environment.random), () => void this.#renew(attempt + 1))
    }
  }

  #send(frame: ClientFrame): void {
    this.#socket?.send(this.#codec.encode(frame))
  }

  // Forgets socket and timers, so that nothing of this connection is heard any more.
  #drop(code: number): void {
    for (const cancel of this.#timers) cancel()
    this.#timers.clear()
    const socket = this.#socket
    this.#socket = undefined
    if (!socket) return
    socket.onopen = socket.onmessage = socket.onclose = null
    socket.close(code)
  }

  #later(ms: number, task: () => void): void {
    const cancel = this.#environment.after(ms, () => {
      this.#timers.delete(cancel)
      task()
    })
    this.#timers.add(cancel)
  }

  #become(connection: Connection): void {
    this.#connection = connection
    this.#options.connection?.(connection)
  }
}
