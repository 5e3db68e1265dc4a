// A copy of a database: all of it, on either engine, or a sentence that says what keeps it from being one.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import pg from 'pg'
import { type CopyStep, copyDatabase, type DatabaseCopy } from '#db/copy/copy-database.ts'
import type { CopyDestination, CopyEnd } from '#db/copy/end.ts'
import { alterSqlite, fillDatabase } from '#db/copy/filled-database.suite.ts'
import { MIGRATION_TABLES, type SchemaOutline, schemaOutline } from '#db/copy/outline.ts'
import { openPostgresDestination, openPostgresSource } from '#db/copy/postgres-end.ts'
import { openSqliteDestination, openSqliteSource } from '#db/copy/sqlite-end.ts'
import type { Db } from '#db/db.ts'
import { insertEvents } from '#db/events.ts'
import { openPostgres } from '#db/postgres.ts'
import { ensureRepository, listRepositoryInCatalog } from '#db/repositories.ts'
import { openSqlite } from '#db/sqlite.ts'
import { usageOf } from '#db/usage.ts'
import {
  type PostgresServer,
  postgresAbsent,
  startPostgres,
} from '../../../test/processes/postgres-server.ts'

const folder = mkdtempSync(join(tmpdir(), 'stowage-copy-'))
const outline = await schemaOutline()
after(() => rmSync(folder, { recursive: true }))

const ROWS = 1_203
const LAST_GIVEN = 5_000n
const UNENDING = new AbortController().signal

let paths = 0
function newPath(): string {
  paths += 1
  return join(folder, `${paths}.sqlite`)
}

async function filled(rows = ROWS): Promise<string> {
  const path = newPath()
  await fillDatabase(path, outline, { rows, lastGiven: LAST_GIVEN })
  return path
}

const isUrl = (place: string) => place.startsWith('postgres:')

async function copy(
  from: string,
  to: string,
  onStep: (step: CopyStep) => void | Promise<void> = () => {},
  signal = UNENDING,
): Promise<DatabaseCopy> {
  await using closing = new AsyncDisposableStack()
  const source: CopyEnd = isUrl(from) ? await openPostgresSource(from) : await openSqliteSource(from)
  closing.defer(() => source.close())
  const destination: CopyDestination = isUrl(to)
    ? await openPostgresDestination(to, outline)
    : await openSqliteDestination(to, outline)
  closing.defer(() => destination.close())
  return await copyDatabase({ source, destination, outline, signal, onStep })
}

/** Stops a copy at its nth page. */
async function cutOff(from: string, to: string, pages: number): Promise<void> {
  const controller = new AbortController()
  let seen = 0
  const onStep = () => {
    seen += 1
    if (seen === pages) controller.abort(new Error('cut off'))
  }
  await assert.rejects(copy(from, to, onStep, controller.signal), /cut off/)
}

const digests = ({ tables }: DatabaseCopy) => tables.map(({ table, digest, rows }) => [table, digest, rows])

async function open(place: string): Promise<Db> {
  if (!isUrl(place)) return openSqlite({ path: place })
  const { db, signals } = await openPostgres({ url: place })
  const close = db.close.bind(db)
  return Object.assign(db, {
    close: async () => {
      await signals.close()
      await close()
    },
  })
}

