import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { LayoutPlace } from '#client/layout-place.ts'
import type { BlobContent, ManifestContent } from '#client/place.ts'
import { verified } from '#client/verify.ts'
import { type ByteSource, sourceOf } from '#lib/byte-source.ts'
import { digestOf } from '#oci/digest.ts'
import { OCI_INDEX } from '#oci/media-types.ts'
import { parseTag } from '#oci/reference.ts'

let folder = ''
beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'layout-')), 'out')
})
afterEach(() => rm(join(folder, '..'), { recursive: true, force: true }))

function blob(size = 100_000) {
  const bytes = randomBytes(size)
  return { bytes, descriptor: { mediaType: 'text/plain', digest: digestOf(bytes), size } }
}

function contentOf(descriptor: ReturnType<typeof blob>['descriptor'], source: ByteSource): BlobContent {
  return { whole: () => verified(descriptor, source, 'the test'), from: () => assert.fail('not asked for') }
}

function manifest(name: string): ManifestContent {
  const bytes = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [], annotations: { name } }),
  )
  return { descriptor: { mediaType: OCI_INDEX, digest: digestOf(bytes), size: bytes.byteLength }, bytes }
}

const leftovers = async () =>
  (await readdir(folder, { recursive: true })).filter((name) => /ingest|\.part|\.lock|\.tmp/.test(name))

describe('a shared folder', () => {
  test('two users that want one blob share one download', async () => {
    const { bytes, descriptor } = blob()
    let downloads = 0
    const slow: ByteSource = async (sink) => {
      downloads += 1
      await sink(bytes.subarray(0, 1000))
      await sleep(150)
      await sink(bytes.subarray(1000))
    }
    // Two places, as two programs have them: they know of each other by the folder alone.
    const outcomes = await Promise.all(
      [new LayoutPlace(folder), new LayoutPlace(folder)].map((place) =>
        place.pushBlob(descriptor, contentOf(descriptor, slow)),
      ),
    )
    assert.deepEqual([...outcomes].sort(), ['copied', 'present'])
    assert.equal(downloads, 1)
    assert.deepEqual(await leftovers(), [])
  })

  test('many that begin and end at the same time do not take the folder for unfinished blobs from each other', async () => {
    const lanes = Array.from({ length: 8 }, async () => {
      for (let at = 0; at < 40; at++) {
        const { bytes, descriptor } = blob(at)
        const place = new LayoutPlace(folder)
        await place.pushBlob(descriptor, contentOf(descriptor, sourceOf(bytes)))
      }
    })
    await Promise.all(lanes)
    assert.deepEqual(await leftovers(), [])
  })

  test('when one of them fails, the other downloads it', async () => {
    const { bytes, descriptor } = blob()
    const failing: ByteSource = async (sink) => {
      await sink(bytes.subarray(0, 1000))
      await sleep(100)
      throw new Error('the network is gone')
    }
    const first = new LayoutPlace(folder).pushBlob(descriptor, contentOf(descriptor, failing))
    const failed = assert.rejects(first, /the network is gone/)
    await sleep(30)
    const second = await new LayoutPlace(folder).pushBlob(descriptor, contentOf(descriptor, sourceOf(bytes)))
    await failed
    assert.equal(second, 'copied')
    assert.deepEqual(await leftovers(), [])
  })

  test('the lock of a program that died is not waited for', async () => {
    const { bytes, descriptor } = blob()
    const lock = join(folder, '.ingest', `${descriptor.digest.replace(':', '-')}.lock`)
    await mkdir(join(folder, '.ingest'), { recursive: true })
    await writeFile(lock, '')
    const long = new Date(Date.now() - 60_000)
    await utimes(lock, long, long)
    assert.equal(
      await new LayoutPlace(folder).pushBlob(descriptor, contentOf(descriptor, sourceOf(bytes))),
      'copied',
    )
    assert.deepEqual(await leftovers(), [])
  })

  test('waiting for another can be cancelled', async () => {
    const { bytes, descriptor } = blob()
    let release = () => {}
    const held: ByteSource = async (sink) => {
      await new Promise<void>((resolve) => (release = resolve))
      await sink(bytes)
    }
    const first = new LayoutPlace(folder).pushBlob(descriptor, contentOf(descriptor, held))
    await sleep(50)
    const signal = AbortSignal.timeout(50)
    await assert
      .rejects(
        new LayoutPlace(folder).pushBlob(descriptor, contentOf(descriptor, sourceOf(bytes)), { signal }),
        { name: 'TimeoutError' },
      )
      .finally(() => release())
    assert.equal(await first, 'copied')
  })

  test('many writers of index.json lose no entry of each other', async () => {
    const places = [new LayoutPlace(folder), new LayoutPlace(folder), new LayoutPlace(folder)]
    const names = Array.from({ length: 24 }, (_, index) => `tag-${index}`)
    await Promise.all(
      names.map((name, index) => places[index % 3]?.pushManifest(manifest(name), { tag: parseTag(name) })),
    )
    const found: string[] = []
    for await (const tag of new LayoutPlace(folder).tags()) found.push(tag)
    assert.deepEqual(found.sort(), names.sort())
    assert.deepEqual(await leftovers(), [])
  })

  test('a lock on index.json whose owner died is broken', async () => {
    const place = new LayoutPlace(folder)
    await place.pushManifest(manifest('one'), { tag: parseTag('one') })
    const lock = join(folder, 'index.json.lock')
    await writeFile(lock, '')
    const long = new Date(Date.now() - 60_000)
    await utimes(lock, long, long)
    await place.pushManifest(manifest('two'), { tag: parseTag('two') })
    assert.ok(await place.resolve({ tag: parseTag('two') }))
  })
})

