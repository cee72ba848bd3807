// A world for the wire client: time that a test moves, chance from a seed, and a gateway whose
// links can be cut at any frame.
import type { Environment, Socket } from '../src/wire/environment'
import type { ClientFrame, Detection, Filter, ServerFrame } from '../src/wire/schema'

/** Numbers in [0, 1) from a seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Time that moves only by `advance`, running what falls due on the way. */
export class World {
  nowMs = 1_764_000_000_000
  readonly random: () => number
  #tasks: { at: number; order: number; run: () => void }[] = []
  #order = 0

  constructor(seed = 1) {
    this.random = seeded(seed)
  }

  after(ms: number, run: () => void): () => void {
    const task = { at: this.nowMs + ms, order: this.#order++, run }
    this.#tasks.push(task)
    return () => {
      this.#tasks = this.#tasks.filter((other) => other !== task)
    }
  }

  advance(ms: number): void {
    const end = this.nowMs + ms
    for (;;) {
      const due = this.#tasks
        .filter((task) => task.at <= end)
        .sort((a, b) => a.at - b.at || a.order - b.order)[0]
      if (!due) break
      this.#tasks = this.#tasks.filter((task) => task !== due)
      this.nowMs = Math.max(this.nowMs, due.at)
      due.run()
    }
    this.nowMs = end
  }

  environment(open: Environment['open']): Environment {
    return { now: () => this.nowMs, random: this.random, after: (ms, task) => this.after(ms, task), open }
  }
}

/** The gateway's side of one socket. */
export class Link implements Socket {
  readonly protocol: string
  onopen: (() => void) | null = null
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: ((event: { code: number; reason: string }) => void) | null = null
  readonly sent: ClientFrame[] = []
  readonly subscriptions = new Map<string, { filter: Filter; sent: number }>()
  open = true
  // Frames on their way: a cut loses them.
  #flying: ServerFrame[] = []
  readonly #gateway: Gateway
  readonly #world: World

  constructor(gateway: Gateway, world: World, protocol: string) {
    this.#gateway = gateway
    this.#world = world
    this.protocol = protocol
  }

  send(data: string | Uint8Array<ArrayBuffer>): void {
    if (!this.open) return
    const frame = JSON.parse(data as string) as ClientFrame
    this.sent.push(frame)
    this.#gateway.take(this, frame)
  }

  close(): void {
    this.open = false
    this.#gateway.links.delete(this)
  }

  /** Puts a frame on the wire; it arrives a little later, in order. */
  reply(frame: ServerFrame): void {
    this.#flying.push(frame)
    this.#world.after(1 + this.#gateway.delayMs, () => {
      const next = this.#flying.shift()
      if (next && this.open) this.onmessage?.({ data: JSON.stringify(next) })
    })
  }

  /** Ends the link; frames on their way are gone. */
  cut(code = 1006): void {
    this.#flying = []
    this.open = false
    this.#gateway.links.delete(this)
    this.onclose?.({ code, reason: '' })
  }

  /** Goes mute without a word. */
  mute(): void {
    this.#flying = []
    this.#gateway.links.delete(this)
    this.open = false
  }
}

/** A gateway that follows the contract over a stream in memory. */
export class Gateway {
  readonly links = new Set<Link>()
  readonly opened: { url: string; protocols: string[] }[] = []
  /** What the stream holds and the filter lets pass. */
  stream: number[] = []
  /** What ever passed, whether the stream still holds it or not. */
  readonly published: number[] = []
  epoch = 'e1'
  head = 0
  oldest = 1
  /** Answers the handshake with this close code instead of a welcome. */
  refuse: number | undefined
  /** Does not answer at all. */
  away = false
  /** Sends frames again after a resume that the client has had; the client has to drop them. */
  overlap = 0
  delayMs = 0
  serverAheadMs = 5_000
  #sessions = 0
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  readonly open = (url: string, protocols: string[]): Socket => {
    this.opened.push({ url, protocols })
    const link = new Link(this, this.#world, protocols[0] ?? '')
    this.links.add(link)
    const { refuse, away } = this
    this.#world.after(1, () => {
      if (!link.open || away) return
      if (refuse !== undefined) link.cut(refuse)
      else this.welcome(link)
    })
    return link
  }

  welcome(link: Link): void {
    const expires_at = Math.floor(this.#world.nowMs / 1000) + 3600
    const session = `c${++this.#sessions}`
    link.reply({ type: 'welcome', session, epoch: this.epoch, seq: this.head, subject: 'alice', expires_at })
  }

  /** Adds an event, visible to everybody when `passes`. */
  publish(passes = true): void {
    this.head += 1
    if (!passes) return
    this.stream.push(this.head)
    this.published.push(this.head)
    for (const link of this.links) {
      for (const id of link.subscriptions.keys()) link.reply(detection(id, this.head))
    }
  }

  position(): void {
    for (const link of this.links) {
      for (const id of link.subscriptions.keys()) {
        link.reply({ type: 'position', id, epoch: this.epoch, seq: this.head })
      }
    }
  }

  /** Retention: what is below `oldest` is gone. */
  discard(oldest: number): void {
    this.oldest = oldest
    this.stream = this.stream.filter((seq) => seq >= oldest)
  }

  /** The stream is made anew, and its sequences begin at 1 again. */
  recreate(epoch: string): void {
    this.epoch = epoch
    this.stream = []
    this.head = 0
    this.oldest = 1
  }

  take(link: Link, frame: ClientFrame): void {
    switch (frame.type) {
      case 'auth':
        return this.welcome(link)
      case 'ping':
        return link.reply({
          type: 'pong',
          t_ms: frame.t_ms,
          server_ms: this.#world.nowMs + this.serverAheadMs,
        })
      case 'unsubscribe':
        link.subscriptions.delete(frame.id)
        return
      case 'subscribe': {
        const { id, filter = {}, resume } = frame
        const same = resume && 'after' in resume && resume.epoch === this.epoch
        const recovered = !!same && this.oldest - 1 <= resume.after && resume.after <= this.head
        link.reply({ type: 'subscribed', id, epoch: this.epoch, seq: this.head, filter, recovered, oldest: this.oldest })
        link.subscriptions.set(id, { filter, sent: 0 })
        let past: number[] = []
        if (same) past = this.stream.filter((seq) => seq > resume.after - this.overlap)
        else if (resume && 'last' in resume) past = this.stream.slice(-resume.last)
        for (const seq of past) link.reply(detection(id, seq))
      }
    }
  }
}

/** A detection frame that is about nothing but its sequence. */
export function detection(id: string, seq: number): ServerFrame {
  return { type: 'detection', id, seq, data: { id: String(seq) } as Detection }
}
