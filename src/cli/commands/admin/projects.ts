// Projects, which repositories belong to.
import type { Command } from 'commander'
import { part } from '#cli/admin-path.ts'
import { against, change, example, listing } from '#cli/commands/admin/work.ts'
import type { Tools } from '#cli/session.ts'

export function addProjects(admin: Command, tools: Tools): void {
  const projects = admin.command('projects').description('projects, which repositories belong to')
  projects
    .command('list')
    .description('list the projects that you may pull from')
    .addHelpText('after', example('projects list'))
    .action(against(tools, () => listing('/projects', ({ name, visibility }) => `${name}  ${visibility}`)))
  projects
    .command('add')
    .description('make a project: all repositories whose names begin with its name')
    .argument('<name>', 'the first part of the names')
    .option(
      '--visibility <who>',
      'who may pull without being a member: private, authenticated, public',
      'private',
    )
    .addHelpText('after', example('projects add team --visibility authenticated'))
    .action(
      against(tools, (name: string, { visibility }: { visibility: string }) =>
        change(
          { method: 'POST', path: '/projects', body: { name, visibility } },
          `there is a project ${name} now: ${visibility}`,
        ),
      ),
    )
  projects
    .command('set-visibility')
    .description('change who may pull without being a member')
    .argument('<project>', 'the project')
    .argument('<who>', 'private, authenticated or public')
    .addHelpText('after', example('projects set-visibility team public'))
    .action(
      against(tools, (project: string, visibility: string) =>
        change(
          { method: 'PATCH', path: `/projects/${part(project)}`, body: { visibility } },
          `${project} is ${visibility} now`,
        ),
      ),
    )
  projects
    .command('remove')
    .description('delete a project that has no content')
    .argument('<project>', 'the project')
    .addHelpText('after', example('projects remove team'))
    .action(
      against(tools, (project: string) =>
        change({ method: 'DELETE', path: `/projects/${part(project)}` }, `the project ${project} is deleted`),
      ),
    )
}
