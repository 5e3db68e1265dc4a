// `serve`: one process, or several that share the port: a primary that keeps what is theirs in common, and workers.
import cluster from 'node:cluster'
import { randomUUID } from 'node:crypto'
import { flushCompileCache } from 'node:module'
import { createServer, type ListenOptions } from 'node:net'
import { availableParallelism } from 'node:os'
import { type App, startApp } from '#app/app.ts'
import { startDebug } from '#app/debug.ts'
import type { AppLogs, AppSecrets } from '#app/logs.ts'
import type { Supervisor } from '#cluster/supervisor.ts'
import { adminPassword } from '#config/environment.ts'
import { loadConfig } from '#config/load.ts'
import type { Config } from '#config/schema.ts'
import { listenOptions } from '#config/slices.ts'
import { LocalSignals } from '#db/signals.ts'
import { freeUploadsOf } from '#db/uploads.ts'
import { releaseHeap } from '#lib/release-heap.ts'
import { ACCESS_LOG_FD, LOG_FD, type OpenLog, openLog, SHARED_WRITE_BYTES } from '#telemetry/log.ts'
import type { MetricSamples } from '#telemetry/summed-metrics.ts'
import packageJson from '../package.json' with { type: 'json' }

/** After the first requests of whoever waited for the start. */
const SETTLED_MS = 1_000
/** Of a worker, where its configuration has none. */
const WORKER_JOBS = 2

/** What a worker begins with. */
interface WorkerInit {
  readonly name: string
  readonly config: Config
  readonly workers: number
  readonly treeRead: boolean
  readonly listen: ListenOptions
}

interface OpenLogs extends AppLogs {
  readonly log: OpenLog
  readonly access: OpenLog
}

/** What a signal does to one process or many. */
interface Running {
  reload(): Promise<void>
  stop(): Promise<void>
  /** For the last moment of a process that must end now. */
  kill(): void
}

export async function serve(file: string | undefined): Promise<void> {
  if (cluster.isWorker) return serveAsWorker()
  const { config, warnings, source } = await loadConfig({ file, cwd: process.cwd() })
  const logs = openLogs(config)
  const { log } = logs
  for (const warning of warnings) log.warn('the configuration is doubtful', { warning })
  const workers = config.http.workers === 0 ? availableParallelism() : config.http.workers
  const orders = new Orders(log)
  try {
    const running =
      workers > 1 ? await serveWithWorkers(config, logs, workers) : await serveAlone(config, logs)
    log.info('listening', {
      address: running.address,
      tls: config.http.tls.certificate !== undefined,
      ...(workers > 1 && { workers }),
    })
    if (source.kind === 'built-in') welcome(running.port, config)
    await orders.follow(running)
    log.info('stopped')
  } finally {
    await closeLogs(logs)
  }
}

/** `worker`: does what servers on the same database leave to others, and serves nobody. */
export async function work(file: string | undefined, concurrency: number | undefined): Promise<void> {
  const { config: configured, warnings } = await loadConfig({ file, cwd: process.cwd() })
  if (configured.database.url === undefined)
    throw new Error(
      'a worker shares the database with the servers: name a PostgreSQL in database.url. A server on SQLite does its jobs itself',
    )
  // The servers' own file may say that they do none.
  const jobs = {
    ...configured.jobs,
    concurrency: concurrency ?? (configured.jobs.concurrency || WORKER_JOBS),
  }
  const config = { ...configured, jobs }
  const logs = openLogs(config)
  const { log } = logs
  for (const warning of warnings) log.warn('the configuration is doubtful', { warning })
  const orders = new Orders(log)
  const signals = new LocalSignals()
  const closing = new AsyncDisposableStack()
  try {
    const role = { kind: 'primary', name: randomUUID(), signals } as const
    closing.defer(() => signals.close())
    const app = await startApp(config, logs, await given(), role)
    closing.defer(() => app.stop())
    closing.defer(await startDebug(config, app.readiness, app.metrics))
    log.info('working', { jobs: jobs.concurrency })
    await orders.follow({ reload: () => app.reload(), stop: () => closing.disposeAsync(), kill() {} })
    log.info('stopped')
  } finally {
    await closing.disposeAsync()
    await closeLogs(logs)
  }
}

