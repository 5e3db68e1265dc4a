// What the query files of repositories, blobs, manifests and tags promise, on any engine. Part of queriesSuite.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  addBlobAlias,
  blobAliases,
  findBlob,
  findRepositoryBlob,
  forgetBlob,
  linkBlob,
  repositoriesHolding,
  setBlobVerified,
  storedTotals,
  unlinkBlob,
  upsertBlob,
} from '#db/blobs.ts'
import type { Db } from '#db/db.ts'
import {
  deleteManifest,
  findManifest,
  findTaggedManifest,
  referrerPage,
  upsertManifest,
} from '#db/manifests.ts'
import {
  ensureRepository,
  findRepository,
  listRepositoryInCatalog,
  repositoryPage,
} from '#db/repositories.ts'
import { deleteTag, setTag, tagPage, tagsOfManifest } from '#db/tags.ts'
import { digestOf } from '#oci/digest.ts'

export const NOW = 1_700_000_000_000

/** @param db the database, once the tests run */
export function contentQueries(db: () => Db): void {
  const repository = (name: string) => db().transaction((tx) => ensureRepository(tx, name, NOW))
  const blob = (text: string, verifiedAt: number | null = NOW) =>
    db().transaction((tx) =>
      upsertBlob(tx, { digest: digestOf(text), size: text.length, now: NOW, verifiedAt }),
    )
  async function manifest(
    name: string,
    text: string,
    more: { subject?: string; artifactType?: string; children?: string[] } = {},
  ) {
    const { id: repositoryId } = await repository(name)
    const blobId = await blob(text)
    const row = {
      ...{ repositoryId, blobId, digest: digestOf(text), mediaType: 'a/b', size: text.length, now: NOW },
      artifactType: more.artifactType ?? null,
      subject: more.subject === undefined ? null : digestOf(more.subject),
      annotations: more.subject === undefined ? null : JSON.stringify({ of: text }),
    }
    const children = (more.children ?? []).map((child) => digestOf(child))
    const id = await db().transaction((tx) => upsertManifest(tx, row, { blobIds: [], children, missing: [] }))
    return { id, repositoryId, blobId }
  }

  describe('repositories', () => {
    test('are made once, and listed from their first manifest on, in byte order after `last`', async () => {
      const first = await repository('z/made')
      assert.equal((await repository('z/made')).id, first.id)
      assert.deepEqual(await repositoryPage(db(), 'z/', 10), [])
      for (const name of ['z/made', 'z/a', 'z/a-b', 'z/a/b', 'z/B'.toLowerCase()]) {
        const made = await repository(name)
        await db().transaction((tx) => listRepositoryInCatalog(tx, made))
        await db().transaction((tx) => listRepositoryInCatalog(tx, made))
      }
      assert.deepEqual(await repositoryPage(db(), 'z/', 10), ['z/a', 'z/a-b', 'z/a/b', 'z/b', 'z/made'])
      assert.deepEqual(await repositoryPage(db(), 'z/a', 2), ['z/a-b', 'z/a/b'])
      assert.equal((await findRepository(db(), 'z/a'))?.listed, 1)
    })
  })

  describe('blobs', () => {
    test('are found by digest and by alias, in the repositories that hold them', async () => {
      const { id: repositoryId } = await repository('blobs/a')
      const blobId = await blob('aliased')
      const alias = digestOf('aliased', 'sha512')
      await db().transaction(async (tx) => {
        for (let twice = 0; twice < 2; twice++) {
          await addBlobAlias(tx, alias, blobId)
          await linkBlob(tx, { repositoryId, blobId, now: NOW })
        }
      })
      const lives = { condemnedAt: null, deleting: 0 }
      const expected = { id: blobId, digest: digestOf('aliased'), size: 7, verifiedAt: NOW, ...lives }
      for (const digest of [digestOf('aliased'), alias]) {
        assert.deepEqual({ ...(await findBlob(db(), digest)) }, expected)
        assert.deepEqual(
          { ...(await findRepositoryBlob(db(), 'blobs/a', digest)) },
          { ...expected, linkCondemnedAt: null },
        )
        assert.equal(await findRepositoryBlob(db(), 'blobs/b', digest), undefined)
      }
      assert.deepEqual(await blobAliases(db(), blobId), [alias])
      assert.deepEqual(await repositoriesHolding(db(), blobId, 10), ['blobs/a'])
      assert.equal(await db().transaction((tx) => unlinkBlob(tx, repositoryId, blobId)), true)
      assert.equal(await db().transaction((tx) => unlinkBlob(tx, repositoryId, blobId)), false)
      assert.equal(await findRepositoryBlob(db(), 'blobs/a', alias), undefined)
      assert.deepEqual(await repositoriesHolding(db(), blobId, 10), [])
      assert.ok(await findBlob(db(), alias))
    })

    test('keep their id when they are stored again, and take over what is known now', async () => {
      const id = await blob('again', null)
      assert.equal((await findBlob(db(), digestOf('again')))?.verifiedAt, null)
      assert.equal(await blob('again'), id)
      assert.equal((await findBlob(db(), digestOf('again')))?.verifiedAt, NOW)
      await db().transaction((tx) => setBlobVerified(tx, id, null))
      assert.equal((await findBlob(db(), digestOf('again')))?.verifiedAt, null)
    })

    test('that are forgotten take their links, aliases and manifests along', async () => {
      const { blobId, repositoryId } = await manifest('blobs/forgotten', 'forgotten')
      await db().transaction(async (tx) => {
        await linkBlob(tx, { repositoryId, blobId, now: NOW })
        await addBlobAlias(tx, digestOf('forgotten', 'sha512'), blobId)
      })
      await db().transaction((tx) => forgetBlob(tx, blobId))
      assert.equal(await findBlob(db(), digestOf('forgotten')), undefined)
      assert.equal(await findBlob(db(), digestOf('forgotten', 'sha512')), undefined)
      assert.equal(await findManifest(db(), 'blobs/forgotten', digestOf('forgotten')), undefined)
    })

    test('are counted', async () => {
      const { blobs, bytes } = await storedTotals(db())
      await blob('counted')
      assert.deepEqual(await storedTotals(db()), { blobs: blobs + 1, bytes: bytes + 7 })
    })
  })

  describe('manifests and tags', () => {
    test('are found by digest and by tag, and a manifest takes its tags along', async () => {
      const first = await manifest('m/a', 'first')
      const second = await manifest('m/a', 'second')
      const tag = (name: string, manifestId: number) =>
        db().transaction((tx) => setTag(tx, { repositoryId: first.repositoryId, name, manifestId, now: NOW }))
      await tag('one', first.id)
      await tag('latest', first.id)
      await tag('latest', second.id)
      assert.equal((await findTaggedManifest(db(), 'm/a', 'latest'))?.digest, digestOf('second'))
      assert.equal((await findManifest(db(), 'm/a', digestOf('first')))?.blobDigest, digestOf('first'))
      assert.equal(await findTaggedManifest(db(), 'm/b', 'latest'), undefined)
      assert.deepEqual(await tagsOfManifest(db(), first.id), ['one'])
      await db().transaction((tx) => deleteManifest(tx, first.id))
      assert.deepEqual(await tagPage(db(), first.repositoryId, '', 10), ['latest'])
      assert.equal(await db().transaction((tx) => deleteTag(tx, first.repositoryId, 'latest')), true)
      assert.equal(await db().transaction((tx) => deleteTag(tx, first.repositoryId, 'latest')), false)
      assert.ok(await findManifest(db(), 'm/a', digestOf('second')))
    })

    test('tags come in byte order after `last`', async () => {
      const { id, repositoryId } = await manifest('m/tags', 'tagged')
      const names = ['_', 'B', 'a', '1', 'a.b', 'a-b', 'aB']
      for (const name of names)
        await db().transaction((tx) => setTag(tx, { repositoryId, name, manifestId: id, now: NOW }))
      const sorted = names.toSorted()
      assert.deepEqual(await tagPage(db(), repositoryId, '', 100), sorted)
      assert.deepEqual(await tagPage(db(), repositoryId, 'a', 2), ['a-b', 'a.b'])
      assert.deepEqual(await tagPage(db(), repositoryId, 'zz', 2), [])
    })

    test('referrers come by digest, of a type where one is asked for, in their repository', async () => {
      for (const [text, artifactType] of [
        ['r1', 'x'],
        ['r2', 'y'],
        ['r3', 'x'],
      ] as const)
        await manifest('m/referrers', text, { subject: 'subject', artifactType, children: ['c'] })
      const page = (last: string, limit: number, artifactType?: string) =>
        referrerPage(db(), 'm/referrers', digestOf('subject'), { last, limit, artifactType })
      const digests = ['r1', 'r2', 'r3'].map((text) => digestOf(text)).sort()
      assert.deepEqual(
        (await page('', 10)).map(({ digest }) => digest),
        digests,
      )
      assert.deepEqual(
        (await page(digests[0] ?? '', 1)).map(({ digest }) => digest),
        [digests[1]],
      )
      const typed = await page('', 10, 'x')
      assert.deepEqual(
        typed.map(({ digest }) => digest),
        ['r1', 'r3'].map((text) => digestOf(text)).sort(),
      )
      assert.ok(typed.every(({ annotations }) => JSON.parse(annotations ?? '{}').of))
      assert.deepEqual(await referrerPage(db(), 'm/other', digestOf('subject'), { last: '', limit: 10 }), [])
    })

    test('that are pushed again keep their id and take the newer facts', async () => {
      const first = await manifest('m/again', 'same')
      const second = await manifest('m/again', 'same', { subject: 'late' })
      assert.equal(second.id, first.id)
      assert.equal((await referrerPage(db(), 'm/again', digestOf('late'), { last: '', limit: 9 })).length, 1)
    })
  })

  test('names with the wildcards of LIKE are compared exactly (Quay CVE-2026-110697)', async () => {
    await repository('a_b')
    assert.equal(await findRepository(db(), 'axb'), undefined)
    assert.equal(await findRepository(db(), 'a%'), undefined)
  })
}
