// Servers with an image and, some of them, with users: one of them has an API key, and is a member of the project that it is in.
import { join } from 'node:path'
import type { Db, Transaction } from '#db/db.ts'
import { openSqlite } from '#db/sqlite.ts'
import {
  type RegistryServer,
  removeRegistry,
  restartRegistry,
  type ServerOptions,
  startRegistry,
} from '../processes/registry-server.ts'
import { pushUsualImage } from './load/images.ts'
import { RegistryClient } from './load/registry-client.ts'
import type { Side } from './scenario.ts'

const ADMIN_PASSWORD = 'measured but never guessed'
const USER = 'ann'
const USER_PASSWORD = 'nor is this one guessed'
const PROJECT = 'bench'
export const IMAGE = `${PROJECT}/manifest`
/** Rows of one statement. */
const ROWS_PER_STATEMENT = 1_000
/** Projects that the one user is a member of, beside the measured one. */
const MEMBERSHIPS = 100

/** What else there is beside the one user and the one project. */
export interface AccessSizes {
  readonly projects: number
  readonly members: number
}

type Headers = Readonly<Record<string, string>>

export async function openPlain(parent: string, config: ServerOptions['config'] = {}): Promise<Side> {
  const server = await startRegistry('stowage', { parent, config })
  const client = new RegistryClient(server.url)
  await pushUsualImage(client, IMAGE, 'latest')
  return { name: 'without', server, client }
}

export async function openWithUsers(parent: string, sizes?: AccessSizes): Promise<Side> {
  const first = await startRegistry('stowage', {
    parent,
    env: { STOWAGE_ADMIN_PASSWORD: ADMIN_PASSWORD },
    config: { auth: { stowage: { tokenlife: '1h' } } },
  })
  try {
    const login = await makeAccounts(first.url)
    const server = sizes ? await filled(first, sizes) : first
    const client = new RegistryClient(server.url, undefined, login)
    await pushUsualImage(client, IMAGE, 'latest')
    return { name: 'with', server, client, login }
  } catch (error) {
    await removeRegistry(first)
    throw error
  }
}

/** Headers with a token to pull and push, for who has these. */
export async function tokenFor({ server }: Side, login: Headers): Promise<Headers> {
  const scope = `repository:${IMAGE}:pull,push`
  const reply = await fetch(`${server.url}/token?service=stowage&scope=${scope}`, { headers: login })
  if (!reply.ok) throw new Error(`no token: ${reply.status} ${await reply.text()}`)
  return { authorization: `Bearer ${((await reply.json()) as { token: string }).token}` }
}

/** Headers of an API key of the one user. */
async function makeAccounts(url: string): Promise<Headers> {
  const admin = basic('admin', ADMIN_PASSWORD)
  await change(url, admin, 'POST', '/users', { name: USER, password: USER_PASSWORD })
  await change(url, admin, 'POST', '/projects', { name: PROJECT })
  await change(url, admin, 'PUT', `/projects/${PROJECT}/members/users/${USER}`, { role: 'developer' })
  const key = await change(url, basic(USER, USER_PASSWORD), 'POST', '/me/keys', { name: 'bench' })
  return basic(USER, String(key['secret']))
}

function basic(name: string, password: string): Headers {
  return { authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` }
}

async function change(
  url: string,
  headers: Headers,
  method: string,
  path: string,
  body: object,
): Promise<Record<string, unknown>> {
  const reply = await fetch(`${url}/api/v1${path}`, {
    method,
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const text = await reply.text()
  if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${text}`)
  return text === '' ? {} : JSON.parse(text)
}

/** A million memberships go into the database while nobody serves it. */
async function filled(server: RegistryServer, sizes: AccessSizes): Promise<RegistryServer> {
  await server.process.stop()
  const db = await openSqlite({ path: join(server.folder, 'data', 'stowage', 'registry.sqlite') })
  try {
    await fill(db, sizes)
  } finally {
    await db.close()
  }
  return restartRegistry(server)
}

async function fill(db: Db, { projects, members }: AccessSizes): Promise<void> {
  const now = Date.now()
  const edited = { created_at: now, updated_at: now }
  const named = (what: string, count: number) =>
    Array.from({ length: count }, (_, index) => ({ name: `${what}-${index}`, ...edited }))
  await inStatements(db, named('user', projects), (tx, rows) =>
    tx.kysely.insertInto('users').values(rows).execute(),
  )
  await inStatements(db, named('project', projects), (tx, rows) =>
    tx.kysely
      .insertInto('projects')
      .values(rows.map((row) => ({ ...row, visibility: 'private' as const })))
      .execute(),
  )
  const idsOf = async (table: 'users' | 'projects') =>
    (await db.kysely.selectFrom(table).select('id').where('name', 'like', '%-%').execute()).map(
      ({ id }) => id,
    )
  const [userIds, projectIds] = [await idsOf('users'), await idsOf('projects')]
  const ann = await db.kysely
    .selectFrom('users')
    .select('id')
    .where('name', '=', USER)
    .executeTakeFirstOrThrow()
  const memberships = projectIds.flatMap((project_id, index) =>
    Array.from({ length: members }, (_, at) => ({
      project_id,
      user_id: at === 0 && index < MEMBERSHIPS ? ann.id : (userIds[(index + at) % userIds.length] ?? ann.id),
      role: 'developer' as const,
    })),
  )
  await inStatements(db, memberships, (tx, rows) =>
    tx.kysely.insertInto('project_users').values(rows).execute(),
  )
}

async function inStatements<T>(
  db: Db,
  rows: readonly T[],
  insert: (tx: Transaction, rows: T[]) => Promise<unknown>,
): Promise<void> {
  for (let start = 0; start < rows.length; start += ROWS_PER_STATEMENT)
    await db.transaction((tx) => insert(tx, rows.slice(start, start + ROWS_PER_STATEMENT)), {
      durable: false,
    })
}
