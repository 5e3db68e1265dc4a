// The composition root: a configuration in, a running registry out; what starts first stops last.
import { randomUUID } from 'node:crypto'
import { hostname, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import {
  type Authenticator,
  htpasswdAuthentication,
  noAuthentication,
  sillyAuthentication,
} from '#access/authenticate.ts'
import { storageFailure } from '#blobs/file-calls.ts'
import { openFilesystemStorage } from '#blobs/filesystem.ts'
import { MemoryStorage } from '#blobs/memory.ts'
import type { BlobStorage } from '#blobs/store.ts'
import type { Config } from '#config/schema.ts'
import {
  linkOptions,
  listenOptions,
  registrySettings,
  replyHeaders,
  serverLimits,
  tlsOptions,
  watchLimits,
} from '#config/slices.ts'
import { storedTotals } from '#db/blobs.ts'
import type { Db } from '#db/db.ts'
import { lockFolder } from '#db/folder-lock.ts'
import { refuseNetworkFileSystem } from '#db/network-file-system.ts'
import { openSqlite } from '#db/sqlite.ts'
import { databaseFailure } from '#db/sqlite-failure.ts'
import { uploadIds } from '#db/uploads.ts'
import { ReadRecorder } from '#events/reads.ts'
import type { AwaitingContinue } from '#http/body.ts'
import { startDebugServer } from '#http/debug-server.ts'
import type { Readiness } from '#http/health.ts'
import { Links } from '#http/links.ts'
import { startServer } from '#http/server.ts'
import { TransferWatch } from '#http/transfer-watch.ts'
import { V2 } from '#http/v2/dispatch.ts'
import { KeyedMutex } from '#lib/keyed-mutex.ts'
import { parseListenAddress } from '#lib/listen-address.ts'
import { Lru } from '#lib/lru.ts'
import { accepts, answers, fileIsAbsent, type HealthCheck, HealthChecks } from '#maintenance/health-checks.ts'
import { type OpenTree, openTree } from '#maintenance/open-tree.ts'
import { runPeriodically } from '#maintenance/periodic.ts'
import { pruneOldEvents } from '#maintenance/prune-events.ts'
import { sweepUploads } from '#maintenance/sweep-uploads.ts'
import { digestOf } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import { type Guard, noDeleteGuard, readOnlyGuard } from '#registry/guards.ts'
import { LiveUploads } from '#registry/live-uploads.ts'
import { CACHED_CONTENT_BYTES_MAX, CONTENT_CACHE_BYTES_MAX, type Registry } from '#registry/registry.ts'
import type { Log } from '#telemetry/log.ts'
import { Metrics } from '#telemetry/metrics.ts'

const MEMORY_STORAGE_BYTES_MAX = 1024 * 1024 * 1024
const FIRST_SWEEP_MS = 60_000
const PRUNE_INTERVAL_MS = 3_600_000

export interface App {
  /** `host:port`, or the path of a socket. */
  readonly address: string
  readonly port: number | undefined
  readonly registry: Registry
  /** Reads certificates and users again. */
  reload(): Promise<void>
  /** Finishes transfers within the drain time, then closes everything. */
  stop(): Promise<void>
}

export interface AppLogs {
  readonly log: Log
  readonly access: Log
}

/** @throws Error with a sentence for the operator when something that the configuration names cannot be used */
export async function startApp(config: Config, logs: AppLogs): Promise<App> {
  const { log } = logs
  const closers: (() => Promise<void> | void)[] = []
  const closeAll = async () => {
    for (const close of closers.reverse()) await close()
  }
  try {
    return await compose(config, logs, closers, closeAll)
  } catch (error) {
    await closeAll().catch((failure) =>
      log.error('closing after a failed start failed', { error: String(failure) }),
    )
    throw error
  }
}

async function compose(
  config: Config,
  { log, access }: AppLogs,
  closers: (() => Promise<void> | void)[],
  closeAll: () => Promise<void>,
): Promise<App> {
  const now = Date.now
  const metrics = new Metrics()
  const { storage, db, tree } = await openStore(config, log, closers).catch((error) => {
    throw startFailure(error, config)
  })
  const reads = new ReadRecorder(db, log, now, (events) => metrics.readEventsDropped(events))
  closers.push(() => reads.close())
  const registry: Registry = {
    db,
    storage,
    guards: guardsOf(config),
    upstreams: tree ? [tree.pass] : [],
    settings: registrySettings(config),
    reads,
    log,
    now,
    newId: randomUUID,
    announce: () => tree?.wake(),
    live: new LiveUploads(config.http.limits.maxopenuploads),
    openUploads: new Set(await uploadIds(db)),
    content: new Lru({ weightMax: CONTENT_CACHE_BYTES_MAX, entryWeightMax: CACHED_CONTENT_BYTES_MAX }),
    verifying: new KeyedMutex(),
  }
  watchGauges(metrics, registry)
  if (tree) metrics.watch('stowage_event_lag', () => tree.lag())
  startUpkeep(config, registry, closers)

  const health = new HealthChecks(healthChecksOf(config, registry), log)
  closers.push(() => health.stop())
  const { authenticator, reloadUsers } = await openAuthentication(config, log)
  const watch = new TransferWatch(watchLimits(config))
  const links = new Links(linkOptions(config), log)
  const awaitingContinue: AwaitingContinue = new WeakSet()
  const v2 = new V2({
    registry,
    authenticator,
    links,
    watch,
    awaitingContinue,
    metrics,
    log,
    healthy: () => health.healthy,
    accessLog: config.log.accesslog.disabled ? undefined : access,
    headers: replyHeaders(config),
    newRequestId: requestIds(),
  })
  const readiness: Readiness = async () => ({ ...(await ownFaults(registry)), ...health.failing() })
  const server = await startServer(
    {
      listen: listenOptions(config),
      prefix: config.http.prefix,
      tls: tlsOptions(config),
      limits: serverLimits(config),
      readiness,
    },
    v2,
    awaitingContinue,
  )
  closers.push(() => server.stop(config.http.draintimeoutMs))
  await startDebug(config, readiness, metrics, closers)
  tree?.start()
  return {
    address: server.address,
    port: server.port,
    registry,
    async reload() {
      await server.reloadTls()
      await reloadUsers()
    },
    stop: closeAll,
  }
}

interface Store {
  readonly storage: BlobStorage
  readonly db: Db
  /** Undefined where nothing else could read it: in memory. */
  readonly tree: OpenTree | undefined
}

async function openStore(config: Config, log: Log, closers: (() => Promise<void> | void)[]): Promise<Store> {
  const onError = (error: Error) =>
    log.error('the database could not be checkpointed', { error: error.message })
  const onSyncFailure = (error: Error) =>
    log.error('the disk failed to keep what the database wrote: writes are refused until a restart', {
      error: String(error.cause),
    })
  const { filesystem } = config.storage
  if (!filesystem) {
    const db = await openSqlite({ onError })
    closers.push(() => db.close())
    const storage = new MemoryStorage({ bytesMax: MEMORY_STORAGE_BYTES_MAX, now: Date.now })
    return { storage, db, tree: undefined }
  }
  const { path } = config.database
  const folder = join(filesystem.rootdirectory, 'stowage')
  const lock = await lockFolder(folder, {
    pid: process.pid,
    host: hostname(),
    since: new Date().toISOString(),
  })
  closers.push(() => lock.release())
  const storage = await openFilesystemStorage({ root: filesystem.rootdirectory, temporaryId: randomUUID })
  if (path !== ':memory:') await refuseNetworkFileSystem(dirname(path)).catch(passMissing)
  const db = await openSqlite({ path, onError, onSyncFailure })
  closers.push(() => db.close())
  const tree = await openTree({ db, storage, keys: storage.keys, log, now: Date.now })
  closers.push(() => tree.close())
  return { storage, db, tree }
}

/** A full disk is told by the system or by SQLite, at whatever comes first: it gets a sentence of its own. */
function startFailure(error: unknown, { storage, database }: Config): unknown {
  const root = storage.filesystem?.rootdirectory ?? tmpdir()
  const beside = database.path === ':memory:' || database.path.startsWith(root)
  const folders = beside ? root : `${root} or ${dirname(database.path)}`
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const told = storageFailure(databaseFailure(cause))
    if (!(told instanceof OciError) || told.reason !== 'STORAGE_FULL') continue
    return new Error(`no space is left on the disk of ${folders}: free some, then start again`, {
      cause: error,
    })
  }
  return error
}

