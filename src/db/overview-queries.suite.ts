// What people browse and look up, on any engine: figures of repositories, details of tags, pages of the audit log.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import {
  type AuditFilter,
  auditBounds,
  auditEntriesBetween,
  insertAuditEntry,
  type NewAuditEntry,
} from '#db/audit.ts'
import { linkBlob, upsertBlob } from '#db/blobs.ts'
import type { Db } from '#db/db.ts'
import { upsertManifest } from '#db/manifests.ts'
import { addPulls } from '#db/pulls.ts'
import type { DbUnderTest } from '#db/queries.suite.ts'
import { ensureRepository, listRepositoryInCatalog } from '#db/repositories.ts'
import {
  countRepository,
  lastPulls,
  REPOSITORY_SORTS,
  type RepositorySort,
  repositoryFigures,
  unlistEmptyRepository,
} from '#db/repository-figures.ts'
import { systemTotals } from '#db/system-totals.ts'
import { countReferrers, manifestDetail, tagDetails, totalSizes } from '#db/tag-details.ts'
import { setTag } from '#db/tags.ts'
import { digestOf } from '#oci/digest.ts'

const NOW = 1_700_000_000_000

export function overviewQueriesSuite(engine: string, open: () => Promise<DbUnderTest>): void {
  describe(`what people browse, on ${engine}`, () => {
    let db: Db
    let close: () => Promise<void>
    before(async () => {
      ;({ db, close } = await open())
    })
    after(() => close())

    /** An image of one layer, or an index of others; resolves to the id of its manifest. */
    const push = (
      repository: string,
      tag: string,
      made: { layer?: string; children?: readonly string[]; subject?: string; at?: number },
    ): Promise<number> =>
      db.transaction(async (tx) => {
        const now = made.at ?? NOW
        const holder = await ensureRepository(tx, repository, now)
        await listRepositoryInCatalog(tx, holder)
        const blobIds: number[] = []
        if (made.layer !== undefined) {
          const blob = { digest: digestOf(made.layer), size: made.layer.length, now, verifiedAt: now }
          blobIds.push(await upsertBlob(tx, blob))
          for (const blobId of blobIds) await linkBlob(tx, { repositoryId: holder.id, blobId, now })
        }
        const content = `${repository} ${tag}`
        const digest = digestOf(content)
        const blobId = await upsertBlob(tx, { digest, size: content.length, now, verifiedAt: now })
        const facts = { mediaType: 'm', size: content.length, artifactType: null, annotations: null }
        const row = {
          ...facts,
          ...{ repositoryId: holder.id, digest, blobId, now },
          subject: made.subject === undefined ? null : digestOf(made.subject),
        }
        const children = (made.children ?? []).map((child) => digestOf(`${repository} ${child}`))
        const manifestId = await upsertManifest(tx, row, { blobIds, children, missing: [] })
        await setTag(tx, { repositoryId: holder.id, name: tag, manifestId, now })
        return manifestId
      })
    const idOf = async (name: string) => (await db.transaction((tx) => ensureRepository(tx, name, NOW))).id

    test('repositories are counted, and sorted by each key in both directions, a page after the other', async () => {
      await push('a/one', '1', { layer: 'x'.repeat(100), at: NOW + 3 })
      await push('a/two', '1', { layer: 'y', at: NOW + 1 })
      await push('a/two', '2', { layer: 'y', at: NOW + 2 })
      await push('b/three', '1', { layer: 'z'.repeat(10), at: NOW + 1 })
      for (const name of ['a/one', 'a/two', 'b/three']) await countRepository(db, await idOf(name))
      const expected: Record<RepositorySort, string[]> = {
        name: ['a/one', 'a/two', 'b/three'],
        size: ['a/two', 'b/three', 'a/one'],
        tags: ['a/one', 'b/three', 'a/two'],
        pushedAt: ['b/three', 'a/two', 'a/one'],
      }
      for (const sort of REPOSITORY_SORTS)
        for (const isDescending of [false, true]) {
          const names: string[] = []
          for (let after: { value: string | number; id: number } | undefined; ; ) {
            const page = { after, project: undefined, limit: 1 }
            const [row] = await repositoryFigures(db, { sort, isDescending }, page)
            if (!row) break
            names.push(row.name)
            after = { value: row[sort] ?? 0, id: row.id }
          }
          const wanted = isDescending ? expected[sort].toReversed() : expected[sort]
          assert.deepEqual(names, wanted, `${sort} ${isDescending}`)
        }
      const page = { after: undefined, project: 'a', limit: 10 }
      const [one] = await repositoryFigures(db, { sort: 'name', isDescending: false }, page)
      assert.deepEqual([one?.size, one?.tags, one?.manifests], [100 + 'a/one 1'.length, 1, 1])
    })

    test('the last pull of a repository is that of whatever was pulled last', async () => {
      for (const [name, at] of [
        ['1', NOW + 5],
        [digestOf('a/one 1'), NOW + 9],
      ] as const)
        await db.transaction((tx) => addPulls(tx, { repository: 'a/one', name, at, count: 1 }))
      const ids = [await idOf('a/one'), await idOf('a/two')]
      assert.deepEqual([...(await lastPulls(db, ids))], [[ids[0], NOW + 9]])
    })

    test('tags are sorted by name and time, and sized with all below them, each blob once', async () => {
      const arm = await push('t/app', 'arm', { layer: 'shared', at: NOW + 2 })
      const amd = await push('t/app', 'amd', { layer: 'shared', at: NOW + 1 })
      const all = await push('t/app', 'all', { children: ['arm', 'amd'], at: NOW + 3 })
      const id = await idOf('t/app')
      const list = async (sort: 'name' | 'pushedAt', isDescending: boolean) => {
        const names: string[] = []
        for (let after: { name: string; at: number } | undefined; ; ) {
          const page = { after, digest: undefined, limit: 1 }
          const [row] = await tagDetails(db, id, { sort, isDescending }, page)
          if (!row) return names
          names.push(row.name)
          after = { name: row.name, at: row.pushedAt }
        }
      }
      assert.deepEqual(await list('name', false), ['all', 'amd', 'arm'])
      assert.deepEqual(await list('pushedAt', true), ['all', 'arm', 'amd'])
      const sizes = await totalSizes(db, [arm, amd, all])
      const [armBytes, amdBytes, allBytes] = ['t/app arm', 't/app amd', 't/app all'].map(
        (text) => text.length,
      )
      assert.equal(sizes.get(arm), (armBytes ?? 0) + 6)
      assert.equal(sizes.get(all), (armBytes ?? 0) + (amdBytes ?? 0) + (allBytes ?? 0) + 6)
      await push('t/app', 'signature', { subject: 't/app arm' })
      assert.equal(await countReferrers(db, id, digestOf('t/app arm')), 1)
      assert.equal((await manifestDetail(db, arm))?.createdAt, NOW + 2)
      assert.equal(await manifestDetail(db, 999_999), undefined)
    })

    test('a repository is unlisted when nothing is left in it, and not before', async () => {
      const id = await idOf('a/one')
      assert.equal(await db.transaction((tx) => unlistEmptyRepository(tx, id)), false)
      await db.transaction(async (tx) => {
        for (const table of ['repository_blobs', 'manifests'] as const)
          await tx.kysely.deleteFrom(table).where('repository_id', '=', id).execute()
      })
      assert.equal(await db.transaction((tx) => unlistEmptyRepository(tx, id)), true)
      const page = { after: undefined, project: 'a', limit: 10 }
      const left = await repositoryFigures(db, { sort: 'name', isDescending: false }, page)
      assert.deepEqual(
        left.map(({ name }) => name),
        ['a/two'],
      )
    })

    test('everything is counted', async () => {
      const { repositories, tags, users } = await systemTotals(db)
      assert.ok(repositories >= 4 && tags >= 6)
      assert.equal(users, 0)
    })

    test('entries of the audit log are filtered exactly, between ids and times', async () => {
      const entry: NewAuditEntry = {
        ...{ at: NOW, until: null, count: 1, action: 'login', result: 'done', actor: 'a_b' },
        ...{ target: null, project: null, detail: null, remote: null, userAgent: null, requestId: null },
      }
      await db.transaction(async (tx) => {
        for (const [at, actor] of [
          [NOW, 'a_b'],
          [NOW + 1_000, 'axb'],
          [NOW + 2_000, 'a_b'],
        ] as const)
          await insertAuditEntry(tx, { ...entry, at, actor })
      })
      const whole = await auditBounds(db, { since: undefined, until: undefined, slackMs: 0 })
      const find = async (filter: AuditFilter, newestFirst = false) => {
        const range = { from: whole.first - 1, to: whole.last, newestFirst }
        return (await auditEntriesBetween(db, range, filter, 10)).map(({ at }) => at - NOW)
      }
      assert.deepEqual(await find({ actor: 'a_b' }, true), [2_000, 0])
      assert.deepEqual(await find({ actor: '%' }), [])
      assert.deepEqual(await find({ since: NOW + 1_000 }), [1_000, 2_000])
      assert.deepEqual(await find({ until: NOW }), [0])
      const later = await auditBounds(db, { since: NOW + 1_500, until: undefined, slackMs: 0 })
      assert.deepEqual(later, { first: whole.last, last: whole.last })
      const none = await auditBounds(db, { since: NOW + 9_000, until: undefined, slackMs: 0 })
      assert.equal(none.first, 0)
    })
  })
}
