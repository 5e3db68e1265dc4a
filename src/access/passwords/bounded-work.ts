// Runs a bounded number of expensive things at once, and lets a bounded number wait.
import { OciError } from '#oci/errors.ts'

export class BoundedWork {
  readonly #concurrentMax: number
  readonly #waitingMax: number
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(concurrentMax: number, waitingMax: number) {
    this.#concurrentMax = concurrentMax
    this.#waitingMax = waitingMax
  }

  /** @throws OciError TOO_MANY_REQUESTS when no more may wait */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running < this.#concurrentMax) this.#running++
    else {
      if (this.#waiting.length >= this.#waitingMax)
        throw new OciError('TOO_MANY_REQUESTS', { headers: { 'Retry-After': '1' } })
      // The one that ends hands its place over, so nobody who comes later can take it.
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#running--
    }
  }
}
