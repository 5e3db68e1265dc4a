// Whose jobs may speak for a robot, without any secret.
import type { Command } from 'commander'
import { part } from '#cli/admin-path.ts'
import { collect } from '#cli/commands/admin/allow.ts'
import { robotPath } from '#cli/commands/admin/robots.ts'
import { against, change, example, listing } from '#cli/commands/admin/work.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import type { Tools } from '#cli/session.ts'

interface RuleOptions {
  readonly issuer: string
  readonly claim: readonly string[]
}

export function addFederation(admin: Command, tools: Tools): void {
  const federation = admin
    .command('federation')
    .description('jobs of GitHub, GitLab or Kubernetes that speak for a robot')
  federation
    .command('list')
    .description('list the rules of a robot')
    .argument('<robot>', 'the robot, as it logs in: team+ci')
    .addHelpText('after', example('federation list team+ci'))
    .action(
      against(tools, (robot: string) =>
        listing(`${robotPath(robot)}/federation`, ({ name, issuer, claims }) =>
          [name, issuer, ...Object.entries(claims as object).map((claim) => claim.join('='))].join('  '),
        ),
      ),
    )
  federation
    .command('add')
    .description('let jobs speak for a robot, when all the claims of their own token match')
    .argument('<robot>', 'the robot, as it logs in: team+ci')
    .argument('<name>', 'what the rule is called')
    .requiredOption('--issuer <name>', 'an issuer of auth.stowage.federation.issuers')
    .requiredOption(
      '--claim <name=pattern>',
      'what a claim must be, may be repeated; * stays between slashes, ** crosses them',
      collect,
    )
    .addHelpText(
      'after',
      example(
        'federation add team+ci main --issuer github --claim repository=acme/app --claim ref=refs/heads/main',
      ),
    )
    .action(
      against(tools, (robot: string, name: string, { issuer, claim }: RuleOptions) =>
        change(
          {
            method: 'POST',
            path: `${robotPath(robot)}/federation`,
            body: { name, issuer, claims: claimsOf(claim) },
          },
          `jobs that match ${name} can log in as ${robot}`,
        ),
      ),
    )
  federation
    .command('remove')
    .description('take a rule away')
    .argument('<robot>', 'the robot')
    .argument('<name>', 'the rule')
    .addHelpText('after', example('federation remove team+ci main'))
    .action(
      against(tools, (robot: string, name: string) =>
        change(
          { method: 'DELETE', path: `${robotPath(robot)}/federation/${part(name)}` },
          `the rule ${name} is gone`,
        ),
      ),
    )
}

function claimsOf(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const equals = pair.indexOf('=')
      if (equals < 1 || equals === pair.length - 1)
        throw new CommandFailure(EXIT.usage, `${pair} is no claim: write NAME=PATTERN`)
      return [pair.slice(0, equals), pair.slice(equals + 1)]
    }),
  )
}
