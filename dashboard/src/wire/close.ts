/** What to do when the server closes the connection. */
export type AfterClose = 'retry' | 'renew' | 'stop'

/** WebSocket close codes of the contract. */
export const CloseCode = {
  goingAway: 1001,
  malformed: 4400,
  unauthorized: 4401,
  forbidden: 4403,
  tooSlow: 4408,
  expired: 4409,
  tooLarge: 4413,
  rateLimited: 4429,
} as const

// Codes of RFC 6455 that tell of a lost or troubled link rather than of a refusal.
const TRANSIENT = new Set([1000, 1001, 1005, 1006, 1011, 1012, 1013, 1014, 1015])

/**
 * Whether to come back after a close: `retry` after a wait, `renew` with a new token only, `stop`
 * never by itself. A code that is not known stops: coming back again and again after a refusal
 * that one does not understand helps nobody.
 */
export function afterClose(code: number): AfterClose {
  if (code === CloseCode.expired) return 'renew'
  if (code === CloseCode.tooSlow || code === CloseCode.rateLimited) return 'retry'
  return TRANSIENT.has(code) ? 'retry' : 'stop'
}
