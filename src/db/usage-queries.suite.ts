// What is counted for quotas, on any engine: whatever happens to links, manifests and tags, the counters follow.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { findBlob, forgetBlob, linkBlob, unlinkBlob, upsertBlob } from '#db/blobs.ts'
import type { Db } from '#db/db.ts'
import { deleteManifest, findManifest, upsertManifest } from '#db/manifests.ts'
import { setProjectDepth } from '#db/project-depth.ts'
import type { DbUnderTest } from '#db/queries.suite.ts'
import { ensureRepository, listRepositoryInCatalog } from '#db/repositories.ts'
import { deleteTag, setTag } from '#db/tags.ts'
import { setBlobFound } from '#db/tree.ts'
import { gatherUsage, isHeld, projectScope, scopesToGather, usageOf, userScope } from '#db/usage.ts'
import { repairUsage, usageDifferences } from '#db/usage-recount.ts'
import { deleteUser, findUser, insertUser } from '#db/users.ts'
import { digestOf } from '#oci/digest.ts'

const NOW = 1_700_000_000_000

export function usageQueriesSuite(engine: string, open: () => Promise<DbUnderTest>): void {
  describe(`what is used, on ${engine}`, () => {
    let db: Db
    let close: () => Promise<void>
    before(async () => {
      const opened = await open()
      db = opened.db
      close = opened.close
      await db.transaction((tx) => insertUser(tx, { name: 'ann', now: NOW }))
    })
    after(() => close())

    const link = (repository: string, content: string, pusher?: string) =>
      db.transaction(async (tx) => {
        const { id: repositoryId } = await ensureRepository(tx, repository, NOW)
        const blob = { digest: digestOf(content), size: content.length, now: NOW, verifiedAt: NOW }
        const blobId = await upsertBlob(tx, blob)
        await linkBlob(tx, { repositoryId, blobId, now: NOW, pusher })
      })
    const unlink = (repository: string, content: string) =>
      db.transaction(async (tx) => {
        const { id } = await ensureRepository(tx, repository, NOW)
        const blob = await findBlob(tx, digestOf(content))
        if (blob) await unlinkBlob(tx, id, blob.id)
      })
    const push = (repository: string, content: string, tags: readonly string[], pusher?: string) =>
      db.transaction(async (tx) => {
        const holder = await ensureRepository(tx, repository, NOW)
        await listRepositoryInCatalog(tx, holder)
        const [digest, size] = [digestOf(content), content.length]
        const blobId = await upsertBlob(tx, { digest, size, now: NOW, verifiedAt: NOW })
        const fixed = { mediaType: 'm', artifactType: null, subject: null, annotations: null, now: NOW }
        const row = { ...fixed, repositoryId: holder.id, digest, blobId, size, pusher }
        const manifestId = await upsertManifest(tx, row, { blobIds: [], children: [], missing: [] })
        for (const name of tags) await setTag(tx, { repositoryId: holder.id, name, manifestId, now: NOW })
      })
    const remove = (repository: string, content: string) =>
      db.transaction(async (tx) => {
        const found = await findManifest(tx, repository, digestOf(content))
        if (found) await deleteManifest(tx, found.id)
      })
    const untag = (repository: string, tag: string) =>
      db.transaction(async (tx) => deleteTag(tx, (await ensureRepository(tx, repository, NOW)).id, tag))
    const used = async (scope: string) => {
      const { bytes, repositories, tags } = (await usageOf(db, scope)).used
      return [bytes, repositories, tags]
    }
    const project = (name: string) => used(projectScope(name))

    test('a blob counts once a project and once for the registry, until the last repository lets it go', async () => {
      for (const repository of ['one/a', 'one/b', 'two/a']) await link(repository, 'layer')
      await link('one/a', 'layer')
      assert.deepEqual(
        [await project('one'), await project('two')],
        [
          [5, 0, 0],
          [5, 0, 0],
        ],
      )
      assert.deepEqual(await used('registry'), [5, 0, 0])
      assert.deepEqual(await isHeld(db, 'one', digestOf('layer')), { project: true, registry: true })
      assert.deepEqual(await isHeld(db, 'three', digestOf('layer')), { project: false, registry: true })
      await unlink('one/a', 'layer')
      assert.deepEqual(await project('one'), [5, 0, 0])
      await unlink('one/b', 'layer')
      await unlink('one/b', 'layer')
      assert.deepEqual(
        [await project('one'), await used('registry')],
        [
          [0, 0, 0],
          [5, 0, 0],
        ],
      )
      await unlink('two/a', 'layer')
      assert.deepEqual(
        [await project('two'), await used('registry')],
        [
          [0, 0, 0],
          [0, 0, 0],
        ],
      )
    })

    test('manifests count their bytes, tags and repositories their number, and deletes give back', async () => {
      await push('three/a', 'manifest', ['1', 'latest'])
      await push('three/a', 'manifest', ['1', 'latest'])
      await push('three/b', 'manifest', ['1'])
      await link('three/b', 'manifest')
      assert.deepEqual(await project('three'), [8, 2, 3])
      await push('three/a', 'other', ['latest'])
      assert.deepEqual(await project('three'), [13, 2, 3])
      await remove('three/a', 'manifest')
      assert.deepEqual(await project('three'), [13, 2, 2])
      await untag('three/b', '1')
      await remove('three/b', 'manifest')
      assert.deepEqual(await project('three'), [13, 2, 1])
      await unlink('three/b', 'manifest')
      assert.deepEqual(await project('three'), [5, 2, 1])
    })

    test('what a user brought counts for him, and for nobody when he is gone', async () => {
      const scope = userScope((await findUser(db, 'ann'))?.id ?? 0)
      await link('four/a', 'by ann', 'ann')
      await link('four/b', 'by ann', 'bob')
      await push('four/a', 'pushed by ann', [], 'ann')
      assert.deepEqual(await used(scope), [19, 0, 0])
      await unlink('four/a', 'by ann')
      assert.deepEqual(await used(scope), [19, 0, 0])
      await db.transaction((tx) => deleteUser(tx, 'ann', NOW))
      assert.deepEqual(
        [await used(scope), await project('four')],
        [
          [0, 0, 0],
          [19, 1, 0],
        ],
      )
      assert.deepEqual(await usageDifferences(db), [])
    })

    test('a blob that turns out to have another size, or is forgotten, is counted as it is', async () => {
      await link('five/a', 'short')
      const blob = await findBlob(db, digestOf('short'))
      await db.transaction((tx) => setBlobFound(tx, blob?.id ?? 0, 9))
      assert.deepEqual(await project('five'), [9, 0, 0])
      await db.transaction((tx) => forgetBlob(tx, blob?.id ?? 0))
      assert.deepEqual(await project('five'), [0, 0, 0])
      assert.deepEqual(await usageDifferences(db), [])
    })

    test('whatever is done in whatever order, a recount finds the same', async () => {
      const repository = fc.constantFrom('p/a', 'p/b', 'p/c/d', 'q/a', 'alone')
      const content = fc.constantFrom('x', 'yy', 'zzz')
      const tag = fc.constantFrom('1', '2')
      const step = fc.oneof(
        fc.tuple(repository, content).map(
          ([r, c]) =>
            () =>
              link(r, c),
        ),
        fc.tuple(repository, content).map(
          ([r, c]) =>
            () =>
              unlink(r, c),
        ),
        fc.tuple(repository, content, tag).map(
          ([r, c, t]) =>
            () =>
              push(r, c, [t]),
        ),
        fc.tuple(repository, content).map(
          ([r, c]) =>
            () =>
              remove(r, c),
        ),
        fc.tuple(repository, tag).map(
          ([r, t]) =>
            () =>
              untag(r, t),
        ),
        fc.constant(() => db.transaction((tx) => gatherUsage(tx))),
      )
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
          for (const take of steps) await take()
          assert.deepEqual(await usageDifferences(db), [])
        }),
        { numRuns: 30 },
      )
    })

    test('counters that were spoilt are found and put right', async () => {
      await push('six/a', 'six', ['1'])
      const { id: blobId } = (await findBlob(db, digestOf('six'))) ?? { id: 0 }
      await db.transaction(async (tx) => {
        await tx.kysely
          .deleteFrom('blob_holds')
          .where('blob_id', '=', blobId)
          .where('project', '=', 'six')
          .execute()
        await tx.kysely
          .insertInto('usage_deltas')
          .values({ scope: projectScope('six'), bytes: 0, repositories: 0, tags: 7 })
          .execute()
      })
      assert.deepEqual(
        (await usageDifferences(db)).map((found) => ({ ...found })),
        [
          { scope: 'project:six', measure: 'held', counted: 0, actual: 1 },
          { scope: 'project:six', measure: 'tags', counted: 8, actual: 1 },
        ],
      )
      await db.transaction((tx) => repairUsage(tx))
      assert.deepEqual(await usageDifferences(db), [])
      assert.deepEqual(await project('six'), [3, 1, 1])
    })

    test('many changes are worth gathering, and gathering changes nothing', async () => {
      await db.transaction(async (tx) => {
        const delta = { scope: projectScope('seven'), bytes: 0, repositories: 0, tags: 0 }
        for (let at = 0; at < 201; at++)
          await tx.kysely
            .insertInto('usage_deltas')
            .values({ ...delta, bytes: 1 })
            .execute()
      })
      assert.deepEqual(await scopesToGather(db), ['project:seven'])
      assert.equal(await db.transaction((tx) => gatherUsage(tx, projectScope('seven'))), 201)
      assert.deepEqual([await scopesToGather(db), await project('seven')], [[], [201, 0, 0]])
      await db.transaction((tx) => repairUsage(tx))
    })

    test('with deeper projects, repositories belong to others, and are counted there', async () => {
      await push('deep/er/app', 'deep', ['1'])
      await push('deep/app', 'deep', ['1'])
      assert.deepEqual(await project('deep'), [4, 2, 2])
      assert.equal(await db.transaction((tx) => setProjectDepth(tx, 2)), true)
      assert.equal(await db.transaction((tx) => setProjectDepth(tx, 2)), false)
      assert.deepEqual(
        [await project('deep'), await project('deep/er')],
        [
          [4, 1, 1],
          [4, 1, 1],
        ],
      )
      await push('deep/er/new', 'deep', ['1'])
      assert.deepEqual(await project('deep/er'), [4, 2, 2])
      assert.deepEqual(await usageDifferences(db), [])
      await db.transaction((tx) => setProjectDepth(tx, 1))
      assert.deepEqual(await project('deep'), [4, 3, 3])
    })
  })
}
