// The embedded engine: what every engine promises, and what only files can.
import assert from 'node:assert/strict'
import { existsSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { sql } from 'kysely'
import { everyQuerySuite } from '#db/every-query.suite.ts'
import { queriesSuite } from '#db/queries.suite.ts'
import { ensureRepository, findRepository } from '#db/repositories.ts'
import { setSetting } from '#db/settings.ts'
import { openSqlite } from '#db/sqlite.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stowage-sqlite-'))
})
after(() => rm(folder, { recursive: true, force: true }))

everyQuerySuite('a temporary SQLite', async () => {
  const db = await openSqlite()
  return { db, close: () => db.close() }
})

queriesSuite('an SQLite file', async () => {
  const db = await openSqlite({ path: join(folder, 'queries/registry.sqlite') })
  return { db, close: () => db.close() }
})

describe('a file', () => {
  test('keeps what was committed', async () => {
    const path = join(folder, 'kept.sqlite')
    const first = await openSqlite({ path })
    await first.transaction((tx) => ensureRepository(tx, 'kept', 1))
    await first.close()
    const second = await openSqlite({ path })
    assert.ok(await findRepository(second, 'kept'))
    await second.close()
  })

  test('has one writer: transactions come in the order of the calls', async () => {
    const db = await openSqlite({ path: join(folder, 'in-order.sqlite') })
    const order: number[] = []
    const numbers = Array.from({ length: 20 }, (_, number) => number)
    const record = (number: number) =>
      db.transaction(
        async (tx) => {
          await setSetting(tx, 'last', String(number))
          order.push(number)
        },
        { durable: number % 2 === 0 },
      )
    await Promise.all(numbers.map(record))
    await db.close()
    assert.deepEqual(order, numbers)
  })

  test('that a newer version wrote is refused, and says so', async () => {
    const path = join(folder, 'newer.sqlite')
    await (await openSqlite({ path })).close()
    const raw = new DatabaseSync(path)
    raw.exec("insert into migrations (name, timestamp) values ('9999-future', '2100-01-01')")
    raw.close()
    await assert.rejects(openSqlite({ path }), /written by a newer version of Stowage/)
  })

  test('takes its log in after some hundred commits, on a thread of its own', async () => {
    const errors: Error[] = []
    const path = join(folder, 'checkpointed.sqlite')
    const db = await openSqlite({ path, onError: (error) => errors.push(error) })
    try {
      // A checkpoint grows the file bit by bit: its first bytes are not its end.
      const wanted = statSync(path).size + 200_000
      for (let number = 0; number < 600; number++)
        await db.transaction((tx) => setSetting(tx, `k${number}`, 'x'.repeat(500)), { durable: false })
      for (let turn = 0; turn < 2_000 && statSync(path).size <= wanted; turn++) await wait(10)
      assert.ok(statSync(path).size > wanted)
    } finally {
      // A thread that is left open would keep the test from ending.
      await db.close()
    }
    assert.deepEqual(errors, [])
  })

  test('reads cannot write: only a transaction can', async () => {
    const db = await openSqlite({ path: join(folder, 'read-only.sqlite') })
    await assert.rejects(
      db.kysely.insertInto('settings').values({ key: 'a', value: 'b' }).execute(),
      /readonly|read-only|query_only|attempt to write/,
    )
    await db.close()
  })
})

test('a temporary database leaves no folder behind', async () => {
  const db = await openSqlite()
  const { rows } = await sql<{ file: string }>`pragma database_list`.execute(db.kysely)
  const file = rows[0]?.file ?? ''
  assert.ok(existsSync(file))
  await db.close()
  assert.equal(existsSync(dirname(file)), false)
})
