// Remembers, over many copies, in which repository of a registry a blob lies, so that the next copy mounts it from there.
import type { Mounting } from '#client/place.ts'
import type { Digest } from '#oci/digest.ts'
import type { RepositoryName } from '#oci/reference.ts'

/** About 200 bytes each. */
export const WHEREABOUTS_MAX = 200_000

export class BlobWhereabouts {
  readonly #known = new Map<string, RepositoryName>()
  readonly #max: number

  constructor(max = WHEREABOUTS_MAX) {
    this.#max = max
  }

  add({ registry, repository }: Mounting, digest: Digest): void {
    const key = `${registry} ${digest}`
    if (this.#known.has(key)) return
    if (this.#known.size >= this.#max) {
      const oldest = this.#known.keys().next()
      if (!oldest.done) this.#known.delete(oldest.value)
    }
    this.#known.set(key, repository)
  }

  /** A repository other than `not` that has it. */
  find(registry: string, digest: Digest, not: RepositoryName): RepositoryName | undefined {
    const found = this.#known.get(`${registry} ${digest}`)
    return found === not ? undefined : found
  }
}
