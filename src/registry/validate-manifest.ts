// Whether a manifest may be pushed: well-formed, and all that it refers to present in the repository with the right size.
import { findManifest } from '#db/manifests.ts'
import { bareMediaType } from '#oci/bare-media-type.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { Digest } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import type { Finding } from '#oci/findings.ts'
import { type ParsedManifest, parseManifest } from '#oci/manifest.ts'
import { isNonDistributable } from '#oci/media-types.ts'
import type { RepositoryName } from '#oci/reference.ts'
import { checkUrls } from '#oci/url-policy.ts'
import { findBlobIn } from '#registry/blobs.ts'
import type { Registry } from '#registry/registry.ts'
import { lookUp } from '#registry/upstream.ts'

export interface Missing {
  readonly path: string
  readonly digest: string
  readonly mediaType: string
}

export interface ValidManifest {
  readonly manifest: ParsedManifest
  readonly mediaType: string
  readonly missing: readonly Missing[]
  /** Content that it refers to and that was found. */
  readonly present: ReadonlySet<Digest>
}

/** @throws OciError MANIFEST_INVALID or MANIFEST_BLOB_UNKNOWN, with everything that is wrong in `detail` */
export async function validateManifest(
  registry: Registry,
  repository: RepositoryName,
  push: { readonly mediaType: string; readonly bytes: Buffer },
): Promise<ValidManifest> {
  const mediaType = push.mediaType || ownMediaType(push.bytes)
  const { manifest, findings } = parseManifest(push.bytes, mediaType)
  if (!manifest) throw new OciError('MANIFEST_INVALID', { detail: { findings } })
  if (registry.settings.validationDisabled) return { manifest, mediaType, missing: [], present: new Set() }
  const { wrong, missing, present } = await checkContent(registry, repository, manifest)
  if (wrong.length > 0) throw new OciError('MANIFEST_INVALID', { detail: { findings: wrong, missing } })
  if (missing.length > 0 && !registry.settings.sparse)
    throw new OciError('MANIFEST_BLOB_UNKNOWN', { detail: { repository, missing } })
  return { manifest, mediaType, missing, present }
}

/** A client that sends no Content-Type may still say in the body what this is. */
function ownMediaType(bytes: Buffer): string {
  let document: unknown
  try {
    document = JSON.parse(bytes.toString('utf8'))
  } catch {
    return ''
  }
  if (typeof document !== 'object' || document === null || !('mediaType' in document)) return ''
  return typeof document.mediaType === 'string' ? bareMediaType(document.mediaType) : ''
}

async function checkContent(
  registry: Registry,
  repository: RepositoryName,
  manifest: ParsedManifest,
): Promise<{ wrong: Finding[]; missing: Missing[]; present: Set<Digest> }> {
  const wrong: Finding[] = []
  const missing: Missing[] = []
  const present = new Set<Digest>()
  const required = manifest.kind !== 'other'
  const check = async (
    descriptor: Descriptor,
    path: string,
    sizeOf: () => Promise<number | undefined>,
    must: boolean,
  ) => {
    wrong.push(...checkUrls(descriptor, registry.settings.urls, path))
    const size = await sizeOf()
    if (size !== undefined) present.add(descriptor.digest)
    if (size === undefined) {
      if (must) missing.push({ path, digest: descriptor.digest, mediaType: descriptor.mediaType })
    } else if (size !== descriptor.size && manifest.kind !== 'other') {
      wrong.push({
        path: `${path}/size`,
        problem: `is ${descriptor.size}, but the stored content has ${size} bytes`,
      })
    }
  }
  const blobSize = (descriptor: Descriptor) => async () =>
    (await findBlobIn(registry, repository, descriptor.digest))?.size
  if (manifest.config) {
    await check(manifest.config, '/config', blobSize(manifest.config), required)
  }
  for (const [index, layer] of manifest.layers.entries()) {
    const must = required && !isNonDistributable(layer.mediaType)
    await check(layer, `/layers/${index}`, blobSize(layer), must)
  }
  for (const [index, child] of manifest.manifests.entries()) {
    const must = required && mustBePresent(registry, child)
    await check(child, `/manifests/${index}`, () => manifestSize(registry, repository, child), must)
  }
  return { wrong, missing, present }
}

async function manifestSize(
  registry: Registry,
  repository: RepositoryName,
  child: Descriptor,
): Promise<number | undefined> {
  const found = await lookUp(
    registry.upstreams,
    repository,
    () => findManifest(registry.db, repository, child.digest),
    (upstream) => upstream.manifest(repository, { digest: child.digest }),
  )
  // An index may list blobs too; image-spec image-index.md lets mediaType be anything.
  return found?.size ?? (await findBlobIn(registry, repository, child.digest))?.size
}

/** registry:3's `validation.manifests.indexes.platforms`. A child without a platform is always needed. */
function mustBePresent(registry: Registry, child: Descriptor): boolean {
  const wanted = registry.settings.indexPlatforms
  if (!wanted || !child.platform) return wanted === undefined || wanted.length > 0
  const { os, architecture } = child.platform
  return wanted.some((platform) => platform.os === os && platform.architecture === architecture)
}
