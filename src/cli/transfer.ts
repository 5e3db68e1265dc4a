// pull, push and copy are one thing: an image, or every tag of a repository, from one place to another.

import { count, formatBytes } from '#cli/figures.ts'
import { asUsage } from '#cli/image-text.ts'
import { finishing, type OpenOptions, openDestination, openSource, type Source } from '#cli/open-place.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import type { Session } from '#cli/session.ts'
import { copy } from '#client/copy.ts'
import type { CopyOptions, CopyResult } from '#client/copy-options.ts'
import { parsePlatform } from '#client/platform-choice.ts'
import { formatImageName } from '#client/reference-name.ts'
import { newTransfers } from '#client/shared-transfers.ts'
import { BlobWhereabouts } from '#client/whereabouts.ts'
import { parseTag, type Reference, type Tag } from '#oci/reference.ts'

export interface TransferOptions {
  readonly allTags?: boolean
  readonly platform?: string
  readonly referrers?: boolean
  readonly alsoTag?: readonly string[]
  readonly nonDistributable?: boolean
}

export interface Ends {
  readonly from: string
  readonly to: string
  readonly source?: OpenOptions
  readonly destination?: OpenOptions
}

interface Wish {
  readonly reference: Reference | undefined
  readonly tags: readonly Tag[]
}

export async function transfer(session: Session, ends: Ends, options: TransferOptions): Promise<void> {
  const platform =
    options.platform === undefined ? undefined : asUsage(() => parsePlatform(options.platform ?? ''))
  const more = (options.alsoTag ?? []).map((tag) => asUsage(() => parseTag(tag)))
  const source = await openSource(session, ends.from, ends.source)
  const { place, name, tag } = await openDestination(session, ends.to, ends.destination)
  if (options.allTags && (name.tag ?? name.digest ?? source.name.tag ?? source.name.digest) !== undefined)
    throw new CommandFailure(EXIT.usage, 'with --all-tags the images are named without a tag or digest')
  const wishes = options.allTags
    ? await everyTag(session, source)
    : [
        {
          reference: source.reference,
          tags: tagsFor(source, { tag, digest: name.digest, kind: name.kind }, more),
        },
      ]
  const common: CopyOptions = {
    transfers: newTransfers(),
    platform,
    referrers: options.referrers,
    nonDistributable: options.nonDistributable,
    whereabouts: new BlobWhereabouts(),
    onProgress: session.progress.onCopy,
  }
  const reports = await finishing(place, () =>
    sideBySide(wishes, session.signal, async (wish, signal) => {
      const result = await copy(source.place, place, { ...common, ...wish, signal })
      if (name.digest !== undefined && result.root.digest !== name.digest) {
        throw new CommandFailure(
          EXIT.verification,
          `${source.text} is ${result.root.digest}, not ${name.digest}`,
        )
      }
      return reportOf(result, wish.tags)
    }),
  )
  const { tag: _, digest: __, ...bare } = name
  const to = formatImageName(bare)
  const value = options.allTags
    ? { source: source.text, destination: to, images: reports }
    : { source: source.text, destination: to, ...reports[0] }
  for (const report of reports) session.say(summary(report))
  session.print(value, () => reports.flatMap((report) => lines(to, report)))
}

/** Images wait for answers most of the time; their blobs are moved within one budget. */
const IMAGES_AT_ONCE = 4

/** Results come in the order of the wishes. The first failure ends the others, and is thrown when they have ended. */
async function sideBySide(
  wishes: readonly Wish[],
  signal: AbortSignal,
  work: (wish: Wish, signal: AbortSignal) => Promise<TransferReport>,
): Promise<TransferReport[]> {
  const ending = new AbortController()
  const either = AbortSignal.any([signal, ending.signal])
  const reports = new Map<number, TransferReport>()
  const left = wishes.entries()
  const lane = async () => {
    for (const [at, wish] of left) reports.set(at, await work(wish, either))
  }
  const lanes = Array.from({ length: Math.min(IMAGES_AT_ONCE, wishes.length) }, lane)
  try {
    await Promise.all(lanes)
  } catch (error) {
    ending.abort(error)
    await Promise.allSettled(lanes)
    throw error
  }
  return [...reports].sort(([a], [b]) => a - b).map(([, report]) => report)
}

/** The tags that the destination gets: those that were named, else the tag of the source, else `latest`. */
function tagsFor(
  source: Source,
  named: { readonly tag: Tag | undefined; readonly digest: string | undefined; readonly kind: string },
  more: readonly Tag[],
): Tag[] {
  const { tag, digest, kind } = named
  if (tag !== undefined) return [tag, ...more]
  if (digest !== undefined) return [...more]
  const { name } = source
  // A digest alone stays one in a registry; in a folder nobody would find it again.
  if (name.tag === undefined && name.digest !== undefined && kind === 'registry') return [...more]
  return [name.tag ?? parseTag('latest'), ...more]
}

async function everyTag(session: Session, source: Source): Promise<Wish[]> {
  const wishes: Wish[] = []
  for await (const tag of source.place.tags({ signal: session.signal }))
    wishes.push({ reference: { tag }, tags: [tag] })
  if (wishes.length === 0) throw new CommandFailure(EXIT.notFound, `${source.text} has no tags`)
  return wishes
}

export interface TransferReport {
  readonly tags: readonly Tag[]
  readonly digest: string
  readonly mediaType: string
  readonly copied: CopyResult['copied']
  readonly mounted: CopyResult['mounted']
  readonly present: CopyResult['skipped']
  readonly leftOut: CopyResult['leftOut']
  readonly manifests: { readonly copied: number; readonly present: number }
  readonly referrers: number
}

export function reportOf(result: CopyResult, tags: readonly Tag[]): TransferReport {
  return {
    tags,
    digest: result.root.digest,
    mediaType: result.root.mediaType,
    copied: result.copied,
    mounted: result.mounted,
    present: result.skipped,
    leftOut: result.leftOut,
    manifests: { copied: result.manifestsCopied, present: result.manifestsSkipped },
    referrers: result.referrers,
  }
}

function summary({ copied, mounted, present, leftOut, manifests, referrers }: TransferReport): string {
  if (copied.blobs + mounted.blobs + manifests.copied + present.blobs === 0)
    return 'nothing to do: it is all there'
  const parts = [`${count(copied.blobs, 'blob')} copied (${formatBytes(copied.bytes)})`]
  if (mounted.blobs > 0) parts.push(`${mounted.blobs} mounted`)
  if (present.blobs > 0) parts.push(`${present.blobs} already there`)
  if (leftOut.blobs > 0) parts.push(`${leftOut.blobs} left out, since they are not to be distributed`)
  if (referrers > 0) parts.push(count(referrers, 'referrer'))
  return parts.join(', ')
}

function lines(to: string, { tags, digest }: TransferReport): string[] {
  if (tags.length === 0) return [`${to}@${digest}`]
  return tags.map((tag) => `${to}:${tag}@${digest}`)
}
