/** What a token says of its holder. Read, not checked: the gateway decides, this only explains. */
export interface Claims {
  subject: string
  role: 'viewer' | 'analyst' | 'operator' | undefined
  /** Every chat, or these. */
  chats: number[] | '*'
  /** All where absent. */
  families: string[] | undefined
  minConfidence: number | undefined
  maxConnections: number | undefined
  rate: number | undefined
  tokenId: string | undefined
  expiresAtMs: number | undefined
}

/** The claims of a token, or undefined for what is none. */
export function readClaims(token: string): Claims | undefined {
  const payload = token.split('.')[1]
  if (!payload) return undefined
  try {
    const binary = atob(payload.replaceAll('-', '+').replaceAll('_', '/'))
    const text = new TextDecoder().decode(Uint8Array.from(binary, (character) => character.charCodeAt(0)))
    return claimsOf(JSON.parse(text) as Record<string, unknown>)
  } catch {
    return undefined
  }
}

function claimsOf(claims: Record<string, unknown>): Claims | undefined {
  if (typeof claims !== 'object' || claims === null) return undefined
  const number = (name: string) => (typeof claims[name] === 'number' ? claims[name] : undefined)
  const list = (name: string) => (Array.isArray(claims[name]) ? (claims[name] as unknown[]) : undefined)
  const role = claims['role']
  const chats = list('chats') ?? []
  const expires = number('exp')
  return {
    subject: typeof claims['sub'] === 'string' ? claims['sub'] : '',
    role: role === 'viewer' || role === 'analyst' || role === 'operator' ? role : undefined,
    chats: chats.includes('*') ? '*' : chats.map(Number).filter(Number.isSafeInteger),
    families: list('families')?.map(String),
    minConfidence: number('min_confidence'),
    maxConnections: number('max_connections'),
    rate: number('rate'),
    tokenId: typeof claims['jti'] === 'string' ? claims['jti'] : undefined,
    expiresAtMs: expires === undefined ? undefined : expires * 1000,
  }
}
