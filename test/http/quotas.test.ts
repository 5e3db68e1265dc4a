// Quotas: what a push is refused, when, and with which words; and that the counters are right whatever happens.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { usageDifferences } from '#db/usage-recount.ts'
import {
  begin,
  collect,
  errorOf,
  json,
  locationOf,
  refusalOf,
  responseTo,
  send,
  type Target,
} from './client.ts'
import {
  type Content,
  expectStatus,
  makeImage,
  openSession,
  pushBlob,
  pushImage,
  putManifest,
  randomContent,
} from './content.ts'
import { type Managed, startManaged } from './people.ts'

const KiB = 1024

let managed: Managed
let admin: Target

before(async () => {
  managed = await startManaged()
  admin = managed.as('admin')
  await managed.users('ann', 'bob')
})
after(async () => {
  assert.deepEqual(await usageDifferences(managed.server.app.registry.db), [])
  await managed[Symbol.asyncDispose]()
})

interface Figures {
  readonly bytes: number | null
  readonly repositories: number | null
  readonly tags: number | null
}

const setQuota = (path: string, limits: Partial<Figures>) => managed.manage('PUT', `${path}/quota`, limits)
const usedBy = async (path: string) => (await managed.manage('GET', `${path}/quota`))['used'] as Figures

async function project(name: string, limits: Partial<Figures> = {}, members = {}): Promise<void> {
  await managed.project(name, members)
  await setQuota(`/projects/${name}`, limits)
}

function whole(target: Target, name: string, content: Content) {
  return send(target, 'POST', `/v2/${name}/blobs/uploads/?digest=${content.digest}`, { body: content.bytes })
}

describe('bytes of a project', () => {
  test('are counted once however many repositories hold them, and given back by deletes', async () => {
    await project('shared', { bytes: 100 * KiB })
    const layer = randomContent(40 * KiB)
    for (const name of ['shared/a', 'shared/b', 'shared/c']) await pushBlob(admin, name, layer)
    const mount = `/v2/shared/d/blobs/uploads/?mount=${layer.digest}&from=shared/a`
    expectStatus(await send(admin, 'POST', mount), 201)
    assert.equal((await usedBy('/projects/shared')).bytes, 40 * KiB)
    for (const name of ['shared/a', 'shared/b', 'shared/c', 'shared/d'])
      expectStatus(await send(admin, 'DELETE', `/v2/${name}/blobs/${layer.digest}`), 202)
    assert.equal((await usedBy('/projects/shared')).bytes, 0)
  })

  test('of a push that would exceed are refused before they are taken, saying how much is used of how much', async () => {
    await project('full', { bytes: 100 * KiB })
    await pushBlob(admin, 'full/a', randomContent(80 * KiB))
    const { digest } = randomContent(1)
    const path = await openSession(admin, 'full/a')
    for (const [method, address] of [
      ['POST', `/v2/full/a/blobs/uploads/?digest=${digest}`],
      ['PATCH', path],
      ['PUT', `${path}?digest=${digest}`],
    ] as const) {
      // Nothing of the body is sent: the refusal does not wait for it.
      const headers = { 'Content-Length': String(30 * KiB), Expect: '100-continue' }
      const outgoing = begin(admin, method, address, { headers })
      outgoing.flushHeaders()
      const answer = await collect(await responseTo(outgoing))
      outgoing.destroy()
      assert.equal(refusalOf(answer), '403 DENIED', method)
      const { message, detail } = errorOf(answer)
      assert.equal(message, 'the project full has used 80 KiB of 100 KiB, and this push would add 30 KiB')
      const expected = { guard: 'quota', scope: 'project', name: 'full', measure: 'bytes' }
      const figures = { used: 80 * KiB, limit: 100 * KiB, added: 30 * KiB }
      assert.deepEqual(detail, { ...expected, ...figures })
    }
  })

  test('without a length end where the quota does', async () => {
    const path = await openSession(admin, 'full/a')
    async function* endless() {
      for (let sent = 0; sent < 1_000; sent++) yield Buffer.alloc(KiB)
    }
    assert.equal(refusalOf(await send(admin, 'PATCH', path, { body: endless() })), '403 DENIED')
  })

  test('of a mount are refused, and what the project holds already is not', async () => {
    await project('source')
    const [large, held] = [randomContent(30 * KiB), randomContent(30 * KiB)]
    for (const content of [large, held]) await pushBlob(admin, 'source/a', content)
    await project('target', { bytes: 40 * KiB })
    await pushBlob(admin, 'target/a', held)
    const mount = (digest: string) =>
      send(admin, 'POST', `/v2/target/b/blobs/uploads/?mount=${digest}&from=source/a`)
    assert.equal(refusalOf(await mount(large.digest)), '403 DENIED')
    expectStatus(await mount(held.digest), 201)
    expectStatus(await whole(admin, 'target/c', held), 201)
    expectStatus(await whole(admin, 'target/a', held), 201)
  })

  test('of manifests count too, and a push is refused as late as at its manifest', async () => {
    await project('manifests', { bytes: 2 * KiB })
    const image = makeImage([randomContent(900)])
    await pushImage(admin, 'manifests/a', '1', image)
    const size = image.config.bytes.length + 900 + image.manifest.bytes.length
    assert.deepEqual(await usedBy('/projects/manifests'), { bytes: size, repositories: 1, tags: 1 })
    const other = makeImage(image.layers, { annotations: { large: 'x'.repeat(1_000) } })
    await pushBlob(admin, 'manifests/a', other.config)
    assert.equal(refusalOf(await putManifest(admin, 'manifests/a', '2', other.manifest.bytes)), '403 DENIED')
    expectStatus(await putManifest(admin, 'manifests/a', '3', image.manifest.bytes), 201)
  })

  test('that are used already stay, and what adds nothing is taken, when the limit is lowered', async () => {
    await project('lowered')
    const image = makeImage([randomContent(KiB)])
    await pushImage(admin, 'lowered/a', '1', image)
    await setQuota('/projects/lowered', { bytes: 10 })
    await pushImage(admin, 'lowered/a', '1', image)
    await pushImage(admin, 'lowered/a', '2', image)
    assert.equal(refusalOf(await whole(admin, 'lowered/a', randomContent(1))), '403 DENIED')
    await managed.manage('DELETE', '/projects/lowered/quota')
    expectStatus(await whole(admin, 'lowered/a', randomContent(1)), 201)
  })
})