/** A folder that is not there yet is made by the database. */
function passMissing(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
}

function guardsOf(config: Config): Guard[] {
  const { maintenance, delete: deleting } = config.storage
  return [
    ...(maintenance.readonly.enabled ? [readOnlyGuard] : []),
    ...(deleting.enabled ? [] : [noDeleteGuard]),
  ]
}

function startUpkeep(config: Config, registry: Registry, closers: (() => Promise<void> | void)[]): void {
  const { enabled, ageMs, intervalMs, dryrun } = config.storage.maintenance.uploadpurging
  const { readretentionMs, writeretentionMs } = config.events
  const tasks = [
    runPeriodically(
      'prune events',
      { everyMs: PRUNE_INTERVAL_MS, firstMs: PRUNE_INTERVAL_MS },
      () => pruneOldEvents(registry, { readsMs: readretentionMs, writesMs: writeretentionMs }),
      registry.log,
    ),
  ]
  if (enabled) {
    tasks.push(
      runPeriodically(
        'sweep uploads',
        { everyMs: intervalMs, firstMs: Math.min(FIRST_SWEEP_MS, intervalMs) },
        () => sweepUploads(registry, { ageMs, dryRun: dryrun }),
        registry.log,
      ),
    )
  }
  closers.push(async () => {
    for (const task of tasks) await task.stop()
  })
}

