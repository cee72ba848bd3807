const KEY = 'tgmesh.dense'

/** How many rows fit: roomy ones have two lines, dense ones a single line. Kept in this browser. */
class Density {
  isDense = $state(stored())

  toggle(): void {
    this.isDense = !this.isDense
    try {
      if (this.isDense) localStorage.setItem(KEY, '1')
      else localStorage.removeItem(KEY)
    } catch {
      // Storage is switched off: the choice lives as long as the page.
    }
  }
}

export const density = new Density()

function stored(): boolean {
  try {
    return localStorage.getItem(KEY) === '1'
  } catch {
    return false
  }
}