describe('numbers', () => {
  test('of tags and repositories of a project have limits, which deletes give back', async () => {
    await project('counted', { repositories: 2, tags: 3 })
    const image = makeImage()
    const push = async (name: string, reference: string) => {
      for (const content of [image.config, ...image.layers]) await pushBlob(admin, name, content)
      return putManifest(admin, name, reference, image.manifest.bytes)
    }
    expectStatus(await push('counted/a', '1'), 201)
    expectStatus(await push('counted/b', '1'), 201)
    const third = await push('counted/c', '1')
    assert.match(errorOf(third).message, /2 repositories of 2 repositories, .* 1 repository$/)
    const { digest } = image.manifest
    const many = await push('counted/a', `${digest}?tag=2&tag=3`)
    assert.match(errorOf(many).message, /2 tags of 3 tags, .* 2 tags$/)
    expectStatus(await push('counted/a', `${digest}?tag=1&tag=2`), 201)
    assert.equal(refusalOf(await push('counted/a', '3')), '403 DENIED')
    expectStatus(await send(admin, 'DELETE', '/v2/counted/a/manifests/2'), 202)
    expectStatus(await push('counted/a', '3'), 201)
    assert.deepEqual(await usedBy('/projects/counted').then(({ tags }) => tags), 3)
  })
})

describe('the quota of a user', () => {
  test('is of what he brought, wherever he brought it', async () => {
    await setQuota('/users/ann', { bytes: 50 * KiB })
    for (const name of ['one', 'two']) await managed.project(name, { ann: 'developer', bob: 'developer' })
    const layer = randomContent(30 * KiB)
    expectStatus(await whole(managed.as('ann'), 'one/a', layer), 201)
    const refused = await whole(managed.as('ann'), 'two/a', layer)
    assert.match(errorOf(refused).message, /the user ann has used 30 KiB of 50 KiB/)
    expectStatus(await whole(managed.as('bob'), 'two/a', layer), 201)
    // What somebody else brought costs her nothing.
    expectStatus(await whole(managed.as('ann'), 'two/b', layer), 201)
    const own = json(await managed.call('GET', '/me/quota', undefined, managed.as('ann'))) as {
      used: Figures
    }
    assert.equal(own.used.bytes, 30 * KiB)
    expectStatus(await managed.call('PUT', '/users/ann/quota', {}, managed.as('ann')), 403)
  })

  test('has no other limits', async () => {
    expectStatus(await managed.call('PUT', '/users/ann/quota', { tags: 5 }), 400)
  })
})

