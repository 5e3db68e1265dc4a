// Failed attempts to log in: after some, each further one has to wait longer.
import { OciError } from '#oci/errors.ts'

/** How many failures are free, for somebody at an address, for an address, and for an account wherever they come from. */
const FREE = { pair: 5, address: 30, account: 50 } as const
const FIRST_DELAY_MS = 1_000
export const DELAY_MS_MAX = 5 * 60_000
/** An account must stay usable for its owner while strangers try. */
const ACCOUNT_DELAY_MS_MAX = 10_000
/** Without a failure for so long, all is forgotten. */
export const FORGOTTEN_MS = 15 * 60_000
export const REMEMBERED_MAX = 20_000

interface Failures {
  count: number
  last: number
  blockedUntil: number
}

export class Attempts {
  readonly #now: () => number
  /** The one that failed last stands last. */
  readonly #failures = new Map<string, Failures>()

  constructor(now: () => number) {
    this.#now = now
  }

  /** @throws OciError TOO_MANY_REQUESTS, with when to try again */
  check(account: string, address: string): void {
    const now = this.#now()
    let until = 0
    for (const { key } of keysOf(account, address)) {
      until = Math.max(until, this.#failures.get(key)?.blockedUntil ?? 0)
    }
    if (until <= now) return
    throw new OciError('TOO_MANY_REQUESTS', {
      message: 'too many failed attempts to log in: wait, then try again',
      headers: { 'Retry-After': String(Math.ceil((until - now) / 1_000)) },
    })
  }

  failed(account: string, address: string): void {
    const now = this.#now()
    for (const { key, free, delayMsMax } of keysOf(account, address)) {
      const before = this.#failures.get(key)
      const isRecent = before !== undefined && now - before.last < FORGOTTEN_MS
      const count = isRecent ? before.count + 1 : 1
      const over = count - free
      const delay = over < 0 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** Math.min(over, 20), delayMsMax)
      this.#failures.delete(key)
      this.#failures.set(key, { count, last: now, blockedUntil: now + delay })
    }
    while (this.#failures.size > REMEMBERED_MAX) {
      const oldest = this.#failures.keys().next().value
      if (oldest === undefined) break
      this.#failures.delete(oldest)
    }
  }

  /** Only what this account did here: others at the address go on counting. */
  succeeded(account: string, address: string): void {
    this.#failures.delete(pairKey(account, address))
  }
}

function pairKey(account: string, address: string): string {
  return `p ${address} ${account}`
}

function keysOf(account: string, address: string) {
  return [
    { key: pairKey(account, address), free: FREE.pair, delayMsMax: DELAY_MS_MAX },
    { key: `a ${address}`, free: FREE.address, delayMsMax: DELAY_MS_MAX },
    { key: `u ${account}`, free: FREE.account, delayMsMax: ACCOUNT_DELAY_MS_MAX },
  ]
}
