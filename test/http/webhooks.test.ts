// Webhooks of projects: what they are told, in which order, how it is signed, and what happens while nobody is there.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { sql } from 'kysely'
import { json, send, type Target } from './client.ts'
import { expectStatus, type Image, makeImage, pushImage } from './content.ts'
import { type Managed, startManaged } from './people.ts'

const WAIT_MS_MAX = 15_000
const SECRET = 'a secret of sixteen letters'

interface Request {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly status: number
}

class Receiver {
  readonly requests: Request[] = []
  answer: (path: string, body: string) => number = () => 204
  readonly #server: Server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const [path, body] = [request.url ?? '', Buffer.concat(chunks).toString()]
    const status = this.answer(path, body)
    this.requests.push({ path, headers: request.headers, body, status })
    response.writeHead(status, status === 302 ? { Location: 'http://127.0.0.1:1/' } : {})
    response.end(status === 204 ? undefined : 'x'.repeat(100_000))
  })
  #port = 0

  async up(): Promise<this> {
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = (this.#server.address() as AddressInfo).port
    return this
  }

  async down(): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.#port}${path}`
  }

  /** What came to a path and was taken, but for pings. */
  taken(path: string): { readonly headers: IncomingHttpHeaders; readonly event: Record<string, unknown> }[] {
    return this.requests
      .filter(
        (request) =>
          request.path === path && request.status < 300 && request.headers['stowage-event'] !== 'ping',
      )
      .map(({ headers, body }) => ({ headers, event: JSON.parse(body) as Record<string, unknown> }))
  }
}

let managed: Managed
let admin: Target
const receiver = new Receiver()
before(async () => {
  await receiver.up()
  managed = await startManaged({ onDisk: true, env: { REGISTRY_OUTBOUND_ALLOW: '127.0.0.1' } })
  admin = managed.as('admin')
})
after(async () => {
  await managed[Symbol.asyncDispose]()
  await receiver.down()
})

async function until<T>(what: string, look: () => Promise<T | undefined> | T | undefined): Promise<T> {
  const deadline = performance.now() + WAIT_MS_MAX
  for (;;) {
    const seen = await look()
    if (seen !== undefined) return seen
    assert.ok(performance.now() < deadline, `${what} did not come about`)
    await wait(20)
  }
}

/** Makes a webhook and waits for its ping: from then on it is told. */
async function webhook(project: string, name: string, more: object = {}): Promise<string> {
  const path = `/${project}/${name}`
  await managed.manage('POST', `/projects/${project}/webhooks`, { name, url: receiver.url(path), ...more })
  await until('the ping', () => receiver.requests.find((request) => request.path === path))
  return path
}

const deliveries = async (project: string, name: string, state = '') =>
  (
    await managed.manage(
      'GET',
      `/projects/${project}/webhooks/${name}/deliveries${state && `?state=${state}`}`,
    )
  )['items'] as Record<string, unknown>[]

/** Whoever waits for his next turn has it now. */
async function skipPauses(): Promise<void> {
  await managed.server.app.registry.db.transaction(({ kysely }) =>
    kysely.updateTable('webhook_lanes').set({ next_at: 0 }).execute(),
  )
}

const push = async (repository: string, tag: string, image: Image = makeImage()) => {
  await pushImage(admin, repository, tag, image)
  return image
}