async function serveAlone(config: Config, logs: OpenLogs) {
  const app = await startApp(config, logs, await given())
  settle()
  return {
    address: app.address,
    port: app.port,
    reload: () => app.reload(),
    stop: () => app.stop(),
    kill() {},
  }
}

async function serveWithWorkers(config: Config, logs: OpenLogs, workers: number) {
  const { Supervisor } = await import('#cluster/supervisor.ts')
  const { SummedMetrics } = await import('#telemetry/summed-metrics.ts')
  const { log } = logs
  const sums = new SummedMetrics()
  const started: { app?: App; listen?: ListenOptions } = {}
  const supervisor: Supervisor<WorkerInit> = new Supervisor<WorkerInit>({
    workers,
    newName: randomUUID,
    init: (name) => ({
      name,
      config,
      workers,
      listen: started.listen ?? {},
      treeRead: started.app?.treeRead() ?? false,
    }),
    async onGone(name) {
      await sums.left(name)
      await started.app?.registry.db.transaction((tx) => freeUploadsOf(tx, name), {
        durable: false,
        mayUseReserve: true,
      })
    },
    log,
  })
  const { signals } = supervisor
  const role = { kind: 'primary', name: randomUUID(), signals } as const
  const app = await startApp(config, logs, await given(), role)
  started.app = app
  const drainMs = config.http.draintimeoutMs
  const readiness = async () => {
    const { ready } = supervisor
    return {
      ...(await app.readiness()),
      ...(ready < workers && { workers: `${ready} of ${workers} workers serve` }),
    }
  }
  const exposition = async () => {
    sums.keep(role.name, await (await app.metrics.exposition()).samples())
    for (const { name, samples } of (await supervisor.measure()) as Measurement[]) sums.keep(name, samples)
    return sums.scrape()
  }
  const closing = new AsyncDisposableStack()
  closing.defer(() => app.stop())
  try {
    started.listen = await sharedPlace(listenOptions(config))
    closing.defer(await startDebug(config, readiness, { exposition }))
    closing.defer(() => supervisor.stop(drainMs))
    const place = await supervisor.start()
    settle()
    return {
      ...place,
      async reload() {
        await app.reload()
        await supervisor.reload()
      },
      stop: () => closing.disposeAsync(),
      kill: () => supervisor.kill(),
    }
  } catch (error) {
    await closing.disposeAsync()
    throw error
  }
}

/**
 * Where the workers listen, each with a socket of its own, among which Linux deals out the connections. That nobody else
 * listens there has to be looked at first: another server of ours that shares its port would share it with us.
 */
async function sharedPlace(listen: ListenOptions): Promise<ListenOptions> {
  if (listen.path !== undefined || process.platform !== 'linux') return listen
  const probe = createServer()
  await new Promise<void>((resolve, reject) => {
    probe.once('error', reject)
    probe.listen(listen, resolve)
  })
  const address = probe.address()
  await new Promise((resolve) => probe.close(resolve))
  return { ...listen, reusePort: true, ...(typeof address === 'object' && address && { port: address.port }) }
}

interface Measurement {
  readonly name: string
  readonly samples: MetricSamples
}

