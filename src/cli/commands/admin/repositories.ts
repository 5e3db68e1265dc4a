// Repositories and tags with what the registry knows of them beside their content, and the registry itself.
import type { Command } from 'commander'
import { part } from '#cli/admin-path.ts'
import { against, change, example, listing } from '#cli/commands/admin/work.ts'
import { formatBytes } from '#cli/figures.ts'
import type { Tools } from '#cli/session.ts'

interface ListOptions {
  readonly project?: string
  readonly name?: string
  readonly sort?: string
}

export function addRepositories(admin: Command, tools: Tools): void {
  const repositories = admin.command('repositories').description('repositories, with sizes and times')
  repositories
    .command('list')
    .description('list the repositories that you may pull from')
    .option('--project <project>', 'those of a project')
    .option('--name <text>', 'those with this in their name')
    .option('--sort <key>', 'name, size, tags or pushedAt; -size for the largest first', 'name')
    .addHelpText('after', example('repositories list --sort=-size'))
    .action(
      against(tools, (options: ListOptions) =>
        listing(`/repositories?${queryOf(options)}`, ({ name, size, tags, pushedAt }) =>
          [name, size === null ? '-' : formatBytes(Number(size)), `${tags ?? '-'} tags`, pushedAt]
            .filter(Boolean)
            .join('  '),
        ),
      ),
    )
  repositories
    .command('tags')
    .description('list the tags of a repository')
    .argument('<repository>', 'its name')
    .option('--name <text>', 'those with this in their name')
    .option('--sort <key>', 'name or pushedAt; -pushedAt for the newest first', 'name')
    .addHelpText('after', example('repositories tags team/app --sort=-pushedAt'))
    .action(
      against(tools, (repository: string, options: ListOptions) =>
        listing(
          `/repositories/${part(repository)}/tags?${queryOf(options)}`,
          ({ name, size, platforms, digest, pushedAt }) =>
            [name, formatBytes(Number(size)), (platforms as string[]).join(','), digest, pushedAt]
              .filter(Boolean)
              .join('  '),
        ),
      ),
    )
  repositories
    .command('remove')
    .description('delete a repository with all its tags and manifests')
    .argument('<repository>', 'its name')
    .addHelpText('after', example('repositories remove team/app'))
    .action(
      against(tools, (repository: string) =>
        change(
          { method: 'DELETE', path: `/repositories/${part(repository)}` },
          `the repository ${repository} is deleted`,
        ),
      ),
    )
}

export function addSystem(admin: Command, tools: Tools): void {
  admin
    .command('system')
    .description('show what the registry is, and how much is in it')
    .addHelpText('after', example('system'))
    .action(
      against(tools, () => async (client, session) => {
        const system = (await client.send({ method: 'GET', path: '/system' })) as Record<string, unknown>
        const { totals, ...others } = system
        const all = { ...others, ...(totals as Record<string, unknown>) }
        session.print(system, () => Object.entries(all).map(([name, value]) => `${name}: ${value}`))
      }),
    )
}

function queryOf(options: ListOptions): URLSearchParams {
  return new URLSearchParams(Object.entries(options).filter(([, value]) => value !== undefined))
}
