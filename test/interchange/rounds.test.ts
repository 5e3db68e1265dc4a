// Stowage and registry:2 take turns again and again: at each turn Stowage claims nothing that is gone, and takes it again.
import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { encodedOf } from '#oci/digest.ts'
import { send } from '../http/client.ts'
import { type Content, putManifest, randomContent } from '../http/content.ts'
import {
  assertBlob,
  blobStatus,
  manifestStatus,
  Published,
  type PublishedManifest,
  tagsOf,
  upload,
} from './published.ts'
import { SharedFolder, skipReason } from './shared-folder.ts'

const ROUNDS = 2

function dataOf(shared: SharedFolder, { digest }: Content): string {
  const hex = encodedOf(digest)
  return shared.tree('blobs/sha256', hex.slice(0, 2), hex, 'data')
}

describe('rounds of interchange with registry:2', { skip: skipReason, concurrency: 2 }, () => {
  for (const ending of ['stop', 'kill'] as const) {
    test(`what was collected is gone at every question, and taken again, after each ${ending}`, async () => {
      await using shared = await SharedFolder.make()
      const kept = new Published()
      const gone = new Published()
      for (let round = 0; round < ROUNDS; round++) {
        await shared.stowage()
        await claimsNothing(shared, gone, kept)
        await shared.passed()
        await claimsNothing(shared, gone, kept)
        await kept.assertServedBy(shared)
        const repositories = ['kept/here', 'kept/there']
        const layers = [randomContent(1_000)]
        for (const repository of repositories) await kept.image(shared, repository, [`round-${round}`])
        const doomed = new Published()
        const victims: PublishedManifest[] = []
        for (const repository of repositories)
          victims.push(await doomed.image(shared, repository, [`doomed-${round}`], { layers }))
        await shared.mirrored('kept/there', `doomed-${round}`)
        await shared[ending]()

        await shared.distribution()
        for (const { repository, content } of victims) {
          const deleted = await send(shared, 'DELETE', `/v2/${repository}/manifests/${content.digest}`)
          assert.equal(deleted.status, 202, String(deleted.body))
        }
        await kept.image(shared, 'kept/here', [`theirs-${round}`])
        await shared.stop()
        await shared.collectGarbage()
        gone.manifests.push(...doomed.manifests)
        gone.blobs.push(...doomed.blobs)
      }

      await shared.stowage()
      await claimsNothing(shared, gone, kept)
      for (const { repository, content } of gone.blobs) {
        await upload(shared, repository, content)
        await assertBlob(shared, repository, content)
      }
      for (const { repository, content, mediaType, tags } of gone.manifests) {
        const { status } = await putManifest(shared, repository, tags[0] ?? '', content.bytes, mediaType)
        assert.equal(status, 201)
      }
      kept.manifests.push(...gone.manifests)
      kept.blobs.push(...gone.blobs)
      await kept.assertServedBy(shared)
      await shared.passed()
      await kept.assertServedBy(shared)
      await shared.stop()
      await shared.distribution()
      await kept.assertServedBy(shared)
      await shared.stop()
    })
  }

  test('what Stowage deleted is gone for registry:2: tag, manifest and blob', async () => {
    await using shared = await SharedFolder.make()
    await shared.stowage()
    const published = new Published()
    const untagged = await published.image(shared, 'app', ['tag', 'kept'])
    const doomed = new Published()
    const victim = await doomed.image(shared, 'app', ['victim', 'again'])
    const layer = doomed.blobs[1]
    assert.ok(layer)
    for (const path of [
      'manifests/tag',
      `manifests/${victim.content.digest}`,
      `blobs/${layer.content.digest}`,
    ]) {
      const { status, body } = await send(shared, 'DELETE', `/v2/app/${path}`)
      assert.equal(status, 202, `${path}: ${body}`)
    }
    await shared.stop()
    await shared.distribution()
    assert.equal(await manifestStatus(shared, 'app', 'tag'), 404)
    assert.equal(await manifestStatus(shared, 'app', untagged.content.digest), 200)
    for (const reference of ['victim', 'again', victim.content.digest])
      assert.equal(await manifestStatus(shared, 'app', reference), 404, reference)
    assert.equal(await blobStatus(shared, 'app', layer.content.digest), 404)
    assert.deepEqual(await tagsOf(shared, 'app'), ['kept'])
    await shared.stop()
  })

  test('torn bytes of an old tree are never served: not whole, not in part, not mounted', async () => {
    await using shared = await SharedFolder.make()
    await shared.distribution()
    const published = new Published()
    for (let count = 0; count < 4; count++) await published.image(shared, 'old', [`t${count}`])
    await shared.stop()
    const layers = published.blobs.filter((_, index) => index % 2 === 1).map(({ content }) => content)
    const [flipped, short, empty, missing] = layers
    assert.ok(flipped && short && empty && missing)
    const wrong = Buffer.from(flipped.bytes)
    wrong[100] = (wrong[100] ?? 0) ^ 0x20
    await writeFile(dataOf(shared, flipped), wrong)
    await writeFile(dataOf(shared, short), short.bytes.subarray(0, 1000))
    await writeFile(dataOf(shared, empty), '')
    await rm(dataOf(shared, missing))
    const manifest = published.manifests[3]?.content
    assert.ok(manifest)
    const other = Buffer.from(manifest.bytes)
    other[2] = (other[2] ?? 0) ^ 0x20
    await writeFile(dataOf(shared, manifest), other)

    const check = async () => {
      for (const { digest } of layers) {
        const path = `/v2/old/blobs/${digest}`
        const range = await send(shared, 'GET', path, { headers: { Range: 'bytes=0-9' } })
        assert.equal(range.status, 404, path)
        assert.equal(await blobStatus(shared, 'old', digest), 404)
        for (const from of ['&from=old', '']) {
          const mounted = await send(shared, 'POST', `/v2/new/blobs/uploads/?mount=${digest}${from}`)
          assert.equal(mounted.status, 202, path)
        }
      }
      for (const reference of ['t3', manifest.digest])
        assert.equal(await manifestStatus(shared, 'old', reference), 404)
      assert.deepEqual(await tagsOf(shared, 'old'), ['t0', 't1', 't2'])
    }
    const running = await shared.stowage()
    await check()
    await shared.passed()
    await check()
    await shared.stop()
    await shared.stowage()
    await check()
    for (const content of layers) {
      await upload(shared, 'old', content)
      await assertBlob(shared, 'old', content)
    }
    await shared.stop()
    assert.match(running.output, /level=warning/)
  })
})

async function claimsNothing(shared: SharedFolder, gone: Published, kept: Published): Promise<void> {
  for (const { repository, content, tags } of gone.manifests) {
    for (const reference of [content.digest, ...tags])
      assert.equal(await manifestStatus(shared, repository, reference), 404, `${repository}:${reference}`)
  }
  for (const { repository, content } of gone.blobs) {
    assert.equal(await blobStatus(shared, repository, content.digest), 404)
    for (const from of [`&from=${repository}`, '']) {
      const path = `/v2/fresh/blobs/uploads/?mount=${content.digest}${from}`
      assert.equal((await send(shared, 'POST', path)).status, 202, path)
    }
  }
  for (const { repository, content } of kept.blobs)
    assert.equal(await blobStatus(shared, repository, content.digest), 200)
}
