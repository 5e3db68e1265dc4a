// The command line: every command with its arguments, help and an example.
// A server starts through here too, so nothing that only a client needs is loaded before its command runs.
import { Command, CommanderError } from 'commander'
import type { ChainPlace } from '#access/audit/chain.ts'
import type { AuditEntryView } from '#access/audit/entry-view.ts'
import type { ChainReport } from '#access/audit/verify-chain.ts'
import type { ClientEnvironment } from '#cli/client-environment.ts'
import { addAdminCommand } from '#cli/commands/admin.ts'
import { addAdoptCommand } from '#cli/commands/adopt.ts'
import { addAuditCommand } from '#cli/commands/audit.ts'
import { addCompletionCommand } from '#cli/commands/completion.ts'
import { addConfigCommand } from '#cli/commands/config.ts'
import { addCopyCommand } from '#cli/commands/copy.ts'
import { addDbCommand } from '#cli/commands/db.ts'
import { addDeleteCommand } from '#cli/commands/delete.ts'
import { addDiffCommand } from '#cli/commands/diff.ts'
import { addExportCommand } from '#cli/commands/export.ts'
import { addGarbageCollectCommand } from '#cli/commands/garbage-collect.ts'
import { addGcCommand } from '#cli/commands/gc.ts'
import { addHistoryCommands } from '#cli/commands/history.ts'
import { addHtpasswdCommand } from '#cli/commands/htpasswd.ts'
import { addInspectCommand } from '#cli/commands/inspect.ts'
import { addJobsCommand } from '#cli/commands/jobs.ts'
import { addListCommand } from '#cli/commands/list.ts'
import { addLoginCommand } from '#cli/commands/login.ts'
import { addLogoutCommand } from '#cli/commands/logout.ts'
import { addPullCommand } from '#cli/commands/pull.ts'
import { addPushCommand } from '#cli/commands/push.ts'
import { addScrubCommand } from '#cli/commands/scrub.ts'
import { addServeCommand } from '#cli/commands/serve.ts'
import { addSyncCommand } from '#cli/commands/sync.ts'
import { addTagCommand } from '#cli/commands/tag.ts'
import { addTierCommand } from '#cli/commands/tier.ts'
import { addUnpackCommand } from '#cli/commands/unpack.ts'
import { addVerifyCommand } from '#cli/commands/verify.ts'
import { addVersionCommand } from '#cli/commands/version.ts'
import { addWorkerCommand } from '#cli/commands/worker.ts'
import { describeFailure } from '#cli/failure.ts'
import { addGlobalOptions } from '#cli/global-options.ts'
import { EXIT, type Output } from '#cli/output.ts'
import type { CarriedOver } from '#db/carry-over.ts'
import type { CopyStep, DatabaseCopy } from '#db/copy/copy-database.ts'
import type { Snapshot } from '#db/snapshot.ts'

export interface Rebuilt {
  readonly path: string
  /** Where the old database is; undefined where there was none. */
  readonly kept: string | undefined
  readonly found: { readonly repositories: number; readonly manifests: number; readonly tags: number }
  /** Undefined where nothing was carried over. */
  readonly carried: CarriedOver | undefined
}

export interface AdoptedFolder {
  readonly seconds: number
}

