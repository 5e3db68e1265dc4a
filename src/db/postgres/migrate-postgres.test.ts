// Migrations of a database that several processes share.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import pg from 'pg'
import { openPostgres } from '#db/postgres.ts'
import {
  type PostgresServer,
  postgresAbsent,
  startPostgres,
} from '../../../test/processes/postgres-server.ts'

describe('a PostgreSQL', { skip: postgresAbsent() }, () => {
  let server: PostgresServer
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.remove())

  const open = async (url: string) => {
    const { db, signals } = await openPostgres({ url })
    await signals.close()
    await db.close()
  }

  test('is migrated once when several processes start at once', async () => {
    const url = await server.createDatabase()
    await Promise.all(Array.from({ length: 4 }, () => open(url)))
    const client = new pg.Client(url)
    await client.connect()
    const { rows } = await client.query('select name, count(*)::int as times from migrations group by name')
    await client.end()
    assert.ok(rows.length >= 2)
    for (const { name, times } of rows) assert.equal(times, 1, name)
  })

  test('that a newer version wrote is refused, and says so', async () => {
    const url = await server.createDatabase()
    await open(url)
    const client = new pg.Client(url)
    await client.connect()
    await client.query("insert into migrations (name, timestamp) values ('9999-future', '2100-01-01')")
    await client.end()
    await assert.rejects(open(url), /written by a newer version of Stowage/)
  })

  test('that cannot be reached is named with the reason, and without its password', async () => {
    await assert.rejects(open('postgres://stowage:secret@127.0.0.1:1/registry'), (error: Error) => {
      assert.match(error.message, /database\.url cannot be used: .*ECONNREFUSED/)
      assert.doesNotMatch(error.message, /secret/)
      return true
    })
  })

  test('warns of settings that may lose what was acknowledged', async () => {
    const url = await server.createDatabase()
    const warned: unknown[] = []
    const { db, signals } = await openPostgres({
      url,
      onWarning: (_, fields) => warned.push(fields['setting']),
    })
    await signals.close()
    await db.close()
    assert.deepEqual(warned, ['fsync', 'full_page_writes', 'synchronous_commit'])
  })
})
