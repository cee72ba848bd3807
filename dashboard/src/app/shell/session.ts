// The token lives in this tab alone: gone with it, and never in an address that is kept or shared.
const KEY = 'tgmesh.token'

/**
 * The token of `#token=…`, taken out of the address bar at once and kept for this tab; else the one
 * this tab has kept.
 */
export function takeToken(): string | undefined {
  const token = new URLSearchParams(location.hash.slice(1)).get('token')?.trim()
  if (token) {
    // replaceState, so that "back" does not bring it up again either.
    history.replaceState(history.state, '', location.pathname + location.search)
    keepToken(token)
    return token
  }
  try {
    return sessionStorage.getItem(KEY) ?? undefined
  } catch {
    return undefined
  }
}

export function keepToken(token: string): void {
  try {
    sessionStorage.setItem(KEY, token)
  } catch {
    // Storage is switched off: the token lives as long as the page.
  }
}

export function forgetToken(): void {
  try {
    sessionStorage.removeItem(KEY)
  } catch {
    // See keepToken.
  }
}

/** The token in what a person pasted: the token itself, or an address that carries it. */
export function tokenIn(given: string): string {
  return given.trim().replace(/^.*#token=/s, '')
}
