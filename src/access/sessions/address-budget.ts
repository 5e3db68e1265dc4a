// How often an address may ask for something that costs us a request to somebody else.
import { Lru } from '#lib/lru.ts'
import { OciError } from '#oci/errors.ts'

const WINDOW_MS = 60_000
const ADDRESSES_MAX = 10_000

interface Window {
  readonly startedAt: number
  count: number
}

export class AddressBudget {
  readonly #perMinute: number
  readonly #now: () => number
  readonly #windows = new Lru<string, Window>({ weightMax: ADDRESSES_MAX, entryWeightMax: 1 })

  constructor(perMinute: number, now: () => number) {
    this.#perMinute = perMinute
    this.#now = now
  }

  /** @throws OciError TOO_MANY_REQUESTS, with when to try again */
  spend(address: string): void {
    const now = this.#now()
    const known = this.#windows.get(address)
    const window = known && now - known.startedAt < WINDOW_MS ? known : { startedAt: now, count: 0 }
    if (window !== known) this.#windows.set(address, window, 1)
    window.count++
    if (window.count <= this.#perMinute) return
    const waitSec = Math.ceil((window.startedAt + WINDOW_MS - now) / 1_000)
    throw new OciError('TOO_MANY_REQUESTS', { headers: { 'Retry-After': String(waitSec) } })
  }
}
