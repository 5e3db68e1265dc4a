// What a manifest is to people: platforms, parts, and what the config of an image says.
import { z } from 'zod'
import { findRepository } from '#db/repositories.ts'
import { countReferrers, type ManifestDetail, manifestDetail, totalSizes } from '#db/tag-details.ts'
import { tagsOfManifest } from '#db/tags.ts'
import { type ImageConfig, parseImageConfig } from '#layers/image-config.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { Digest } from '#oci/digest.ts'
import { type ParsedManifest, parseManifest } from '#oci/manifest.ts'
import { isImageType } from '#oci/media-types.ts'
import type { Reference, RepositoryName } from '#oci/reference.ts'
import { readContent } from '#registry/blobs.ts'
import { findManifestIn } from '#registry/manifests.ts'
import { MANIFEST_BYTES_MAX, type Registry } from '#registry/registry.ts'

/** Of a config: larger ones are not looked into. */
const CONFIG_BYTES_MAX = 1024 * 1024
const HISTORY_MAX = 1_000

export interface ImageOverview extends ManifestDetail {
  readonly subject: string | null
  readonly pushedAt: number
  readonly pulledAt: number | null
  /** Bytes of the manifest and all that it refers to. */
  readonly size: number
  readonly tags: readonly string[]
  readonly referrers: number
  readonly platforms: readonly string[]
  /** Undefined for bytes that are no manifest we know. */
  readonly manifest: ParsedManifest | undefined
  readonly config: ImageConfig | undefined
  readonly history: readonly HistoryStep[]
}

const historySchema = z.object({
  history: z
    .array(
      z.object({
        created: z.string().optional(),
        created_by: z.string().optional(),
        comment: z.string().optional(),
        empty_layer: z.boolean().optional(),
      }),
    )
    .nullish(),
})

export interface HistoryStep {
  readonly created: string | null
  readonly createdBy: string | null
  readonly comment: string | null
  readonly emptyLayer: boolean
}

/** @throws OciError MANIFEST_UNKNOWN */
export async function describeManifest(
  registry: Registry,
  repository: RepositoryName,
  reference: Reference,
): Promise<ImageOverview> {
  const { db } = registry
  const { id, digest, blobDigest, mediaType, size } = await findManifestIn(registry, repository, reference)
  const [holder, detail] = [await findRepository(db, repository), await manifestDetail(db, id)]
  const manifest = await readParsed(registry, { blobDigest, mediaType })
  const config = await readConfig(registry, manifest)
  return {
    ...{ manifestId: id, digest, blobDigest, mediaType, manifestSize: size },
    artifactType: detail?.artifactType ?? null,
    subject: detail?.subject ?? null,
    pushedAt: detail?.createdAt ?? 0,
    pulledAt: detail?.pulledAt ?? null,
    size: (await totalSizes(db, [id])).get(id) ?? size,
    tags: (await tagsOfManifest(db, id)).sort(),
    referrers: holder ? await countReferrers(db, holder.id, digest) : 0,
    platforms: platformsOf(manifest, config?.parsed),
    manifest,
    config: config?.parsed,
    history: config?.history ?? [],
  }
}

/** `linux/arm64/v8`; empty for what has none. */
export async function platformsOfManifest(
  registry: Registry,
  { blobDigest, mediaType }: Pick<ManifestDetail, 'blobDigest' | 'mediaType'>,
): Promise<readonly string[]> {
  const manifest = await readParsed(registry, { blobDigest, mediaType })
  return platformsOf(manifest, (await readConfig(registry, manifest))?.parsed)
}

async function readParsed(
  registry: Registry,
  { blobDigest, mediaType }: { blobDigest: Digest; mediaType: string },
): Promise<ParsedManifest | undefined> {
  const bytes = await readContent(registry, blobDigest, MANIFEST_BYTES_MAX)
  return bytes && parseManifest(bytes, mediaType).manifest
}

/** Undefined for what is no image of a container, or has no config that we can read. */
async function readConfig(
  registry: Registry,
  manifest: ParsedManifest | undefined,
): Promise<{ parsed: ImageConfig; history: readonly HistoryStep[] } | undefined> {
  const descriptor = manifest?.config
  if (!descriptor || !isImageConfig(descriptor) || descriptor.size > CONFIG_BYTES_MAX) return undefined
  const bytes = await readContent(registry, descriptor.digest, CONFIG_BYTES_MAX)
  try {
    const json: unknown = JSON.parse(bytes?.toString('utf8') ?? '')
    return { parsed: parseImageConfig(json), history: historyOf(json) }
  } catch {
    return undefined
  }
}

function isImageConfig({ mediaType }: Descriptor): boolean {
  return (
    mediaType === 'application/vnd.oci.image.config.v1+json' ||
    mediaType === 'application/vnd.docker.container.image.v1+json'
  )
}

function historyOf(json: unknown): readonly HistoryStep[] {
  const steps = historySchema.safeParse(json).data?.history ?? []
  return steps.slice(0, HISTORY_MAX).map((step) => ({
    created: step.created ?? null,
    createdBy: step.created_by ?? null,
    comment: step.comment ?? null,
    emptyLayer: step.empty_layer ?? false,
  }))
}

function platformsOf(
  manifest: ParsedManifest | undefined,
  config: ImageConfig | undefined,
): readonly string[] {
  if (!manifest) return []
  if (isImageType(manifest.mediaType))
    return config?.os && config.architecture
      ? [platformText({ ...config, os: config.os, architecture: config.architecture })]
      : []
  const named = manifest.manifests.flatMap(({ platform }) => (platform ? [platformText(platform)] : []))
  // Attestations of buildkit.
  return [...new Set(named)].filter((platform) => platform !== 'unknown/unknown')
}

export function platformText({
  os,
  architecture,
  variant,
}: {
  readonly os: string
  readonly architecture: string
  readonly variant?: string | undefined
}): string {
  return [os, architecture, ...(variant ? [variant] : [])].join('/')
}
