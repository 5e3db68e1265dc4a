// Retention: rules by the API, what a run lets go and tells, and what stays whatever they say.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { sql } from 'kysely'
import { OCI_INDEX, OCI_MANIFEST } from '#oci/media-types.ts'
import { json, send, type Target } from './client.ts'
import {
  descriptorOf,
  expectStatus,
  type Image,
  makeImage,
  makeIndex,
  pushImage,
  putManifest,
  randomContent,
} from './content.ts'
import { type Managed, startManaged } from './people.ts'

const DAY_MS = 86_400_000
const JOB_MS_MAX = 20_000

let managed: Managed
let admin: Target
before(async () => {
  managed = await startManaged({ onDisk: true })
  admin = managed.as('admin')
})
after(() => managed[Symbol.asyncDispose]())

interface Report {
  readonly tags: number
  readonly manifests: number
  readonly spared: number
  readonly freedBytes: number | null
  readonly decisions: readonly { repository: string; tag: string; digest: string; why: string }[]
}

async function run(input: object): Promise<Report> {
  const { id } = await managed.manage('POST', '/jobs', { kind: 'retention', input })
  const deadline = performance.now() + JOB_MS_MAX
  for (;;) {
    const { state, result, error } = (await managed.manage('GET', `/jobs/${id}`)) as Record<string, unknown>
    if (state === 'done') return result as Report
    assert.ok(state !== 'failed' && performance.now() < deadline, `${state}: ${error}`)
    await wait(20)
  }
}

/** As if a tag had been pushed, and its manifest too, so many days ago. */
async function aged(repository: string, tag: string, days: number): Promise<void> {
  const at = Date.now() - days * DAY_MS
  await managed.server.app.registry.db.transaction(async ({ kysely }) => {
    const of = sql`(select id from repositories where name = ${repository})`
    await sql`update tags set updated_at = ${at} where name = ${tag} and repository_id = ${of}`.execute(
      kysely,
    )
    await sql`update manifests set created_at = ${at} where repository_id = ${of} and id in
      (select manifest_id from tags where name = ${tag} and repository_id = ${of})`.execute(kysely)
  })
}

async function image(
  repository: string,
  tag: string,
  days: number,
  made: Image = makeImage(),
): Promise<Image> {
  await pushImage(admin, repository, tag, made)
  await aged(repository, tag, days)
  return made
}

const rule = (project: string, body: object) => managed.manage('POST', `/projects/${project}/retention`, body)
const tagsOf = async (repository: string) =>
  (json(await send(admin, 'GET', `/v2/${repository}/tags/list`)) as { tags: string[] }).tags
const status = async (repository: string, reference: string) =>
  (await send(admin, 'HEAD', `/v2/${repository}/manifests/${reference}`)).status

describe('a rule', () => {
  test('is made, shown, changed by its version and deleted; one that keeps nothing is refused', async () => {
    await managed.project('rules')
    const made = await rule('rules', { name: 'builds', tag: 'b-*', newest: 3 })
    assert.partialDeepStrictEqual(made, {
      ...{
        name: 'builds',
        repository: '**',
        tag: 'b-*',
        newest: 3,
        pulledDays: null,
        signed: false,
        version: 1,
      },
    })
    const path = '/projects/rules/retention/builds'
    const changed = await managed.manage('PUT', path, { pulledDays: 30, tag: 'b-*' })
    assert.partialDeepStrictEqual(changed, { newest: null, pulledDays: 30, version: 2 })
    for (const [body, why] of [
      [{ name: 'nothing' }, 400],
      [{ name: 'zero', newest: 0 }, 400],
      [{ name: 'builds', newest: 1 }, 409],
      [{ name: 'strange', newest: 1, unknown: true }, 400],
    ] as const)
      expectStatus(await managed.call('POST', '/projects/rules/retention', body), why)
    expectStatus(await managed.call('PUT', path, {}), 400)
    expectStatus(await managed.call('DELETE', path), 204)
    expectStatus(await managed.call('GET', path), 404)
  })
})

