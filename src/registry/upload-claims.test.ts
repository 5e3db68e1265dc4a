// Several processes write to one upload: here as several registries over one database and one folder.
import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { openFilesystemStorage } from '#blobs/filesystem.ts'
import type { Db } from '#db/db.ts'
import { LocalSignals, type Signals } from '#db/signals.ts'
import { countUploads, findUpload, freeUploadsOf } from '#db/uploads.ts'
import { ReadRecorder } from '#events/reads.ts'
import { internalCaller } from '#identity/caller.ts'
import { type ByteSource, sourceOf } from '#lib/byte-source.ts'
import { KeyedMutex } from '#lib/keyed-mutex.ts'
import { Lru } from '#lib/lru.ts'
import { type Digest, digestOf } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import type { RepositoryName } from '#oci/reference.ts'
import { openBlob } from '#registry/blobs.ts'
import { LiveUploads } from '#registry/live-uploads.ts'
import { OpenUploads } from '#registry/open-uploads.ts'
import type { Registry } from '#registry/registry.ts'
import { SharedClaims } from '#registry/upload-claims.ts'
import { appendToUpload, cancelUpload, closeUpload, openUpload, uploadStatus } from '#registry/uploads.ts'
import { silentLog } from '#telemetry/log.ts'
import { openFacts } from '../../test/processes/test-database.ts'

const CALLER = internalCaller('test')
const APP = 'app' as RepositoryName

let root: string
let db: Db
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'stowage-claims-'))
  db = await openFacts()
})
after(async () => {
  await db.close()
  await rm(root, { recursive: true, force: true })
})

/** Signals that nobody hears. */
class LostSignals extends LocalSignals {
  override publish(): void {}
}

async function processOver(name: string, signals: Signals, boot = ''): Promise<Registry> {
  return {
    db,
    storage: await openFilesystemStorage({ root, temporaryId: randomUUID }),
    guards: [],
    upstreams: [],
    settings: {
      ...{ sparse: false, validationDisabled: false },
      ...{ deletedWindowMs: 0, graceMs: 0, openUploadsMax: 100, tagsPageMax: 10, catalogPageMax: 10 },
    },
    reads: new ReadRecorder(db, silentLog(), Date.now),
    log: silentLog(),
    now: Date.now,
    newId: randomUUID,
    announce() {},
    live: new LiveUploads(10),
    claims: new SharedClaims(name, signals),
    openUploads: new OpenUploads({ count: 0, now: Date.now, recount: () => countUploads(db) }),
    boot,
    content: new Lru({ weightMax: 1000, entryWeightMax: 1000 }),
    verifying: new KeyedMutex(),
  }
}

/** A body that sends `first`, and then nothing until it is told to send the rest or is cut off. */
function stalling(first: Buffer, rest: Buffer) {
  const [begun, going] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const source: ByteSource = async (sink, signal) => {
    await sink(Buffer.from(first))
    begun.resolve()
    const cut = new Promise((_, reject) =>
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true }),
    )
    await Promise.race([going.promise, cut])
    await sink(Buffer.from(rest))
  }
  return { source, begun: begun.promise, go: () => going.resolve() }
}

async function contentOf(registry: Registry, digest: Digest): Promise<Buffer> {
  const content = await openBlob(registry, APP, digest)
  if (content.bytes) return content.bytes
  const chunks: Buffer[] = []
  for await (const chunk of content.reader.chunks()) chunks.push(Buffer.from(chunk))
  await content.reader.close()
  return Buffer.concat(chunks)
}

const isBusy = (error: unknown) => error instanceof OciError && error.reason === 'UPLOAD_BUSY'

