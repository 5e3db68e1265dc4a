// What a pass makes of a tree, what is answered before it has run, and what must survive it.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { layerLink, layersFolder, revisionLink, tagCurrentLink, tagFolder } from '#blobs/layout.ts'
import { addBlobAlias, findBlob, findRepositoryBlob, unlinkBlob } from '#db/blobs.ts'
import { findManifest, findTaggedManifest } from '#db/manifests.ts'
import { findRepository, repositoryPage } from '#db/repositories.ts'
import { deleteTag, tagPage } from '#db/tags.ts'
import { standInMark } from '#maintenance/link-tree.ts'
import { APP, TAG, TreeUnderTest } from '#maintenance/tree-under-test.ts'
import { type Digest, digestOf } from '#oci/digest.ts'
import { parseRepositoryName, parseTag } from '#oci/reference.ts'

let tree: TreeUnderTest
beforeEach(async () => {
  tree = await TreeUnderTest.open()
})
afterEach(() => tree.close())

const tagged = async (tag = TAG, repository = APP) =>
  (await findTaggedManifest(tree.db, repository, tag))?.digest
const holds = async (digest: Digest, repository = APP) =>
  (await findRepositoryBlob(tree.db, repository, digest)) !== undefined

describe('before the pass has run', () => {
  test('a tag that is asked for is taken over, with its manifest and what keeps its blobs', async () => {
    const image = await tree.image('a', ['1.0'])
    assert.equal(tree.pass.wants(APP), true)
    await tree.pass.manifest(APP, { tag: TAG })
    assert.equal(await tagged(), image.digest)
    assert.equal((await tree.blobsOfManifest(image.digest)).length, 2)
  })

  test('a manifest asked for by digest brings what keeps its blobs', async () => {
    const image = await tree.image('a')
    await tree.pass.manifest(APP, { digest: image.digest })
    assert.equal((await tree.blobsOfManifest(image.digest)).length, 2)
    await tree.pass.run()
    assert.equal((await tree.blobsOfManifest(image.digest)).length, 2)
  })

  test('all tags, or all names, are taken over when they are listed', async () => {
    const other = parseRepositoryName('team/app/below')
    await tree.image('a', ['1.0', '2.0'])
    await tree.image('b', ['3.0'], other)
    await tree.pass.tags(APP)
    const holder = await findRepository(tree.db, APP)
    assert.deepEqual(await tagPage(tree.db, holder?.id ?? 0, '', 10), ['1.0', '2.0'])
    assert.equal(tree.pass.wants(APP), false)
    assert.equal(tree.pass.wants(other), true)
    await tree.pass.repositories()
    assert.deepEqual(await repositoryPage(tree.db, '', 10), ['team/app', 'team/app/below'])
    assert.equal(tree.pass.wants(other), true, 'a list of names need not wait for what they hold')
  })

  test('what the facts know and whose bytes are gone is not claimed', async () => {
    const image = await tree.image('a', ['1.0'])
    await tree.pass.run()
    tree.now += 1000
    await tree.storage.delete(image.digest)
    await tree.storage.delete(image.layer)
    tree.newPass()
    await tree.pass.manifest(APP, { tag: TAG })
    await tree.pass.blob(APP, image.layer)
    assert.equal(await tagged(), undefined)
    assert.equal(await findManifest(tree.db, APP, image.digest), undefined)
    assert.equal(await holds(image.layer), false)
  })

  test('requests and the pass at once lead to the same', async () => {
    const image = await tree.image('a', ['1.0', '2.0'])
    await Promise.all([
      tree.pass.tags(APP),
      tree.pass.run(),
      tree.pass.tags(APP),
      tree.pass.manifest(APP, { tag: TAG }),
      tree.pass.repositories(),
    ])
    assert.equal(await tagged(), image.digest)
    assert.equal(tree.pass.done, true)
    assert.equal(tree.pass.wants(APP), false)
  })
})

