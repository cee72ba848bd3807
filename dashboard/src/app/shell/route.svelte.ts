/** A page and what it is about. Kept behind the `#`: the gateway serves one document. */
export type Route =
  | { page: 'live' | 'search' | 'leaders' | 'pipeline' | 'alerts' | 'token' | 'audit'; query: URLSearchParams }
  | { page: 'address' | 'chat' | 'sender'; id: string; query: URLSearchParams }
  | { page: 'nowhere'; query: URLSearchParams }

/** Reads what stands behind the `#`. */
export function readRoute(hash: string): Route {
  const [path = '', search = ''] = hash.replace(/^#\/?/, '').split(/\?(.*)/s)
  const query = new URLSearchParams(search)
  const [page = '', id] = path.split('/')
  switch (page) {
    case '':
      return { page: 'live', query }
    case 'search':
    case 'leaders':
    case 'pipeline':
    case 'alerts':
    case 'token':
    case 'audit':
      return { page, query }
    case 'address':
    case 'chat':
    case 'sender': {
      const decoded = decode(id ?? '')
      const fits = page === 'address' ? /^\S{1,200}$/.test(decoded) : /^-?\d{1,16}$/.test(decoded)
      return fits ? { page, id: decoded, query } : { page: 'nowhere', query }
    }
    default:
      return { page: 'nowhere', query }
  }
}

/** Links to the pages. */
export const to = {
  live: (query?: URLSearchParams) => withQuery('#/', query),
  search: (query?: URLSearchParams) => withQuery('#/search', query),
  address: (address: string) => `#/address/${encodeURIComponent(address)}`,
  chat: (id: number) => `#/chat/${id}`,
  sender: (id: number) => `#/sender/${id}`,
}

/** Where the page is; follows the address bar. */
export class Place {
  route = $state.raw<Route>(readRoute(location.hash))

  start(): () => void {
    const read = () => (this.route = readRoute(location.hash))
    addEventListener('hashchange', read)
    read()
    return () => removeEventListener('hashchange', read)
  }

  go(href: string): void {
    location.hash = href
  }

  /** Another address for the same page, without an entry in the history. */
  replace(href: string): void {
    const hash = href === '#/' ? '' : href
    if (location.hash === hash) return
    history.replaceState(history.state, '', location.pathname + location.search + hash)
    this.route = readRoute(hash)
  }
}

function withQuery(path: string, query: URLSearchParams | undefined): string {
  const text = query?.toString()
  // A comma needs no escape there, and lists read better with it.
  return text ? `${path}?${text.replaceAll('%2C', ',')}` : path
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}
