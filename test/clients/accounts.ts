// The accounts of a server with users, made by its own management API, and what a client may do as each of them.
import { generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import type { Scenario, Stand } from './scenario.ts'
import type { Login } from './server.ts'
import { slowPushScenario } from './slow-push.ts'

const REQUEST_MS_MAX = 10_000
const AUDIENCE = 'registry.clients.test'
const ISSUER = 'https://jobs.clients.test'
const JOB = 'repo:team/app:ref:refs/heads/main'

/** A project that all accounts but the first may push to, and one that they have nothing to do with. */
export const OWN_PROJECT = 'berth'
export const OTHER_PROJECT = 'elsewhere'

export interface Accounts {
  /** A robot of the whole registry. */
  readonly everywhere: Login
  readonly user: Login
  readonly key: Login
  readonly robot: Login
  /** A job that logs in with a token of its platform; each login with a new one. */
  job(): Promise<Login>
}

/** A platform whose jobs have tokens. */
export interface Jobs {
  /** For the configuration of the server. */
  readonly issuer: Readonly<Record<string, string>>
  token(): Promise<string>
}

export async function openJobs(dir: string): Promise<Jobs> {
  const { publicKey, privateKey }: { publicKey: KeyObject; privateKey: KeyObject } = generateKeyPairSync(
    'ec',
    {
      namedCurve: 'P-256',
    },
  )
  const kid = randomUUID()
  const jwks = join(dir, 'jwks.json')
  const key = { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'ES256' }
  await writeFile(jwks, JSON.stringify({ keys: [key] }))
  return {
    issuer: { name: 'jobs', issuer: ISSUER, audience: AUDIENCE, jwks },
    token: () =>
      new SignJWT({ sub: JOB })
        .setProtectedHeader({ alg: 'ES256', kid, typ: 'JWT' })
        .setIssuer(ISSUER)
        .setAudience(AUDIENCE)
        .setIssuedAt()
        .setExpirationTime('5m')
        .sign(privateKey),
  }
}

/** The management API, as one of its users. */
export class Management {
  readonly #host: string
  readonly #ca: string
  readonly #login: Login

  constructor(host: string, ca: string, login: Login) {
    this.#host = host
    this.#ca = ca
    this.#login = login
  }

  as(login: Login): Management {
    return new Management(this.#host, this.#ca, login)
  }

  change(method: 'POST' | 'PUT', path: string, body: unknown): Promise<Readonly<Record<string, unknown>>> {
    const { username, password } = this.#login
    return new Promise((resolve, reject) => {
      const sent = request(
        `https://${this.#host}/api/v1${path}`,
        {
          method,
          ca: this.#ca,
          agent: false,
          auth: `${username}:${password}`,
          timeout: REQUEST_MS_MAX,
          headers: { 'content-type': 'application/json' },
        },
        (reply) => {
          const chunks: Buffer[] = []
          reply.on('data', (chunk: Buffer) => chunks.push(chunk))
          reply.on('error', reject)
          reply.on('end', () => {
            const text = Buffer.concat(chunks).toString('utf8')
            if ((reply.statusCode ?? 0) < 300) resolve(text === '' ? {} : JSON.parse(text))
            else reject(new Error(`${method} ${path}: ${reply.statusCode} ${text}`))
          })
        },
      )
      sent.on('timeout', () => sent.destroy(new Error(`${path}: no answer within ${REQUEST_MS_MAX} ms`)))
      sent.on('error', reject)
      sent.end(JSON.stringify(body))
    })
  }
}

export async function makeAccounts(
  management: Management,
  jobs: Jobs,
  projects: readonly string[] = [],
): Promise<Accounts> {
  for (const name of [...projects, OWN_PROJECT, OTHER_PROJECT])
    await management.change('POST', '/projects', { name })
  const user: Login = { username: 'dana', password: 'a berth for the night' }
  await management.change('POST', '/users', { name: user.username, password: user.password })
  await management.change('PUT', `/projects/${OWN_PROJECT}/members/users/${user.username}`, {
    role: 'developer',
  })
  const own = [{ repository: `${OWN_PROJECT}/**`, rights: ['pull', 'push', 'overwrite'] }]
  const key = await management.as(user).change('POST', '/me/keys', { name: 'laptop', permissions: own })
  const robots = `/projects/${OWN_PROJECT}/robots`
  const robot = await management.change('POST', robots, { name: 'ci', permissions: own })
  await management.change('POST', `${robots}/${encodeURIComponent(`${OWN_PROJECT}+ci`)}/federation`, {
    name: 'main',
    issuer: 'jobs',
    claims: { sub: JOB },
  })
  const everything = [{ repository: '**', rights: ['pull', 'push', 'overwrite', 'delete'] }]
  const everywhere = await management.change('POST', '/robots', { name: 'carrier', permissions: everything })
  return {
    everywhere: { username: '+carrier', password: String(everywhere['secret']) },
    user,
    key: { username: user.username, password: String(key['secret']) },
    robot: { username: `${OWN_PROJECT}+ci`, password: String(robot['secret']) },
    job: async () => ({ username: 'oidc', password: await jobs.token() }),
  }
}

/** The command lines of one client, without the program. */
export interface AccountCommands {
  readonly program: string
  /** Makes what `push` sends. */
  readonly prepare?: (stand: Stand, repository: string) => Promise<void>
  /** Reads the password from standard input. */
  readonly login: (stand: Stand, username: string) => readonly string[]
  readonly push: (stand: Stand, repository: string) => readonly string[]
  readonly pull: (stand: Stand, repository: string) => readonly string[]
}

/** What holds for every client that logs in with tokens. */
export function tokenScenarios(commands: AccountCommands): Scenario[] {
  return [accountScenario(commands), slowPushScenario(commands)]
}

/** Every kind of account comes in, pushes and pulls where it may, and is told that it may not elsewhere. */
export function accountScenario(commands: AccountCommands): Scenario {
  const { program, prepare, login, push, pull } = commands
  return {
    name: 'accounts',
    does: 'a user, an API key, a robot and a federated job push and pull in their project, and are denied in another',
    servers: ['TLS + tokens'],
    async run(stand) {
      const { user, key, robot, job } = stand.accounts
      for (const [kind, { username, password }] of Object.entries({ user, key, robot, job: await job() })) {
        const env = await stand.stranger(kind)
        await stand.ok(program, login(stand, username), { env, input: password })
        const own = `${OWN_PROJECT}/${program}-${kind}`
        await prepare?.(stand, own)
        await stand.ok(program, push(stand, own), { env })
        await stand.ok(program, pull(stand, own), { env })
        const other = `${OTHER_PROJECT}/${program}-${kind}`
        await prepare?.(stand, other)
        const said = await stand.refused(program, push(stand, other), { env })
        if (!/denied|forbidden|refused with 403/i.test(said))
          throw new Error(`${kind} is not told that it is denied: ${said}`)
      }
    },
  }
}
