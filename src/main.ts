// The entry: reads argv, hands the commands what they need of the floors above, and turns signals into a clean stop.
import { flushCompileCache } from 'node:module'
import { basename } from 'node:path'
import { createInterface } from 'node:readline'
import { type App, startApp } from '#app.ts'
import { type Actions, runProgram } from '#cli/program.ts'
import { loadConfig } from '#config/load.ts'
import { renderConfig } from '#config/render.ts'
import { ACCESS_LOG_FD, type OpenLog, openLog } from '#telemetry/log.ts'
import packageJson from '../package.json' with { type: 'json' }

async function serve(file: string | undefined): Promise<void> {
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

async function readPassword(prompt: string): Promise<string> {
  const { stdin, stderr } = process
  if (stdin.isTTY) stderr.write(prompt)
  const lines = createInterface({ input: stdin, terminal: false })
  if (stdin.isTTY) stdin.setRawMode(false)
  for await (const line of lines) return line
  throw new Error('no password came from standard input')
}

const actions: Actions = {
  serve,
  async checkConfig(file) {
    const { config, warnings } = await loadConfig({ file, cwd: process.cwd() })
    return { text: renderConfig(config), warnings }
  },
  readPassword,
  version: packageJson.version,
}

const called = basename(process.argv[1] ?? 'stowage').replace(/\.[jt]s$/, '')
process.exitCode = await runProgram(
  called === 'registry' ? 'registry' : 'stowage',
  process.argv.slice(2),
  actions,
  {
    result: (line) => process.stdout.write(`${line}\n`),
    note: (line) => process.stderr.write(`${line}\n`),
  },
)
