// `stowage audit verify`: the check of the audit log, for whoever does nothing else with the management.
import type { Command } from 'commander'
import { addAuditVerify } from '#cli/commands/admin/audit.ts'
import type { Tools } from '#cli/session.ts'

export function addAuditCommand(program: Command, tools: Tools): void {
  const audit = program
    .command('audit')
    .description('check the audit log of a registry with auth: stowage (more: stowage admin audit)')
    .option('--server <registry>', 'the registry, host[:port]', 'localhost:5000')
  addAuditVerify(audit, tools, 'stowage audit')
}
