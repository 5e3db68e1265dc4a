// Tags that a rule keeps: no request moves or deletes them, nor what their images are made of.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { isImmutable } from '#access/immutability/immutable-tags.ts'
import { deleteImmutabilityRule, insertImmutabilityRule } from '#db/immutability-rules.ts'
import { findProject } from '#db/projects.ts'
import { OCI_INDEX, OCI_MANIFEST } from '#oci/media-types.ts'
import { parseRepositoryName } from '#oci/reference.ts'
import { type Answer, errorOf, send, type Target } from './client.ts'
import {
  descriptorOf,
  expectStatus,
  type Image,
  makeImage,
  makeIndex,
  pushImage,
  putManifest,
} from './content.ts'
import { startServer, type TestServer } from './server.ts'

const PASSWORD = 'correct horse battery'
const RULE = {
  name: 'releases',
  repository: 'team/**',
  tag: 'v*',
  exceptRepositories: ['team/sandbox'],
  exceptTags: ['*-rc?'],
  disabled: false,
}

let server: TestServer
let admin: Target
let kept: Image
const replacement = makeImage()

async function addRule(): Promise<void> {
  const { db } = server.app.registry
  const projectId = (await findProject(db, 'team'))?.id ?? 0
  await db.transaction((tx) => insertImmutabilityRule(tx, projectId, RULE, Date.now()))
}

before(async () => {
  server = await startServer({ adminPassword: PASSWORD, env: { REGISTRY_AUTH: 'stowage' } })
  const authorization = `Basic ${Buffer.from(`admin:${PASSWORD}`).toString('base64')}`
  admin = { port: server.port, headers: { Authorization: authorization } }
  kept = makeImage()
  for (const [name, tag] of [
    ['team/app', 'v1'],
    ['team/app', 'v2-rc1'],
    ['team/app', 'latest'],
    ['team/sandbox', 'v1'],
    ['other/app', 'v1'],
  ] as const)
    await pushImage(admin, name, tag, kept)
  for (const name of ['team/app', 'team/sandbox', 'other/app'])
    await pushImage(admin, name, 'new', replacement)
  await addRule()
})
after(() => server[Symbol.asyncDispose]())

const move = (name: string, tag: string, image = replacement) =>
  putManifest(admin, name, tag, image.manifest.bytes)
const remove = (name: string, reference: string) =>
  send(admin, 'DELETE', `/v2/${name}/manifests/${reference}`)

function assertKept(answer: Answer): void {
  assert.equal(answer.status, 403, answer.body.toString())
  const { code, message, detail } = errorOf(answer)
  assert.equal(code, 'DENIED')
  assert.match(message, /the tag v\S+ is immutable by the rule "releases"/)
  assert.equal((detail as { guard: string }).guard, 'immutability')
  assert.equal((detail as { rule: string }).rule, 'releases')
}

describe('an immutable tag', () => {
  test('is not moved, in any form of PUT', async () => {
    const { digest, bytes } = replacement.manifest
    assertKept(await move('team/app', 'v1'))
    assertKept(await putManifest(admin, 'team/app', `${digest}?tag=v1`, bytes))
    assertKept(await putManifest(admin, 'team/app', `${digest}?tag=free&tag=v1&tag=other`, bytes))
    assert.equal((await send(admin, 'HEAD', '/v2/team/app/manifests/free')).status, 404)
  })

  test('takes the same image again: a push that is repeated does no harm', async () => {
    expectStatus(await move('team/app', 'v1', kept), 201)
  })

  test('is not deleted, nor is its manifest, nor the blobs that it needs', async () => {
    assertKept(await remove('team/app', 'v1'))
    assertKept(await remove('team/app', kept.manifest.digest))
    for (const { digest } of [kept.config, ...kept.layers])
      assertKept(await send(admin, 'DELETE', `/v2/team/app/blobs/${digest}`))
    expectStatus(await send(admin, 'GET', '/v2/team/app/manifests/v1'), 200)
  })

  test('keeps the images of its index', async () => {
    const child = makeImage()
    for (const image of [child, makeImage()]) await pushImage(admin, 'team/multi', 'latest', image)
    expectStatus(await remove('team/multi', 'latest'), 202)
    const inner = makeIndex([descriptorOf(child.manifest, OCI_MANIFEST)])
    const outer = makeIndex([descriptorOf(inner, OCI_INDEX)])
    expectStatus(await putManifest(admin, 'team/multi', inner.digest, inner.bytes, OCI_INDEX), 201)
    expectStatus(await putManifest(admin, 'team/multi', 'v7', outer.bytes, OCI_INDEX), 201)
    for (const digest of [child.manifest.digest, inner.digest]) assertKept(await remove('team/multi', digest))
    const [layer] = child.layers
    assertKept(await send(admin, 'DELETE', `/v2/team/multi/blobs/${layer?.digest}`))
  })

  test('may come into being, and others are free', async () => {
    expectStatus(await move('team/app', 'v3'), 201)
    for (const [name, tag] of [
      ['team/app', 'v2-rc1'],
      ['team/app', 'latest'],
      ['team/sandbox', 'v1'],
      ['other/app', 'v1'],
    ] as const)
      expectStatus(await move(name, tag), 201)
    expectStatus(await remove('team/app', 'v2-rc1'), 202)
    expectStatus(await remove('team/sandbox', kept.manifest.digest), 202)
  })

  test('is known to whoever asks for work of our own', async () => {
    const { db } = server.app.registry
    const keeps = (name: string, tag: string) => isImmutable(db, parseRepositoryName(name), tag)
    assert.equal(await keeps('team/app', 'v1'), 'releases')
    assert.equal(await keeps('team/app', 'latest'), undefined)
    assert.equal(await keeps('team/sandbox', 'v1'), undefined)
    assert.equal(await keeps('nothing/there', 'v1'), undefined)
  })

  test('of two pushes at once that both make it, one wins and stays', async () => {
    const images = [makeImage(), makeImage()]
    for (const [at, image] of images.entries()) await pushImage(admin, 'team/race', `try${at}`, image)
    const answers = await Promise.all(images.map((image) => move('team/race', 'v1', image)))
    assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 403])
  })

  test('is free again when the rule is gone', async () => {
    const { db } = server.app.registry
    const projectId = (await findProject(db, 'team'))?.id ?? 0
    await db.transaction((tx) => deleteImmutabilityRule(tx, projectId, 'releases'))
    expectStatus(await move('team/app', 'v1'), 201)
    await addRule()
  })
})
