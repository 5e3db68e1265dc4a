// `/api/v1` about content: repositories, tags, manifests, the system; with users and without.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from '#oci/media-types.ts'
import { isOnPostgres } from '../processes/test-database.ts'
import { type Answer, json, send, type Target } from './client.ts'
import {
  type Content,
  contentOf,
  descriptorOf,
  expectStatus,
  type Image,
  LAYER,
  makeImage,
  makeIndex,
  pushBlob,
  pushImage,
  putManifest,
} from './content.ts'
import { startServer, type TestServer } from './server.ts'

const PASSWORD = 'correct horse battery'
let server: TestServer

interface Repository {
  readonly name: string
  readonly project: string
  readonly size: number
  readonly tags: number
  readonly manifests: number
  readonly pushedAt: string | null
  readonly pulledAt: string | null
}

interface TagView {
  readonly name: string
  readonly digest: string
  readonly size: number
  readonly platforms: string[]
  readonly pulledAt: string | null
}

const basic = (user: string, port = server.port): Target => ({
  port,
  headers: { Authorization: `Basic ${Buffer.from(`${user}:${PASSWORD}`).toString('base64')}` },
})
const admin = () => basic('admin')
const anonymous = (): Target => ({ port: server.port })

async function call(target: Target, method: string, path: string, body?: unknown): Promise<Answer> {
  return send(target, method, `/api/v1${path}`, {
    headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
}

async function pages<T>(target: Target, path: string): Promise<T[]> {
  const items: T[] = []
  for (let next: string | undefined = path; next; ) {
    const answer: Answer = await call(target, 'GET', next)
    expectStatus(answer, 200)
    items.push(...(json(answer) as { items: T[] }).items)
    next = /<\/api\/v1([^>]+)>; rel="next"/.exec(String(answer.headers.link))?.[1]
  }
  return items
}

const CONFIG = contentOf(
  JSON.stringify({
    os: 'linux',
    architecture: 'arm64',
    config: { Env: ['PATH=/bin'] },
    history: [{ created_by: 'RUN true', empty_layer: true }],
    rootfs: { type: 'layers', diff_ids: [] },
  }),
)

function imageOf({ config, layers }: { config: Content; layers: readonly Content[] }): Image {
  const manifest = contentOf(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: descriptorOf(config, OCI_CONFIG),
      layers: layers.map((layer) => descriptorOf(layer, LAYER)),
    }),
  )
  return { config, layers, manifest }
}

const namesOf = (items: readonly { name: string }[]) => items.map(({ name }) => name)
const at = (repository: string) => `/repositories/${encodeURIComponent(repository)}`

before(async () => {
  server = await startServer({ adminPassword: PASSWORD, env: { REGISTRY_AUTH: 'stowage' }, onDisk: true })
  for (const name of ['ann', 'bob'])
    expectStatus(await call(admin(), 'POST', '/users', { name, password: PASSWORD }), 201)
  for (const [name, visibility] of [
    ['team', 'private'],
    ['open', 'public'],
  ])
    expectStatus(await call(admin(), 'POST', '/projects', { name, visibility }), 201)
  expectStatus(await call(admin(), 'PUT', '/projects/team/members/users/ann', { role: 'maintainer' }), 200)
  await pushImage(admin(), 'team/a_b', '1', makeImage())
  await pushImage(admin(), 'team/axb', '1', makeImage())
  await pushImage(admin(), 'team/axb', '2', makeImage())
  await pushImage(admin(), 'open/app', 'latest', makeImage())
  await pushBlob(admin(), 'open/app', contentOf('x'.repeat(50_000)))
})
after(() => server[Symbol.asyncDispose]())

