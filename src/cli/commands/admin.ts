// `stowage admin`: the management of a running registry, and a rescue for one whose admin lost his password.
import type { Command } from 'commander'
import { addAudit } from '#cli/commands/admin/audit.ts'
import { addFederation } from '#cli/commands/admin/federation.ts'
import { addGroups } from '#cli/commands/admin/groups.ts'
import { addImmutability } from '#cli/commands/admin/immutability.ts'
import { addKeys } from '#cli/commands/admin/keys.ts'
import { addMembers } from '#cli/commands/admin/members.ts'
import { addProjects } from '#cli/commands/admin/projects.ts'
import { addQuotas } from '#cli/commands/admin/quotas.ts'
import { addRepositories, addSystem } from '#cli/commands/admin/repositories.ts'
import { addRescue } from '#cli/commands/admin/rescue.ts'
import { addRetention } from '#cli/commands/admin/retention.ts'
import { addRobots } from '#cli/commands/admin/robots.ts'
import { addRules } from '#cli/commands/admin/rules.ts'
import { addUsers } from '#cli/commands/admin/users.ts'
import { addWebhooks } from '#cli/commands/admin/webhooks.ts'
import type { Tools } from '#cli/session.ts'

export function addAdminCommand(program: Command, tools: Tools): void {
  const admin = program
    .command('admin')
    .description('manage users, groups, projects, robots and keys of a registry with auth: stowage')
    .option('--server <registry>', 'the registry, host[:port]', 'localhost:5000')
    .addHelpText(
      'after',
      `
Log in first, as a user who may do it: stowage login -u admin localhost:5000

Examples:
  stowage admin users add alice
  stowage admin projects add team
  stowage admin members set team user alice developer
  stowage admin robots add ci --project team --allow 'team/**=pull,push,overwrite'`,
    )
  addUsers(admin, tools)
  addGroups(admin, tools)
  addProjects(admin, tools)
  addMembers(admin, tools)
  addRobots(admin, tools)
  addFederation(admin, tools)
  addRules(admin, tools)
  addImmutability(admin, tools)
  addRetention(admin, tools)
  addWebhooks(admin, tools)
  addQuotas(admin, tools)
  addKeys(admin, tools)
  addAudit(admin, tools)
  addRepositories(admin, tools)
  addSystem(admin, tools)
  addRescue(admin, tools)
}
