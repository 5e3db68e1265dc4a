// The entry: reads argv, hands the commands what they need of the floors above, and turns signals into a clean stop.
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { hostname } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { CommandFailure, EXIT, type Output } from '#cli/output.ts'
import { type Actions, type AdoptedFolder, runProgram } from '#cli/program.ts'
import { clientEnvironment } from '#config/environment.ts'
import type { Db } from '#db/db.ts'
import packageJson from '../package.json' with { type: 'json' }

/** Asks on a terminal, or takes the next line of a pipe. */
async function ask(prompt: string, hidden: boolean): Promise<string> {
  const { createInterface } = await import('node:readline')
  const { stdin, stderr } = process
  const terminal = stdin.isTTY === true
  if (terminal) stderr.write(prompt)
  // What is typed is echoed to the output of the interface: without one nothing is.
  const lines = createInterface({ input: stdin, terminal, ...(terminal && !hidden && { output: stderr }) })
  try {
    for await (const line of lines) return line
  } finally {
    lines.close()
    if (terminal && hidden) stderr.write('\n')
  }
  throw new CommandFailure(EXIT.usage, 'nothing came from standard input')
}

/** Nobody else may use the folder meanwhile. */
async function inStoppedRegistry<T>(folder: string, work: (db: Db) => Promise<T>): Promise<T> {
  const { lockFolder } = await import('#db/folder-lock.ts')
  const { openSqlite } = await import('#db/sqlite.ts')
  const own = join(resolve(folder), 'stowage')
  const path = join(own, 'registry.sqlite')
  if (!existsSync(path))
    throw new CommandFailure(EXIT.notFound, `${path} does not exist: name the folder of a registry`)
  await using closing = new AsyncDisposableStack()
  const lock = await lockFolder(own, {
    pid: process.pid,
    host: hostname(),
    since: new Date().toISOString(),
  })
  closing.defer(() => lock.release())
  const db = await openSqlite({ path })
  closing.defer(() => db.close())
  return await work(db)
}

async function resetPassword(folder: string, name: string, password: string): Promise<void> {
  const { resetPassword: reset } = await import('#access/management/reset-password.ts')
  await inStoppedRegistry(folder, (db) =>
    reset(db, name, password, Date.now()).catch((error: Error) => {
      throw new CommandFailure(EXIT.failed, error.message, { cause: error })
    }),
  )
}

const verifyAudit: Actions['verifyAudit'] = async (folder, noted) => {
  const { auditedChain } = await import('#access/audit/database-chain.ts')
  const { verifyChain } = await import('#access/audit/verify-chain.ts')
  return inStoppedRegistry(folder, async (db) => verifyChain(await auditedChain(db), noted))
}

const exportAudit: Actions['exportAudit'] = async (folder, take) => {
  const { auditEntryViews } = await import('#access/audit/database-chain.ts')
  await inStoppedRegistry(folder, async (db) => {
    for await (const entry of auditEntryViews(db)) take(entry)
  })
}

/** Reads the whole tree into the database, as a server does while it serves. Nobody else may use the folder meanwhile. */
async function adopt(folder: string): Promise<AdoptedFolder> {
  const { openFilesystemStorage } = await import('#blobs/filesystem.ts')
  const { lockFolder } = await import('#db/folder-lock.ts')
  const { openSqlite } = await import('#db/sqlite.ts')
  const { openTree } = await import('#maintenance/open-tree.ts')
  const { openLog } = await import('#telemetry/log.ts')
  const began = performance.now()
  const log = openLog({ level: 'warn', format: 'text' })
  const root = resolve(folder)
  const own = join(root, 'stowage')
  const onError = (error: Error) =>
    log.error('the database could not be checkpointed', { error: error.message })
  await using closing = new AsyncDisposableStack()
  closing.defer(() => log.flush())
  const lock = await lockFolder(own, {
    pid: process.pid,
    host: hostname(),
    since: new Date().toISOString(),
  })
  closing.defer(() => lock.release())
  const storage = await openFilesystemStorage({ root, temporaryId: randomUUID })
  const db = await openSqlite({ path: join(own, 'registry.sqlite'), onError })
  closing.defer(() => db.close())
  const tree = await openTree({
    db,
    storage,
    keys: storage.keys,
    log,
    now: Date.now,
    kept: true,
    writesKeptMs: 0,
  })
  closing.defer(() => tree.close())
  await tree.pass.run()
  if (!tree.pass.done) throw new CommandFailure(EXIT.failed, `${folder} could not be read to its end`)
  return { seconds: (performance.now() - began) / 1000 }
}

