import type { ClientFrame, ServerFrame } from './schema'

/** One of the two encodings of the same frames. */
export interface Codec {
  /** The subprotocol to offer. */
  readonly subprotocol: string
  encode(frame: ClientFrame): string | Uint8Array<ArrayBuffer>
  /** The frame, or undefined when the bytes are none, or of a type that this client does not know. */
  decode(data: unknown): ServerFrame | undefined
}

/** JSON text frames, the default. */
export const json: Codec = {
  subprotocol: 'tgmesh.v1.json',
  encode: (frame) => JSON.stringify(frame),
  decode(data) {
    if (typeof data !== 'string') return undefined
    try {
      return asServerFrame(JSON.parse(data))
    } catch {
      return undefined
    }
  },
}

// What the client itself relies on, by frame type: the rest of a frame is the reader's.
const SHAPES: Record<ServerFrame['type'], Record<string, 'string' | 'number' | 'boolean' | 'object'>> = {
  welcome: { epoch: 'string', seq: 'number', subject: 'string', expires_at: 'number' },
  subscribed: { id: 'string', epoch: 'string', seq: 'number', recovered: 'boolean', filter: 'object' },
  detection: { id: 'string', seq: 'number', data: 'object' },
  match: { id: 'string', seq: 'number', data: 'object' },
  position: { id: 'string', epoch: 'string', seq: 'number' },
  gap: { id: 'string', from: 'number', to: 'number' },
  error: { code: 'string', message: 'string' },
  pong: { t_ms: 'number', server_ms: 'number' },
  reconnect: { after_ms: 'number' },
}

/** Checks the part of a frame that resume and reconnect depend on. */
export function asServerFrame(value: unknown): ServerFrame | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const frame = value as Record<string, unknown>
  const name = frame['type']
  if (typeof name !== 'string' || !Object.hasOwn(SHAPES, name)) return undefined
  for (const [key, kind] of Object.entries(SHAPES[name as ServerFrame['type']])) {
    const field = frame[key]
    if (typeof field !== kind || field === null) return undefined
    if (key === 'seq' && !Number.isSafeInteger(field)) return undefined
  }
  return value as ServerFrame
}
