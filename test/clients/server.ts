// One registry on a free port of the loopback: plain, or TLS with htpasswd. Ours, or another program that reads the same file.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openSlowLine, type SlowLine } from '../processes/slow-line.ts'
import { type Accounts, type Jobs, Management, makeAccounts, openJobs } from './accounts.ts'
import { runCommand } from './command.ts'
import { RegistryView } from './registry-view.ts'

const START_MS_MAX = 20_000
const STOP_MS_MAX = 20_000
const PROBE_MS = 50

export interface Login {
  readonly username: string
  readonly password: string
}

export interface ServerOptions {
  /** The command that starts the registry; the path of its configuration file is added. */
  readonly command: readonly string[]
  /** TLS with a self-signed certificate, and this one user, or admin. Plain and open when left out. */
  readonly login?: Login
  /** Projects of a server with users of its own; htpasswd when left out. */
  readonly projects?: readonly string[] | undefined
  /** Tokens of the shortest life, and a line that is slow enough to outlast them; neither when left out. */
  readonly slow?: { readonly tokenLifeMs: number; readonly bytesPerSecond: number } | undefined
  /** An empty folder for the store, the configuration and the log. */
  readonly dir: string
  /** `storage` of the configuration, where blobs are not to lie in that folder. */
  readonly storage?: Readonly<Record<string, unknown>> | undefined
  readonly env: Readonly<Record<string, string>>
}

/** A running registry, and how to look into it without any of the clients under test. */
export class Server {
  readonly host: string
  readonly caFile: string | undefined
  readonly view: RegistryView
  readonly logFile: string
  readonly #options: ServerOptions
  readonly #line: SlowLine | undefined
  #child: ChildProcess | undefined
  #accounts: Accounts | undefined

  private constructor(
    options: ServerOptions,
    port: number,
    line: SlowLine | undefined,
    ca: string | undefined,
  ) {
    this.#options = options
    this.#line = line
    this.host = `localhost:${line?.port ?? port}`
    this.caFile = ca === undefined ? undefined : join(options.dir, 'tls.crt')
    this.logFile = join(options.dir, 'server.log')
    this.view = new RegistryView(this.host, ca, options.login)
  }

  static async start(options: ServerOptions): Promise<Server> {
    await mkdir(join(options.dir, 'store'), { recursive: true })
    const port = await freePort()
    if (options.login) await writeSecrets(options, options.login)
    const ca = options.login ? await readFile(join(options.dir, 'tls.crt'), 'utf8') : undefined
    const jobs = options.projects && (await openJobs(options.dir))
    await writeFile(join(options.dir, 'config.yml'), configFile(options, port, jobs))
    const line = options.slow && (await openSlowLine(port, options.slow.bytesPerSecond))
    const server = new Server(options, port, line, ca)
    await server.#up()
    if (jobs && ca !== undefined && options.login) {
      const management = new Management(server.host, ca, options.login)
      server.#accounts = await makeAccounts(management, jobs, options.projects)
    }
    return server
  }

  /** Who may do everything with content. */
  get login(): Login | undefined {
    return this.#accounts?.everywhere ?? this.#options.login
  }

  get accounts(): Accounts | undefined {
    return this.#accounts
  }

  /** Ends the server as an operator would (SIGTERM) and starts it again on its store and port. */
  async restart(): Promise<void> {
    await this.#end()
    await this.#up()
  }

  async stop(): Promise<void> {
    await this.#end()
    await this.#line?.close()
  }

  async #end(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
    await ended
    clearTimeout(timer)
  }

  /** The server's log from `offset` bytes on. */
  async log(offset: number): Promise<string> {
    const bytes = await readFile(this.logFile)
    return bytes.subarray(offset).toString('utf8')
  }

  async #up(): Promise<void> {
    const { login } = this.#options
    const [program = '', ...args] = this.#options.command
    const child = spawn(program, [...args, join(this.#options.dir, 'config.yml')], {
      env: { ...this.#options.env, ...(login && { STOWAGE_ADMIN_PASSWORD: login.password }) },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    const log = createWriteStream(this.logFile, { flags: 'a' })
    child.stdout.pipe(log, { end: false })
    child.stderr.pipe(log, { end: false })
    child.once('close', () => log.end())
    const failed = once(child, 'error').then(([cause]) => {
      throw new Error(`${program} did not start`, { cause })
    })
    await Promise.race([failed, this.#answers(child)])
  }

  async #answers(child: ChildProcess): Promise<void> {
    const deadline = Date.now() + START_MS_MAX
    while (Date.now() < deadline) {
      if (child.exitCode !== null) {
        throw new Error(`the registry ended with ${child.exitCode} at its start:\n${await this.log(0)}`)
      }
      if (await this.view.isUp()) return
      await sleep(PROBE_MS)
    }
    await this.stop()
    throw new Error(`the registry did not answer within ${START_MS_MAX} ms:\n${await this.log(0)}`)
  }
}

/** registry:2's own file format, so that any program that reads it can stand here. */
function configFile(options: ServerOptions, port: number, jobs: Jobs | undefined): string {
  const { dir, storage = { filesystem: { rootdirectory: join(dir, 'store') } } } = options
  const lines = [
    'version: 0.1',
    'log: { level: info }',
    `storage: ${JSON.stringify({ ...storage, delete: { enabled: true } })}`,
    ...(options.storage ? [`database: { path: ${join(dir, 'registry.sqlite')} }`] : []),
    'http:',
    `  addr: 127.0.0.1:${port}`,
    '  secret: client-suite',
  ]
  const tokens = options.slow && { tokenlife: `${options.slow.tokenLifeMs}ms`, clockskew: '0s' }
  if (options.login) {
    lines.push(`  tls: { certificate: ${join(dir, 'tls.crt')}, key: ${join(dir, 'tls.key')} }`)
    lines.push(
      jobs
        ? `auth: ${JSON.stringify({ stowage: { federation: { issuers: [jobs.issuer] }, ...tokens } })}`
        : `auth: { htpasswd: { realm: clients, path: ${join(dir, 'htpasswd')} } }`,
    )
  }
  return `${lines.join('\n')}\n`
}

/** The certificate and the password file, made with the commands that registry:2's documentation gives. */
async function writeSecrets(options: ServerOptions, login: Login): Promise<void> {
  const { dir, env } = options
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  const files = ['-keyout', join(dir, 'tls.key'), '-out', join(dir, 'tls.crt')]
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const made = await runCommand('openssl', ['req', '-x509', ...curve, ...subject, ...files], { env })
  if (made.code !== 0) throw new Error(`openssl made no certificate: ${made.stderr}`)
  const hashed = await runCommand('htpasswd', ['-Bbn', login.username, login.password], { env })
  if (hashed.code !== 0) throw new Error(`htpasswd made no file: ${hashed.stderr}`)
  await writeFile(join(dir, 'htpasswd'), hashed.stdout, { mode: 0o600 })
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  await once(probe, 'close')
  if (address === null || typeof address === 'string') throw new Error('no free port on the loopback')
  return address.port
}
