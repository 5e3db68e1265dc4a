import type { Command } from 'commander'
import { gathered } from '#cli/gathered.ts'
import { type Session, type Tools, withSession } from '#cli/session.ts'
import { wholeNumber } from '#cli/whole-number.ts'

interface SyncOptions {
  readonly from: string
  readonly to: string
  readonly all?: boolean
  readonly list?: string
  readonly exclude?: readonly string[]
  readonly tags?: readonly string[]
  readonly prefix?: string
  readonly platform?: string
  readonly referrers: boolean
  readonly proof: boolean
  readonly parallel: number
  readonly dryRun?: boolean
}

const PARALLEL_MAX = 32

export function addSyncCommand(program: Command, tools: Tools): void {
  program
    .command('sync')
    .description('copy many repositories: what changed only, every blob once, with a proof in the end')
    .argument('[repositories...]', 'names, or patterns: * within a part of a name, ** across parts')
    .requiredOption('--from <place>', 'a registry, a folder of layouts, or the data folder of a registry')
    .requiredOption('--to <place>', 'a registry, or a folder that gets one OCI layout for each repository')
    .option('--all', 'every repository that the source lists')
    .option('--list <file>', 'a file with one name or pattern a line')
    .option('--exclude <pattern>', 'leave these repositories out, repeatable', gathered)
    .option('--tags <pattern>', 'only these tags, repeatable', gathered)
    .option('--prefix <name>', 'put this before the names at the destination')
    .option('--platform <os/arch>', 'one platform of multi-platform images; nothing is compared then')
    .option('--no-referrers', 'leave signatures, SBOMs and what else refers to images')
    .option('--no-proof', 'do not compare source and destination, digest by digest, in the end')
    .option('--parallel <number>', 'repositories at once', wholeNumber(PARALLEL_MAX), 4)
    .option('-n, --dry-run', 'only say which tags would be copied')
    .addHelpText(
      'after',
      `
A run that was cut off goes on where it stopped when the command is given again. A folder begins with ./ or /.
Nothing is deleted at the destination. A registry lists its tags and nothing else: of manifests without a
tag those are copied that a tagged image needs, or that refer to one. The others stay where they are.

Examples:
  stowage sync --from https://old.example.com --to https://new.example.com --all
  stowage sync --from http://old:5000 --to localhost:5000 'team/**' --tags 'v*' --dry-run
  stowage sync --from localhost:5000 --to ./backup --all`,
    )
    .action(async (patterns: string[], options: SyncOptions, command: Command) => {
      await withSession(command, tools, (session) => sync(session, patterns, options))
    })
}

async function sync(session: Session, patterns: readonly string[], options: SyncOptions): Promise<void> {
  const { asUsage } = await import('#cli/image-text.ts')
  const { openReadable, openWritable } = await import('#cli/open-collection.ts')
  const { chooseRepositories } = await import('#cli/repository-choice.ts')
  const { finishSync } = await import('#cli/sync-report.ts')
  const { runSync } = await import('#cli/sync-run.ts')
  const { parsePlatform } = await import('#client/platform-choice.ts')
  const { globMatcher } = await import('#lib/glob.ts')
  const { parseRepositoryName } = await import('#oci/reference.ts')
  const { platform, prefix } = options
  const source = await openReadable(session, options.from)
  const destination = await openWritable(session, options.to)
  const repositories = await chooseRepositories(
    source,
    { patterns, all: options.all ?? false, listFile: options.list, exclude: options.exclude ?? [] },
    session.signal,
  )
  const tags = options.tags?.map(globMatcher)
  const report = await runSync(session, {
    source,
    destination,
    repositories,
    wants: (_, tag) => tags === undefined || tags.some((matches) => matches(tag)),
    prefix: prefix === undefined ? undefined : asUsage(() => parseRepositoryName(prefix)),
    referrers: options.referrers,
    platform: platform === undefined ? undefined : asUsage(() => parsePlatform(platform)),
    parallel: options.parallel,
    dryRun: options.dryRun ?? false,
    prove: options.proof,
  })
  finishSync(session, report)
}
