import { createSubscriber } from 'svelte/reactivity'

/** The time in whole steps of a second, for whoever shows it; ticks only while it is shown. */
export const clock = new (class {
  readonly #subscribe = createSubscriber((update) => {
    const timer = setInterval(update, 1000)
    return () => clearInterval(timer)
  })

  get nowMs(): number {
    this.#subscribe()
    return Date.now()
  }
})()