describe('when most of a quota is used', () => {
  test('each push is told so, and one event is recorded', async () => {
    await project('nearly', { bytes: 100 * KiB })
    const first = await whole(admin, 'nearly/a', randomContent(70 * KiB))
    expectStatus(first, 201)
    assert.equal(first.headers['warning'], undefined)
    for (const used of [85, 86]) {
      const answer = await whole(admin, 'nearly/a', randomContent((used === 85 ? 15 : 1) * KiB))
      const sentence = `the project nearly has used ${used}% of its quota: ${used} KiB of 100 KiB`
      assert.equal(answer.headers['warning'], `299 - "${sentence}"`)
    }
    const { db } = managed.server.app.registry
    const events = await db.kysely
      .selectFrom('events')
      .select(['repository', 'size', 'actor'])
      .where('kind', '=', 'quota.warned')
      .where('repository', 'like', 'nearly/%')
      .execute()
    assert.deepEqual(
      events.map((event) => ({ ...event })),
      [{ repository: 'nearly/a', size: 85 * KiB, actor: 'admin' }],
    )
  })
})

describe('fifty pushes at once', () => {
  test('take exactly what there is', async () => {
    const size = 10 * KiB
    await project('crowd', { bytes: 20 * size + size / 2 })
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, at) => whole(admin, `crowd/r${at % 7}`, randomContent(size))),
    )
    const statuses = Map.groupBy(answers, ({ status }) => status)
    assert.deepEqual([statuses.get(201)?.length, statuses.get(403)?.length], [20, 30])
    assert.equal((await usedBy('/projects/crowd')).bytes, 20 * size)
    assert.deepEqual(await usageDifferences(managed.server.app.registry.db), [])
  })

  test('of one and the same blob all find room, since it counts once', async () => {
    await project('same', { bytes: 15 * KiB })
    const content = randomContent(10 * KiB)
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, at) => whole(admin, `same/r${at}`, content)),
    )
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([201]))
    assert.equal((await usedBy('/projects/same')).bytes, 10 * KiB)
  })
})

describe('the management of quotas', () => {
  test('lists what was set with what is used, and counts anew', async () => {
    const { items } = (await managed.manage('GET', '/quotas')) as unknown as {
      items: { kind: string; name: string }[]
    }
    assert.ok(items.some(({ kind, name }) => kind === 'project' && name === 'full'))
    assert.ok(items.some(({ kind, name }) => kind === 'user' && name === 'ann'))
    assert.deepEqual(await managed.manage('POST', '/quotas/recount'), { differences: [] })
    expectStatus(await managed.call('DELETE', '/projects/source/quota'), 204)
    expectStatus(await managed.call('DELETE', '/projects/source/quota'), 404)
  })

  test('a limit of the whole registry holds for all projects together', async () => {
    const { bytes } = await usedBy('')
    await setQuota('', { bytes: (bytes ?? 0) + 10 })
    const answer = await whole(admin, 'anywhere/a', randomContent(11))
    assert.match(errorOf(answer).message, /^the registry has used .* and this push would add 11 B$/)
    expectStatus(await whole(admin, 'anywhere/a', randomContent(10)), 201)
    await managed.manage('DELETE', '/quota')
  })
})

test('the limits of the configuration hold where nobody set others', async () => {
  const env = { REGISTRY_QUOTAS_PROJECT_BYTES: '1KiB', REGISTRY_QUOTAS_USER_BYTES: '1500' }
  await using other = await startManaged({ env })
  const target = other.as('admin')
  for (const name of ['one/a', 'two/a']) {
    const answer = await whole(target, name, randomContent(900))
    if (name === 'one/a') expectStatus(answer, 201)
    else assert.match(errorOf(answer).message, /^the user admin has used 900 B of 1.46 KiB/)
  }
  assert.match(errorOf(await whole(target, 'one/a', randomContent(200))).message, /^the project one/)
  await other.manage('PUT', '/projects/one/quota', {})
  expectStatus(await whole(target, 'one/a', randomContent(200)), 201)
})

test('a session that was refused goes on where it was, after something was deleted', async () => {
  await project('resumed', { bytes: 10 * KiB })
  const first = randomContent(8 * KiB)
  await pushBlob(admin, 'resumed/a', first)
  const second = randomContent(4 * KiB)
  const path = await openSession(admin, 'resumed/a')
  assert.equal(refusalOf(await send(admin, 'PATCH', path, { body: second.bytes })), '403 DENIED')
  expectStatus(await send(admin, 'DELETE', `/v2/resumed/a/blobs/${first.digest}`), 202)
  const patched = await send(admin, 'PATCH', path, { body: second.bytes })
  expectStatus(patched, 202)
  expectStatus(await send(admin, 'PUT', `${locationOf(patched)}?digest=${second.digest}`), 201)
})