describe('a pass', () => {
  test('takes over every repository, and is done then', async () => {
    const names = ['a', 'a/b', 'a/b/c', 'z'].map(parseRepositoryName)
    for (const name of names) await tree.image(name, ['1.0'], name)
    await tree.pass.run()
    assert.equal(tree.pass.done, true)
    assert.deepEqual(await repositoryPage(tree.db, '', 10), names)
    for (const name of names) assert.equal(tree.pass.wants(name), false)
    assert.deepEqual(tree.warnings, [])
  })

  test('a second pass over the same tree changes nothing', async () => {
    await tree.image('a', ['1.0'])
    await tree.pass.run()
    const changes = async () => (await tree.db.kysely.selectFrom('manifests').selectAll().execute()).length
    const before = await changes()
    tree.now += 1000
    await tree.newPass().run()
    assert.equal(await changes(), before)
    assert.deepEqual(tree.warnings, [])
  })

  test('forgets what the tree lost: tag, manifest, blob, repository', async () => {
    const image = await tree.image('a', ['1.0', 'kept'])
    const doomed = await tree.image('b', ['doomed'])
    const other = parseRepositoryName('other')
    await tree.image('c', ['1.0'], other)
    await tree.pass.run()
    await tree.keys.remove(tagFolder(APP, TAG))
    await tree.keys.remove(revisionLink(APP, doomed.digest))
    await tree.keys.remove(tagFolder(APP, parseTag('doomed')))
    await tree.keys.remove(layerLink(APP, doomed.layer))
    await tree.keys.remove('docker/registry/v2/repositories/other')
    await tree.newPass().run()
    assert.equal(await tagged(), undefined)
    assert.equal(await tagged(parseTag('kept')), image.digest)
    assert.equal(await findManifest(tree.db, APP, doomed.digest), undefined)
    assert.equal(await holds(doomed.layer), false)
    assert.equal(await tagged(TAG, other), undefined)
  })

  test('a tag that another program moved to something broken is absent, not what it meant before', async () => {
    await tree.image('a', ['1.0'])
    await tree.pass.run()
    await tree.keys.put(tagCurrentLink(APP, TAG), `sha256:${'0'.repeat(64)}`)
    await tree.newPass().run()
    assert.equal(await tagged(), undefined)
    assert.match(tree.warnings.join('\n'), /leads to nothing.*tags\/1\.0/)
  })

  for (const text of ['', '\n', 'junk', 'sha256:short']) {
    test(`a link that says ${JSON.stringify(text)} is no news: what the facts know stands`, async () => {
      const image = await tree.image('a', ['1.0'])
      await tree.pass.run()
      for (const path of [
        tagCurrentLink(APP, TAG),
        revisionLink(APP, image.digest),
        layerLink(APP, image.layer),
      ])
        await tree.keys.put(path, text)
      await tree.newPass().run()
      assert.equal(await tagged(), image.digest)
      assert.equal(await holds(image.layer), true)
      assert.equal(tree.warnings.length, 3)
    })

    test(`a link that says ${JSON.stringify(text)} is absent when nothing else is known`, async () => {
      const image = await tree.image('a', ['1.0'])
      await tree.keys.put(revisionLink(APP, image.digest), text)
      await tree.keys.put(layerLink(APP, image.layer), text)
      await tree.pass.run()
      assert.equal(await tagged(), undefined)
      assert.equal(await holds(image.layer), false)
    })
  }

  test('bytes that are gone are gone for every repository that shares them', async () => {
    const other = parseRepositoryName('other')
    const image = await tree.image('a', ['1.0'])
    await tree.image('a', ['1.0'], other)
    await tree.pass.run()
    tree.now += 1000
    await tree.storage.delete(image.layer)
    await tree.newPass().run()
    assert.equal(await holds(image.layer), false)
    assert.equal(await holds(image.layer, other), false)
    assert.equal(await tree.knows(image.layer), false)
    assert.equal(
      await tagged(TAG, other),
      image.digest,
      'its manifest stays, and its pull says what is missing',
    )
  })

  test('a manifest whose bytes were torn and came back is taken over again', async () => {
    const image = await tree.image('a', ['1.0'])
    await tree.pass.run()
    const good = (await tree.storage.read(image.digest, 10_000)) ?? Buffer.alloc(0)
    await tree.storage.delete(image.digest)
    await tree.storage.put(image.digest, good.subarray(1))
    tree.now += 1000
    await tree.newPass().run()
    assert.equal(await tagged(), undefined)
    await tree.storage.delete(image.digest)
    await tree.storage.put(image.digest, good)
    tree.now += 1000
    await tree.newPass().run()
    assert.equal(await tagged(), image.digest)
  })

  test('bytes of the same length that were written later are hashed again', async () => {
    const image = await tree.image('a', ['1.0'])
    await tree.pass.run()
    const good = (await tree.storage.read(image.digest, 10_000)) ?? Buffer.alloc(0)
    const flipped = Buffer.from(good)
    flipped[5] = (flipped[5] ?? 0) ^ 1
    tree.now += 1000
    await tree.storage.delete(image.digest)
    await tree.storage.put(image.digest, flipped)
    await tree.newPass().run()
    assert.equal(await findManifest(tree.db, APP, image.digest), undefined)
  })

  test('a link in another algorithm is believed only when the bytes have that digest', async () => {
    const sha256 = await tree.bytes('wide')
    const wide = digestOf('wide', 'sha512')
    const lie = digestOf('something else', 'sha512')
    await tree.keys.put(layerLink(APP, wide), sha256)
    await tree.keys.put(layerLink(APP, lie), sha256)
    await tree.pass.run()
    assert.equal((await findRepositoryBlob(tree.db, APP, wide))?.digest, sha256)
    assert.equal(await findBlob(tree.db, lie), undefined)
    assert.equal(tree.warnings.length, 1)
  })

  test('bytes are held as long as one of their names has a link', async () => {
    const sha256 = await tree.bytes('wide')
    const wide = digestOf('wide', 'sha512')
    await tree.keys.put(layerLink(APP, sha256), sha256)
    await tree.pass.run()
    const blob = await findBlob(tree.db, sha256)
    await tree.db.transaction((tx) => addBlobAlias(tx, wide, blob?.id ?? 0))
    tree.newPass()
    await tree.pass.blob(APP, wide)
    assert.equal(await holds(sha256), true, 'another repository gave them their second name')
    await tree.keys.put(layerLink(APP, wide), sha256)
    await tree.keys.remove(layerLink(APP, sha256))
    await tree.pass.run()
    assert.equal(await holds(sha256), true)
    await tree.keys.remove(layerLink(APP, wide))
    await tree.newPass().run()
    assert.equal(await holds(sha256), false)
  })

  test('a sha256 link that stands in for a sha512 manifest is no manifest, and its tag leads to that one', async () => {
    const image = await tree.image('a', ['1.0'])
    const bytes = (await tree.storage.read(image.digest, 10_000)) ?? Buffer.alloc(0)
    const wide = digestOf(bytes, 'sha512')
    await tree.keys.put(revisionLink(APP, wide), image.digest)
    await tree.keys.put(standInMark(APP, image.digest), wide)
    await tree.pass.manifest(APP, { tag: TAG })
    assert.equal(await tagged(), wide)
    await tree.newPass().run()
    assert.equal(await tagged(), wide)
    assert.equal(await findManifest(tree.db, APP, image.digest), undefined)
  })

  test('junk beside the links is told and left', async () => {
    const folder = 'docker/registry/v2/repositories'
    await tree.image('a', ['1.0'])
    await tree.keys.put(`${layersFolder(APP)}/sha256/nothing/link`, 'x')
    await tree.keys.put(`${folder}/UPPER/_manifests/tags/1/current/link`, 'x')
    await tree.keys.put(`${folder}/team/app/_manifests/tags/.hidden/current/link`, 'x')
    await tree.keys.put(`${folder}/README.txt`, 'x')
    await tree.pass.run()
    assert.equal(tree.pass.done, true)
    assert.equal(tree.warnings.length, 3, tree.warnings.join('\n'))
  })

  test('what is broken is told once for each, and after a hundred only counted', async () => {
    for (let index = 0; index < 150; index++)
      await tree.keys.put(tagCurrentLink(APP, parseTag(`t${index}`)), '')
    for (let index = 0; index < 3; index++) await tree.pass.manifest(APP, { tag: parseTag('t0') })
    assert.equal(tree.warnings.length, 1)
    await tree.pass.run()
    assert.equal(tree.warnings.length, 101)
  })

  test('a folder that cannot be read keeps no other from being taken over, and is checked on', async () => {
    const bad = parseRepositoryName('bad')
    const image = await tree.image('a', ['1.0'])
    await tree.image('b', ['1.0'], bad)
    await tree.pass.run()
    tree.keys.unreadable.add(`${layersFolder(bad)}/sha256`)
    await tree.newPass().run()
    assert.equal(tree.pass.done, false)
    assert.equal(tree.pass.wants(bad), true)
    assert.equal(tree.pass.wants(APP), false)
    assert.equal(await tagged(), image.digest)
    assert.notEqual(await tagged(TAG, bad), undefined, 'what cannot be read was not deleted')
    await tree.pass.repositories()
    assert.equal(tree.errors.length, 2, tree.errors.join('\n'))
  })

  test('a stop ends it, and the next one goes on', async () => {
    for (let index = 0; index < 200; index++) await tree.image(`i${index}`, [`t${index}`])
    const running = tree.pass.run()
    await tree.pass.stop()
    await running
    assert.equal(tree.pass.done, false)
    assert.deepEqual(tree.errors, [])
    await tree.newPass().run()
    const holder = await findRepository(tree.db, APP)
    assert.equal((await tagPage(tree.db, holder?.id ?? 0, '', 500)).length, 200)
  })
})

