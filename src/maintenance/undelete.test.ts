// What is deleted can come back, is invisible meanwhile, and goes for good when its time is over.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { MemoryStorage } from '#blobs/memory.ts'
import { findBlob, findRepositoryBlob } from '#db/blobs.ts'
import type { Db } from '#db/db.ts'
import { findTaggedManifest } from '#db/manifests.ts'
import { findRepository } from '#db/repositories.ts'
import { tagPage } from '#db/tags.ts'
import { beginning, deleteGarbage, searchGarbage } from '#maintenance/gc/collect-garbage.ts'
import type { Collector } from '#maintenance/gc/collector.ts'
import { prepareCollection } from '#maintenance/gc/prepare.ts'
import {
  CALLER,
  imageOf,
  indexOf,
  pushBlobTo,
  pushImageTo,
  pushManifestTo,
  registryOver,
} from '#maintenance/registry-under-test.ts'
import { digestOf } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import { parseRepositoryName, parseTag } from '#oci/reference.ts'
import { mountBlob, statBlob } from '#registry/blobs.ts'
import type { Guard } from '#registry/guards.ts'
import { deleteManifest, readManifest } from '#registry/manifests.ts'
import { purgeManifest } from '#registry/purge.ts'
import {
  listDeleted,
  listDeletedTags,
  listTagHistory,
  restoreManifest,
  restoreTag,
  rollBackTag,
} from '#registry/undelete.ts'
import { openFacts } from '../../test/processes/test-database.ts'

const HOUR_MS = 3_600_000
const WINDOW_MS = 24 * HOUR_MS
const signal = new AbortController().signal
const GONE = { reason: 'MANIFEST_UNKNOWN' }

let db: Db
let time = 1_800_000_000_000
const storage = new MemoryStorage({ bytesMax: 64 * 1024 * 1024, now: () => time })
before(async () => {
  db = await openFacts()
})
after(() => db.close())

function site(guards: readonly Guard[] = []) {
  const base = registryOver(db, { storage, now: () => time, guards })
  const registry = { ...base, settings: { ...base.settings, deletedWindowMs: WINDOW_MS } }
  const collector: Collector = {
    ...{ registry, clock: async () => time, listing: storage, isReady: () => true },
    limits: { deletesPerSecond: 0, bytesPerSecond: 0, share: 1 },
  }
  return { registry, collector }
}

async function collect(more: { purge?: boolean; deleteUntagged?: boolean } = {}) {
  const { collector } = site()
  const { purge = false, deleteUntagged = false } = more
  const run = { dryRun: false, purge, deleteUntagged, graceMs: HOUR_MS, signal }
  time += HOUR_MS + 1
  const prepared = await prepareCollection(collector, run)
  const options = { graceMs: HOUR_MS, dryRun: false, signal, checkpoint: async () => {} }
  const state = await searchGarbage(collector, beginning(), options)
  time += HOUR_MS + 1
  return { ...prepared, ...(await deleteGarbage(collector, state, options)).deleted }
}

const tagsOf = async (name: string) => {
  const repository = await findRepository(db, name)
  return repository ? tagPage(db, repository.id, '', 100) : []
}

