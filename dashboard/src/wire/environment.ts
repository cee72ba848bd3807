/** The part of a WebSocket that the client uses. */
export interface Socket {
  readonly protocol: string
  onopen: (() => void) | null
  onmessage: ((event: { data: unknown }) => void) | null
  onclose: ((event: { code: number; reason: string }) => void) | null
  send(data: string | Uint8Array<ArrayBuffer>): void
  close(code?: number, reason?: string): void
}

/** Time, chance and the network, as arguments, so that a test can set them. */
export interface Environment {
  /** Milliseconds since the epoch, with fractions where the platform has them. */
  now(): number
  /** In [0, 1). */
  random(): number
  /** Runs `task` once, `ms` later; returns what cancels it. */
  after(ms: number, task: () => void): () => void
  /** Opens a WebSocket. Throws where the token cannot stand in a subprotocol offer. */
  open(url: string, protocols: string[]): Socket
}

/** The browser's own, or Node's where it has a global WebSocket. */
export const platform: Environment = {
  // performance.now() has fractions and cannot jump back, Date.now() has neither property.
  now: () => performance.timeOrigin + performance.now(),
  random: Math.random,
  after(ms, task) {
    const timer = setTimeout(task, ms)
    return () => clearTimeout(timer)
  },
  open(url, protocols) {
    const socket = new WebSocket(url, protocols)
    socket.binaryType = 'arraybuffer'
    return socket as unknown as Socket
  },
}
