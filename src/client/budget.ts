// How much may be under way at once: so many transfers, and so many bytes in their buffers.

interface Waiter {
  readonly bytes: number
  readonly go: () => void
}

export interface BudgetLimits {
  readonly transfersMax: number
  readonly bytesInFlightMax: number
}

/** Grants in the order of the asking, so that a large wish is not starved by small ones. */
export class Budget {
  readonly #limits: BudgetLimits
  readonly #waiting: Waiter[] = []
  #transfers = 0
  #bytes = 0

  constructor(limits: BudgetLimits) {
    this.#limits = limits
  }

  /** Runs work when there is room for it. A wish above the whole budget is granted alone. */
  async run<T>(bytes: number, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const share = Math.min(bytes, this.#limits.bytesInFlightMax)
    await this.#enter(share, signal)
    try {
      return await work()
    } finally {
      this.#transfers -= 1
      this.#bytes -= share
      this.#admit()
    }
  }

  async #enter(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      const onAbort = () => {
        const at = this.#waiting.indexOf(waiter)
        if (at >= 0) this.#waiting.splice(at, 1)
        reject(signal?.reason)
        this.#admit()
      }
      const waiter: Waiter = {
        bytes,
        go: () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        },
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiting.push(waiter)
      this.#admit()
    })
  }

  #admit(): void {
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      const { transfersMax, bytesInFlightMax } = this.#limits
      if (this.#transfers >= transfersMax || this.#bytes + next.bytes > bytesInFlightMax) return
      this.#waiting.shift()
      this.#transfers += 1
      this.#bytes += next.bytes
      next.go()
    }
  }
}