describe('repositories', () => {
  test('are listed as far as somebody may pull; without a login one is asked for, but what is public is shown', async () => {
    assert.deepEqual(namesOf(await pages(admin(), '/repositories')), ['open/app', 'team/a_b', 'team/axb'])
    assert.deepEqual(namesOf(await pages(basic('ann'), '/repositories')), [
      'open/app',
      'team/a_b',
      'team/axb',
    ])
    assert.deepEqual(namesOf(await pages(basic('bob'), '/repositories')), ['open/app'])
    expectStatus(await call(anonymous(), 'GET', '/repositories'), 401)
    expectStatus(await call(anonymous(), 'GET', at('open/app')), 200)
  })

  test('are shown with size, number of tags, and when something was pushed and pulled', async () => {
    expectStatus(await send(admin(), 'GET', '/v2/team/axb/manifests/2'), 200)
    await server.app.registry.reads.flush()
    const [axb] = (await pages<Repository>(admin(), '/repositories?name=axb')) as [Repository]
    assert.deepEqual([axb.project, axb.tags, axb.manifests], ['team', 2, 2])
    assert.ok(axb.size > 0 && axb.pushedAt)
    const alone = json(await call(admin(), 'GET', at('team/axb'))) as Repository
    assert.deepEqual({ ...alone, pulledAt: null }, { ...axb, pulledAt: null })
  })

  test('are sorted and filtered by what is allowed, compared exactly, page by page (CVE-2026-110697)', async () => {
    const list = async (query: string) => namesOf(await pages(admin(), `/repositories?${query}`))
    for (const limit of [1, 2, 10]) {
      assert.deepEqual(await list(`sort=-name&limit=${limit}`), ['team/axb', 'team/a_b', 'open/app'])
      assert.equal((await list(`sort=-size&limit=${limit}`))[0], 'open/app')
      assert.equal((await list(`sort=size&limit=${limit}`))[2], 'open/app')
      assert.equal((await list(`sort=-tags&limit=${limit}`))[0], 'team/axb')
      assert.deepEqual(await list(`sort=pushedAt&limit=${limit}`), ['team/a_b', 'team/axb', 'open/app'])
    }
    assert.deepEqual(await list('name=a_b'), ['team/a_b'])
    assert.deepEqual(await list('name=%25'), [])
    assert.deepEqual(await list('project=team'), ['team/a_b', 'team/axb'])
    assert.deepEqual(await list('project=te_m'), [])
  })

  test('can be asked for nothing else (CVE-2019-19026, CVE-2025-30086)', async () => {
    const cursors = ['after=x', `after=${Buffer.from('["a"]').toString('base64url')}`, 'after=%00']
    for (const query of ['sort=created_at', 'sort=size,name', 'q=x', 'size=3', 'name=', ...cursors])
      expectStatus(await call(admin(), 'GET', `/repositories?${query}`), 400)
  })

  test('tell nobody who may not pull whether they exist (CVE-2019-19030)', async () => {
    for (const name of ['team/axb', 'team/none', 'nowhere/none']) {
      for (const path of [at(name), `${at(name)}/tags`, `${at(name)}/manifests/1`]) {
        expectStatus(await call(basic('bob'), 'GET', path), 403)
        expectStatus(await call(anonymous(), 'GET', path), 401)
      }
    }
    expectStatus(await call(basic('ann'), 'GET', at('team/none')), 404)
    for (const name of ['UPPER/x', '..%2F..', '%00', 'a//b'])
      expectStatus(await call(admin(), 'GET', `/repositories/${encodeURIComponent(name)}`), 400)
  })
})

