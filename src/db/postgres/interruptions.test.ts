// What a caller is told, and what is left behind, when PostgreSQL is restarted, cut off, or says no.
import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { createConnection, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { sql } from 'kysely'
import type { Db } from '#db/db.ts'
import { NO_LOCKS } from '#db/locks.ts'
import { openPostgres, type PostgresStore } from '#db/postgres.ts'
import { findRepository } from '#db/repositories.ts'
import { getSetting, setSetting } from '#db/settings.ts'
import { OciError } from '#oci/errors.ts'
import {
  type PostgresServer,
  postgresAbsent,
  startPostgres,
} from '../../../test/processes/postgres-server.ts'

const reasonOf = (error: unknown) => (error instanceof OciError ? error.reason : String(error))

/** What a piece of work is refused with; 'done' when it is not. */
const outcome = (work: Promise<unknown>): Promise<string> => work.then(() => 'done', reasonOf)

async function eventually(condition: () => Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 500; turn++) {
    if (await condition()) return
    await wait(20)
  }
  assert.fail('it did not come')
}

describe('PostgreSQL', { skip: postgresAbsent() }, () => {
  let server: PostgresServer
  let url: string
  let store: PostgresStore
  let db: Db
  before(async () => {
    server = await startPostgres(['max_prepared_transactions=5'])
    url = await server.createDatabase()
    store = await openPostgres({ url })
    db = store.db
  })
  after(async () => {
    await store.signals.close()
    await db.close()
    await server.remove()
  })

  const write = (value: string) =>
    db.transaction((tx) => setSetting(tx, 'written', value), { locks: NO_LOCKS })
  const read = () => findRepository(db, 'none')

  for (const how of ['fast', 'immediate'] as const) {
    test(`stopped (${how}) and started again refuses with UNAVAILABLE meanwhile, and nothing else`, async () => {
      const heard: string[] = []
      const leave = store.signals.subscribe('restarted', () => heard.push('heard'))
      const outcomes = new Set<string>()
      let isRunning = true
      const clients = Array.from({ length: 8 }, async (_, client) => {
        while (isRunning) {
          outcomes.add(await outcome(client % 2 === 0 ? read() : write(`${client}`)))
          await wait(1)
        }
      })
      await wait(50)
      await server.stop(how)
      await wait(200)
      assert.equal(await outcome(read()), 'UNAVAILABLE')
      assert.equal(await outcome(write('never')), 'UNAVAILABLE')
      await server.start()
      await eventually(
        async () => (await outcome(read())) === 'done' && (await outcome(write('b'))) === 'done',
      )
      isRunning = false
      await Promise.all(clients)
      assert.deepEqual([...outcomes].sort(), ['UNAVAILABLE', 'done'])
      await eventually(async () => heard.length > 0)
      leave()
    })
  }

  test('that ends every session at once goes unnoticed by reads and by transactions', async () => {
    await read()
    await write('before')
    for (let turn = 0; turn < 5; turn++) {
      const work = Promise.allSettled([read(), write('x'), db.kysely.selectFrom('settings').execute()])
      await sql`select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'stowage' and pid <> pg_backend_pid() and datname = current_database()`
        .execute(db.kysely)
        .catch(() => {})
      await work
      assert.equal(await outcome(read()), 'done')
      assert.equal(await outcome(write('after')), 'done')
    }
  })

  for (const [code, reason] of Object.entries({
    '53100': 'STORAGE_FULL',
    '53200': 'UNAVAILABLE',
    '53300': 'UNAVAILABLE',
    '55P03': 'UNAVAILABLE',
    '57014': 'UNAVAILABLE',
    '57P01': 'UNAVAILABLE',
    '57P03': 'UNAVAILABLE',
    '25006': 'UNAVAILABLE',
    '08006': 'UNAVAILABLE',
  })) {
    test(`${code} is ${reason}, and the next transaction goes on`, async () => {
      const raise = sql`do ${sql.raw(`$$ begin raise exception 'said no' using errcode = '${code}'; end $$`)}`
      assert.equal(await outcome(db.transaction((tx) => raise.execute(tx.kysely))), reason)
      assert.equal(await outcome(raise.execute(db.kysely)), reason)
      assert.equal(await outcome(write('next')), 'done')
    })
  }

  test('transactions that undermine each other run again: none is told, and the result is as if they had queued', async () => {
    // Each reads what the other writes: both must not see the state before.
    const add = (mine: string, other: string) =>
      db.transaction(async (tx) => {
        const seen = await getSetting(tx, other)
        await wait(20)
        await setSetting(tx, mine, seen === undefined ? 'first' : 'second')
      })
    await Promise.all([add('skew-a', 'skew-b'), add('skew-b', 'skew-a')])
    const values = [await getSetting(db, 'skew-a'), await getSetting(db, 'skew-b')]
    assert.deepEqual(values.sort(), ['first', 'second'])
  })

  test('a deadlock is broken and the loser runs again', async () => {
    await db.transaction(async (tx) => {
      await setSetting(tx, 'row-a', '0')
      await setSetting(tx, 'row-b', '0')
    })
    const both = (first: string, second: string) =>
      db.transaction(
        async (tx) => {
          await setSetting(tx, first, first)
          await wait(20)
          await setSetting(tx, second, first)
        },
        { locks: NO_LOCKS },
      )
    await Promise.all([both('row-a', 'row-b'), both('row-b', 'row-a')])
    assert.equal(await getSetting(db, 'row-a'), await getSetting(db, 'row-b'))
  })

  test('a connection that is lost during the commit is not taken for a success, and the work is not done twice', async () => {
    const relay = await startRelay(new URL(url).searchParams.get('host') ?? '')
    const through = await openPostgres({
      url: url.replace(/host=.*/, `host=${encodeURIComponent(relay.folder)}`),
    })
    try {
      let runs = 0
      const work = () =>
        through.db.transaction(async (tx) => {
          runs += 1
          await setSetting(tx, 'perhaps', String(runs))
        })
      relay.cutAt('commit')
      await assert.rejects(work(), /nobody knows whether it did/)
      assert.equal(runs, 1)
      await eventually(async () => (await getSetting(db, 'perhaps')) === '1')
      relay.cutAt(undefined)
      await work()
      assert.equal(await getSetting(db, 'perhaps'), '2')
    } finally {
      await through.signals.close()
      await through.db.close()
      await relay.close()
    }
  })
})

/** Between a client and the socket of a server; cuts the connection once a word has been passed on. */
async function startRelay(folder: string) {
  const own = await mkdtemp(join(tmpdir(), 'stowage-relay-'))
  await chmod(own, 0o755)
  let word: string | undefined
  const sockets = new Set<Socket>()
  const relay = createServer((client) => {
    const upstream = createConnection(join(folder, '.s.PGSQL.5432'))
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        // What was sent arrives; the answer does not.
        upstream.end()
      })
    }
    upstream.pipe(client)
    client.on('data', (chunk) => {
      upstream.write(chunk)
      if (word !== undefined && chunk.includes(word)) client.destroy()
    })
  })
  await new Promise<void>((resolve) => relay.listen(join(own, '.s.PGSQL.5432'), resolve))
  return {
    folder: own,
    cutAt: (at: string | undefined) => {
      word = at
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => relay.close(resolve))
      await rm(own, { recursive: true, force: true })
    },
  }
}
