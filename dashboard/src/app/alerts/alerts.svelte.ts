import type { Mesh } from '../shell/mesh.svelte'
import { liveEntry, type Entry } from '../feed/row'
import { filterOfRule, Gathering, MOST_RULES, readRules, type Rule } from './rules'
import { beep } from './beep'

const KEY = 'tgmesh.alerts'
// Kept for looking back, in this tab.
const MOST_FIRED = 200
// Not more than one sound and one notification in this time, however many fire.
const QUIET_MS = 1_500
// What came while the link was down still alerts, unless it is this old: then it would be noise.
const LATE_MS = 2 * 60_000

/** An alert that fired. */
export interface Fired {
  key: number
  rule: string
  atMs: number
  chats: number
  entry: Entry
}

/** The rules of this browser, each a subscription of its own while it is on. */
export class Alerts {
  rules = $state.raw<Rule[]>([])
  fired = $state.raw<Fired[]>([])
  /** Fired since the page of alerts was last looked at. */
  unseen = $state(0)
  error = $state<string>()
  readonly #mesh: Mesh
  #made = 0
  #loudMs = -Infinity

  constructor(mesh: Mesh) {
    this.#mesh = mesh
    try {
      this.rules = readRules(localStorage.getItem(KEY))
    } catch {
      // Storage is switched off: rules live as long as the page.
    }
  }

  get isFull(): boolean {
    return this.rules.length >= MOST_RULES
  }

  /** Watches for the rules that are on; an effect, so call it while a component is made. */
  watch(): void {
    $effect(() => {
      const ends = this.rules.filter((rule) => rule.isOn).map((rule) => {
        const gathering = new Gathering(rule)
        return this.#mesh.follow(filterOfRule(rule), {
          delivery: (delivery) => {
            const { detection } = delivery
            const now = Date.now()
            if (detection.listener.backfill || now - detection.times.received_us / 1000 > LATE_MS) return
            const chats = gathering.add(detection, now)
            if (chats !== undefined) this.#fire(rule, liveEntry(0, delivery, undefined, false), chats)
          },
          error: (_, message) => (this.error = `${rule.name}: ${message}`),
        })
      })
      return () => ends.forEach((end) => end())
    })
  }

  save(rule: Rule): void {
    const others = this.rules.filter(({ id }) => id !== rule.id)
    this.error = undefined
    this.#keep(others.length < this.rules.length ? this.rules.map((old) => (old.id === rule.id ? rule : old)) : [...others, rule])
  }

  remove(rule: Rule): void {
    this.#keep(this.rules.filter(({ id }) => id !== rule.id))
  }

  #keep(rules: Rule[]): void {
    this.rules = rules.slice(0, MOST_RULES)
    try {
      localStorage.setItem(KEY, JSON.stringify(this.rules))
    } catch {
      // See the constructor.
    }
  }

  #fire(rule: Rule, entry: Entry, chats: number): void {
    this.fired = [{ key: ++this.#made, rule: rule.name, atMs: Date.now(), chats, entry }, ...this.fired].slice(0, MOST_FIRED)
    this.unseen += 1
    const now = performance.now()
    if (now - this.#loudMs < QUIET_MS) return
    this.#loudMs = now
    if (rule.sound) beep()
    if (rule.notification && 'Notification' in globalThis && Notification.permission === 'granted') {
      const { row } = entry
      // One tag for a rule: a burst replaces its own notification instead of piling up.
      new Notification(`${rule.name}: ${row.chain}`, { body: `${row.address}\n${row.chat}${chats > 1 ? ` and ${chats - 1} more` : ''}`, tag: `tgmesh-${rule.id}` })
    }
  }
}
