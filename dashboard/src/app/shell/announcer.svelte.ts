import { flat } from '../feed/harmless'

/** What the page tells people who do not see it: one line at a time, politely. */
class Announcer {
  text = $state('')

  say(text: string): void {
    this.text = text
  }

  /** Puts a text into the clipboard, and says so. */
  async copy(text: string, name = text): Promise<void> {
    try {
      await navigator.clipboard.writeText(text)
      this.say(`Copied ${flat(name)}`)
    } catch {
      this.say('The browser did not allow copying')
    }
  }
}

export const announcer = new Announcer()
