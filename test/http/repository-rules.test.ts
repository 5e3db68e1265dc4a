// Rules inside projects and the right to move tags, as clients meet them.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { errorOf, json, refusalOf, send, type Target } from './client.ts'
import { expectStatus, type Image, makeImage, pushBlob, pushImage, putManifest } from './content.ts'
import { type Managed, startManaged } from './people.ts'

let managed: Managed
const first = makeImage()
const second = makeImage()

before(async () => {
  managed = await startManaged()
  await managed.users('dev', 'owner', 'partner')
  await managed.project('team', { dev: 'developer', owner: 'owner' })
  for (const image of [first, second]) await pushImage(managed.as('admin'), 'team/shared/app', 'start', image)
  for (const name of ['team/prod/app', 'team/app']) {
    await pushImage(managed.as('admin'), name, '1', first)
    await pushImage(managed.as('admin'), name, 'next', second)
  }
  await managed.manage('POST', '/projects/team/rules', {
    name: 'partners',
    effect: 'allow',
    for: { kind: 'user', name: 'partner' },
    repository: 'team/shared/**',
    rights: ['pull', 'push'],
  })
  await managed.manage('POST', '/projects/team/rules', {
    name: 'production',
    effect: 'deny',
    for: 'everyone',
    repository: 'team/prod/**',
    rights: ['overwrite', 'delete'],
  })
})
after(() => managed[Symbol.asyncDispose]())

const put = (target: Target, name: string, reference: string, image: Image) =>
  putManifest(target, name, reference, image.manifest.bytes)

describe('create without overwrite cannot move a tag (CVE-2026-31801)', () => {
  let robot: Target
  let withToken: Target
  before(async () => {
    const secret = await managed.robot('team+ci', { 'team/**': ['pull', 'push'] })
    robot = managed.as('team+ci', secret)
    withToken = await managed.withToken('team+ci', ['repository:team/app:pull,push'], secret)
  })

  test('in every form of PUT, with a password and with a token', async () => {
    const { digest } = second.manifest
    for (const target of [robot, withToken]) {
      for (const reference of ['1', `${digest}?tag=1`, `${digest}?tag=fresh&tag=1`]) {
        const answer = await put(target, 'team/app', reference, second)
        assert.equal(refusalOf(answer), '403 DENIED', reference)
        const { message, detail } = errorOf(answer)
        assert.match(message, /the tag 1 points at another manifest/)
        assert.equal((detail as { guard: string }).guard, 'overwrite')
      }
    }
    assert.equal(refusalOf(await send(robot, 'GET', '/v2/team/app/manifests/fresh')), '404 MANIFEST_UNKNOWN')
  })

  test('but makes new tags, and repeats what it pushed', async () => {
    for (const target of [robot, withToken]) {
      expectStatus(await put(target, 'team/app', 'made-by-robot', second), 201)
      expectStatus(await put(target, 'team/app', `${second.manifest.digest}?tag=also`, second), 201)
    }
  })

  test('also when two make the same tag at once: the second one is refused', async () => {
    const answers = await Promise.all(
      [first, second].map((image) => put(robot, 'team/app', 'made-at-once', image)),
    )
    assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 403])
  })

  test('and a developer, who may overwrite, can', async () => {
    for (const image of [second, first])
      expectStatus(await put(managed.as('dev'), 'team/app', '1', image), 201)
  })
})

