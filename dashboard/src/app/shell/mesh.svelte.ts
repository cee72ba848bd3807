import { Client, History, platform, type Connection, type Delivery, type Filter, type Handlers, type Loss, type PastEvent, type Subscription } from '../../wire'
import { Feed } from '../feed/feed.svelte'
import { Painted } from '../feed/painted'
import { describeLoss, Entry, gapRow, isDetection, liveEntry, liveMatch, MatchEntry, type Row } from '../feed/row'
import { Swaps } from '../feed/swaps'
import { span } from '../feed/words'
import { readClaims, type Claims } from './claims'
import { Names } from './names.svelte'
import { forgetToken, keepToken, takeToken } from './session'
import { EVERYTHING, filterOf, type Wishes } from './wishes'

// What a page begins with: enough to fill a large screen several times, quick to send.
const FIRST_ROWS = 200
const GOOD_NEWS_MS = 8_000

/** A line beside the connection's state: what a reconnect has brought. */
export interface Notice {
  tone: 'good' | 'bad'
  text: string
}

/** The page's one connection and what it shows. */
export class Mesh {
  readonly feed = new Feed<Row>()
  readonly names = new Names()
  readonly swaps = new Swaps()
  readonly history: History
  token = $state<string>()
  connection = $state.raw<Connection>({ phase: 'closed' })
  notice = $state.raw<Notice>()
  wishes = $state.raw<Wishes>(EVERYTHING)
  /** The filter in force: the one asked for, cut to the token's rights. */
  effective = $state.raw<Filter>()
  /** Why the server did not take the filter. */
  filterError = $state<string>()
  /** Why the sign-in box is shown, if there is something to say. */
  signInReason = $state<string>()
  readonly claims = $derived.by<Claims | undefined>(() => (this.token === undefined ? undefined : readClaims(this.token)))
  /** Signed out by the clock or an operator: what is on the screen stays until someone signs in again. */
  readonly isExpired = $derived(this.connection.phase === 'expired')
  readonly #knowsSeen = $derived(this.claims?.role !== 'viewer')
  #client: Client | undefined
  #shown: Subscription | undefined
  #asked: Subscription | undefined
  #awaySinceMs: number | undefined
  readonly #entered = new Set<() => void>()
  readonly #painted = new Painted((seq) => this.#client?.rendered(seq), platform.now)
  #noticeTimer: ReturnType<typeof setTimeout> | undefined

  constructor(base: string) {
    this.history = new History(base, () => this.token)
  }

  /** Takes the token of the address bar or of this tab, and listens for a later one. */
  start(): () => void {
    const take = () => {
      const token = takeToken()
      if (token && token !== this.token) this.signIn(token)
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

  /** With the first token, or with one that renews it: the same subject goes on where it was. */
  signIn(token: string): void {
    const subject = readClaims(token)?.subject
    const goesOn = this.#client !== undefined && subject !== undefined && subject === this.claims?.subject
    keepToken(token)
    if (!goesOn) return this.#enter(token)
    this.token = token
    this.#client?.signIn(token)
    this.#say({ tone: 'good', text: 'The token was renewed' })
  }

  signOut(reason?: string): void {
    forgetToken()
    this.#client?.close()
    this.#client = this.#shown = this.#asked = undefined
    this.token = undefined
    this.effective = undefined
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
  want(wishes: Wishes): void {
    this.wishes = wishes
    this.filterError = undefined
    this.#subscribe()
  }

  /** A further subscription, beside the list's, until the returned function is called. */
  follow(filter: Filter, handlers: Handlers): () => void {
    let subscription: Subscription | undefined
    const begin = () => (subscription = this.#client?.subscribe(filter, handlers))
    begin()
    // Another token is another client.
    this.#entered.add(begin)
    return () => {
      this.#entered.delete(begin)
      if (subscription) this.#client?.unsubscribe(subscription)
    }
  }

  /** An entry for what comes from the history. */
  readonly pastEntry = (key: number, event: PastEvent): Entry | MatchEntry => {
    this.names.learn(event.chat)
    if (!isDetection(event)) return new MatchEntry(key, event)
    return new Entry(key, event, { seq: undefined, paintedMs: undefined, knowsSeen: this.#knowsSeen })
  }

  #enter(token: string): void {
    this.#client?.close()
    this.token = token
    this.signInReason = undefined
    this.effective = undefined
    this.#shown = this.#asked = undefined
    this.#awaySinceMs = undefined
    // What was said to whoever was here before.
    this.#say(undefined)
    this.feed.clear()
    this.#client = new Client({
      url: socketUrl(location.href),
      token,
      connection: (connection) => this.#connected(connection),
      error: (_, message) => this.#say({ tone: 'bad', text: message }),
    })
    this.#subscribe()
    for (const begin of this.#entered) begin()
    this.#client.connect()
  }

  #connected(connection: Connection): void {
    if (connection.phase === 'refused') {
      // A token that ran out while the link was down is refused as one that never was.
      const ended = connection.code === 4401 && (this.claims?.expiresAtMs ?? Infinity) <= platform.now()
      if (!ended) return this.signOut(refusal(connection.code, connection.reason))
      connection = { phase: 'expired' }
    }
    this.connection = connection
    if (connection.phase === 'waiting' || connection.phase === 'expired') this.#awaySinceMs ??= platform.now()
  }

  #subscribe(): void {
    const client = this.#client
    if (!client) return
    // Only the latest wish counts; the one that is shown stays until the server has agreed.
    if (this.#asked && this.#asked !== this.#shown) client.unsubscribe(this.#asked)
    const subscription: Subscription = client.subscribe(
      filterOf(this.wishes),
      {
        subscribed: (filter) => this.#agreed(subscription, filter),
        delivery: (delivery) => this.#delivered(subscription, delivery),
        match: (matched) => {
          if (subscription !== this.#shown) return
          this.names.learn(matched.match.chat)
          this.feed.push((key) => liveMatch(key, matched))
        },
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

  #agreed(subscription: Subscription, filter: Filter): void {
    if (subscription !== this.#asked) return
    this.effective = filter
    if (subscription === this.#shown) return
    if (this.#shown) this.#client?.unsubscribe(this.#shown)
    this.#shown = subscription
    this.feed.clear()
  }

  #delivered(subscription: Subscription, delivery: Delivery): void {
    if (subscription !== this.#shown) return
    this.names.learn(delivery.detection.chat)
    this.swaps.add(delivery.detection)
    this.feed.push((key) => {
      this.#painted.add(delivery)
      return liveEntry(key, delivery, this.#serverNow(), this.#knowsSeen)
    })
  }

  #recovered(): void {
    const away = this.#awaySinceMs === undefined ? 0 : platform.now() - this.#awaySinceMs
    this.#awaySinceMs = undefined
    // Matches are not resumed: to say of them what holds for detections would not be true.
    const missed = this.wishes.matches ? 'you missed no detection; matches of that time are in the search' : 'you missed nothing'
    this.#say({ tone: 'good', text: `Back after ${span(Math.max(away, 1_000))}: ${missed}` })
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

function refusal(code: number, reason: string): string {
  const words: Record<number, string> = {
    4400: 'The gateway could not read what this page sent. Reload the page; if that does not help, page and gateway are of different versions.',
    4401: 'The gateway did not accept this token.',
    4403: 'This token does not allow that.',
    4413: 'The gateway refused a frame of this page as too large.',
  }
  return words[code] ?? `The gateway closed the connection (${code}${reason ? `, ${reason}` : ''}).`
}
