import { ApiError } from '../../wire'

/** An answer that is asked for when a component is shown, and again when what it reads changes. */
export class Asked<Answer> {
  answer = $state.raw<Answer>()
  fault = $state.raw<ApiError>()
  #turn = $state(0)

  /** Call while a component is made: `ask` is an effect. An answer stays in sight until the next one is there. */
  constructor(ask: (signal: AbortSignal) => Promise<Answer>) {
    $effect(() => {
      void this.#turn
      const ended = new AbortController()
      ask(ended.signal).then(
        (answer) => {
          if (ended.signal.aborted) return
          this.answer = answer
          this.fault = undefined
        },
        (fault: unknown) => {
          if (!ended.signal.aborted) this.fault = fault instanceof ApiError ? fault : new ApiError(0, String(fault))
        },
      )
      return () => ended.abort()
    })
  }

  again(): void {
    this.#turn += 1
  }
}
