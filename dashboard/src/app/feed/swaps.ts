import type { Detection } from '../../wire'

// Edits that are remembered: those whose rows may still be in sight.
const MOST = 4_000

interface Edit {
  gone: string[]
  came: string[]
}

/** Which addresses one edit of a message took away, and which it put in their place. */
export class Swaps {
  readonly #edits = new Map<string, Edit>()

  add(detection: Detection): void {
    if (detection.event === 'called') return
    const name = nameOf(detection)
    let edit = this.#edits.get(name)
    if (!edit) {
      edit = { gone: [], came: [] }
      this.#edits.set(name, edit)
      const oldest = this.#edits.keys().next()
      if (this.#edits.size > MOST && !oldest.done) this.#edits.delete(oldest.value)
    }
    const list = detection.event === 'retracted' ? edit.gone : edit.came
    if (list.length < 64 && !list.includes(detection.address)) list.push(detection.address)
  }

  /** What the same edit did the other way: the addresses that an added one replaced, or that replaced a retracted one. */
  counterparts(detection: Detection): string[] {
    const edit = detection.event === 'called' ? undefined : this.#edits.get(nameOf(detection))
    if (!edit) return []
    return detection.event === 'retracted' ? edit.came : edit.gone
  }
}

function nameOf({ chat, message }: Detection): string {
  return `${chat.id}/${message.id}/${message.revision}`
}
