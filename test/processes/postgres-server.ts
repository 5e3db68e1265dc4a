// A PostgreSQL of the test's own: data in a temporary folder, a socket in it and no port, and no care for power failures.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'
import { findProgram } from '../tools/find-program.ts'

const START_MS_MAX = 60_000
const OUTPUT_CHARS_KEPT = 4_000
/** PostgreSQL refuses to run as root: Debian's package brings this user. */
const UNPRIVILEGED = 'postgres'

/** Why the tests that need it are left out; false where they run. With CI=true they must run. */
export function postgresAbsent(): string | false {
  if (findProgram('postgres') !== undefined || process.env['CI'] === 'true') return false
  return 'postgres is not installed: apt-get install postgresql'
}

export interface PostgresServer {
  /** Where clients find it: `postgres://` with the folder of the socket. */
  url(database?: string): string
  /** A new, empty database; resolves to its URL. */
  createDatabase(): Promise<string>
  start(): Promise<void>
  /** `fast` tells clients to go, `immediate` is a crash. */
  stop(how?: 'fast' | 'immediate'): Promise<void>
  /** Stops it and removes its files. */
  remove(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** `settings` are lines of postgresql.conf, as `name=value`. */
export async function startPostgres(settings: readonly string[] = []): Promise<PostgresServer> {
  const program = findProgram('postgres')
  if (program === undefined) throw new Error(`${postgresAbsent()}`)
  const owner = unprivileged()
  const folder = mkdtempSync(join(tmpdir(), 'stowage-pg-'))
  if (owner) chownSync(folder, owner.uid, owner.gid)
  const data = join(folder, 'data')
  run(join(dirname(program), 'initdb'), owner, [
    ...['--pgdata', data, '--username', 'stowage', '--auth', 'trust'],
    ...['--encoding', 'UTF8', '--locale', 'C', '--no-sync', '--no-instructions'],
  ])
  const server = new TestServer(program, folder, data, owner, settings)
  await server.start()
  return server
}

type Owner = { readonly uid: number; readonly gid: number } | undefined

function unprivileged(): Owner {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string) => Number(spawnSync('id', [flag, UNPRIVILEGED], { encoding: 'utf8' }).stdout)
  const owner = { uid: id('-u'), gid: id('-g') }
  if (!owner.uid) throw new Error(`there is no user ${UNPRIVILEGED}, and PostgreSQL does not run as root`)
  return owner
}

function run(program: string, owner: Owner, args: string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { ...owner, encoding: 'utf8', cwd: tmpdir() })
  if (status !== 0) throw new Error(`${program} failed: ${error ?? stderr}`)
}

class TestServer implements PostgresServer {
  readonly #program: string
  readonly #folder: string
  readonly #data: string
  readonly #owner: Owner
  readonly #settings: readonly string[]
  #process: ChildProcess | undefined
  #output = ''
  #databases = 0
  /** Whoever ends the test ends what it started. */
  readonly #endToo = () => {
    this.#process?.kill('SIGQUIT')
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 })
  }

  constructor(program: string, folder: string, data: string, owner: Owner, settings: readonly string[]) {
    this.#program = program
    this.#folder = folder
    this.#data = data
    this.#owner = owner
    this.#settings = settings
    process.once('exit', this.#endToo)
  }

  url(database = 'postgres'): string {
    return `postgres://stowage@localhost/${database}?host=${encodeURIComponent(this.#folder)}`
  }

  async createDatabase(): Promise<string> {
    this.#databases += 1
    const name = `test${process.pid}_${this.#databases}`
    const client = new pg.Client(this.url())
    await client.connect()
    await client.query(`create database ${name}`)
    await client.end()
    return this.url(name)
  }

  async start(): Promise<void> {
    const settings = [
      'listen_addresses=',
      `unix_socket_directories=${this.#folder}`,
      ...['fsync=off', 'synchronous_commit=off', 'full_page_writes=off'],
      ...['shared_buffers=32MB', 'max_connections=100', 'autovacuum=off', ...this.#settings],
    ]
    const args = ['-D', this.#data, ...settings.flatMap((setting) => ['-c', setting])]
    const child = spawn(this.#program, args, {
      ...this.#owner,
      cwd: this.#folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#process = child
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#output = (this.#output + text).slice(-OUTPUT_CHARS_KEPT)
    })
    for (const deadline = Date.now() + START_MS_MAX; !(await this.#answers()); await wait(20)) {
      if (child.exitCode === null && Date.now() < deadline) continue
      throw new Error(`postgres did not start: ${this.#output}`)
    }
  }

  async #answers(): Promise<boolean> {
    const client = new pg.Client(this.url())
    client.on('error', () => {})
    return client.connect().then(
      () => client.end().then(() => true),
      () => false,
    )
  }

  async stop(how: 'fast' | 'immediate' = 'fast'): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (!child || child.exitCode !== null) return
    const ended = once(child, 'exit')
    child.kill(how === 'fast' ? 'SIGINT' : 'SIGQUIT')
    await ended
  }

  async remove(): Promise<void> {
    await this.stop('immediate')
    process.off('exit', this.#endToo)
    rmSync(this.#folder, { recursive: true, force: true })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.remove()
  }
}