describe('a rule that allows', () => {
  test('lets somebody who is no member in, as far as it says', async () => {
    const partner = managed.as('partner')
    expectStatus(await send(partner, 'GET', '/v2/team/shared/app/manifests/start'), 200)
    const image = makeImage()
    await pushImage(partner, 'team/shared/new', '1', image)
    assert.equal(refusalOf(await put(partner, 'team/shared/app', 'start', first)), '403 DENIED')
    for (const name of ['team/app', 'team/nothing'])
      assert.equal(refusalOf(await send(partner, 'GET', `/v2/${name}/manifests/1`)), '403 DENIED')
  })

  test('is in the scopes of tokens and in lists, and mounts find what it lets see', async () => {
    const scope = (name: string) => `repository:${name}:pull,push,delete`
    const partner = await managed.withToken('partner', [scope('team/shared/app'), scope('team/app')])
    expectStatus(await send(partner, 'GET', '/v2/team/shared/app/manifests/start'), 200)
    assert.equal(refusalOf(await send(partner, 'GET', '/v2/team/app/manifests/1')), '403 DENIED')
    const catalog = json(await send(managed.as('partner'), 'GET', '/v2/_catalog')) as {
      repositories: string[]
    }
    assert.deepEqual(catalog.repositories, ['team/shared/app', 'team/shared/new'])
    const hidden = await pushBlob(managed.as('dev'), 'team/hidden', makeImage().config)
    const mount = (digest: string, from: string) =>
      send(managed.as('partner'), 'POST', `/v2/team/shared/new/blobs/uploads/?mount=${digest}${from}`)
    expectStatus(await mount(first.config.digest, '&from=team/shared/app'), 201)
    for (const from of ['', '&from=team/hidden']) expectStatus(await mount(hidden, from), 202)
  })
})

describe('a rule that denies', () => {
  test('wins over the role of an owner, and names no more than any refusal', async () => {
    const owner = managed.as('owner')
    const remove = (name: string) => send(owner, 'DELETE', `/v2/${name}/manifests/1`)
    assert.equal(refusalOf(await remove('team/prod/app')), '403 DENIED')
    assert.equal(refusalOf(await remove('team/prod/nothing')), '403 DENIED')
    assert.equal(refusalOf(await put(owner, 'team/prod/app', '1', second)), '403 DENIED')
    expectStatus(await put(owner, 'team/prod/app', '2', second), 201)
    expectStatus(await remove('team/app'), 202)
  })

  test('takes effect at the next token, and its end too', async () => {
    const rule = {
      effect: 'deny',
      for: { kind: 'user', name: 'dev' },
      repository: 'team/app',
      rights: ['pull'],
    }
    const pull = async () => {
      const dev = await managed.withToken('dev', ['repository:team/app:pull'])
      return (await send(dev, 'GET', '/v2/team/app/manifests/next')).status
    }
    assert.equal(await pull(), 200)
    await managed.manage('POST', '/projects/team/rules', { name: 'no-dev', ...rule })
    assert.equal(await pull(), 403)
    const other = { ...rule, repository: 'team/else' }
    await managed.manage('PUT', '/projects/team/rules/no-dev', other)
    assert.equal(await pull(), 200)
    await managed.manage('DELETE', '/projects/team/rules/no-dev')
    expectStatus(await managed.call('GET', '/projects/team/rules/no-dev'), 404)
  })
})

describe('rules are refused', () => {
  const rule = { name: 'r', effect: 'allow', for: 'everyone', repository: 'team/**', rights: ['pull'] }
  for (const [why, change, status] of [
    ['that let everyone push', { rights: ['pull', 'push'] }, 400],
    ['with a name that is no name', { name: 'A rule' }, 400],
    ['with a right that there is not', { rights: ['admin'] }, 400],
    ['with a pattern that is none', { repository: 'team/(a|b)' }, 400],
    ['for somebody who is not there', { for: { kind: 'user', name: 'nobody' } }, 404],
    ['for a robot of another project', { for: { kind: 'robot', name: 'other+ci' } }, 404],
    ['with a name that is taken', { name: 'partners' }, 409],
  ] as const) {
    test(why, async () => {
      if (why.includes('another project')) {
        await managed.project('other')
        await managed.robot('other+ci', { 'other/**': ['pull'] })
      }
      expectStatus(await managed.call('POST', '/projects/team/rules', { ...rule, ...change }), status)
    })
  }

  test('of people who do not own the project', async () => {
    for (const name of ['dev', 'partner'])
      expectStatus(await managed.call('POST', '/projects/team/rules', rule, managed.as(name)), 403)
  })
})
