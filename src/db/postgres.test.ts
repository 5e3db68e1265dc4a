// The scale-out engine: what every engine promises.
import { after, before, describe } from 'node:test'
import { everyQuerySuite } from '#db/every-query.suite.ts'
import { openPostgres } from '#db/postgres.ts'
import { signalsSuite } from '#db/signals.suite.ts'
import { type PostgresServer, postgresAbsent, startPostgres } from '../../test/processes/postgres-server.ts'

describe('PostgreSQL', { skip: postgresAbsent() }, () => {
  let server: PostgresServer
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.remove())

  const open = async () => {
    const { db, signals } = await openPostgres({ url: await server.createDatabase() })
    const close = async () => {
      await signals.close()
      await db.close()
    }
    return { db, signals, close }
  }
  everyQuerySuite('PostgreSQL', open)
  signalsSuite('LISTEN and NOTIFY', async () => {
    const url = await server.createDatabase()
    const [here, there] = [await openPostgres({ url }), await openPostgres({ url })]
    const close = async () => {
      for (const { db, signals } of [here, there]) {
        await signals.close()
        await db.close()
      }
    }
    return { here: here.signals, there: there.signals, close }
  })
})
