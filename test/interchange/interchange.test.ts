// Stowage and registry:2 take turns with one folder: each serves what the other wrote, and notices what it changed.
import assert from 'node:assert/strict'
import { mkdir, readdir, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { describe, test } from 'node:test'
import { encodedOf } from '#oci/digest.ts'
import { MANIFEST_MEDIA_TYPES, OCI_INDEX } from '#oci/media-types.ts'
import { send } from '../http/client.ts'
import { type Content, contentOf, putManifest, randomContent } from '../http/content.ts'
import { blobStatus, catalogOf, manifestStatus, Published, pushBySha512, tagsOf } from './published.ts'
import { SharedFolder, skipReason } from './shared-folder.ts'

/** Every type of manifest that registry:2 knows, several tags, one layer that all share, names that nest. */
async function publish(server: SharedFolder): Promise<Published> {
  const published = new Published()
  const base = randomContent(5_000)
  const oci = await published.image(server, 'team/app', ['1.0', 'latest'], {
    layers: [base, randomContent(700)],
  })
  await published.image(server, 'team/app', ['2.0'], { layers: [base] })
  await published.index(server, 'team/app', ['multi'], [oci])
  const docker = await published.image(server, 'team/app/nested', ['v2s2', 'edge'], {
    docker: true,
    layers: [base],
  })
  await published.index(server, 'team/app/nested', ['list'], [docker], true)
  await published.image(server, 'solo', ['one'])
  return published
}

const dataOf = ({ digest }: Content) => [
  'blobs/sha256',
  encodedOf(digest).slice(0, 2),
  encodedOf(digest),
  'data',
]

describe('interchange with registry:2', { skip: skipReason, concurrency: 2 }, () => {
  test('registry:2 serves what Stowage wrote, and its garbage collection takes none of it', async () => {
    await using shared = await SharedFolder.make()
    await shared.stowage()
    const published = await publish(shared)
    const wide = await pushBySha512(shared, 'team/wide', 'sha512')
    const bare = contentOf(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] }))
    assert.equal((await putManifest(shared, 'bare', 'empty', bare.bytes, OCI_INDEX)).status, 201)
    await shared.stop()

    await shared.distribution()
    for (const { repository, tags } of published.manifests) {
      for (const tag of tags)
        assert.equal(await manifestStatus(shared, repository, tag), 200, `${repository}:${tag}`)
    }
    assert.deepEqual(await catalogOf(shared), ['bare', ...published.repositories, 'team/wide'].sort())
    await shared.stop()
    await shared.collectGarbage()

    await shared.distribution()
    for (const { repository, content, tags, mediaType } of published.manifests) {
      for (const reference of [content.digest, ...tags]) {
        const path = `/v2/${repository}/manifests/${reference}`
        const answer = await send(shared, 'GET', path, { headers: { Accept: MANIFEST_MEDIA_TYPES } })
        assert.deepEqual([answer.status, answer.headers['content-type']], [200, mediaType], path)
        assert.deepEqual(answer.body, content.bytes, path)
      }
    }
    for (const { repository, content } of published.blobs)
      assert.equal(await blobStatus(shared, repository, content.digest), 200)
    const answer = await send(shared, 'GET', '/v2/team/wide/manifests/sha512', {
      headers: { Accept: MANIFEST_MEDIA_TYPES },
    })
    assert.equal(answer.status, 200, String(answer.body))
    assert.deepEqual(answer.body, wide.content.bytes)
    await shared.stop()

    await shared.stowage()
    await shared.passed()
    published.manifests.push(wide, {
      repository: 'bare',
      mediaType: OCI_INDEX,
      content: bare,
      tags: ['empty'],
    })
    await published.assertServedBy(shared)
    await shared.stop()
  })

  test('Stowage takes over what registry:2 wrote, serving it from the first moment', async () => {
    await using shared = await SharedFolder.make()
    await shared.distribution()
    const published = await publish(shared)
    await shared.stop()
    const links = await shared.links()

    await shared.stowage()
    await published.assertServedBy(shared)
    await shared.passed()
    await published.assertServedBy(shared)
    assert.deepEqual(await shared.links(), links, 'taking over writes no link file')
    await shared.stop()
  })

  test('what registry:2 stored with a subject is listed as a referrer, as its fallback tag lists it', async () => {
    await using shared = await SharedFolder.make()
    await shared.distribution()
    const published = new Published()
    const subject = await published.image(shared, 'signed', ['1.0'])
    const { digest, bytes } = subject.content
    const members = {
      subject: { mediaType: subject.mediaType, digest, size: bytes.length },
      annotations: { 'org.example.result': 'good' },
    }
    const signature = await published.image(shared, 'signed', [], { members })
    await published.index(shared, 'signed', [digest.replace(':', '-')], [signature])
    await shared.stop()
    await shared.stowage()
    const check = async () => {
      const answer = await send(shared, 'GET', `/v2/signed/referrers/${digest}`)
      const { manifests } = JSON.parse(String(answer.body)) as { manifests: Record<string, unknown>[] }
      assert.deepEqual(
        manifests.map((descriptor) => [descriptor['digest'], descriptor['annotations']]),
        [[signature.content.digest, members.annotations]],
      )
    }
    await check()
    await shared.passed()
    await check()
    await published.assertServedBy(shared)
    await shared.stop()
  })

  test('what is broken in an old tree is absent, and never stops the rest', async () => {
    await using shared = await SharedFolder.make()
    await shared.distribution()
    const published = await publish(shared)
    const broken = await new Published().image(shared, 'old', ['torn', 'kept'], {})
    const gone = new Published()
    await gone.image(shared, 'old', ['gone'])
    await shared.stop()
    const tags = (...parts: string[]) => shared.tree('repositories/old/_manifests/tags', ...parts)
    await truncate(shared.tree(...dataOf(broken.content)), 20)
    const [layer] = gone.blobs.slice(-1)
    assert.ok(layer)
    await rm(shared.tree(...dataOf(layer.content)))
    const torn = gone.blobs[0]
    assert.ok(torn)
    await truncate(shared.tree(...dataOf(torn.content)), 0)
    await mkdir(tags('no-link'))
    await mkdir(tags('empty-link/current'), { recursive: true })
    await writeFile(tags('empty-link/current/link'), '')
    await mkdir(tags('dangling/current'), { recursive: true })
    await writeFile(tags('dangling/current/link'), `sha256:${'0'.repeat(64)}`)
    await mkdir(tags('not a tag/current'), { recursive: true })
    await writeFile(tags('a-file'), 'junk')
    await mkdir(tags('link-is-folder/current/link'), { recursive: true })
    await mkdir(shared.tree('repositories/UPPER/_manifests/tags'), { recursive: true })
    await writeFile(shared.tree('repositories/README.txt'), 'junk')
    await symlink('/nowhere', shared.tree('repositories/astray'))
    await symlink(shared.tree('repositories'), shared.tree('repositories/old/loop'))
    await symlink('loop', tags('loop'))
    await mkdir(shared.tree('repositories/old/_uploads/6b3c9a93-0000/hashstates/sha256'), { recursive: true })
    await writeFile(shared.tree('repositories/old/_uploads/6b3c9a93-0000/data'), 'half')
    await mkdir(shared.tree('repositories/old/_layers/sha256/nothing'), { recursive: true })
    // registry:2 itself writes no newline; hands and scripts do.
    await writeFile(
      shared.tree('repositories/solo/_manifests/tags/one/current/link'),
      `${published.manifests.at(-1)?.content.digest}\n`,
    )

    const check = async () => {
      for (const tag of [
        'torn',
        'kept',
        'no-link',
        'empty-link',
        'dangling',
        'a-file',
        'link-is-folder',
        'loop',
      ])
        assert.equal(await manifestStatus(shared, 'old', tag), 404, tag)
      assert.equal(await manifestStatus(shared, 'old', broken.content.digest), 404)
      assert.equal(await manifestStatus(shared, 'old', 'gone'), 200)
      assert.equal(await blobStatus(shared, 'old', layer.content.digest), 404)
      assert.equal(await blobStatus(shared, 'old', torn.content.digest), 404)
      assert.deepEqual(await tagsOf(shared, 'old'), ['gone'])
    }
    const running = await shared.stowage()
    await check()
    await shared.passed()
    await check()
    published.manifests.push(...gone.manifests)
    await published.assertServedBy(shared)
    assert.match(running.output, /level=warning/)
    await shared.stop()
    assert.ok(
      (await readdir(dirname(tags('a-file')))).includes('a-file'),
      'what is broken is left for who wrote it',
    )
  })

  for (const ending of ['stop', 'kill'] as const) {
    test(`what registry:2 did after the ${ending} of Stowage is noticed`, async () => {
      await using shared = await SharedFolder.make()
      await shared.stowage()
      const published = await publish(shared)
      const moved = await published.image(shared, 'team/app', ['moving'])
      const doomed = new Published()
      const victim = await doomed.image(shared, 'team/app', ['doomed'])
      await doomed.image(shared, 'team/app', ['untagged-later'])
      if (ending === 'kill') await shared.mirrored('team/app', 'untagged-later')
      await shared[ending]()

      await shared.distribution()
      const deleted = await send(shared, 'DELETE', `/v2/team/app/manifests/${victim.content.digest}`)
      assert.equal(deleted.status, 202, String(deleted.body))
      published.untag('team/app', 'moving')
      await published.image(shared, 'team/app', ['moving', 'fresh'])
      await published.image(shared, 'brand/new', ['tag'])
      // registry:2.8 has no delete of a tag over the network: people do it like this.
      await rm(shared.tree('repositories/team/app/_manifests/tags/untagged-later'), { recursive: true })
      await shared.stop()
      await shared.collectGarbage()
      published.remove(moved)
      published.blobs.splice(
        published.blobs.findIndex(({ content }) => moved.content.bytes.includes(content.digest)),
        2,
      )

      await shared.stowage()
      const check = async () => {
        await published.assertServedBy(shared)
        for (const { content, repository } of doomed.manifests)
          assert.equal(await manifestStatus(shared, repository, content.digest), 404)
        for (const { content, repository } of doomed.blobs)
          assert.equal(await blobStatus(shared, repository, content.digest), 404)
      }
      await check()
      await shared.passed()
      await check()
      await shared.stop()
      await shared.distribution()
      await published.assertServedBy(shared)
      await shared.stop()
    })
  }
})