describe('a webhook', () => {
  test('is told of pushes of its project in the form of CloudEvents, signed, with its headers', async () => {
    for (const project of ['team', 'other']) await managed.project(project)
    const path = await webhook('team', 'ci', { secret: SECRET, headers: { Authorization: 'Bearer of-ours' } })
    await push('other/app', 'v1')
    const image = await push('team/app', 'v1')
    await until('the push', () => receiver.taken(path)[0])
    const [told] = receiver.taken(path)
    assert.partialDeepStrictEqual(told?.event, {
      specversion: '1.0',
      type: 'io.stowage.manifest.pushed',
      subject: 'team/app:v1',
      data: { repository: 'team/app', tag: 'v1', digest: image.manifest.digest, actor: 'admin' },
    })
    assert.equal(told?.headers['content-type'], 'application/cloudevents+json; charset=utf-8')
    assert.equal(told?.headers['authorization'], 'Bearer of-ours')
    const request = receiver.requests.find(({ headers }) => headers['stowage-event'] === 'manifest.pushed')
    const [, at, mac] =
      /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(request?.headers['stowage-signature'])) ?? []
    assert.equal(mac, createHmac('sha256', SECRET).update(`${at}.${request?.body}`).digest('hex'))
    assert.ok(Math.abs(Date.now() / 1_000 - Number(at)) < 60)
    assert.ok(receiver.taken(path).every(({ event }) => String(event['subject']).startsWith('team/')))
  })

  test('is told what registry:2 would tell, where that is asked for', async () => {
    await managed.project('old')
    const path = await webhook('old', 'two', { format: 'registry' })
    const image = await push('old/app', 'v1')
    await until('the push', () => receiver.taken(path)[0])
    const [told] = receiver.taken(path)
    assert.ok(told)
    const { events } = told.event as { events?: Record<string, unknown>[] }
    assert.partialDeepStrictEqual(events?.[0], {
      action: 'push',
      target: { repository: 'old/app', tag: 'v1', digest: image.manifest.digest },
      actor: { name: 'admin' },
    })
  })

  test('hears of the kinds and repositories that it asked for, pulls among them', async () => {
    await managed.project('some')
    const path = await webhook('some', 'pulls', {
      kinds: ['manifest.pulled', 'tag.deleted'],
      repository: 'some/a*',
    })
    for (const name of ['some/app', 'some/base']) await push(name, 'v1')
    for (const name of ['some/app', 'some/base'])
      expectStatus(await send(admin, 'GET', `/v2/${name}/manifests/v1`), 200)
    await until('the pull', () => receiver.taken(path)[0])
    for (const name of ['some/app', 'some/base'])
      expectStatus(await send(admin, 'DELETE', `/v2/${name}/manifests/v1`), 202)
    await until('the delete', () => (receiver.taken(path).length >= 2 ? true : undefined))
    assert.deepEqual(
      receiver.taken(path).map(({ event }) => [event['type'], event['subject']]),
      [
        ['io.stowage.manifest.pulled', 'some/app:v1'],
        ['io.stowage.tag.deleted', 'some/app:v1'],
      ],
    )
  })

  test('gives out neither headers nor secret, keeps those that are left out, and forgets what is set to null', async () => {
    await managed.project('quiet')
    await webhook('quiet', 'h', { secret: SECRET, headers: { 'X-Key': 'hush hush' } })
    const path = '/projects/quiet/webhooks/h'
    const body = { url: receiver.url('/quiet/h2') }
    await managed.manage('PUT', path, body)
    const answer = await managed.call('GET', path)
    assert.partialDeepStrictEqual(json(answer), { headerNames: ['X-Key'], signed: true, version: 2 })
    await managed.manage('POST', `${path}/ping`)
    const ping = await until('the ping', () =>
      receiver.requests.find((request) => request.path === '/quiet/h2'),
    )
    assert.equal(ping.headers['x-key'], 'hush hush')
    await managed.manage('PUT', path, { ...body, secret: null, headers: {} })
    assert.partialDeepStrictEqual(await managed.manage('GET', path), { headerNames: [], signed: false })
    const audit = JSON.stringify(await managed.manage('GET', '/audit?limit=100'))
    for (const text of [answer.body.toString(), audit, JSON.stringify(managed.server.log.lines)])
      for (const secret of [SECRET, 'hush hush']) assert.ok(!text.includes(secret))
  })
})

