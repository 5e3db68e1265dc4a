// What the audit log promises on every database.
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { AuditLog } from '#access/audit/audit-log.ts'
import { auditedChain } from '#access/audit/database-chain.ts'
import { type ChainReport, verifyChain } from '#access/audit/verify-chain.ts'
import { auditCheckpoints, auditEntriesAfter, unsealedAuditEntries } from '#db/audit.ts'
import type { Db } from '#db/db.ts'
import type { DbUnderTest } from '#db/queries.suite.ts'
import { recordEvent } from '#events/record.ts'
import type { Caller } from '#identity/caller.ts'
import { digestOf } from '#oci/digest.ts'

const HOUR_MS = 3_600_000
const ANN: Caller = {
  principal: { kind: 'user', name: 'ann' },
  requestId: 'r1',
  remote: '203.0.113.9',
  userAgent: 'crane',
}
const NOTHING = { target: null, project: null, detail: null, remote: null, userAgent: null, requestId: null }

export function auditLogSuite(engine: string, open: () => Promise<DbUnderTest>): void {
  describe(`the audit log on ${engine}`, () => {
    let db: Db
    let close: () => Promise<void>
    let now = 0
    let log: AuditLog

    before(async () => {
      ;({ db, close } = await open())
    })
    after(() => close())
    beforeEach(async () => {
      now += 48 * HOUR_MS
      log = await AuditLog.open({ db, projectDepth: 1, now: () => now })
    })

    const push = (tag: string) =>
      db.transaction((tx) =>
        recordEvent(
          tx,
          'manifest.pushed',
          { repository: 'team/app', digest: digestOf(tag), tag, size: 7 },
          ANN,
          now,
        ),
      )
    const change = (action: string) =>
      db.transaction((tx) => log.record(tx, { ...NOTHING, action, actor: 'admin' }))
    const verify = async (): Promise<ChainReport> => verifyChain(await auditedChain(db))
    const all = () => auditEntriesAfter(db, 0, 100_000)

    test('a push, a change and a login are chained in their order, and the chain is good', async () => {
      await push('1')
      now += 1
      await change('users.created')
      now += 1
      log.note({ ...NOTHING, action: 'login', result: 'refused', actor: 'bob', remote: '192.0.2.1' })
      await log.seal()
      const entries = (await all()).slice(-3)
      assert.deepEqual(
        entries.map(({ action, actor, result }) => [action, actor, result]),
        [
          ['manifest.pushed', 'ann', 'done'],
          ['users.created', 'admin', 'done'],
          ['login', 'bob', 'refused'],
        ],
      )
      assert.deepEqual(
        { ...entries[0], id: 0, position: 0, hash: '', at: 0 },
        {
          ...{ id: 0, position: 0, hash: '', at: 0, until: null, count: 1 },
          ...{ action: 'manifest.pushed', result: 'done', actor: 'ann' },
          ...{
            target: 'team/app:1',
            project: 'team',
            remote: '203.0.113.9',
            userAgent: 'crane',
            requestId: 'r1',
          },
          detail: JSON.stringify({ digest: digestOf('1'), size: 7 }),
        },
      )
      const { broken, to } = await verify()
      assert.equal(broken, undefined)
      assert.equal(to.hash, entries.at(-1)?.hash)
    })

    test('more than a batch is sealed in one go, nothing twice, also with two sealers at once', async () => {
      const before = (await all()).length
      for (let count = 0; count < 450; count++) {
        if (count % 2 === 0) await push(`t${count}`)
        else await change('groups.created')
      }
      const other = await AuditLog.open({ db, projectDepth: 1, now: () => now })
      await Promise.all([log.seal(), other.seal()])
      await log.seal()
      assert.equal((await all()).length - before, 450)
      assert.deepEqual(await unsealedAuditEntries(db, 10), [])
      assert.equal((await verify()).broken, undefined)
    })

    test('whoever changes, takes out or adds an entry is found, and where', async () => {
      for (let count = 0; count < 5; count++) await change(`n${count}`)
      await log.seal()
      const entries = (await all()).slice(-4)
      const [victim, last] = [entries[1], entries.at(-1)]
      assert.ok(victim && last)
      const { position } = victim
      const brokenAt = async () => (await verify()).broken?.position
      const set = (id: number, columns: object) =>
        db.transaction((tx) =>
          tx.kysely.updateTable('audit_entries').set(columns).where('id', '=', id).executeTakeFirst(),
        )
      await set(victim.id, { position: -1 })
      assert.equal(await brokenAt(), position)
      await set(victim.id, { position })
      assert.equal(await brokenAt(), undefined)
      await set(victim.id, { actor: 'mallory' })
      assert.equal(await brokenAt(), position)
      await set(victim.id, { actor: 'admin' })
      assert.equal(await brokenAt(), undefined)
      // The end, cut off.
      await set(last.id, { position: null })
      assert.equal(await brokenAt(), last.position)
      await set(last.id, { position: last.position })
      // A checkpoint, dated back.
      const head = (await auditCheckpoints(db)).at(-1)
      assert.ok(head)
      const date = (at: number) =>
        db.transaction((tx) =>
          tx.kysely
            .updateTable('audit_checkpoints')
            .set({ at })
            .where('position', '=', head.position)
            .executeTakeFirst(),
        )
      await date(head.at + 1)
      assert.deepEqual((await verify()).broken, {
        position: head.position,
        why: 'this checkpoint is not signed by a key of this registry',
      })
      await date(head.at)
      assert.equal(await brokenAt(), undefined)
    })

    test('a place that was noted is still part of the log, and another hash there is not', async () => {
      await change('one')
      await log.seal()
      const { to } = await verify()
      await change('two')
      await log.seal()
      const chain = await auditedChain(db)
      assert.equal((await verifyChain(chain, to)).broken, undefined)
      assert.equal((await verifyChain(chain, { ...to, hash: '0'.repeat(64) })).broken?.position, to.position)
      const beyond = { position: to.position + 100, hash: to.hash }
      assert.match((await verifyChain(chain, beyond)).broken?.why ?? '', /ends before/)
    })

    test('one checkpoint an hour is kept', async () => {
      const kept = async () => (await auditCheckpoints(db)).length
      await change('first of the hour')
      await log.seal()
      const before = await kept()
      for (let count = 0; count < 5; count++) {
        await change('more')
        await log.seal()
      }
      assert.equal(await kept(), before)
      now += HOUR_MS
      await change('next hour')
      await log.seal()
      assert.equal(await kept(), before + 1)
    })

    test('old entries are cut at a checkpoint, the cut is told, and the rest is still good', async () => {
      await change('old')
      await log.seal()
      now += 24 * HOUR_MS
      await change('new')
      await log.seal()
      const deleted = await log.cut(12 * HOUR_MS)
      assert.ok(deleted > 0)
      await log.seal()
      const report = await verify()
      assert.equal(report.broken, undefined)
      assert.equal(report.from.position, deleted)
      assert.deepEqual(
        (await all()).map(({ action }) => action),
        ['new', 'audit.cut'],
      )
      assert.equal(await log.cut(12 * HOUR_MS), 0)
      // Without an entry that says so, nothing was cut.
      await db.transaction((tx) =>
        tx.kysely.deleteFrom('audit_checkpoints').where('kind', '=', 'cut').executeTakeFirst(),
      )
      assert.match((await verify()).broken?.why ?? '', /missing/)
    })
  })
}