describe('tags and manifests', () => {
  test('tags have sizes, times, digest and platforms, sorted and filtered by what is allowed', async () => {
    const image = imageOf({ config: CONFIG, layers: [contentOf('layer')] })
    await pushImage(admin(), 'team/multi', 'arm', image)
    const platform = { os: 'linux', architecture: 'arm64', variant: 'v8' }
    const index = makeIndex([{ ...descriptorOf(image.manifest, OCI_MANIFEST), platform }])
    expectStatus(await putManifest(admin(), 'team/multi', 'all', index.bytes, OCI_INDEX), 201)
    const tags = await pages<TagView>(admin(), `${at('team/multi')}/tags?limit=1`)
    assert.deepEqual(
      tags.map(({ name, platforms }) => [name, platforms]),
      [
        ['all', ['linux/arm64/v8']],
        ['arm', ['linux/arm64']],
      ],
    )
    const [all, arm] = tags as [TagView, TagView]
    const parts = [image.config, ...image.layers, image.manifest]
    const bytes = parts.reduce((sum, content) => sum + content.bytes.length, 0)
    assert.equal(arm.size, bytes)
    assert.equal(all.size, bytes + index.bytes.length)
    const list = async (query: string) => namesOf(await pages(admin(), `${at('team/multi')}/tags?${query}`))
    assert.deepEqual(await list('sort=-name'), ['arm', 'all'])
    assert.deepEqual(await list('sort=-pushedAt&limit=1'), ['all', 'arm'])
    assert.deepEqual(await list(`digest=${encodeURIComponent(arm.digest)}`), ['arm'])
    assert.deepEqual(await list('name=r_'), [])
    for (const query of ['sort=digest', 'limit=101', 'digest='])
      expectStatus(await call(admin(), 'GET', `${at('team/multi')}/tags?${query}`), 400)
  })

  test('a manifest shows its parts, and what the config of an image says', async () => {
    const answer = await call(admin(), 'GET', `${at('team/multi')}/manifests/arm`)
    expectStatus(answer, 200)
    const shown = json(answer) as {
      tags: string[]
      layers: unknown[]
      config: { size: number }
      image: { environment: string[]; history: unknown[] }
    }
    assert.deepEqual(shown.tags, ['arm'])
    assert.deepEqual([shown.layers.length, shown.config.size], [1, CONFIG.bytes.length])
    assert.deepEqual(shown.image.environment, ['PATH=/bin'])
    assert.deepEqual(shown.image.history, [
      { created: null, createdBy: 'RUN true', comment: null, emptyLayer: true },
    ])
    expectStatus(await call(admin(), 'GET', `${at('team/multi')}/manifests/none`), 404)
    expectStatus(await call(admin(), 'GET', `${at('team/multi')}/manifests/sha256:x`), 400)
  })

  test('are deleted by who may delete: a tag, a manifest, a whole repository, which stays away after a restart', async () => {
    expectStatus(await call(basic('ann'), 'DELETE', `${at('team/axb')}/tags/2`), 204)
    expectStatus(await call(basic('ann'), 'DELETE', `${at('team/axb')}/tags/2`), 404)
    const [left] = await pages<TagView>(basic('ann'), `${at('team/axb')}/tags`)
    expectStatus(await call(basic('ann'), 'DELETE', `${at('team/axb')}/manifests/${left?.digest}`), 204)
    assert.deepEqual(await pages(basic('ann'), `${at('team/axb')}/tags`), [])
    expectStatus(await call(basic('bob'), 'DELETE', at('team/multi')), 403)
    expectStatus(await call(basic('ann'), 'DELETE', at('team/multi')), 204)
    expectStatus(await call(basic('ann'), 'GET', at('team/multi')), 404)
    expectStatus(await send(admin(), 'GET', '/v2/team/multi/tags/list'), 404)
    await server.restart()
    await server.app.registry.reads.flush()
    assert.ok(!namesOf(await pages(admin(), '/repositories')).includes('team/multi'))
    await pushImage(admin(), 'team/multi', 'again', makeImage())
    assert.ok(namesOf(await pages(admin(), '/repositories')).includes('team/multi'))
  })
})

test('the system is shown to auditors and admins', async () => {
  const answer = await call(admin(), 'GET', '/system')
  expectStatus(answer, 200)
  const { engine, storage, totals } = json(answer) as {
    engine: string
    storage: string
    totals: { users: number }
  }
  assert.deepEqual([engine, storage, totals.users], [isOnPostgres() ? 'postgres' : 'sqlite', 'filesystem', 3])
  expectStatus(await call(basic('ann'), 'GET', '/system'), 403)
})

describe('without users of its own', () => {
  test('a registry that is open shows and deletes content to everybody, and has no management', async () => {
    await using open = await startServer()
    const target = { port: open.port }
    await pushImage(target, 'app', '1', makeImage())
    assert.deepEqual(namesOf(await pages(target, '/repositories?sort=-size')), ['app'])
    assert.deepEqual(namesOf(await pages(target, `${at('app')}/tags`)), ['1'])
    expectStatus(await call(target, 'GET', '/system'), 200)
    expectStatus(await call(target, 'DELETE', at('app')), 204)
    for (const path of ['/users', '/me', '/audit', '/projects'])
      expectStatus(await call(target, 'GET', path), 404)
    const { paths } = json(await call(target, 'GET', '/openapi.json')) as { paths: object }
    assert.ok('/repositories' in paths && !('/users' in paths))
  })

  test('a registry that asks for a login asks here too', async () => {
    await using closed = await startServer({
      env: {
        REGISTRY_AUTH: 'silly',
        REGISTRY_AUTH_SILLY_REALM: 'http://x/token',
        REGISTRY_AUTH_SILLY_SERVICE: 's',
      },
    })
    const refused = await call({ port: closed.port }, 'GET', '/repositories')
    expectStatus(refused, 401)
    assert.match(String(refused.headers['www-authenticate']), /^Bearer realm="http:\/\/x\/token"/)
    assert.equal(refused.headers['content-type'], 'application/problem+json')
    expectStatus(await call(basic('anybody', closed.port), 'GET', '/repositories'), 200)
  })
})
