// A server with users, projects and robots, as tests of who may do what need it: made by the management API itself.
import { type Answer, json, send, type Target } from './client.ts'
import { expectStatus } from './content.ts'
import { type ServerSetup, startServer, type TestServer } from './server.ts'

export const PASSWORD = 'correct horse battery'

export interface Managed extends AsyncDisposable {
  readonly server: TestServer
  /** The server as somebody sees it who sends his password, or another secret, with every request. */
  as(name: string, secret?: string): Target
  /** The server as somebody sees it who sends a token with these scopes. */
  withToken(name: string, scopes: readonly string[], secret?: string): Promise<Target>
  /** Calls the management as admin. */
  call(method: string, path: string, body?: unknown, as?: Target): Promise<Answer>
  /** As call, and its answer must be a success. */
  manage(method: string, path: string, body?: unknown): Promise<Record<string, unknown>>
  /** Makes users, who have no role. */
  users(...names: string[]): Promise<void>
  /** Makes a private project, with roles of users. */
  project(name: string, members?: Readonly<Record<string, string>>): Promise<void>
  /** Makes a robot of a project, or of the whole registry for `+name`; resolves to its secret. */
  robot(name: string, permissions: Readonly<Record<string, readonly string[]>>): Promise<string>
}

export async function startManaged(setup: ServerSetup = {}): Promise<Managed> {
  const env = { REGISTRY_AUTH: 'stowage', ...setup.env }
  const server = await startServer({ ...setup, adminPassword: PASSWORD, env })
  const as = (name: string, secret = PASSWORD): Target => ({
    get port() {
      return server.port
    },
    headers: { Authorization: `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}` },
  })
  const call = (method: string, path: string, body?: unknown, target = as('admin')) =>
    send(target, method, `/api/v1${path}`, {
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
  const manage = async (method: string, path: string, body?: unknown) => {
    const answer = await call(method, path, body)
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.body}`)
    return answer.body.length > 0 ? (json(answer) as Record<string, unknown>) : {}
  }
  return {
    server,
    as,
    async withToken(name, scopes, secret) {
      const query = scopes.map((scope) => `&scope=${encodeURIComponent(scope)}`).join('')
      const answer = await send(as(name, secret), 'GET', `/token?service=stowage${query}`)
      expectStatus(answer, 200)
      const { token } = json(answer) as { token: string }
      return { port: server.port, headers: { Authorization: `Bearer ${token}` } }
    },
    call,
    manage,
    async users(...names) {
      for (const name of names) await manage('POST', '/users', { name, password: PASSWORD })
    },
    async project(name, members = {}) {
      await manage('POST', '/projects', { name })
      for (const [user, role] of Object.entries(members))
        await manage('PUT', `/projects/${encodeURIComponent(name)}/members/users/${user}`, { role })
    },
    async robot(name, permissions) {
      const [project = '', own = ''] = name.split('+')
      const list = Object.entries(permissions).map(([repository, rights]) => ({ repository, rights }))
      const base = project === '' ? '/robots' : `/projects/${encodeURIComponent(project)}/robots`
      return String((await manage('POST', base, { name: own, permissions: list }))['secret'])
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}
