// A pass over a store that can be scanned: the same outcome as by looking at each file, for few requests.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { KeyEntry, KeyStore, Linked, Scanning } from '#blobs/keys.ts'
import { layerLink, revisionLink, tagCurrentLink } from '#blobs/layout.ts'
import { MemoryStorage } from '#blobs/memory.ts'
import type { BlobStorage } from '#blobs/store.ts'
import { findRepositoryBlob } from '#db/blobs.ts'
import type { Db } from '#db/db.ts'
import { findTaggedManifest } from '#db/manifests.ts'
import { repositoryPage } from '#db/repositories.ts'
import { ScannedLinks } from '#maintenance/scan/scanned-links.ts'
import { StoredSizes } from '#maintenance/scan/stored-sizes.ts'
import { TreePass } from '#maintenance/tree-pass.ts'
import { type Digest, digestOf } from '#oci/digest.ts'
import { OCI_MANIFEST } from '#oci/media-types.ts'
import { parseRepositoryName, parseTag } from '#oci/reference.ts'
import type { Log } from '#telemetry/log.ts'
import { openFacts } from '../../../test/processes/test-database.ts'

const APP = parseRepositoryName('team/app')
const never = new AbortController().signal

function memory() {
  return new MemoryStorage({ bytesMax: 64 * 1024 * 1024, now: () => 1_000 })
}

/** Counts what a store of objects would be asked for. */
function counted(storage: MemoryStorage) {
  const asked = { get: 0, list: 0, scan: 0, stat: 0, read: 0 }
  const { keys } = storage
  const countedKeys: KeyStore & Linked & Scanning = {
    get(path) {
      asked.get += 1
      return keys.get(path)
    },
    put: (path, text) => keys.put(path, text),
    remove: (path) => keys.remove(path),
    list(path): AsyncIterable<KeyEntry> {
      asked.list += 1
      return keys.list(path)
    },
    modifiedAt: (path) => keys.modifiedAt(path),
    real: (path) => keys.real(path),
    scan(folder) {
      asked.scan += 1
      return keys.scan(folder)
    },
  }
  const countedStorage = new Proxy(storage, {
    get(target, name) {
      if (name === 'stat' || name === 'read') asked[name] += 1
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return { asked, keys: countedKeys, storage: countedStorage }
}

const errors: string[] = []
const log: Log = {
  debug() {},
  info() {},
  warn: (message, fields) => void errors.push(`${message} ${JSON.stringify(fields)}`),
  error: (message, fields) => void errors.push(`${message} ${JSON.stringify(fields)}`),
  enabled: () => true,
  child: () => log,
}

async function pass(db: Db, store: { keys: KeyStore & Linked; storage: BlobStorage }): Promise<TreePass> {
  const made = new TreePass({ db, ...store, log, now: () => 2_000, watermark: () => 0 })
  await made.run()
  return made
}

async function blob(storage: MemoryStorage, text: string): Promise<Digest> {
  await storage.put(digestOf(text), Buffer.from(text))
  return digestOf(text)
}

async function image(storage: MemoryStorage, name: string, layers: number): Promise<Digest> {
  const repository = parseRepositoryName(name)
  const digests: Digest[] = []
  for (let index = 0; index < layers; index++) digests.push(await blob(storage, `${name} layer ${index}`))
  for (const digest of digests) await storage.keys.put(layerLink(repository, digest), digest)
  const described = digests.map((digest) => ({ mediaType: 'a/b', digest, size: 10 }))
  const [config, ...others] = described
  const manifest = await blob(
    storage,
    JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: others }),
  )
  await storage.keys.put(revisionLink(repository, manifest), manifest)
  await storage.keys.put(tagCurrentLink(repository, parseTag('latest')), manifest)
  return manifest
}

describe('a pass over a store that can be scanned', () => {
  test('takes everything over, asking for tags and manifests only, and for neither layer nor link', async () => {
    const storage = memory()
    const names = ['team', 'team/app', 'team/app/below', 'other/one-two', 'other/one_two', 'a0/b']
    const manifests = new Map<string, Digest>()
    for (const name of names) manifests.set(name, await image(storage, name, 20))
    const db = await openFacts()
    const store = counted(storage)
    const made = await pass(db, store)
    assert.equal(made.done, true)
    assert.deepEqual(await repositoryPage(db, '', 10), names.toSorted())
    for (const [name, digest] of manifests)
      assert.equal((await findTaggedManifest(db, name, 'latest'))?.digest, digest)
    assert.ok(await findRepositoryBlob(db, 'team/app', digestOf('team/app layer 7')))
    const { get, list, stat, read } = store.asked
    assert.deepEqual({ get, list, stat, read }, { get: names.length, list: 0, stat: 0, read: names.length })
    await db.close()
  })

  test('a second pass over the same tree reads only the tags', async () => {
    const storage = memory()
    await image(storage, 'team/app', 20)
    const db = await openFacts()
    await pass(db, counted(storage))
    const store = counted(storage)
    await pass(db, store)
    const { get, stat, read } = store.asked
    assert.deepEqual({ get, stat, read }, { get: 1, stat: 0, read: 0 })
    await db.close()
  })

  test('what the tree lost is forgotten, and bytes that are gone are asked for before they are believed gone', async () => {
    const storage = memory()
    await image(storage, 'team/app', 3)
    const db = await openFacts()
    await pass(db, counted(storage))
    const [unlinked, gone] = [digestOf('team/app layer 0'), digestOf('team/app layer 1')]
    await storage.keys.remove(layerLink(APP, unlinked))
    await storage.delete(gone)
    await pass(db, counted(storage))
    assert.equal(await findRepositoryBlob(db, 'team/app', unlinked), undefined)
    assert.equal(await findRepositoryBlob(db, 'team/app', gone), undefined)
    assert.ok(await findRepositoryBlob(db, 'team/app', digestOf('team/app layer 2')))
    await db.close()
  })
})

test('a link whose size is not that of a digest is read, and so is one in another algorithm', async () => {
  const { keys } = memory()
  const [odd, other] = [digestOf('odd'), digestOf('other', 'sha512')]
  await keys.put(layerLink(APP, odd), `${odd}\n`)
  await keys.put(layerLink(APP, other), odd)
  await keys.put(layerLink(APP, digestOf('usual')), 'x'.repeat(71))
  const links = await ScannedLinks.read(keys, APP, never)
  assert.equal(await links?.get(layerLink(APP, odd)), `${odd}\n`)
  assert.equal(await links?.get(layerLink(APP, other)), odd)
  assert.equal(await links?.get(layerLink(APP, digestOf('usual'))), digestOf('usual'))
  assert.equal(await links?.get(layerLink(APP, digestOf('absent'))), undefined)
})

test('the sizes of a store are found by digest, whatever the order of its list', async () => {
  const storage = memory()
  const wanted = new Map<Digest, number>()
  for (let size = 0; size < 3_000; size++) {
    const bytes = Buffer.alloc(size % 100, String(size))
    wanted.set(digestOf(bytes), bytes.length)
    await storage.put(digestOf(bytes), bytes)
  }
  const sizes = await StoredSizes.read(storage, never)
  for (const [digest, size] of wanted) assert.deepEqual(sizes?.get(digest), { size, modifiedAt: 1_000 })
  assert.equal(sizes?.get(digestOf('not there')), undefined)
})
