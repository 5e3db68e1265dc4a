import type { Command } from 'commander'
import { gathered } from '#cli/gathered.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import { type Session, type Tools, withSession } from '#cli/session.ts'

interface ExportOptions {
  readonly from?: string
  readonly all?: boolean
  readonly tags?: readonly string[]
  readonly referrers: boolean
}

const PARALLEL = 4

export function addExportCommand(program: Command, tools: Tools): void {
  program
    .command('export')
    .description('write repositories of a registry, or of its data folder, as OCI image layouts')
    .argument(
      '<names...>',
      'repositories, or patterns with --from; the last argument is the folder to write to',
    )
    .option('--from <place>', 'a registry, or the data folder of one that need not run')
    .option('--all', 'every repository of --from')
    .option('--tags <pattern>', 'only these tags, repeatable', gathered)
    .option('--no-referrers', 'leave signatures, SBOMs and what else refers to images')
    .addHelpText(
      'after',
      `
Each repository becomes a layout of its own, DIR/<repository>, which skopeo, crane, oras and podman read, and zot
serves as it is. Blobs that several repositories have are linked. What is there already is not copied again.
The way back is: stowage sync --from ./DIR --to REGISTRY --all

Examples:
  stowage export localhost:5000/team/app localhost:5000/team/web ./out
  stowage export --from ./data --all ./out
  stowage export --from https://registry.example.com 'team/**' ./out`,
    )
    .action(async (names: string[], options: ExportOptions, command: Command) => {
      await withSession(command, tools, (session) => exportAll(session, names, options))
    })
}

async function exportAll(session: Session, names: readonly string[], options: ExportOptions): Promise<void> {
  const { openReadable } = await import('#cli/open-collection.ts')
  const { chooseRepositories } = await import('#cli/repository-choice.ts')
  const { finishSync } = await import('#cli/sync-report.ts')
  const { runSync } = await import('#cli/sync-run.ts')
  const { LayoutTree } = await import('#client/collection.ts')
  const { globMatcher } = await import('#lib/glob.ts')
  const folder = names.at(-1) ?? ''
  const { from, patterns, single } = await named(names.slice(0, -1), options)
  const source = await openReadable(session, from)
  const choice = { patterns, all: options.all ?? false, listFile: undefined, exclude: [] }
  const repositories = await chooseRepositories(source, choice, session.signal)
  const tags = options.tags?.map(globMatcher)
  const report = await runSync(session, {
    source,
    destination: new LayoutTree(folder.replace(/^oci:/, '')),
    repositories,
    wants: (repository, tag) =>
      (single.get(repository)?.has(tag) ?? true) &&
      (tags === undefined || tags.some((matches) => matches(tag))),
    prefix: undefined,
    referrers: options.referrers,
    platform: undefined,
    parallel: PARALLEL,
    dryRun: false,
    prove: true,
  })
  if (report.tags.total === 0 && report.failures.length === 0)
    throw new CommandFailure(EXIT.notFound, `${source.label} has no tags in what was named`)
  finishSync(session, report)
}

/** Where from, which repositories, and of some of them only one tag: `host/app:1` says all three. */
async function named(names: readonly string[], options: ExportOptions) {
  const single = new Map<string, Set<string>>()
  if (options.from !== undefined) return { from: options.from, patterns: names, single }
  const { parseImageText } = await import('#cli/image-text.ts')
  const hosts = new Set<string>()
  const patterns: string[] = []
  for (const text of names) {
    const { name, plainHttp } = parseImageText(text)
    if (name.kind !== 'registry') throw new CommandFailure(EXIT.usage, `${text} is not in a registry`)
    hosts.add(`${plainHttp === undefined ? '' : plainHttp ? 'http://' : 'https://'}${name.host}`)
    patterns.push(name.repository)
    if (name.tag === undefined) continue
    single.set(name.repository, (single.get(name.repository) ?? new Set()).add(name.tag))
  }
  const [from, ...others] = hosts
  if (from === undefined || others.length > 0) {
    throw new CommandFailure(
      EXIT.usage,
      from === undefined ? 'no repository is named' : 'the repositories are in different registries',
      {
        hint: 'write: stowage export host/repository… FOLDER, or name the place with --from',
      },
    )
  }
  return { from, patterns, single }
}
