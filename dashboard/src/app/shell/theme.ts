export type Theme = 'auto' | 'light' | 'dark'

const KEY = 'tgmesh.theme'
const NEXT: Record<Theme, Theme> = { auto: 'light', light: 'dark', dark: 'auto' }

/** The theme this browser was last set to; `auto` follows the system. */
export function storedTheme(): Theme {
  try {
    const stored = localStorage.getItem(KEY)
    return stored === 'light' || stored === 'dark' ? stored : 'auto'
  } catch {
    return 'auto'
  }
}

export function nextTheme(theme: Theme): Theme {
  return NEXT[theme]
}

/** Shows a theme, and keeps it for the next visit. */
export function applyTheme(theme: Theme): void {
  if (theme === 'auto') delete document.documentElement.dataset['theme']
  else document.documentElement.dataset['theme'] = theme
  try {
    if (theme === 'auto') localStorage.removeItem(KEY)
    else localStorage.setItem(KEY, theme)
  } catch {
    // Storage is switched off: the choice lives as long as the page.
  }
}
