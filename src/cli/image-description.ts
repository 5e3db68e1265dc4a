// What `inspect` tells of an image: as a value for machines, and as lines for people.
import { formatBytes, printable, shortDigest, table } from '#cli/figures.ts'
import { type LoadedManifest, loadConfig } from '#cli/load-image.ts'
import type { Source } from '#cli/open-place.ts'
import type { Paint } from '#cli/paint.ts'
import { isReferring } from '#client/place.ts'
import { formatPlatform } from '#client/platform-choice.ts'
import { parseImageConfig } from '#layers/image-config.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { Digest } from '#oci/digest.ts'
import { isIndexType } from '#oci/media-types.ts'

const REFERRER_DEPTH_MAX = 8
const REFERRERS_MAX = 1000

export interface ReferrerNode {
  readonly digest: string
  readonly mediaType: string
  readonly size: number
  readonly artifactType: string | undefined
  readonly annotations: Readonly<Record<string, string>> | undefined
  readonly referrers: readonly ReferrerNode[]
}

interface Part {
  readonly digest: string
  readonly mediaType: string
  readonly size: number
}

export interface HistoryStep {
  readonly created?: string
  readonly createdBy?: string
  readonly comment?: string
  readonly emptyLayer: boolean
}

export interface ImageDescription {
  readonly image: string
  readonly digest: string
  readonly mediaType: string
  /** Of the manifest itself. */
  readonly size: number
  readonly artifactType: string | undefined
  readonly annotations: Readonly<Record<string, string>> | undefined
  readonly subject: string | undefined
  /** Of an index only. */
  readonly platforms: readonly (Part & { readonly platform: string | undefined })[] | undefined
  readonly config: Part | undefined
  readonly layers: readonly Part[] | undefined
  /** Config and layers together, as they are stored. */
  readonly contentBytes: number | undefined
  /** What the config says, where it is that of a container image. */
  readonly run: Readonly<Record<string, unknown>> | undefined
  readonly history: readonly HistoryStep[] | undefined
  readonly referrers: readonly ReferrerNode[] | undefined
}

export async function describeImage(
  source: Source,
  { content, links }: LoadedManifest,
  options: { readonly referrers: boolean; readonly signal: AbortSignal },
): Promise<ImageDescription> {
  const { digest, mediaType, size } = content.descriptor
  const isIndex = isIndexType(mediaType)
  const config = isIndex ? undefined : await loadConfig(source, links, options.signal)
  return {
    image: source.text,
    digest,
    mediaType,
    size,
    artifactType: isIndex || links.artifactType !== links.config?.mediaType ? links.artifactType : undefined,
    annotations: links.annotations,
    subject: links.subject?.digest,
    platforms: isIndex
      ? links.manifests.map((entry) => ({
          ...partOf(entry),
          platform: entry.platform && formatPlatform(entry.platform),
        }))
      : undefined,
    config: links.config && partOf(links.config),
    layers: isIndex ? undefined : links.layers.map(partOf),
    contentBytes: isIndex ? undefined : links.blobs.reduce((sum, blob) => sum + blob.size, 0),
    run: runOf(config),
    history: historyOf(config),
    referrers: options.referrers ? await treeOfReferrers(source, digest, options.signal) : undefined,
  }
}

function partOf({ digest, mediaType, size }: Descriptor): Part {
  return { digest, mediaType, size }
}

/** A config that is none of a container image has nothing to tell. */
function runOf(config: unknown): Readonly<Record<string, unknown>> | undefined {
  try {
    const { os, architecture, variant, created, author, config: run } = parseImageConfig(config)
    if (os === undefined && architecture === undefined) return undefined
    const platform = [os, architecture, variant].filter(Boolean).join('/')
    const { User, Entrypoint, Cmd, Env, WorkingDir, Labels, ExposedPorts, Volumes, StopSignal } = run ?? {}
    return {
      platform,
      created: created ?? undefined,
      author,
      user: User || undefined,
      entrypoint: Entrypoint ?? undefined,
      command: Cmd ?? undefined,
      environment: Env ?? undefined,
      folder: WorkingDir || undefined,
      labels: Labels ?? undefined,
      ports: ExposedPorts ? Object.keys(ExposedPorts) : undefined,
      volumes: Volumes ? Object.keys(Volumes) : undefined,
      stopSignal: StopSignal,
    }
  } catch {
    return undefined
  }
}

