import { after, before, describe } from 'node:test'
import { openPostgres } from '#db/postgres.ts'
import { openSqlite } from '#db/sqlite.ts'
import {
  type PostgresServer,
  postgresAbsent,
  startPostgres,
} from '../../../test/processes/postgres-server.ts'
import { auditLogSuite } from './audit-log.suite.ts'

auditLogSuite('SQLite', async () => {
  const db = await openSqlite()
  return { db, close: () => db.close() }
})

describe('with PostgreSQL', { skip: postgresAbsent() }, () => {
  let server: PostgresServer
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.remove())

  auditLogSuite('PostgreSQL', async () => {
    const { db, signals } = await openPostgres({ url: await server.createDatabase() })
    const close = async () => {
      await signals.close()
      await db.close()
    }
    return { db, close }
  })
})
