// Brings blobs up that were pulled, behind the pulls: a few at a time, and no more than are worth waiting for.
import type { Digest } from '#oci/digest.ts'

const AT_ONCE = 2
/** What comes beyond is brought up when it is pulled the next time. */
const WAITING_MAX = 1_000

export class Promotions {
  readonly #isOn: boolean
  readonly #promote: (digest: Digest) => Promise<unknown>
  readonly #onError: (digest: Digest, error: unknown) => void
  readonly #waiting = new Set<Digest>()
  readonly #working = new Map<Digest, Promise<void>>()
  #closed = false

  constructor(
    isOn: boolean,
    promote: (digest: Digest) => Promise<unknown>,
    onError: (digest: Digest, error: unknown) => void,
  ) {
    this.#isOn = isOn
    this.#promote = promote
    this.#onError = onError
  }

  add(digest: Digest): void {
    if (!this.#isOn || this.#closed || this.#working.has(digest) || this.#waiting.size >= WAITING_MAX) return
    this.#waiting.add(digest)
    this.#next()
  }

  /** Forgets what waits, and waits for what is under way. */
  async close(): Promise<void> {
    this.#closed = true
    this.#waiting.clear()
    await Promise.all(this.#working.values())
  }

  #next(): void {
    if (this.#working.size >= AT_ONCE) return
    for (const digest of this.#waiting) {
      this.#waiting.delete(digest)
      const work = this.#promote(digest)
        .then(
          () => {},
          (error) => this.#onError(digest, error),
        )
        .finally(() => {
          this.#working.delete(digest)
          this.#next()
        })
      this.#working.set(digest, work)
      return
    }
  }
}
