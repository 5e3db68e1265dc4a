// The entry: reads argv, hands the commands what they need of the floors above, and turns signals into a clean stop.
import { randomUUID } from 'node:crypto'
import { flushCompileCache } from 'node:module'
import { hostname } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { App } from '#app.ts'
import { CommandFailure, EXIT, type Output } from '#cli/output.ts'
import { type Actions, type AdoptedFolder, runProgram } from '#cli/program.ts'
import { clientEnvironment } from '#config/environment.ts'
import type { OpenLog } from '#telemetry/log.ts'
import packageJson from '../package.json' with { type: 'json' }

async function serve(file: string | undefined): Promise<void> {
  // Here and not above: a client command needs nothing of the server.
  const { startApp } = await import('#app.ts')
  const { loadConfig } = await import('#config/load.ts')
  const { ACCESS_LOG_FD, openLog } = await import('#telemetry/log.ts')
  const { config, warnings, source } = await loadConfig({ file, cwd: process.cwd() })
  const { level, formatter: format } = config.log
  const fields = config.log.fields
  const log = openLog({ level, format, fields })
  const access = openLog({ level, format, fields, fd: ACCESS_LOG_FD })
  for (const warning of warnings) log.warn('the configuration is doubtful', { warning })
  process.on('uncaughtExceptionMonitor', (error) => {
    log.error('the process dies of an unexpected error', { error: error.stack ?? String(error) })
    log.flushSync()
  })
  try {
    const app = await startApp(config, { log, access })
    // Now, and not at the exit, which may be a sudden one.
    flushCompileCache()
    log.info('listening', { address: app.address, tls: config.http.tls.certificate !== undefined })
    if (source.kind === 'built-in') welcome(app, config.storage.filesystem?.rootdirectory)
    await untilStopped(app, log)
    log.info('stopped')
  } finally {
    await access.flush()
    await log.flush()
  }
}

/** What somebody who started us for the first time wants to know. */
function welcome(app: App, folder: string | undefined): void {
  const host = `localhost:${app.port}`
  process.stderr.write(
    [
      '',
      `Stowage is listening on ${host}, without authentication${folder ? `, and keeps its data in ${folder}` : ''}.`,
      'Push a first image:',
      '',
      '  docker pull alpine',
      `  docker tag alpine ${host}/alpine`,
      `  docker push ${host}/alpine`,
      '',
      '',
    ].join('\n'),
  )
}

/** SIGTERM and SIGINT stop within the drain time; a second one at once. SIGHUP reads certificates and users again. */
async function untilStopped(app: App, log: OpenLog): Promise<void> {
  process.on('SIGHUP', () => {
    app.reload().then(
      () => log.info('certificates and users were read again'),
      (error) =>
        log.error('reading certificates and users again failed; the old ones stay', { error: String(error) }),
    )
  })
  const signal = await new Promise<NodeJS.Signals>((resolve) => {
    process.once('SIGTERM', resolve)
    process.once('SIGINT', resolve)
  })
  log.info('stopping: transfers that are under way may finish', { signal })
  for (const again of ['SIGTERM', 'SIGINT'] as const) {
    process.once(again, () => {
      log.warn('stopped at once: transfers were cut')
      log.flushSync()
      process.exit(1)
    })
  }
  await app.stop()
}

/** Asks on a terminal, or takes the next line of a pipe. */
async function ask(prompt: string, hidden: boolean): Promise<string> {
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
  const tree = await openTree({ db, storage, keys: storage.keys, log, now: Date.now })
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

const actions: Actions = {
  serve,
  async checkConfig(file) {
    const { loadConfig } = await import('#config/load.ts')
    const { renderConfig } = await import('#config/render.ts')
    const { config, warnings } = await loadConfig({ file, cwd: process.cwd() })
    return { text: renderConfig(config), warnings }
  },
  adopt,
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
