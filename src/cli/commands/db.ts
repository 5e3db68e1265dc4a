// `stowage db`: the database of a registry as a whole. What it does is loaded when it runs.
import type { Command } from 'commander'
import { count, formatBytes } from '#cli/figures.ts'
import { CommandFailure, EXIT } from '#cli/output.ts'
import type { Rebuilt } from '#cli/program.ts'
import { type Session, type Tools, withSession } from '#cli/session.ts'
import type { CopyStep } from '#db/copy/copy-database.ts'

/** A line of progress no more often than this, where lines stay. */
const LINE_MS = 5_000
const SHOWN_DIFFERENCES_MAX = 20

export function addDbCommand(program: Command, tools: Tools): void {
  const db = program
    .command('db')
    .description('the database of a registry: move it, keep a copy of it, make it anew')
  addCopy(db, tools)
  addSnapshot(db, tools)
  addRebuild(db, tools)
}

interface CopyOptions {
  readonly from: string
  readonly to: string
}

function addCopy(db: Command, tools: Tools): void {
  db.command('copy')
    .description('move a registry to another database, SQLite or PostgreSQL, and prove that it is the same')
    .requiredOption(
      '--from <database>',
      'a postgres:// URL, the folder of a registry, a .sqlite file, or a configuration',
    )
    .requiredOption('--to <database>', 'the same; it must be empty')
    .addHelpText(
      'after',
      `
No server may have either of them meanwhile. A copy that was cut off goes on where it stopped when the same command is run again;
until it is complete no server starts on it. In the end all rows of both are read and compared: a difference ends with 6. What
REGISTRY_* variables say is not looked at. The password of a URL is better kept in ~/.pgpass, or in a configuration.

Examples:
  stowage db copy --from /var/lib/registry --to postgres://stowage@db.internal/stowage
  stowage db copy --from /etc/stowage/postgres.yaml --to /var/lib/registry`,
    )
    .action(async ({ from, to }: CopyOptions, command: Command) => {
      await withSession(command, tools, (session) => copy(session, from, to))
    })
}

function addSnapshot(db: Command, tools: Tools): void {
  db.command('snapshot')
    .description('write a copy of the database as it is now into a file, while the server goes on')
    .argument('<file>', 'the copy; an older one is replaced when the new one is whole')
    .requiredOption('--from <database>', 'the folder of a registry, a .sqlite file, or a configuration')
    .addHelpText(
      'after',
      `
The first step of a backup: take the blobs after it, not before. Run it as the user that the server runs as. For PostgreSQL use
pg_dump. The copy holds hashes of passwords and keys of tokens: keep it as you keep those.

Example:
  stowage db snapshot --from /var/lib/registry /backup/registry.sqlite`,
    )
    .action(async (file: string, { from }: Pick<CopyOptions, 'from'>, command: Command) => {
      await withSession(command, tools, async (session) => {
        const done = await session.actions.snapshotDatabase(from, file)
        session.print(done, () => [`${formatBytes(done.bytes)} in ${done.file}: take the blobs now`])
      })
    })
}

function addRebuild(db: Command, tools: Tools): void {
  db.command('rebuild')
    .description('make the database anew from the link files of a registry that is stopped')
    .argument('<registry>', 'the folder of the registry, or its configuration')
    .option('--alone', 'look at nothing of the old database: users, rules and the audit log are lost')
    .addHelpText(
      'after',
      `
What repositories, images and tags there are says the tree; who pushed them when, and everything about people, rules, events and the
audit log is carried over from the old database, which is kept beside the new one. What was deleted cannot be restored any more.

Example:
  stowage db rebuild /var/lib/registry`,
    )
    .action(async (name: string, { alone = false }: { alone?: boolean }, command: Command) => {
      await withSession(command, tools, async (session) => {
        const done = await session.actions.rebuildDatabase(name, alone)
        session.print(done, () => rebuiltLines(done))
      })
    })
}

function* rebuiltLines({ path, kept, found, carried }: Rebuilt): Generator<string> {
  const { repositories, manifests, tags } = found
  yield `${path}: ${count(repositories, 'repository', 'repositories')}, ${count(manifests, 'manifest')}, ${count(tags, 'tag')}`
  if (carried) {
    const rows = Object.values(carried.rows).reduce((sum, more) => sum + more, 0)
    yield `  ${count(rows, 'row')} carried over of what only the old database knew`
    for (const { what, onlyBefore, onlyNow } of carried.differences)
      if (onlyBefore > 0 || onlyNow > 0)
        yield `  ${what}: ${onlyBefore} of the old database not in the tree, ${onlyNow} of the tree not in it`
  }
  if (kept !== undefined) yield `  the old database is ${kept}`
}

async function copy(session: Session, from: string, to: string): Promise<void> {
  const { actions, signal } = session
  const done = await actions.copyDatabase(from, to, { signal, onStep: showSteps(session) })
  const { differences, rows, tables, resumed } = done
  session.print(done, function* () {
    if (resumed) yield 'went on with a copy that was cut off'
    yield `${count(rows, 'row')} of ${count(tables.length, 'table')} copied from ${done.from} to ${done.to}`
    if (differences.length === 0) yield session.paint('green', 'both were read again, and are the same')
    for (const difference of differences.slice(0, SHOWN_DIFFERENCES_MAX)) yield `  ${difference}`
  })
  if (differences.length > 0)
    throw new CommandFailure(
      EXIT.verification,
      `${to} is not the same as ${from}, and no server will start on it`,
      {
        hint: 'see that nothing changes either of them, and run the same command again: it begins anew',
      },
    )
}

function showSteps({ progress, say }: Session): (step: CopyStep) => void {
  let saidAt = performance.now()
  return ({ step, table, rows }) => {
    const text = `${step} ${table}: ${count(rows, 'row')}`
    progress.status(text)
    if (progress.mode !== 'lines' || performance.now() - saidAt < LINE_MS) return
    saidAt = performance.now()
    say(text)
  }
}