/** Made by the first command that may take a while: the server has signals of its own. A second signal ends at once. */
function interruption(): AbortSignal {
  const controller = new AbortController()
  const endings = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated } as const
  for (const [signal, exitCode] of Object.entries(endings)) {
    process.once(signal, () => {
      controller.abort(
        new CommandFailure(exitCode, exitCode === EXIT.interrupted ? 'interrupted' : 'terminated'),
      )
      process.once(signal, () => process.exit(exitCode))
    })
  }
  return controller.signal
}

async function collectGarbage(
  file: string | undefined,
  options: Parameters<Actions['collectGarbage']>[1],
): ReturnType<Actions['collectGarbage']> {
  const { collectGarbageOf } = await import('#app/offline-garbage.ts')
  const { loadConfig } = await import('#config/load.ts')
  const { openLog } = await import('#telemetry/log.ts')
  const { config } = await loadConfig({ file, cwd: process.cwd() })
  const log = openLog({ level: 'warn', format: 'text' })
  try {
    return await collectGarbageOf(config, log, options)
  } catch (error) {
    if (error instanceof CommandFailure) throw error
    throw new CommandFailure(EXIT.failed, error instanceof Error ? error.message : String(error), {
      cause: error,
    })
  } finally {
    await log.flush()
  }
}

const copyDatabase: Actions['copyDatabase'] = async (from, to, watch) => {
  const { copyDatabaseOf } = await import('#app/copy-database.ts')
  return copyDatabaseOf({ from, to, cwd: process.cwd(), ...watch })
}

const snapshotDatabase: Actions['snapshotDatabase'] = async (from, file) => {
  const { snapshotDatabaseOf } = await import('#app/snapshot-database.ts')
  return snapshotDatabaseOf(from, file, process.cwd())
}

const rebuildDatabase: Actions['rebuildDatabase'] = async (name, alone) => {
  const { rebuildDatabaseOf } = await import('#app/rebuild-database.ts')
  const { openLog } = await import('#telemetry/log.ts')
  const log = openLog({ level: 'warn', format: 'text' })
  try {
    return await rebuildDatabaseOf({ name, cwd: process.cwd(), alone, log })
  } finally {
    await log.flush()
  }
}

const actions: Actions = {
  collectGarbage,
  copyDatabase,
  rebuildDatabase,
  snapshotDatabase,
  async work(file, concurrency) {
    const { work } = await import('#serve.ts')
    await work(file, concurrency)
  },
  async serve(file) {
    // Here and not above: a client command needs nothing of the server.
    const { serve } = await import('#serve.ts')
    await serve(file)
  },
  async checkConfig(file) {
    const { loadConfig } = await import('#config/load.ts')
    const { renderConfig } = await import('#config/render.ts')
    const { config, warnings } = await loadConfig({ file, cwd: process.cwd() })
    return { text: renderConfig(config), warnings }
  },
  adopt,
  resetPassword,
  verifyAudit,
  exportAudit,
  readPassword: (prompt) => ask(prompt, true),
  readLine: (prompt) => ask(prompt, false),
  canAsk: () => process.stdin.isTTY === true && process.stderr.isTTY === true,
  environment: clientEnvironment,
  interruption,
  version: packageJson.version,
}

const output: Output = {
  result: (line) => process.stdout.write(`${line}\n`),
  note: (line) => process.stderr.write(`${line}\n`),
  draw: (text) => process.stderr.write(text),
  resultsOnTerminal: process.stdout.isTTY === true,
  terminal: () => {
    const { isTTY, columns, rows } = process.stderr
    return isTTY ? { columns, rows } : undefined
  },
}

// `stowage list … | head` is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(EXIT.ok)
})

const called = basename(process.argv[1] ?? 'stowage').replace(/\.[jt]s$/, '')
const name = called === 'registry' ? 'registry' : 'stowage'
process.exitCode = await runProgram(name, process.argv.slice(2), actions, output)
