// Quotas where many push at once, from several processes as far as the engine lets them.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { NO_LIMITS } from '#access/quotas/limits.ts'
import { quotaGuard } from '#access/quotas/quota-guard.ts'
import { UsageKeeper } from '#access/quotas/usage-keeper.ts'
import { linkBlob, upsertBlob } from '#db/blobs.ts'
import type { Db } from '#db/db.ts'
import { blobLock } from '#db/locks.ts'
import { openPostgres } from '#db/postgres.ts'
import { type Limits, setQuota, warnedScopes } from '#db/quotas.ts'
import { ensureRepository } from '#db/repositories.ts'
import { projectScope, type Usage, usageOf } from '#db/usage.ts'
import { usageDifferences } from '#db/usage-recount.ts'
import { digestOf } from '#oci/digest.ts'
import { OciError } from '#oci/errors.ts'
import { parseRepositoryName, parseTag } from '#oci/reference.ts'
import type { Guard } from '#registry/guards.ts'
import { RecordingLog } from '../../../test/http/recording-log.ts'
import {
  type PostgresServer,
  postgresAbsent,
  startPostgres,
} from '../../../test/processes/postgres-server.ts'
import { openFacts } from '../../../test/processes/test-database.ts'

const NOW = 1_700_000_000_000
const CALLER = { principal: { kind: 'user', name: 'ann' }, requestId: 'test', remote: '::1' } as const

interface Process {
  readonly db: Db
  readonly guard: Guard
  readonly keeper: UsageKeeper
}

function processOn(db: Db): Process {
  const defaults = { registry: NO_LIMITS, project: NO_LIMITS, user: NO_LIMITS }
  const keeper = new UsageKeeper({ db, defaults, log: new RecordingLog() })
  const onManyChanges = (scope: string) => keeper.gatherSoon(scope)
  const guard = quotaGuard({ db, defaults, projectDepth: 1, now: () => NOW, onManyChanges })
  return { db, guard, keeper }
}

function suite(
  engine: string,
  open: () => Promise<{ dbs: readonly Db[]; close: () => Promise<void> }>,
): void {
  describe(`quotas on ${engine}`, () => {
    let processes: Process[]
    let close: () => Promise<void>
    before(async () => {
      const opened = await open()
      processes = opened.dbs.map(processOn)
      close = opened.close
    })
    after(async () => {
      const [first] = processes
      if (first) assert.deepEqual(await usageDifferences(first.db), [])
      for (const { keeper } of processes) await keeper.close()
      await close()
    })

    const one = (at: number): Process => {
      const found = processes[at % processes.length]
      assert.ok(found)
      return found
    }
    const limit = (project: string, limits: Partial<Limits>) =>
      one(0).db.transaction((tx) => setQuota(tx, projectScope(project), { ...NO_LIMITS, ...limits }, NOW))
    const used = async (project: string): Promise<Usage> =>
      (await usageOf(one(0).db, projectScope(project))).used

    /** What a push does in its transaction. True when it was let in. */
    async function push(
      { db, guard }: Process,
      name: string,
      content: string,
      size: number,
    ): Promise<boolean> {
      const repository = parseRepositoryName(name)
      const sha256 = digestOf(content)
      try {
        await db.transaction(
          async (tx) => {
            await guard.confirm?.(tx, { kind: 'link-blob', repository, sha256, size }, CALLER)
            const { id: repositoryId } = await ensureRepository(tx, repository, NOW)
            const blobId = await upsertBlob(tx, { digest: sha256, size, now: NOW, verifiedAt: NOW })
            await linkBlob(tx, { repositoryId, blobId, now: NOW })
          },
          { locks: [blobLock(sha256)] },
        )
        return true
      } catch (error) {
        assert.ok(error instanceof OciError && error.reason === 'QUOTA_EXCEEDED', String(error))
        return false
      }
    }

    const pushes = (count: number, of: (at: number) => readonly [string, string, number]) =>
      Promise.all(Array.from({ length: count }, (_, at) => push(one(at), ...of(at))))

    test('fifty pushes at once take exactly what there is', async () => {
      await limit('crowd', { bytes: 2_050 })
      const taken = await pushes(50, (at) => [`crowd/r${at % 5}`, `crowd ${at}`, 100])
      assert.equal(taken.filter(Boolean).length, 20)
      assert.equal((await used('crowd')).bytes, 2_000)
    })

    test('pushes of all sizes at once fill what there is, and never more', async () => {
      await limit('sizes', { bytes: 1_000_000 })
      const sizeOf = (at: number) => (at % 3 === 0 ? 100 : at % 3 === 1 ? 20_000 : 90_000)
      const taken = await pushes(150, (at) => [`sizes/r${at % 9}`, `sizes ${at}`, sizeOf(at)])
      const { bytes } = await used('sizes')
      assert.equal(
        bytes,
        taken.reduce((sum, isTaken, at) => sum + (isTaken ? sizeOf(at) : 0), 0),
      )
      assert.ok(bytes <= 1_000_000 && bytes > 900_000, `${bytes}`)
    })

    test('one and the same blob is let in by all, and counts once', async () => {
      await limit('same', { bytes: 150 })
      const taken = await pushes(50, (at) => [`same/r${at}`, 'the same', 100])
      assert.equal(taken.filter(Boolean).length, 50)
      assert.equal((await used('same')).bytes, 100)
    })

    test('new tags are counted with the tags that there are', async () => {
      await limit('tags', { tags: 1 })
      const { db, guard } = one(0)
      const repository = parseRepositoryName('tags/a')
      const change = { kind: 'push-manifest', repository, sha256: digestOf('m'), size: 1, moved: [] } as const
      const confirm = (...names: string[]) => {
        const tags = names.map(parseTag)
        const confirming = (tx: Parameters<NonNullable<Guard['confirm']>>[0]) =>
          guard.confirm?.(tx, { ...change, tags, created: tags }, CALLER) ?? Promise.resolve(undefined)
        return db.transaction(confirming, { locks: [blobLock(digestOf('m'))] })
      }
      assert.deepEqual(await confirm('1'), ['the project tags has used 100% of its quota: 1 tag of 1 tag'])
      await assert.rejects(confirm('1', '2'), { reason: 'QUOTA_EXCEEDED' })
    })

    test('a warning is remembered until less is used, and what piled up is gathered', async () => {
      await limit('kept', { bytes: 100 })
      assert.equal(await push(one(0), 'kept/a', 'kept', 90), true)
      assert.ok((await warnedScopes(one(0).db)).includes(projectScope('kept')))
      await limit('kept', { bytes: 1_000 })
      await one(0).keeper.keep()
      assert.ok(!(await warnedScopes(one(0).db)).includes(projectScope('kept')))
      assert.equal((await used('kept')).bytes, 90)
      assert.deepEqual(await one(0).keeper.prove(), [])
    })
  })
}

suite('SQLite', async () => {
  const db = await openFacts()
  return { dbs: [db], close: () => db.close() }
})

describe('with PostgreSQL', { skip: postgresAbsent() }, () => {
  let server: PostgresServer
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.remove())
  suite('PostgreSQL, from two processes', async () => {
    const url = await server.createDatabase()
    const stores = [await openPostgres({ url }), await openPostgres({ url })]
    return {
      dbs: stores.map(({ db }) => db),
      async close() {
        for (const { db, signals } of stores) {
          await signals.close()
          await db.close()
        }
      },
    }
  })
})