describe('a receiver', () => {
  test('that does not take something is told it again, in order, and the other repositories do not wait', async () => {
    await managed.project('order')
    const path = await webhook('order', 'ci')
    receiver.answer = (where, body) => (where === path && body.includes('order/slow') ? 500 : 204)
    for (const tag of ['1', '2', '3']) await push('order/slow', tag)
    await push('order/fast', '1')
    await until('the other repository', () => receiver.taken(path)[0])
    await until('a failure', () =>
      receiver.requests.find((request) => request.path === path && request.status === 500),
    )
    assert.deepEqual(
      receiver.taken(path).map(({ event }) => event['subject']),
      ['order/fast:1'],
    )
    const waiting = await until('the answer in the list', async () =>
      (await deliveries('order', 'ci', 'pending')).find(({ error }) => error !== null),
    )
    assert.partialDeepStrictEqual(waiting, { state: 'pending', status: 500, error: 'it answers 500' })
    receiver.answer = () => 204
    await until('the rest', async () => {
      await skipPauses()
      return receiver.taken(path).length >= 4 ? true : undefined
    })
    assert.deepEqual(
      receiver.taken(path).map(({ event }) => event['subject']),
      ['order/fast:1', 'order/slow:1', 'order/slow:2', 'order/slow:3'],
    )
    assert.equal((await deliveries('order', 'ci', 'pending')).length, 0)
  })

  test('that is away loses nothing, also through a restart of the registry', async () => {
    await managed.project('away')
    const path = await webhook('away', 'ci')
    await receiver.down()
    for (const tag of ['1', '2']) await push('away/app', tag)
    await until('a failure', async () =>
      (await deliveries('away', 'ci', 'pending')).find(({ error }) => error !== null),
    )
    await managed.server.restart()
    await push('away/app', '3')
    await receiver.up()
    await until('all of it', async () => {
      await skipPauses()
      return receiver.taken(path).length >= 3 ? true : undefined
    })
    assert.deepEqual(
      receiver.taken(path).map(({ event }) => event['subject']),
      ['1', '2', '3'].map((tag) => `away/app:${tag}`),
    )
  })

  test('that never takes it: the delivery is dead, the next ones go on, and it can be replayed', async () => {
    await managed.project('dead')
    const path = await webhook('dead', 'ci')
    receiver.answer = (where, body) => (where === path && body.includes('dead/app:1"') ? 302 : 204)
    await push('dead/app', '1')
    const { id } = await until('a failure', async () =>
      (await deliveries('dead', 'ci', 'pending')).find(({ error }) => error !== null),
    )
    // As if that had been long ago.
    await managed.server.app.registry.db.transaction(({ kysely }) =>
      kysely
        .updateTable('webhook_deliveries')
        .set({ first_tried_at: 1 })
        .where('id', '=', Number(id))
        .execute(),
    )
    await push('dead/app', '2')
    await until('the next', async () => {
      await skipPauses()
      return receiver.taken(path)[0]
    })
    assert.deepEqual(
      receiver.taken(path).map(({ event }) => event['subject']),
      ['dead/app:2'],
    )
    const [dead] = await deliveries('dead', 'ci', 'dead')
    assert.partialDeepStrictEqual(dead, { id, state: 'dead', status: 302 })
    receiver.answer = () => 204
    const base = '/projects/dead/webhooks/ci'
    assert.deepEqual(await managed.manage('POST', `${base}/deliveries/${id}/replay`), { replayed: 1 })
    await until('the replay', () => (receiver.taken(path).length === 2 ? true : undefined))
    expectStatus(await managed.call('POST', `${base}/deliveries/${id}/replay`), 404)
    assert.deepEqual(await managed.manage('POST', `${base}/replay`), { replayed: 0 })
  })

  test('of a webhook that is disabled hears nothing; what waited is told when it is enabled again', async () => {
    await managed.project('pause')
    const path = await webhook('pause', 'ci')
    receiver.answer = (where) => (where === path ? 500 : 204)
    await push('pause/app', '1')
    await until('a failure', async () =>
      (await deliveries('pause', 'ci', 'pending')).find(({ error }) => error !== null),
    )
    const input = { url: receiver.url(path) }
    await managed.manage('PUT', '/projects/pause/webhooks/ci', { ...input, disabled: true })
    receiver.answer = () => 204
    await push('pause/app', '2')
    await skipPauses()
    await wait(1_500)
    assert.equal(receiver.taken(path).length, 0)
    await managed.manage('PUT', '/projects/pause/webhooks/ci', { ...input, disabled: false })
    await until('what waited', () => receiver.taken(path)[0])
    await push('pause/app', '3')
    await until('the next push', () => (receiver.taken(path).length === 2 ? true : undefined))
    assert.deepEqual(
      receiver.taken(path).map(({ event }) => event['subject']),
      ['pause/app:1', 'pause/app:3'],
    )
  })
})

describe('an address', () => {
  test('inside is refused when it is given (CVE-2020-13788, CVE-2026-32591)', async () => {
    await managed.project('inside')
    for (const url of [
      'http://169.254.169.254/latest/meta-data/',
      'https://10.0.0.1/',
      'https://[::1]/',
      'http://example.com/',
      'https://user:password@example.com/',
      'ftp://example.com/',
      'nonsense',
    ]) {
      const answer = await managed.call('POST', '/projects/inside/webhooks', { name: 'x', url })
      expectStatus(answer, 400)
    }
    assert.deepEqual((await managed.manage('GET', '/projects/inside/webhooks'))['items'], [])
  })

  test('is known to maintainers of the project alone', async () => {
    await managed.users('mia', 'dev')
    await managed.project('roles', { mia: 'maintainer', dev: 'developer' })
    const body = { name: 'ci', url: receiver.url('/roles/ci') }
    expectStatus(await managed.call('POST', '/projects/roles/webhooks', body, managed.as('dev')), 403)
    expectStatus(await managed.call('POST', '/projects/roles/webhooks', body, managed.as('mia')), 201)
    expectStatus(
      await managed.call('GET', '/projects/roles/webhooks/ci/deliveries', undefined, managed.as('dev')),
      403,
    )
  })
})

test('a project that is deleted takes its webhooks along, and events are kept for nobody', async () => {
  const { db } = managed.server.app.registry
  for (const name of [
    'team',
    'other',
    'old',
    'some',
    'quiet',
    'order',
    'away',
    'dead',
    'pause',
    'inside',
    'roles',
  ]) {
    await db.transaction(({ kysely }) => kysely.deleteFrom('projects').where('name', '=', name).execute())
  }
  for (const table of ['webhooks', 'webhook_deliveries', 'webhook_lanes'] as const) {
    const { rows } = await sql`select 1 from ${sql.table(table)}`.execute(db.kysely)
    assert.equal(rows.length, 0, table)
  }
  await until('the end of the cursor', async () =>
    (await db.kysely.selectFrom('cursors').select('name').where('name', '=', 'webhooks').execute()).length ===
    0
      ? true
      : undefined,
  )
})
