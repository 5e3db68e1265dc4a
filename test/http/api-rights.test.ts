// `/api/v1`: each route of the table with each kind of caller. A route that is added is tried here by itself.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { hashPassword } from '#access/passwords/passwords.ts'
import { newSecret } from '#access/secrets.ts'
import { insertApiKey } from '#db/api-keys.ts'
import { findProject, insertProject, setUserRole } from '#db/projects.ts'
import { insertRobot } from '#db/robots.ts'
import { findUser, insertUser } from '#db/users.ts'
import type { ApiRoute, ContentNeeds, Needs } from '#http/api/route-table.ts'
import { API_ROUTES } from '#http/api/routes.ts'
import { ROLES } from '#identity/role.ts'
import { send, type Target } from './client.ts'
import { expectStatus, makeImage, pushImage } from './content.ts'
import { startServer, type TestServer } from './server.ts'

const PASSWORD = 'correct horse battery'
const EVERYTHING = JSON.stringify([{ repository: '**', rights: ['pull', 'push', 'overwrite', 'delete'] }])
const TEAM_PULL = JSON.stringify([{ repository: 'team/**', rights: ['pull'] }])

/** Everybody who tries: each role in the project `team`, its robot, its owner's keys, those of another project, and nobody. */
const PEOPLE = [
  'admin',
  'auditor',
  'owner',
  'maintainer',
  'developer',
  'guest',
  'stranger',
  'foreign',
] as const
const MACHINES = ['robot', 'foreign robot', 'whole key', 'narrowed key', 'admin key for pulls'] as const
type Who = (typeof PEOPLE)[number] | (typeof MACHINES)[number] | 'anonymous'

/** Who comes in by each need, in the private project `team`. */
const LET_IN: Record<Needs | ContentNeeds, readonly Who[]> = {
  person: [...PEOPLE, 'whole key'],
  founder: ['admin'],
  auditor: ['admin', 'auditor'],
  admin: ['admin'],
  reader: ['admin', 'owner', 'maintainer', 'developer', 'guest', 'whole key'],
  member: ['admin', 'owner', 'maintainer', 'developer', 'guest', 'whole key'],
  maintainer: ['admin', 'owner', 'maintainer', 'whole key'],
  owner: ['admin', 'owner', 'whole key'],
  visitor: [...PEOPLE, ...MACHINES],
  pull: [
    ...(['admin', 'auditor', 'owner', 'maintainer', 'developer', 'guest'] as const),
    ...(['robot', 'whole key', 'narrowed key', 'admin key for pulls'] as const),
  ],
  delete: ['admin', 'owner', 'maintainer', 'robot', 'whole key'],
  overseer: ['admin', 'auditor'],
  operator: ['admin'],
}

let server: TestServer

/** Name and secret of everybody but `anonymous`. */
const logins = new Map<Who, readonly [string, string]>(PEOPLE.map((name) => [name, [name, PASSWORD]]))

function targetOf(who: Who): Target {
  const login = logins.get(who)
  if (!login) return { port: server.port }
  const basic = Buffer.from(login.join(':')).toString('base64')
  return { port: server.port, headers: { Authorization: `Basic ${basic}` } }
}

before(async () => {
  server = await startServer({
    adminPassword: PASSWORD,
    env: { REGISTRY_AUTH: 'stowage', REGISTRY_STORAGE_DELETE_ENABLED: 'true' },
  })
  const { db } = server.app.registry
  const passwordHash = await hashPassword(PASSWORD)
  const now = Date.now()
  await db.transaction(async (tx) => {
    const idOf = async (name: string) => (await findUser(tx, name))?.id ?? 0
    for (const name of PEOPLE) {
      const systemRole = name === 'auditor' ? name : null
      if (name !== 'admin') await insertUser(tx, { name, passwordHash, systemRole, now })
    }
    for (const name of ['team', 'other']) {
      await insertProject(tx, { name, visibility: 'private', now })
      const projectId = (await findProject(tx, name))?.id ?? 0
      const secret = newSecret('robot')
      logins.set(name === 'team' ? 'robot' : 'foreign robot', [`${name}+ci`, secret.text])
      const robot = { projectId, name: `${name}+ci`, secretHash: secret.hash, permissions: EVERYTHING }
      await insertRobot(tx, { ...robot, expiresAt: null, now })
      if (name === 'other') await setUserRole(tx, { projectId, userId: await idOf('foreign'), role: 'owner' })
      else for (const role of ROLES) await setUserRole(tx, { projectId, userId: await idOf(role), role })
    }
    for (const [who, name, permissions] of [
      ['whole key', 'owner', null],
      ['narrowed key', 'owner', TEAM_PULL],
      ['admin key for pulls', 'admin', TEAM_PULL],
    ] as const) {
      const secret = newSecret('key')
      logins.set(who, [name, secret.text])
      const key = { name: who, userId: await idOf(name), secretHash: secret.hash, permissions }
      await insertApiKey(tx, { ...key, expiresAt: null, now })
    }
  })
  // With content nobody can delete the project, and who is let in sees that.
  await pushImage(targetOf('admin'), 'team/app', '1', makeImage())
})
after(() => server[Symbol.asyncDispose]())

/** Names that do not exist: who is let in changes nothing, and sees that. */
function addressOf({ path }: ApiRoute): string {
  return `/api/v1${path}`
    .replace(':project', 'team')
    .replace(':repository', encodeURIComponent('team/no-such-name'))
    .replace(':kind', 'users')
    .replaceAll(/:\w+/g, 'no-such-name')
}

function expected({ needs, method }: ApiRoute): ReadonlySet<Who> {
  // An auditor reads everything.
  return new Set(method === 'GET' ? [...LET_IN[needs], 'auditor'] : LET_IN[needs])
}

describe('each route lets in whom its row names, and nobody else (CVE-2019-12825, CVE-2019-19023, CVE-2022-31666 and those after it, CVE-2024-22278)', () => {
  for (const row of API_ROUTES) {
    test(`${row.method} ${row.path}`, async () => {
      const { method } = row
      // A body that no schema takes.
      const body = row.body ? JSON.stringify({ surely: 'unknown' }) : undefined
      const headers = { ...(body && { 'Content-Type': 'application/json' }) }
      const wrong: string[] = []
      for (const who of [...PEOPLE, ...MACHINES, 'anonymous'] as const) {
        const answer = await send(targetOf(who), method, addressOf(row), { headers, body })
        const isLetIn = answer.status !== 403 && answer.status !== 401
        if (isLetIn !== expected(row).has(who)) wrong.push(`${who}: ${answer.status}`)
        if (isLetIn) continue
        expectStatus(answer, who === 'anonymous' ? 401 : 403)
        if (who === 'anonymous') assert.match(String(answer.headers['www-authenticate']), /^Basic /)
      }
      assert.deepEqual(wrong, [])
    })
  }
})

test('a route that asks how one stands in a project or a repository names it', () => {
  for (const { path, needs } of API_ROUTES) {
    if (['reader', 'member', 'maintainer', 'owner'].includes(needs)) assert.match(path, /:project\b/)
    if (needs === 'pull' || needs === 'delete') assert.match(path, /:repository\b/)
  }
})
