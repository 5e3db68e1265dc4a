// A folder of a registry as places to copy from, without a server: for export and for moving out.
import { readFile } from 'node:fs/promises'
import { ClientError } from '#client/client-error.ts'
import type { ReadableCollection, RepositoryPlace } from '#client/collection.ts'
import { fileSource } from '#client/file-source.ts'
import { mediaTypeOf, readLinks } from '#client/graph.ts'
import { type CallOptions, MANIFEST_BYTES_MAX, type ManifestContent } from '#client/place.ts'
import { type VerifiedSource, verified, verifyBytes } from '#client/verify.ts'
import type { ByteSource } from '#lib/byte-source.ts'
import { SlabPool } from '#lib/slab.ts'
import type { RegistryTree } from '#maintenance/registry-tree.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { Digest } from '#oci/digest.ts'
import { parseTag, type Reference, type RepositoryName, type Tag } from '#oci/reference.ts'

const LATEST = parseTag('latest')
/** Manifests of one repository whose subject is looked at. */
const REVISIONS_MAX = 1_000_000

export class TreeCollection implements ReadableCollection {
  readonly label: string
  readonly #tree: RegistryTree

  constructor(tree: RegistryTree) {
    this.#tree = tree
    this.label = `folder ${tree.root}`
  }

  repositories(): AsyncIterable<RepositoryName> {
    return this.#tree.repositories()
  }

  place(repository: RepositoryName): TreePlace {
    return new TreePlace(this.#tree, repository)
  }
}

export class TreePlace implements RepositoryPlace {
  readonly label: string
  readonly #tree: RegistryTree
  readonly #repository: RepositoryName
  readonly #slabs = new SlabPool()
  #referrers: Promise<ReadonlyMap<Digest, readonly Descriptor[]>> | undefined

  constructor(tree: RegistryTree, repository: RepositoryName) {
    this.#tree = tree
    this.#repository = repository
    this.label = `${tree.root} ${repository}`
  }

  async resolve(reference: Reference | undefined): Promise<Descriptor | undefined> {
    return (await this.manifest(reference))?.descriptor
  }

  async manifest(reference: Reference = { tag: LATEST }): Promise<ManifestContent | undefined> {
    const digest = reference.digest ?? (await this.#tree.tag(this.#repository, reference.tag))
    const bytesAt = digest && (await this.#tree.revision(this.#repository, digest))
    const found = bytesAt && (await this.#tree.statBlob(bytesAt))
    if (!found || !digest) return undefined
    if (found.size > MANIFEST_BYTES_MAX) {
      throw new ClientError(
        'limit',
        `${digest} is larger than the ${MANIFEST_BYTES_MAX} bytes of a manifest`,
        { digest },
      )
    }
    const bytes = await readFile(this.#tree.pathOf(bytesAt))
    const mediaType = mediaTypeOf(bytes)
    const descriptor = { mediaType: mediaType ?? '', digest, size: found.size }
    verifyBytes(descriptor, bytes, this.label)
    if (mediaType === undefined)
      throw new ClientError('invalid', `${this.label} has ${digest}, which is no manifest`, { digest })
    return { descriptor, bytes }
  }

  blob(descriptor: Descriptor, { signal }: CallOptions = {}): VerifiedSource {
    return verified(descriptor, this.blobFrom(descriptor, 0, { signal }), this.label)
  }

  blobFrom(descriptor: Descriptor, start: number, { signal }: CallOptions = {}): ByteSource {
    return async (sink) => {
      const { digest, size } = descriptor
      const bytesAt = await this.#tree.layer(this.#repository, digest)
      const found = bytesAt && (await this.#tree.statBlob(bytesAt))
      if (!found) throw new ClientError('not-found', `${this.label} does not have ${digest}`, { digest })
      if (found.size !== size)
        throw new ClientError('corrupt', `${digest} has ${found.size} bytes instead of ${size}`, { digest })
      await fileSource({ path: this.#tree.pathOf(bytesAt), start, end: size }, this.#slabs, signal)(sink)
    }
  }

  /** The folder has no list of them: all manifests of the repository are read, once. */
  async referrers(subject: Digest): Promise<readonly Descriptor[]> {
    this.#referrers ??= this.#readReferrers()
    return (await this.#referrers).get(subject) ?? []
  }

  tags(): AsyncIterable<Tag> {
    return this.#tree.tags(this.#repository)
  }

  async #readReferrers(): Promise<ReadonlyMap<Digest, readonly Descriptor[]>> {
    const found = new Map<Digest, Descriptor[]>()
    let read = 0
    for await (const digest of this.#tree.revisions(this.#repository)) {
      read += 1
      if (read > REVISIONS_MAX)
        throw new ClientError('limit', `more than ${REVISIONS_MAX} manifests in ${this.label}`)
      // A manifest that is damaged refers to nothing; whoever copies it is told.
      const manifest = await this.manifest({ digest }).catch(() => undefined)
      const links = manifest && linksOf(manifest)
      if (!manifest || !links?.subject) continue
      const entry: Descriptor = {
        ...manifest.descriptor,
        ...(links.artifactType ? { artifactType: links.artifactType } : {}),
        ...(links.annotations ? { annotations: links.annotations } : {}),
      }
      found.set(links.subject.digest, [...(found.get(links.subject.digest) ?? []), entry])
    }
    return found
  }
}

function linksOf(manifest: ManifestContent): ReturnType<typeof readLinks> | undefined {
  try {
    return readLinks(manifest)
  } catch {
    return undefined
  }
}
