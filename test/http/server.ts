// The real server in this process, on a free port of loopback, with a configuration read as an operator's is.
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { AuditLog } from '#access/audit/audit-log.ts'
import { type App, startApp } from '#app/app.ts'
import { loadConfig } from '#config/load.ts'
import { databaseOf, isOnPostgres, type TestDatabase } from '../processes/test-database.ts'
import { RecordingLog } from './recording-log.ts'

export interface ServerSetup {
  /** Keep the data in a folder, so that it survives a restart; in memory otherwise. */
  readonly onDisk?: boolean
  /** `storage.s3`; the facts are in the folder then, and every byte comes from the server unless `redirects`. */
  readonly s3?: Readonly<Record<string, unknown>>
  readonly redirects?: boolean
  /** `REGISTRY_*` variables. */
  readonly env?: Readonly<Record<string, string>>
  /** Of the first admin, with `auth: stowage`. */
  readonly adminPassword?: string
  /** A folder that is there already and is left behind, instead of a fresh one that goes with the server. */
  readonly folder?: string
}

export class TestServer {
  readonly folder: string
  readonly log = new RecordingLog()
  readonly access = new RecordingLog()
  readonly #setup: ServerSetup
  #database: TestDatabase | undefined
  #app: App | undefined

  /** Use startServer. */
  constructor(folder: string, setup: ServerSetup) {
    this.folder = folder
    this.#setup = setup
  }

  get app(): App {
    if (!this.#app) throw new Error('the server is stopped')
    return this.#app
  }

  get port(): number {
    return this.app.port ?? 0
  }

  /** With `auth: stowage`. */
  get audit(): AuditLog {
    if (!this.app.audit) throw new Error('this server has no users')
    return this.app.audit
  }

  /** `127.0.0.1:<port>` */
  get host(): string {
    return `127.0.0.1:${this.port}`
  }

  /** Where the blobs and link files are. */
  get root(): string {
    return join(this.folder, 'data')
  }

  /** Starts it, also again after a stop. */
  async start(env: Readonly<Record<string, string>> = {}): Promise<void> {
    this.#database ??= await databaseOf(this.folder)
    const file = join(this.folder, 'config.yml')
    await writeFile(file, stringify({ version: 0.1, ...this.#stores(), http: { addr: '127.0.0.1:0' } }))
    const { config } = await loadConfig({ file, env: { ...this.#setup.env, ...env }, cwd: this.folder })
    const { adminPassword } = this.#setup
    this.#app = await startApp(config, { log: this.log, access: this.access }, { adminPassword })
  }

  #stores(): Readonly<Record<string, unknown>> {
    const { s3, redirects = false } = this.#setup
    // Facts that outlive the process ask for blobs that do.
    const onDisk = this.#setup.onDisk || isOnPostgres()
    const { url } = this.#database ?? {}
    const others = { delete: { enabled: true }, redirect: { disable: !redirects } }
    if (s3)
      return {
        storage: { s3, ...others },
        database: url === undefined ? { path: join(this.folder, 'facts', 'registry.sqlite') } : { url },
      }
    const storage = onDisk ? { filesystem: { rootdirectory: this.root } } : { inmemory: {} }
    return { storage: { ...storage, ...others }, ...(url !== undefined && { database: { url } }) }
  }

  async stop(): Promise<void> {
    const app = this.#app
    this.#app = undefined
    await app?.stop()
  }

  /** While it is stopped: only the blobs and the tree are left, as registry:2 would leave them. */
  async loseFacts(): Promise<void> {
    await rm(join(this.root, 'stowage'), { recursive: true })
    await this.#database?.drop()
    this.#database = undefined
  }

  async restart(env: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.stop()
    await this.start(env)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    await this.#database?.drop()
    if (this.#setup.folder === undefined) await rm(this.folder, { recursive: true, force: true })
  }
}

/** Give it back with `await using`, or call its dispose in `after`. */
export async function startServer(setup: ServerSetup = {}): Promise<TestServer> {
  const folder = setup.folder ?? (await mkdtemp(join(tmpdir(), 'stowage-http-')))
  await mkdir(folder, { recursive: true })
  const server = new TestServer(folder, setup)
  try {
    await server.start()
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
  return server
}

/** Every file below a folder, sorted: what a request may not have changed. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.map((entry) => join(entry.parentPath, entry.name)).sort()
}