async function openAuthentication(
  config: Config,
  log: Log,
): Promise<{ authenticator: Authenticator; reloadUsers: () => Promise<void> }> {
  const { htpasswd, silly } = config.auth
  if (htpasswd) {
    // bcrypt is loaded where there are users.
    const { Htpasswd } = await import('#access/htpasswd.ts')
    const users = await Htpasswd.open({ file: htpasswd.path ?? '', log, onCreated: announceFirstUser })
    return {
      authenticator: htpasswdAuthentication(users, htpasswd.realm),
      reloadUsers: () => users.reload(),
    }
  }
  const authenticator = silly ? sillyAuthentication(silly.realm, silly.service) : noAuthentication
  return { authenticator, reloadUsers: async () => {} }
}

/** Some digest, present or not: asking for it shows that the store answers. */
const PROBE = digestOf('')

/** What must work for any request: the database and the store. */
async function ownFaults({ db, storage }: Registry): Promise<Record<string, string>> {
  const faults: Record<string, string> = {}
  // A transaction that does nothing: it also fails where reads would succeed.
  await db
    .transaction(async () => {}, { durable: false })
    .catch((error) => {
      faults['database'] = String(error)
    })
  await storage.stat(PROBE).catch((error) => {
    faults['storage'] = String(error)
  })
  return faults
}

function healthChecksOf({ health, storage: driver }: Config, { storage }: Registry): HealthCheck[] {
  const { storagedriver, file, http, tcp } = health
  const checks: HealthCheck[] = []
  if (storagedriver.enabled) {
    const name = `storagedriver_${driver.filesystem ? 'filesystem' : 'inmemory'}`
    const { intervalMs: everyMs, threshold } = storagedriver
    checks.push({ name, everyMs, threshold, run: async () => void (await storage.stat(PROBE)) })
  }
  for (const { file: path = '', intervalMs: everyMs, threshold } of file) {
    checks.push({ name: path, everyMs, threshold, run: () => fileIsAbsent(path) })
  }
  for (const { uri = '', statuscode: status, timeoutMs, headers, intervalMs: everyMs, threshold } of http) {
    const sent = new Map(Object.entries(headers).map(([name, values]) => [name, values.join(', ')]))
    const run = () => answers(uri, { status, timeoutMs, headers: sent })
    checks.push({ name: uri, everyMs, threshold, run })
  }
  for (const { addr = '', timeoutMs, intervalMs: everyMs, threshold } of tcp) {
    checks.push({ name: addr, everyMs, threshold, run: () => accepts(addr, timeoutMs) })
  }
  return checks
}

/** Past the log, which may go to many places: the password is shown once, to whoever starts the server. */
function announceFirstUser({ file, user, password }: { file: string; user: string; password: string }): void {
  process.stderr.write(
    `${file} was missing and has been made, with the user ${user} and the password ${password}\n`,
  )
}

function watchGauges(metrics: Metrics, registry: Registry): void {
  metrics.watch('stowage_uploads_open', () => registry.openUploads.size)
  // Both gauges are read in one scrape, and the totals cost a look at every blob: they share one.
  let pending: ReturnType<typeof storedTotals> | undefined
  const totals = () => {
    pending ??= storedTotals(registry.db).finally(() => {
      pending = undefined
    })
    return pending
  }
  metrics.watch('stowage_store_blobs', async () => (await totals()).blobs)
  metrics.watch('stowage_store_bytes', async () => (await totals()).bytes)
}

/** Unique for this process and all before it, and cheap. */
function requestIds(): () => string {
  const start = randomUUID().slice(0, 8)
  let count = 0
  return () => {
    count += 1
    return `${start}-${count.toString(36)}`
  }
}

async function startDebug(
  config: Config,
  readiness: Readiness,
  metrics: Metrics,
  closers: (() => Promise<void> | void)[],
): Promise<void> {
  const { addr, prometheus } = config.http.debug
  const listen = addr === undefined ? undefined : parseListenAddress(addr)
  if (!listen) return
  const metricsPath = prometheus.enabled ? prometheus.path : undefined
  const debug = await startDebugServer({ listen, readiness, metricsPath }, metrics)
  closers.push(() => debug.stop())
}
