// Users, keys, tokens and projects at several processes: what one was told holds at all of them, at once or within two seconds.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { json, send, type Target } from '../http/client.ts'
import { expectStatus, makeImage, pushImage } from '../http/content.ts'
import { type PostgresServer, postgresAbsent, startPostgres } from '../processes/postgres-server.ts'
import { type RegistryServer, removeRegistry, startRegistry } from '../processes/registry-server.ts'
import { gatewayIsMissing, S3Gateway } from '../processes/s3-gateway.ts'

const ADMIN = 'the first and only one'
const PASSWORD = 'correct horse battery'
const WORKERS = 3
/** Connections are dealt out by chance: so many come to every worker but once in thousands of runs. */
const ROUNDS = 10 * WORKERS
/** What a lost signal costs, and the time of a busy machine. */
const BOUND_MS = 8_000

interface Registry {
  /** Targets that together reach every process. */
  readonly everywhere: readonly Target[]
  close(): Promise<void>
}

const env = { STOWAGE_ADMIN_PASSWORD: ADMIN }
const auth = { stowage: {} }
const targetOf = ({ host }: RegistryServer): Target => ({ port: Number(host.split(':')[1]) })

async function workers(): Promise<Registry> {
  const server = await startRegistry('stowage', { env, http: { workers: WORKERS }, config: { auth } })
  return {
    everywhere: Array.from({ length: ROUNDS }, () => targetOf(server)),
    close: () => removeRegistry(server),
  }
}

async function servers(): Promise<Registry> {
  const postgres: PostgresServer = await startPostgres()
  const gateway = await S3Gateway.start()
  const database = { url: await postgres.createDatabase() }
  const storage = { s3: gateway.storageConfig(gateway.newBucket()), redirect: { disable: true } }
  const config = { auth, database, storage }
  const started = [
    await startRegistry('stowage', { env, config, http: { secret: 'shared' } }),
    await startRegistry('stowage', { config, http: { secret: 'shared' } }),
  ]
  return {
    everywhere: started.map(targetOf),
    async close() {
      for (const server of started) await removeRegistry(server)
      await gateway.stop()
      await postgres.remove()
    },
  }
}

for (const [name, open, skip] of [
  ['workers on SQLite', workers, false],
  ['servers on PostgreSQL and a bucket', servers, postgresAbsent() || gatewayIsMissing()],
] as const)
  describe(`access at ${name}`, { skip }, () => {
    let registry: Registry
    before(async () => {
      registry = await open()
      await manage('POST', '/projects', { name: 'team' })
    })
    after(() => registry.close())

    const basic = (user: string, password: string) => ({
      Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
    })
    const first = (): Target => {
      const [target] = registry.everywhere
      assert.ok(target)
      return target
    }
    const manage = async (method: string, path: string, body?: object, user = basic('admin', ADMIN)) => {
      const answer = await send(first(), method, `/api/v1${path}`, {
        headers: { ...user, ...(body && { 'Content-Type': 'application/json' }) },
        ...(body && { body: JSON.stringify(body) }),
      })
      assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${answer.body}`)
      return answer.body.length === 0 ? {} : (json(answer) as Record<string, unknown>)
    }
    const member = async (user: string) => {
      await manage('POST', '/users', { name: user, password: PASSWORD })
      await manage('PUT', `/projects/team/members/users/${user}`, { role: 'developer' })
    }
    const token = async (target: Target, user: Record<string, string>, scope: string) => {
      const answer = await send(target, 'GET', `/token?service=stowage&scope=${scope}`, { headers: user })
      expectStatus(answer, 200)
      return { Authorization: `Bearer ${(json(answer) as { token: string }).token}` }
    }
    /** Of a request with these credentials, at every process. */
    const statuses = async (headers: Record<string, string>, path = '/v2/') => {
      const seen: number[] = []
      for (const target of registry.everywhere)
        seen.push((await send(target, 'GET', path, { headers })).status)
      return [...new Set(seen)]
    }
    const within = async (wanted: number, headers: Record<string, string>, path?: string) => {
      const deadline = performance.now() + BOUND_MS
      for (;;) {
        const seen = await statuses(headers, path)
        if (seen.length === 1 && seen[0] === wanted) return
        assert.ok(performance.now() < deadline, `${seen.join()} instead of ${wanted} everywhere`)
        await wait(100)
      }
    }

    test('a token of one is good at all others at once', async () => {
      await member('ann')
      for (const target of registry.everywhere.slice(0, 4)) {
        const bearer = await token(target, basic('ann', PASSWORD), 'repository:team/app:pull')
        assert.deepEqual(await statuses(bearer), [200])
      }
    })

    test('a password, a role and a user that are taken away are gone at once', async () => {
      await member('bob')
      const bob = basic('bob', PASSWORD)
      await pushImage({ ...first(), headers: basic('admin', ADMIN) }, 'team/app', 'v1', makeImage())
      const path = '/v2/team/app/tags/list'
      assert.deepEqual(await statuses(bob, path), [200])
      await manage('DELETE', '/projects/team/members/users/bob')
      assert.deepEqual(await statuses(bob, path), [403])
      const other = 'another horse battery'
      await manage('PUT', '/me/password', { current: PASSWORD, password: other }, bob)
      assert.deepEqual(await statuses(basic('bob', other)), [200])
      assert.deepEqual(await statuses(bob, '/v2/'), registry.everywhere.length > 5 ? [401, 429] : [401])
      await manage('PATCH', '/users/bob', { disabled: true })
      assert.ok(!(await statuses(basic('bob', other))).includes(200))
    })

    test('an API key and the secret of a robot that are taken away are gone at once', async () => {
      await member('cat')
      const cat = basic('cat', PASSWORD)
      const key = await manage('POST', '/me/keys', { name: 'laptop' }, cat)
      const withKey = basic('cat', String(key['secret']))
      const robot = await manage('POST', '/projects/team/robots', {
        name: 'ci',
        permissions: [{ repository: 'team/**', rights: ['pull'] }],
      })
      const asRobot = basic('team+ci', String(robot['secret']))
      for (const headers of [withKey, asRobot]) assert.deepEqual(await statuses(headers), [200])
      await manage('DELETE', '/me/keys/laptop', undefined, cat)
      await manage('DELETE', `/projects/team/robots/${encodeURIComponent('team+ci')}`)
      for (const headers of [withKey, asRobot]) assert.ok(!(await statuses(headers)).includes(200))
    })

    test('a token from before its project was deleted is refused everywhere within seconds (Harbor #22900)', async () => {
      await manage('POST', '/projects', { name: 'passing' })
      const bearer = await token(first(), basic('admin', ADMIN), 'repository:passing/app:pull,push')
      const path = '/v2/passing/app/tags/list'
      assert.deepEqual(await statuses(bearer, path), [404])
      await manage('DELETE', '/projects/passing')
      await manage('POST', '/projects', { name: 'passing' })
      await within(401, bearer, path)
    })

    test('who fails at one has to wait at the others', async () => {
      await member('dan')
      const deadline = performance.now() + BOUND_MS
      for (let round = 1; ; round++) {
        for (let failure = 0; failure < 8; failure++)
          await send(first(), 'GET', '/token', { headers: basic('dan', `wrong ${round} ${failure}`) })
        // A login that is right before the others have heard of it ends what they know of those that were wrong.
        await wait(200 * round)
        const seen = await statuses(basic('dan', PASSWORD), '/token')
        if (seen.length === 1 && seen[0] === 429) return
        assert.ok(performance.now() < deadline, `${seen.join()} instead of 429 everywhere`)
      }
    })
  })
