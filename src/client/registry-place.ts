// One repository of a registry as a place.
import { ClientError } from '#client/client-error.ts'
import { readLinks } from '#client/graph.ts'
import { putManifest } from '#client/manifest-push.ts'
import {
  type BlobContent,
  type CallOptions,
  type Deleting,
  isManifestType,
  type ManifestContent,
  type Mounting,
  type PushBlobOptions,
  type PushManifestOptions,
  type PushOutcome,
  type ReadablePlace,
  type Referring,
  type TagListing,
  type WritablePlace,
} from '#client/place.ts'
import type { RegistryClient } from '#client/registry-client.ts'
import { pages } from '#client/registry-paging.ts'
import {
  blobFrom,
  blobSource,
  fetchManifest,
  hasBlob,
  manifestPath,
  type RepositoryAccess,
  readAccess,
  resolveManifest,
} from '#client/registry-pull.ts'
import { pushBlob } from '#client/registry-push.ts'
import { addToFallback, listReferrers } from '#client/registry-referrers.ts'
import { CATALOG_SCOPE, repositoryScope } from '#client/scope.ts'
import type { VerifiedSource } from '#client/verify.ts'
import type { ByteSource } from '#lib/byte-source.ts'
import { Mutex } from '#lib/mutex.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { Digest } from '#oci/digest.ts'
import {
  isRepositoryName,
  isTag,
  parseTag,
  type Reference,
  type RepositoryName,
  type Tag,
} from '#oci/reference.ts'

export interface RegistryPlaceOptions {
  readonly client: RegistryClient
  readonly repository: RepositoryName
  /** The place will be written to: then reads ask for a token that does for both. */
  readonly push?: boolean | undefined
}

const TAGS_PER_PAGE = 1000
const LATEST = parseTag('latest')

export class RegistryPlace
  implements ReadablePlace, WritablePlace, Mounting, Referring, TagListing, Deleting
{
  readonly label: string
  readonly registry: string
  readonly repository: RepositoryName
  readonly #access: RepositoryAccess
  readonly #fallbackMutex = new Mutex()

  constructor({ client, repository, push }: RegistryPlaceOptions) {
    this.label = `${client.host}/${repository}`
    this.registry = client.host
    this.repository = repository
    this.#access = readAccess(client, repository, push ?? false)
  }

  async resolve(
    reference: Reference | undefined,
    { signal }: CallOptions = {},
  ): Promise<Descriptor | undefined> {
    return await resolveManifest(this.#access, reference ?? { tag: LATEST }, signal)
  }

  async manifest(
    reference: Reference | undefined,
    { signal }: CallOptions = {},
  ): Promise<ManifestContent | undefined> {
    return await fetchManifest(this.#access, reference ?? { tag: LATEST }, signal)
  }

  blob(descriptor: Descriptor, { signal }: CallOptions = {}): VerifiedSource {
    return blobSource(this.#access, descriptor, signal)
  }

  blobFrom(descriptor: Descriptor, start: number, { signal }: CallOptions = {}): ByteSource {
    return blobFrom(this.#access, descriptor, start, signal)
  }

  async has(descriptor: Descriptor, { signal }: CallOptions = {}): Promise<boolean> {
    if (!isManifestType(descriptor.mediaType)) return await hasBlob(this.#access, descriptor, signal)
    return (await resolveManifest(this.#access, { digest: descriptor.digest }, signal)) !== undefined
  }

  async pushBlob(
    descriptor: Descriptor,
    content: BlobContent,
    options: PushBlobOptions = {},
  ): Promise<PushOutcome> {
    return await pushBlob(this.#access, descriptor, content, options)
  }

  async pushManifest(manifest: ManifestContent, { tag, signal }: PushManifestOptions = {}): Promise<void> {
    const reference: Reference = tag ? { tag } : { digest: manifest.descriptor.digest }
    const { subjectTaken } = await putManifest(this.#access, manifest, reference, signal)
    const { subject } = readLinks(manifest)
    if (!subject || subjectTaken) return
    await addToFallback(this.#access, this.#fallbackMutex, manifest, subject.digest, signal)
  }

  async referrers(subject: Digest, { signal }: CallOptions = {}): Promise<readonly Descriptor[]> {
    return await listReferrers(this.#access, subject, signal)
  }

  async *tags({ signal }: CallOptions = {}): AsyncGenerator<Tag> {
    const request = {
      client: this.#access.client,
      path: `/v2/${this.repository}/tags/list?n=${TAGS_PER_PAGE}`,
      scopes: this.#access.readScopes,
      endAt: [404],
      signal,
    }
    for await (const { value } of pages(request)) {
      const tags = Array.isArray(value['tags']) ? value['tags'] : []
      for (const tag of tags) if (typeof tag === 'string' && isTag(tag)) yield tag
    }
  }

  async deleteManifest(reference: Reference, { signal }: CallOptions = {}): Promise<boolean> {
    return await this.#delete(manifestPath(this.#access, reference), signal)
  }

  async deleteBlob(digest: Digest, { signal }: CallOptions = {}): Promise<boolean> {
    return await this.#delete(`/v2/${this.repository}/blobs/${digest}`, signal)
  }

  async #delete(path: string, signal: AbortSignal | undefined): Promise<boolean> {
    const reply = await this.#access.client.send({
      method: 'DELETE',
      path,
      scopes: [repositoryScope(this.repository, 'pull', 'delete')],
      expect: [202, 200, 204, 404, 405],
      signal,
    })
    if (reply.status === 405) {
      throw new ClientError('refused', 'the registry does not allow deleting', {
        request: { method: 'DELETE', url: reply.url },
        status: 405,
        hint: 'deleting must be turned on in the configuration of the registry',
      })
    }
    return reply.status !== 404
  }
}

/** The names of all repositories that the registry shows to us, in its order. Names that do not parse are passed over. */
export async function* listRepositories(
  client: RegistryClient,
  { signal }: CallOptions = {},
): AsyncGenerator<RepositoryName> {
  const request = {
    client,
    path: `/v2/_catalog?n=${TAGS_PER_PAGE}`,
    scopes: [CATALOG_SCOPE],
    endAt: [],
    signal,
  }
  for await (const { value } of pages(request)) {
    const names = Array.isArray(value['repositories']) ? value['repositories'] : []
    for (const name of names) if (typeof name === 'string' && isRepositoryName(name)) yield name
  }
}
