// Everything that an image consists of, in the order that a reader meets it: manifests before what they name.
import { ClientError } from '#client/client-error.ts'
import { type ManifestLinks, readLinks } from '#client/graph.ts'
import { type CallOptions, isManifestType, type ManifestContent, type ReadablePlace } from '#client/place.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { Digest } from '#oci/digest.ts'

const MANIFESTS_MAX = 100_000

export interface WalkedManifest {
  readonly content: ManifestContent
  readonly links: ManifestLinks
  /** Blobs that no manifest before it named. */
  readonly blobs: readonly Descriptor[]
}

export interface WalkOptions extends CallOptions {
  /** Digests that need not be looked at again; those that are met are added. */
  readonly seen?: Set<Digest>
  /** Told of what is named and not there. Without it, that is an error. */
  readonly onMissing?: ((descriptor: Descriptor) => void) | undefined
}

/** @throws ClientError not-found, corrupt, invalid or limit */
export async function* walkImage(
  place: ReadablePlace,
  root: ManifestContent,
  { signal, seen = new Set(), onMissing }: WalkOptions = {},
): AsyncGenerator<WalkedManifest> {
  if (seen.has(root.descriptor.digest)) return
  seen.add(root.descriptor.digest)
  const waiting: (Descriptor | ManifestContent)[] = [root]
  let manifests = 0
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    signal?.throwIfAborted()
    manifests += 1
    if (manifests > MANIFESTS_MAX)
      throw new ClientError('limit', `an index with more than ${MANIFESTS_MAX} manifests`)
    const content = 'bytes' in next ? next : await fetched(place, next, { signal })
    if (!content) {
      if ('bytes' in next) continue
      if (!onMissing)
        throw new ClientError('not-found', `${place.label} does not have ${next.digest}`, {
          digest: next.digest,
        })
      onMissing(next)
      continue
    }
    const links = readLinks(content)
    const named = [...links.blobs, ...links.manifests].filter(({ digest }) => {
      const isNew = !seen.has(digest)
      seen.add(digest)
      return isNew
    })
    const isManifest = ({ mediaType }: Descriptor) => links.manifests.length > 0 && isManifestType(mediaType)
    yield { content, links, blobs: named.filter((descriptor) => !isManifest(descriptor)) }
    waiting.push(...named.filter(isManifest).reverse())
  }
}

/** The type is that of whoever points at it: the digest says nothing of types. */
async function fetched(
  place: ReadablePlace,
  descriptor: Descriptor,
  call: CallOptions,
): Promise<ManifestContent | undefined> {
  const content = await place.manifest({ digest: descriptor.digest }, call)
  return content && { ...content, descriptor: { ...content.descriptor, mediaType: descriptor.mediaType } }
}
