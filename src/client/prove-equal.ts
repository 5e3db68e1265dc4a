// Proves, digest by digest, that a repository has all that another has: tags, manifests, blobs, referrers.
import type { CallOptions, ReadablePlace, Referring, WritablePlace } from '#client/place.ts'
import { walkImage } from '#client/walk.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { Digest } from '#oci/digest.ts'
import { isNonDistributable } from '#oci/media-types.ts'
import type { Tag } from '#oci/reference.ts'

/** Digests that are asked for at once. */
const ASKED_AT_ONCE = 8

export interface Difference {
  readonly what: 'tag' | 'manifest' | 'blob' | 'referrer'
  /** The tag, or the digest. */
  readonly name: string
  readonly source: string
  /** Undefined when it is missing there. */
  readonly destination: string | undefined
}

export interface Equality {
  readonly tags: number
  readonly manifests: number
  readonly blobs: number
  /** Of the blobs, each once. */
  readonly bytes: number
  readonly referrers: number
  readonly differences: readonly Difference[]
}

export interface EqualityOptions extends CallOptions {
  readonly tags: readonly Tag[]
  readonly referrers: boolean
}

/** A destination that has more than the source is equal in this sense. */
export async function proveEqual(
  source: ReadablePlace & Referring,
  destination: ReadablePlace & WritablePlace & Referring,
  { tags, referrers, signal }: EqualityOptions,
): Promise<Equality> {
  const call = { signal }
  const seen = new Set<Digest>()
  const differences: Difference[] = []
  const counts = { manifests: 0, blobs: 0, bytes: 0, referrers: 0 }

  const missing = (what: Difference['what'], { digest }: Descriptor) => {
    differences.push({ what, name: digest, source: digest, destination: undefined })
  }
  const compareBelow = async (
    reference: { tag: Tag } | { digest: Digest },
  ): Promise<Descriptor | undefined> => {
    const root = await source.manifest(reference, call)
    if (!root) return undefined
    for await (const { content, blobs } of walkImage(source, root, { seen, signal })) {
      counts.manifests += 1
      if (!(await destination.has(content.descriptor, call))) missing('manifest', content.descriptor)
      const expected = blobs.filter(({ mediaType }) => !isNonDistributable(mediaType))
      for (let at = 0; at < expected.length; at += ASKED_AT_ONCE) {
        await Promise.all(
          expected.slice(at, at + ASKED_AT_ONCE).map(async (blob) => {
            counts.blobs += 1
            counts.bytes += blob.size
            if (!(await destination.has(blob, call))) missing('blob', blob)
          }),
        )
      }
      if (referrers) await compareReferrers(content.descriptor.digest)
    }
    return root.descriptor
  }
  const compareReferrers = async (subject: Digest): Promise<void> => {
    const expected = await source.referrers(subject, call)
    if (expected.length === 0) return
    const found = new Set((await destination.referrers(subject, call)).map(({ digest }) => digest))
    for (const referrer of expected) {
      counts.referrers += 1
      if (!found.has(referrer.digest)) missing('referrer', referrer)
      await compareBelow({ digest: referrer.digest })
    }
  }

  for (const tag of tags) {
    const expected = await compareBelow({ tag })
    // A tag that was taken away meanwhile needs no copy.
    if (!expected) continue
    const found = await destination.resolve({ tag }, call)
    if (found?.digest === expected.digest) continue
    differences.push({ what: 'tag', name: tag, source: expected.digest, destination: found?.digest })
  }
  return { tags: tags.length, ...counts, differences }
}
