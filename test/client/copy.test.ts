// Copies between every kind of place, against registries that run as processes: ours, and distribution's.
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ArchivePlace } from '#client/archive-place.ts'
import { ArchiveWriter } from '#client/archive-writer.ts'
import { copy } from '#client/copy.ts'
import { readLinks } from '#client/graph.ts'
import { LayoutPlace } from '#client/layout-place.ts'
import { MemoryPlace } from '#client/memory-place.ts'
import { RegistryClient } from '#client/registry-client.ts'
import { listRepositories, RegistryPlace } from '#client/registry-place.ts'
import { BlobWhereabouts } from '#client/whereabouts.ts'
import { parseRepositoryName, parseTag } from '#oci/reference.ts'
import {
  type RegistryKind,
  type RegistryServer,
  removeRegistry,
  startRegistry,
} from '../processes/registry-server.ts'
import { isExecutable } from '../tools/find-program.ts'
import { toolPath } from '../tools/pinned.ts'
import { LATEST, putImage, putIndex, putReferrer, readAll } from './made-images.ts'

const MiB = 1024 * 1024
const PLATFORMS = [
  { os: 'linux', architecture: 'amd64' },
  { os: 'linux', architecture: 'arm64', variant: 'v8' },
]

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'client-copy-'))
})
after(async () => {
  await rm(folder, { recursive: true, force: true })
})

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

