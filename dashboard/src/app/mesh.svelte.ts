import { Client, platform, type Connection, type Delivery, type Family, type Filter, type Loss, type Subscription } from '../wire'
import { Feed } from './feed.svelte'
import { Painted } from './painted'
import { describeLoss, detectionRow, gapRow } from './row'
import { forgetToken, keepToken, takeToken } from './session'

// What a page begins with: enough to fill a large screen several times, quick to send.
const FIRST_ROWS = 200
const GOOD_NEWS_MS = 8_000

/** What the person at the page wants to see. */
export interface Wishes {
  families: Family[]
  chats: { id: number; title: string }[]
  /** A regular expression on the message's text; the server reads it. */
  text: string
}

/** A line beside the connection's state: what a reconnect has brought. */
export interface Notice {
  tone: 'good' | 'bad'
  text: string
}

/** The page's one connection and what it shows. */
export class Mesh {
  readonly feed = new Feed()
  token = $state<string>()
  connection = $state.raw<Connection>({ phase: 'closed' })
  notice = $state.raw<Notice>()
  wishes = $state.raw<Wishes>({ families: [], chats: [], text: '' })
  /** Why the server did not take the filter. */
  filterError = $state<string>()
  /** Why the sign-in box is shown, if there is something to say. */
  signInReason = $state<string>()
  #client: Client | undefined
  #shown: Subscription | undefined
  #asked: Subscription | undefined
  #awaySinceMs: number | undefined
  readonly #painted = new Painted((seq) => this.#client?.rendered(seq), platform.now)
  #noticeTimer: ReturnType<typeof setTimeout> | undefined

  /** Takes the token of the address bar or of this tab, and listens for a later one. */
  start(): () => void {
    const take = () => {
      const token = takeToken()
      if (token && token !== this.token) this.#enter(token)
    }
    const back = () => this.#client?.retryNow()
    take()
    addEventListener('hashchange', take)
    addEventListener('online', back)
    return () => {
      removeEventListener('hashchange', take)
      removeEventListener('online', back)
      this.#client?.close()
    }
  }

  signIn(token: string): void {
    keepToken(token)
    this.#enter(token)
  }

  signOut(reason?: string): void {
    forgetToken()
    this.#client?.close()
    this.#client = this.#shown = this.#asked = undefined
    this.token = undefined
    this.signInReason = reason
    this.feed.clear()
    this.#say(undefined)
  }

  retryNow(): void {
    this.#client?.retryNow()
  }

  dismiss(): void {
    this.#say(undefined)
  }

  /** Asks the server for something else; the list changes when it has agreed. */
  want(change: Partial<Wishes>): void {
    this.wishes = { ...this.wishes, ...change }
    this.filterError = undefined
    this.#subscribe()
  }

  #enter(token: string): void {
    this.#client?.close()
    this.token = token
    this.signInReason = undefined
    this.#shown = this.#asked = undefined
    this.#awaySinceMs = undefined
    this.feed.clear()
    this.#client = new Client({
      url: socketUrl(location.href),
      token,
      connection: (connection) => this.#connected(connection),
      error: (_, message) => this.#say({ tone: 'bad', text: message }),
    })
    this.#subscribe()
    this.#client.connect()
  }

  #connected(connection: Connection): void {
    this.connection = connection
    switch (connection.phase) {
      case 'waiting':
        this.#awaySinceMs ??= platform.now()
        return
      case 'expired':
        return this.signOut('The token expired or was revoked. Sign in with a new one.')
      case 'refused':
        return this.signOut(refusal(connection.code, connection.reason))
      default:
    }
  }

  #subscribe(): void {
    const client = this.#client
    if (!client) return
    // Only the latest wish counts; the one that is shown stays until the server has agreed.
    if (this.#asked && this.#asked !== this.#shown) client.unsubscribe(this.#asked)
    const subscription: Subscription = client.subscribe(
      filterOf(this.wishes),
      {
        subscribed: () => this.#agreed(subscription),
        delivery: (delivery) => this.#delivered(subscription, delivery),
        recovered: () => subscription === this.#shown && this.#recovered(),
        lost: (loss) => subscription === this.#shown && this.#lost(loss),
        error: (_, message) => {
          this.filterError = message
          client.unsubscribe(subscription)
          if (this.#asked === subscription) this.#asked = this.#shown
        },
      },
      { last: FIRST_ROWS },
    )
    this.#asked = subscription
  }

  #agreed(subscription: Subscription): void {
    if (subscription === this.#shown || subscription !== this.#asked) return
    if (this.#shown) this.#client?.unsubscribe(this.#shown)
    this.#shown = subscription
    this.feed.clear()
  }

  #delivered(subscription: Subscription, delivery: Delivery): void {
    if (subscription !== this.#shown) return
    this.feed.push((key) => {
      this.#painted.add(delivery)
      return detectionRow(key, delivery, this.#serverNow())
    })
  }

  #recovered(): void {
    const away = this.#awaySinceMs === undefined ? 0 : platform.now() - this.#awaySinceMs
    this.#awaySinceMs = undefined
    this.#say({ tone: 'good', text: `Back after ${Math.max(1, Math.round(away / 1000))} s: you missed nothing` })
  }

  #lost(loss: Loss): void {
    this.#awaySinceMs = undefined
    this.#say({ tone: 'bad', text: describeLoss(loss) })
    this.feed.push((key) => gapRow(key, loss))
  }

  #say(notice: Notice | undefined): void {
    clearTimeout(this.#noticeTimer)
    this.notice = notice
    // Good news goes by itself; a gap stays until someone has seen it.
    if (notice?.tone === 'good') this.#noticeTimer = setTimeout(() => (this.notice = undefined), GOOD_NEWS_MS)
  }

  #serverNow(): number | undefined {
    const offset = this.#client?.clock.offsetMs
    return offset === undefined ? undefined : platform.now() + offset
  }
}

/** The WebSocket beside a page: `http://host/path/` becomes `ws://host/path/ws`. */
export function socketUrl(page: string): string {
  const url = new URL('ws', page)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  url.hash = url.search = ''
  return url.href
}

function filterOf({ families, chats, text }: Wishes): Filter {
  return {
    ...(families.length > 0 && { families }),
    ...(chats.length > 0 && { chats: chats.map((chat) => chat.id) }),
    ...(text !== '' && { text }),
  }
}

function refusal(code: number, reason: string): string {
  const words: Record<number, string> = {
    4400: 'The gateway could not read what this page sent. Reload the page; if that does not help, page and gateway are of different versions.',
    4401: 'The gateway did not accept this token.',
    4403: 'This token does not allow that.',
    4413: 'The gateway refused a frame of this page as too large.',
  }
  return words[code] ?? `The gateway closed the connection (${code}${reason ? `, ${reason}` : ''}).`
}
