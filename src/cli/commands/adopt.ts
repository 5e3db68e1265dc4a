import type { Command } from 'commander'
import { count, formatBytes, printable, shortDigest } from '#cli/figures.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import { type Session, type Tools, withSession } from '#cli/session.ts'
import type { TreeInspection } from '#maintenance/inspect-tree.ts'
import type { TreeVerification } from '#maintenance/verify-tree.ts'

interface AdoptOptions {
  readonly verify?: boolean
  readonly notes?: string
  readonly apply?: boolean
}

/** Of each list; --json has more of them. */
const SHOWN_MAX = 20

export function addAdoptCommand(program: Command, tools: Tools): void {
  program
    .command('adopt')
    .description('look at a folder of registry:2 before Stowage serves it: what is there, and what is broken')
    .argument('<folder>', 'storage.filesystem.rootdirectory of registry:2: what holds docker/registry/v2')
    .option('--verify', 'hash every byte; a run that was cut off goes on where it stopped')
    .option('--notes <file>', 'where --verify keeps what it has hashed; <folder>/stowage/verified by default')
    .option(
      '--apply',
      'take it over now: index it, as the first start of the server would do while it serves',
    )
    .addHelpText(
      'after',
      `
Without --apply nothing is changed: this is a dry run. registry:2 may go on running meanwhile, but not with --apply.
Ends with 6 when something is corrupt. What is broken stays where it is, and is answered with 404.

Examples:
  stowage adopt /var/lib/registry
  stowage adopt --verify /var/lib/registry
  stowage adopt --apply /var/lib/registry`,
    )
    .action(async (folder: string, options: AdoptOptions, command: Command) => {
      await withSession(command, tools, (session) => adopt(session, folder, options))
    })
}

async function adopt(session: Session, folder: string, options: AdoptOptions): Promise<void> {
  const { inspectTree } = await import('#maintenance/inspect-tree.ts')
  const { RegistryTree } = await import('#maintenance/registry-tree.ts')
  const { signal, progress, actions } = session
  const tree = new RegistryTree(folder)
  if (!(await tree.exists())) {
    throw new CommandFailure(EXIT.notFound, `${folder} is no folder of a registry`, {
      hint: 'name the folder that holds docker/registry/v2',
    })
  }
  const found = await inspectTree(tree, {
    signal,
    onRepository: (name, repositories) => progress.status(`reading repository ${repositories}: ${name}`),
  })
  progress.status('')
  const verified = options.verify
    ? await verify(session, tree, options.notes ?? `${folder}/stowage/verified`)
    : undefined
  const adopted = options.apply ? await actions.adopt(folder) : undefined
  const value = { folder, dryRun: !options.apply, ...found, verified, adopted }
  session.print(value, () => lines(session, folder, found, verified, adopted))
  const corrupt = found.corruptCount + (verified?.corrupt.length ?? 0)
  if (corrupt > 0) {
    throw new CommandFailure(EXIT.verification, `${count(corrupt, 'corruption')} in ${folder}`, {
      hint: 'push those images again once Stowage serves the folder: that replaces the bytes',
    })
  }
}

async function verify(
  session: Session,
  tree: import('#maintenance/registry-tree.ts').RegistryTree,
  notes: string,
): Promise<TreeVerification> {
  const { verifyTree } = await import('#maintenance/verify-tree.ts')
  const { progress, signal } = session
  return await verifyTree(tree, {
    notes,
    signal,
    onStart: (blobs, bytes, doneBytes) => {
      if (doneBytes > 0)
        session.say(`going on where an earlier run stopped: ${formatBytes(doneBytes)} are hashed`)
      progress.start('all', `hashing ${count(blobs, 'blob')}`, bytes)
      progress.advance('all', doneBytes)
    },
    onBytes: (bytes) => progress.advance('all', bytes),
    onBlob: ({ digest }, sound) => {
      if (!sound) session.say(`corrupt: ${digest}`)
    },
  })
}

function* lines(
  { paint }: Session,
  folder: string,
  found: TreeInspection,
  verified: TreeVerification | undefined,
  adopted: { readonly seconds: number } | undefined,
): Generator<string> {
  yield paint('bold', folder)
  yield `  ${count(found.repositories, 'repository', 'repositories')}, ${count(found.tags, 'tag')}, ${count(found.manifests, 'manifest')}, ${count(found.referrers, 'referrer')}`
  yield `  ${count(found.blobs, 'blob')}, ${formatBytes(found.bytes)}; ${found.unreferenced.blobs} of them (${formatBytes(found.unreferenced.bytes)}) named by no repository`
  if (found.unfinishedUploads > 0)
    yield `  ${count(found.unfinishedUploads, 'unfinished upload')}, left alone`
  const attached = found.attached.slice(0, SHOWN_MAX)
  yield `  ${count(found.attachedCount, 'tag')} with a signature, an SBOM or referrers attached`
  for (const { repository, kind, subject, subjectPresent } of attached)
    yield `    ${repository}  ${kind} of ${shortDigest(subject)}${subjectPresent ? '' : ', which is not there'}`
  yield* list(
    `${count(found.danglingCount, 'dangling link')}, answered with 404`,
    found.dangling,
    found.danglingCount,
  )
  yield* list(`${found.corruptCount} corrupt`, found.corrupt, found.corruptCount)
  if (verified) {
    yield `  hashed: ${count(verified.blobs, 'blob')}, ${formatBytes(verified.bytes)}: ` +
      (verified.corrupt.length === 0
        ? paint('green', 'all sound')
        : paint('red', `${verified.corrupt.length} corrupt`))
    for (const digest of verified.corrupt.slice(0, SHOWN_MAX)) yield `    ${digest}`
  }
  if (adopted)
    yield `  taken over in ${adopted.seconds.toFixed(1)} s: start it with a configuration that names this folder`
  else yield '  nothing was changed; to take it over, start Stowage with the configuration file of registry:2'
}

function* list(
  title: string,
  flaws: readonly { readonly what: string; readonly where: string }[],
  total: number,
): Generator<string> {
  yield `  ${title}`
  for (const { what, where } of flaws.slice(0, SHOWN_MAX))
    yield `    ${printable(what)}  (${printable(where)})`
  if (total > SHOWN_MAX) yield `    and ${total - Math.min(flaws.length, SHOWN_MAX)} more`
}