test('a deleted manifest is invisible with its layers, survives collections, and comes back whole', async () => {
  const { registry } = site()
  const app = parseRepositoryName('undelete/app')
  const image = imageOf(['u config', 'u layer'])
  await pushImageTo(registry, app, image, '1.0')
  await pushManifestTo(registry, app, image, 'latest')
  time += HOUR_MS + 1
  await deleteManifest(registry, CALLER, app, { digest: image.digest })
  const layer = digestOf('u layer')
  await assert.rejects(readManifest(registry, app, { digest: image.digest }), GONE)
  await assert.rejects(statBlob(registry, app, layer), { reason: 'BLOB_UNKNOWN' })
  const other = parseRepositoryName('undelete/other')
  for (const source of [{ from: app }, { among: 'everything' }] as const)
    assert.equal(await mountBlob(registry, CALLER, other, layer, source), undefined)
  const listed = await listDeleted(registry, app, { last: '', limit: 10 })
  assert.deepEqual(
    listed.map(({ digest, size }) => ({ digest, size })),
    [{ digest: image.digest, size: image.bytes.length }],
  )
  const page = (last: string, limit: number) => listDeletedTags(registry, app, { last, limit })
  assert.deepEqual(
    (await page('', 10)).map(({ tag, digest }) => ({ tag, digest })),
    ['1.0', 'latest'].map((tag) => ({ tag, digest: image.digest })),
  )
  assert.deepEqual(
    (await page('1.0', 1)).map(({ tag }) => tag),
    ['latest'],
  )
  assert.equal((await collect()).blobs, 0)
  const restored = await restoreManifest(registry, CALLER, app, image.digest)
  assert.deepEqual(restored, { digest: image.digest, tags: ['1.0', 'latest'] })
  assert.deepEqual(await tagsOf(app), ['1.0', 'latest'])
  assert.ok(await statBlob(registry, app, layer))
  assert.deepEqual(await listDeleted(registry, app, { last: '', limit: 10 }), [])
  assert.deepEqual(await page('', 10), [])
})

test('after the window, or a purging collection, nothing is left', async () => {
  const { registry } = site()
  for (const [name, purge] of [
    ['window/late', false],
    ['window/purged', true],
  ] as const) {
    const image = imageOf([`${name} config`, `${name} layer`])
    await pushImageTo(registry, name, image, '1')
    time += HOUR_MS + 1
    await deleteManifest(registry, CALLER, parseRepositoryName(name), { digest: image.digest })
    if (!purge) time += WINDOW_MS
    const { expired, blobs } = await collect({ purge })
    assert.deepEqual({ expired, blobs }, { expired: 1, blobs: 3 })
    await assert.rejects(restoreManifest(registry, CALLER, parseRepositoryName(name), image.digest), GONE)
  }
})

test('an index comes back with the manifests that went with it', async () => {
  const { registry } = site()
  const app = parseRepositoryName('undelete/index')
  const child = imageOf(['i config', 'i layer'])
  const index = indexOf([child])
  await pushImageTo(registry, app, child)
  await pushManifestTo(registry, app, index, 'multi')
  time += HOUR_MS + 1
  await deleteManifest(registry, CALLER, app, { digest: index.digest })
  await deleteManifest(registry, CALLER, app, { digest: child.digest })
  await collect()
  await restoreTag(registry, CALLER, app, parseTag('multi'))
  assert.ok(await readManifest(registry, app, { digest: child.digest }))
  assert.equal((await findTaggedManifest(db, app, 'multi'))?.digest, index.digest)
})

describe('a tag', () => {
  const app = parseRepositoryName('history/app')
  const tag = parseTag('stable')
  const [one, two] = [imageOf(['h config', 'h one']), imageOf(['h config', 'h two'])]

  test('has a history, and goes back along it', async () => {
    const { registry } = site()
    for (const image of [one, two]) await pushImageTo(registry, app, image, tag)
    assert.deepEqual(await rollBackTag(registry, CALLER, app, tag), { digest: one.digest, tags: [tag] })
    await deleteManifest(registry, CALLER, app, { digest: two.digest })
    const history = await listTagHistory(registry, app, tag, { before: Number.MAX_SAFE_INTEGER, limit: 10 })
    assert.deepEqual(
      history.map(({ digest, state }) => [digest, state]),
      [
        [one.digest, 'present'],
        [two.digest, 'deleted'],
        [one.digest, 'present'],
      ],
    )
    await rollBackTag(registry, CALLER, app, tag, two.digest)
    assert.equal((await findTaggedManifest(db, app, tag))?.digest, two.digest)
  })

  test('that was deleted is restored, once', async () => {
    const { registry } = site()
    await deleteManifest(registry, CALLER, app, { tag })
    await restoreTag(registry, CALLER, app, tag)
    assert.equal((await findTaggedManifest(db, app, tag))?.digest, two.digest)
    await assert.rejects(restoreTag(registry, CALLER, app, tag), { reason: 'REQUEST_INVALID' })
    await assert.rejects(restoreTag(registry, CALLER, app, parseTag('never')), GONE)
  })

  test('that a guard keeps cannot be rolled back', async () => {
    const keeper: Guard = {
      name: 'keeper',
      async confirm(_, change) {
        if (change.kind === 'push-manifest' && change.moved.length > 0) throw new OciError('DENIED')
        return undefined
      },
    }
    await assert.rejects(rollBackTag(site([keeper]).registry, CALLER, app, tag), { reason: 'DENIED' })
  })
})