function historyOf(config: unknown): HistoryStep[] | undefined {
  const { history } = (config ?? {}) as { history?: unknown }
  if (!Array.isArray(history)) return undefined
  return history.map((step: unknown) => {
    const {
      created,
      created_by: createdBy,
      comment,
      empty_layer: empty,
    } = (step ?? {}) as Record<string, unknown>
    return {
      ...(typeof created === 'string' ? { created } : {}),
      ...(typeof createdBy === 'string' ? { createdBy } : {}),
      ...(typeof comment === 'string' ? { comment } : {}),
      emptyLayer: empty === true,
    }
  })
}

async function treeOfReferrers(source: Source, root: Digest, signal: AbortSignal): Promise<ReferrerNode[]> {
  const { place } = source
  if (!isReferring(place)) return []
  const seen = new Set<Digest>([root])
  const below = async (subject: Digest, depth: number): Promise<ReferrerNode[]> => {
    const nodes: ReferrerNode[] = []
    if (depth > REFERRER_DEPTH_MAX) return nodes
    for (const found of await place.referrers(subject, { signal })) {
      if (seen.has(found.digest) || seen.size > REFERRERS_MAX) continue
      seen.add(found.digest)
      const { artifactType, annotations } = found
      nodes.push({
        ...partOf(found),
        artifactType,
        annotations,
        referrers: await below(found.digest, depth + 1),
      })
    }
    return nodes
  }
  return await below(root, 1)
}

export function* imageLines(description: ImageDescription, paint: Paint): Generator<string> {
  const { platforms, config, layers, run, history, referrers } = description
  yield paint('bold', description.image)
  yield* table([
    ['  digest', description.digest],
    ['  type', printable(description.mediaType)],
    ...(description.artifactType ? [['  artifact type', printable(description.artifactType)]] : []),
    ...(description.subject ? [['  refers to', description.subject]] : []),
    ...Object.entries(description.annotations ?? {}).map(([name, value]) => [
      `  ${printable(name)}`,
      printable(value),
    ]),
    ...Object.entries(run ?? {}).flatMap(([name, value]) => {
      const text = valueText(value)
      return text === '' ? [] : [[`  ${name}`, text]]
    }),
  ])
  if (platforms) {
    yield paint('bold', `platforms (${platforms.length})`)
    yield* table(platforms.map((entry) => [`  ${printable(entry.platform ?? '-')}`, entry.digest]))
  }
  if (config) yield `config  ${config.digest}  ${formatBytes(config.size)}`
  if (layers) {
    yield paint(
      'bold',
      `layers (${layers.length}, ${formatBytes(description.contentBytes ?? 0)} with the config)`,
    )
    yield* table(
      layers.map((layer) => [`  ${layer.digest}`, formatBytes(layer.size), printable(layer.mediaType)]),
    )
  }
  if (history && history.length > 0) {
    yield paint('bold', 'history')
    for (const step of history) {
      const what = printable(step.createdBy ?? step.comment ?? '')
      yield `  ${step.created ?? ''}  ${what.length > 100 ? `${what.slice(0, 100)}…` : what}`
    }
  }
  if (referrers && referrers.length > 0) {
    yield paint('bold', 'referrers')
    yield* referrerLines(referrers, '  ')
  }
}

function* referrerLines(nodes: readonly ReferrerNode[], indent: string): Generator<string> {
  for (const [at, node] of nodes.entries()) {
    const isLast = at === nodes.length - 1
    yield `${indent}${isLast ? '└' : '├'} ${printable(node.artifactType ?? node.mediaType)}  ${shortDigest(node.digest)}  ${formatBytes(node.size)}`
    yield* referrerLines(node.referrers, `${indent}${isLast ? ' ' : '│'} `)
  }
}

function valueText(value: unknown): string {
  if (value === undefined || value === null) return ''
  if (Array.isArray(value)) return printable(value.join(' '))
  if (typeof value === 'object')
    return printable(
      Object.entries(value)
        .map(([name, item]) => `${name}=${item}`)
        .join(' '),
    )
  return printable(String(value))
}