describe('an upload that goes through several processes', () => {
  for (const boot of ['', 'this-run']) {
    test(`is opened, continued and closed at another one each time (${boot || 'another system'})`, async () => {
      const signals = new LocalSignals()
      const all = await Promise.all(['a', 'b', 'c', 'd'].map((name) => processOver(name, signals, boot)))
      const [a, b, c, d] = all as [Registry, Registry, Registry, Registry]
      const bytes = randomBytes(900_000)
      const { id } = await openUpload(a, CALLER, APP)
      const [first, second] = [bytes.subarray(0, 400_000), bytes.subarray(400_000)]
      await appendToUpload(b, CALLER, APP, id, { source: sourceOf(Buffer.from(first)) })
      assert.equal((await uploadStatus(a, CALLER, APP, id)).offset, 400_000)
      const range = { start: 400_000, end: 900_000 }
      await appendToUpload(c, CALLER, APP, id, { source: sourceOf(Buffer.from(second)), range })
      assert.equal((await uploadStatus(b, CALLER, APP, id)).offset, 900_000, 'not what it remembers')
      const digest = digestOf(bytes)
      assert.deepEqual(await closeUpload(d, CALLER, APP, id, digest), { digest, size: 900_000, warnings: [] })
      assert.ok((await contentOf(a, digest)).equals(bytes))
      assert.equal(await findUpload(db, id), undefined)
    })
  }

  test('goes back and forth without counting a byte twice', async () => {
    const signals = new LocalSignals()
    const [a, b] = [await processOver('a', signals, 'run'), await processOver('b', signals, 'run')]
    const bytes = randomBytes(64_000)
    const { id } = await openUpload(a, CALLER, APP)
    for (let chunk = 0; chunk < 8; chunk++) {
      const part = Buffer.from(bytes.subarray(chunk * 8_000, (chunk + 1) * 8_000))
      const { offset } = await appendToUpload(chunk % 2 ? b : a, CALLER, APP, id, { source: sourceOf(part) })
      assert.equal(offset, (chunk + 1) * 8_000)
    }
    const digest = digestOf(bytes, 'sha512')
    await closeUpload(a, CALLER, APP, id, digest)
    assert.ok((await contentOf(b, digest)).equals(bytes))
  })

  test('is taken over from a request that another process serves, which keeps what it has', async () => {
    const signals = new LocalSignals()
    const [a, b] = [await processOver('a', signals), await processOver('b', signals)]
    const bytes = randomBytes(500_000)
    const { id } = await openUpload(a, CALLER, APP)
    const older = stalling(bytes.subarray(0, 200_000), bytes.subarray(200_000))
    const refused = assert.rejects(appendToUpload(a, CALLER, APP, id, { source: older.source }), isBusy)
    await older.begun
    const start = performance.now()
    const more = { source: sourceOf(Buffer.from(bytes.subarray(200_000))) }
    assert.equal((await appendToUpload(b, CALLER, APP, id, more)).offset, 500_000)
    assert.ok(performance.now() - start < 1_500, 'the signal arrived')
    await refused
    await closeUpload(a, CALLER, APP, id, digestOf(bytes))
    assert.ok((await contentOf(b, digestOf(bytes))).equals(bytes))
  })

  test('is taken over also where no signal arrives, and what the older request goes on to write does not count', async () => {
    const [a, b] = [await processOver('a', new LostSignals()), await processOver('b', new LostSignals())]
    const bytes = randomBytes(500_000)
    const { id } = await openUpload(a, CALLER, APP)
    await appendToUpload(a, CALLER, APP, id, { source: sourceOf(Buffer.from(bytes.subarray(0, 100_000))) })
    const older = stalling(randomBytes(50_000), randomBytes(800_000))
    const refused = assert.rejects(appendToUpload(a, CALLER, APP, id, { source: older.source }), isBusy)
    await older.begun
    const more = { source: sourceOf(Buffer.from(bytes.subarray(100_000))) }
    assert.equal((await appendToUpload(b, CALLER, APP, id, more)).offset, 500_000)
    older.go()
    await refused
    assert.equal((await uploadStatus(a, CALLER, APP, id)).offset, 500_000)
    await closeUpload(a, CALLER, APP, id, digestOf(bytes))
    assert.ok((await contentOf(b, digestOf(bytes))).equals(bytes))
    assert.deepEqual(await readdir(join(root, 'stowage/uploads')), [], 'no file is left behind')
  })

  test('cannot be closed by a request that was overtaken', async () => {
    const [a, b] = [await processOver('a', new LostSignals()), await processOver('b', new LostSignals())]
    const mine = randomBytes(30_000)
    const { id } = await openUpload(a, CALLER, APP)
    const older = stalling(mine.subarray(0, 10_000), mine.subarray(10_000))
    const closing = closeUpload(a, CALLER, APP, id, digestOf(mine), { source: older.source })
    const refused = assert.rejects(closing, isBusy)
    await older.begun
    await cancelUpload(b, CALLER, APP, id)
    older.go()
    await refused
    await assert.rejects(contentOf(a, digestOf(mine)), (error: OciError) => error.reason === 'BLOB_UNKNOWN')
  })

  test('is free at once when its process is known to be gone', async () => {
    const [a, b] = [await processOver('dead', new LostSignals()), await processOver('b', new LostSignals())]
    const bytes = randomBytes(40_000)
    const { id } = await openUpload(a, CALLER, APP)
    const older = stalling(bytes.subarray(0, 10_000), bytes.subarray(10_000))
    const refused = assert.rejects(appendToUpload(a, CALLER, APP, id, { source: older.source }), isBusy)
    await older.begun
    assert.equal(await db.transaction((tx) => freeUploadsOf(tx, 'dead')), 1)
    const start = performance.now()
    await uploadStatus(b, CALLER, APP, id)
    await cancelUpload(b, CALLER, APP, id)
    assert.ok(performance.now() - start < 1_500, 'nothing is waited for')
    older.go()
    await refused
  })
})