test('one image is purged at once: what only it needed, and nothing else', async () => {
  const { registry } = site()
  const app = parseRepositoryName('purge/app')
  const leaked = imageOf(['leak config', 'leak secret', 'leak shared'])
  const sound = imageOf(['sound config', 'leak shared'])
  await pushImageTo(registry, app, leaked, 'bad')
  await pushImageTo(registry, 'purge/elsewhere', sound, 'good')
  const purged = await purgeManifest(registry, CALLER, app, { tag: parseTag('bad') })
  assert.deepEqual(purged, {
    digest: leaked.digest,
    blobs: 3,
    bytes: leaked.bytes.length + 'leak configleak secret'.length,
  })
  assert.equal(await storage.stat(digestOf('leak secret')), undefined)
  assert.ok(await storage.stat(digestOf('leak shared')))
  assert.equal(await findRepositoryBlob(db, app, digestOf('leak shared')), undefined)
  assert.deepEqual(await tagsOf(app), [])
  await assert.rejects(restoreManifest(registry, CALLER, app, leaked.digest), GONE)
  assert.ok((await findBlob(db, digestOf('leak secret')))?.deleting)
  time += 61_000
  await collect()
  await pushBlobTo(registry, app, Buffer.from('leak secret'))
  assert.ok(await storage.stat(digestOf('leak secret')))
})

test('what was deleted before is purged too', async () => {
  const { registry } = site()
  const app = parseRepositoryName('purge/late')
  const leaked = imageOf(['late config', 'late secret'])
  await pushImageTo(registry, app, leaked, 'bad')
  time += HOUR_MS + 1
  await deleteManifest(registry, CALLER, app, { digest: leaked.digest })
  assert.equal((await purgeManifest(registry, CALLER, app, { digest: leaked.digest })).blobs, 3)
  assert.equal(await storage.stat(digestOf('late secret')), undefined)
})

test('untagged manifests go when that is asked for; what is kept keeps its children and referrers', async () => {
  const { registry } = site()
  const app = parseRepositoryName('untagged/app')
  const child = imageOf(['t child config', 't child'])
  const index = indexOf([child])
  const signature = imageOf(['t signature'], {
    subject: {
      mediaType: 'application/vnd.oci.image.index.v1+json',
      digest: index.digest,
      size: index.bytes.length,
    },
  })
  const lone = imageOf(['t lone config', 't lone'])
  const ofLone = imageOf(['t lone signature'], {
    subject: {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest: lone.digest,
      size: lone.bytes.length,
    },
  })
  await pushImageTo(registry, app, child)
  await pushManifestTo(registry, app, index, 'multi')
  await pushImageTo(registry, app, signature)
  await pushImageTo(registry, app, lone)
  await pushImageTo(registry, app, ofLone)
  assert.equal((await collect()).untagged, 0, 'only when that is asked for')
  await collect({ deleteUntagged: true })
  for (const { digest } of [child, index, signature]) assert.ok(await readManifest(registry, app, { digest }))
  for (const { digest } of [lone, ofLone]) await assert.rejects(readManifest(registry, app, { digest }), GONE)
  await deleteManifest(registry, CALLER, app, { digest: index.digest })
  // An hour later its subject has been gone for long enough.
  await collect({ deleteUntagged: true })
  for (const { digest } of [child, signature])
    await assert.rejects(readManifest(registry, app, { digest }), GONE)
})
