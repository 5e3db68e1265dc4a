// A repository whose tags were all listed: what is not among them need not be asked for. Referrers are asked for once.
import type { RepositoryPlace } from '#client/collection.ts'
import { type CallOptions, isMounting, type ManifestContent, type Mounting } from '#client/place.ts'
import type { VerifiedSource } from '#client/verify.ts'
import type { ByteSource } from '#lib/byte-source.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { Digest } from '#oci/digest.ts'
import type { Reference, Tag } from '#oci/reference.ts'

/** Keeps the power to be mounted from, where the place has it. */
export function listedRepository(place: RepositoryPlace): RepositoryPlace & Partial<Mounting> {
  const listed = new ListedRepository(place)
  if (!isMounting(place)) return listed
  const { registry, repository } = place
  return Object.assign(listed, { registry, repository })
}

/** For the time of one copy: the look at three signature tags of every manifest would cost more than the copy. */
class ListedRepository implements RepositoryPlace {
  readonly label: string
  readonly #place: RepositoryPlace
  readonly #referrers = new Map<Digest, Promise<readonly Descriptor[]>>()
  #tags: ReadonlySet<Tag> | undefined

  constructor(place: RepositoryPlace) {
    this.label = place.label
    this.#place = place
  }

  async *tags(options?: CallOptions): AsyncGenerator<Tag> {
    const tags = new Set<Tag>()
    for await (const tag of this.#place.tags(options)) tags.add(tag)
    this.#tags = tags
    yield* tags
  }

  async resolve(reference: Reference | undefined, options?: CallOptions): Promise<Descriptor | undefined> {
    return this.#isKnown(reference) ? await this.#place.resolve(reference, options) : undefined
  }

  async manifest(
    reference: Reference | undefined,
    options?: CallOptions,
  ): Promise<ManifestContent | undefined> {
    return this.#isKnown(reference) ? await this.#place.manifest(reference, options) : undefined
  }

  blob(descriptor: Descriptor, options?: CallOptions): VerifiedSource {
    return this.#place.blob(descriptor, options)
  }

  blobFrom(descriptor: Descriptor, start: number, options?: CallOptions): ByteSource {
    return this.#place.blobFrom(descriptor, start, options)
  }

  async referrers(subject: Digest, options?: CallOptions): Promise<readonly Descriptor[]> {
    const asked = this.#referrers.get(subject) ?? this.#place.referrers(subject, options)
    this.#referrers.set(subject, asked)
    return await asked
  }

  #isKnown(reference: Reference | undefined): boolean {
    return reference?.tag === undefined || this.#tags === undefined || this.#tags.has(reference.tag)
  }
}