/** What the commands need of the floors above. */
export interface Actions {
  /** Runs the server until it is told to stop. @param file the configuration; undefined for none named */
  readonly serve: (file: string | undefined) => Promise<void>
  /** Does jobs until it is told to stop. @param concurrency undefined for what the configuration says */
  readonly work: (file: string | undefined, concurrency: number | undefined) => Promise<void>
  /** The effective configuration as YAML, secrets masked, and the warnings. */
  readonly checkConfig: (file: string | undefined) => Promise<{ text: string; warnings: readonly string[] }>
  /** Indexes a folder of registry:2 that nobody uses meanwhile. */
  readonly adopt: (folder: string) => Promise<AdoptedFolder>
  /** Collects the garbage of the store that a configuration names, as registry:2's command does. */
  readonly collectGarbage: (
    file: string | undefined,
    options: {
      readonly dryRun: boolean
      readonly deleteUntagged: boolean
      readonly emit: (line: string) => void
      readonly signal: AbortSignal
    },
  ) => Promise<{ readonly blobs: number; readonly bytes: number; readonly waits: boolean }>
  /** Sets a password in the folder of a registry that is stopped. */
  readonly resetPassword: (folder: string, name: string, password: string) => Promise<void>
  /** Checks the audit log in the folder of a registry that is stopped. */
  readonly verifyAudit: (folder: string, noted: ChainPlace | undefined) => Promise<ChainReport>
  /** Hands over each of its entries, the oldest first. */
  readonly exportAudit: (folder: string, take: (entry: AuditEntryView) => void) => Promise<void>
  /** Copies all facts between databases that nobody else has meanwhile. */
  readonly copyDatabase: (
    from: string,
    to: string,
    watch: { readonly signal: AbortSignal; readonly onStep: (step: CopyStep) => void },
  ) => Promise<DatabaseCopy>
  /** A copy of a database at one moment, beside the server that has it. */
  readonly snapshotDatabase: (from: string, file: string) => Promise<Snapshot>
  /** Makes the facts anew from the tree of a registry that is stopped. */
  readonly rebuildDatabase: (name: string, alone: boolean) => Promise<Rebuilt>
  /** A line from the terminal that is not shown there, or from standard input. */
  readonly readPassword: (prompt: string) => Promise<string>
  /** The same, shown. */
  readonly readLine: (prompt: string) => Promise<string>
  /** Whether a person can be asked. */
  readonly canAsk: () => boolean
  readonly environment: () => ClientEnvironment
  /** Raised by Ctrl-C from the first call on, with a CommandFailure; a second Ctrl-C ends the process. */
  readonly interruption: () => AbortSignal
  readonly version: string
}

export function buildProgram(name: string, actions: Actions, output: Output): Command {
  const program = new Command(name)
  program
    .description('A self-hosted OCI container registry, and a client for any registry')
    .version(actions.version, '-v, --version', 'print the version')
    .showHelpAfterError('(add --help for how it is used)')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => output.result(text.replace(/\n$/, '')),
      writeErr: (text) => output.note(text.replace(/\n$/, '')),
      getOutHelpWidth: () => HELP_COLUMNS,
      getErrHelpWidth: () => HELP_COLUMNS,
    })
  addGlobalOptions(program)
  const tools = { actions, output }
  addServeCommand(program, tools)
  addWorkerCommand(program, tools)
  addConfigCommand(program, tools)
  addHtpasswdCommand(program, tools)
  addLoginCommand(program, tools)
  addLogoutCommand(program, tools)
  addPullCommand(program, tools)
  addPushCommand(program, tools)
  addCopyCommand(program, tools)
  addSyncCommand(program, tools)
  addListCommand(program, tools)
  addInspectCommand(program, tools)
  addVerifyCommand(program, tools)
  addDiffCommand(program, tools)
  addUnpackCommand(program, tools)
  addTagCommand(program, tools)
  addDeleteCommand(program, tools)
  addHistoryCommands(program, tools)
  addGcCommand(program, tools)
  addGarbageCollectCommand(program, tools)
  addScrubCommand(program, tools)
  addTierCommand(program, tools)
  addJobsCommand(program, tools)
  addAdminCommand(program, tools)
  addAuditCommand(program, tools)
  addAdoptCommand(program, tools)
  addDbCommand(program, tools)
  addExportCommand(program, tools)
  addCompletionCommand(program, tools)
  addVersionCommand(program, tools)
  return program
}

/** The same on every terminal, so that the reference page can show it. */
const HELP_COLUMNS = 100

/** Runs a command line; resolves to the exit code. */
export async function runProgram(
  name: string,
  args: readonly string[],
  actions: Actions,
  output: Output,
): Promise<number> {
  const program = buildProgram(name, actions, output)
  try {
    await program.parseAsync(args, { from: 'user' })
    return EXIT.ok
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    const { exitCode, kind, message, hint } = describeFailure(error)
    if (program.opts<{ json?: boolean }>().json) {
      output.result(JSON.stringify({ error: { kind, message, hint, exitCode } }))
    } else {
      output.note(`${name}: ${message}${hint === undefined ? '' : `\n  ${hint}`}`)
    }
    return exitCode
  }
}