function forEachRegistry(kind: RegistryKind, skip: string | false): void {
  describe(`with ${kind}`, { skip }, () => {
    let server: RegistryServer
    let client: RegistryClient
    before(async () => {
      server = await startRegistry(kind)
      client = new RegistryClient({ host: server.host })
    })
    after(async () => {
      await client?.close()
      if (server) await removeRegistry(server)
    })
    const place = (name: string) =>
      new RegistryPlace({ client, repository: parseRepositoryName(name), push: true })

    test('an image goes from memory to the registry, to a folder, to an archive and back to memory', async () => {
      const memory = new MemoryPlace()
      const image = await putImage(memory, [10, 300_000, 5 * MiB, 0], LATEST)
      const blobs = readLinks(image).blobs
      const repository = place('journey/app')
      const pushed = await copy(memory, repository, { reference: { tag: LATEST }, tags: [LATEST] })
      assert.equal(pushed.copied.blobs, blobs.length)
      assert.equal(pushed.root.digest, image.descriptor.digest)

      const layout = new LayoutPlace(join(folder, `${kind}-layout`))
      const pulled = await copy(repository, layout, { reference: { tag: LATEST }, tags: [LATEST] })
      assert.equal(
        pulled.copied.bytes,
        blobs.reduce((sum, { size }) => sum + size, 0),
      )

      const path = join(folder, `${kind}.tar`)
      const writer = new ArchiveWriter(path, { dockerName: 'example/app' })
      await copy(layout, writer, { tags: [LATEST] })
      await writer.finish()
      const archive = await ArchivePlace.open(path)
      const back = new MemoryPlace()
      const last = await copy(archive, back, { reference: { tag: LATEST }, tags: [LATEST] })
      assert.equal(last.root.digest, image.descriptor.digest)
      assert.equal(await readAll(back, blobs), pulled.copied.bytes)
    })

    test('a second copy transfers nothing, and a changed image only what changed', async () => {
      const memory = new MemoryPlace()
      const first = await putImage(memory, [MiB, 2000], LATEST)
      const repository = place('again/app')
      await copy(memory, repository, { reference: { tag: LATEST }, tags: [LATEST] })
      const second = await copy(memory, repository, { reference: { tag: LATEST }, tags: [LATEST] })
      assert.deepEqual([second.copied.blobs, second.manifestsCopied, second.manifestsSkipped], [0, 0, 1])

      const changed = new MemoryPlace()
      for (const blob of readLinks(first).blobs) {
        await changed.pushBlob(blob, {
          whole: () => memory.blob(blob),
          from: (at) => memory.blobFrom(blob, at),
        })
      }
      await putImage(changed, [3000], LATEST)
      const third = await copy(changed, repository, { reference: { tag: LATEST }, tags: [LATEST] })
      assert.equal(third.copied.blobs, 2)
    })

    test('between repositories of one registry blobs are mounted', async () => {
      const memory = new MemoryPlace()
      const image = await putImage(memory, [2 * MiB, 4000], LATEST)
      const from = place('mount/from')
      await copy(memory, from, { reference: { tag: LATEST }, tags: [LATEST] })
      const result = await copy(from, place('mount/to'), { reference: { tag: LATEST }, tags: [LATEST] })
      assert.equal(result.copied.blobs, 0)
      assert.equal(result.mounted.blobs, readLinks(image).blobs.length)
    })

    test('over several copies a blob is sent once and mounted into the other repositories', async () => {
      const memory = new MemoryPlace()
      const image = await putImage(memory, [MiB, 4000], LATEST)
      const whereabouts = new BlobWhereabouts()
      const options = { reference: { tag: LATEST }, tags: [LATEST], whereabouts }
      await copy(memory, place('shared/one'), options)
      const result = await copy(memory, place('shared/two'), options)
      assert.equal(result.mounted.blobs, readLinks(image).blobs.length)
    })

    test('an index brings all platforms, or becomes the image of one', async () => {
      const memory = new MemoryPlace()
      const index = await putIndex(memory, PLATFORMS, LATEST)
      const repository = place('index/app')
      const all = await copy(memory, repository, { reference: { tag: LATEST }, tags: [LATEST] })
      assert.equal(all.manifestsCopied, 3)
      assert.equal((await repository.resolve({ tag: LATEST }))?.digest, index.descriptor.digest)

      const layout = new LayoutPlace(join(folder, `${kind}-arm`))
      const one = await copy(repository, layout, {
        reference: { tag: LATEST },
        tags: [LATEST],
        platform: { os: 'linux', architecture: 'arm64' },
      })
      assert.equal(one.root.digest, readLinks(index).manifests[1]?.digest)
      await assert.rejects(
        copy(repository, layout, { platform: { os: 'plan9', architecture: 'mips' } }),
        (error: Error & { hint?: string }) =>
          /no image for plan9\/mips/.test(error.message) && /linux\/amd64/.test(error.hint ?? ''),
      )
    })

    test('referrers follow their subject, by the API or by the tag schema, to a folder and back', async () => {
      const memory = new MemoryPlace()
      const image = await putImage(memory, [2000], LATEST)
      const referrer = await putReferrer(memory, image.descriptor)
      const nested = await putReferrer(memory, referrer.descriptor, 'application/example.signature')
      const repository = place('referrers/app')
      const options = { reference: { tag: LATEST }, tags: [LATEST], referrers: true }
      const result = await copy(memory, repository, options)
      assert.equal(result.referrers, 2)
      const listed = await repository.referrers(image.descriptor.digest)
      assert.deepEqual(
        listed.map(({ digest, artifactType, annotations }) => ({ digest, artifactType, annotations })),
        [
          {
            digest: referrer.descriptor.digest,
            artifactType: 'application/example.sbom',
            annotations: { made: 'here' },
          },
        ],
      )
      const layout = new LayoutPlace(join(folder, `${kind}-referrers`))
      assert.equal((await copy(repository, layout, options)).referrers, 2)
      const back = new MemoryPlace()
      assert.equal((await copy(layout, back, options)).referrers, 2)
      assert.equal((await back.referrers(referrer.descriptor.digest))[0]?.digest, nested.descriptor.digest)
    })

    test('cosign tags are copied with what they sign', async () => {
      const memory = new MemoryPlace()
      const image = await putImage(memory, [2000], LATEST)
      const tag = parseTag(`${image.descriptor.digest.replace(':', '-')}.sig`)
      const signature = await putImage(memory, [100], tag)
      const repository = place('cosign/app')
      await copy(memory, repository, { reference: { tag: LATEST }, tags: [LATEST], referrers: true })
      assert.equal((await repository.resolve({ tag }))?.digest, signature.descriptor.digest)
    })

    test('tags and repositories are listed, and manifests deleted', async () => {
      const memory = new MemoryPlace()
      const image = await putImage(memory, [20], LATEST)
      const repository = place('list/app')
      const tags = ['a', 'b', 'c'].map(parseTag)
      await copy(memory, repository, { reference: { tag: LATEST }, tags })
      assert.deepEqual(await collected(repository.tags()), tags)
      assert.ok((await collected(listRepositories(client))).includes(repository.repository))
      assert.equal(await repository.deleteManifest({ digest: image.descriptor.digest }), true)
      assert.equal(await repository.deleteManifest({ digest: image.descriptor.digest }), false)
      assert.equal(await repository.resolve({ tag: LATEST }), undefined)
    })

    test('what is absent is named in the error', async () => {
      await assert.rejects(copy(place('nothing/here'), new MemoryPlace(), { reference: { tag: LATEST } }), {
        kind: 'not-found',
        message: `${server.host}/nothing/here does not have latest`,
      })
    })

    test('a cancelled copy leaves no part behind', async () => {
      const memory = new MemoryPlace()
      await putImage(memory, [8 * MiB, 8 * MiB], LATEST)
      const repository = place('cancel/app')
      await copy(memory, repository, { reference: { tag: LATEST }, tags: [LATEST] })
      const path = join(folder, `${kind}-cancelled`)
      const cancelling = new AbortController()
      const run = copy(repository, new LayoutPlace(path), {
        reference: { tag: LATEST },
        signal: cancelling.signal,
        onProgress: (event) => {
          if (event.type === 'bytes' && event.descriptor.size === 8 * MiB)
            cancelling.abort(new Error('enough of it'))
        },
      })
      await assert.rejects(run, /enough of it/)
      const files = await readdir(path, { recursive: true })
      assert.deepEqual(
        files.filter((name) => /\.(part|lock)$/.test(name)),
        [],
      )
    })
  })
}

forEachRegistry('stowage', false)
forEachRegistry(
  'distribution',
  isExecutable(toolPath('registry')) ? false : 'distribution is not installed: node test/tools/install.ts go',
)
