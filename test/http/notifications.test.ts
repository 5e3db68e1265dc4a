// `notifications`: what a receiver is told, what it is not told, and that it is told at last, whatever happens meanwhile.
import assert from 'node:assert/strict'
import { after, afterEach, beforeEach, describe, test } from 'node:test'
import { OCI_MANIFEST } from '#oci/media-types.ts'
import { type RegistryServer, removeRegistry, startRegistry } from '../processes/registry-server.ts'
import { isExecutable } from '../tools/find-program.ts'
import { toolPath } from '../tools/pinned.ts'
import { send, type Target } from './client.ts'
import {
  expectStatus,
  makeImage,
  openSession,
  pushBlob,
  pushImage,
  putManifest,
  randomContent,
} from './content.ts'
import { Receiver, type Told } from './notification-receiver.ts'
import { startServer, type TestServer } from './server.ts'

const endpoint = (receiver: Receiver, more: Readonly<Record<string, unknown>> = {}) => ({
  ...{ name: 'ci', url: receiver.url, timeout: '5s', threshold: 2, backoff: '10ms' },
  ...more,
})

const variables = (...endpoints: object[]) => ({
  REGISTRY_NOTIFICATIONS_ENDPOINTS: JSON.stringify(endpoints),
})

async function pushNew(server: Target, name: string, tag: string) {
  const image = makeImage()
  await pushImage(server, name, tag, image)
  return image.manifest
}

const deleteTag = (server: Target, name: string, tag: string) =>
  send(server, 'DELETE', `/v2/${name}/manifests/${tag}`)

