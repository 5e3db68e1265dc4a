import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { MemoryStorage } from '#blobs/memory.ts'
import { findBlob, findRepositoryBlob } from '#db/blobs.ts'
import type { Db } from '#db/db.ts'
import { eventsAfter, newestEventId } from '#db/events.ts'
import { beginDeleting } from '#db/garbage.ts'
import { Pace } from '#lib/pace.ts'
import {
  beginning,
  deleteGarbage,
  type GcState,
  graceLeftMs,
  searchGarbage,
} from '#maintenance/gc/collect-garbage.ts'
import type { Collector } from '#maintenance/gc/collector.ts'
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
import { parseRepositoryName } from '#oci/reference.ts'
import { deleteBlob, mountBlob, statBlob } from '#registry/blobs.ts'
import { deleteManifest } from '#registry/manifests.ts'
import { openFacts } from '../../../test/processes/test-database.ts'

const GRACE_MS = 3_600_000
const signal = new AbortController().signal

let db: Db
let ground: Ground
before(async () => {
  db = await openFacts()
  ground = new Ground(db)
})
after(() => db.close())

/** A registry with a clock of its own. */
class Ground {
  time = 1_800_000_000_000
  readonly storage = new MemoryStorage({ bytesMax: 64 * 1024 * 1024, now: () => this.time })
  readonly registry
  readonly collector: Collector

  constructor(db: Db) {
    this.registry = registryOver(db, { storage: this.storage, now: () => this.time })
    this.collector = {
      registry: this.registry,
      clock: async () => this.time,
      listing: this.storage,
      isReady: () => true,
      limits: { deletesPerSecond: 0, bytesPerSecond: 0, share: 1 },
    }
  }

