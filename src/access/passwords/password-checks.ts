// Checks of passwords against slow hashes: few at once, one for those who ask the same at the same time, and a right one is
// remembered for a short while. A client sends its password with every request; a hash of each would cost more than the
// registry itself.
import { createHmac, createSecretKey, randomBytes } from 'node:crypto'
import { BoundedWork } from '#access/passwords/bounded-work.ts'

/** Hashes are computed in the thread pool that also serves the disk; the other threads stay free for it. */
export const HASHES_CONCURRENT_MAX = 2
export const HASHES_WAITING_MAX = 64
export const PASSED_CACHE_MS = 60_000
export const PASSED_CACHE_ENTRIES_MAX = 1024

interface Passed {
  /** The hash that it was checked against: another one makes this worthless. */
  readonly hashed: string
  readonly until: number
}

export interface PasswordChecksOptions {
  /** Milliseconds; only differences count. */
  readonly now: () => number
  /** Whether a password belongs to a hash. */
  readonly verify: (password: string, hashed: string) => Promise<boolean>
}

export class PasswordChecks {
  readonly #options: PasswordChecksOptions
  readonly #work = new BoundedWork(HASHES_CONCURRENT_MAX, HASHES_WAITING_MAX)
  /** Makes what is remembered useless outside this process. As bytes it would cost each check eight times as much. */
  readonly #key = createSecretKey(randomBytes(32))
  readonly #passed = new Map<string, Passed>()
  readonly #pending = new Map<string, Promise<boolean>>()

  constructor(options: PasswordChecksOptions) {
    this.#options = options
  }

  /**
   * Whether the password belongs to the hash of the user. Without a hash, for users that do not exist, the decoy is checked,
   * so that the answer takes as long.
   * @throws OciError TOO_MANY_REQUESTS
   */
  async check(user: string, password: string, hashed: string | undefined, decoy: string): Promise<boolean> {
    const key = createHmac('sha256', this.#key).update(`${user}:${password}`).digest('base64')
    const passed = this.#passed.get(key)
    if (passed) {
      if (passed.hashed === hashed && this.#options.now() < passed.until) return true
      this.#passed.delete(key)
    }
    // Clients open several connections at once: one check answers for all of them.
    const work = `${key} ${hashed}`
    const pending = this.#pending.get(work)
    if (pending) return pending
    const checking = this.#checkAgainst(password, hashed, decoy, key)
    this.#pending.set(work, checking)
    try {
      return await checking
    } finally {
      this.#pending.delete(work)
    }
  }

  async #checkAgainst(
    password: string,
    hashed: string | undefined,
    decoy: string,
    key: string,
  ): Promise<boolean> {
    const { now, verify } = this.#options
    const matches = await this.#work.run(() => verify(password, hashed ?? decoy))
    if (!matches || hashed === undefined) return false
    this.#remember(key, { hashed, until: now() + PASSED_CACHE_MS })
    return true
  }

  #remember(key: string, passed: Passed): void {
    const oldest = this.#passed.keys().next().value
    if (this.#passed.size >= PASSED_CACHE_ENTRIES_MAX && oldest !== undefined) this.#passed.delete(oldest)
    this.#passed.set(key, passed)
  }
}
