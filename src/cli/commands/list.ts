import type { Command } from 'commander'
import { type Session, type Tools, withSession } from '#cli/session.ts'

interface ListOptions {
  readonly digests?: boolean
}

/** Tags whose digests are asked for at once. */
const RESOLVED_AT_ONCE = 8

export function addListCommand(program: Command, tools: Tools): void {
  program
    .command('list')
    .alias('ls')
    .description('list the repositories of a registry, or the tags of a repository, layout or archive')
    .argument('<what>', 'host[:port] for repositories; a repository, a folder or an archive for tags')
    .option('--digests', 'with the digest that each tag stands for')
    .addHelpText(
      'after',
      `
Examples:
  stowage list localhost:5000
  stowage list localhost:5000/team/app --digests
  stowage list ./app`,
    )
    .action(async (what: string, options: ListOptions, command: Command) => {
      await withSession(command, tools, async (session) => {
        const { looksLikeRegistry } = await import('#cli/registry-address.ts')
        if (looksLikeRegistry(what)) await listRegistry(session, what)
        else await listTags(session, what, options)
      })
    })
}

async function listRegistry(session: Session, what: string): Promise<void> {
  const { parseRegistryAddress } = await import('#cli/registry-address.ts')
  const { listRepositories } = await import('#client/registry-place.ts')
  const address = parseRegistryAddress(what)
  const client = await session.registries.client(address)
  const repositories = await listOf(listRepositories(client, { signal: session.signal }))
  session.print({ registry: address.host, repositories }, () => repositories)
}

async function listTags(session: Session, what: string, { digests }: ListOptions): Promise<void> {
  const { openSource } = await import('#cli/open-place.ts')
  const { CommandFailure, EXIT } = await import('#cli/output.ts')
  const { signal } = session
  const { place, text, name } = await openSource(session, what)
  if (name.tag ?? name.digest)
    throw new CommandFailure(EXIT.usage, `${what} names one image`, { hint: 'see: stowage inspect --help' })
  const tags = await listOf(place.tags({ signal }))
  if (tags.length === 0) throw new CommandFailure(EXIT.notFound, `${text} has no tags`)
  if (!digests) {
    session.print({ repository: text, tags }, () => tags)
    return
  }
  const found = new Map<string, string | null>()
  const left = tags.values()
  const worker = async () => {
    for (const tag of left) found.set(tag, (await place.resolve({ tag }, { signal }))?.digest ?? null)
  }
  await Promise.all(Array.from({ length: RESOLVED_AT_ONCE }, worker))
  const rows = tags.map((tag) => ({ tag, digest: found.get(tag) ?? null }))
  const { table } = await import('#cli/figures.ts')
  session.print({ repository: text, tags: rows }, () =>
    table(rows.map(({ tag, digest }) => [tag, digest ?? ''])),
  )
}

async function listOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}
