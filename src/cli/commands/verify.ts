import type { Command } from 'commander'
import { count, formatBytes, shortDigest } from '#cli/figures.ts'
import type { Source } from '#cli/open-place.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import { type Session, type Tools, withSession } from '#cli/session.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import type { Digest } from '#oci/digest.ts'
import type { Reference } from '#oci/reference.ts'

interface VerifyOptions {
  readonly allTags?: boolean
  readonly referrers?: boolean
}

interface Flaw {
  readonly digest: string
  readonly what: string
}

interface Report {
  readonly image: string
  manifests: number
  blobs: number
  bytes: number
  readonly wrong: Flaw[]
}

/** Blobs that are read at once. */
const READ_AT_ONCE = 4

export function addVerifyCommand(program: Command, tools: Tools): void {
  program
    .command('verify')
    .description('read every byte of an image and compare it with its digest')
    .argument('<image>', 'an image of a registry, a folder or an archive')
    .option('--all-tags', 'every tag of the repository')
    .option('--referrers', 'signatures, SBOMs and what else refers to the image')
    .addHelpText(
      'after',
      `
Ends with 6 when something is missing or damaged, and names it.

Examples:
  stowage verify localhost:5000/app:1 --referrers
  stowage verify --all-tags ./mirror/app`,
    )
    .action(async (image: string, options: VerifyOptions, command: Command) => {
      await withSession(command, tools, (session) => verify(session, image, options))
    })
}

async function verify(session: Session, text: string, options: VerifyOptions): Promise<void> {
  const { openSource } = await import('#cli/open-place.ts')
  const source = await openSource(session, text)
  const { signal } = session
  const references: (Reference | undefined)[] = []
  if (options.allTags) for await (const tag of source.place.tags({ signal })) references.push({ tag })
  else references.push(source.reference)
  const report: Report = { image: source.text, manifests: 0, blobs: 0, bytes: 0, wrong: [] }
  const seen = new Set<Digest>()
  for (const reference of references)
    await verifyOne(session, source, reference, { report, seen, ...options })
  const { wrong } = report
  session.print(report, () => [
    ...wrong.map(({ digest, what }) => session.paint('red', `${digest}  ${what}`)),
    `${source.text}: ${count(report.manifests, 'manifest')} and ${count(report.blobs, 'blob')} read (${formatBytes(report.bytes)}), ` +
      (wrong.length === 0 ? session.paint('green', 'all as they should be') : `${wrong.length} wrong`),
  ])
  if (wrong.length > 0)
    throw new CommandFailure(
      EXIT.verification,
      `${count(wrong.length, 'digest')} of ${source.text} cannot be trusted`,
      {
        hint: 'copy the image again from where it is whole',
      },
    )
}

async function verifyOne(
  session: Session,
  source: Source,
  reference: Reference | undefined,
  { report, seen, referrers }: { report: Report; seen: Set<Digest>; referrers?: boolean },
): Promise<void> {
  const { walkImage } = await import('#client/walk.ts')
  const { isReferring } = await import('#client/place.ts')
  const { isClientError } = await import('#client/client-error.ts')
  const { signal, progress } = session
  const { place } = source
  const found = (error: unknown, digest: string) => {
    if (!isClientError(error, 'corrupt', 'not-found', 'invalid')) throw error
    report.wrong.push({ digest, what: error.message })
  }
  const readOne = async (blob: Descriptor) => {
    progress.start(blob.digest, shortDigest(blob.digest), blob.size)
    report.blobs += 1
    try {
      await place.blob(blob, { signal })((chunk) => {
        progress.advance(blob.digest, chunk.byteLength)
        report.bytes += chunk.byteLength
        return undefined
      })
      progress.end(blob.digest, `${shortDigest(blob.digest)}  ok  ${formatBytes(blob.size)}`)
    } catch (error) {
      progress.end(blob.digest, `${shortDigest(blob.digest)}  wrong  ${formatBytes(blob.size)}`)
      found(error, blob.digest)
    }
  }
  const name = reference?.digest ?? reference?.tag ?? source.text
  const root = await place.manifest(reference, { signal }).catch((error: unknown) => found(error, name))
  if (!root) {
    if (report.wrong.length === 0)
      throw new CommandFailure(EXIT.notFound, `${source.text} does not have ${name}`)
    return
  }
  const onMissing = ({ digest }: Descriptor) =>
    report.wrong.push({ digest, what: 'it is named and not there' })
  const walk = walkImage(place, root, { seen, signal, onMissing })
  try {
    for await (const { content, blobs } of walk) {
      report.manifests += 1
      report.bytes += content.bytes.byteLength
      const left = blobs.values()
      const worker = async () => {
        for (const blob of left) await readOne(blob)
      }
      await Promise.all(Array.from({ length: READ_AT_ONCE }, worker))
      if (!referrers || !isReferring(place)) continue
      for (const { digest } of await place.referrers(content.descriptor.digest, { signal }))
        if (!seen.has(digest)) await verifyOne(session, source, { digest }, { report, seen, referrers })
    }
  } catch (error) {
    found(error, name)
  }
}