describe('a run', () => {
  test('lets go what no rule keeps, in its project alone; a pull and a HEAD keep', async () => {
    for (const project of ['one', 'two']) {
      await managed.project(project)
      for (const [tag, days] of [
        ['v1', 90],
        ['v2', 60],
        ['v3', 50],
        ['v4', 40],
      ] as const)
        await image(`${project}/app`, tag, days)
    }
    expectStatus(await send(admin, 'GET', '/v2/one/app/manifests/v1'), 200)
    expectStatus(await send(admin, 'HEAD', '/v2/one/app/manifests/v2'), 200)
    await managed.server.app.registry.reads.flush()
    await rule('one', { name: 'used', pulledDays: 30, newest: 1 })
    const dry = await run({ dryRun: true })
    assert.deepEqual(
      dry.decisions.map(({ repository, tag, why }) => [repository, tag, why]),
      [['one/app', 'v3', 'used: not one of the 1 newest, never pulled']],
    )
    assert.deepEqual(await tagsOf('one/app'), ['v1', 'v2', 'v3', 'v4'])
    const digest = dry.decisions[0]?.digest ?? ''
    const done = await run({})
    assert.deepEqual([done.tags, done.manifests, done.spared], [1, 1, 0])
    assert.deepEqual(await tagsOf('one/app'), ['v1', 'v2', 'v4'])
    assert.deepEqual(await tagsOf('two/app'), ['v1', 'v2', 'v3', 'v4'])
    assert.equal(await status('one/app', digest), 404)
    assert.equal((await run({})).tags, 0)
  })

  test('can be taken back, as a delete by hand', async () => {
    await managed.project('back')
    await image('back/app', 'old', 90)
    await image('back/app', 'new', 1)
    await rule('back', { name: 'newest', newest: 1 })
    assert.equal((await run({ project: 'back' })).tags, 1)
    assert.equal(await status('back/app', 'old'), 404)
    await managed.manage('POST', `/repositories/${encodeURIComponent('back/app')}/restore`, { tag: 'old' })
    assert.equal(await status('back/app', 'old'), 200)
  })

  test('leaves immutable tags, and names the rule that keeps them', async () => {
    await managed.project('fixed')
    for (const tag of ['v1', 'v2', 'nightly']) await image('fixed/app', tag, 90)
    await managed.manage('POST', '/projects/fixed/immutability', {
      name: 'releases',
      repository: '**',
      tag: 'v*',
    })
    await rule('fixed', { name: 'all', pushedDays: 30 })
    assert.equal((await run({ project: 'fixed' })).tags, 1)
    assert.deepEqual(await tagsOf('fixed/app'), ['v1', 'v2'])
  })

  test('takes the children and referrers of an index along, but not what another image needs', async () => {
    await managed.project('tree')
    const [shared, own] = [makeImage(), makeImage()]
    for (const made of [shared, own]) await pushImage(admin, 'tree/app', made.manifest.digest, made)
    const indexOf = (...images: readonly Image[]) =>
      makeIndex(images.map(({ manifest }) => descriptorOf(manifest, OCI_MANIFEST)))
    const [old, fresh] = [indexOf(shared, own), indexOf(shared)]
    for (const [tag, index] of [
      ['old', old],
      ['fresh', fresh],
    ] as const)
      expectStatus(await putManifest(admin, 'tree/app', tag, index.bytes, OCI_INDEX), 201)
    const subject = descriptorOf(old, OCI_INDEX)
    const referrer = makeIndex([], { subject, artifactType: 'application/vnd.example.note' })
    expectStatus(await putManifest(admin, 'tree/app', referrer.digest, referrer.bytes, OCI_INDEX), 201)
    await aged('tree/app', 'old', 90)
    await rule('tree', { name: 'month', pushedDays: 30 })
    const done = await run({ project: 'tree' })
    assert.deepEqual([done.tags, done.manifests], [1, 3])
    for (const [reference, wanted] of [
      [old.digest, 404],
      [own.manifest.digest, 404],
      [referrer.digest, 404],
      [shared.manifest.digest, 200],
      ['fresh', 200],
    ] as const)
      assert.equal(await status('tree/app', reference), wanted, reference)
  })

  test('spares a tag that moved, and an image that was pulled, after it was judged', async () => {
    const { retireTag } = await import('#maintenance/retention/retire-tag.ts')
    const { findTaggedManifest } = await import('#db/manifests.ts')
    const { internalCaller } = await import('#identity/caller.ts')
    const { parseRepositoryName, parseTag } = await import('#oci/reference.ts')
    await managed.project('moved')
    const { registry } = managed.server.app
    const repository = parseRepositoryName('moved/app')
    const retire = async (tag: string, manifestId: number, judgedAt: number) =>
      retireTag(registry, {
        repository,
        tag: parseTag(tag),
        manifestId,
        judgedAt,
        caller: internalCaller('test'),
      })
    const idOf = async (tag: string) =>
      (await findTaggedManifest(registry.db, repository, parseTag(tag)))?.id ?? 0
    await image('moved/app', 'a', 90)
    const before = await idOf('a')
    await image('moved/app', 'a', 90)
    assert.equal(await retire('a', before, Date.now()), 'changed')
    const judgedAt = Date.now() - 1
    expectStatus(await send(admin, 'HEAD', '/v2/moved/app/manifests/a'), 200)
    await registry.reads.flush()
    assert.equal(await retire('a', await idOf('a'), judgedAt), 'changed')
    assert.equal(await retire('a', await idOf('a'), Date.now() + 1_000), 'gone')
    assert.equal(await status('moved/app', 'a'), 404)
  })

  test('needs no rule to tell what is unused, and counts what others need as well', async () => {
    await managed.project('idle')
    const base = randomContent(50_000)
    const only = randomContent(30_000)
    await image('idle/app', 'old', 90, makeImage([base, only]))
    await image('idle/app', 'new', 1, makeImage([base]))
    const report = await run({ dryRun: true, project: 'idle', unusedDays: 30 })
    assert.deepEqual(
      report.decisions.map(({ tag }) => tag),
      ['old'],
    )
    const freed = report.freedBytes ?? 0
    assert.ok(freed >= 30_000 && freed < 50_000, `${freed} bytes`)
    assert.deepEqual(await tagsOf('idle/app'), ['new', 'old'])
    const wet = await managed.call('POST', '/jobs', { kind: 'retention', input: { unusedDays: 30 } })
    expectStatus(wet, 400)
    assert.deepEqual(await tagsOf('idle/app'), ['new', 'old'])
  })

  test('is in the audit log as work of the registry itself', async () => {
    await managed.server.audit.seal()
    const { items } = (await managed.manage('GET', '/audit?action=tag.deleted&limit=100')) as {
      items: { actor: string | null; target: string }[]
    }
    assert.ok(
      items.some(({ target }) => target === 'one/app:v3'),
      JSON.stringify(items),
    )
  })
})
