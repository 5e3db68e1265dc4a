import type { Command } from 'commander'
import type { Tools } from '#cli/session.ts'
import { wholeNumber } from '#cli/whole-number.ts'

const JOBS_MAX = 64

export function addWorkerCommand(program: Command, { actions }: Tools): void {
  program
    .command('worker')
    .description(
      'do what servers on one PostgreSQL leave to others: garbage, retention, notifications; serve nobody',
    )
    .argument('[file]', 'the configuration of the servers; without one REGISTRY_CONFIGURATION_PATH')
    .option('--concurrency <n>', 'jobs at the same time, instead of jobs.concurrency', wholeNumber(JOBS_MAX))
    .addHelpText(
      'after',
      `
Servers with jobs.concurrency: 0 do no jobs themselves. Metrics and health: http.debug.addr.

Example:
  stowage worker config/postgres-s3.yaml`,
    )
    .action((file: string | undefined, { concurrency }: { concurrency?: number }) =>
      actions.work(file, concurrency),
    )
}