function copySuite(engine: string, newPlace: () => Promise<string>): void {
  test(`${engine}: a copy has every row of every table, and its copy has them again`, async () => {
    const from = await filled()
    const there = await newPlace()
    const copied = await copy(from, there)
    assert.deepEqual(copied.differences, [])
    assert.equal(copied.resumed, false)
    assert.deepEqual(
      copied.tables.map(({ table, rows }) => [table, rows]),
      outline.tables.map(({ name }) => [name, ROWS]),
    )
    const back = newPath()
    const returned = await copy(there, back)
    assert.deepEqual(returned.differences, [])
    assert.deepEqual(digests(returned), digests(copied))
    assert.deepEqual(digests(await copy(back, newPath())), digests(copied))
  })

  test(`${engine}: numbers go on after those that were given, and what is written is counted`, async () => {
    const there = await newPlace()
    await copy(await filled(3), there)
    const db = await open(there)
    try {
      await db.transaction(async (tx) => {
        const repository = await ensureRepository(tx, 'after/copy', 1)
        await listRepositoryInCatalog(tx, repository)
        assert.equal(repository.id, 4)
        await insertEvents(tx, [EVENT])
      })
      const newest = await db.kysely
        .selectFrom('events')
        .select('id')
        .orderBy('id', 'desc')
        .limit(1)
        .executeTakeFirst()
      assert.equal(Number(newest?.id), Number(LAST_GIVEN) + 1)
      assert.equal((await usageOf(db, 'project:after')).used.repositories, 1)
    } finally {
      await db.close()
    }
  })

  test(`${engine}: an empty database is copied too`, async () => {
    const { rows, differences } = await copy(await filled(0), await newPlace())
    assert.deepEqual([rows, differences], [0, []])
  })

  test(`${engine}: a copy that was cut off is refused by a server, and goes on where it stopped`, async () => {
    const from = await filled()
    const there = await newPlace()
    await cutOff(from, there, 13)
    await assert.rejects(open(there), /half of a copy: run the same "stowage db copy" again/)
    const steps: string[] = []
    const copied = await copy(
      from,
      there,
      ({ step, table }) => void (step === 'copying' && steps.push(table)),
    )
    assert.equal(copied.resumed, true)
    assert.deepEqual(copied.differences, [])
    assert.ok(!steps.includes(outline.tables[0]?.name ?? ''), `${steps}`)
    await (await open(there)).close()
  })

  test(`${engine}: after the source was used again, a copy that was cut off begins anew`, async () => {
    const from = await filled()
    const there = await newPlace()
    await cutOff(from, there, 13)
    await (await open(from)).close()
    const copied = await copy(from, there)
    assert.deepEqual([copied.resumed, copied.differences], [false, []])
  })

  test(`${engine}: what nobody saw change is found, and the next copy begins anew`, async () => {
    const from = await filled()
    const there = await newPlace()
    const [first] = outline.tables
    await cutOff(from, there, 13)
    alterSqlite(from, `update ${first?.name} set ${first?.columns.at(-1)?.name} = 77 where rowid = 5`)
    const copied = await copy(from, there)
    assert.equal(copied.resumed, true)
    assert.match(
      copied.differences.join('; '),
      new RegExp(`^${first?.name} differs from the row on whose key is `),
    )
    await assert.rejects(open(there), /half of a copy/)
    const again = await copy(from, there)
    assert.deepEqual([again.resumed, again.differences], [false, []])
  })

  test(`${engine}: nothing is copied into a database that has rows`, async () => {
    const there = await newPlace()
    await (await open(there)).close()
    const before = await open(there)
    await before.transaction((tx) => insertEvents(tx, [EVENT]))
    await before.close()
    await assert.rejects(
      copy(await filled(1), there),
      /is not empty \(.*events has 1 rows.*\): name a database/,
    )
    await (await open(there)).close()
  })

  test(`${engine}: a database that is open elsewhere is neither copied nor copied into`, async () => {
    const there = await newPlace()
    await copy(await filled(1), there)
    const db = await open(there)
    await assert.rejects(copy(there, newPath()), /is in use: stop/)
    await assert.rejects(copy(await filled(1), there), /is in use: stop/)
    await db.close()
    assert.deepEqual((await copy(there, newPath())).differences, [])
  })

  test(`${engine}: a page ends with the row that exceeds 4 MiB`, async () => {
    const from = await filled(50)
    alterSqlite(from, `update settings set value = '${'x'.repeat(1024 * 1024)}'`)
    const there = await newPlace()
    assert.deepEqual((await copy(from, there)).differences, [])
    const table = outline.tables.find(({ name }) => name === 'settings')
    assert.ok(table)
    await using closing = new AsyncDisposableStack()
    const end = isUrl(there) ? await openPostgresSource(there) : await openSqliteSource(there)
    closing.defer(() => end.close())
    assert.equal((await end.page(table, undefined)).length, 4)
  })
}

