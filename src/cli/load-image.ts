// One image of a place, read as far as a command needs: manifest, links, config, and layers that can be unfolded.
import { asUsage } from '#cli/image-text.ts'
import type { Source } from '#cli/open-place.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import { type ManifestLinks, readLinks } from '#client/graph.ts'
import type { ManifestContent } from '#client/place.ts'
import { choosePlatform, formatPlatform, parsePlatform } from '#client/platform-choice.ts'
import { readBlob } from '#client/verify.ts'
import type { LayerSource } from '#layers/read.ts'
import { iterateSource } from '#lib/iterate-source.ts'
import type { Platform } from '#oci/descriptor.ts'
import { type Digest, isDigest } from '#oci/digest.ts'
import { isIndexType } from '#oci/media-types.ts'

const CONFIG_BYTES_MAX = 8 * 1024 * 1024

export interface LoadedManifest {
  readonly content: ManifestContent
  readonly links: ManifestLinks
}

export interface LoadedImage extends LoadedManifest {
  /** Parsed JSON and no further. */
  readonly config: unknown
}

/** What the reference stands for, be it an image or an index. @throws CommandFailure notFound */
export async function loadManifest(source: Source, signal: AbortSignal): Promise<LoadedManifest> {
  const content = await source.place.manifest(source.reference, { signal })
  if (!content) throw new CommandFailure(EXIT.notFound, `${source.text} does not exist`)
  return { content, links: readLinks(content) }
}

/** One image: that of the platform where there are several, by default the platform that containers run on here. */
export async function loadImage(
  source: Source,
  platformText: string | undefined,
  signal: AbortSignal,
): Promise<LoadedImage> {
  let { content, links } = await loadManifest(source, signal)
  if (isIndexType(content.descriptor.mediaType)) {
    const platform = platformText === undefined ? hostPlatform() : asUsage(() => parsePlatform(platformText))
    const chosen = choosePlatform(links.manifests, platform)
    if (!chosen) {
      const offered = links.manifests.flatMap((entry) =>
        entry.platform ? [formatPlatform(entry.platform)] : [],
      )
      throw new CommandFailure(EXIT.notFound, `${source.text} has no image for ${formatPlatform(platform)}`, {
        hint: `name one with --platform: ${offered.join(', ')}`,
      })
    }
    const found = await source.place.manifest({ digest: chosen.digest }, { signal })
    if (!found) throw new CommandFailure(EXIT.notFound, `${source.text} lacks ${chosen.digest}`)
    content = { ...found, descriptor: { ...found.descriptor, mediaType: chosen.mediaType } }
    links = readLinks(content)
  }
  return { content, links, config: await loadConfig(source, links, signal) }
}

/** Undefined when the manifest has none, or one that is no JSON object: an artifact may put anything there. */
export async function loadConfig(
  source: Source,
  links: ManifestLinks,
  signal: AbortSignal,
): Promise<unknown> {
  const { config } = links
  if (!config) return undefined
  const bytes = await readBlob(source.place.blob(config, { signal }), config, CONFIG_BYTES_MAX)
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}

/** @throws CommandFailure when this is no container image */
export function layerSources(source: Source, image: LoadedImage, signal: AbortSignal): LayerSource[] {
  const diffIds = diffIdsOf(image.config)
  const { layers } = image.links
  if (layers.length === 0 || diffIds.length !== layers.length) {
    const what = `${source.text} is no container image: it has ${layers.length} layers and ${diffIds.length} DiffIDs`
    throw new CommandFailure(EXIT.failed, what, { hint: 'see what it is with: stowage inspect' })
  }
  return layers.flatMap((layer, at) => {
    const diffId = diffIds[at]
    if (diffId === undefined) return []
    const open = () => iterateSource(source.place.blob(layer, { signal }))
    return [{ open, mediaType: layer.mediaType, diffId }]
  })
}

export function diffIdsOf(config: unknown): Digest[] {
  const { rootfs } = (config ?? {}) as { rootfs?: { diff_ids?: unknown } }
  const ids = Array.isArray(rootfs?.diff_ids) ? rootfs.diff_ids : []
  return ids.filter((id): id is Digest => typeof id === 'string' && isDigest(id))
}

/** Containers run on Linux, on whatever machine. */
function hostPlatform(): Platform {
  const names: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' }
  return { os: 'linux', architecture: names[process.arch] ?? process.arch }
}
