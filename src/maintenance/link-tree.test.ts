// What is mirrored into the tree, and when another program's news is left alone.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { layersFolder, revisionLink, tagCurrentLink } from '#blobs/layout.ts'
import { addBlobAlias, findBlob } from '#db/blobs.ts'
import { eventsAfter, newestEventId } from '#db/events.ts'
import { deleteManifest, findManifest } from '#db/manifests.ts'
import { findRepository } from '#db/repositories.ts'
import { deleteTag } from '#db/tags.ts'
import { linkTree, mediaTypeMark, standInMark } from '#maintenance/link-tree.ts'
import { APP, TAG, TreeUnderTest } from '#maintenance/tree-under-test.ts'
import { type Digest, digestOf } from '#oci/digest.ts'

const OLD = '{"schemaVersion":2,"of":"old"}'
const NEW = '{"schemaVersion":2,"of":"new"}'
const FOREIGN = digestOf('something of another program')

let tree: TreeUnderTest
beforeEach(async () => {
  tree = await TreeUnderTest.open()
})
afterEach(() => tree.close())

/** Hands over every event; as at a start when they are from before it. */
async function mirror(when: 'running' | 'at a start' = 'running'): Promise<void> {
  const { db, storage } = tree
  const startedAfter = when === 'running' ? 0 : await newestEventId(db)
  const subscriber = linkTree({ db, storage, keys: storage.keys, startedAfter })
  await subscriber.handle(await eventsAfter(db, 0, 1000), () => {})
}

const current = () => tree.keys.get(tagCurrentLink(APP, TAG))

async function untag(): Promise<void> {
  await tree.db.transaction(async (tx) => {
    await deleteTag(tx, (await findRepository(tx, APP))?.id ?? 0, TAG)
    await tree.event(tx, 'tag.deleted', null, TAG)
  })
}

async function remove(digest: Digest): Promise<void> {
  await tree.db.transaction(async (tx) => {
    await deleteManifest(tx, (await findManifest(tx, APP, digest))?.id ?? 0)
    await tree.event(tx, 'manifest.deleted', digest, null)
  })
}

describe('while we run', () => {
  test('the last word of the facts is written, whatever the order of the events', async () => {
    await tree.push(OLD, '1.0')
    const digest = await tree.push(NEW, '1.0')
    await mirror()
    await mirror()
    assert.equal(await current(), digest)
    assert.equal(await tree.keys.get(revisionLink(APP, digestOf(OLD))), digestOf(OLD))
    await remove(digest)
    await untag()
    await mirror()
    assert.equal(await current(), undefined)
    assert.equal(await tree.keys.get(revisionLink(APP, digest)), undefined)
  })

  test('a repository without layers has the folder by which registry:2 knows one', async () => {
    await tree.push(OLD, '1.0')
    await mirror()
    assert.equal(await tree.keys.get(`${layersFolder(APP)}/.keep`), '')
  })

  test('a media type that registry:2 does not know is kept beside the link', async () => {
    const digest = await tree.push(OLD, '1.0')
    await mirror()
    assert.equal(await tree.keys.get(mediaTypeMark(APP, digest)), undefined)
    await tree.db.transaction((tx) =>
      tx.kysely.updateTable('manifests').set({ media_type: 'application/x.own' }).execute(),
    )
    await mirror()
    assert.equal(await tree.keys.get(mediaTypeMark(APP, digest)), 'application/x.own')
    await remove(digest)
    await mirror()
    assert.equal(await tree.keys.get(mediaTypeMark(APP, digest)), undefined)
  })

  test('a manifest that was pushed by sha512 gets a sha256 link that stands in, and loses it with itself', async () => {
    const digest = await tree.push(OLD, '1.0')
    const wide = digestOf(OLD, 'sha512')
    await tree.db.transaction(async (tx) => {
      await addBlobAlias(tx, wide, (await findBlob(tx, digest))?.id ?? 0)
      await tx.kysely
        .updateTable('manifests')
        .set({ digest: wide } as object)
        .execute()
      await tree.event(tx, 'manifest.pushed', wide, TAG)
    })
    await mirror()
    assert.equal(await tree.keys.get(revisionLink(APP, wide)), digest)
    assert.equal(await tree.keys.get(revisionLink(APP, digest)), digest)
    assert.equal(await tree.keys.get(standInMark(APP, digest)), wide)
    assert.equal(await current(), digest)
    await tree.push(OLD, 'by-sha256')
    await mirror()
    assert.equal(
      await tree.keys.get(standInMark(APP, digest)),
      undefined,
      'the sha256 is a name of its own now',
    )
    await remove(digest)
    await mirror()
    assert.equal(await tree.keys.get(standInMark(APP, digest)), wide)
    await remove(wide)
    await mirror()
    for (const path of [revisionLink(APP, wide), revisionLink(APP, digest), standInMark(APP, digest)])
      assert.equal(await tree.keys.get(path), undefined, path)
  })
})

describe('at a start, for events that a crash left', () => {
  test('a link that is missing or empty is written', async () => {
    const digest = await tree.push(OLD, '1.0')
    await tree.keys.put(revisionLink(APP, digest), '')
    await mirror('at a start')
    assert.equal(await current(), digest)
    assert.equal(await tree.keys.get(revisionLink(APP, digest)), digest)
  })

  test('an older link of ours is written over, though it is younger than our last event', async () => {
    const old = await tree.push(OLD, '1.0')
    const digest = await tree.push(NEW, '1.0')
    tree.now += 60
    await tree.keys.put(tagCurrentLink(APP, TAG), old)
    await mirror('at a start')
    assert.equal(await current(), digest)
  })

  test('a tag that another program moved since is left to it', async () => {
    await tree.push(OLD, '1.0')
    tree.now += 60
    await tree.keys.put(tagCurrentLink(APP, TAG), FOREIGN)
    await mirror('at a start')
    assert.equal(await current(), FOREIGN)
  })

  test('a tag that another program had moved before our last push is ours again', async () => {
    await tree.keys.put(tagCurrentLink(APP, TAG), FOREIGN)
    tree.now += 60
    const digest = await tree.push(OLD, '1.0')
    await mirror('at a start')
    assert.equal(await current(), digest)
  })

  test('a tag that we deleted goes, and one that another program made since stays', async () => {
    const digest = await tree.push(OLD, '1.0')
    await tree.keys.put(tagCurrentLink(APP, TAG), digest)
    await untag()
    tree.now += 60
    await mirror('at a start')
    assert.equal(await current(), undefined)
    await tree.keys.put(tagCurrentLink(APP, TAG), FOREIGN)
    await mirror('at a start')
    assert.equal(await current(), FOREIGN)
  })

  test('a manifest that we deleted goes, and one that another program pushed long since stays', async () => {
    const digest = await tree.push(OLD, '1.0')
    await tree.keys.put(revisionLink(APP, digest), digest)
    await remove(digest)
    await mirror('at a start')
    assert.equal(await tree.keys.get(revisionLink(APP, digest)), undefined)
    tree.now += 60_000
    await tree.keys.put(revisionLink(APP, digest), digest)
    await mirror('at a start')
    assert.equal(await tree.keys.get(revisionLink(APP, digest)), digest)
  })

  test('what was collected since gets no link again', async () => {
    const digest = await tree.push(OLD, '1.0')
    await tree.storage.delete(digest)
    await mirror('at a start')
    assert.equal(await tree.keys.get(revisionLink(APP, digest)), undefined)
    assert.equal(await current(), undefined)
  })
})
