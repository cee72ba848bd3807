import type { Chat, ChatFacts, History } from '../../wire'
import { chatName } from '../feed/row'

// Names kept: more chats than a mesh watches.
const MOST = 50_000
// Chats read at once from the API.
const MOST_PAGES = 20

/** What chats are called, learned from what comes in and from the API. */
export class Names {
  #chats = new Map<number, string>()
  #version = $state(0)
  #facts: Promise<Map<number, ChatFacts>> | undefined

  /** Notes a name where it is new. */
  learn(chat: Chat): void {
    if (this.#chats.has(chat.id) || this.#chats.size >= MOST) return
    this.#chats.set(chat.id, chatName(chat))
    this.#version += 1
  }

  /** The name of a chat, or its number. */
  of(id: number): string {
    void this.#version
    return this.#chats.get(id) ?? String(id)
  }

  /** All names that are known. */
  get all(): [id: number, name: string][] {
    void this.#version
    return [...this.#chats]
  }

  /** The chats that may be seen, with their figures; read once, and anew where `fresh`. */
  facts(history: History, fresh = false): Promise<Map<number, ChatFacts>> {
    if (fresh || !this.#facts) {
      const reading = this.#read(history)
      this.#facts = reading
      // What failed is asked for again by the next one.
      reading.catch(() => this.#facts === reading && (this.#facts = undefined))
    }
    return this.#facts
  }

  async #read(history: History): Promise<Map<number, ChatFacts>> {
    const facts = new Map<number, ChatFacts>()
    let cursor: string | undefined
    for (let page = 0; page < MOST_PAGES; page++) {
      const { items, next_cursor } = await history.chats(cursor)
      for (const chat of items) {
        facts.set(chat.id, chat)
        this.#chats.set(chat.id, chatName(chat))
      }
      if (!next_cursor) break
      cursor = next_cursor
    }
    this.#version += 1
    return facts
  }
}
