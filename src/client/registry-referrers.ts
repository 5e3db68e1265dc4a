// Referrers of a manifest: by the API where the registry has it, by the tag schema where it has not, read and written.
// Source: distribution-spec, "Listing Referrers" and "Referrers Tag Schema".
import { ClientError } from '#client/client-error.ts'
import { readDescriptor, readLinks } from '#client/graph.ts'
import { putManifest } from '#client/manifest-push.ts'
import type { ManifestContent } from '#client/place.ts'
import { pages } from '#client/registry-paging.ts'
import { fetchManifest, type RepositoryAccess } from '#client/registry-pull.ts'
import type { Mutex } from '#lib/mutex.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { algorithmOf, type Digest, digestOf, encodedOf } from '#oci/digest.ts'
import { isIndexType, OCI_INDEX } from '#oci/media-types.ts'
import { parseTag, type Tag } from '#oci/reference.ts'

const REFERRERS_MAX = 100_000

/** `sha256-<hex>`: algorithm cut to 32 characters, value to 64. */
export function fallbackTag(subject: Digest): Tag {
  return parseTag(`${algorithmOf(subject).slice(0, 32)}-${encodedOf(subject).slice(0, 64)}`)
}

export async function listReferrers(
  access: RepositoryAccess,
  subject: Digest,
  signal: AbortSignal | undefined,
): Promise<Descriptor[]> {
  const found = new Map<Digest, Descriptor>()
  let answered = false
  const request = {
    client: access.client,
    path: `/v2/${access.repository}/referrers/${subject}`,
    scopes: access.readScopes,
    headers: { accept: OCI_INDEX },
    // Registries without the API say 404, and some 400, 405 or 501.
    endAt: [400, 404, 405, 501],
    signal,
  }
  for await (const { value } of pages(request)) {
    answered = true
    const entries = Array.isArray(value['manifests']) ? value['manifests'] : []
    for (const entry of entries) add(found, readDescriptor(entry))
  }
  // A registry that has just learned the API may still hold what was pushed by the tag schema.
  if (!answered) for (const entry of await readFallback(access, subject, signal)) add(found, entry)
  return [...found.values()]
}

function add(found: Map<Digest, Descriptor>, descriptor: Descriptor | undefined): void {
  if (!descriptor) return
  if (found.size >= REFERRERS_MAX) throw new ClientError('limit', `more than ${REFERRERS_MAX} referrers`)
  found.set(descriptor.digest, descriptor)
}

async function readFallback(
  access: RepositoryAccess,
  subject: Digest,
  signal: AbortSignal | undefined,
): Promise<readonly Descriptor[]> {
  const index = await fetchManifest(access, { tag: fallbackTag(subject) }, signal)
  if (!index || !isIndexType(index.descriptor.mediaType)) return []
  return readLinks(index).manifests
}

/** Adds a manifest to the index behind the fallback tag of its subject. One writer at a time in this process. */
export async function addToFallback(
  access: RepositoryAccess,
  mutex: Mutex,
  manifest: ManifestContent,
  subject: Digest,
  signal: AbortSignal | undefined,
): Promise<void> {
  const links = readLinks(manifest)
  const entry: Descriptor = {
    ...manifest.descriptor,
    ...(links.artifactType ? { artifactType: links.artifactType } : {}),
    ...(links.annotations ? { annotations: links.annotations } : {}),
  }
  await mutex.run(async () => {
    const before = await readFallback(access, subject, signal)
    if (before.some(({ digest }) => digest === entry.digest)) return
    const bytes = Buffer.from(
      JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [...before, entry] }),
    )
    const descriptor = { mediaType: OCI_INDEX, digest: digestOf(bytes), size: bytes.byteLength }
    await putManifest(access, { descriptor, bytes }, { tag: fallbackTag(subject) }, signal)
  })
}
