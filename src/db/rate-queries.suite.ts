// What clients have used of rates, on any engine.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { databaseNow } from '#db/clock.ts'
import type { Db } from '#db/db.ts'
import type { DbUnderTest } from '#db/queries.suite.ts'
import { addRateUses, forgetFreeRates } from '#db/rate-uses.ts'

const HOUR_MS = 3_600_000
/** Between two calls of a test. */
const SLACK_MS = 60_000

export function rateQueriesSuite(engine: string, open: () => Promise<DbUnderTest>): void {
  describe(`uses of rates, on ${engine}`, () => {
    let db: Db
    let close: () => Promise<void>
    before(async () => {
      const opened = await open()
      db = opened.db
      close = opened.close
    })
    after(() => close())

    const add = (...uses: readonly (readonly [key: string, costMs: number])[]) =>
      db.transaction((tx) =>
        addRateUses(
          tx,
          uses.map(([key, costMs]) => ({ key, costMs })),
        ),
      )
    const put = (key: string, free_at: number) =>
      db.transaction((tx) => tx.kysely.insertInto('rate_uses').values({ key, free_at }).execute())
    const near = (value: number | undefined, wanted: number) =>
      assert.ok(value !== undefined && Math.abs(value - wanted) < SLACK_MS, `${value} is not about ${wanted}`)

    test('add up, whoever adds them, also parts of a millisecond', async () => {
      const first = await add(['b', HOUR_MS], ['a', 0.25])
      near(first.get('b'), HOUR_MS)
      assert.equal(first.get('a'), 0.25)
      const second = await add(['a', 2 * HOUR_MS], ['b', HOUR_MS], ['c', 1])
      near(second.get('a'), 2 * HOUR_MS)
      near(second.get('b'), 2 * HOUR_MS)
      near((await add(['b', -HOUR_MS])).get('b'), HOUR_MS)
      assert.equal((await add()).size, 0)
    })

    test('of many processes at once are all counted', async () => {
      await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          index % 2 === 0 ? add(['x', HOUR_MS], ['y', HOUR_MS]) : add(['y', HOUR_MS], ['x', HOUR_MS]),
        ),
      )
      const both = await add(['x', 0], ['y', 0])
      near(both.get('x'), 20 * HOUR_MS)
      near(both.get('y'), 20 * HOUR_MS)
    })

    test('that are over are not paid for again, and are forgotten', async () => {
      const past = (await databaseNow(db)) - HOUR_MS
      await put('past', past)
      near((await add(['past', HOUR_MS])).get('past'), HOUR_MS)
      await put('over', past)
      await db.transaction(forgetFreeRates)
      const left = await db.kysely
        .selectFrom('rate_uses')
        .select('key')
        .where('key', 'in', ['past', 'over'])
        .execute()
      assert.deepEqual(
        left.map(({ key }) => key),
        ['past'],
      )
    })
  })
}
