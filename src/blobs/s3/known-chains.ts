// What this process knows of open uploads: the pieces that it wrote or read itself, and so the bytes that were hashed. A commit
// takes exactly these: another process may have written the same upload meanwhile.
import type { Chain } from '#blobs/s3/piece-chain.ts'

const CHAINS_MAX = 10_000
/** Last pieces that are kept at hand, in bytes: a small upload is read back from the bucket otherwise. */
const TAILS_BYTES_MAX = 64 * 1024 * 1024

export class KnownChains {
  /** The one that was used last stands last. */
  readonly #chains = new Map<string, Chain>()
  #tailBytes = 0

  get(id: string): Chain | undefined {
    return this.#chains.get(id)
  }

  set(id: string, chain: Chain): void {
    this.forget(id)
    this.#chains.set(id, chain)
    this.#tailBytes += chain.tail?.length ?? 0
    while (this.#chains.size > CHAINS_MAX) this.#forgetOldest()
    if (this.#tailBytes > TAILS_BYTES_MAX) this.#dropTails()
  }

  forget(id: string): void {
    const chain = this.#chains.get(id)
    if (!chain) return
    this.#tailBytes -= chain.tail?.length ?? 0
    this.#chains.delete(id)
  }

  #forgetOldest(): void {
    const oldest = this.#chains.keys().next().value
    if (oldest !== undefined) this.forget(oldest)
  }

  #dropTails(): void {
    for (const [id, { tail, ...chain }] of this.#chains) {
      if (!tail) continue
      this.#tailBytes -= tail.length
      this.#chains.set(id, chain)
      if (this.#tailBytes <= TAILS_BYTES_MAX) return
    }
  }
}