  search(dryRun = false): Promise<GcState> {
    return searchGarbage(this.collector, beginning(), this.#options(dryRun))
  }

  delete(state: GcState): Promise<GcState> {
    return deleteGarbage(this.collector, state, this.#options(false))
  }

  /** Both steps, with the grace before and between. */
  async collect(): Promise<GcState> {
    this.time += GRACE_MS + 1
    const state = await this.search()
    this.time += GRACE_MS + 1
    return this.delete(state)
  }

  #options(dryRun: boolean) {
    return { graceMs: GRACE_MS, dryRun, signal, checkpoint: async () => {} }
  }
}

const app = parseRepositoryName('team/app')

test('what nothing needs is found, told by project and reason, and deleted after the grace', async () => {
  const { registry, storage } = ground
  const kept = imageOf(['kept config', 'shared layer', 'kept layer'])
  const gone = imageOf(['gone config', 'shared layer', 'gone layer'])
  await pushImageTo(registry, 'team/app', kept, '1.0')
  await pushImageTo(registry, 'team/app', gone, '2.0')
  const lost = await pushBlobTo(registry, 'solo', Buffer.from('never in a manifest'))
  await storage.put(digestOf('left by a crash'), Buffer.from('left by a crash'))
  await deleteManifest(registry, CALLER, app, { digest: gone.digest })
  const early = await ground.search(true)
  assert.equal(early.found.blobs, 0, 'a push may be under way')
  ground.time += GRACE_MS + 1
  const expected = {
    ...{
      blobs: 5,
      bytes: 'gone configgone layernever in a manifestleft by a crash'.length + gone.bytes.length,
    },
    reasons: {
      unreferenced: { blobs: 3, bytes: 'gone configgone layernever in a manifest'.length },
      unlinked: { blobs: 1, bytes: gone.bytes.length },
      file: { blobs: 1, bytes: 'left by a crash'.length },
    },
  }
  for (const dryRun of [true, false]) {
    const { found } = await ground.search(dryRun)
    assert.deepEqual({ blobs: found.blobs, bytes: found.bytes, reasons: found.reasons }, expected)
    assert.deepEqual(found.projects.map(({ project, blobs }) => `${project}=${blobs}`).sort(), [
      '=2',
      'library=1',
      'team=2',
    ])
  }
  const state = await ground.search()
  assert.equal((await ground.delete(state)).deleted.blobs, 0, 'the grace has just begun')
  assert.equal(await graceLeftMs(ground.collector, state, GRACE_MS), GRACE_MS)
  ground.time += GRACE_MS
  const from = await newestEventId(db)
  assert.deepEqual((await ground.delete(state)).deleted, { blobs: expected.blobs, bytes: expected.bytes })
  for (const text of ['gone config', 'gone layer', 'never in a manifest', 'left by a crash']) {
    assert.equal(await storage.stat(digestOf(text)), undefined, text)
    assert.equal(await findBlob(db, digestOf(text)), undefined, text)
  }
  for (const blob of kept.blobs) assert.ok(await statBlob(registry, app, digestOf(blob)))
  assert.equal(await findRepositoryBlob(db, 'solo', lost), undefined)
  const told = (await eventsAfter(db, from, 100)).map(({ kind, repository }) => `${kind} ${repository}`)
  assert.deepEqual(told.sort(), ['blob.deleted solo', 'blob.deleted team/app', 'blob.deleted team/app'])
})

test('what is needed through an index, a digest in another algorithm, or a manifest that waits for it, stays', async () => {
  const { registry, storage } = ground
  const child = imageOf(['child config', 'child layer'])
  await pushImageTo(registry, 'team/index', child)
  await pushManifestTo(registry, 'team/index', indexOf([child]), 'all')
  const alone = imageOf(['alone config', 'alone layer'])
  await pushImageTo(registry, 'team/untagged', alone)
  const sparse = { ...registry, settings: { ...registry.settings, sparse: true } }
  const early = imageOf(['early config', 'early layer'])
  await pushManifestTo(sparse, 'team/sparse', early, 'waits')
  for (const blob of early.blobs) await pushBlobTo(registry, 'team/sparse', blob)
  assert.equal((await ground.collect()).deleted.blobs, 0)
  for (const blob of [...child.blobs, child.bytes, ...alone.blobs, alone.bytes, ...early.blobs])
    assert.ok(await storage.stat(digestOf(blob)), String(blob))
})

describe('a condemned blob is taken back', () => {
  const name = parseRepositoryName('team/back')
  const digest = digestOf('comes back')
  const bytes = Buffer.from('comes back')

  async function condemned(): Promise<GcState> {
    await pushBlobTo(ground.registry, name, bytes)
    ground.time += GRACE_MS + 1
    const state = await ground.search()
    assert.ok((await findBlob(db, digest))?.condemnedAt)
    ground.time += GRACE_MS + 1
    return state
  }

  const ways: Record<string, () => Promise<unknown>> = {
    'by a push': () => pushBlobTo(ground.registry, name, bytes),
    'by a HEAD': () => statBlob(ground.registry, name, digest),
    'by a mount': () =>
      mountBlob(ground.registry, CALLER, parseRepositoryName('team/other'), digest, { from: name }),
    'by a manifest': async () => {
      await pushBlobTo(ground.registry, name, Buffer.from('its config'))
      await pushManifestTo(ground.registry, name, imageOf(['its config', 'comes back']), 'last')
    },
  }
  for (const [way, act] of Object.entries(ways)) {
    test(way, async () => {
      const state = await condemned()
      await act()
      await ground.delete(state)
      assert.equal((await findBlob(db, digest))?.condemnedAt, null)
      assert.ok(await ground.storage.stat(digest))
    })
  }
})

test('a push that meets a deletion waits for its end, and stores the bytes again', async () => {
  const { registry, storage } = ground
  const bytes = Buffer.from('deleted while it is pushed')
  const digest = await pushBlobTo(registry, 'team/race', bytes)
  ground.time += GRACE_MS + 1
  await ground.search()
  ground.time += GRACE_MS + 1
  const blob = await findBlob(db, digest)
  assert.ok(blob)
  const begin = { condemnedBefore: ground.time, now: ground.time }
  const [going] = await db.transaction((tx) => beginDeleting(tx, [blob.id], begin))
  assert.equal(going?.digest, digest)
  const pushing = pushBlobTo(registry, 'team/race', bytes)
  let isPushed = false
  void pushing.then(() => {
    isPushed = true
  })
  await new Promise((resolve) => setTimeout(resolve, 120))
  assert.equal(isPushed, false)
  ground.time += 61_000
  const { deleted } = await ground.delete(await ground.search())
  assert.equal(deleted.blobs, 1, 'what another began long ago is brought to its end')
  await pushing
  assert.ok(await storage.stat(digest))
  assert.ok(await findRepositoryBlob(db, 'team/race', digest))
})

test('a repository loses what only others need', async () => {
  const { registry } = ground
  const image = imageOf(['two config', 'two layer'])
  await pushImageTo(registry, 'one/app', image, 'stays')
  await pushImageTo(registry, 'two/app', image, 'goes')
  await deleteManifest(registry, CALLER, parseRepositoryName('two/app'), { digest: image.digest })
  await ground.collect()
  const layer = digestOf('two layer')
  assert.ok(await findRepositoryBlob(db, 'one/app', layer))
  assert.equal(await findRepositoryBlob(db, 'two/app', layer), undefined)
})

test('a file that cannot be deleted fails the collection, and the next one goes on', async () => {
  const { registry, storage, collector } = ground
  const digest = await pushBlobTo(registry, 'team/stuck', Buffer.from('stuck'))
  await deleteBlob(registry, CALLER, parseRepositoryName('team/stuck'), digest)
  ground.time += GRACE_MS + 1
  const state = await ground.search()
  ground.time += GRACE_MS + 1
  const stuck = Object.create(storage, {
    delete: { value: async () => Promise.reject(new Error('EIO: i/o error, unlink')) },
  }) as MemoryStorage
  const failing = deleteGarbage({ ...collector, registry: { ...registry, storage: stuck } }, state, {
    ...{ graceMs: GRACE_MS, dryRun: false, signal, checkpoint: async () => {} },
  })
  await assert.rejects(failing, /EIO/)
  assert.ok((await findBlob(db, digest))?.deleting)
  ground.time += 61_000
  assert.equal((await ground.delete(state)).deleted.blobs, 1)
  assert.equal(await storage.stat(digest), undefined)
})

test('deletes keep to their rate', async () => {
  const pace = new Pace(200)
  const start = performance.now()
  for (let count = 0; count < 5; count++) await pace.take(20)
  // The first goes at once, the next 80 take 0.4 s, less what may be made up for.
  assert.ok(performance.now() - start >= 300)
})
