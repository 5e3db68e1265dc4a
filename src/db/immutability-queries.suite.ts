// Rules about tags, and which tags need what, on any engine.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { linkBlob, upsertBlob } from '#db/blobs.ts'
import type { Db } from '#db/db.ts'
import {
  deleteImmutabilityRule,
  findImmutabilityRule,
  type ImmutabilityRule,
  immutabilityRulesFor,
  immutabilityRulesOf,
  insertImmutabilityRule,
  tagsNeedingBlob,
  tagsNeedingManifest,
  updateImmutabilityRule,
} from '#db/immutability-rules.ts'
import { upsertManifest } from '#db/manifests.ts'
import { findProject, insertProject } from '#db/projects.ts'
import type { DbUnderTest } from '#db/queries.suite.ts'
import { ensureRepository } from '#db/repositories.ts'
import { setTag } from '#db/tags.ts'
import { type Digest, digestOf } from '#oci/digest.ts'

const NOW = 1_700_000_000_000
const RULE: ImmutabilityRule = {
  name: 'releases',
  repository: 'rules/**',
  tag: 'v*',
  exceptRepositories: ['rules/sandbox'],
  exceptTags: ['v0*', '*-rc?'],
  disabled: false,
}

export function immutabilityQueriesSuite(engine: string, open: () => Promise<DbUnderTest>): void {
  describe(`immutable tags on ${engine}`, () => {
    let db: Db
    let close: () => Promise<void>
    let projectId: number
    before(async () => {
      const opened = await open()
      db = opened.db
      close = opened.close
      await db.transaction((tx) => insertProject(tx, { name: 'rules', visibility: 'private', now: NOW }))
      projectId = (await findProject(db, 'rules'))?.id ?? 0
    })
    after(() => close())

    test('a rule is found by its name, changed when nobody else did, and holds for repositories of its project', async () => {
      const insert = () => db.transaction((tx) => insertImmutabilityRule(tx, projectId, RULE, NOW))
      assert.deepEqual([await insert(), await insert()], [true, false])
      await db.transaction((tx) => ensureRepository(tx, 'rules/app', NOW))
      const expected = { ...RULE, createdAt: NOW, updatedAt: NOW, version: 1 }
      assert.deepEqual(await findImmutabilityRule(db, projectId, 'releases'), expected)
      assert.deepEqual(await immutabilityRulesFor(db, 'rules/app'), [expected])
      assert.deepEqual(await immutabilityRulesFor(db, 'other/app'), [])
      const change = (version: number) =>
        db.transaction((tx) =>
          updateImmutabilityRule(tx, projectId, { ...RULE, disabled: true }, { now: NOW + 1, version }),
        )
      assert.deepEqual([await change(1), await change(1)], [true, false])
      assert.deepEqual(await immutabilityRulesFor(db, 'rules/app'), [])
      assert.deepEqual(
        (await immutabilityRulesOf(db, projectId)).map(({ name, disabled, version }) => [
          name,
          disabled,
          version,
        ]),
        [['releases', true, 2]],
      )
      const remove = () => db.transaction((tx) => deleteImmutabilityRule(tx, projectId, 'releases'))
      assert.deepEqual([await remove(), await remove()], [true, false])
    })

    test('a manifest is needed by its own tags and by those of indexes above it, in its repository alone', async () => {
      const blob = (tx: Parameters<typeof upsertBlob>[0], digest: Digest) =>
        upsertBlob(tx, { digest, size: 1, now: NOW, verifiedAt: NOW })
      const fixed = {
        mediaType: 'm',
        size: 1,
        artifactType: null,
        subject: null,
        annotations: null,
        now: NOW,
      }
      const layer = digestOf('layer')
      const ids = await db.transaction(async (tx) => {
        const made: Record<string, number> = {}
        for (const [name, children] of [
          ['child', []],
          ['index', ['child']],
          ['outer', ['index', 'outer']],
        ] as const) {
          for (const repository of ['needs/a', 'needs/b']) {
            const { id: repositoryId } = await ensureRepository(tx, repository, NOW)
            const [blobId, layerId] = [await blob(tx, digestOf(name)), await blob(tx, layer)]
            await linkBlob(tx, { repositoryId, blobId: layerId, now: NOW })
            const row = { ...fixed, repositoryId, digest: digestOf(name), blobId }
            const references = {
              blobIds: name === 'child' ? [layerId] : [],
              children: children.map((child) => digestOf(child)),
              missing: [],
            }
            const manifestId = await upsertManifest(tx, row, references)
            made[`${repository} ${name}`] = manifestId
            made['layer'] = layerId
            if (repository === 'needs/a') await setTag(tx, { repositoryId, name, manifestId, now: NOW })
          }
        }
        return made
      })
      const needing = (name: string) => tagsNeedingManifest(db, ids[name] ?? 0)
      assert.deepEqual(await needing('needs/a child'), ['child', 'index', 'outer'])
      assert.deepEqual(await needing('needs/a index'), ['index', 'outer'])
      assert.deepEqual(await needing('needs/b child'), [])
      assert.deepEqual(await tagsNeedingBlob(db, 'needs/a', ids['layer'] ?? 0), ['child', 'index', 'outer'])
      assert.deepEqual(await tagsNeedingBlob(db, 'needs/b', ids['layer'] ?? 0), [])
    })
  })
}
