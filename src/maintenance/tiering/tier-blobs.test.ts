import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { type FilesystemStorage, openFilesystemStorage } from '#blobs/filesystem.ts'
import { openTieredStorage, type TieredStorage } from '#blobs/tiers/tiered-storage.ts'
import { linkBlob, upsertBlob } from '#db/blobs.ts'
import type { Db } from '#db/db.ts'
import { upsertManifest } from '#db/manifests.ts'
import { addPulls } from '#db/pulls.ts'
import { ensureRepository } from '#db/repositories.ts'
import { tierBlobs } from '#maintenance/tiering/tier-blobs.ts'
import type { TierPolicy } from '#maintenance/tiering/tier-policy.ts'
import { type Digest, digestOf } from '#oci/digest.ts'
import { OCI_MANIFEST } from '#oci/media-types.ts'
import type { Log } from '#telemetry/log.ts'
import { openFacts } from '../../../test/processes/test-database.ts'

const DAY_MS = 86_400_000
const NOW = 1_000 * DAY_MS
const SIZE = 10_000
const POLICY: TierPolicy = {
  moveAfterMs: 30 * DAY_MS,
  moveBytesMin: 1_000,
  prices: { hot: 100, cold: 10, read: 50 },
}

let folder: string
let hot: FilesystemStorage
let cold: FilesystemStorage
let storage: TieredStorage
let db: Db
const warnings: string[] = []
const log: Log = {
  debug() {},
  info() {},
  warn: (message) => void warnings.push(message),
  error: (message) => void warnings.push(message),
  enabled: () => true,
  child: () => log,
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stowage-tiering-'))
  hot = await openFilesystemStorage({ root: join(folder, 'hot'), temporaryId: randomUUID })
  cold = await openFilesystemStorage({ root: join(folder, 'cold'), temporaryId: randomUUID })
  const onError = () => assert.fail('nothing is promoted here')
  storage = await openTieredStorage({ hot, cold, promote: false, temporaryId: randomUUID, onError })
  db = await openFacts()
  warnings.length = 0
})
afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

/** An image that was pushed and last pulled some days ago, with one layer. */
async function image(name: string, pushedDays: number, pulledDays?: number, size = SIZE): Promise<Digest> {
  const layer = Buffer.alloc(size, name)
  const manifest = Buffer.from(`manifest of ${name}`)
  for (const bytes of [layer, manifest]) await storage.put(digestOf(bytes), bytes)
  const pushed = NOW - pushedDays * DAY_MS
  await db.transaction(async (tx) => {
    const holder = await ensureRepository(tx, 'team/app', pushed)
    const rowOf = (bytes: Buffer) =>
      upsertBlob(tx, { digest: digestOf(bytes), size: bytes.length, now: pushed, verifiedAt: pushed })
    const [blobId, own] = [await rowOf(layer), await rowOf(manifest)]
    await linkBlob(tx, { repositoryId: holder.id, blobId, now: pushed })
    const row = { mediaType: OCI_MANIFEST, size: manifest.length, artifactType: null, subject: null }
    await upsertManifest(
      tx,
      {
        repositoryId: holder.id,
        digest: digestOf(manifest),
        blobId: own,
        now: pushed,
        annotations: null,
        ...row,
      },
      { blobIds: [blobId], children: [], missing: [] },
    )
    if (pulledDays === undefined) return
    const pull = { name: digestOf(manifest), at: NOW - pulledDays * DAY_MS, count: 1 }
    await addPulls(tx, { repository: 'team/app', ...pull })
  })
  return digestOf(layer)
}

function run(dryRun: boolean, policy = POLICY) {
  const signal = new AbortController().signal
  const onProgress = async () => {}
  return tierBlobs({ db, tiers: storage, policy, dryRun, now: () => NOW, signal, log, onProgress })
}

const isHot = async (digest: Digest) => (await hot.stat(digest)) !== undefined

test('what nobody pushed or pulled for long goes down, and what is small or in use stays', async () => {
  const old = await image('old', 100)
  const pulledLongAgo = await image('pulled long ago', 100, 31)
  const pulled = await image('pulled', 100, 29)
  const pushed = await image('pushed', 29)
  const small = await image('small', 100, undefined, 999)
  const report = await run(false)
  assert.deepEqual(report.moved, { blobs: 2, bytes: 2 * SIZE })
  assert.deepEqual(report.copied, report.moved)
  for (const [digest, stays] of [
    [old, false],
    [pulledLongAgo, false],
    [pulled, true],
    [pushed, true],
    [small, true],
  ] as const) {
    assert.equal(await isHot(digest), stays)
    assert.ok(await storage.stat(digest))
  }
})

test('a plan says the same and moves nothing, and what it costs for a month before and after', async () => {
  const old = await image('old', 100)
  await image('new', 1)
  const plan = await run(true)
  assert.equal(await isHot(old), true)
  const manifests = Buffer.byteLength('manifest of old') + Buffer.byteLength('manifest of new')
  assert.deepEqual(plan.hot, { blobs: 4, bytes: 2 * SIZE + manifests })
  assert.deepEqual(
    [plan.moved, plan.cold],
    [
      { blobs: 1, bytes: SIZE },
      { blobs: 0, bytes: 0 },
    ],
  )
  const { now, after, saved, readBack } = plan.costs
  const near = (value: number, wanted: number) =>
    assert.ok(Math.abs(value - wanted) < 1e-9, `${value} ${wanted}`)
  near(now, (plan.hot.bytes * 100) / 1e9)
  near(saved, (SIZE * 90) / 1e9)
  near(after, now - saved)
  near(readBack, (SIZE * 50) / 1e9)
  assert.deepEqual((await run(false)).moved, plan.moved)
})

test('what came up again goes down without being copied, and costs twice while it is up', async () => {
  const old = await image('old', 100)
  await run(false)
  await storage.promote(old)
  const plan = await run(true)
  assert.deepEqual([plan.cold.blobs, plan.moved.blobs, plan.copied.blobs], [1, 1, 0])
  await run(false)
  assert.equal(await isHot(old), false)
})

test('bytes without a row stay, and so does what the garbage collection has condemned', async () => {
  const stray = Buffer.alloc(SIZE, 's')
  await storage.put(digestOf(stray), stray)
  const condemned = await image('condemned', 100)
  await db.transaction(async (tx) => {
    await tx.kysely.updateTable('blobs').set({ condemned_at: NOW }).where('digest', '=', condemned).execute()
  })
  assert.equal((await run(false)).moved.blobs, 0)
})

test('a blob that is damaged stays, is told, and keeps none of the others', async () => {
  const old = await image('old', 100)
  const damaged = await image('damaged', 100)
  await hot.put(damaged, Buffer.alloc(SIZE, 'x'))
  const report = await run(false)
  assert.deepEqual([report.moved.blobs, report.failed, warnings.length], [1, 1, 1])
  assert.deepEqual([await isHot(old), await isHot(damaged)], [false, true])
})