const EVENT = {
  at: 1,
  kind: 'blob.pushed',
  repository: 'after/copy',
  digest: 'sha256:0',
  tag: null,
  mediaType: null,
  size: null,
  fromRepository: null,
  actor: null,
  remote: null,
  userAgent: null,
  requestId: null,
  durationMs: null,
  method: 'PUT',
  origin: 'o',
} as const

describe('SQLite', () => copySuite('SQLite', async () => newPath()))

describe('PostgreSQL', { skip: postgresAbsent() }, () => {
  let server: PostgresServer
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.remove())

  copySuite('PostgreSQL', () => server.createDatabase())

  test('has the tables and columns that the copy knows, and no other', async () => {
    const url = await server.createDatabase()
    await (await open(url)).close()
    const client = new pg.Client(url)
    await client.connect()
    const { rows } = await client.query(
      `select table_name || '.' || column_name as name, data_type as type from information_schema.columns
        where table_schema = 'public' order by 1`,
    )
    await client.end()
    const types = { integer: 'bigint', real: 'double precision', text: 'text', bytes: 'bytea' }
    const known = outline.tables.flatMap(({ name, columns }) =>
      columns.map((column) => [`${name}.${column.name}`, types[column.kind]]),
    )
    const there = rows.filter(({ name }) => !MIGRATION_TABLES.includes(String(name).split('.')[0] ?? ''))
    assert.deepEqual(there.map(({ name, type }) => [name, type]).sort(), known.sort())
  })

  test('a server that starts meanwhile waits until the copy is whole, and says so', async () => {
    const url = await server.createDatabase()
    const warnings: string[] = []
    let starting: ReturnType<typeof openPostgres> | undefined
    let hasStarted = false
    let overtaken = false
    await copy(await filled(), url, () => {
      overtaken ||= hasStarted
      starting ??= openPostgres({ url, onWarning: (message) => void warnings.push(message) }).finally(() => {
        hasStarted = true
      })
    })
    const { db, signals } = await (starting ?? assert.fail('the copy had no step'))
    assert.equal(overtaken, false)
    assert.match(warnings.join('; '), /copied, by another process: waiting for it/)
    await signals.close()
    await db.close()
  })

  test('text that no other engine would keep is named before it is lost', async () => {
    const from = await filled(1)
    alterSqlite(from, "update settings set value = 'a' || char(0) || 'b'")
    const url = await server.createDatabase()
    await assert.rejects(copy(from, url), /settings.value of the row .* is not text without NUL/)
  })
})

const asOf = (migrations: (names: readonly string[]) => readonly string[]): SchemaOutline => ({
  ...outline,
  migrations: migrations(outline.migrations),
})

for (const [what, other, said] of [
  [
    'an older version',
    asOf((names) => [...names, '9999-later']),
    /by an older version of Stowage: start this/,
  ],
  ['a newer version', asOf((names) => names.slice(1)), /by a newer version of Stowage/],
] as const) {
  test(`what ${what} wrote is not copied`, async () => {
    const source = await openSqliteSource(await filled(1))
    const destination = await openSqliteDestination(newPath(), outline)
    const nothing = { signal: UNENDING, onStep: () => {} }
    await assert.rejects(copyDatabase({ source, destination, outline: other, ...nothing }), said)
    await source.close()
    await destination.close()
  })
}

test('neither half a copy nor another program’s file is copied', async () => {
  const half = newPath()
  await cutOff(await filled(), half, 3)
  await assert.rejects(copy(half, newPath()), /is itself half of a copy/)
  const other = newPath()
  alterSqlite(other, 'create table other (id integer primary key)')
  await assert.rejects(copy(other, newPath()), /is no database of Stowage/)
  await assert.rejects(copy(newPath(), newPath()), /does not exist: there is nothing to copy/)
})
