/** Keys of a page while it is shown; `event.key` names them. */
export type Hotkeys = Record<string, () => void>

/** Listens while the component that calls this is on the page. */
export function onHotkey(keys: Hotkeys): void {
  $effect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return
      const task = Object.hasOwn(keys, event.key) ? keys[event.key] : undefined
      if (!task) return
      const isTyping = event.target instanceof HTMLElement && event.target.closest('input:not([type=checkbox], [type=range]), textarea, select, dialog[open]')
      if (isTyping) {
        // Out of the field; what is in it stays.
        if (event.key === 'Escape') (event.target as HTMLElement).blur()
        return
      }
      event.preventDefault()
      task()
    }
    addEventListener('keydown', pressed)
    return () => removeEventListener('keydown', pressed)
  })
}