async function serveAsWorker(): Promise<void> {
  const { WorkerLink } = await import('#cluster/worker-link.ts')
  // They come to every process of a terminal or a service; the primary decides, and says so.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {})
  const link = new WorkerLink<WorkerInit>()
  const { name, config, workers, treeRead, listen } = await link.begun
  const logs = openLogs(config, { worker: process.pid })
  const role = { kind: 'worker', name, signals: link.signals, workers, treeRead, listen } as const
  const app = await startApp(config, logs, { version: packageJson.version }, role).catch(
    (error: Error) => error,
  )
  if (app instanceof Error) {
    // The primary says it, once.
    await link.failed(app.message)
    await closeLogs(logs)
    process.exit(1)
  }
  settle()
  link.ready(app.address, app.port, {
    async measure(): Promise<Measurement> {
      return { name, samples: await (await app.metrics.exposition()).samples() }
    },
    reload: () => app.reload(),
  })
  await link.stopped
  await app.stop()
  await closeLogs(logs)
  // The channel to the primary would keep this process.
  process.exit(0)
}

function openLogs(config: Config, fields: Readonly<Record<string, unknown>> = {}): OpenLogs {
  const { level, formatter: format } = config.log
  const isShared = config.http.workers !== 1
  const common = {
    level,
    format,
    fields: { ...config.log.fields, ...fields },
    ...(isShared && { writeBytesMax: SHARED_WRITE_BYTES }),
  }
  const log = openLog({ ...common, fd: LOG_FD })
  const access = openLog({ ...common, fd: ACCESS_LOG_FD })
  process.on('uncaughtExceptionMonitor', (error) => {
    log.error('the process dies of an unexpected error', { error: error.stack ?? String(error) })
    log.flushSync()
  })
  return { log, access }
}

async function closeLogs({ log, access }: OpenLogs): Promise<void> {
  await access.flush()
  await log.flush()
}

function settle(): void {
  // Now, and not at the exit, which may be a sudden one.
  flushCompileCache()
  setTimeout(releaseHeap, SETTLED_MS).unref()
}

/** What somebody who started us for the first time wants to know. */
function welcome(port: number | undefined, { storage, auth }: Config): void {
  const host = `localhost:${port}`
  const folder = storage.filesystem?.rootdirectory
  const isOpen = !auth.htpasswd && !auth.stowage && !auth.token && !auth.silly
  process.stderr.write(
    [
      '',
      `Stowage is listening on ${host}${isOpen ? ', without authentication' : ''}${folder ? `, and keeps its data in ${folder}` : ''}.`,
      'Push a first image:',
      '',
      ...(isOpen ? [] : [`  docker login ${host}`]),
      '  docker pull alpine',
      `  docker tag alpine ${host}/alpine`,
      `  docker push ${host}/alpine`,
      '',
      '',
    ].join('\n'),
  )
}

/**
 * SIGTERM and SIGINT stop within the drain time; a second one at once. SIGHUP reads certificates and users again.
 * Heard from the first moment: a worker may serve before the last one has started.
 */
class Orders {
  readonly #log: OpenLog
  readonly #stop = Promise.withResolvers<NodeJS.Signals>()
  #running: Running | undefined
  #isStopping = false
  #reloadIsDue = false

  constructor(log: OpenLog) {
    this.#log = log
    process.on('SIGHUP', () => void this.#reload())
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.#end(signal))
  }

  async follow(running: Running): Promise<void> {
    this.#running = running
    if (this.#reloadIsDue) void this.#reload()
    const signal = await this.#stop.promise
    this.#log.info('stopping: transfers that are under way may finish', { signal })
    await running.stop()
  }

  #end(signal: NodeJS.Signals): void {
    if (!this.#isStopping) {
      this.#isStopping = true
      this.#stop.resolve(signal)
      return
    }
    this.#running?.kill()
    this.#log.warn('stopped at once: transfers were cut')
    this.#log.flushSync()
    process.exit(1)
  }

  async #reload(): Promise<void> {
    this.#reloadIsDue = !this.#running
    if (!this.#running) return
    try {
      await this.#running.reload()
      this.#log.info('certificates and users were read again')
    } catch (error) {
      const told = { error: String(error) }
      this.#log.error('reading certificates and users again failed; the old ones stay', told)
    }
  }
}

async function given(): Promise<AppSecrets> {
  return { adminPassword: await adminPassword(), version: packageJson.version }
}
