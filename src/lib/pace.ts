// Keeps work to a rate: each piece waits until those before it have used up their time.
import { setTimeout as sleep } from 'node:timers/promises'

/** So much may be made up for after a pause, and a rest shorter than this is left for later. Seconds. */
const BURST_SECONDS = 0.05

export class Pace {
  readonly #perSecond: number
  #freeAt = 0

  /** @param perSecond units a second; 0 for no limit */
  constructor(perSecond: number) {
    this.#perSecond = perSecond
  }

  /** Waits until so many units are due. @throws the reason of the signal */
  async take(units: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    if (this.#perSecond <= 0 || units <= 0) return
    const now = performance.now() / 1000
    const due = Math.max(this.#freeAt, now - BURST_SECONDS)
    this.#freeAt = due + units / this.#perSecond
    const rest = due - now
    if (rest > BURST_SECONDS) await sleep(rest * 1000, undefined, signal && { signal })
  }
}