describe('what lies in a folder', () => {
  test('wrong content is never seen under its name', async () => {
    const { descriptor } = blob()
    const place = new LayoutPlace(folder)
    const wrong = contentOf(descriptor, sourceOf(randomBytes(descriptor.size)))
    await assert.rejects(place.pushBlob(descriptor, wrong), { kind: 'corrupt' })
    assert.equal(await place.has(descriptor), false)
    assert.deepEqual(await readdir(join(folder, 'blobs', 'sha256')), [])
    assert.deepEqual(await leftovers(), [])
  })

  test('a blob that a crash cut short is downloaded again', async () => {
    const { bytes, descriptor } = blob()
    await mkdir(join(folder, 'blobs', 'sha256'), { recursive: true })
    await writeFile(join(folder, 'blobs', 'sha256', descriptor.digest.slice(7)), bytes.subarray(0, 10))
    const place = new LayoutPlace(folder)
    await assert.rejects(
      place.blob(descriptor)(() => undefined),
      /has 10 bytes instead of 100000/,
    )
    assert.equal(await place.pushBlob(descriptor, contentOf(descriptor, sourceOf(bytes))), 'copied')
    await place.blob(descriptor)(() => undefined)
  })

  test('a tag moves, and an entry that another tool made stays', async () => {
    const place = new LayoutPlace(folder)
    const tag = parseTag('v1')
    await place.pushManifest(manifest('old'), { tag })
    const path = join(folder, 'index.json')
    const index = JSON.parse(await readFile(path, 'utf8'))
    const foreign = { ...manifest('foreign').descriptor, annotations: { 'org.example.note': 'keep me' } }
    index.manifests.push(foreign)
    index.annotations = { 'org.example.index': 'and me' }
    await writeFile(path, JSON.stringify(index))
    await place.pushManifest(manifest('new'), { tag })
    assert.equal((await place.resolve({ tag }))?.digest, manifest('new').descriptor.digest)
    const after = JSON.parse(await readFile(path, 'utf8'))
    assert.equal(after.manifests.length, 2)
    assert.deepEqual(after.manifests[0], foreign)
    assert.deepEqual(after.annotations, { 'org.example.index': 'and me' })
  })

  test('without a reference the only image is meant, and of several one must be named', async () => {
    const place = new LayoutPlace(folder)
    await place.pushManifest(manifest('one'), { tag: parseTag('one') })
    assert.equal((await place.resolve(undefined))?.digest, manifest('one').descriptor.digest)
    await place.pushManifest(manifest('two'), { tag: parseTag('two') })
    await assert.rejects(place.resolve(undefined), { kind: 'invalid', hint: 'name one of them: one, two' })
  })

  test('a name as containerd and docker write it is found by its tag', async () => {
    const place = new LayoutPlace(folder)
    await place.pushManifest(manifest('one'), { tag: parseTag('x') })
    const path = join(folder, 'index.json')
    const index = JSON.parse(await readFile(path, 'utf8'))
    index.manifests[0].annotations = { 'org.opencontainers.image.ref.name': 'docker.io/library/app:v7' }
    await writeFile(path, JSON.stringify(index))
    assert.ok(await place.resolve({ tag: parseTag('v7') }))
    assert.equal(await place.resolve({ tag: parseTag('v8') }), undefined)
  })

  test('an index.json that is none is an error that names the file', async () => {
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'index.json'), '[]')
    await assert.rejects(
      new LayoutPlace(folder).resolve(undefined),
      /index\.json is not the index of a layout/,
    )
  })

  test('a folder that is not there has nothing, and reading does not make it', async () => {
    assert.equal(await new LayoutPlace(folder).resolve({ tag: parseTag('v1') }), undefined)
    await assert.rejects(readdir(folder), { code: 'ENOENT' })
  })
})