describe('notifications', () => {
  let receiver: Receiver
  let server: TestServer | undefined
  beforeEach(async () => {
    receiver = await Receiver.start()
  })
  afterEach(async () => {
    await server?.[Symbol.asyncDispose]()
    server = undefined
    await receiver[Symbol.asyncDispose]()
  })

  test('tell of pushes, pulls, mounts and deletes in order, each once, in the envelope of registry:2', async () => {
    server = await startServer({
      onDisk: true,
      env: variables(endpoint(receiver, { headers: { 'X-Hook': ['a', 'b'] } })),
    })
    const image = await pushNew(server, 'team/app', 'v1')
    const target = `/v2/team/app/manifests/v1`
    const pulled = await send(server, 'GET', target, {
      headers: { 'User-Agent': 'docker/28', Host: 'registry.example.com:5000' },
    })
    expectStatus(pulled, 200)
    const blob = await pushBlob(server, 'team/app', randomContent(100))
    expectStatus(await send(server, 'POST', `/v2/other/blobs/uploads/?mount=${blob}&from=team/app`), 201)
    expectStatus(await deleteTag(server, 'team/app', 'v1'), 202)
    expectStatus(await send(server, 'DELETE', `/v2/team/app/manifests/${image.digest}`), 202)
    expectStatus(await send(server, 'DELETE', `/v2/team/app/blobs/${blob}`), 202)
    const ofManifest = ({ target: { digest } }: Told) => digest === image.digest
    await receiver.until(({ taken }) => taken.some(({ action }) => action === 'pull') && taken.length >= 8)
    const told = receiver.taken
    const push = told.find((event) => event.action === 'push' && ofManifest(event))
    assert.ok(push)
    const url = `http://${server.host}/v2/team/app/manifests/${image.digest}`
    assert.deepEqual(push.target, {
      mediaType: OCI_MANIFEST,
      size: image.bytes.length,
      length: image.bytes.length,
      digest: image.digest,
      repository: 'team/app',
      url,
      tag: 'v1',
    })
    assert.deepEqual([push.request['method'], push.request['host']], ['PUT', server.host])
    assert.equal(push.request['addr'], '127.0.0.1')
    assert.deepEqual(push.actor, {})
    assert.match(push.id, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    assert.ok(Math.abs(Date.parse(push.timestamp) - Date.now()) < 600_000)
    const pull = told.find((event) => event.action === 'pull' && ofManifest(event))
    assert.ok(pull)
    assert.equal(pull.request['useragent'], 'docker/28')
    assert.equal(pull.target['url'], `http://registry.example.com:5000/v2/team/app/manifests/${image.digest}`)
    const mount = told.find(({ action }) => action === 'mount')
    assert.deepEqual(
      [mount?.target['repository'], mount?.target['fromRepository'], mount?.target['digest']],
      ['other', 'team/app', blob],
    )
    const deletes = told.filter(({ action }) => action === 'delete').map((event) => event.target)
    assert.deepEqual(deletes[0], { mediaType: '', size: 0, digest: '', repository: 'team/app', tag: 'v1' })
    assert.ok(deletes.some(({ digest, repository }) => digest === image.digest && repository === 'team/app'))
    assert.ok(deletes.some(({ digest }) => digest === blob))
    assert.equal(new Set(told.map(({ id }) => id)).size, told.length)
    assert.equal(new Set(told.map(({ source }) => source.instanceID)).size, 1)
    for (const { headers, events } of receiver.tries) {
      assert.equal(headers['content-type'], 'application/vnd.docker.distribution.events.v2+json')
      assert.equal(headers['x-hook'], 'a, b')
      assert.equal(events.length, 1)
    }
    const writes = told.filter(({ action }) => action !== 'pull').map(({ action }) => action)
    assert.ok(
      writes.indexOf('mount') < writes.indexOf('delete') &&
        writes.lastIndexOf('push') < writes.indexOf('mount'),
    )
  })

  test('leave out what an endpoint ignores, and one that is disabled is told nothing', async () => {
    const ignoring = endpoint(receiver, {
      name: 'deletes',
      ignore: { actions: ['pull', 'mount'], mediatypes: ['application/octet-stream'] },
      ignoredmediatypes: ['application/vnd.oci.image.index.v1+json'],
    })
    const silent = endpoint(receiver, { name: 'silent', url: `${receiver.url}/silent`, disabled: true })
    server = await startServer({ env: variables(ignoring, silent), onDisk: true })
    await pushNew(server, 'app', 'a')
    expectStatus(await send(server, 'GET', '/v2/app/manifests/a'), 200)
    expectStatus(await deleteTag(server, 'app', 'a'), 202)
    await receiver.until(({ taken }) => taken.some(({ action }) => action === 'delete'))
    assert.deepEqual(
      receiver.taken.map(({ action }) => action),
      ['push', 'delete'],
    )
  })

  test('reach a receiver that was down, in order and whole, though the registry was started again meanwhile', async () => {
    await receiver.down()
    const env = variables(endpoint(receiver, { ignore: { actions: ['pull'] } }))
    server = await startServer({ onDisk: true, env })
    const tags = Array.from({ length: 12 }, (_, n) => `t${n}`)
    for (const [n, tag] of tags.entries()) {
      await pushNew(server, 'app', tag)
      if (n % 4 === 3) await server.restart()
    }
    await receiver.listen()
    const seen = () => receiver.taken.flatMap(({ target: { tag } }) => (tag === undefined ? [] : [tag]))
    await receiver.until(() => seen().length >= tags.length)
    assert.deepEqual(seen(), tags)
    assert.equal(new Set(receiver.taken.map(({ id }) => id)).size, receiver.taken.length, 'none twice')
  })

  test('are sent again until they are taken, with the same id, and keep no push waiting', async () => {
    let failures = 7
    receiver.answer = () => (failures-- > 0 ? 503 : 200)
    server = await startServer({ onDisk: true, env: variables(endpoint(receiver)) })
    for (const tag of ['a', 'b']) await pushNew(server, 'app', tag)
    await receiver.until(({ taken }) => taken.some(({ target }) => target['tag'] === 'b'))
    const [first] = receiver.tries
    const again = receiver.tries.slice(0, 8).map(({ events }) => events[0]?.id)
    assert.deepEqual(again, Array(8).fill(first?.events[0]?.id))
    assert.equal(await failuresOf(server), 7)
  })

  test('to an endpoint that is new begin with what happens from then on, and nothing is kept for one that is gone', async () => {
    server = await startServer({ onDisk: true })
    await pushNew(server, 'app', 'before')
    await server.restart(variables(endpoint(receiver)))
    await pushNew(server, 'app', 'after')
    await receiver.until(({ taken }) => taken.some(({ target }) => target['tag'] === 'after'))
    assert.ok(!receiver.taken.some(({ target }) => target['tag'] === 'before'))
    const cursors = () => server?.app.registry.db.kysely.selectFrom('cursors').select('name').execute()
    const isKept = async () => (await cursors())?.some(({ name }) => name === 'notifications:ci')
    assert.equal(await isKept(), true)
    await server.restart(variables())
    assert.equal(await isKept(), false)
  })

  test('go to an address with a name and password as Basic credentials', async () => {
    const url = receiver.url.replace('http://', 'http://hook:se%40cret@')
    server = await startServer({ onDisk: true, env: variables(endpoint(receiver, { url })) })
    await pushNew(server, 'app', 'a')
    await receiver.until(({ taken }) => taken.length > 0)
    const sent = Buffer.from('hook:se@cret').toString('base64')
    assert.equal(receiver.tries[0]?.headers.authorization, `Basic ${sent}`)
  })
})

async function failuresOf(server: TestServer): Promise<number> {
  const exposition = await server.app.metrics.exposition()
  return Number(/^stowage_notification_failures_total (\S+)$/m.exec(await exposition.text())?.[1])
}

const missing = !isExecutable(toolPath('registry')) && 'distribution is not installed'

describe('the same actions', { skip: missing }, () => {
  const servers: RegistryServer[] = []
  after(async () => {
    for (const server of servers) await removeRegistry(server)
  })

  test('are told by distribution and by us with the same actions, targets and members', async () => {
    const shapes: unknown[] = []
    for (const kind of ['distribution', 'stowage'] as const) {
      await using receiver = await Receiver.start()
      const server = await startRegistry(kind, {
        config: { notifications: { endpoints: [endpoint(receiver)] } },
      })
      servers.push(server)
      const target = { port: Number(server.host.split(':')[1]) }
      const image = await pushAsDocker(target, 'app', 'v1')
      const headers = { Accept: OCI_MANIFEST }
      expectStatus(await send(target, 'GET', '/v2/app/manifests/v1', { headers }), 200)
      expectStatus(await send(target, 'GET', `/v2/app/manifests/${image.digest}`, { headers }), 200)
      expectStatus(await deleteTag(target, 'app', 'v1'), 202)
      expectStatus(await send(target, 'DELETE', `/v2/app/manifests/${image.digest}`), 202)
      await receiver.until(
        ({ taken }) =>
          taken.filter(({ action, target: { mediaType } }) => action === 'pull' && mediaType !== undefined)
            .length >= 2 &&
          taken.some((event) => event.action === 'delete' && event.target['digest'] === image.digest),
      )
      const ofManifest = receiver.taken.filter(
        ({ target: told }) => told['digest'] === image.digest || told['tag'] === 'v1',
      )
      const targets = ofManifest.map(({ action, target: told }) => {
        const text = JSON.stringify(Object.entries(told).sort())
        return `${action} ${text.replaceAll(image.digest, 'DIGEST').replaceAll(server.host, 'HOST')}`
      })
      shapes.push({ targets: targets.sort(), members: ofManifest.map((event) => membersOf(event)).sort() })
    }
    assert.deepEqual(shapes[1], shapes[0])
  })
})

/** With a session for each blob: distribution takes none in one request. */
async function pushAsDocker(server: Target, name: string, tag: string) {
  const { config, layers, manifest } = makeImage()
  for (const { bytes, digest } of [config, ...layers]) {
    const location = await openSession(server, name)
    const url = new URL(location, `http://127.0.0.1:${server.port}`)
    url.searchParams.set('digest', digest)
    expectStatus(await send(server, 'PUT', `${url.pathname}${url.search}`, { body: bytes }), 201)
  }
  expectStatus(await putManifest(server, name, tag, manifest.bytes), 201)
  return manifest
}

/** Names of all members, without the values, which differ from run to run. */
function membersOf(event: object, prefix = ''): string {
  return Object.entries(event)
    .flatMap(([name, value]) =>
      typeof value === 'object' && value !== null
        ? membersOf(value, `${prefix}${name}.`)
        : `${prefix}${name}`,
    )
    .sort()
    .join(' ')
}
