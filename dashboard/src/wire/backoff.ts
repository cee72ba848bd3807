// The first retry is quick, because most outages are a restart of a gateway; the cap is the
// longest that a person should wait for a page to come back by itself.
const FIRST_MS = 500
const CAP_MS = 30_000

/**
 * Milliseconds to wait before attempt `attempt` (1 is the first retry). `random` gives numbers in
 * [0, 1); at least half of the exponential step is kept, so that thousands of clients spread out
 * and none of them comes back at once.
 */
export function backoff(attempt: number, random: () => number): number {
  const step = Math.min(CAP_MS, FIRST_MS * 2 ** Math.min(attempt - 1, 16))
  return step / 2 + (step / 2) * random()
}