describe('what happens while the tree is being read', () => {
  /** Once, between the look at a link and what is made of it. */
  function between(path: string, act: () => Promise<void>): void {
    tree.keys.afterLook = async (looked) => {
      if (looked !== path) return
      tree.keys.afterLook = undefined
      await act()
    }
  }

  test('a push of ours whose link is not written yet is not forgotten', async () => {
    tree.now += 1000
    const digest = await tree.push('{"schemaVersion":2}', '1.0')
    const blob = await tree.pushBlob('blob')
    await tree.pass.run()
    assert.equal(await tagged(), digest)
    assert.equal(await holds(blob), true)
  })

  test('a push of ours by sha512 is not forgotten by its sha256', async () => {
    const wide = digestOf('blob', 'sha512')
    const blob = await tree.pushBlob('blob', wide)
    const row = await findBlob(tree.db, blob)
    await tree.db.transaction((tx) => addBlobAlias(tx, wide, row?.id ?? 0))
    await tree.pass.run()
    assert.equal(await holds(blob), true)
  })

  test('a push of ours between the look and the change wins', async () => {
    await tree.image('theirs', ['1.0'])
    let ours: Digest | undefined
    between(tagCurrentLink(APP, TAG), async () => {
      ours = await tree.push('{"schemaVersion":2,"ours":true}', '1.0')
    })
    await tree.pass.run()
    assert.equal(await tagged(), ours)
  })

  test('a deletion of a tag between the look and the change wins', async () => {
    await tree.image('a', ['1.0'])
    await tree.pass.run()
    await tree.image('b', ['1.0'])
    tree.newPass()
    between(tagCurrentLink(APP, TAG), () =>
      tree.db.transaction(async (tx) => {
        const holder = await findRepository(tx, APP)
        await deleteTag(tx, holder?.id ?? 0, TAG)
        await tree.event(tx, 'tag.deleted', null, TAG)
      }),
    )
    await tree.pass.run()
    assert.equal(await tagged(), undefined)
  })

  test('a deletion of a blob between the look and the change wins', async () => {
    const image = await tree.image('a', ['1.0'])
    await tree.pass.run()
    tree.newPass()
    between(layerLink(APP, image.layer), () =>
      tree.db.transaction(async (tx) => {
        const [holder, blob] = [await findRepository(tx, APP), await findBlob(tx, image.layer)]
        await unlinkBlob(tx, holder?.id ?? 0, blob?.id ?? 0)
        await tree.event(tx, 'blob.deleted', image.layer, null)
      }),
    )
    await tree.pass.run()
    assert.equal(await holds(image.layer), false)
  })

  test('a push of bytes that were missing at the look is not forgotten', async () => {
    const image = await tree.image('a', ['1.0'])
    await tree.pass.run()
    await tree.storage.delete(image.layer)
    tree.now += 1000
    tree.newPass()
    const stat = tree.storage.stat.bind(tree.storage)
    tree.storage.stat = async (digest) => {
      const found = await stat(digest)
      if (digest === image.layer && !found) {
        tree.storage.stat = stat
        tree.now += 1
        await tree.pushBlob('layer of a')
      }
      return found
    }
    await tree.pass.blob(APP, image.layer)
    assert.equal(await holds(image.layer), true)
  })

  test('events from before the tree was last in step do not hold up what another program did since', async () => {
    await tree.push('{"schemaVersion":2,"ours":true}', '1.0')
    const theirs = await tree.image('theirs', ['1.0'])
    tree.watermark = 1
    await tree.newPass().run()
    assert.equal(await tagged(), theirs.digest)
  })
})
