// Accounts for machines.
import type { Command } from 'commander'
import { part } from '#cli/admin-path.ts'
import { type AllowOptions, collect, expiryOf, permissionsOf } from '#cli/commands/admin/allow.ts'
import { against, change, example, listing, revealing } from '#cli/commands/admin/work.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import type { Tools } from '#cli/session.ts'

function robotsPath(project: string | undefined): string {
  return project === undefined ? '/robots' : `/projects/${part(project)}/robots`
}

/** A robot's own name says which project it is of: `team+ci`, `+backup`. */
export function robotPath(robot: string): string {
  const plus = robot.indexOf('+')
  if (plus < 0)
    throw new CommandFailure(EXIT.usage, `${robot} is no robot: their names have a +, as in team+ci`)
  return `${robotsPath(plus === 0 ? undefined : robot.slice(0, plus))}/${part(robot)}`
}

export function addRobots(admin: Command, tools: Tools): void {
  const robots = admin.command('robots').description('accounts for machines')
  robots
    .command('list')
    .description('list the robots of a project, or those of the whole registry')
    .argument('[project]', 'the project')
    .addHelpText('after', example('robots list team'))
    .action(
      against(tools, (project: string | undefined) =>
        listing(robotsPath(project), ({ name, disabled, isOrphaned, sponsor, expiresAt }) =>
          [
            name,
            sponsor === null ? '' : `by ${sponsor}`,
            disabled === true ? 'disabled' : '',
            isOrphaned === true ? 'stopped, for who made it left' : '',
            expiresAt ? `until ${expiresAt}` : '',
          ]
            .filter(Boolean)
            .join('  '),
        ),
      ),
    )
  robots
    .command('add')
    .description('make a robot; prints its secret, this once')
    .argument('<name>', 'its name, without the project')
    .option('--project <project>', 'the project that it belongs to; without one it may be let in everywhere')
    .requiredOption('--allow <pattern=rights>', 'rights on repositories, may be repeated', collect)
    .option('--expires <time>', 'when it ends to work')
    .addHelpText('after', example("robots add ci --project team --allow 'team/**=pull,push,overwrite'"))
    .action(
      against(tools, (name: string, { project, allow = [], expires }: AllowOptions) =>
        revealing(
          {
            method: 'POST',
            path: robotsPath(project),
            body: { name, permissions: permissionsOf(allow), expiresAt: expiryOf(expires) },
          },
          (robot) => `the robot logs in as ${robot['name']}`,
        ),
      ),
    )
  robots
    .command('rotate')
    .description('give a robot a new secret and print it, this once')
    .argument('<robot>', 'the robot, as it logs in: team+ci')
    .option('--overlap <seconds>', 'how long the old secret stays good', Number, 0)
    .addHelpText('after', example('robots rotate team+ci --overlap 3600'))
    .action(
      against(tools, (robot: string, { overlap }: { overlap: number }) =>
        revealing(
          { method: 'POST', path: `${robotPath(robot)}/secret`, body: { overlapSeconds: overlap } },
          () => `${robot} has a new secret`,
        ),
      ),
    )
  for (const [verb, disabled] of [
    ['disable', true],
    ['enable', false],
  ] as const) {
    robots
      .command(verb)
      .description(
        disabled ? 'disable a robot' : 'enable a robot, and answer for it: it stops when you leave',
      )
      .argument('<robot>', 'the robot, as it logs in: team+ci')
      .addHelpText('after', example(`robots ${verb} team+ci`))
      .action(
        against(tools, (robot: string) =>
          change({ method: 'PATCH', path: robotPath(robot), body: { disabled } }, `${robot} is ${verb}d`),
        ),
      )
  }
  robots
    .command('remove')
    .description('delete a robot')
    .argument('<robot>', 'the robot, as it logs in: team+ci')
    .addHelpText('after', example('robots remove team+ci'))
    .action(
      against(tools, (robot: string) =>
        change({ method: 'DELETE', path: robotPath(robot) }, `${robot} is deleted`),
      ),
    )
}
